//! A counting semaphore: so many permits, taken one or several at a time, given back by anybody.
//!
//! It promises: never more permits out than were put in; a release that makes an acquire possible wakes a waiter.
//! Nobody owns a permit: those of a thread that died are gone until somebody releases them in its place.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `permits` | those that may be taken now; waiters sleep while it is 0 |
//! | `waiters` | how many have announced themselves; 0 spares the releaser the call to the host |
//!
//! # Invariants
//! 1. A waiter counts itself before its last look at `permits`; a releaser adds permits before it looks at `waiters`.
//!    Either the waiter sees the permits or the releaser sees the waiter.
//! 2. Whoever takes a permit and leaves others wakes the next waiter: one wake may have been given for several permits.
//!
//! # Fairness
//! None beyond the host's queue: who comes while permits are there takes one, also before somebody just woken.
//!
//! # Memory orderings
//! Taking is `Acquire`, releasing `Release`, a pair on `permits`. Invariant 1 is a store followed by a load of another
//! word on both sides, so those four are SeqCst.

use crate::{
    Deadline, Parked, futex, park,
    registry::WAITS,
    seam::{AtomicU32, Ordering, seqcst_order, spin_loop},
    spin,
};
use core::{fmt, time::Duration};

/// The record of a semaphore, at an address that TypeScript may share (`Semaphore` in `docs/layout.md`).
#[repr(C)]
pub struct RawSemaphore {
    permits: AtomicU32,
    waiters: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::semaphore;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawSemaphore, permits) == semaphore::PERMITS);
    assert!(offset_of!(RawSemaphore, waiters) == semaphore::WAITERS);
    assert!(size_of::<RawSemaphore>() == semaphore::SIZE);
    assert!(align_of::<RawSemaphore>() == semaphore::ALIGN);
};

impl RawSemaphore {
    const_unless_loom! {
        /// One with `permits` to take.
        #[must_use]
        pub fn new(permits: u32) -> Self {
            Self {
                permits: AtomicU32::new(permits),
                waiters: AtomicU32::new(0),
            }
        }
    }

    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Panics
    /// If the thread may not block and none comes within [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn acquire(&self) {
        if !self.try_acquire() {
            self.acquire_contended(Deadline::NEVER);
        }
    }

    /// Takes a permit, waiting for at most `timeout`; `false` if none came.
    ///
    /// # Panics
    /// As [`RawSemaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.try_acquire() || self.acquire_contended(Deadline::after(timeout))
    }

    /// Takes a permit if there is one.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        let mut permits = self.permits.load(Ordering::SeqCst);
        while permits > 0 {
            // Acquire: sees what was done before the Release that gave the permit. SeqCst: invariant 1.
            match self.permits.compare_exchange_weak(
                permits,
                permits - 1,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return true,
                Err(now) => permits = now,
            }
        }
        false
    }

    /// Adds `count` permits and wakes as many waiters.
    ///
    /// # Panics
    /// If there would be more than `u32::MAX` permits; none is added then.
    #[inline]
    #[track_caller]
    pub fn release(&self, count: u32) {
        let mut permits = self.permits.load(Ordering::Relaxed);
        loop {
            let more = permits
                .checked_add(count)
                .expect("a semaphore holds at most u32::MAX permits");
            // Release: publishes what was done before to whoever takes the permit. SeqCst: invariant 1.
            match self.permits.compare_exchange_weak(
                permits,
                more,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => permits = now,
            }
        }
        seqcst_order();
        // SeqCst: invariant 1.
        if self.waiters.load(Ordering::SeqCst) != 0 {
            futex::wake(&self.permits, count);
        }
    }

    /// How many permits are there now; of the past as soon as it is known.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.permits.load(Ordering::Relaxed)
    }

    #[cold]
    #[track_caller]
    fn acquire_contended(&self, deadline: Deadline) -> bool {
        let rounds = spin::rounds();
        for _ in 0..rounds {
            spin_loop();
            if self.try_acquire() {
                spin::learn(true);
                return true;
            }
        }
        if rounds > 0 {
            spin::learn(false);
        }
        // SeqCst: invariant 1. The guard counts this thread out again, also when `park` panics.
        self.waiters.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        let waiter = Waiter(self);
        loop {
            if self.try_acquire() {
                drop(waiter);
                // Invariant 2.
                if self.permits.load(Ordering::SeqCst) > 0
                    && self.waiters.load(Ordering::SeqCst) != 0
                {
                    futex::wake(&self.permits, 1);
                }
                return true;
            }
            if park(&self.permits, 0, WAITS, deadline, || true, &"a semaphore") == Parked::TimedOut
            {
                return self.try_acquire();
            }
        }
    }
}

/// Counts a waiter out again.
struct Waiter<'a>(&'a RawSemaphore);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for RawSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSemaphore")
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

/// A counting semaphore.
///
/// ```
/// use heddle_atomics::Semaphore;
///
/// let semaphore = Semaphore::new(2);
/// let first = semaphore.acquire();
/// let second = semaphore.acquire();
/// assert!(semaphore.try_acquire().is_none());
/// drop(first);
/// assert_eq!(semaphore.available(), 1);
/// # drop(second);
/// ```
#[derive(Debug)]
pub struct Semaphore {
    raw: RawSemaphore,
}

impl Semaphore {
    const_unless_loom! {
        /// One with `permits` to take.
        #[must_use]
        pub fn new(permits: u32) -> Self {
            Self { raw: RawSemaphore::new(permits) }
        }
    }

    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Panics
    /// If the thread may not block and none comes within [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.raw.acquire();
        Permit { semaphore: self }
    }

    /// Takes a permit if there is one.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.raw.try_acquire().then(|| Permit { semaphore: self })
    }

    /// Takes a permit, waiting for at most `timeout`.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.raw
            .acquire_timeout(timeout)
            .then(|| Permit { semaphore: self })
    }

    /// Adds `count` permits, whether or not they were taken before.
    ///
    /// # Panics
    /// If there would be more than `u32::MAX` permits; none is added then.
    #[track_caller]
    pub fn release(&self, count: u32) {
        self.raw.release(count);
    }

    /// How many permits are there now; of the past as soon as it is known.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.raw.available()
    }

    /// The record, for those who know it by address.
    pub fn raw(&self) -> &RawSemaphore {
        &self.raw
    }
}

/// A permit of a [`Semaphore`], given back when it is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit out: somebody will [`release`](Semaphore::release) it.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.raw.release(1);
    }
}
