//! Barrier, latch, wait group, event, parker and once under the model checker, which runs each of these with every
//! interleaving of its threads:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p heddle-atomics --test loom_sync --release
//! ```
#![cfg(loom)]

use heddle_atomics::{
    Barrier, Event, Latch, Once, OnceCell, RawParker, WaitGroup, futex, registry, seam::Guarded,
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

/// Data that the primitive under test has to hand over: loom reports a read that isn't ordered after the write.
struct Shared<P> {
    primitive: P,
    data: Guarded<u32>,
}

// SAFETY: the models use `data` only as the primitive under test allows; loom checks that.
unsafe impl<P: Sync> Sync for Shared<P> {}
// SAFETY: as above.
unsafe impl<P: Send> Send for Shared<P> {}

impl<P> Shared<P> {
    fn new(primitive: P) -> Arc<Self> {
        Arc::new(Self {
            primitive,
            data: Guarded::new(0),
        })
    }

    fn write(&self, value: u32) {
        // SAFETY: loom reports two who are here at once.
        self.data.with_mut(|data| unsafe { *data = value });
    }

    fn read(&self) -> u32 {
        // SAFETY: as in `write`.
        self.data.with(|data| unsafe { *data })
    }
}

#[test]
fn a_latch_hands_over_what_was_done_before_it_opened() {
    check(3, || {
        let shared = Shared::new(Latch::new(2));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.write(7);
                shared.primitive.count_down(1).unwrap();
            })
        };
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.primitive.wait();
                assert_eq!(shared.read(), 7);
            })
        };
        shared.primitive.count_down(1).unwrap();
        assert!(shared.primitive.count_down(2).is_err());
        writer.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_group_is_left_when_all_are_done_also_if_others_come_at_once() {
    check(3, || {
        let shared = Shared::new(WaitGroup::new());
        shared.primitive.add(1).unwrap();
        let member = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.write(7);
                shared.primitive.done().unwrap();
                // The next round begins while the waiter may still sleep.
                shared.primitive.add(1).unwrap();
            })
        };
        // Either this sees the first round and waits for its end, or a later one, which nobody would end: that one is ended
        // by another thread.
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.primitive.wait();
                assert_eq!(shared.read(), 7);
            })
        };
        member.join().unwrap();
        shared.primitive.done().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_barrier_lets_nobody_run_ahead_and_has_one_leader() {
    check(2, || {
        let shared = Shared::new(Barrier::new(2));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.write(7);
                let first = shared.primitive.wait().is_leader();
                let second = shared.primitive.wait().is_leader();
                (first, second)
            })
        };
        let first = shared.primitive.wait().is_leader();
        assert_eq!(shared.read(), 7);
        let second = shared.primitive.wait().is_leader();
        let there = other.join().unwrap();
        assert!(first != there.0 && second != there.1);
        assert_eq!(shared.primitive.arrived(), 0);
    });
}

#[test]
fn an_arrival_is_taken_back_or_counts_but_not_both() {
    check(3, || {
        let barrier = Arc::new(Barrier::new(2));
        let other = {
            let barrier = Arc::clone(&barrier);
            // The model has no clock: this gives up as soon as it may.
            thread::spawn(move || barrier.wait_timeout(core::time::Duration::from_secs(1)))
        };
        let here = barrier.wait_timeout(core::time::Duration::from_secs(1));
        let there = other.join().unwrap();
        match (here, there) {
            (Some(here), Some(there)) => assert!(here.is_leader() != there.is_leader()),
            (None, None) => {}
            _ => panic!("one went on without the other"),
        }
        assert_eq!(barrier.arrived(), 0);
    });
}

#[test]
fn setting_a_manual_event_reaches_those_who_wait_although_it_is_reset_at_once() {
    check(3, || {
        let shared = Shared::new(Event::manual_reset());
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.primitive.wait();
                assert_eq!(shared.read(), 7);
            })
        };
        shared.write(7);
        shared.primitive.set();
        shared.primitive.reset();
        // For a waiter that comes only now.
        shared.primitive.set();
        waiter.join().unwrap();
    });
}

#[test]
fn setting_an_auto_event_lets_one_through() {
    check(3, || {
        let shared = Shared::new(Event::auto_reset());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.primitive.wait();
                    shared.write(shared.read() + 1);
                    shared.primitive.set();
                })
            })
            .collect();
        shared.primitive.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(shared.primitive.try_wait());
        assert_eq!(shared.read(), 2);
    });
}

#[test]
fn a_token_is_not_lost() {
    check(3, || {
        let shared = Shared::new(RawParker::new());
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.write(7);
                shared.primitive.unpark();
                shared.primitive.unpark();
            })
        };
        shared.primitive.park();
        assert_eq!(shared.read(), 7);
        other.join().unwrap();
        // One or two tokens came, and never more than one was there.
        shared.primitive.try_park();
        assert!(!shared.primitive.try_park());
    });
}

#[test]
fn one_initialiser_runs_and_hands_over_what_it_made() {
    check(2, || {
        let cell = Arc::new(OnceCell::new());
        let others: Vec<_> = (1..3)
            .map(|n| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || *cell.get_or_init(|| n))
            })
            .collect();
        let value = *cell.get_or_init(|| 3);
        for other in others {
            assert_eq!(other.join().unwrap(), value);
        }
    });
}

#[test]
fn a_wait_that_began_before_the_initialiser_ends_with_it() {
    check(3, || {
        let shared = Shared::new(Once::new());
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.primitive.wait();
                assert_eq!(shared.read(), 7);
            })
        };
        shared.primitive.call_once(|| shared.write(7));
        waiter.join().unwrap();
    });
}

#[test]
fn the_initialiser_of_the_dead_is_run_by_another() {
    // A thread dies within the initialiser, another one wants it run, a third one reaps: in every order.
    check(2, || {
        let once = Arc::new(Once::new());
        let dead = registry::enter_new().expect("the model has few threads");
        let outlived = catch_unwind(AssertUnwindSafe(|| {
            once.call_once(|| {
                let waiter = {
                    let once = Arc::clone(&once);
                    thread::spawn(move || {
                        registry::enter_new().expect("the model has few threads");
                        let mut was_told = false;
                        once.call_once_force(|state| was_told = state.is_poisoned());
                        assert!(was_told);
                        registry::leave();
                    })
                };
                assert!(registry::reap_token(dead));
                waiter.join().unwrap();
            });
        }));
        // This thread lives on, unlike a dead one: it is told that what it did doesn't count.
        assert!(outlived.is_err() && once.is_completed());
    });
}

/// A latch with a seeded bug: it counts down without `Release`, so that it publishes nothing.
struct Broken {
    count: AtomicU32,
}

#[test]
fn the_canary_is_caught() {
    let caught = catch_unwind(AssertUnwindSafe(|| {
        check(3, || {
            let shared = Shared::new(Broken {
                count: AtomicU32::new(1),
            });
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.write(7);
                    shared.primitive.count.store(0, Ordering::Relaxed);
                    futex::wake_all(&shared.primitive.count);
                })
            };
            while shared.primitive.count.load(Ordering::Acquire) != 0 {
                futex::wait(&shared.primitive.count, 1, None);
            }
            assert_eq!(shared.read(), 7);
            other.join().unwrap();
        });
    }));
    assert!(
        caught.is_err(),
        "the model checker missed data that were never published"
    );
}
