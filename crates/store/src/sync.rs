//! The one place where the parts that threads meet in get their locks and atomics from: the order of commits, the column cache, the memory
//! budget, the mover's mailbox, the requests to the I/O thread.
//!
//! Here these are std's and those of `heddle_atomics`. `tests/interleavings` compiles the very same sources over a module of this name whose
//! locks and atomics are a model checker's.

pub use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic};
pub use std::thread_local;

/// Locks whose timed waits read no clock that bare Wasm lacks, as std's do.
pub mod timed {
    pub use heddle_atomics::{Condvar, Mutex, MutexGuard, PoisonError};
}

/// What crosses to the I/O thread: a word to sleep on, and places in the memory.
#[cfg(target_arch = "wasm32")]
pub mod shared {
    pub use heddle_atomics::futex::{wait, wake};

    use super::atomic::AtomicU32;

    /// The address of a record, for the other language.
    pub fn address_of<T>(record: &T) -> u32 {
        std::ptr::from_ref(record).expose_provenance() as u32
    }

    /// The record at an address that [`address_of`] gave.
    ///
    /// # Safety
    /// It must still be there.
    pub unsafe fn record_at<'a, T>(address: u32) -> &'a T {
        // SAFETY: the caller's promise.
        unsafe { &*std::ptr::with_exposed_provenance::<T>(address as usize) }
    }

    /// [`wake`] for a word that may be gone.
    pub fn wake_gone(word: *const AtomicU32, count: u32) {
        // SAFETY: waking reads nothing at the address; the memory itself is never unmapped.
        wake(unsafe { &*word }, count);
    }
}
