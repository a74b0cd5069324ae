//! A latch: a count that goes down to 0 once, and threads that wait for that.
//!
//! It promises: whoever waits goes on once the count is 0, and sees what was done before each counting down; a latch that is
//! open stays open. It never counts below 0.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `count` | what is left; waiters sleep on whatever it is, 0 is open |
//!
//! # Invariants
//! 1. Nothing but counting down changes the count, and whoever brings it to 0 wakes everybody. A waiter compares the count as
//!    it falls asleep, so it either sees 0 or is woken.
//!
//! # Threads that die
//! Nobody knows who was to count down. A thread that dies before it did leaves the latch closed, until somebody counts down in
//! its place: whoever [reaps](crate::registry::reap) it, or a waiter with a timeout.
//!
//! # Memory orderings
//! Counting down is `Release` (`AcqRel`, so that the last hands on what all others published), looking `Acquire`.
//!
//! # Source
//! `std::latch` of C++20, and `CountDownLatch` of Java.

use crate::{
    CountError, Deadline, futex,
    layout::WAITING_FOR_LATCH,
    seam::{AtomicU32, Ordering},
    waiting::{wait_until, wait_until_async},
};
use core::{fmt, time::Duration};

/// A count that goes down to 0 once; the record `Latch` of `docs/layout.md`.
///
/// ```
/// use heddle_atomics::Latch;
/// use std::thread;
///
/// let ready = Latch::new(2);
/// thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| ready.count_down(1).unwrap());
///     }
///     ready.wait();
/// });
/// assert!(ready.try_wait());
/// assert!(ready.count_down(1).is_err());
/// ```
#[repr(C)]
pub struct Latch {
    count: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::latch;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Latch, count) == latch::COUNT);
    assert!(size_of::<Latch>() == latch::SIZE);
    assert!(align_of::<Latch>() == latch::ALIGN);
};

impl Latch {
    const_unless_loom! {
        /// One that opens after `count` has been counted down; with 0 it is open.
        #[must_use]
        pub fn new(count: u32) -> Self {
            Self { count: AtomicU32::new(count) }
        }
    }

    /// Counts down by `n` without waiting. Whoever gets to 0 wakes everybody who waits.
    ///
    /// # Errors
    /// [`CountError`] if less than `n` is left; the count stays.
    pub fn count_down(&self, n: u32) -> Result<(), CountError> {
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            let Some(left) = count.checked_sub(n) else {
                return Err(CountError::new(count, -i64::from(n), u32::MAX));
            };
            // Release: publishes what was done before to the Acquire of those who look. Acquire: the last one hands on
            // what the others published.
            match self
                .count
                .compare_exchange_weak(count, left, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    if left == 0 && n > 0 {
                        futex::wake_all(&self.count);
                    }
                    return Ok(());
                }
                Err(now) => count = now,
            }
        }
    }

    /// Whether the latch is open. If so, what was done before the counting down can be seen.
    #[inline]
    #[must_use]
    pub fn try_wait(&self) -> bool {
        self.count() == 0
    }

    /// Waits until the latch is open.
    ///
    /// # Panics
    /// If the thread may not block and the latch stays closed for [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.try_wait() {
            self.wait_contended(Deadline::NEVER);
        }
    }

    /// Waits until the latch is open, for at most `timeout`; whether it is.
    ///
    /// # Panics
    /// As [`Latch::wait`].
    #[inline]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.try_wait() || self.wait_contended(Deadline::after(timeout))
    }

    /// Waits until the latch is open, as a task. The future may be dropped at any moment.
    pub async fn wait_async(&self) {
        wait_until_async(&self.count, || self.attempt()).await;
    }

    /// Counts down by `n` and waits until the latch is open.
    ///
    /// # Errors
    /// As [`Latch::count_down`]; it hasn't waited then.
    ///
    /// # Panics
    /// As [`Latch::wait`].
    #[track_caller]
    pub fn arrive_and_wait(&self, n: u32) -> Result<(), CountError> {
        self.count_down(n)?;
        self.wait();
        Ok(())
    }

    /// What is left to count down; of the past as soon as it is known, unless it is 0.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u32 {
        // Acquire: sees what the Release of `count_down` publishes.
        self.count.load(Ordering::Acquire)
    }

    #[cold]
    #[track_caller]
    fn wait_contended(&self, deadline: Deadline) -> bool {
        wait_until(&self.count, WAITING_FOR_LATCH, "a latch", deadline, || {
            self.attempt()
        })
        .is_some()
    }

    fn attempt(&self) -> Result<(), u32> {
        match self.count() {
            0 => Ok(()),
            count => Err(count),
        }
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch")
            .field("count", &self.count())
            .finish()
    }
}
