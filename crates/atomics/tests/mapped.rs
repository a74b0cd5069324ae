//! Guards of a part.
#![cfg(not(loom))]

use heddle_atomics::{
    MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard, RwLock,
    RwLockReadGuard, RwLockWriteGuard,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_part_of_a_mutex_keeps_it_locked() {
    let words = Mutex::new(vec![String::from("warp"), String::from("weft")]);
    let second = MutexGuard::filter_map(words.lock().unwrap(), |words| words.get_mut(1)).unwrap();
    let mut bytes = MappedMutexGuard::map(second, |word| word.as_mut_str());
    bytes.make_ascii_uppercase();
    assert!(words.try_lock().is_err());
    drop(bytes);
    assert_eq!(*words.lock().unwrap(), ["warp", "WEFT"]);
}

#[test]
fn a_part_that_is_not_there_gives_the_guard_back() {
    let words = Mutex::new(vec![1]);
    let guard =
        MutexGuard::filter_map(words.lock().unwrap(), |words| words.get_mut(1)).unwrap_err();
    assert_eq!(*guard, [1]);
    let first = MutexGuard::map(guard, |words| &mut words[0]);
    let first = MappedMutexGuard::filter_map(first, |_| None::<&mut u8>).unwrap_err();
    assert_eq!(*first, 1);
}

#[test]
fn parts_of_a_reader_writer_lock_read_and_write() {
    let pair = RwLock::new((1, [2, 3]));
    let array = RwLockWriteGuard::map(pair.write().unwrap(), |pair| &mut pair.1);
    let mut last = MappedRwLockWriteGuard::map(array, |array| &mut array[1]);
    *last = 4;
    assert!(pair.try_read().is_err());
    drop(last);
    let array = RwLockReadGuard::map(pair.read().unwrap(), |pair| &pair.1);
    let last = MappedRwLockReadGuard::map(array, |array| &array[1]);
    assert_eq!((*last, pair.read().unwrap().0), (4, 1));
    assert!(pair.try_write().is_err());
    drop(last);
    assert!(pair.try_write().is_ok());
}

#[test]
fn a_panic_under_a_mapped_guard_poisons_as_under_the_whole_one() {
    let (mutex, lock) = (Mutex::new((1, 2)), RwLock::new((1, 2)));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _read = RwLockReadGuard::map(lock.read().unwrap(), |pair| &pair.0);
        let _part = MutexGuard::map(mutex.lock().unwrap(), |pair| &mut pair.0);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert!(mutex.is_poisoned() && !lock.is_poisoned());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _part = RwLockWriteGuard::map(lock.write().unwrap(), |_| -> &mut u8 {
            panic!("on purpose")
        });
    }));
    assert!(panicked.is_err() && lock.is_poisoned());
    assert!(
        lock.try_write()
            .is_err_and(|error| matches!(error, std::sync::TryLockError::Poisoned(_)))
    );
}
