//! `Event` on real threads.
#![cfg(not(loom))]

use heddle_atomics::Event;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

#[test]
fn a_manual_event_lets_everybody_through_until_it_is_reset() {
    let event = Event::manual_reset();
    assert!(!event.is_auto() && !event.try_wait());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| event.wait());
        }
        assert!(event.set());
    });
    assert!(!event.set(), "it is set already");
    assert!(event.try_wait() && event.wait_timeout(Duration::ZERO));
    assert!(event.reset() && !event.reset());
    assert!(!event.wait_timeout(Duration::from_millis(2)));
}

#[test]
fn setting_and_resetting_at_once_lets_those_through_who_wait() {
    let event = Event::manual_reset();
    let through = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                event.wait();
                through.fetch_add(1, Ordering::SeqCst);
            });
        }
        while through.load(Ordering::SeqCst) < 2 {
            event.set();
            event.reset();
            thread::yield_now();
        }
    });
}

#[test]
fn each_setting_of_an_auto_event_lets_one_through() {
    const TIMES: u32 = 2_000;
    let (event, taken) = (Event::auto_reset(), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    event.wait();
                    if taken.fetch_add(1, Ordering::SeqCst) >= TIMES {
                        // The next one ends too.
                        event.set();
                        return;
                    }
                }
            });
        }
        for time in 0..TIMES {
            assert!(event.set(), "the one before was taken");
            while taken.load(Ordering::SeqCst) <= time {
                thread::yield_now();
            }
            assert!(!event.is_set());
        }
        event.set();
    });
}
