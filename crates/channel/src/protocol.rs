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
//! | `sent`, `received` | the owner of the lock | messages so far; their difference is the length. 0 for ever in a channel that is `UNCOUNTED` |
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

mod receiving;
mod sending;
mod tasks;

pub(crate) use receiving::Claimed;
pub(crate) use sending::Reserved;

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
    seam::{AtomicU32, Ordering, fence},
    spin_for_batch,
};
use std::time::Duration;

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

    receive_lock: RawMutex,
    received: AtomicU32,
    tail_seen: AtomicU32,
    unused_2: [u32; 12],

    head: Side,

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
    /// Not at all: others may reserve a place or borrow a message as long as they like.
    None,
    /// For others' copies alone: of values, nobody has a side for longer.
    Copies,
    /// For a place, or a message.
    Until(Deadline),
}

/// The capacity of a channel whose messages are of one size: the ring's size bounds how many there are, and nobody counts them.
pub(crate) const UNCOUNTED: u32 = u32::MAX;

/// What is waited for, in panics.
const ROOM: &str = "room in a channel";
const MESSAGE: &str = "a message in a channel";
const SENDING: &str = "the sending side of a channel";
const RECEIVING: &str = "the receiving side of a channel";

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
            receive_lock: RawMutex::new(),
            received: AtomicU32::new(0),
            tail_seen: AtomicU32::new(0),
            unused_2: [0; 12],
            head: Side::new(),
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

    /// How many units of the ring hold messages; of the past as soon as it is known.
    pub(crate) fn units(&self) -> u32 {
        // The head first: what comes meanwhile makes it too many, never less than none.
        let head = self.head.position.load(Ordering::SeqCst) & POSITION_MASK;
        let tail = self.tail.position.load(Ordering::SeqCst) & POSITION_MASK;
        tail.wrapping_sub(head).min(self.ring_size())
    }

    /// How many messages are in the channel, which must not be [`UNCOUNTED`]; of the past as soon as it is known.
    pub(crate) fn len(&self) -> u32 {
        if self.is_rendezvous() {
            return 0;
        }
        self.count()
    }

    /// Adds a message to `sent` or `received`, by the owner of the side.
    #[inline]
    fn count_one_more(&self, messages: &AtomicU32) {
        if self.capacity() != UNCOUNTED {
            let so_far = messages.load(Ordering::Relaxed);
            messages.store(so_far.wrapping_add(1), Ordering::Relaxed);
        }
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

    /// Takes the lock of a side after a sleep: its owner may be who should have been woken (invariant 3).
    #[track_caller]
    fn take_again(
        &self,
        lock: &RawMutex,
        side: &Side,
        has_slept: bool,
        name: &'static str,
        deadline: Deadline,
    ) -> Result<(), Refusal> {
        if has_slept && lock.owner().is_some() {
            side.signal(1);
        }
        let taken = take_within(lock, name, Patience::Until(deadline));
        if taken.is_err() && has_slept {
            // It may have been told of what the next one can have.
            side.signal(1);
        }
        taken
    }

    pub(crate) fn ends(&self) -> Ends<'_> {
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
    let taken = take_within(lock, name, Patience::Until(Deadline::NEVER));
    debug_assert!(taken.is_ok(), "a wait without a deadline doesn't time out");
}

/// [`take`], if that is possible with so much patience: others have the lock for the time of a copy, and for as long as they reserve a place
/// or borrow a message. Who has no patience, or no more, waits for a copy all the same.
#[inline]
#[track_caller]
fn take_within(lock: &RawMutex, name: &'static str, patience: Patience) -> Result<(), Refusal> {
    let (taken, refusal) = match patience {
        Patience::Until(deadline) => (lock.lock_until(deadline, &name), Refusal::TimedOut),
        Patience::Copies => (Some(lock.lock_named(&name)), Refusal::NotNow),
        Patience::None => (lock.try_lock(), Refusal::NotNow),
    };
    let taken = taken.or_else(|| lock.lock_until(brief(), &name));
    if taken.ok_or(refusal)? == Poisoned::Yes {
        lock.clear_poison();
    }
    Ok(())
}

/// The time of a copy from now. In a model nobody has a side for longer, and time is none.
fn brief() -> Deadline {
    if cfg!(any(loom, shuttle)) {
        Deadline::NEVER
    } else {
        Deadline::after(Duration::from_millis(2))
    }
}
