//! The word by which the main thread interrupts a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use crate::activity::{Activity, check_interrupt, while_running};
use crate::check::{check, finds};

/// A thread runs requests 1, 2 and 3, looking up twice in each; another thread runs its own request 2. The main thread interrupts 2 of the
/// first. `cancelled` is the number that it gives.
fn interrupted(cancelled: u32) -> usize {
    let [activity, other] = [(); 2].map(|()| Arc::new(Activity::default()));
    let count = Arc::new(AtomicUsize::new(0));
    let first = {
        let (activity, count) = (activity.clone(), count.clone());
        thread::spawn(move || {
            for request in 1..=3 {
                activity.begin(request);
                while_running(&activity, || {
                    for _ in 0..2 {
                        if check_interrupt().is_err() {
                            assert_eq!(request, 2, "the wrong request was interrupted");
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
                activity.end();
                check_interrupt().expect("no request runs");
            }
        })
    };
    let second = thread::spawn(move || {
        other.begin(2);
        while_running(&other, || {
            check_interrupt().expect("another thread's request")
        });
        other.end();
    });
    activity.cancel.store(cancelled, Ordering::Relaxed);
    first.join().unwrap();
    second.join().unwrap();
    count.load(Ordering::Relaxed)
}

#[test]
fn an_interrupt_hits_its_request_and_no_other() {
    let hits = Arc::new(AtomicUsize::new(0));
    let sum = hits.clone();
    check(2000, move || {
        sum.fetch_add(interrupted(2), Ordering::Relaxed);
    });
    assert!(
        hits.load(Ordering::Relaxed) > 0,
        "no schedule interrupted anything"
    );
}

#[test]
fn an_interrupt_of_another_number_is_found() {
    finds(2000, None, "the wrong request", || {
        interrupted(3);
    });
}
