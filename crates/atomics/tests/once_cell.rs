//! `OnceCell` and `Lazy` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{Lazy, OnceCell};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// Bounds are std's: what `OnceLock` and `LazyLock` allow is allowed here. What they refuse is in `src/refused.rs`.
#[test]
fn what_may_be_shared_is_shared() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    sent::<OnceCell<core::cell::Cell<u8>>>();
    shared::<OnceCell<Vec<u8>>>();
    shared::<Lazy<Vec<u8>, Box<dyn FnOnce() -> Vec<u8> + Send>>>();
    sent::<heddle_atomics::Parker>();
    shared::<heddle_atomics::Unparker>();
}

#[test]
fn one_value_is_made_and_everybody_gets_it() {
    for _ in 0..200 {
        let (cell, made) = (OnceCell::new(), AtomicU32::new(0));
        thread::scope(|scope| {
            for n in 0..4 {
                let (cell, made) = (&cell, &made);
                scope.spawn(move || {
                    let value = cell.get_or_init(|| {
                        made.fetch_add(1, Ordering::Relaxed);
                        vec![n; 3]
                    });
                    assert_eq!(value, &vec![value[0]; 3]);
                    assert!(core::ptr::eq(value, cell.wait()));
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}

#[test]
fn an_initialiser_that_fails_or_panics_leaves_the_cell_empty() {
    let cell = OnceCell::<u32>::new();
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        cell.get_or_init(|| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(7)), Ok(&7));
    assert_eq!(cell.set(8), Err(8));
}

#[test]
fn a_value_is_dropped_once() {
    let counted = Arc::new(());
    let mut cell = OnceCell::from(Arc::clone(&counted));
    let other = cell.clone();
    assert_eq!(cell, other);
    assert_eq!(Arc::strong_count(&counted), 3);
    drop(other);
    assert!(cell.get_mut().is_some());
    assert!(cell.take().is_some() && cell.take().is_none());
    assert!(cell.set(Arc::clone(&counted)).is_ok());
    assert_eq!(Arc::strong_count(&counted), 2);
    assert!(cell.into_inner().is_some());
    assert_eq!(Arc::strong_count(&counted), 1);
    assert_eq!(
        format!("{:?}", OnceCell::<u8>::default()),
        "OnceCell(<empty>)"
    );
}

#[test]
fn a_lazy_value_is_made_when_it_is_used() {
    let made = AtomicU32::new(0);
    let lazy = Lazy::new(|| made.fetch_add(1, Ordering::Relaxed) + 41);
    assert_eq!(format!("{lazy:?}"), "Lazy(<not made yet>)");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(*lazy, 41));
        }
    });
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[test]
fn a_lazy_value_whose_function_panicked_is_poisoned() {
    let lazy = Lazy::<u32, _>::new(|| panic!("on purpose"));
    for expected in ["on purpose", "poisoned"] {
        let panic = catch_unwind(AssertUnwindSafe(|| *lazy)).unwrap_err();
        let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(message.contains(expected), "{message}");
    }
}

/// What TypeScript is told of the layout: the value is at the next multiple of its alignment.
#[test]
fn the_value_is_where_the_layout_says() {
    fn offset_of_value<T>(value: T) -> usize {
        let cell = OnceCell::from(value);
        core::ptr::from_ref(cell.get().unwrap()).addr() - core::ptr::from_ref(&cell).addr()
    }
    assert_eq!(offset_of_value([1_u8; 5]), 4);
    assert_eq!(offset_of_value(1_u32), 4);
    assert_eq!(offset_of_value((1_u8, 1.5_f64)), 8);
}
