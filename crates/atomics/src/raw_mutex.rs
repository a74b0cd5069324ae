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
//!
//! Owner is a registry slot and its generation ([`registry::Token`]).
//!
//! # Invariants
//! 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
//! 2. Whoever sleeps has set `CONTENDED` or seen it set, and whoever wakes up takes the lock with `CONTENDED`: so while
//!    anybody sleeps, either the bit is set or somebody is awake who will set it.
//! 3. `POISONED` is set by the end of an owner and cleared by [`RawMutex::clear_poison`] only.
//!
//! # Fairness
//! None beyond the host's queue: a thread that comes while the lock is free takes it, also before one just woken
//! (barging). A waiter may be overtaken any number of times, but not slept through: each unlock wakes one.
//!
//! # Memory orderings
//! Taking the lock is `Acquire`, letting go `Release`: a pair on `word` that hands over the data. The reaper's write
//! that frees a dead owner's lock hands over only what that owner had published; the data may be torn, which is
//! what `POISONED` says.
//!
//! # Source
//! U. Drepper, "Futexes Are Tricky" (mutex 2), with the owner in the word as in Linux's robust futexes.

use crate::{
    Deadline, Parked, futex,
    layout::{CONTENDED, OWNER_MASK, POISONED, UNLOCKED},
    park,
    registry::{self, Token, WAITS_ON_MUTEX},
    seam::{AtomicU32, Ordering, spin_loop},
    spin,
};
use core::{fmt, time::Duration};

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
    impatient: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::mutex;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawMutex, word) == mutex::WORD);
    assert!(offset_of!(RawMutex, impatient) == mutex::IMPATIENT);
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
                impatient: AtomicU32::new(0),
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
        let me = registry::current();
        if self.take_free(me) {
            return Poisoned::No;
        }
        match self.lock_contended(me, Deadline::NEVER, name) {
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

    /// Takes the lock by the deadline; `None` if it wasn't to be had.
    #[inline]
    #[track_caller]
    pub(crate) fn lock_until(
        &self,
        deadline: Deadline,
        name: &dyn fmt::Display,
    ) -> Option<Poisoned> {
        let me = registry::current();
        if self.take_free(me) {
            return Some(Poisoned::No);
        }
        self.lock_contended(me, deadline, name)
    }

    /// How the lock is if nobody holds it, in the one order of all SeqCst accesses.
    #[inline]
    pub(crate) fn free(&self) -> Option<Poisoned> {
        let word = self.word.load(Ordering::SeqCst);
        match Token::of_lock_word(word) {
            None => Some(Poisoned::of(word)),
            Some(_) => None,
        }
    }

    /// Lets go of the lock and wakes a waiter if there is one.
    ///
    /// # Safety
    /// This thread holds the lock, and nothing that the lock guards is used on the strength of it any more.
    #[inline]
    pub unsafe fn unlock(&self) {
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

    #[inline]
    fn take_free(&self, me: Token) -> bool {
        // Acquire: sees what the last owner released.
        self.word
            .compare_exchange(UNLOCKED, me.bits(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the lock whose word was just seen as `word` if nobody lives in it. `Err` has the word as it is now.
    ///
    /// `extra` is `CONTENDED` once this thread has slept (invariant 2).
    fn take_unowned(&self, word: u32, me: Token, extra: u32) -> Option<Result<Poisoned, u32>> {
        let taken = match Token::of_lock_word(word) {
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
                Ok(_) => Ok(Poisoned::of(taken)),
                Err(now) => Err(now),
            },
        )
    }

    #[cold]
    fn try_lock_slowly(&self, me: Token) -> Option<Poisoned> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.take_unowned(word, me, 0)? {
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
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.take_unowned(word, me, extra) {
                Some(Ok(poisoned)) => {
                    if spun > 0 {
                        spin::learn(spun < rounds);
                    }
                    return Some(poisoned);
                }
                Some(Err(now)) => {
                    word = now;
                    continue;
                }
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
            let owner = Token(word & OWNER_MASK);
            let parked = park(
                &self.word,
                word,
                WAITS_ON_MUTEX,
                deadline,
                // The owner may have died before a reaper could know that we wait.
                || registry::is_live(owner),
                name,
            );
            extra = CONTENDED;
            word = self.word.load(Ordering::Relaxed);
            if parked == Parked::TimedOut {
                // It may have become free at the last moment.
                return match self.take_unowned(word, me, extra) {
                    Some(Ok(poisoned)) => Some(poisoned),
                    Some(Err(_)) | None => None,
                };
            }
        }
    }

    #[cold]
    fn unlock_slowly(&self) {
        // Release: as in `unlock`.
        let word = self.word.fetch_and(POISONED, Ordering::Release);
        debug_assert_eq!(
            Token::of_lock_word(word),
            Some(registry::current()),
            "a mutex is unlocked by its owner"
        );
        if word & CONTENDED != 0 {
            futex::wake(&self.word, 1);
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
