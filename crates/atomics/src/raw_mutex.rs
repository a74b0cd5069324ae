//! A mutual exclusion lock in one word, which knows its owner.
//!
//! It promises: one owner at a time; what an owner wrote, the next one sees; an unlock with waiters wakes one; an owner
//! that died is noticed, by those who wait and by those who come.
//!
//! # State
//! | word | means |
//! |---|---|
//! | 0 | free |
//! | owner | taken, nobody waits |
//! | owner + `CONTENDED` | taken, somebody may be waiting: unlocking must wake |
//! | `POISONED` | free; an owner died or panicked in it |
//! | owner + `POISONED` (+ `CONTENDED`) | taken, by somebody who was told |
//! | `RESERVED` + `CONTENDED` (+ `POISONED`) | free, and kept for the claimant |
//!
//! Owner is a registry slot and its generation ([`registry::Token`]). A second word names the *claimant*, a waiter that lost its
//! patience; 0 is none.
//!
//! # Invariants
//! 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
//! 2. Whoever sleeps has set `CONTENDED` or seen it set, and whoever wakes up takes the lock with `CONTENDED`: so while
//!    anybody sleeps, either the bit is set or somebody is awake who will set it.
//! 3. `POISONED` is set by the end of an owner and cleared by [`RawMutex::clear_poison`] only.
//! 4. A reservation holds as long as its claimant lives. Who sees that it doesn't, or that there is none, takes the lock as if it
//!    were free. So a claim can only cost time, never the lock; and who reserves wakes all, so that everybody sees it.
//! 5. The claimant never sleeps while the lock is kept: it looks at the word after it has claimed, for who reserves may have woken
//!    all between the two.
//!
//! # Fairness
//! A thread that comes while the lock is free takes it, also before one just woken (barging): that keeps the lock busy, and each
//! unlock wakes a waiter. But a waiter that was woken [`PATIENCE`] times in vain claims the lock, unless somebody else
//! has: from when it sleeps again, the next unlock keeps it for the claimant, and whoever comes meanwhile waits. So a claimant is passed over
//! no more, and any waiter only while it loses [`PATIENCE`] wake-ups, in the order of the host's queue, and while other claimants
//! are served. A *fair* unlock ([`RawMutex::unlock_fair`]) keeps the lock at once for whoever sleeps longest, be that a thread or a task.
//! A claimant that nobody can know to be able to come, for it is in no registry or is a task, has [`CLAIM_LIFETIME_MS`] to come. Natively only
//! threads have a clock to see that: before a task that has claimed and isn't polled, other tasks wait.
//!
//! # Memory orderings
//! Taking the lock is `Acquire`, letting go `Release`: a pair on `word` that hands over the data. The reaper's write
//! that frees a dead owner's lock hands over only what that owner had published; the data may be torn, which is
//! what `POISONED` says.
//!
//! # Source
//! U. Drepper, "Futexes Are Tricky" (mutex 2), with the owner in the word as in Linux's robust futexes. That a lock which is unfair
//! for speed must become fair in the end is WebKit's `WTF::Lock`'s and parking_lot's; they go by time, this one by lost wake-ups.

mod task;

use crate::{
    Deadline, Parked, deadlock, futex,
    layout::{
        CLAIM_LIFETIME_MS, CLAIM_OPEN, CONTENDED, OWNER_MASK, OWNER_SLOT_MASK, POISONED, RESERVED,
        UNLOCKED,
    },
    lock_order, park,
    registry::{self, Token, WAITS_ON_MUTEX},
    seam::{AtomicU32, Ordering, spin_loop},
    spin,
};
use core::{fmt, time::Duration};

#[cfg(not(any(loom, shuttle)))]
use crate::layout::PATIENCE;
/// The models' threads lose their patience at once.
#[cfg(any(loom, shuttle))]
const PATIENCE: u32 = 1;

/// Whether the lock that was taken is poisoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a poisoned lock guards data that its last owner may have left half-changed"]
pub enum Poisoned {
    /// Every owner so far has let go properly.
    No,
    /// An owner died or panicked while it held the lock.
    Yes,
}

impl Poisoned {
    #[inline]
    pub(crate) const fn of(word: u32) -> Self {
        if word & POISONED == 0 {
            Self::No
        } else {
            Self::Yes
        }
    }
}

/// The record of a mutex, at an address that TypeScript may share (`Mutex` in `docs/layout.md`).
///
/// It guards no data by itself: see [`Mutex`](crate::Mutex).
#[repr(C)]
pub struct RawMutex {
    word: AtomicU32,
    claimant: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::mutex;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawMutex, word) == mutex::WORD);
    assert!(offset_of!(RawMutex, claimant) == mutex::CLAIMANT);
    assert!(size_of::<RawMutex>() == mutex::SIZE);
    assert!(align_of::<RawMutex>() == mutex::ALIGN);
};

