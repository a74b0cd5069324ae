//! The memory that statements share, and commits that wait for the mover.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use crate::check::{check, finds};
use crate::commits::{key, row};
use crate::error::StoreErrorCode;
use crate::memory::{CommonShare, MemoryBudget, OutOfBudget};
use crate::store::{Sizes, Store};
use crate::sync::Fault;
use crate::transaction::{Transaction, change_size};

#[test]
fn shares_give_back_what_they_took() {
    check(2, || {
        let budget = MemoryBudget::new(100);
        let (mut one, mut other) = (budget.share(), budget.share());
        one.grow(60).unwrap();
        assert_eq!(other.grow(41), Err(OutOfBudget { size_max: 100 }));
        assert_eq!((budget.used(), other.size()), (60, 0));
        other.grow(40).unwrap();
        one.shrink(10);
        other.take_from(&mut one, 20);
        assert_eq!((one.size(), other.size(), budget.used()), (30, 60, 90));
        drop(one);
        assert_eq!(budget.used(), 60);
        assert!(other.grow(usize::MAX).is_err());
        other.set(500);
        assert_eq!(budget.used(), 500);
        drop(other);
        assert_eq!(budget.used(), 0);
    });
}

/// Three threads take, shrink, hand over and give back; what they have together never exceeds the budget.
fn shared_out() {
    const SIZE_MAX: usize = 100;
    let budget = MemoryBudget::new(SIZE_MAX);
    let common = Arc::new(CommonShare::new(budget.share()));
    let held = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (1..=3)
        .map(|thread| {
            let (budget, common, held) = (budget.clone(), common.clone(), held.clone());
            thread::spawn(move || {
                let mut own = budget.share();
                for turn in 1..=2 {
                    let size = 20 * thread + turn;
                    if own.grow(size).is_ok() {
                        let all = size + held.fetch_add(size, Ordering::Relaxed);
                        assert!(all <= SIZE_MAX, "more than there is");
                        held.fetch_sub(5, Ordering::Relaxed);
                        own.shrink(5);
                        // The common share's part stays held: nothing is free in between.
                        common.take_from(&mut own, 7);
                        let least = common.size();
                        assert!(budget.used() >= least, "bytes that are counted nowhere");
                    }
                }
                held.fetch_sub(own.size(), Ordering::Relaxed);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(held.load(Ordering::Relaxed), common.size());
    assert_eq!(budget.used(), common.size(), "memory that nobody has");
    common.set(0);
    assert_eq!(budget.used(), 0);
}

#[test]
fn shares_never_exceed_their_budget_together() {
    check(6000, shared_out);
}

#[test]
fn a_budget_that_is_changed_in_two_steps_is_found() {
    finds(6000, Some(Fault::SplitUpdate), "", shared_out);
}

/// Three transactions write a row each, and what they have written stays; there is memory for two. `room` takes the room for a change.
fn rows_in_room(
    room: impl Fn(&mut Transaction, usize) -> Result<(), StoreErrorCode> + Copy + Send + 'static,
) {
    let size = change_size(&key(1), Some(&row(1, 1)));
    let sizes = Sizes {
        memory: 2 * size,
        ..Sizes::default()
    };
    let store = Store::new(1, sizes);
    let threads: Vec<_> = (0..3)
        .map(|id| {
            let store = store.clone();
            thread::spawn(move || {
                let snapshot = store.sequencer.snapshot(0).unwrap();
                let mut transaction = Transaction::new(snapshot, &store.memory);
                let taken = room(&mut transaction, size);
                if taken.is_ok() {
                    transaction.write(&store.tables[0], key(id), Some(row(id, 1)));
                    transaction.return_room();
                }
                let (used, size_max) = (store.memory.used(), store.memory.size_max());
                assert!(used <= size_max, "rows that there was no room for");
                (transaction, taken)
            })
        })
        .collect();
    let (transactions, taken): (Vec<_>, Vec<_>) = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .unzip();
    let refused = taken.iter().filter(|taken| taken.is_err());
    assert!(refused.eq([&Err(StoreErrorCode::OutOfMemory)]), "{taken:?}");
    drop(transactions);
    assert_eq!(store.memory.used(), 0, "memory that nobody has");
}

#[test]
fn room_that_was_taken_is_nobody_elses() {
    check(4000, || {
        rows_in_room(|own, size| own.take_room(size).map_err(|error| error.code));
    });
}

/// The fault: to look whether there is room, and to take none.
#[test]
fn room_that_is_only_looked_for_is_found() {
    finds(4000, None, "no room for", || {
        rows_in_room(|own, size| {
            let found = own.take_room(size).map_err(|error| error.code);
            own.return_room();
            found
        });
    });
}
