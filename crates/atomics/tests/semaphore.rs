//! `Semaphore` on real threads.
#![cfg(not(loom))]

use heddle_atomics::Semaphore;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn no_more_hold_a_permit_than_there_are() {
    const PERMITS: u32 = 2;
    let semaphore = Semaphore::new(PERMITS);
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let _permit = semaphore.acquire();
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(most.into_inner() <= PERMITS);
    assert_eq!(semaphore.available(), PERMITS);
}

#[test]
fn one_release_of_many_wakes_many() {
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| semaphore.acquire().forget());
        }
        thread::sleep(SOON);
        semaphore.release(3);
    });
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn without_permits_there_is_an_answer_in_time() {
    let semaphore = Semaphore::new(0);
    assert!(semaphore.try_acquire().is_none());
    let start = Instant::now();
    assert!(semaphore.acquire_timeout(SOON).is_none());
    assert!(start.elapsed() >= SOON);
    semaphore.release(1);
    assert!(semaphore.acquire_timeout(SOON).is_some());
}

#[test]
#[should_panic(expected = "at most u32::MAX permits")]
fn too_many_permits_are_refused() {
    let semaphore = Semaphore::new(u32::MAX);
    semaphore.release(1);
}
