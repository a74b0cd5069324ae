//! `Semaphore` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{RawSemaphore, Semaphore, layout, registry};
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
fn a_waiter_for_many_starves_behind_no_stream_of_others() {
    // The others go on, so that there are never all permits at once, until the waiter has had them; it is registered or not.
    for is_registered in [false, true] {
        const PERMITS: u32 = 3;
        let semaphore = Semaphore::new(PERMITS);
        let served = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while served.load(Ordering::Relaxed) < 10 {
                        drop(semaphore.acquire());
                    }
                });
            }
            if is_registered {
                registry::enter_new().unwrap();
            }
            for _ in 0..10 {
                let permit = semaphore.acquire_many(PERMITS);
                assert_eq!((permit.count(), semaphore.available()), (PERMITS, 0));
                served.fetch_add(1, Ordering::Relaxed);
            }
            registry::leave();
        });
        assert_eq!(
            (semaphore.available(), semaphore.raw().claimant()),
            (PERMITS, None)
        );
    }
}

#[test]
fn several_permits_are_taken_all_or_none() {
    let semaphore = Semaphore::new(3);
    assert!(semaphore.try_acquire_many(4).is_none());
    assert!(semaphore.acquire_many_timeout(4, SOON).is_none());
    let two = semaphore.acquire_many_timeout(2, SOON).unwrap();
    assert!(semaphore.try_acquire_many(2).is_none());
    drop(two);
    semaphore.try_acquire_many(3).unwrap().forget();
    drop(semaphore.acquire_many(0));
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn the_death_of_a_claimant_frees_what_was_kept_for_it() {
    // A thread outside the registry and one in it wait behind the claim of a third, which dies while the permit is there.
    let semaphore = RawSemaphore::new(0);
    let dead = registry::allocate().unwrap();
    thread::scope(|scope| {
        let waiters: Vec<_> = [false, true]
            .map(|is_registered| {
                let semaphore = &semaphore;
                scope.spawn(move || {
                    if is_registered {
                        registry::enter_new().unwrap();
                    }
                    semaphore.acquire(1);
                    registry::leave();
                })
            })
            .into();
        thread::sleep(SOON);
        let record = std::ptr::from_ref(&semaphore).cast::<u8>();
        // SAFETY: a word of the record, which is made of atomics.
        let claimant: &AtomicU32 = unsafe { &*record.add(layout::semaphore::CLAIMANT).cast() };
        claimant.store(dead.bits(), Ordering::SeqCst);
        semaphore.release(2);
        assert!(!semaphore.try_acquire(1));
        registry::reap_token(dead);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
    assert_eq!(semaphore.available(), 0);
}

#[test]
#[should_panic(expected = "at most u32::MAX permits")]
fn too_many_permits_are_refused() {
    let semaphore = Semaphore::new(u32::MAX);
    semaphore.release(1);
}
