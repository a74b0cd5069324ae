//! Taking the lock as a task: the algorithm of the threads, but that a task has no slot in the registry, that another task of its thread
//! may have the lock, and that it may go away at any moment.

use super::{Claim, Poisoned, RawMutex};
use crate::{
    futex,
    layout::{CLAIM_LIFETIME_MS, CLAIM_OPEN, CONTENDED, OWNER_MASK, OWNER_SLOT_MASK, RESERVED},
    lock_order,
    registry::{self, Token},
    seam::Ordering,
};
use core::time::Duration;

impl RawMutex {
    /// Takes the lock as a task, for the thread that polls the future when it is ready.
    ///
    /// Dropped before it is ready, the future leaves no trace.
    pub async fn lock_async(&self) -> Poisoned {
        match self.try_lock() {
            Some(poisoned) => poisoned,
            None => self.lock_contended_async().await,
        }
    }

    /// [`RawMutex::lock_contended`] for a task, which may have the lock while another task of its thread waits for it.
    #[cold]
    async fn lock_contended_async(&self) -> Poisoned {
        // Nobody can know when this task gets to run.
        let mut claim = Claim::new(self, Token::UNREGISTERED);
        let waiting = WaitingTask(self);
        let mut extra = 0;
        loop {
            // Before the looks at who lives: whoever dies after them has the wait end.
            let deaths = registry::deaths();
            if let Some(word) = self.announce(claim.is_made)
                && self.is_held(word)
            {
                self.sleep_async(word, deaths).await;
                extra = CONTENDED;
            }
            if let Some(poisoned) = self.take_as_task(extra, claim.is_made) {
                core::mem::forget(waiting);
                return poisoned;
            }
            if extra != 0 {
                claim.lose_patience();
            }
        }
    }

    /// Says that somebody waits: the word as it is then; `None` if it changed before, or the lock is there to be taken.
    fn announce(&self, is_claimant: bool) -> Option<u32> {
        let word = self.word.load(Ordering::SeqCst);
        // Invariant 5.
        let kept_from = if is_claimant {
            OWNER_SLOT_MASK
        } else {
            OWNER_MASK
        };
        if word & kept_from == 0 {
            return None;
        }
        // Relaxed: as in `lock_contended`.
        let is_announced = word & CONTENDED != 0
            || self
                .word
                .compare_exchange(word, word | CONTENDED, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_announced.then_some(word | CONTENDED)
    }

    /// Whether somebody lives by whom the lock is held, or for whom it is kept.
    fn is_held(&self, word: u32) -> bool {
        match Token::of_lock_word(word) {
            Some(owner) => registry::is_live(owner),
            None => self.claimant_lives(),
        }
    }

    async fn sleep_async(&self, word: u32, deaths: u32) {
        let claimant = self.claimant.load(Ordering::SeqCst);
        let is_reserved = word & OWNER_SLOT_MASK == 0;
        let expires = is_reserved && !Token(claimant).is_registered();
        let limit = expires.then_some(Duration::from_millis(CLAIM_LIFETIME_MS.into()));
        let was_woken = futex::wait_async(&self.word, word, deaths, limit).await;
        if !was_woken && self.word.load(Ordering::Relaxed) == word {
            self.drop_claim_of(claimant);
        }
    }

    /// Makes the thread that runs this the owner of a lock that its task took as `owner`, on whatever thread it was polled then.
    ///
    /// `false` if the task has the lock no more: its thread was declared dead since, or has ended, and the lock was anybody's.
    #[doc(hidden)]
    #[must_use]
    pub fn move_here(&self, owner: Token) -> bool {
        let me = registry::current();
        let mut word = self.word.load(Ordering::Relaxed);
        // Nobody else takes the lock as a thread that lives, and the dead don't come back: as long as `owner` is in the word, the task
        // has the lock.
        while Token::of_lock_word(word) == Some(owner) {
            if owner == me {
                return true;
            }
            let moved = word & !OWNER_MASK | me.bits();
            // SeqCst: the caller may look next whether `owner` lives, of whom others look whether it still has the lock.
            match self
                .word
                .compare_exchange(word, moved, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => {
                    lock_order::note_taken(self);
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes the lock for the thread that runs this, if it is there to be taken.
    fn take_as_task(&self, extra: u32, is_claimant: bool) -> Option<Poisoned> {
        let me = registry::current();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.take_unowned(word, me, extra, is_claimant)? {
                Ok(poisoned) => {
                    if word & RESERVED != 0 {
                        self.drop_claim_of(CLAIM_OPEN);
                    }
                    return Some(poisoned);
                }
                Err(now) => word = now,
            }
        }
    }
}

/// A task that waits. Dropped with its future, it isn't the one any more for whom a fair unlock may have kept the lock.
struct WaitingTask<'a>(&'a RawMutex);

impl Drop for WaitingTask<'_> {
    fn drop(&mut self) {
        let word = self.0.word.load(Ordering::SeqCst);
        let is_reserved = word & OWNER_SLOT_MASK == 0 && word & RESERVED != 0;
        if is_reserved && self.0.drop_claim_of(CLAIM_OPEN) {
            self.0.give_reservation_back();
        }
    }
}
