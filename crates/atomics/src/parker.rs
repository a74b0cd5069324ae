//! A parker: one token, which one thread waits for and any thread puts there.
//!
//! It promises: unparking a thread that isn't parked lets its next parking through; however often it is unparked, there is one
//! token. Who takes it sees what was done before it was put there. Parking never ends without a token.
//!
//! # State
//! | `state` | means |
//! |---|---|
//! | `PARKER_EMPTY` | no token, nobody parked |
//! | `PARKER_NOTIFIED` | there is a token |
//! | `PARKER_PARKED` | the thread is parked, or about to be |
//!
//! # Invariants
//! 1. Only the thread that parks leaves `NOTIFIED` and `PARKED` (for `EMPTY`); everybody else only goes to `NOTIFIED`.
//! 2. Whoever goes from `PARKED` to `NOTIFIED` wakes; the sleeper compares the state as it falls asleep.
//!
//! # Threads that die
//! A thread that dies while it is parked leaves `PARKED`: nobody else can park there before somebody has unparked it.
//!
//! # Memory orderings
//! `unpark` is `Release`, taking the token `Acquire`: a pair on `state`.
//!
//! # Source
//! The futex parker of Rust's std; the pair of handles is crossbeam's.

use crate::{
    Deadline, futex,
    layout::{PARKER_EMPTY, PARKER_NOTIFIED, PARKER_PARKED, WAITING_FOR_PARKER},
    seam::{AtomicU32, Ordering},
    waiting::{wait_until, wait_until_async},
};
use core::{cell::Cell, fmt, marker::PhantomData, time::Duration};
use std::sync::Arc;

/// The record of a parker, at an address that TypeScript may share (`Parker` in `docs/layout.md`).
///
/// One thread at a time parks on it: see [`Parker`].
#[repr(C)]
pub struct RawParker {
    state: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::parker;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawParker, state) == parker::STATE);
    assert!(size_of::<RawParker>() == parker::SIZE);
    assert!(align_of::<RawParker>() == parker::ALIGN);
};

impl RawParker {
    const_unless_loom! {
        /// One without a token.
        #[must_use]
        pub fn new() -> Self {
            Self { state: AtomicU32::new(PARKER_EMPTY) }
        }
    }

    /// Takes the token, waiting for it.
    ///
    /// # Panics
    /// If another thread is parked here, or if this one may not block and no token comes within
    /// [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[track_caller]
    pub fn park(&self) {
        self.park_before(Deadline::NEVER);
    }

    /// Takes the token, waiting for at most `timeout`; whether there was one.
    ///
    /// # Panics
    /// As [`RawParker::park`].
    #[track_caller]
    pub fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_before(Deadline::after(timeout))
    }

    /// Takes the token if it is there.
    pub fn try_park(&self) -> bool {
        // Acquire: sees what was done before `unpark`.
        self.state
            .compare_exchange(
                PARKER_NOTIFIED,
                PARKER_EMPTY,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Puts the token there and wakes the thread if it is parked.
    #[inline]
    pub fn unpark(&self) {
        // Release: publishes what was done before to whoever takes the token.
        if self.state.swap(PARKER_NOTIFIED, Ordering::Release) == PARKER_PARKED {
            futex::wake(&self.state, 1);
        }
    }

    /// Takes the token, waiting for it as a task.
    ///
    /// Dropped before it is ready, the future has taken none: one that came meanwhile is there for the next parking.
    ///
    /// # Panics
    /// If another thread or task is parked here.
    pub async fn park_async(&self) {
        if self.begin() {
            return;
        }
        // Also when the future is dropped: nobody is parked then.
        let parked = Parked(self);
        wait_until_async(&self.state, || self.attempt()).await;
        parked.end();
    }

    /// Becomes the one that is parked; `true` if there was a token to take instead.
    #[track_caller]
    fn begin(&self) -> bool {
        // Relaxed: `PARKED` publishes nothing; the wait compares it.
        while let Err(state) = self.state.compare_exchange(
            PARKER_EMPTY,
            PARKER_PARKED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            assert!(
                state != PARKER_PARKED,
                "another thread is parked on the parker at {self:p}"
            );
            if self.try_park() {
                return true;
            }
        }
        false
    }

    /// Whether there is a token; the state if not.
    fn attempt(&self) -> Result<(), u32> {
        // Relaxed: the end of the parking takes the token, with its ordering.
        match self.state.load(Ordering::Relaxed) {
            PARKER_NOTIFIED => Ok(()),
            state => Err(state),
        }
    }

    #[track_caller]
    fn park_before(&self, deadline: Deadline) -> bool {
        if self.begin() {
            return true;
        }
        // Also when the wait panics: nobody is parked then.
        let parked = Parked(self);
        wait_until(
            &self.state,
            WAITING_FOR_PARKER,
            "a parker",
            deadline,
            || self.attempt(),
        );
        parked.end()
    }
}

/// The state says that this thread is parked.
struct Parked<'a>(&'a RawParker);

