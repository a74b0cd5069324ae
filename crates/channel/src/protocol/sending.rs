//! The sending side: getting a place in the ring, and handing it over.

use super::*;

/// A place at the end of the ring, and the right to write there.
pub(crate) struct Reserved<'a> {
    pub(super) core: &'a Core,
    pub(super) tail: u32,
    advance: u32,
    has_slept: bool,
    /// Whether this has the receiving side, too.
    has_both: bool,
}

impl Core {
    /// Waits for a place of `advance_at(position)` units of the ring, and takes the sending side.
    #[inline]
    #[track_caller]
    pub(crate) fn reserve(
        &self,
        advance_at: impl Fn(u32) -> u32,
        patience: Patience,
    ) -> Result<Reserved<'_>, Refusal> {
        take_within(&self.send_lock, SENDING, patience)?;
        match self.look_for_room(&advance_at, false) {
            Err(Refusal::NotNow) => self.reserve_patiently(&advance_at, patience),
            result => result,
        }
    }

    #[cold]
    #[track_caller]
    fn reserve_patiently(
        &self,
        advance_at: &dyn Fn(u32) -> u32,
        patience: Patience,
    ) -> Result<Reserved<'_>, Refusal> {
        let Patience::Until(deadline) = patience else {
            return Err(Refusal::NotNow);
        };
        // Before anything is announced: the other side needn't wake who is awake.
        if spin_for_batch(&self.head.position, self.head_seen.load(Ordering::Relaxed)) {
            take_within(&self.send_lock, SENDING, patience)?;
            match self.look_for_room(advance_at, false) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
        }
        let mut has_slept = false;
        loop {
            // Invariant 2.
            let waiting = self.head.announce();
            self.take_again(&self.send_lock, &self.head, has_slept, SENDING, deadline)?;
            // SeqCst: invariant 2. Before the look, so that what moves it later is seen.
            let head = self.head.position.load(Ordering::SeqCst);
            match self.look_for_room(advance_at, has_slept) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
            if self.close_if_deserted() {
                return Err(Refusal::Closed);
            }
            if !waiting.sleep(deadline, ROOM, || self.is_still_at(head)) {
                return Err(Refusal::TimedOut);
            }
            has_slept = true;
        }
    }

    /// Whether the head is where it was, and somebody is left who could move it.
    fn is_still_at(&self, head: u32) -> bool {
        self.head.position.load(Ordering::SeqCst) == head && !self.close_if_deserted()
    }

    /// Looks for a place with `send_lock`, and lets go of that if there is none.
    #[inline]
    pub(super) fn look_for_room(
        &self,
        advance_at: &(impl Fn(u32) -> u32 + ?Sized),
        has_slept: bool,
    ) -> Result<Reserved<'_>, Refusal> {
        // Relaxed: only the owner of the lock moves it; the flag is settled by `commit`.
        let tail = self.tail.position.load(Ordering::Relaxed);
        let reserved = Reserved {
            core: self,
            tail,
            advance: advance_at(tail & POSITION_MASK),
            has_slept,
            has_both: false,
        };
        if tail & POSITION_CLOSED != 0 {
            return Err(Refusal::Closed);
        }
        let limit = self.capacity().max(1);
        if reserved.fits_as_seen(limit) || reserved.fits_now(limit) {
            return Ok(reserved);
        }
        Err(Refusal::NotNow)
    }

    /// Reserves a place in a rendezvous if a receiver sleeps in it. Both sides are taken until the commit: a receiver that
    /// gives up looks once more, with its lock, after it is no longer counted.
    pub(crate) fn meet(&self, advance_at: impl Fn(u32) -> u32) -> Result<Reserved<'_>, Refusal> {
        take_within(&self.send_lock, SENDING, Patience::None)?;
        let mut reserved = self.look_for_room(&advance_at, false)?;
        take_within(&self.receive_lock, RECEIVING, Patience::None)?;
        reserved.has_both = true;
        if self.tail.waiting() == 0 {
            return Err(Refusal::NotNow);
        }
        Ok(reserved)
    }

    /// Waits until the message that ends at `end` has been taken out of a rendezvous. If it isn't in time, or the channel
    /// is closed, it comes back, claimed.
    #[track_caller]
    pub(crate) fn await_taken(
        &self,
        end: u32,
        deadline: Deadline,
    ) -> Result<(), (Refusal, Claimed<'_>)> {
        loop {
            let waiting = self.head.announce();
            if self.is_taken(end) {
                return Ok(());
            }
            let refusal = if self.is_closed() || self.close_if_deserted() {
                Refusal::Closed
            } else if waiting.sleep(deadline, "a receiver in a channel", || {
                !self.is_taken(end) && !self.is_closed() && !self.close_if_deserted()
            }) {
                continue;
            } else {
                Refusal::TimedOut
            };
            take(&self.receive_lock, RECEIVING);
            // Relaxed: only the owner of the lock moves it.
            let head = self.head.position.load(Ordering::Relaxed) & POSITION_MASK;
            let claimed = Claimed {
                core: self,
                head,
                has_slept: false,
            };
            // Nobody has looked at the message yet: what was seen of the tail must not be behind the head.
            claimed.look();
            return if self.is_taken(end) {
                Ok(())
            } else {
                Err((refusal, claimed))
            };
        }
    }

    pub(super) fn is_taken(&self, end: u32) -> bool {
        // SeqCst: invariant 2.
        let head = self.head.position.load(Ordering::SeqCst) & POSITION_MASK;
        head.wrapping_sub(end).cast_signed() >= 0
    }
}

