//! The locks under the model checker, which runs each of these with every interleaving of its threads:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p heddle-atomics --test loom --release
//! ```
#![cfg(loom)]

use heddle_atomics::{
    Condvar, Mutex, Poisoned, RawMutex, RawRwLock, RawSemaphore, RwLock, RwLockWriteGuard,
    registry::{self, Token},
    seam::Guarded,
};
use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// Checks with at most so many preemptions: more find nothing new in these small models, and take hours.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

#[test]
fn the_lock_excludes_and_nobody_sleeps_for_ever() {
    // `Guarded` reports two threads inside at once; a lost wake-up is a deadlock, which loom reports too.
    check(3, || {
        let mutex = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || *mutex.lock().unwrap() += 1)
            })
            .collect();
        *mutex.lock().unwrap() += 1;
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*mutex.lock().unwrap(), 3);
    });
}

#[test]
fn try_lock_takes_only_what_is_free() {
    check(3, || {
        let mutex = Arc::new(Mutex::new(0));
        let other = {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || mutex.try_lock().map(|mut value| *value += 1).is_ok())
        };
        let here = mutex.try_lock().map(|mut value| *value += 1).is_ok();
        let there = other.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), u32::from(here) + u32::from(there));
    });
}

#[test]
fn a_notification_reaches_the_waiter() {
    check(3, || {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                *shared.0.lock().unwrap() = true;
                shared.1.notify_one();
            })
        };
        let guard = shared
            .1
            .wait_while(shared.0.lock().unwrap(), |is_ready| !*is_ready)
            .unwrap();
        assert!(*guard);
        drop(guard);
        other.join().unwrap();
    });
}

#[test]
fn released_permits_are_found() {
    check(3, || {
        let semaphore = Arc::new(RawSemaphore::new(0));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || semaphore.acquire(1))
            })
            .collect();
        semaphore.release(1);
        semaphore.release(1);
        for taker in takers {
            taker.join().unwrap();
        }
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn one_that_wants_many_permits_starves_behind_nobody() {
    for is_registered in [false, true] {
        check(2, move || {
            let semaphore = Arc::new(RawSemaphore::new(1));
            let heavy = {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || {
                    if is_registered {
                        enter();
                    }
                    semaphore.acquire(2);
                    semaphore.release(2);
                    registry::leave();
                })
            };
            let light = {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || {
                    semaphore.acquire(1);
                    semaphore.release(1);
                })
            };
            semaphore.release(1);
            semaphore.acquire(1);
            semaphore.release(1);
            heavy.join().unwrap();
            light.join().unwrap();
            assert_eq!((semaphore.available(), semaphore.claimant()), (2, None));
        });
    }
}

#[test]
fn a_wait_for_permits_that_is_given_up_keeps_them_from_nobody() {
    check(2, || {
        let semaphore = Arc::new(RawSemaphore::new(1));
        let impatient = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                assert!(!semaphore.acquire_timeout(2, Duration::from_secs(1)));
            })
        };
        let light = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || {
                semaphore.acquire(1);
                semaphore.release(1);
            })
        };
        semaphore.acquire(1);
        semaphore.release(1);
        impatient.join().unwrap();
        light.join().unwrap();
        assert!(semaphore.try_acquire(1));
    });
}

/// Takes a slot for this thread and enters with it.
fn enter() -> Token {
    registry::enter_new().expect("the model has few threads")
}

#[test]
fn the_lock_of_the_dead_goes_on_poisoned() {
    // A thread dies with the lock, another one wants it, a third one reaps: in every order.
    check(2, || {
        let lock = Arc::new(RawMutex::new());
        let dead = enter();
        assert_eq!(lock.lock(), Poisoned::No);
        let waiter = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                enter();
                assert_eq!(lock.lock(), Poisoned::Yes);
                // SAFETY: taken above.
                unsafe { lock.unlock() };
                registry::leave();
            })
        };
        assert!(registry::reap_token(dead));
        waiter.join().unwrap();
        assert!(lock.is_poisoned() && lock.owner().is_none());
    });
}

