//! `RwLock<T>`: a [`RawRwLock`] and the data that it guards, with the API of `std::sync::RwLock`.
//!
//! The algorithm, its states and its fairness are [`RawRwLock`]'s. Here is what the types add: the data can be reached through a
//! guard only, and a write guard that is dropped by a panic poisons; a reader's panic doesn't, for it changed nothing.

use crate::{
    LockResult, PoisonError, Poisoned, RawRwLock, TryLockError, TryLockResult, seam::Guarded,
};
use core::{
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
    time::Duration,
};

/// A reader-writer lock around data, as `std::sync::RwLock`.
///
/// Unlike std's it knows who writes and who reads: a registered thread that dies in it keeps nobody waiting
/// ([`registry`](crate::registry)); and on a thread that may not block it panics, naming itself, where std's traps.
///
/// ```
/// use heddle_atomics::{RwLock, RwLockWriteGuard};
///
/// static PRICES: RwLock<Vec<u32>> = RwLock::new(Vec::new());
/// let mut prices = PRICES.write().unwrap();
/// prices.push(42);
/// let prices = RwLockWriteGuard::downgrade(prices); // nobody writes between
/// assert_eq!(PRICES.read().unwrap()[0], prices[0]);
/// ```
#[repr(C)]
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: Guarded<T>,
}

// SAFETY: the value moves with the lock.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: `&RwLock` gives several threads a `&T` at once, hence `T: Sync`, and one thread a `&mut T`, which may move the value
// out, hence `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// What a panic left half-changed is told by the poison.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

/// Names a lock in panics by what it guards.
struct Name<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> fmt::Display for Name<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLock<{}>", core::any::type_name::<T>())
    }
}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// An unlocked lock around `value`.
        #[inline]
        pub fn new(value: T) -> Self {
            Self {
                raw: RawRwLock::new(),
                value: Guarded::new(value),
            }
        }
    }

    /// The value, with nobody left to share it.
    ///
    /// # Errors
    /// [`PoisonError`] with the value if a writer died or panicked.
    pub fn into_inner(self) -> LockResult<T> {
        let poisoned = self.raw.poisoned();
        result(self.value.into_inner(), poisoned)
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Begins to read, waiting as long as it takes.
    ///
    /// A thread that reads already may wait for ever, if a writer has begun to wait meanwhile.
    ///
    /// # Errors
    /// [`PoisonError`] with the guard if a writer died or panicked.
    ///
    /// # Panics
    /// If this thread writes already (where it is [registered](crate::registry)), or if it may not block and the writer
    /// stays.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let poisoned = self.raw.read_named(&Name::<T>(PhantomData));
        result(RwLockReadGuard::new(self), poisoned)
    }

    /// Begins to read as a task: the future waits without blocking its thread. Whichever thread polls it last is the one
    /// that reads, and the guard stays there.
    ///
    /// Dropped before it is ready, the future leaves no trace.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    pub async fn read_async(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let poisoned = self.raw.read_async().await;
        result(RwLockReadGuard::new(self), poisoned)
    }

    /// Begins to read if that is possible without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if somebody writes or waits for it, `Poisoned` with the guard if a writer died or panicked.
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let poisoned = self.raw.try_read().ok_or(TryLockError::WouldBlock)?;
        Ok(result(RwLockReadGuard::new(self), poisoned)?)
    }

    /// Begins to read, waiting for at most `timeout`.
    ///
    /// # Errors
    /// `WouldBlock` if the time ran out, `Poisoned` with the guard if a writer died or panicked.
    ///
    /// # Panics
    /// As [`RwLock::read`].
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let poisoned = self
            .raw
            .read_timeout(timeout)
            .ok_or(TryLockError::WouldBlock)?;
        Ok(result(RwLockReadGuard::new(self), poisoned)?)
    }

    /// Begins to write, waiting as long as it takes.
    ///
    /// # Errors
    /// [`PoisonError`] with the guard if a writer died or panicked.
    ///
    /// # Panics
    /// If this thread reads or writes already (where it is [registered](crate::registry)), or if it may not block and others
    /// stay.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let poisoned = self.raw.write_named(&Name::<T>(PhantomData));
        result(RwLockWriteGuard::new(self), poisoned)
    }

    /// Begins to write as a task: the future waits without blocking its thread, and stays on it.
    ///
    /// Dropped before it is ready, it leaves no trace.
    ///
    /// # Errors
    /// As [`RwLock::write`].
    pub async fn write_async(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let poisoned = self.raw.write_async().await;
        result(RwLockWriteGuard::new(self), poisoned)
    }

    /// Begins to write if that is possible without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if anybody reads or writes, `Poisoned` with the guard if a writer died or panicked.
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let poisoned = self.raw.try_write().ok_or(TryLockError::WouldBlock)?;
        Ok(result(RwLockWriteGuard::new(self), poisoned)?)
    }

    /// Begins to write, waiting for at most `timeout`.
    ///
    /// # Errors
    /// `WouldBlock` if the time ran out, `Poisoned` with the guard if a writer died or panicked.
    ///
    /// # Panics
    /// As [`RwLock::write`].
    #[track_caller]
    pub fn try_write_for(&self, timeout: Duration) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let poisoned = self
            .raw
            .write_timeout(timeout)
            .ok_or(TryLockError::WouldBlock)?;
        Ok(result(RwLockWriteGuard::new(self), poisoned)?)
    }

    /// Whether a writer died or panicked. Without the lock the answer is of the past.
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
    /// [`PoisonError`] with the reference if a writer died or panicked.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        // SAFETY: `&mut self` is the only reference to the lock, so to the value.
        let value = self.value.with_mut(|value| unsafe { &mut *value });
        result(value, self.raw.poisoned())
    }

    /// The lock's record, for those who know it by address.
    pub fn raw(&self) -> &RawRwLock {
        &self.raw
    }
}

