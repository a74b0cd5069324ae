//! `Parker` and `RawParker` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{Parker, RawParker};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

#[test]
fn two_threads_wake_each_other_in_turn() {
    const TURNS: u32 = 5_000;
    let (here, there) = (Parker::new(), Parker::new());
    let (to_here, to_there) = (here.unparker().clone(), there.unparker().clone());
    let turns = AtomicU32::new(0);
    thread::scope(|scope| {
        let turns = &turns;
        scope.spawn(move || {
            for turn in 0..TURNS {
                there.park();
                // Relaxed: the parker has to do the ordering.
                assert_eq!(turns.load(Ordering::Relaxed), 2 * turn + 1);
                turns.fetch_add(1, Ordering::Relaxed);
                to_here.unpark();
            }
        });
        for turn in 0..TURNS {
            assert_eq!(turns.load(Ordering::Relaxed), 2 * turn);
            turns.fetch_add(1, Ordering::Relaxed);
            to_there.unpark();
            here.park();
        }
    });
}

#[test]
fn there_is_one_token_at_most() {
    let parker = Parker::new();
    assert!(!parker.try_park());
    parker.unparker().unpark();
    parker.unparker().unpark();
    parker.park();
    assert!(!parker.park_timeout(Duration::from_millis(2)));
    parker.unparker().unpark();
    assert!(parker.try_park());
}

#[test]
fn only_one_thread_parks_at_a_time() {
    let parker = RawParker::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| parker.park());
        while format!("{parker:?}") != "RawParker(parked)" {
            thread::yield_now();
        }
        let second = catch_unwind(AssertUnwindSafe(|| parker.park())).unwrap_err();
        assert!(
            second
                .downcast_ref::<String>()
                .unwrap()
                .contains("another thread")
        );
        parker.unpark();
        first.join().unwrap();
    });
}
