//! A condition variable: waiting, with a mutex let go of, until somebody says that the condition may have changed.
//!
//! It promises: a notification after the waiter has let go of the mutex reaches it. A wait may also end for no reason.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `sequence` | one more with each notification; waiters sleep on the value they read while they held the mutex |
//! | `waiters` | how many have announced themselves; 0 spares the notifier the call to the host |
//!
//! # Invariants
//! 1. A waiter reads `sequence` and counts itself before it lets go of the mutex. So whoever takes the mutex after
//!    it, changes the condition and notifies, changes the very value that the waiter sleeps on, and sees it counted.
//!
//! # Fairness
//! `notify_one` wakes the longest sleeper where the host keeps an order. A thread that begins to wait between the
//! notification and the wake may be woken in its place; the other one then has seen the sequence change and wakes
//! by itself.
//!
//! # Memory orderings
//! All `Relaxed`: the mutex orders the condition, and by invariant 1 it also orders these two words.
//!
//! # Source
//! The futex condition variable of Rust's std, with the count added.

use crate::{
    Deadline, LockResult, MutexGuard, Parked, Poisoned, RawMutex, futex,
    layout::WAITING_FOR_CONDVAR,
    park,
    registry::{self, WAITS_ON_SEQUENCE},
    seam::{AtomicU32, Ordering},
};
use core::{fmt, time::Duration};
use std::sync::PoisonError;

/// The record of a condition variable, at an address that TypeScript may share (`Condvar` in `docs/layout.md`).
#[repr(C)]
pub struct RawCondvar {
    sequence: AtomicU32,
    waiters: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::condvar;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawCondvar, sequence) == condvar::SEQUENCE);
    assert!(offset_of!(RawCondvar, waiters) == condvar::WAITERS);
    assert!(size_of::<RawCondvar>() == condvar::SIZE);
    assert!(align_of::<RawCondvar>() == condvar::ALIGN);
};

impl RawCondvar {
    const_unless_loom! {
        /// One that nobody waits on.
        #[must_use]
        pub fn new() -> Self {
            Self {
                sequence: AtomicU32::new(0),
                waiters: AtomicU32::new(0),
            }
        }
    }

    /// Lets go of `mutex`, waits for a notification and takes the mutex again.
    ///
    /// The first result is `false` if `timeout` passed without a notification; the second tells the mutex's state.
    ///
    /// # Safety
    /// This thread holds `mutex`.
    ///
    /// # Panics
    /// If the thread may not block; the mutex is not held then.
    #[track_caller]
    pub unsafe fn wait(&self, mutex: &RawMutex, timeout: Option<Duration>) -> (bool, Poisoned) {
        let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller holds it.
        unsafe { mutex.unlock() };
        let parked = park(
            &self.sequence,
            sequence,
            WAITS_ON_SEQUENCE | WAITING_FOR_CONDVAR,
            deadline,
            || true,
            &"a condition variable",
        );
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        let is_notified =
            parked == Parked::Look || self.sequence.load(Ordering::Relaxed) != sequence;
        (is_notified, mutex.lock())
    }

    /// Lets go of `mutex`, waits for a notification and takes the mutex again, as a task: all of it from when the future is polled
    /// first.
    ///
    /// Dropped before it is ready, it has let go of the mutex, and passes a notification on that it was given.
    ///
    /// # Safety
    /// When the future is polled first, that thread holds `mutex`.
    pub async unsafe fn wait_async(&self, mutex: &RawMutex) -> Poisoned {
        // Before the look: whoever dies after it has the wait end.
        let deaths = registry::deaths();
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let waiter = Waiter(self);
        // SAFETY: the caller holds it.
        unsafe { mutex.unlock() };
        futex::wait_async(&self.sequence, sequence, deaths, None).await;
        drop(waiter);
        let notified = Notified(self);
        let poisoned = mutex.lock_async().await;
        core::mem::forget(notified);
        poisoned
    }

    /// Wakes one waiter, if there is one.
    #[inline]
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes every waiter.
    #[inline]
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }

    /// Wakes up to `count` waiters.
    #[inline]
    pub fn notify(&self, count: u32) {
        // Without the mutex a notifier may miss a waiter that is just counting itself: as with any condition
        // variable, the condition has to change under the mutex.
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.notify_slowly(count);
        }
    }

    #[cold]
    fn notify_slowly(&self, count: u32) {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        futex::wake(&self.sequence, count);
    }
}

