//! The mover's mailbox: commits that wait for a round to end, and the errands that its thread runs between two rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use crate::check::{check, finds};
use crate::commit::mover;
use crate::commits::{increment, transact};
use crate::error::{StoreError, StoreErrorCode};
use crate::store::{Sizes, Store};
use crate::sync::Fault;

/// A thread waits for what the mover's thread does before a round, time after time. The mover has nothing to do behind that: who sees that it is
/// behind just before the round ends, and would wait for another end, waits for ever.
fn waits_for_the_last_round() {
    // Without tables, so that a round is short enough to fit between two looks.
    let store = Store::new(0, Sizes::default());
    let mover = {
        let store = store.clone();
        thread::spawn(move || mover::run(&store))
    };
    for _ in 0..3 {
        let done = Arc::new(AtomicUsize::new(0));
        store.mover.discard(Box::new(Dropped(done.clone())));
        store.mover.call();
        store
            .mover
            .wait_while(|| {
                thread::yield_now();
                done.load(Ordering::Relaxed) == 0
            })
            .unwrap();
    }
    store.mover.close();
    mover.join().unwrap();
}

#[test]
fn a_round_that_has_ended_is_not_waited_for() {
    check(40_000, waits_for_the_last_round);
}

#[test]
fn a_round_whose_end_is_not_told_is_found() {
    finds(
        8000,
        Some(Fault::LostWakeup),
        "deadlock",
        waits_for_the_last_round,
    );
}

/// Counts that it was dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        // Relaxed, here and below: a count of the model's own, read after what it counts.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Two threads have errands run and drop something, one of them commits as well, and meanwhile the mover is told to end. Whoever runs them, no
/// errand is lost, and one that was waited for is over.
fn errands_beside_the_end(closes_early: bool) {
    let store = Store::new(1, Sizes::default());
    let mover = {
        let store = store.clone();
        thread::spawn(move || mover::run(&store))
    };
    let dropped = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = [true, false]
        .into_iter()
        .map(|fails| {
            let (store, dropped) = (store.clone(), dropped.clone());
            thread::spawn(move || {
                let done = Arc::new(AtomicUsize::new(0));
                let own = done.clone();
                store.mover.discard(Box::new(Dropped(dropped.clone())));
                let outcome = store.mover.run_errand(move || {
                    thread::yield_now();
                    own.fetch_add(1, Ordering::Relaxed);
                    match fails {
                        true => Err(StoreError::new(StoreErrorCode::NoSpace, "no space")),
                        false => Ok(()),
                    }
                });
                assert_eq!(
                    done.load(Ordering::Relaxed),
                    1,
                    "an errand that is not over"
                );
                let code = outcome.map_err(|error| error.code);
                assert_eq!(code.is_err(), fails, "another errand's answer");
                if fails {
                    transact(&store, false, |transaction| {
                        increment(transaction, &store, 1).map(|()| true)
                    })
                    .unwrap();
                }
                store.mover.discard(Box::new(Dropped(dropped)));
            })
        })
        .collect();
    if closes_early {
        store.mover.close();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    store.mover.close();
    mover.join().unwrap();
    assert_eq!(
        dropped.load(Ordering::Relaxed),
        4,
        "an errand that nobody has run"
    );
}

#[test]
fn no_errand_is_lost() {
    for closes_early in [false, true] {
        check(3000, move || errands_beside_the_end(closes_early));
    }
}

#[test]
fn an_errand_that_the_mover_is_not_told_of_is_found() {
    finds(3000, Some(Fault::LostWakeup), "deadlock", || {
        errands_beside_the_end(false);
    });
}