#[test]
fn a_thread_that_has_just_entered_does_not_look_dead() {
    // The token in the lock word was read by a `Relaxed` load, and nothing ordered the slot's life before it: on a machine that
    // reorders loads a thread that had entered a moment ago looked as dead as its slot had been, and lost its lock.
    check(2, || {
        let lock = Arc::new(RawMutex::new());
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                enter();
                assert_eq!(lock.lock(), Poisoned::No);
                // SAFETY: taken above.
                unsafe { lock.unlock() };
                registry::leave();
            })
        };
        assert_eq!(lock.lock(), Poisoned::No);
        // SAFETY: taken above.
        unsafe { lock.unlock() };
        other.join().unwrap();
    });
}

/// Takes the lock `times` times, and checks that nobody comes before a claimant: once a claim was seen by who holds the lock,
/// the next one in is not that thread again, before `served`, which the lock guards, has grown.
fn barge(lock: &RawMutex, served: &Guarded<u32>, times: u32) {
    let mut owed = None;
    for _ in 0..times {
        let _poisoned = lock.lock();
        // SAFETY: the lock is held.
        let now = served.with(|served| unsafe { *served });
        assert_ne!(owed, Some(now), "a claimant was passed over");
        owed = lock.claimant().map(|_| now);
        // SAFETY: taken above.
        unsafe { lock.unlock() };
    }
}

/// Takes the lock once, and says so in `served`.
fn be_served(lock: &RawMutex, served: &Guarded<u32>) {
    let _poisoned = lock.lock();
    // SAFETY: the lock is held.
    served.with_mut(|served| unsafe { *served += 1 });
    // SAFETY: taken above.
    unsafe { lock.unlock() };
}

/// A lock and what it guards.
struct Shared {
    lock: RawMutex,
    served: Guarded<u32>,
}

// SAFETY: `served` is only used with the lock; loom checks that.
unsafe impl Sync for Shared {}

#[test]
fn nobody_passes_a_claimant_over() {
    for is_registered in [false, true] {
        check(2, move || {
            let shared = Arc::new(Shared {
                lock: RawMutex::new(),
                served: Guarded::new(0),
            });
            let waiter = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    if is_registered {
                        enter();
                    }
                    be_served(&shared.lock, &shared.served);
                    registry::leave();
                })
            };
            barge(&shared.lock, &shared.served, 4);
            waiter.join().unwrap();
            assert!(shared.lock.owner().is_none() && shared.lock.claimant().is_none());
            assert_eq!(shared.lock.try_lock(), Some(Poisoned::No));
        });
    }
}

#[test]
fn several_claimants_and_one_that_gives_up() {
    check(2, || {
        let shared = Arc::new(Shared {
            lock: RawMutex::new(),
            served: Guarded::new(0),
        });
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || be_served(&shared.lock, &shared.served))
        };
        let impatient = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..2 {
                    if shared.lock.lock_timeout(Duration::from_secs(1)).is_some() {
                        // SAFETY: taken above.
                        unsafe { shared.lock.unlock() };
                    }
                }
            })
        };
        barge(&shared.lock, &shared.served, 2);
        waiter.join().unwrap();
        impatient.join().unwrap();
        assert_eq!(shared.lock.try_lock(), Some(Poisoned::No));
    });
}

#[test]
fn a_fair_unlock_leaves_nobody_waiting() {
    for is_registered in [false, true] {
        check(2, move || {
            let lock = Arc::new(RawMutex::new());
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    thread::spawn(move || {
                        if is_registered {
                            enter();
                        }
                        let _poisoned = lock.lock();
                        // SAFETY: taken above.
                        unsafe { lock.unlock_fair() };
                        registry::leave();
                    })
                })
                .collect();
            let _poisoned = lock.lock();
            // SAFETY: taken above.
            unsafe { lock.unlock_fair() };
            for other in others {
                other.join().unwrap();
            }
            assert_eq!(lock.try_lock(), Some(Poisoned::No));
        });
    }
}

#[test]
fn a_claimant_that_died_keeps_nobody_waiting() {
    // The claimant is declared dead anywhere in its wait: it goes on, as the dead don't, but nobody may depend on that. So it
    // does nothing with the lock, and if it has it, it lets go of it only if it is its own still.
    check(2, || {
        let lock = Arc::new(RawMutex::new());
        let (tell, told) = loom::sync::mpsc::channel();
        let claimant = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let me = enter();
                tell.send(me).unwrap();
                let _poisoned = lock.lock();
                if lock.owner() == Some(me) && registry::is_live(me) {
                    // SAFETY: taken above.
                    unsafe { lock.unlock() };
                    registry::leave();
                }
            })
        };
        let token = told.recv().unwrap();
        for _ in 0..2 {
            let _poisoned = lock.lock();
            // SAFETY: taken above.
            unsafe { lock.unlock() };
        }
        registry::reap_token(token);
        let _poisoned = lock.lock();
        // SAFETY: taken above.
        unsafe { lock.unlock() };
        claimant.join().unwrap();
    });
}

