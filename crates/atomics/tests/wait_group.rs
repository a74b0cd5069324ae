//! `WaitGroup` on real threads.
#![cfg(not(loom))]

use heddle_atomics::WaitGroup;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

#[test]
fn a_wait_ends_when_every_member_is_done_again_and_again() {
    let group = WaitGroup::new();
    let finished = AtomicU32::new(0);
    thread::scope(|scope| {
        for round in 1..=300 {
            for _ in 0..3 {
                let member = group.member();
                let finished = &finished;
                scope.spawn(move || {
                    // Relaxed: the group has to do the ordering.
                    finished.fetch_add(1, Ordering::Relaxed);
                    drop(member);
                });
            }
            group.wait();
            assert_eq!(finished.load(Ordering::Relaxed), 3 * round);
        }
    });
    assert!(group.try_wait());
}

#[test]
fn an_end_is_not_missed_however_soon_others_come() {
    // Each round the waiters sleep, the last member goes and a new one comes at once: the waiters' round is over all the same.
    let group = WaitGroup::new();
    let through = AtomicU32::new(0);
    group.add(1).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                group.wait();
                through.fetch_add(1, Ordering::SeqCst);
            });
        }
        while through.load(Ordering::SeqCst) < 2 {
            group.done().unwrap();
            group.add(1).unwrap();
            thread::yield_now();
        }
    });
    assert_eq!(group.count(), 1);
}

#[test]
fn counts_stay_in_their_range() {
    let group = WaitGroup::new();
    assert_eq!(group.done().unwrap_err().count, 0);
    group.add(WaitGroup::COUNT_MAX).unwrap();
    let error = group.add(1).unwrap_err();
    assert_eq!((error.count, error.change), (WaitGroup::COUNT_MAX, 1));
    assert!(catch_unwind(AssertUnwindSafe(|| group.member())).is_err());
    assert_eq!(group.count(), WaitGroup::COUNT_MAX);
    assert!(!group.wait_timeout(Duration::from_millis(2)));
}

#[test]
fn a_member_that_panics_is_done() {
    let group = WaitGroup::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _member = group.member();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    group.wait();
}