impl RawMutex {
    const_unless_loom! {
        /// An unlocked mutex.
        #[must_use]
        pub fn new() -> Self {
            Self {
                word: AtomicU32::new(UNLOCKED),
                claimant: AtomicU32::new(0),
            }
        }
    }

    /// Takes the lock, waiting as long as it takes.
    ///
    /// # Panics
    /// If this thread holds the lock already (where it is registered), or if it may not block and the lock stays taken.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> Poisoned {
        self.lock_named(&"a mutex")
    }

    /// [`RawMutex::lock`], with the name that a panic gives the lock.
    #[inline]
    #[track_caller]
    pub fn lock_named(&self, name: &dyn fmt::Display) -> Poisoned {
        match self.lock_until(Deadline::NEVER, name) {
            Some(poisoned) => poisoned,
            None => unreachable!("a wait without a deadline doesn't time out"),
        }
    }

    /// Takes the lock if that is possible without waiting.
    #[inline]
    pub fn try_lock(&self) -> Option<Poisoned> {
        let me = registry::current();
        if self.take_free(me) {
            Some(Poisoned::No)
        } else {
            self.try_lock_slowly(me)
        }
    }

    /// Takes the lock, waiting for at most `timeout`; `None` if it wasn't to be had.
    ///
    /// # Panics
    /// As [`RawMutex::lock`].
    #[inline]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<Poisoned> {
        let me = registry::current();
        if self.take_free(me) {
            return Some(Poisoned::No);
        }
        self.lock_contended(me, Deadline::after(timeout), &"a mutex")
    }

    /// [`RawMutex::lock_named`] by the deadline; `None` if it wasn't to be had.
    #[inline]
    #[track_caller]
    pub fn lock_until(&self, deadline: Deadline, name: &dyn fmt::Display) -> Option<Poisoned> {
        if !deadline.is_set() {
            lock_order::check(self);
        }
        let me = registry::current();
        if self.take_free(me) {
            return Some(Poisoned::No);
        }
        self.lock_contended(me, deadline, name)
    }

    /// How the lock is if it is anybody's to take, in the one order of all SeqCst accesses.
    #[inline]
    pub(crate) fn free(&self) -> Option<Poisoned> {
        let word = self.word.load(Ordering::SeqCst);
        (word & OWNER_MASK == 0).then(|| Poisoned::of(word))
    }

    /// Lets go of the lock and wakes a waiter if there is one.
    ///
    /// # Safety
    /// This thread holds the lock, and nothing that the lock guards is used on the strength of it any more.
    #[inline]
    pub unsafe fn unlock(&self) {
        lock_order::note_released(self);
        let me = registry::current().bits();
        // Release: publishes what was done under the lock to the Acquire of the next owner.
        if self
            .word
            .compare_exchange(me, UNLOCKED, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unlock_slowly();
        }
    }

    /// Lets go of the lock for the waiter that has slept longest, if there is one: nobody who comes meanwhile takes it.
    ///
    /// It costs both threads the time of a wake-up in which nobody has the lock.
    ///
    /// # Safety
    /// As [`RawMutex::unlock`].
    pub unsafe fn unlock_fair(&self) {
        let has_waiters = self.word.load(Ordering::Relaxed) & CONTENDED != 0;
        if has_waiters {
            // SeqCst: off the fast path; with the loads in `claimant_lives`. A claimant that is there goes first.
            let _claimed =
                self.claimant
                    .compare_exchange(0, CLAIM_OPEN, Ordering::SeqCst, Ordering::SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { self.unlock() };
    }

    /// Marks the lock as poisoned, for the owner's own use when it panics.
    #[cold]
    pub fn poison(&self) {
        // Relaxed: whoever takes the lock later reads the word through the unlock that follows.
        self.word.fetch_or(POISONED, Ordering::Relaxed);
    }

    /// Declares what the lock guards sound again.
    pub fn clear_poison(&self) {
        // Relaxed: as in `poison`, the lock itself orders the data.
        self.word.fetch_and(!POISONED, Ordering::Relaxed);
    }

    /// Whether an owner died or panicked in the lock. May change at any time unless this thread holds it.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.word.load(Ordering::Relaxed) & POISONED != 0
    }

    /// Who holds the lock; of interest only to people and to the owner itself.
    #[must_use]
    pub fn owner(&self) -> Option<Token> {
        Token::of_lock_word(self.word.load(Ordering::Relaxed))
    }

    /// The waiter for whom the next unlock keeps the lock, or this one has; of interest only to people and to tests.
    #[must_use]
    pub fn claimant(&self) -> Option<Token> {
        let claimant = self.claimant.load(Ordering::SeqCst);
        // A claim counts as soon as the claimant waits: an unlock without waiters doesn't look for it.
        let has_waiters = self.word.load(Ordering::SeqCst) & CONTENDED != 0;
        (claimant != 0 && has_waiters).then_some(Token(claimant))
    }

    #[inline]
    fn take_free(&self, me: Token) -> bool {
        // Acquire: sees what the last owner released.
        let is_taken = self
            .word
            .compare_exchange(UNLOCKED, me.bits(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if is_taken {
            lock_order::note_taken(self);
        }
        is_taken
    }

    /// Takes the lock whose word was just seen as `word` if nobody lives in it and it isn't kept for somebody else.
    /// `Err` has the word as it is now.
    ///
    /// `extra` is `CONTENDED` once this thread has slept (invariant 2).
    fn take_unowned(
        &self,
        word: u32,
        me: Token,
        extra: u32,
        is_claimant: bool,
    ) -> Option<Result<Poisoned, u32>> {
        let taken = match Token::of_lock_word(word) {
            None if word & RESERVED != 0 && !is_claimant && self.is_kept(extra != 0) => {
                return None;
            }
            None => me.bits() | extra | word & (POISONED | CONTENDED),
            // The dead leave their waiters to us.
            Some(owner) if !registry::is_live(owner) => me.bits() | POISONED | CONTENDED,
            Some(_) => return None,
        };
        // Acquire: sees what the last owner released.
        Some(
            match self
                .word
                .compare_exchange(word, taken, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => {
                    lock_order::note_taken(self);
                    Ok(Poisoned::of(taken))
                }
                Err(now) => Err(now),
            },
        )
    }

    #[cold]
    fn try_lock_slowly(&self, me: Token) -> Option<Poisoned> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.take_unowned(word, me, 0, false)? {
                Ok(poisoned) => return Some(poisoned),
                Err(now) => word = now,
            }
        }
    }

    #[cold]
    #[track_caller]
    fn lock_contended(
        &self,
        me: Token,
        deadline: Deadline,
        name: &dyn fmt::Display,
    ) -> Option<Poisoned> {
        let rounds = spin::rounds();
        let mut spun = 0;
        let mut extra = 0;
        let mut claim = Claim::new(self, me);
        let mut is_over = false;
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.take_unowned(word, me, extra, claim.is_made) {
                Some(Ok(poisoned)) => {
                    if word & RESERVED != 0 {
                        self.drop_claim_of(CLAIM_OPEN);
                    }
                    if spun > 0 {
                        spin::learn(spun < rounds);
                    }
                    return Some(poisoned);
                }
                Some(Err(now)) => {
                    word = now;
                    continue;
                }
                None if is_over => return None,
                None => {}
            }
            assert!(
                !me.is_registered() || Token::of_lock_word(word) != Some(me),
                "{name} at {self:p} is held by this very thread ({me:?})"
            );
            // Spin while nobody sleeps: behind sleepers it would only be unfair.
            if spun < rounds && word & CONTENDED == 0 {
                spun += 1;
                spin_loop();
                word = self.word.load(Ordering::Relaxed);
                continue;
            }
            if extra != 0 && claim.lose_patience() {
                // Invariant 5: the word may look as it did, and be for this thread now.
                word = self.word.load(Ordering::Relaxed);
                continue;
            }
            if word & CONTENDED == 0 {
                // Relaxed: the bit publishes nothing; the wait compares it.
                match self.word.compare_exchange(
                    word,
                    word | CONTENDED,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => word |= CONTENDED,
                    Err(now) => {
                        word = now;
                        continue;
                    }
                }
            }
            is_over = self.sleep(word, deadline, name) == Parked::TimedOut;
            extra = CONTENDED;
            word = self.word.load(Ordering::Relaxed);
        }
    }

    /// Sleeps while the lock is as `word` says: held by somebody, or kept for somebody else.
    #[track_caller]
    fn sleep(&self, word: u32, deadline: Deadline, name: &dyn fmt::Display) -> Parked {
        // Whoever is waited for may have died before a reaper could know that we wait.
        if let Some(owner) = Token::of_lock_word(word) {
            let owner_lives = || {
                if !deadline.is_set() {
                    deadlock::check(registry::current(), self, name);
                }
                registry::is_live(owner)
            };
            return park(
                &self.word,
                word,
                WAITS_ON_MUTEX,
                deadline,
                owner_lives,
                name,
            );
        }
        let claimant = self.claimant.load(Ordering::SeqCst);
        let expires = !Token(claimant).is_registered();
        // A reaper can't tell a thread outside the registry that the claimant has died.
        let looks_again = (expires || !registry::current().is_registered()) && cfg!(not(loom));
        let sooner = if looks_again {
            deadline.at_most(Duration::from_millis(CLAIM_LIFETIME_MS.into()))
        } else {
            deadline
        };
        let claimant_lives = || self.claimant_lives();
        let parked = park(
            &self.word,
            word,
            WAITS_ON_MUTEX,
            sooner,
            claimant_lives,
            name,
        );
        if parked == Parked::TimedOut && looks_again && !deadline.has_passed() {
            if expires && self.word.load(Ordering::Relaxed) == word {
                self.drop_claim_of(claimant);
            }
            return Parked::Look;
        }
        parked
    }

    #[cold]
    fn unlock_slowly(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        debug_assert_eq!(
            Token::of_lock_word(word),
            Some(registry::current()),
            "a mutex is unlocked by its owner"
        );
        loop {
            let keeps = word & CONTENDED != 0 && self.claimant_lives();
            let freed = word & POISONED | if keeps { RESERVED | CONTENDED } else { 0 };
            // Release: as in `unlock`.
            match self
                .word
                .compare_exchange(word, freed, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) if keeps => self.wake_claimant(),
                Ok(_) if word & CONTENDED != 0 => _ = futex::wake(&self.word, 1),
                Ok(_) => {}
                Err(now) => {
                    word = now;
                    continue;
                }
            }
            return;
        }
    }

    /// Wakes whoever the lock is kept for.
    fn wake_claimant(&self) {
        if self.claimant.load(Ordering::SeqCst) == CLAIM_OPEN {
            // Whoever has slept longest. Nobody slept yet: then nobody need be waited for.
            if futex::wake(&self.word, 1) == 0 && self.drop_claim_of(CLAIM_OPEN) {
                self.give_reservation_back();
            }
        } else {
            // Invariant 4: the claimant isn't always the first in the queue.
            futex::wake_all(&self.word);
        }
    }

    /// Whether a reserved lock is kept for somebody else than this thread, which has slept for it or not.
    fn is_kept(&self, has_slept: bool) -> bool {
        match self.claimant.load(Ordering::SeqCst) {
            CLAIM_OPEN => !has_slept,
            claimant => claimant != 0 && registry::is_live(Token(claimant)),
        }
    }

    /// Whether there is a claimant that may still come.
    fn claimant_lives(&self) -> bool {
        match self.claimant.load(Ordering::SeqCst) {
            0 => false,
            claimant => registry::is_live(Token(claimant)),
        }
    }

    /// Ends the claim of `claimant`, if it is the present one.
    fn drop_claim_of(&self, claimant: u32) -> bool {
        // SeqCst: off the fast path; with the loads in `claimant_lives`.
        self.claimant
            .compare_exchange(claimant, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Makes the lock free, if it is kept for somebody who won't come, and has everybody look.
    fn give_reservation_back(&self) {
        let mut word = self.word.load(Ordering::SeqCst);
        while word & OWNER_SLOT_MASK == 0 && word & RESERVED != 0 {
            // Release: passes on what the last owner released.
            match self.word.compare_exchange(
                word,
                word & POISONED,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => {
                    futex::wake_all(&self.word);
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// What a reaper does for those who wait, before it wakes them: ends the claim of `dead`, and frees the lock that it held.
    pub(crate) fn abandon(&self, dead: Token) {
        if self.drop_claim_of(dead.bits()) {
            self.give_reservation_back();
        }
        registry::free_abandoned(&self.word, dead);
    }
}

/// The claim that a waiter makes when it has been patient for long enough. It ends with the wait, however that ends.
struct Claim<'a> {
    lock: &'a RawMutex,
    me: Token,
    lost: u32,
    is_made: bool,
}

impl<'a> Claim<'a> {
    fn new(lock: &'a RawMutex, me: Token) -> Self {
        Self {
            lock,
            me,
            lost: 0,
            is_made: false,
        }
    }

    /// A wake-up was in vain; `true` if this thread has become the claimant.
    fn lose_patience(&mut self) -> bool {
        self.lost += 1;
        if self.lost < PATIENCE {
            return false;
        }
        // SeqCst: off the fast path; with the loads in `claimant_lives`. One that expired, or was taken for another's by
        // threads that share a token, is made again.
        let seen = self.lock.claimant.compare_exchange(
            0,
            self.me.bits(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        self.is_made = match seen {
            Ok(_) => true,
            Err(claimant) => self.is_made && claimant == self.me.bits(),
        };
        seen.is_ok()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Once this thread has the lock, or has given up, nothing must be kept for it.
        if self.is_made && self.lock.drop_claim_of(self.me.bits()) {
            self.lock.give_reservation_back();
        }
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex")
            .field("owner", &self.owner())
            .field("is_poisoned", &self.is_poisoned())
            .finish()
    }
}