/// Counts a task out again that waits.
struct Waiter<'a>(&'a RawCondvar);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task that was notified and hasn't got the mutex yet. Dropped with its future, it passes the notification on.
struct Notified<'a>(&'a RawCondvar);

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Default for RawCondvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawCondvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCondvar")
            .field("waiters", &self.waiters.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// Whether a timed wait ended because the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// `true` if the time ran out.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// A condition variable, as `std::sync::Condvar`.
///
/// The condition must change under the mutex that the waiters use; notifying may come after letting go of it.
///
/// ```
/// use heddle_atomics::{Condvar, Mutex};
///
/// let (is_ready, changed) = (Mutex::new(false), Condvar::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *is_ready.lock().unwrap() = true;
///         changed.notify_one();
///     });
///     let guard = changed.wait_while(is_ready.lock().unwrap(), |is_ready| !*is_ready).unwrap();
///     assert!(*guard);
/// });
/// ```
///
/// It lies in memory as its [`RawCondvar`] does, and as TypeScript's `Condition`.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Condvar {
    raw: RawCondvar,
}

impl Condvar {
    const_unless_loom! {
        /// One that nobody waits on.
        #[must_use]
        pub fn new() -> Self {
            Self { raw: RawCondvar::new() }
        }
    }

    /// Lets go of the lock, waits for a notification and takes the lock again.
    ///
    /// # Errors
    /// [`PoisonError`] with the guard if an owner of the mutex died or panicked.
    ///
    /// # Panics
    /// If the thread may not block and no notification comes within [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let mutex = MutexGuard::suspend(guard);
        // SAFETY: the guard was the proof that this thread holds the lock; until `resume` nothing uses the value.
        let (_, poisoned) = unsafe { self.raw.wait(mutex.raw(), None) };
        MutexGuard::resume(mutex, poisoned)
    }

    /// Lets go of the lock, waits for a notification and takes the lock again, as a task.
    ///
    /// Dropped before it is ready, the future leaves the lock let go of, and passes a notification on that it was given.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    pub async fn wait_async<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let mutex = MutexGuard::suspend(guard);
        // SAFETY: the guard was the proof that this thread holds the lock; until `resume` nothing uses the value.
        let poisoned = unsafe { self.raw.wait_async(mutex.raw()) }.await;
        MutexGuard::resume(mutex, poisoned)
    }

    /// Waits as long as `condition` holds of the value, as a task.
    ///
    /// Dropped before it is ready, the future does as [`Condvar::wait_async`].
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    pub async fn wait_while_async<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait_async(guard).await?;
        }
        Ok(guard)
    }

    /// Waits as long as `condition` holds of the value.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// [`Condvar::wait`] for at most `timeout`.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = MutexGuard::suspend(guard);
        // SAFETY: as in `wait`.
        let (is_notified, poisoned) = unsafe { self.raw.wait(mutex.raw(), Some(timeout)) };
        let result = WaitTimeoutResult(!is_notified);
        match MutexGuard::resume(mutex, poisoned) {
            Ok(guard) => Ok((guard, result)),
            Err(poison) => Err(PoisonError::new((poison.into_inner(), result))),
        }
    }

    /// [`Condvar::wait_while`] for at most `timeout` in all.
    ///
    /// # Errors
    /// As [`Condvar::wait`].
    ///
    /// # Panics
    /// As [`Condvar::wait`].
    #[track_caller]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let deadline = Deadline::after(timeout);
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            let remaining = deadline.remaining().unwrap_or(Duration::MAX);
            if remaining.is_zero() {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            guard = self.wait_timeout(guard, remaining)?.0;
        }
    }

    /// Wakes one waiter, if there is one.
    #[inline]
    pub fn notify_one(&self) {
        self.raw.notify_one();
    }

    /// Wakes every waiter.
    #[inline]
    pub fn notify_all(&self) {
        self.raw.notify_all();
    }

    /// The record, for those who know it by address.
    pub fn raw(&self) -> &RawCondvar {
        &self.raw
    }
}
