//! `Mutex` and `RawMutex` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{
    Mutex, Poisoned, RawMutex, TryLockError,
    registry::{self, Token},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn many_threads_count_exactly() {
    const THREADS: u32 = 4;
    const TIMES: u32 = 100_000;
    let counter = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    *counter.lock().unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(counter.into_inner().unwrap(), THREADS * TIMES);
}

#[test]
fn try_lock_and_timeout_answer_without_the_lock() {
    let mutex = Mutex::new(());
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
            let start = Instant::now();
            assert!(matches!(
                mutex.try_lock_for(SOON),
                Err(TryLockError::WouldBlock)
            ));
            assert!(start.elapsed() >= SOON);
        });
    });
    drop(guard);
    assert!(mutex.try_lock().is_ok());
    assert!(mutex.try_lock_for(SOON).is_ok());
}

#[test]
fn a_waiter_with_a_timeout_gets_the_lock_in_time() {
    let mutex = Mutex::new(0);
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| *mutex.try_lock_for(Duration::from_secs(60)).unwrap());
        thread::sleep(SOON);
        drop(guard);
        assert_eq!(waiter.join().unwrap(), 0);
    });
}

#[test]
fn a_panic_poisons_until_it_is_cleared() {
    let mutex = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert!(mutex.is_poisoned());
    assert_eq!(*mutex.lock().unwrap_err().into_inner(), 1);
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    mutex.clear_poison();
    assert_eq!(*mutex.lock().unwrap(), 1);
    assert_eq!(mutex.into_inner().unwrap(), 1);
}

#[test]
fn a_guard_dropped_while_an_older_panic_unwinds_does_not_poison() {
    struct LocksInDrop<'a>(&'a Mutex<u32>);
    impl Drop for LocksInDrop<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let mutex = Mutex::new(0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _locks = LocksInDrop(&mutex);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock().unwrap(), 1);
}

/// Runs `body` on a thread that is in the registry and never leaves it.
fn registered<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> (Token, R) {
    thread::spawn(|| {
        let token = registry::enter_new().unwrap();
        (token, body())
    })
    .join()
    .unwrap()
}

#[test]
fn the_lock_of_a_dead_thread_goes_to_the_next_locker_poisoned() {
    let lock = Arc::new(RawMutex::new());
    let (token, _) = registered({
        let lock = Arc::clone(&lock);
        move || assert_eq!(lock.lock(), Poisoned::No)
    });
    assert_eq!(lock.owner(), Some(token));
    assert_eq!(lock.try_lock(), None, "nobody knows yet that it died");
    assert!(registry::reap_token(token));
    assert_eq!(lock.lock(), Poisoned::Yes);
    // SAFETY: taken above.
    unsafe { lock.unlock() };
    assert_eq!(lock.try_lock(), Some(Poisoned::Yes));
    lock.clear_poison();
    // SAFETY: taken above.
    unsafe { lock.unlock() };
    assert_eq!(lock.lock(), Poisoned::No);
}

#[test]
fn reaping_wakes_all_who_wait_for_the_dead() {
    let lock = Arc::new(RawMutex::new());
    let (dead, _) = registered({
        let lock = Arc::clone(&lock);
        move || assert_eq!(lock.lock(), Poisoned::No)
    });
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let me = registry::enter_new().unwrap();
                let poisoned = lock.lock();
                assert_eq!(lock.owner(), Some(me));
                // SAFETY: taken above.
                unsafe { lock.unlock() };
                registry::leave();
                poisoned
            })
        })
        .collect();
    thread::sleep(SOON);
    assert!(registry::reap(dead.slot()));
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Poisoned::Yes);
    }
}

#[test]
fn a_wake_up_that_the_dead_swallowed_is_passed_on() {
    // A thread that waits is declared dead while it sleeps: whoever else waits on the same lock must not depend on it.
    let lock = Arc::new(RawMutex::new());
    assert_eq!(lock.lock(), Poisoned::No);
    let (tell, told) = mpsc::channel();
    let doomed = thread::spawn({
        let lock = Arc::clone(&lock);
        move || {
            let me = registry::enter_new().unwrap();
            let (bury, buried) = mpsc::channel();
            tell.send((me, bury)).unwrap();
            let _poisoned = lock.lock();
            // Threads can't be killed here: this one, awake, does nothing until it is dead, as if it were. What it took
            // before that is no longer its own then.
            buried.recv().unwrap();
            if lock.owner() == Some(me) {
                // SAFETY: taken above, after its death.
                unsafe { lock.unlock() };
            }
        }
    });
    let (token, bury) = told.recv().unwrap();
    thread::sleep(SOON);
    let second = thread::spawn({
        let lock = Arc::clone(&lock);
        move || {
            registry::enter_new().unwrap();
            let _poisoned = lock.lock();
            // SAFETY: taken above.
            unsafe { lock.unlock() };
        }
    });
    thread::sleep(SOON);
    // SAFETY: taken above.
    unsafe { lock.unlock() };
    registry::reap_token(token);
    bury.send(()).unwrap();
    second.join().unwrap();
    doomed.join().unwrap();
}

