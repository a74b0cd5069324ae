//! `Mutex<T>`: a [`RawMutex`] and the data that it guards, with the API of `std::sync::Mutex`.
//!
//! The algorithm, its states and its fairness are [`RawMutex`]'s. Here is what the types add: the data can be reached
//! through a guard only, and a guard that is dropped by a panic poisons.
//!
//! # Layout
//! The lock is at byte 0, the data at the first multiple of their alignment behind it (8 bytes at least): where TypeScript's
//! `Mutex` of the same struct has them, if theirs is `#[repr(C)]`.

use crate::{Poisoned, RawMutex, seam::Guarded};
use core::{
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
    time::Duration,
};

pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// A mutual exclusion lock around data, as `std::sync::Mutex`.
///
/// Unlike std's it knows its owner: if a registered thread dies in it, the next one gets it poisoned
/// ([`registry`](crate::registry)); and on a thread that may not block it panics, naming itself, where std's traps.
///
/// ```
/// use heddle_atomics::Mutex;
///
/// static HITS: Mutex<u32> = Mutex::new(0);
/// *HITS.lock().unwrap() += 1;
/// assert_eq!(*HITS.lock().unwrap(), 1);
/// ```
#[repr(C)]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: Guarded<T>,
}

// SAFETY: the value moves with the mutex.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: `&Mutex` gives one thread at a time a `&mut T`, which may move the value out: `T: Send` is what it takes,
// and `T: Sync` isn't, since no two threads have it at once.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

// What a panic left half-changed is told by the poison.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

