//! A counting semaphore: so many permits, taken one or several at a time, given back by anybody.
//!
//! It promises: never more permits out than were put in; a release that makes an acquire possible wakes a waiter.
//! Nobody owns a permit: those of a thread that died are gone until somebody releases them in its place.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `permits` | those that may be taken now |
//! | `waiters` | how many have announced themselves; 0 spares the releaser the rest |
//! | `sequence` | one more when waiters should look again; they sleep on the value they read before they looked |
//! | `claimant` | a waiter that lost its patience: permits are kept for it; 0 is none |
//! | `demand` | how many the claimant waits for |
//! | `heavy` | how many waiters want more than one permit |
//!
//! # Invariants
//! 1. A waiter counts itself and reads `sequence` before it looks at `permits`; a releaser adds permits before it looks at
//!    `waiters`, and changes `sequence` before it wakes. Either the waiter sees the permits or it doesn't sleep on.
//! 2. Whoever takes permits after waiting and leaves others wakes the next waiter: one wake may have been given for several permits.
//! 3. A wake of some must not end with one that can't use it: while there is a claimant, or a heavy waiter, all are woken.
//! 4. The end of a claim, however it ends, has all waiters look.
//!
//! # Fairness
//! Who comes while permits are there takes them, also before somebody just woken (barging). But a waiter that was woken [`PATIENCE`]
//! times in vain claims permits, unless somebody else has: from then on nobody begins to take any, until the claimant has had as many
//! as it waits for; each thread that had looked just before may still take what it came for. So neither a waiter for one permit
//! nor one for many starves. (One that wants more than there will ever be keeps all others out once it has claimed.) A claimant that
//! nobody can know to be able to come, for it is in no registry or is a task, is passed over when its permits have been there for
//! [`CLAIM_LIFETIME_MS`]. Natively only threads have a clock to see that: before a task that has claimed and isn't polled, other tasks wait.
//!
//! # Memory orderings
//! Taking is `Acquire`, releasing `Release`, a pair on `permits`. Invariant 1 is a store followed by a load of another
//! word on both sides, so all of these are SeqCst; so is everything about claims, off the fast path.

#[cfg(not(any(loom, shuttle)))]
use crate::layout::PATIENCE;
use crate::{
    Deadline, Parked, futex,
    layout::{CLAIM_LIFETIME_MS, WAITING_FOR_SEMAPHORE},
    park,
    registry::{self, Token, WAITS_ON_SEQUENCE},
    seam::{AtomicU32, Ordering, seqcst_order, spin_loop},
    spin,
};
use core::{fmt, time::Duration};

/// The models' threads lose their patience at once.
#[cfg(any(loom, shuttle))]
const PATIENCE: u32 = 1;