impl Parked<'_> {
    /// Ends the parking; whether there was a token.
    fn end(self) -> bool {
        let parker = self.0;
        core::mem::forget(self);
        // Acquire: sees what was done before `unpark`.
        parker.state.swap(PARKER_EMPTY, Ordering::Acquire) == PARKER_NOTIFIED
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        // A token that came meanwhile stays for the next parking.
        let _ = self.0.state.compare_exchange(
            PARKER_PARKED,
            PARKER_EMPTY,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

impl Default for RawParker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawParker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state.load(Ordering::Relaxed) {
            PARKER_EMPTY => "RawParker(empty)",
            PARKER_NOTIFIED => "RawParker(notified)",
            _ => "RawParker(parked)",
        })
    }
}

/// A place where one thread parks. It moves between threads, but isn't shared: what is shared is its [`Unparker`].
///
/// ```
/// use heddle_atomics::Parker;
/// use std::thread;
///
/// let parker = Parker::new();
/// let unparker = parker.unparker().clone();
/// thread::spawn(move || unparker.unpark());
/// parker.park();
/// ```
#[derive(Debug)]
pub struct Parker {
    unparker: Unparker,
    // One thread at a time parks: not `Sync`.
    not_sync: PhantomData<Cell<()>>,
}

impl Parker {
    /// One without a token.
    #[must_use]
    pub fn new() -> Self {
        Self {
            unparker: Unparker {
                raw: Arc::new(RawParker::new()),
            },
            not_sync: PhantomData,
        }
    }

    /// Takes the token, waiting for it.
    ///
    /// # Panics
    /// If the thread may not block and no token comes within [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[track_caller]
    pub fn park(&self) {
        self.unparker.raw.park();
    }

    /// Takes the token, waiting for at most `timeout`; whether there was one.
    ///
    /// # Panics
    /// As [`Parker::park`].
    #[track_caller]
    pub fn park_timeout(&self, timeout: Duration) -> bool {
        self.unparker.raw.park_timeout(timeout)
    }

    /// Takes the token, waiting for it as a task.
    ///
    /// Dropped before it is ready, the future has taken none: one that came meanwhile is there for the next parking.
    ///
    /// # Panics
    /// If another task is parked here.
    pub async fn park_async(&self) {
        self.unparker.raw.park_async().await;
    }

    /// Takes the token if it is there.
    pub fn try_park(&self) -> bool {
        self.unparker.raw.try_park()
    }

    /// What other threads unpark this one with.
    #[must_use]
    pub fn unparker(&self) -> &Unparker {
        &self.unparker
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts the token of a [`Parker`] there.
#[derive(Clone, Debug)]
pub struct Unparker {
    raw: Arc<RawParker>,
}

impl Unparker {
    /// Puts the token there and wakes the thread if it is parked.
    #[inline]
    pub fn unpark(&self) {
        self.raw.unpark();
    }

    /// The record, for those who know it by address.
    #[must_use]
    pub fn raw(&self) -> &RawParker {
        &self.raw
    }
}
