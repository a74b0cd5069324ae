//! `Once` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{
    Once,
    registry::{self, Token},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

fn message_of(panic: &(dyn core::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

#[test]
fn one_initialiser_runs_and_everybody_sees_what_it_did() {
    for _ in 0..300 {
        let (once, runs) = (Once::new(), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Relaxed: the once has to do the ordering.
                    once.call_once(|| _ = runs.fetch_add(1, Ordering::Relaxed));
                    assert_eq!(runs.load(Ordering::Relaxed), 1);
                });
            }
            scope.spawn(|| once.wait());
        });
        assert!(once.is_completed());
    }
}

#[test]
fn a_panic_poisons_until_another_one_is_forced() {
    let once = Once::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("on purpose"))));
    assert_eq!(message_of(&*panicked.unwrap_err()), "on purpose");
    assert!(once.is_poisoned() && !once.is_completed());

    for refused in [
        catch_unwind(AssertUnwindSafe(|| once.call_once(|| unreachable!()))),
        catch_unwind(AssertUnwindSafe(|| once.wait())),
        catch_unwind(AssertUnwindSafe(|| {
            _ = once.try_call_once(|| unreachable!())
        })),
    ] {
        assert!(message_of(&*refused.unwrap_err()).contains("poisoned"));
    }
    assert!(!once.wait_timeout(Duration::from_millis(2)));

    let mut was_told = false;
    once.call_once_force(|state| was_told = state.is_poisoned());
    assert!(was_told && once.is_completed() && !once.is_poisoned());
    once.wait();
    once.call_once(|| unreachable!());
}

#[test]
fn trying_does_not_wait() {
    let once = Once::new();
    let (began, beginning) = mpsc::channel();
    let (end, ending) = mpsc::channel();
    thread::scope(|scope| {
        let once = &once;
        scope.spawn(move || {
            once.call_once(|| {
                began.send(()).unwrap();
                ending.recv().unwrap();
            });
        });
        beginning.recv().unwrap();
        assert!(!once.try_call_once(|| unreachable!()));
        assert!(!once.wait_timeout(Duration::from_millis(2)));
        end.send(()).unwrap();
        once.wait_force();
    });
    assert!(once.try_call_once(|| unreachable!()));
}

/// Begins the initialiser on a registered thread that never ends it, as one that trapped.
fn die_within(once: &'static Once) -> Token {
    let (began, beginning) = mpsc::channel();
    thread::spawn(move || {
        let token = registry::enter_new().unwrap();
        once.call_once(|| {
            began.send(token).unwrap();
            loop {
                thread::park();
            }
        });
    });
    beginning.recv().unwrap()
}

#[test]
fn the_death_of_an_initialiser_wakes_those_who_wait() {
    static ONCE: Once = Once::new();
    let dead = die_within(&ONCE);
    thread::scope(|scope| {
        let refused = scope.spawn(|| {
            registry::enter_new().unwrap();
            let refused = catch_unwind(|| ONCE.call_once(|| unreachable!()));
            registry::leave();
            refused
        });
        let forced = scope.spawn(|| {
            registry::enter_new().unwrap();
            let mut was_told = false;
            thread::sleep(Duration::from_millis(10));
            ONCE.wait_timeout(Duration::from_millis(30));
            ONCE.call_once_force(|state| was_told = state.is_poisoned());
            registry::leave();
            was_told
        });
        // Not needed for the outcome: it makes both wait more often than not.
        thread::sleep(Duration::from_millis(20));
        assert!(registry::reap_token(dead));
        // The first may come after the second has completed it.
        if let Err(panic) = refused.join().unwrap() {
            assert!(message_of(&*panic).contains("poisoned"));
        }
        assert!(forced.join().unwrap());
    });
    assert!(ONCE.is_completed());
}

#[test]
fn a_death_that_nobody_waited_for_is_found_by_the_next() {
    static ONCE: Once = Once::new();
    let dead = die_within(&ONCE);
    assert!(registry::reap_token(dead));
    assert!(!ONCE.wait_timeout(Duration::from_millis(2)));
    assert!(ONCE.is_poisoned());
    ONCE.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(ONCE.is_completed());
}

#[test]
fn a_registered_thread_that_runs_its_own_initialiser_is_told() {
    let once = Once::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            registry::enter_new().unwrap();
            let panic = catch_unwind(AssertUnwindSafe(|| {
                once.call_once(|| once.call_once(|| {}))
            }))
            .unwrap_err();
            assert!(message_of(&*panic).contains("this very thread"));
            registry::leave();
        });
    });
    assert!(once.is_poisoned());
}