/// The record of a semaphore, at an address that TypeScript may share (`Semaphore` in `docs/layout.md`).
#[repr(C)]
pub struct RawSemaphore {
    permits: AtomicU32,
    waiters: AtomicU32,
    sequence: AtomicU32,
    claimant: AtomicU32,
    demand: AtomicU32,
    heavy: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::semaphore;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawSemaphore, permits) == semaphore::PERMITS);
    assert!(offset_of!(RawSemaphore, waiters) == semaphore::WAITERS);
    assert!(offset_of!(RawSemaphore, sequence) == semaphore::SEQUENCE);
    assert!(offset_of!(RawSemaphore, claimant) == semaphore::CLAIMANT);
    assert!(offset_of!(RawSemaphore, demand) == semaphore::DEMAND);
    assert!(offset_of!(RawSemaphore, heavy) == semaphore::HEAVY);
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
                sequence: AtomicU32::new(0),
                claimant: AtomicU32::new(0),
                demand: AtomicU32::new(0),
                heavy: AtomicU32::new(0),
            }
        }
    }

    /// Takes `count` permits at once, waiting as long as it takes.
    ///
    /// # Panics
    /// If the thread may not block and they don't come within [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn acquire(&self, count: u32) {
        if !self.try_acquire(count) {
            self.acquire_contended(count, Deadline::NEVER);
        }
    }

    /// Takes `count` permits at once, waiting for at most `timeout`; `false` if they didn't come.
    ///
    /// # Panics
    /// As [`RawSemaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_timeout(&self, count: u32, timeout: Duration) -> bool {
        self.try_acquire(count) || self.acquire_contended(count, Deadline::after(timeout))
    }

    /// Takes `count` permits at once if they are there, and aren't kept for somebody else.
    #[inline]
    pub fn try_acquire(&self, count: u32) -> bool {
        // Relaxed: a claim that is missed is one that was made just now.
        (self.claimant.load(Ordering::Relaxed) == 0 || !self.is_claimed()) && self.take(count)
    }

    /// Takes `count` permits at once, as a task.
    ///
    /// Dropped before it is ready, the future has taken none.
    pub async fn acquire_async(&self, count: u32) {
        if !self.try_acquire(count) {
            self.acquire_contended_async(count).await;
        }
    }

    #[inline]
    fn take(&self, count: u32) -> bool {
        let mut permits = self.permits.load(Ordering::SeqCst);
        while permits >= count {
            // Acquire: sees what was done before the Release that gave the permit. SeqCst: invariant 1.
            match self.permits.compare_exchange_weak(
                permits,
                permits - count,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return true,
                Err(now) => permits = now,
            }
        }
        false
    }

    /// Adds `count` permits and wakes those who can use them.
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
            self.wake(count);
        }
    }

    /// How many permits are there now; of the past as soon as it is known.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.permits.load(Ordering::Relaxed)
    }

    /// The waiter for whom permits are kept; of interest only to people and to tests.
    #[must_use]
    pub fn claimant(&self) -> Option<Token> {
        match self.claimant.load(Ordering::SeqCst) {
            0 => None,
            claimant => Some(Token(claimant)),
        }
    }

    /// Has `count` waiters look again, or all of them (invariant 3).
    #[cold]
    fn wake(&self, count: u32) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        let is_for_all =
            self.claimant.load(Ordering::SeqCst) != 0 || self.heavy.load(Ordering::SeqCst) != 0;
        futex::wake(&self.sequence, if is_for_all { u32::MAX } else { count });
    }

    /// Whether there is a claimant that may still come.
    #[cold]
    fn is_claimed(&self) -> bool {
        match self.claimant.load(Ordering::SeqCst) {
            0 => false,
            claimant => registry::is_live(Token(claimant)),
        }
    }

    #[cold]
    #[track_caller]
    fn acquire_contended(&self, count: u32, deadline: Deadline) -> bool {
        let rounds = spin::rounds();
        for _ in 0..rounds {
            spin_loop();
            if self.try_acquire(count) {
                spin::learn(true);
                return true;
            }
        }
        if rounds > 0 {
            spin::learn(false);
        }
        // Its end counts this thread out again, also when `park` panics.
        let mut waiter = Waiter::new(self, count, registry::current());
        let mut is_over = false;
        loop {
            // SeqCst: invariant 1.
            let sequence = self.sequence.load(Ordering::SeqCst);
            seqcst_order();
            if waiter.take() {
                return true;
            }
            if is_over {
                return false;
            }
            is_over = self.sleep(sequence, deadline) == Parked::TimedOut;
            waiter.lose_patience();
        }
    }

    /// [`RawSemaphore::acquire_contended`] for a task.
    #[cold]
    async fn acquire_contended_async(&self, count: u32) {
        // Nobody can know when this task gets to run. Its end counts it out again, also when the future is dropped.
        let mut waiter = Waiter::new(self, count, Token::UNREGISTERED);
        loop {
            // Before the look: whoever dies after it has the wait end.
            let deaths = registry::deaths();
            // SeqCst: invariant 1.
            let sequence = self.sequence.load(Ordering::SeqCst);
            seqcst_order();
            if waiter.take() {
                return;
            }
            let claimant = self.claimant.load(Ordering::SeqCst);
            let limit = (claimant == Token::UNREGISTERED.bits() && !waiter.is_claimant)
                .then_some(Duration::from_millis(CLAIM_LIFETIME_MS.into()));
            if futex::wait_async(&self.sequence, sequence, deaths, limit).await {
                waiter.lose_patience();
            } else {
                self.expire(claimant, sequence);
            }
        }
    }

    #[track_caller]
    fn sleep(&self, sequence: u32, deadline: Deadline) -> Parked {
        let claimant = self.claimant.load(Ordering::SeqCst);
        let expires = claimant == Token::UNREGISTERED.bits();
        // A reaper can't tell a thread outside the registry that the claimant has died.
        let looks_again = claimant != 0 && (expires || !registry::current().is_registered());
        let looks_again = looks_again && cfg!(not(loom));
        let sooner = if looks_again {
            deadline.at_most(Duration::from_millis(CLAIM_LIFETIME_MS.into()))
        } else {
            deadline
        };
        let parked = park(
            &self.sequence,
            sequence,
            WAITS_ON_SEQUENCE | WAITING_FOR_SEMAPHORE,
            sooner,
            || true,
            &"a semaphore",
        );
        if parked == Parked::TimedOut && looks_again && !deadline.has_passed() {
            if expires {
                self.expire(claimant, sequence);
            }
            return Parked::Look;
        }
        parked
    }

    /// Ends a claim that has lasted for as long as one lives, if nothing happened meanwhile and its permits are there.
    fn expire(&self, claimant: u32, sequence: u32) {
        let could_have_come = self.available() >= self.demand.load(Ordering::SeqCst);
        if could_have_come && self.sequence.load(Ordering::SeqCst) == sequence {
            self.end_claim_of(claimant);
        }
    }

    fn end_claim_of(&self, claimant: u32) {
        let ended = self
            .claimant
            .compare_exchange(claimant, 0, Ordering::SeqCst, Ordering::SeqCst);
        seqcst_order();
        if ended.is_ok() && self.waiters.load(Ordering::SeqCst) != 0 {
            // Invariant 4.
            self.sequence.fetch_add(1, Ordering::SeqCst);
            futex::wake_all(&self.sequence);
        }
    }
}

