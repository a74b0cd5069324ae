//! `RwLock` and `RawRwLock` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{
    Poisoned, RawRwLock, RwLock, RwLockWriteGuard, TryLockError,
    layout::RW_LOCK_SEAT_COUNT,
    registry::{self, Token},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn writers_are_alone_and_readers_see_whole_values() {
    const TIMES: u32 = 20_000;
    let pair = RwLock::new((0, 0));
    thread::scope(|scope| {
        for is_registered in [false, true] {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    let mut pair = pair.write().unwrap();
                    pair.0 += 1;
                    pair.1 += 1;
                }
            });
            let pair = &pair;
            scope.spawn(move || {
                if is_registered {
                    registry::enter_new().unwrap();
                }
                for _ in 0..TIMES {
                    let pair = pair.read().unwrap();
                    assert_eq!(pair.0, pair.1);
                }
                registry::leave();
            });
        }
    });
    assert_eq!(pair.into_inner().unwrap(), (2 * TIMES, 2 * TIMES));
}

#[test]
fn readers_read_together() {
    // Each reader waits, reading, until all of them read: that ends only if they can.
    const READERS: usize = RW_LOCK_SEAT_COUNT as usize + 2;
    let lock = RwLock::new(());
    let all_read = Barrier::new(READERS);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                registry::enter_new().unwrap();
                let guard = lock.read().unwrap();
                all_read.wait();
                assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
                drop(guard);
                registry::leave();
            });
        }
    });
    assert!(
        lock.try_write().is_ok(),
        "all have left, from seats and from the crowd"
    );
}

#[test]
fn the_forms_that_do_not_wait_long_answer_without_the_lock() {
    let lock = RwLock::new(1);
    thread::scope(|scope| {
        let reading = lock.read().unwrap();
        let other = scope.spawn(|| {
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
            assert!(matches!(
                lock.try_write_for(SOON),
                Err(TryLockError::WouldBlock)
            ));
            assert_eq!(*lock.try_read().unwrap(), 1);
            assert_eq!(*lock.try_read_for(SOON).unwrap(), 1);
        });
        other.join().unwrap();
        drop(reading);
    });
    thread::scope(|scope| {
        let writing = lock.write().unwrap();
        let other = scope.spawn(|| {
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
            assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
            assert!(matches!(
                lock.try_read_for(SOON),
                Err(TryLockError::WouldBlock)
            ));
        });
        other.join().unwrap();
        drop(writing);
    });
    *lock.try_write_for(SOON).unwrap() += 1;
    assert_eq!(*lock.try_read().unwrap(), 2);
}

#[test]
fn a_writer_that_gave_up_leaves_no_trace() {
    let lock = RwLock::new(0);
    let reading = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert!(lock.try_write_for(SOON).is_err()));
    });
    assert!(lock.try_read().is_ok());
    drop(reading);
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_downgraded_write_shuts_writers_out_and_lets_readers_in() {
    let lock = RwLock::new(0);
    let mut writing = lock.write().unwrap();
    thread::scope(|scope| {
        let other = scope.spawn(|| *lock.write().unwrap() += 1);
        *writing = 10;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading, 10);
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop(reading);
        other.join().unwrap();
    });
    assert_eq!(*lock.read().unwrap(), 11);
}

#[test]
fn a_panicking_writer_poisons_and_a_panicking_reader_does_not() {
    let mut lock = RwLock::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.read().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err() && !lock.is_poisoned());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.write().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err() && lock.is_poisoned());
    assert_eq!(*lock.read().unwrap_err().into_inner(), 1);
    assert_eq!(*lock.write().unwrap_err().into_inner(), 1);
    assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    assert!(lock.get_mut().is_err());
    lock.clear_poison();
    assert_eq!(*lock.get_mut().unwrap(), 1);
    assert_eq!(lock.into_inner().unwrap(), 1);
}

/// Runs `body` on a thread that is in the registry and never leaves it.
fn registered<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> (Token, R) {
    thread::spawn(|| (registry::enter_new().unwrap(), body()))
        .join()
        .unwrap()
}

