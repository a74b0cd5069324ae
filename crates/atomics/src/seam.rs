//! The one place where this crate and `heddle-channel` get their atomics from.
//!
//! Natively and in Wasm these are `core`'s. Under the model checker (`--cfg loom`) they are loom's, so that the
//! very source of the locks and channels runs through every interleaving; in shuttle's builds (`--cfg shuttle`) they are
//! ours (`seam/model.rs`), so that it runs through random ones of many threads. Not part of the public API.

#[cfg(shuttle)]
pub mod check;
#[cfg(shuttle)]
pub mod model;

#[cfg(shuttle)]
pub use core::sync::atomic::{Ordering, fence};
#[cfg(shuttle)]
pub use model::{AtomicU32, AtomicU64, AtomicUsize};

#[cfg(not(any(loom, shuttle)))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// Tells the processor, or the model checker, that this thread waits for another one.
#[inline]
pub fn spin_loop() {
    #[cfg(not(any(loom, shuttle)))]
    core::hint::spin_loop();
    #[cfg(shuttle)]
    shuttle::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Stands between a SeqCst write and a SeqCst read of another word, where the algorithm needs their order.
///
/// The model checker takes SeqCst accesses for AcqRel ones and gives that order to fences only; for everybody else the
/// accesses suffice and this is nothing.
#[inline]
pub fn seqcst_order() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// A cell whose content is guarded by a lock; a model checker's, when one checks that the lock does guard it.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Guarded<T: ?Sized>(
    #[cfg(not(any(loom, shuttle)))] core::cell::UnsafeCell<T>,
    #[cfg(loom)] loom::cell::UnsafeCell<T>,
    #[cfg(shuttle)] model::UnsafeCell<T>,
);

impl<T> Guarded<T> {
    const_unless_loom! {
        /// A cell holding `value`.
        pub fn new(value: T) -> Self {
            #[cfg(not(any(loom, shuttle)))]
            return Self(core::cell::UnsafeCell::new(value));
            #[cfg(loom)]
            return Self(loom::cell::UnsafeCell::new(value));
            #[cfg(shuttle)]
            return Self(model::UnsafeCell::new(value));
        }
    }

    /// The content of a cell nobody shares any more.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Guarded<T> {
    /// Runs `f` on a pointer for reading the content. Whether the pointer may be used is the caller's proof;
    /// the model checker reports a call that overlaps one of [`Guarded::with_mut`].
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(not(any(loom, shuttle)))]
        return f(self.0.get());
        #[cfg(any(loom, shuttle))]
        return self.0.with(f);
    }

    /// Runs `f` on a pointer to the content. Whether the pointer may be used is the caller's proof;
    /// the model checker reports two calls that overlap.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(not(any(loom, shuttle)))]
        return f(self.0.get());
        #[cfg(any(loom, shuttle))]
        return self.0.with_mut(f);
    }
}
