//! The protocol of every channel: a ring between two locks.
//!
//! It promises: what is sent is received once, by one receiver; what one sender sends is received in its order; a
//! closed channel gives what it still holds and then says that it is closed; a thread that dies loses at most the
//! message it was just sending, and one it was just receiving goes to another receiver.
//!
//! # State
//! Positions run freely modulo 2^32, in units of 8, so that three bits stay for flags; `position & (ring - 1)` is the
//! place in the ring. The ring holds what lies between `head` and `tail`.
//!
//! | word | written by | means |
//! |---|---|---|
//! | `send_lock` | senders | who is sending |
//! | `tail` | the sender with the lock; a closer | the position behind the last message, + `CLOSED` |
//! | `receive_lock` | receivers | who is receiving |
//! | `head` | the receiver with the lock; a closer | the position of the oldest message, + `CLOSED` |
//! | `sent`, `received` | the owner of the lock | messages so far; their difference is the length |
//! | `head_seen`, `received_seen`, `tail_seen` | the owner of the lock | what was read last from the other side, so that its cache line is read rarely |
//!
//! Who waits is in `side.rs`, who has ends in `ends.rs`, and how a message lies in several frames in `bytes.rs`.
//!
//! # Invariants
//! 1. Between `tail` and `head + ring` only the owner of `send_lock` writes; between `head` and `tail` only the owner of
//!    `receive_lock` reads. A frame exists exactly from the write of `tail` behind it to the write of `head` behind it:
//!    an owner that dies between leaves the channel as it was, and the poison of its lock can be cleared.
//! 2. Nobody sleeps with a lock, except in the middle of a message of several frames. Who changes a position tells the
//!    other side's waiters afterwards (invariant 1 of `side.rs`).
//! 3. Each change of a position wakes one while anybody is counted. A sender who slept and found room wakes the next if
//!    there is more room, since what one receiver frees may do for several messages. Who was woken and finds the lock
//!    taken wakes the next, since the owner may sleep in the middle of a message.
//! 4. `tail` is moved by compare-and-swap: a message and a close exclude each other, so a send that succeeded is received
//!    as long as anybody receives.
//! 5. `received` is written before `head`, `sent` after `tail`: dying between makes the channel look emptier by one,
//!    never fuller; when a sender finds the ring empty, the counts are made equal again.
//! 6. In a rendezvous (capacity 0) at most one message is in the ring, and its sender waits until `head` is behind it, or
//!    takes it back with `receive_lock`.
//!
//! # Fairness
//! That of the locks: none beyond the host's queue. A large message may wait while smaller ones pass.
//!
//! # Memory orderings
//! `tail`: the sender's compare-and-swap publishes the message to the receiver's load. `head`: the receiver's add
//! publishes that the place is free to the sender's load. Both pairs are Release/Acquire at least, and SeqCst
//! together with the waiters for invariant 2. What lies under one lock is ordered by that lock and is `Relaxed`.
//!
//! # Source
//! The two-lock queue of Michael and Scott (1996), on a ring.

use crate::{
    ends::{self, End, EndCounts, Ends},
    layout::{
        CHANNEL_MAGIC, CHANNEL_VERSION, COMPACT_PLACE_MIN, OPTION_COMPACT, POSITION_CLOSED,
        POSITION_MASK,
    },
    select::Operation,
    side::{ALL, Side},
};
use heddle_atomics::{
    Deadline, Poisoned, RawMutex, registry,
    seam::{AtomicU32, Ordering},
    spin_while,
};

/// The record at the head of a channel; see `ChannelHeader` in `docs/layout.md`.
#[repr(C, align(8))]
pub(crate) struct Core {
    magic: AtomicU32,
    version: AtomicU32,
    ring_size: AtomicU32,
    capacity: AtomicU32,
    senders: AtomicU32,
    receivers: AtomicU32,
    options: AtomicU32,
    ends_added: AtomicU32,
    unused_0: [u32; 8],

    send_lock: RawMutex,
    sent: AtomicU32,
    head_seen: AtomicU32,
    received_seen: AtomicU32,
    unused_1: [u32; 11],

    tail: Side,
    unused_2: [u32; 4],

    receive_lock: RawMutex,
    received: AtomicU32,
    tail_seen: AtomicU32,
    unused_3: [u32; 12],

    head: Side,
    unused_4: [u32; 4],

