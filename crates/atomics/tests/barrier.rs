//! `Barrier` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{Barrier, set_may_block};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

#[test]
fn nobody_runs_ahead_and_each_generation_has_one_leader() {
    const PARTIES: u32 = 4;
    const ROUNDS: u32 = 5_000;
    let barrier = Barrier::new(PARTIES);
    let (arrivals, leaders) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    // Relaxed: the barrier has to do the ordering.
                    arrivals.fetch_add(1, Ordering::Relaxed);
                    if barrier.wait().is_leader() {
                        leaders.fetch_add(1, Ordering::Relaxed);
                    }
                    assert_eq!(arrivals.load(Ordering::Relaxed), round * PARTIES);
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(leaders.into_inner(), ROUNDS);
    assert_eq!((barrier.arrived(), barrier.parties()), (0, PARTIES));
}

#[test]
fn more_threads_than_parties_pass_in_groups() {
    let barrier = Barrier::new(2);
    for _ in 0..300 {
        let leaders = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    leaders.fetch_add(u32::from(barrier.wait().is_leader()), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(leaders.into_inner(), 3);
    }
}

#[test]
fn a_wait_that_ends_early_takes_its_arrival_back() {
    let barrier = Barrier::new(2);
    assert!(barrier.wait_timeout(Duration::from_millis(5)).is_none());
    assert_eq!(barrier.arrived(), 0);
    assert!(barrier.try_wait().is_none());
    assert_eq!(barrier.arrived(), 0);

    let refused = thread::scope(|scope| {
        scope
            .spawn(|| {
                set_may_block(false);
                catch_unwind(AssertUnwindSafe(|| barrier.wait())).unwrap_err()
            })
            .join()
            .unwrap()
    });
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(message.contains("a barrier"), "{message}");
    assert_eq!(barrier.arrived(), 0);

    thread::scope(|scope| {
        let other = scope.spawn(|| barrier.wait());
        while barrier.arrived() == 0 {
            thread::yield_now();
        }
        assert!(barrier.try_wait().unwrap().is_leader());
        assert!(!other.join().unwrap().is_leader());
    });
}

#[test]
fn one_party_never_waits() {
    for parties in [0, 1] {
        assert!(Barrier::new(parties).wait().is_leader());
    }
}

#[test]
#[should_panic(expected = "at most 4095 parties")]
fn too_many_parties_are_refused() {
    let _ = Barrier::new(Barrier::PARTIES_MAX + 1);
}