/// Names a lock in panics by what it guards.
struct Name<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> fmt::Display for Name<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutex<{}>", core::any::type_name::<T>())
    }
}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// An unlocked mutex around `value`.
        #[inline]
        pub fn new(value: T) -> Self {
            Self {
                raw: RawMutex::new(),
                value: Guarded::new(value),
            }
        }
    }

    /// The value, with nobody left to share it.
    ///
    /// # Errors
    /// [`PoisonError`] with the value if an owner died or panicked.
    pub fn into_inner(self) -> LockResult<T> {
        let is_poisoned = self.raw.is_poisoned();
        let value = self.value.into_inner();
        if is_poisoned {
            Err(PoisonError::new(value))
        } else {
            Ok(value)
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting as long as it takes.
    ///
    /// # Errors
    /// [`PoisonError`] with the guard if an owner died or panicked in it.
    ///
    /// # Panics
    /// If this thread holds the lock already (where it is [registered](crate::registry)), or if it may not block and
    /// the lock stays taken.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.guard(self.raw.lock_named(&Name::<T>(PhantomData)))
    }

    /// Takes the lock as a task: the future waits for it without blocking its thread, also for another task of that thread.
    ///
    /// Whichever thread polls the future last owns the lock, so the guard stays on it, and a task that keeps it while it
    /// waits for something else has to stay there, too. Dropped before it is ready, the future leaves no trace.
    ///
    /// ```
    /// use heddle_atomics::Mutex;
    /// # use std::{future::Future, pin::pin, sync::Arc, task::{Context, Poll, Wake, Waker}, thread::{self, Thread}};
    /// # struct Unpark(Thread);
    /// # impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark(); } }
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     let waker = Waker::from(Arc::new(Unpark(thread::current())));
    /// #     let mut future = pin!(future);
    /// #     loop {
    /// #         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(output) => return output,
    /// #             Poll::Pending => thread::park(),
    /// #         }
    /// #     }
    /// # }
    ///
    /// let hits = Mutex::new(0);
    /// block_on(async { *hits.lock_async().await.unwrap() += 1 });
    /// assert_eq!(hits.into_inner().unwrap(), 1);
    /// ```
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    pub async fn lock_async(&self) -> LockResult<MutexGuard<'_, T>> {
        let poisoned = self.raw.lock_async().await;
        self.guard(poisoned)
    }

    /// Takes the lock if that is possible without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it is taken, `Poisoned` with the guard if an owner died or panicked in it.
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.raw.try_lock() {
            Some(poisoned) => Ok(self.guard(poisoned)?),
            None => Err(TryLockError::WouldBlock),
        }
    }

    /// Takes the lock, waiting for at most `timeout`; the name is that of `parking_lot`.
    ///
    /// # Errors
    /// `WouldBlock` if the time ran out, `Poisoned` with the guard if an owner died or panicked in it.
    ///
    /// # Panics
    /// As [`Mutex::lock`].
    #[inline]
    #[track_caller]
    pub fn try_lock_for(&self, timeout: Duration) -> TryLockResult<MutexGuard<'_, T>> {
        match self.raw.lock_timeout(timeout) {
            Some(poisoned) => Ok(self.guard(poisoned)?),
            None => Err(TryLockError::WouldBlock),
        }
    }

    /// Whether an owner died or panicked in the lock. Without the lock the answer is of the past.
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Declares the value sound again.
    pub fn clear_poison(&self) {
        self.raw.clear_poison();
    }

    /// The value, when nobody else can reach it: no locking.
    ///
    /// # Errors
    /// [`PoisonError`] with the reference if an owner died or panicked.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        // SAFETY: `&mut self` is the only reference to the mutex, so to the value.
        let value = self.value.with_mut(|value| unsafe { &mut *value });
        if self.raw.is_poisoned() {
            Err(PoisonError::new(value))
        } else {
            Ok(value)
        }
    }

    /// The lock's record, for those who know it by address.
    pub fn raw(&self) -> &RawMutex {
        &self.raw
    }

    #[inline]
    fn guard(&self, poisoned: Poisoned) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard {
            mutex: self,
            was_panicking: std::thread::panicking(),
            not_send: PhantomData,
        };
        match poisoned {
            Poisoned::No => Ok(guard),
            Poisoned::Yes => Err(PoisonError::new(guard)),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => debug.field("value", &&*guard),
            Err(TryLockError::Poisoned(poison)) => debug.field("value", &&**poison.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("value", &format_args!("<locked>")),
        };
        debug
            .field("is_poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The right to use what a [`Mutex`] guards. Dropping it lets go of the lock.
#[must_use = "the lock is let go of as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(crate) mutex: &'a Mutex<T>,
    pub(crate) was_panicking: bool,
    // The lock word names the thread: another thread must not unlock.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Lets go of the lock for the waiter that has slept longest, if there is one; the name is that of `parking_lot`.
    pub fn unlock_fair(guard: Self) {
        let guard = ManuallyDrop::new(guard);
        if !guard.was_panicking && std::thread::panicking() {
            guard.mutex.raw.poison();
        }
        // SAFETY: the guard was the proof that this thread holds the lock, and it ends here.
        unsafe { guard.mutex.raw.unlock_fair() };
    }

    /// Takes the guard apart without unlocking: for waits that let go of the lock and take it again.
    pub(crate) fn suspend(guard: Self) -> &'a Mutex<T> {
        ManuallyDrop::new(guard).mutex
    }

    /// The guard of a lock that was taken again after [`MutexGuard::suspend`].
    pub(crate) fn resume(mutex: &'a Mutex<T>, poisoned: Poisoned) -> LockResult<Self> {
        mutex.guard(poisoned)
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so this thread holds the lock, and borrows of the value borrow the guard.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        end_lock(&self.mutex.raw, self.was_panicking);
    }
}

/// Lets go of a lock, for the guard that was the proof of it; poisons if a panic began since.
#[inline]
pub(crate) fn end_lock(raw: &RawMutex, was_panicking: bool) {
    if !was_panicking && std::thread::panicking() {
        raw.poison();
    }
    // SAFETY: the caller is the drop of a guard, with which the right to the lock ends.
    unsafe { raw.unlock() };
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