    ends: EndCounts,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::channel_header as layout;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Core, magic) == layout::MAGIC);
    assert!(offset_of!(Core, version) == layout::VERSION);
    assert!(offset_of!(Core, ring_size) == layout::RING_SIZE);
    assert!(offset_of!(Core, capacity) == layout::CAPACITY);
    assert!(offset_of!(Core, senders) == layout::SENDERS);
    assert!(offset_of!(Core, receivers) == layout::RECEIVERS);
    assert!(offset_of!(Core, options) == layout::OPTIONS);
    assert!(offset_of!(Core, ends_added) == layout::ENDS_ADDED);
    assert!(offset_of!(Core, send_lock) == layout::SEND_LOCK);
    assert!(offset_of!(Core, sent) == layout::SENT);
    assert!(offset_of!(Core, head_seen) == layout::HEAD_SEEN);
    assert!(offset_of!(Core, received_seen) == layout::RECEIVED_SEEN);
    assert!(offset_of!(Core, tail) == layout::TAIL);
    assert!(offset_of!(Core, receive_lock) == layout::RECEIVE_LOCK);
    assert!(offset_of!(Core, received) == layout::RECEIVED);
    assert!(offset_of!(Core, tail_seen) == layout::TAIL_SEEN);
    assert!(offset_of!(Core, head) == layout::HEAD);
    assert!(offset_of!(Core, ends) == layout::ENDS);
    assert!(size_of::<Core>() == layout::SIZE);
    assert!(align_of::<Core>() == layout::ALIGN);
};

/// Why a place in the ring wasn't to be had, or nothing was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Full, or empty, and the caller doesn't wait.
    NotNow,
    /// The deadline passed.
    TimedOut,
    /// Closed; for receivers also empty.
    Closed,
}

/// Whether and how long an operation waits.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    None,
    Until(Deadline),
}

/// A place at the end of the ring, and the right to write there.
pub(crate) struct Reserved<'a> {
    core: &'a Core,
    tail: u32,
    advance: u32,
    has_slept: bool,
    /// Whether this has the receiving side, too.
    has_both: bool,
}

/// The oldest message, and the right to take it.
pub(crate) struct Claimed<'a> {
    core: &'a Core,
    head: u32,
    has_slept: bool,
}

/// What is waited for, in panics.
const ROOM: &str = "room in a channel";
const MESSAGE: &str = "a message in a channel";

