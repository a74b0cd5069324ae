//! The receiving side: getting the oldest frame, and giving its place back.

use super::*;

/// The oldest message, and the right to take it.
pub(crate) struct Claimed<'a> {
    pub(super) core: &'a Core,
    pub(super) head: u32,
    pub(super) has_slept: bool,
}

impl Core {
    /// Waits for a message, and takes the receiving side.
    #[inline]
    #[track_caller]
    pub(crate) fn claim(&self, patience: Patience) -> Result<Claimed<'_>, Refusal> {
        take_within(&self.receive_lock, RECEIVING, patience)?;
        match self.look_for_message(false) {
            Err(Refusal::NotNow) => self.claim_patiently(patience),
            result => result,
        }
    }

    #[cold]
    #[track_caller]
    fn claim_patiently(&self, patience: Patience) -> Result<Claimed<'_>, Refusal> {
        let Patience::Until(deadline) = patience else {
            return Err(Refusal::NotNow);
        };
        // Before anything is announced, as in `reserve_patiently`.
        if spin_for_batch(&self.tail.position, self.tail_seen.load(Ordering::Relaxed)) {
            take_within(&self.receive_lock, RECEIVING, patience)?;
            match self.look_for_message(false) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
        }
        let mut has_slept = false;
        loop {
            // Invariant 2.
            let waiting = self.tail.announce();
            let taken = self.take_again(
                &self.receive_lock,
                &self.tail,
                has_slept,
                RECEIVING,
                deadline,
            );
            if taken.is_err() {
                drop(waiting);
                return self.claim_at_last();
            }
            match self.look_for_message(has_slept) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
            if self.close_if_deserted() {
                continue;
            }
            self.tell_of_receiver();
            if !waiting.sleep(deadline, MESSAGE, || self.is_empty_and_open()) {
                return self.claim_at_last();
            }
            has_slept = true;
        }
    }

    /// The last look of who gives up, and is no longer counted: in a rendezvous a sender may have counted on it.
    #[track_caller]
    fn claim_at_last(&self) -> Result<Claimed<'_>, Refusal> {
        if !self.is_rendezvous() {
            return Err(Refusal::TimedOut);
        }
        take(&self.receive_lock, RECEIVING);
        self.look_for_message(false).map_err(|_| Refusal::TimedOut)
    }

    /// Tells the selects that wait to send, once a receiver is counted: in a rendezvous that is what they wait for.
    pub(super) fn tell_of_receiver(&self) {
        if self.is_rendezvous() {
            self.head.signal_selects();
        }
    }

    fn is_empty_and_open(&self) -> bool {
        // SeqCst: invariant 2.
        let tail = self.tail.position.load(Ordering::SeqCst);
        let head = self.head.position.load(Ordering::SeqCst);
        (tail ^ head) & POSITION_MASK == 0
            && tail & POSITION_CLOSED == 0
            && !self.close_if_deserted()
    }

    /// Whether nobody alive has the sending side.
    pub(super) fn is_sender_gone(&self) -> bool {
        let Some(owner) = self.send_lock.owner() else {
            return true;
        };
        if registry::is_live(owner) {
            return false;
        }
        // A task may have taken the side along to another thread before its thread ended. SeqCst: with `move_here`, after which the
        // task looks whether that thread lives: either it sees the end, or this the move.
        fence(Ordering::SeqCst);
        self.send_lock.owner() == Some(owner)
    }

    /// Looks for a message with `receive_lock`, and lets go of that if there is none.
    #[inline]
    pub(super) fn look_for_message(&self, has_slept: bool) -> Result<Claimed<'_>, Refusal> {
        // Relaxed: only the owner of the lock moves it.
        let head = self.head.position.load(Ordering::Relaxed) & POSITION_MASK;
        let claimed = Claimed {
            core: self,
            head,
            has_slept,
        };
        if self.tail_seen.load(Ordering::Relaxed) & POSITION_MASK != head {
            return Ok(claimed);
        }
        let tail = claimed.look();
        if tail & POSITION_MASK != head {
            return Ok(claimed);
        }
        Err(if tail & POSITION_CLOSED == 0 {
            Refusal::NotNow
        } else {
            Refusal::Closed
        })
    }
}

impl Claimed<'_> {
    /// Where the oldest message is.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.head
    }

    /// How many units of the ring hold messages.
    pub(crate) fn used(&self) -> u32 {
        // Relaxed: written under this lock.
        (self.core.tail_seen.load(Ordering::Relaxed) & POSITION_MASK).wrapping_sub(self.head)
    }

    /// Takes the message, which was `advance` units long.
    #[inline]
    pub(crate) fn release(mut self, advance: u32) {
        self.pass(advance, true);
        self.leave();
    }

    /// Takes a message or a part of one, which was `advance` units long, and keeps the receiving side.
    #[inline]
    pub(crate) fn pass(&mut self, advance: u32, is_last: bool) {
        let core = self.core;
        if is_last {
            core.count_one_more(&core.received);
        }
        // Tells a sender's look that the place is free; invariant 2.
        core.head.position.fetch_add(advance, Ordering::SeqCst);
        self.head = self.head.wrapping_add(advance);
        if !is_last {
            core.head.signal(1);
        }
    }

    /// Lets go of the receiving side after something was taken.
    #[inline]
    pub(crate) fn leave(self) {
        let core = self.core;
        let has_more = self.has_slept && self.has_more();
        drop(self);
        core.head.signal(core.senders_to_wake());
        if has_more {
            core.tail.signal(1);
        }
    }

    /// Lets go of the receiving side; the message stays.
    pub(crate) fn keep(self) {
        let core = self.core;
        drop(self);
        core.tail.signal(1);
    }

    /// Whether there is a frame, by a fresh look.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.used() > 0 || self.look() & POSITION_MASK != self.head
    }

    /// Waits for the next frame of a message that goes on, with the receiving side; `false` if it won't come, because its
    /// sender died or gave up, or the channel was closed.
    #[track_caller]
    pub(crate) fn await_more(&mut self) -> bool {
        let core = self.core;
        loop {
            let waiting = core.tail.announce();
            if self.has_more() {
                return true;
            }
            if core.is_sender_gone() || core.is_closed() {
                // It may have sent the frame before it went.
                return self.has_more();
            }
            waiting.sleep(
                Deadline::NEVER,
                "the rest of a message in a channel",
                || {
                    let owner = core.send_lock.owner();
                    !self.has_more() && owner.is_some_and(registry::is_live) && !core.is_closed()
                },
            );
        }
    }

    /// The end of the messages by a fresh look, with its flag.
    pub(super) fn look(&self) -> u32 {
        // Sees what a sender published; SeqCst for invariant 2.
        let tail = self.core.tail.position.load(Ordering::SeqCst);
        self.core.tail_seen.store(tail, Ordering::Relaxed);
        tail
    }
}

impl Drop for Claimed<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `claim` took the lock for this value.
        unsafe { self.core.receive_lock.unlock() };
    }
}