/// One that waits: counted from its beginning to its end, and perhaps the claimant.
struct Waiter<'a> {
    semaphore: &'a RawSemaphore,
    count: u32,
    me: Token,
    lost: u32,
    is_claimant: bool,
    has_taken: bool,
}

impl<'a> Waiter<'a> {
    fn new(semaphore: &'a RawSemaphore, count: u32, me: Token) -> Self {
        // SeqCst: invariant 1.
        semaphore.waiters.fetch_add(1, Ordering::SeqCst);
        if count > 1 {
            semaphore.heavy.fetch_add(1, Ordering::SeqCst);
        }
        seqcst_order();
        Self {
            semaphore,
            count,
            me,
            lost: 0,
            is_claimant: false,
            has_taken: false,
        }
    }

    fn take(&mut self) -> bool {
        self.has_taken =
            (self.is_claimant || !self.semaphore.is_claimed()) && self.semaphore.take(self.count);
        self.has_taken
    }

    /// A wake-up was in vain.
    fn lose_patience(&mut self) {
        self.lost += 1;
        if self.lost < PATIENCE {
            return;
        }
        let Self { semaphore, me, .. } = *self;
        let before = semaphore.claimant.load(Ordering::SeqCst);
        // The dead keep nothing for themselves.
        let is_free = before == 0 || !registry::is_live(Token(before));
        if is_free {
            let taken = semaphore.claimant.compare_exchange(
                before,
                me.bits(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            self.is_claimant = taken.is_ok();
            if self.is_claimant {
                semaphore.demand.store(self.count, Ordering::SeqCst);
            }
        } else {
            // One that expired, or was ended by another that shares the token, is made again later.
            self.is_claimant &= before == me.bits();
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let semaphore = self.semaphore;
        if self.count > 1 {
            semaphore.heavy.fetch_sub(1, Ordering::SeqCst);
        }
        semaphore.waiters.fetch_sub(1, Ordering::SeqCst);
        seqcst_order();
        if self.is_claimant {
            semaphore.end_claim_of(self.me.bits());
        } else if self.has_taken
            && semaphore.permits.load(Ordering::SeqCst) > 0
            && semaphore.waiters.load(Ordering::SeqCst) != 0
        {
            // Invariant 2.
            semaphore.wake(1);
        }
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
///
/// It lies in memory as its [`RawSemaphore`] does, and as TypeScript's `Semaphore`.
#[derive(Debug)]
#[repr(transparent)]
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
        self.acquire_many(1)
    }

    /// Takes `count` permits at once, waiting as long as it takes.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> Permit<'_> {
        self.raw.acquire(count);
        Permit {
            semaphore: self,
            count,
        }
    }

    /// Takes a permit if there is one.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits at once if they are there, and aren't kept for somebody who has waited too long.
    #[inline]
    pub fn try_acquire_many(&self, count: u32) -> Option<Permit<'_>> {
        self.raw.try_acquire(count).then(|| Permit {
            semaphore: self,
            count,
        })
    }

    /// Takes a permit as a task: the future waits for it without blocking its thread.
    ///
    /// Dropped before it is ready, it has taken none.
    pub async fn acquire_async(&self) -> Permit<'_> {
        self.acquire_many_async(1).await
    }

    /// Takes `count` permits at once, as a task.
    ///
    /// Dropped before it is ready, the future has taken none.
    pub async fn acquire_many_async(&self, count: u32) -> Permit<'_> {
        self.raw.acquire_async(count).await;
        Permit {
            semaphore: self,
            count,
        }
    }

    /// Takes a permit, waiting for at most `timeout`.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Takes `count` permits at once, waiting for at most `timeout`.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: u32, timeout: Duration) -> Option<Permit<'_>> {
        self.raw.acquire_timeout(count, timeout).then(|| Permit {
            semaphore: self,
            count,
        })
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

/// A permit of a [`Semaphore`], or several, given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl Permit<'_> {
    /// How many permits these are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Keeps the permit out: somebody will [`release`](Semaphore::release) it.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.raw.release(self.count);
    }
}