impl Core {
    /// An open channel with one sending and one receiving end.
    pub(crate) fn new(ring_size: u32, capacity: u32, options: u32) -> Self {
        Self {
            magic: AtomicU32::new(CHANNEL_MAGIC),
            version: AtomicU32::new(CHANNEL_VERSION),
            ring_size: AtomicU32::new(ring_size),
            capacity: AtomicU32::new(capacity),
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            options: AtomicU32::new(options),
            ends_added: AtomicU32::new(0),
            unused_0: [0; 8],
            send_lock: RawMutex::new(),
            sent: AtomicU32::new(0),
            head_seen: AtomicU32::new(0),
            received_seen: AtomicU32::new(0),
            unused_1: [0; 11],
            tail: Side::new(),
            unused_2: [0; 4],
            receive_lock: RawMutex::new(),
            received: AtomicU32::new(0),
            tail_seen: AtomicU32::new(0),
            unused_3: [0; 12],
            head: Side::new(),
            unused_4: [0; 4],
            ends: ends::no_ends(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        // Acquire: the magic is written last.
        self.magic.load(Ordering::Acquire) == CHANNEL_MAGIC
    }

    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Bytes of the ring.
    #[inline]
    pub(crate) fn ring_size(&self) -> u32 {
        // Relaxed: never changes once the channel is ready.
        self.ring_size.load(Ordering::Relaxed)
    }

    /// How many messages fit at most; 0 in a rendezvous.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Whether a sender waits until its message is taken.
    #[inline]
    pub(crate) fn is_rendezvous(&self) -> bool {
        self.capacity() == 0
    }

    /// Moves both positions to the start of the ring if it is empty, nobody sends or receives, and it was written far
    /// enough. `mark(place)` says in the ring that it goes on at its start.
    ///
    /// The tail first, over the mark: if this thread dies between, a receiver finds the mark and nothing behind it.
    #[inline]
    pub(crate) fn start_again(&self, mark: impl FnOnce(u32)) {
        // Relaxed: never changes once the channel is ready.
        if self.options.load(Ordering::Relaxed) & OPTION_COMPACT == 0 {
            return;
        }
        let tail = self.tail.position.load(Ordering::Relaxed);
        let place = tail & POSITION_MASK & (self.ring_size() - 1);
        let is_empty_at = |tail| self.head.position.load(Ordering::SeqCst) == tail;
        if place < COMPACT_PLACE_MIN || !is_empty_at(tail) || self.send_lock.try_lock().is_none() {
            return;
        }
        if self.receive_lock.try_lock().is_some() {
            if is_empty_at(tail) && self.tail.position.load(Ordering::SeqCst) == tail {
                mark(place);
                let rest = self.ring_size() - place;
                let start = tail.wrapping_add(rest);
                // Invariant 4.
                let is_moved = self
                    .tail
                    .position
                    .compare_exchange(tail, start, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok();
                if is_moved {
                    self.head.position.fetch_add(rest, Ordering::SeqCst);
                    self.tail_seen.store(start, Ordering::Relaxed);
                }
            }
            // SAFETY: taken above.
            unsafe { self.receive_lock.unlock() };
        }
        // SAFETY: taken above.
        unsafe { self.send_lock.unlock() };
    }

    /// How many messages are in the channel; of the past as soon as it is known.
    pub(crate) fn len(&self) -> u32 {
        if self.is_rendezvous() {
            return 0;
        }
        self.count()
    }

    fn count(&self) -> u32 {
        let received = self.received.load(Ordering::Relaxed);
        let length = self.sent.load(Ordering::Relaxed).wrapping_sub(received);
        // A thread that died may have left the difference below zero (invariant 5).
        if length.cast_signed() < 0 { 0 } else { length }
    }

    /// Whether there is no room for another message, however short; of the past as soon as it is known.
    pub(crate) fn is_full(&self) -> bool {
        self.is_rendezvous() || !self.has_room_behind(self.tail.position.load(Ordering::SeqCst))
    }

    /// Waits for a place of `advance_at(position)` units of the ring, and takes the sending side.
    #[inline]
    #[track_caller]
    pub(crate) fn reserve(
        &self,
        advance_at: impl Fn(u32) -> u32,
        patience: Patience,
    ) -> Result<Reserved<'_>, Refusal> {
        take(&self.send_lock, "the sending side of a channel");
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
        spin_while(&self.head.position, self.head_seen.load(Ordering::Relaxed));
        let mut has_slept = false;
        loop {
            // Invariant 2.
            let waiting = self.head.announce();
            self.take_again(
                &self.send_lock,
                &self.head,
                has_slept,
                "the sending side of a channel",
            );
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
    fn look_for_room(
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
        take(&self.send_lock, "the sending side of a channel");
        let mut reserved = self.look_for_room(&advance_at, false)?;
        take(&self.receive_lock, "the receiving side of a channel");
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
            take(&self.receive_lock, "the receiving side of a channel");
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

    fn is_taken(&self, end: u32) -> bool {
        // SeqCst: invariant 2.
        let head = self.head.position.load(Ordering::SeqCst) & POSITION_MASK;
        head.wrapping_sub(end).cast_signed() >= 0
    }

    /// Waits for a message, and takes the receiving side.
    #[inline]
    #[track_caller]
    pub(crate) fn claim(&self, patience: Patience) -> Result<Claimed<'_>, Refusal> {
        take(&self.receive_lock, "the receiving side of a channel");
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
        spin_while(&self.tail.position, self.tail_seen.load(Ordering::Relaxed));
        let mut has_slept = false;
        loop {
            // Invariant 2.
            let waiting = self.tail.announce();
            self.take_again(
                &self.receive_lock,
                &self.tail,
                has_slept,
                "the receiving side of a channel",
            );
            match self.look_for_message(has_slept) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
            if self.close_if_deserted() {
                continue;
            }
            if !waiting.sleep(deadline, MESSAGE, || self.is_empty_and_open()) {
                if self.is_rendezvous() {
                    // A sender may have counted on us.
                    take(&self.receive_lock, "the receiving side of a channel");
                    return self.look_for_message(false).map_err(|_| Refusal::TimedOut);
                }
                return Err(Refusal::TimedOut);
            }
            has_slept = true;
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

    /// Looks for a message with `receive_lock`, and lets go of that if there is none.
    #[inline]
    fn look_for_message(&self, has_slept: bool) -> Result<Claimed<'_>, Refusal> {
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

    /// Takes the lock of a side after a sleep: its owner may be who should have been woken (invariant 3).
    #[track_caller]
    fn take_again(&self, lock: &RawMutex, side: &Side, has_slept: bool, name: &'static str) {
        if has_slept && lock.owner().is_some() {
            side.signal(1);
        }
        take(lock, name);
    }

    fn ends(&self) -> Ends<'_> {
        Ends {
            senders: &self.senders,
            receivers: &self.receivers,
            added: &self.ends_added,
            entries: &self.ends,
        }
    }

    /// Closes the channel if a side has lost its last end: whoever had one may be dead.
    #[cold]
    fn close_if_deserted(&self) -> bool {
        let is_deserted = self.ends().is_deserted();
        if is_deserted {
            self.close();
        }
        is_deserted
    }

    /// Whether another message might fit behind `tail`.
    fn has_room_behind(&self, tail: u32) -> bool {
        let head = self.head.position.load(Ordering::SeqCst) & POSITION_MASK;
        let used = (tail & POSITION_MASK).wrapping_sub(head);
        used < self.ring_size() && self.count() < self.capacity().max(1)
    }

    /// What a select waits for to receive.
    pub(crate) fn receiving(&self) -> Operation<'_> {
        Operation {
            side: &self.tail,
            is_ready: Box::new(|| {
                // SeqCst: invariant 1 of `select.rs`.
                let tail = self.tail.position.load(Ordering::SeqCst);
                let head = self.head.position.load(Ordering::SeqCst);
                (tail ^ head) & POSITION_MASK != 0
                    || tail & POSITION_CLOSED != 0
                    || self.close_if_deserted()
            }),
        }
    }

    /// What a select waits for to send what needs `advance_at(position)` units of the ring.
    pub(crate) fn sending<'a>(&'a self, advance_at: impl Fn(u32) -> u32 + 'a) -> Operation<'a> {
        Operation {
            side: &self.head,
            is_ready: Box::new(move || {
                let tail = self.tail.position.load(Ordering::SeqCst);
                if tail & POSITION_CLOSED != 0 || self.close_if_deserted() {
                    return true;
                }
                if self.is_rendezvous() && self.tail.waiting() == 0 {
                    return false;
                }
                let head = self.head.position.load(Ordering::SeqCst) & POSITION_MASK;
                // Without the lock, so of the past: the attempt that follows will find out.
                let used = tail.wrapping_sub(head);
                let length = self
                    .sent
                    .load(Ordering::Relaxed)
                    .wrapping_sub(self.received.load(Ordering::Relaxed));
                used.saturating_add(advance_at(tail)) <= self.ring_size()
                    && (length < self.capacity().max(1) || length.cast_signed() < 0)
            }),
        }
    }

    /// Those who wait for a message.
    pub(crate) fn receivers(&self) -> &Side {
        &self.tail
    }

    /// Those who wait for room.
    pub(crate) fn senders(&self) -> &Side {
        &self.head
    }

    /// How many senders one change can do for: in a rendezvous those who wait for room and those who wait to be received
    /// sleep together.
    #[inline]
    fn senders_to_wake(&self) -> u32 {
        if self.is_rendezvous() { ALL } else { 1 }
    }

    /// Closes the channel: nothing more is sent, what was sent is still received.
    pub(crate) fn close(&self) {
        // SeqCst: invariant 2.
        self.tail
            .position
            .fetch_or(POSITION_CLOSED, Ordering::SeqCst);
        self.head
            .position
            .fetch_or(POSITION_CLOSED, Ordering::SeqCst);
        self.tail.signal(ALL);
        self.head.signal(ALL);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tail.position.load(Ordering::Relaxed) & POSITION_CLOSED != 0
    }

    pub(crate) fn add_sender(&self) {
        self.ends().add(End::Sending);
    }

    pub(crate) fn add_receiver(&self) {
        self.ends().add(End::Receiving);
    }

    /// Gives up a sending end; the last one closes the channel.
    pub(crate) fn remove_sender(&self) {
        if self.ends().remove(End::Sending) {
            self.close();
        }
    }

    /// Gives up a receiving end; the last one closes the channel.
    pub(crate) fn remove_receiver(&self) {
        if self.ends().remove(End::Receiving) {
            self.close();
        }
    }

    /// The positions of the oldest message and of the end, for the owner of the whole channel.
    pub(crate) fn positions(&mut self) -> (u32, u32) {
        (
            self.head.position.load(Ordering::Relaxed) & POSITION_MASK,
            self.tail.position.load(Ordering::Relaxed) & POSITION_MASK,
        )
    }
}

/// Takes the lock of a side. A dead owner has left nothing half-done (invariant 1).
#[inline]
#[track_caller]
fn take(lock: &RawMutex, name: &'static str) {
    if lock.lock_named(&name) == Poisoned::Yes {
        lock.clear_poison();
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

    fn move_to_tail(&mut self, advance_at: impl Fn(u32) -> u32) {
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
        let sent = self.core.sent.load(Ordering::Relaxed);
        self.core
            .sent
            .store(sent.wrapping_add(1), Ordering::Relaxed);
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
    fn fits_now(&self, limit: u32) -> bool {
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
            let received = core.received.load(Ordering::Relaxed);
            core.received
                .store(received.wrapping_add(1), Ordering::Relaxed);
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
            let is_gone = core
                .send_lock
                .owner()
                .is_none_or(|owner| !registry::is_live(owner));
            if is_gone || core.is_closed() {
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
    fn look(&self) -> u32 {
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