fn result<G>(guard: G, poisoned: Poisoned) -> LockResult<G> {
    match poisoned {
        Poisoned::No => Ok(guard),
        Poisoned::Yes => Err(PoisonError::new(guard)),
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => debug.field("value", &&*guard),
            Err(TryLockError::Poisoned(poison)) => debug.field("value", &&**poison.get_ref()),
            Err(TryLockError::WouldBlock) => debug.field("value", &format_args!("<locked>")),
        };
        debug
            .field("is_poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The right to read what a [`RwLock`] guards. Dropping it ends the read.
///
/// It can't be sent: the seat among the readers carries the thread's name.
/// ```compile_fail,E0277
/// # use heddle_atomics::RwLock;
/// fn send<T: Send>(_: T) {}
/// send(RwLock::new(0).read());
/// ```
#[must_use = "the read ends as soon as the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    pub(crate) lock: &'a RwLock<T>,
    // Of `T`: a reader's panic poisons nothing, so what it saw must be safe to look at after one, as in std.
    not_send: PhantomData<*const T>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    fn new(lock: &'a RwLock<T>) -> Self {
        Self {
            lock,
            not_send: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so this thread reads, and borrows of the value borrow the guard.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard was the proof that this thread reads, and it ends here.
        unsafe { self.lock.raw.unlock_read() };
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to change what a [`RwLock`] guards. Dropping it ends the write.
///
/// It can't be sent: the lock carries the thread's name.
/// ```compile_fail,E0277
/// # use heddle_atomics::RwLock;
/// fn send<T: Send>(_: T) {}
/// send(RwLock::new(0).write());
/// ```
#[must_use = "the write ends as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    pub(crate) lock: &'a RwLock<T>,
    pub(crate) was_panicking: bool,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    fn new(lock: &'a RwLock<T>) -> Self {
        Self {
            lock,
            was_panicking: std::thread::panicking(),
            not_send: PhantomData,
        }
    }

    /// Goes on reading, with no other writer between.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(guard).lock;
        // SAFETY: the guard was the proof that this thread writes; what is returned lets it read.
        unsafe { lock.raw.downgrade() };
        RwLockReadGuard::new(lock)
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so this thread writes, and borrows of the value borrow the guard.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        end_write(&self.lock.raw, self.was_panicking);
    }
}

/// Ends a write, for the guard that was the proof of it; poisons if a panic began since.
#[inline]
pub(crate) fn end_write(raw: &RawRwLock, was_panicking: bool) {
    if !was_panicking && std::thread::panicking() {
        raw.poison();
    }
    // SAFETY: the caller is the drop of a guard, with which the right to write ends.
    unsafe { raw.unlock_write() };
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