/// Starts `body` on a registered thread and returns once that thread has said who it is.
fn start<R: Send + 'static>(
    body: impl FnOnce() -> R + Send + 'static,
) -> (Token, thread::JoinHandle<R>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        tell.send(registry::enter_new().unwrap()).unwrap();
        let result = body();
        registry::leave();
        result
    });
    (told.recv().unwrap(), thread)
}

#[test]
fn a_reader_that_died_lets_a_writer_in() {
    let lock = Arc::new(RawRwLock::new());
    let (dead, _) = registered({
        let lock = Arc::clone(&lock);
        move || assert_eq!(lock.read(), Poisoned::No)
    });
    assert_eq!(lock.try_write(), None, "nobody knows yet that it died");
    assert!(registry::reap_token(dead));
    assert_eq!(
        lock.try_write(),
        Some(Poisoned::No),
        "a reader changes nothing"
    );
    // SAFETY: taken above.
    unsafe { lock.unlock_write() };
}

#[test]
fn the_death_of_a_reader_wakes_the_writer_that_waits_for_it() {
    let lock = Arc::new(RawRwLock::new());
    let (dead, _) = registered({
        let lock = Arc::clone(&lock);
        move || assert_eq!(lock.read(), Poisoned::No)
    });
    let (_, writer) = start({
        let lock = Arc::clone(&lock);
        move || {
            assert_eq!(lock.write(), Poisoned::No);
            // SAFETY: taken above.
            unsafe { lock.unlock_write() };
        }
    });
    while lock.writer().is_none() {
        thread::yield_now();
    }
    thread::sleep(SOON);
    assert!(registry::reap_token(dead));
    writer.join().unwrap();
}

#[test]
fn the_death_of_a_writer_is_told_to_all_who_wait() {
    let lock = Arc::new(RawRwLock::new());
    let (dead, _) = registered({
        let lock = Arc::clone(&lock);
        move || assert_eq!(lock.write(), Poisoned::No)
    });
    let waiters: Vec<_> = [true, false, true]
        .map(|reads| {
            let lock = Arc::clone(&lock);
            start(move || {
                if reads {
                    let poisoned = lock.read();
                    // SAFETY: taken above.
                    unsafe { lock.unlock_read() };
                    poisoned
                } else {
                    let poisoned = lock.write();
                    // SAFETY: taken above.
                    unsafe { lock.unlock_write() };
                    poisoned
                }
            })
            .1
        })
        .into();
    thread::sleep(SOON);
    assert!(registry::reap_token(dead));
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Poisoned::Yes);
    }
}

#[test]
fn a_dead_writer_does_not_turn_those_away_who_only_try() {
    for reads in [true, false] {
        let lock = Arc::new(RawRwLock::new());
        let (dead, _) = registered({
            let lock = Arc::clone(&lock);
            move || assert_eq!(lock.write(), Poisoned::No)
        });
        assert!(registry::reap_token(dead));
        let taken = if reads {
            lock.try_read()
        } else {
            lock.try_write()
        };
        assert_eq!(taken, Some(Poisoned::Yes));
    }
}

#[test]
fn seats_of_the_dead_are_used_again() {
    // More readers die than there are seats: a writer still gets in, and nobody had to sit in the crowd.
    let lock = Arc::new(RawRwLock::new());
    for _ in 0..2 * RW_LOCK_SEAT_COUNT {
        let (dead, _) = registered({
            let lock = Arc::clone(&lock);
            move || assert_eq!(lock.read(), Poisoned::No)
        });
        registry::reap_token(dead);
    }
    assert_eq!(lock.try_write(), Some(Poisoned::No));
    // SAFETY: taken above.
    unsafe { lock.unlock_write() };
}

#[test]
fn a_stream_of_readers_starves_no_writer() {
    // The readers overlap, so that there is always one, and go on until the writer has got in.
    let lock = RwLock::new(false);
    let begun = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                registry::enter_new().unwrap();
                begun.wait();
                while !*lock.read().unwrap() {}
                registry::leave();
            });
        }
        begun.wait();
        *lock.write().unwrap() = true;
    });
}

