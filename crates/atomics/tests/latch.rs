//! `Latch` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{Latch, set_may_block};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

#[test]
fn it_opens_for_everybody_when_all_have_counted_down() {
    for _ in 0..200 {
        let latch = Latch::new(4);
        let counted = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    latch.wait();
                    // Relaxed: the latch has to do the ordering.
                    assert_eq!(counted.load(Ordering::Relaxed), 3);
                });
            }
            for n in [1, 2, 1] {
                let (latch, counted) = (&latch, &counted);
                scope.spawn(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    latch.count_down(n).unwrap();
                });
            }
        });
        assert!(latch.try_wait());
    }
}

#[test]
fn counting_down_too_far_is_refused_and_changes_nothing() {
    let latch = Latch::new(2);
    let error = latch.count_down(3).unwrap_err();
    assert_eq!((error.count, error.change), (2, -3));
    assert_eq!(latch.count(), 2);
    assert!(!latch.wait_timeout(Duration::from_millis(2)));
    latch.arrive_and_wait(2).unwrap();
    latch.wait();
    assert!(latch.count_down(1).is_err());
    latch.count_down(0).unwrap();
    assert!(Latch::new(0).try_wait());
}

#[test]
fn a_thread_that_may_not_block_is_told_the_name() {
    let latch = Latch::new(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            set_may_block(false);
            let panic = catch_unwind(AssertUnwindSafe(|| latch.wait())).unwrap_err();
            assert!(panic.downcast_ref::<String>().unwrap().contains("a latch"));
        });
    });
}
