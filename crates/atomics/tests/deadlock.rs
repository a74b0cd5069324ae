//! Circles of waits.
#![cfg(not(loom))]

use heddle_atomics::{Mutex, RwLock, deadlock, registry};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Barrier,
    thread,
};

/// A thread's name, what it does with its own lock while it runs something else, and what it wants.
type Party<'a> = (
    &'a str,
    &'a (dyn Fn(&dyn Fn()) + Sync),
    &'a (dyn Fn() + Sync),
);

/// Each of the threads takes its own lock, meets the others, and wants the next one's: what those said who found the circle.
fn circle(threads: &[Party<'_>]) -> Vec<String> {
    let meet = Barrier::new(threads.len());
    thread::scope(|scope| {
        let threads: Vec<_> = threads
            .iter()
            .map(|(name, hold, want)| {
                let meet = &meet;
                scope.spawn(move || {
                    registry::enter_new().unwrap();
                    deadlock::name_thread(name);
                    let ended = catch_unwind(AssertUnwindSafe(|| {
                        hold(&|| {
                            meet.wait();
                            want();
                        });
                    }));
                    registry::leave();
                    ended
                        .err()
                        .map(|panic| *panic.downcast::<String>().unwrap())
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn two_threads_that_wait_for_each_other_are_told_in_words() {
    deadlock::enable_detection();
    let (accounts, journal) = (Mutex::new(0_u8), Mutex::new(0_u16));
    deadlock::name_lock(accounts.raw(), "accounts");
    deadlock::name_lock(journal.raw(), "journal");
    // Whoever panics lets go, so that the other one goes on.
    let reports = circle(&[
        (
            "teller",
            &|then: &dyn Fn()| {
                let _held = accounts.lock();
                then();
            },
            &|| drop(journal.lock()),
        ),
        (
            "clerk",
            &|then: &dyn Fn()| {
                let _held = journal.lock();
                then();
            },
            &|| drop(accounts.lock()),
        ),
    ]);
    assert!(!reports.is_empty());
    for report in reports {
        for word in [
            "deadlock",
            "'accounts'",
            "'journal'",
            "'teller'",
            "'clerk'",
            "which is held by",
            "which waits for",
        ] {
            assert!(report.contains(word), "{report}");
        }
    }
}

#[test]
fn a_circle_of_three_over_locks_of_two_kinds_is_found() {
    deadlock::enable_detection();
    let (first, second, third) = (Mutex::new(()), RwLock::new(()), Mutex::new(()));
    let reports = circle(&[
        (
            "one",
            &|then: &dyn Fn()| {
                let _held = first.lock();
                then();
            },
            &|| drop(second.read()),
        ),
        (
            "two",
            &|then: &dyn Fn()| {
                let _held = second.write();
                then();
            },
            &|| drop(third.lock()),
        ),
        (
            "three",
            &|then: &dyn Fn()| {
                let _held = third.lock();
                then();
            },
            &|| drop(first.lock()),
        ),
    ]);
    assert!(
        reports.iter().any(|report| report.contains("'one'")
            && report.contains("'two'")
            && report.contains("'three'")),
        "{reports:?}"
    );
}

#[test]
fn a_chain_that_ends_is_no_circle() {
    deadlock::enable_detection();
    let (first, second) = (Mutex::new(0), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                registry::enter_new().unwrap();
                for _ in 0..2_000 {
                    let mut outer = first.lock().unwrap();
                    *second.lock().unwrap() += 1;
                    *outer += 1;
                    drop(outer);
                    *second.lock().unwrap() += 1;
                }
                registry::leave();
            });
        }
    });
    assert_eq!(
        (first.into_inner().unwrap(), second.into_inner().unwrap()),
        (6_000, 12_000)
    );
}