#[test]
fn a_stream_of_writers_starves_no_reader() {
    let lock = RwLock::new(0_u64);
    let (has_read, begun) = (AtomicBool::new(false), Barrier::new(3));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                begun.wait();
                while !has_read.load(Ordering::Relaxed) {
                    *lock.write().unwrap() += 1;
                }
            });
        }
        begun.wait();
        for _ in 0..10 {
            assert!(*lock.read().unwrap() < u64::MAX);
        }
        has_read.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_would_wait_for_itself_panics_and_names_the_lock() {
    let messages = thread::spawn(|| {
        registry::enter_new().unwrap();
        let lock = RwLock::new(0_u8);
        let message = |body: &dyn Fn()| {
            *catch_unwind(AssertUnwindSafe(body))
                .unwrap_err()
                .downcast::<String>()
                .unwrap()
        };
        let reading = lock.read().unwrap();
        let write_in_read = message(&|| drop(lock.write()));
        drop(reading);
        let writing = lock.write().unwrap();
        let read_in_write = message(&|| drop(lock.read()));
        drop(writing);
        assert!(lock.try_write().is_ok(), "nothing was left behind");
        registry::leave();
        [write_in_read, read_in_write]
    })
    .join()
    .unwrap();
    for message in messages {
        assert!(
            message.contains("RwLock<u8>") && message.contains("this very thread"),
            "{message}"
        );
    }
}

#[test]
fn a_thread_that_may_not_block_panics_and_names_the_lock() {
    let lock = RwLock::new(0_u8);
    let guard = lock.read().unwrap();
    thread::scope(|scope| {
        let message = scope.spawn(|| {
            heddle_atomics::set_may_block(false);
            let panic = catch_unwind(AssertUnwindSafe(|| drop(lock.write()))).unwrap_err();
            *panic.downcast::<String>().unwrap()
        });
        let message = message.join().unwrap();
        assert!(
            message.contains("RwLock<u8>") && message.contains("may not block"),
            "{message}"
        );
    });
    drop(guard);
    assert!(
        lock.try_write().is_ok(),
        "the one who panicked didn't keep it"
    );
}

#[test]
fn random_deaths_leave_nobody_waiting() {
    const THREADS: u32 = 4;
    const TIMES: u32 = 2_000;
    let lock = RawRwLock::new();
    let takings = AtomicU32::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (lock, takings) = (&lock, &takings);
            scope.spawn(move || {
                let mut random = seed.wrapping_mul(0x9e37_79b9) + 1;
                for _ in 0..TIMES {
                    registry::enter_new().unwrap();
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let (writes, dies) = (random >> 30 == 0, random >> 26 & 7 == 0);
                    let _poisoned = if writes { lock.write() } else { lock.read() };
                    takings.fetch_add(1, Ordering::Relaxed);
                    if dies {
                        registry::reap_token(registry::current());
                        continue;
                    }
                    // SAFETY: taken above.
                    unsafe {
                        if writes {
                            lock.unlock_write();
                        } else {
                            lock.unlock_read();
                        }
                    }
                    registry::leave();
                }
            });
        }
    });
    assert_eq!(takings.into_inner(), THREADS * TIMES);
    assert!(lock.try_write().is_some());
}

#[test]
fn send_and_sync_are_as_stds() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<RwLock<std::cell::Cell<u8>>>();
    sync::<RwLock<u8>>();
    sync::<heddle_atomics::RwLockReadGuard<'_, u8>>();
    sync::<RwLockWriteGuard<'_, u8>>();
}

/// What TypeScript is told of the layout: the data are at the first multiple of their alignment behind the lock.
#[test]
fn the_data_are_where_the_layout_says() {
    let lock = RwLock::new(1.5_f64);
    let start = core::ptr::from_ref(&lock).addr();
    let data = core::ptr::from_ref(&*lock.read().unwrap()).addr();
    assert_eq!(data - start, heddle_atomics::layout::rw_lock::SIZE);
}