#[test]
fn no_waiter_starves_and_nobody_passes_a_claimant_over() {
    // Two threads let go of the lock only to take it again, until a third has had it so many times. Whoever holds the lock
    // and sees the third claim it is not the next to have it. (The claimant is registered: its claim has no end but its own.)
    const TIMES: u32 = 100;
    let (lock, served) = (RawMutex::new(), AtomicU32::new(0));
    let waiter = AtomicU32::new(u32::MAX);
    let passed_over: u32 = thread::scope(|scope| {
        let bargers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    registry::enter_new().unwrap();
                    let (mut passed_over, mut owed) = (0, None);
                    loop {
                        let _poisoned = lock.lock();
                        let now = served.load(Ordering::Relaxed);
                        passed_over += u32::from(owed == Some(now));
                        let claimant = lock.claimant().map_or(0, Token::bits);
                        owed = (claimant == waiter.load(Ordering::Relaxed)).then_some(now);
                        // SAFETY: taken above.
                        unsafe { lock.unlock() };
                        if now == TIMES {
                            registry::leave();
                            return passed_over;
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let me = registry::enter_new().unwrap();
            waiter.store(me.bits(), Ordering::Relaxed);
            for _ in 0..TIMES {
                let _poisoned = lock.lock();
                served.fetch_add(1, Ordering::Relaxed);
                // SAFETY: taken above.
                unsafe { lock.unlock() };
            }
            registry::leave();
        });
        bargers
            .into_iter()
            .map(|barger| barger.join().unwrap())
            .sum()
    });
    assert_eq!(passed_over, 0);
}

#[test]
fn a_claim_that_nobody_comes_for_keeps_the_lock_from_nobody() {
    // A thread outside the registry claims and is gone, as when its worker was terminated while it waited.
    let lock = RawMutex::new();
    let claimant: &AtomicU32 = {
        let record = std::ptr::from_ref(&lock).cast::<u8>();
        // SAFETY: the second word of the record, which is made of atomics.
        unsafe { &*record.add(heddle_atomics::layout::mutex::CLAIMANT).cast() }
    };
    assert_eq!(lock.lock(), Poisoned::No);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let poisoned = lock.lock();
                    // SAFETY: taken above.
                    unsafe { lock.unlock() };
                    poisoned
                })
            })
            .collect();
        thread::sleep(SOON);
        claimant.store(Token::UNREGISTERED.bits(), Ordering::SeqCst);
        // SAFETY: taken above.
        unsafe { lock.unlock() };
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Poisoned::No);
        }
    });
    assert_eq!(lock.claimant(), None);
}

#[test]
fn locking_twice_on_a_registered_thread_panics_and_names_the_lock() {
    let message = thread::spawn(|| {
        registry::enter_new().unwrap();
        let mutex = Mutex::new(0_u8);
        let guard = mutex.lock().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| drop(mutex.lock()))).unwrap_err();
        drop(guard);
        registry::leave();
        *panic.downcast::<String>().unwrap()
    })
    .join()
    .unwrap();
    assert!(
        message.contains("Mutex<u8>") && message.contains("this very thread"),
        "{message}"
    );
}

#[test]
fn a_thread_that_may_not_block_panics_and_names_the_lock() {
    let mutex = Mutex::new(0_u8);
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        let message = scope.spawn(|| {
            heddle_atomics::set_may_block(false);
            let panic = catch_unwind(AssertUnwindSafe(|| drop(mutex.lock()))).unwrap_err();
            *panic.downcast::<String>().unwrap()
        });
        let message = message.join().unwrap();
        assert!(
            message.contains("Mutex<u8>") && message.contains("may not block"),
            "{message}"
        );
    });
    drop(guard);
    assert!(!mutex.is_poisoned(), "the one who panicked didn't hold it");
}

#[test]
fn a_thread_that_may_not_block_gets_a_lock_that_is_free_soon() {
    let mutex = Mutex::new(0);
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        let spinner = scope.spawn(|| {
            heddle_atomics::set_may_block(false);
            *mutex.lock().unwrap()
        });
        thread::sleep(SOON);
        drop(guard);
        assert_eq!(spinner.join().unwrap(), 0);
    });
}

#[test]
fn random_deaths_leave_nobody_waiting() {
    // Threads lock at random and some are declared dead with the lock; the counter of takings must come out.
    const THREADS: u32 = 4;
    const TIMES: u32 = 2_000;
    let lock = RawMutex::new();
    let takings = std::sync::atomic::AtomicU32::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (lock, takings) = (&lock, &takings);
            scope.spawn(move || {
                let mut random = seed.wrapping_mul(0x9e37_79b9) + 1;
                for _ in 0..TIMES {
                    registry::enter_new().unwrap();
                    if lock.lock() == Poisoned::Yes {
                        lock.clear_poison();
                    }
                    takings.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if random >> 29 == 0 {
                        // Dies with the lock: the supervisor is the same thread here.
                        registry::reap_token(registry::current());
                    } else {
                        // SAFETY: taken above.
                        unsafe { lock.unlock() };
                        registry::leave();
                    }
                }
            });
        }
    });
    assert_eq!(takings.into_inner(), THREADS * TIMES);
}

/// What TypeScript is told of the layout: the data are at the first multiple of their alignment behind the lock.
#[test]
fn the_data_are_where_the_layout_says() {
    fn offset_of_data<T>(value: T) -> usize {
        let mutex = Mutex::new(value);
        let start = core::ptr::from_ref(&mutex).addr();
        assert_eq!(core::ptr::from_ref(mutex.raw()).addr(), start);
        let guard = mutex.lock().unwrap();
        core::ptr::from_ref(&*guard).addr() - start
    }
    #[repr(align(16))]
    struct Wide(#[expect(dead_code, reason = "only its alignment matters")] u8);
    assert_eq!(offset_of_data(1_u8), 8);
    assert_eq!(offset_of_data((1_u8, 1.5_f64)), 8);
    assert_eq!(offset_of_data(Wide(1)), 16);
}