#[test]
fn a_writer_is_alone_and_readers_see_what_it_wrote() {
    check(2, || {
        let lock = Arc::new(RwLock::new((0, 0)));
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let mut pair = lock.write().unwrap();
                pair.0 += 1;
                pair.1 += 1;
            })
        };
        let reader = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                // In a seat; the others are in the crowd.
                enter();
                let pair = lock.read().unwrap();
                assert_eq!(pair.0, pair.1);
                drop(pair);
                registry::leave();
            })
        };
        let pair = lock.read().unwrap();
        assert_eq!(pair.0, pair.1);
        drop(pair);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*lock.read().unwrap(), (1, 1));
    });
}

#[test]
fn two_writers_and_a_reader_in_a_seat() {
    check(2, || {
        let lock = Arc::new(RwLock::new(0));
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.write().unwrap() += 1)
        };
        let reader = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                enter();
                assert!(*lock.read().unwrap() <= 2);
                registry::leave();
            })
        };
        *lock.write().unwrap() += 1;
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 2);
    });
}

#[test]
fn nobody_writes_between_a_write_and_its_downgrade() {
    check(2, || {
        let lock = Arc::new(RwLock::new(0));
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.write().unwrap() += 1)
        };
        let mut writing = lock.write().unwrap();
        *writing += 10;
        let value = *writing;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading, value);
        drop(reading);
        writer.join().unwrap();
        assert_eq!(*lock.read().unwrap(), 11);
    });
}

#[test]
fn trying_and_giving_up_leaves_the_lock_as_it_was() {
    // Under the model a wait with a timeout gives up at once.
    check(2, || {
        let lock = Arc::new(RawRwLock::new());
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                if lock.write_timeout(Duration::from_secs(1)).is_some() {
                    // SAFETY: taken above.
                    unsafe { lock.unlock_write() };
                }
            })
        };
        if lock.read_timeout(Duration::from_secs(1)).is_some() {
            // SAFETY: taken above.
            unsafe { lock.unlock_read() };
        }
        if lock.try_write().is_some() {
            // SAFETY: taken above.
            unsafe { lock.unlock_write() };
        }
        writer.join().unwrap();
        assert_eq!(lock.try_write(), Some(Poisoned::No));
    });
}

#[test]
fn a_dead_reader_lets_the_writer_in() {
    // A thread dies reading, another one wants to write, a third one reaps: in every order.
    check(2, || {
        let lock = Arc::new(RawRwLock::new());
        let dead = enter();
        assert_eq!(lock.read(), Poisoned::No);
        let writer = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                enter();
                assert_eq!(lock.write(), Poisoned::No);
                // SAFETY: taken above.
                unsafe { lock.unlock_write() };
                registry::leave();
            })
        };
        assert!(registry::reap_token(dead));
        writer.join().unwrap();
        assert!(lock.writer().is_none() && !lock.is_read());
    });
}

/// A lock with a seeded bug: it lets go with a load and a store, so that a waiter who announces itself between is
/// forgotten; and it takes with a load and a store, so that two may.
struct Broken {
    word: AtomicU32,
    value: Guarded<u32>,
}

// SAFETY: it isn't; that is what the model checker has to find.
unsafe impl Sync for Broken {}

impl Broken {
    fn add(&self) {
        while self.word.load(Ordering::Acquire) != 0 {
            thread::yield_now();
        }
        self.word.store(1, Ordering::Relaxed);
        // SAFETY: none, see above.
        self.value.with_mut(|value| unsafe { *value += 1 });
        self.word.store(0, Ordering::Release);
    }
}

#[test]
fn the_canary_is_caught() {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        check(3, || {
            let broken = Arc::new(Broken {
                word: AtomicU32::new(0),
                value: Guarded::new(0),
            });
            let other = {
                let broken = Arc::clone(&broken);
                thread::spawn(move || broken.add())
            };
            broken.add();
            other.join().unwrap();
        });
    }));
    assert!(
        caught.is_err(),
        "the model checker missed a lock that two can hold"
    );
}
