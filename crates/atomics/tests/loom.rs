//! The locks under the model checker, which runs each of these with every interleaving of its threads:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p heddle-atomics --test loom --release
//! ```
#![cfg(loom)]

use heddle_atomics::{
    Condvar, Mutex, Poisoned, RawMutex, RawSemaphore,
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
use std::panic::{AssertUnwindSafe, catch_unwind};

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
                thread::spawn(move || semaphore.acquire())
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
