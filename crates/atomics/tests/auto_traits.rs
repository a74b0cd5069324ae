//! What may be sent, shared, and carried over a panic is what may be of std's: each type is compared with its model there, for data that are
//! and are not `Send`, `Sync` and safe to unwind with.

use heddle_atomics as heddle;
use std::{
    cell::Cell,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe, catch_unwind},
    rc::Rc,
    sync,
};

/// Whether a type implements a trait: an inherent constant, which is there where the trait is, comes before that of a trait.
macro_rules! implements {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code, reason = "it is there for its constants")]
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "it is there for some types only")]
        trait Otherwise {
            const IS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "it is there for some types only")]
        impl<T: ?Sized + $trait> Probe<T> {
            const IS: bool = true;
        }
        <Probe<$type>>::IS
    }};
}

/// Whether two types are alike.
macro_rules! assert_alike {
    ($ours:ty, $std:ty) => {
        assert_alike!(@ $ours, $std, Send, Sync, UnwindSafe, RefUnwindSafe, Unpin);
    };
    (@ $ours:ty, $std:ty, $($trait:path),*) => {$(
        assert_eq!(
            implements!($ours: $trait),
            implements!($std: $trait),
            "{}: {}, and {}",
            stringify!($ours),
            stringify!($trait),
            stringify!($std),
        );
    )*};
}

/// Compares types that have data.
macro_rules! assert_alike_with {
    ($($data:ty),*) => {$(
        assert_alike!(heddle::Mutex<$data>, sync::Mutex<$data>);
        assert_alike!(heddle::MutexGuard<'static, $data>, sync::MutexGuard<'static, $data>);
        assert_alike!(heddle::RwLock<$data>, sync::RwLock<$data>);
        assert_alike!(heddle::RwLockReadGuard<'static, $data>, sync::RwLockReadGuard<'static, $data>);
        assert_alike!(heddle::RwLockWriteGuard<'static, $data>, sync::RwLockWriteGuard<'static, $data>);
        assert_alike!(heddle::OnceCell<$data>, sync::OnceLock<$data>);
        assert_alike!(heddle::Lazy<$data>, sync::LazyLock<$data>);
        // Std's are not stable; they are sent and shared as those that they are made of.
        assert_alike!(@ heddle::MappedMutexGuard<'static, $data>, sync::MutexGuard<'static, $data>, Send, Sync);
        assert_alike!(@ heddle::MappedRwLockReadGuard<'static, $data>, sync::RwLockReadGuard<'static, $data>, Send, Sync);
        assert_alike!(@ heddle::MappedRwLockWriteGuard<'static, $data>, sync::RwLockWriteGuard<'static, $data>, Send, Sync);
    )*};
}

/// `Sync`, and not `Send`.
type NotSend = sync::MutexGuard<'static, i32>;
/// `Send`, and neither `Sync` nor safe to look at after a panic.
type NotSync = Cell<i32>;
/// Neither of them.
type Neither = Rc<i32>;
/// Not safe to have after a panic.
type NotUnwindSafe = &'static mut i32;

#[test]
fn data_are_guarded_as_stds_are() {
    assert_alike_with!(i32, NotSend, NotSync, Neither, NotUnwindSafe);
}

#[test]
fn what_has_no_data_is_as_stds() {
    assert_alike!(heddle::Condvar, sync::Condvar);
    assert_alike!(heddle::Once, sync::Once);
    // Ours may be shared: it tells one thing, and nothing is set through it.
    assert_alike!(@ heddle::OnceState, sync::OnceState, Send, UnwindSafe, Unpin);
    assert_alike!(heddle::Barrier, sync::Barrier);
    assert_alike!(heddle::BarrierWaitResult, sync::BarrierWaitResult);
}

/// The comparison sees a difference.
#[test]
fn a_guard_that_could_be_sent_is_found() {
    assert!(implements!(i32: Send) && !implements!(Rc<i32>: Send));
    assert!(!implements!(heddle::MutexGuard<'static, i32>: Send));
    assert!(implements!(heddle::MutexGuard<'static, i32>: Sync));
    assert!(!implements!(heddle::MutexGuard<'static, Cell<i32>>: Sync));
    assert!(
        !implements!(heddle::Mutex<Rc<i32>>: Send) && !implements!(heddle::Mutex<Rc<i32>>: Sync)
    );
}

/// A lock says by its poison what a panic left, and may be used by what is caught: that did not compile once.
#[test]
fn locks_are_used_by_what_may_panic() {
    let mutex = heddle::Mutex::new(1);
    let rw_lock = heddle::RwLock::new(Cell::new(1));
    let caught = catch_unwind(|| {
        let mut value = mutex.lock().unwrap();
        rw_lock.write().unwrap().set(2);
        *value = 2;
        panic!("on purpose");
    });
    assert!(caught.is_err());
    assert!(mutex.is_poisoned() && !rw_lock.is_poisoned());
    assert_eq!(*mutex.lock().unwrap_err().into_inner(), 2);
}