impl Reserved<'_> {
    /// Where the message goes.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.tail & POSITION_MASK
    }

    /// How many units were reserved.
    #[inline]
    pub(crate) fn advance(&self) -> u32 {
        self.advance
    }

    /// Makes what was written there a message, and returns the position behind it. If the channel was closed meanwhile
    /// the place comes back, not yet let go of.
    #[inline]
    pub(crate) fn commit(self) -> Result<u32, Self> {
        let core = self.core;
        if !self.publish() {
            return Err(self);
        }
        self.count();
        let end = self.position().wrapping_add(self.advance);
        let has_room = self.has_slept && core.has_room_behind(end);
        drop(self);
        core.tail.signal(1);
        if has_room {
            core.head.signal(1);
        }
        Ok(end)
    }

    /// Makes what was written there a message and keeps the sending side; `false` if the channel was closed meanwhile.
    pub(crate) fn commit_and_keep(&mut self) -> bool {
        let is_sent = self.publish();
        if is_sent {
            self.count();
        }
        is_sent
    }

    /// Makes what was written there a frame of a message that goes on; `false` if the channel was closed meanwhile.
    pub(crate) fn commit_part(&mut self) -> bool {
        let is_sent = self.publish();
        if is_sent {
            self.core.tail.signal(1);
        }
        is_sent
    }

    /// A place for another message, if there is one, with the sending side.
    pub(crate) fn next(&mut self, advance_at: impl Fn(u32) -> u32) -> bool {
        self.move_to_tail(advance_at);
        let limit = self.core.capacity().max(1);
        self.tail & POSITION_CLOSED == 0 && (self.fits_as_seen(limit) || self.fits_now(limit))
    }

    /// Waits for a place for the next frame of a message, with the sending side.
    #[track_caller]
    pub(crate) fn next_part(
        &mut self,
        advance_at: impl Fn(u32) -> u32,
        deadline: Deadline,
    ) -> Result<(), Refusal> {
        loop {
            let waiting = self.core.head.announce();
            let head = self.core.head.position.load(Ordering::SeqCst);
            self.move_to_tail(&advance_at);
            if self.tail & POSITION_CLOSED != 0 || self.core.close_if_deserted() {
                return Err(Refusal::Closed);
            }
            if self.fits_now(u32::MAX) {
                return Ok(());
            }
            if !waiting.sleep(deadline, ROOM, || self.core.is_still_at(head)) {
                return Err(Refusal::TimedOut);
            }
        }
    }

    /// Asks for fewer units than were reserved.
    pub(crate) fn shorten(&mut self, units: u32) {
        self.advance -= units;
    }

    /// Lets go of the place.
    pub(crate) fn abandon(self) {
        let core = self.core;
        drop(self);
        // The receiver of a message that goes on may wait for its rest, and a select may have found the lock taken.
        core.tail.signal(ALL);
        core.head.signal(1);
    }

    pub(super) fn move_to_tail(&mut self, advance_at: impl Fn(u32) -> u32) {
        // Relaxed: only the owner of the lock moves it.
        self.tail = self.core.tail.position.load(Ordering::Relaxed);
        self.advance = advance_at(self.position());
    }

    #[inline]
    fn publish(&self) -> bool {
        let next = self.tail.wrapping_add(self.advance);
        // Publishes the frame to the look of a receiver; invariants 2 and 4.
        self.core
            .tail
            .position
            .compare_exchange(self.tail, next, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    fn count(&self) {
        self.core.count_one_more(&self.core.sent);
    }

    /// Whether the place is free by what was seen of the receivers last.
    #[inline]
    fn fits_as_seen(&self, limit: u32) -> bool {
        let core = self.core;
        self.fits(
            limit,
            core.head_seen.load(Ordering::Relaxed),
            core.received_seen.load(Ordering::Relaxed),
        )
    }

    /// Whether the place is free, by a fresh look at the receivers.
    pub(super) fn fits_now(&self, limit: u32) -> bool {
        let core = self.core;
        // Sees that a receiver has left the place; SeqCst for invariant 2.
        let head = core.head.position.load(Ordering::SeqCst);
        let received = core.received.load(Ordering::Relaxed);
        core.head_seen.store(head, Ordering::Relaxed);
        core.received_seen.store(received, Ordering::Relaxed);
        if head & POSITION_MASK == self.position() {
            // Empty, so nobody is receiving: the counts must agree (invariant 5).
            core.sent.store(received, Ordering::Relaxed);
        }
        self.fits(limit, head, received)
    }

    #[inline]
    fn fits(&self, limit: u32, head: u32, received: u32) -> bool {
        let core = self.core;
        let used = self.position().wrapping_sub(head & POSITION_MASK);
        let length = core.sent.load(Ordering::Relaxed).wrapping_sub(received);
        used + self.advance <= core.ring_size() && (length < limit || length.cast_signed() < 0)
    }
}

impl Drop for Reserved<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.has_both {
            // SAFETY: `meet` took the lock for this value.
            unsafe { self.core.receive_lock.unlock() };
        }
        // SAFETY: `reserve` or `meet` took the lock for this value.
        unsafe { self.core.send_lock.unlock() };
    }
}
