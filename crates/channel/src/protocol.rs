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
//! | `tail` | the sender with the lock; a closer | the position behind the last message, + `CLOSED`; receivers sleep on it |
//! | `receivers_waiting` | receivers | how many of them sleep or are about to, at least |
//! | `receive_lock` | receivers | who is receiving |
//! | `head` | the receiver with the lock; a closer | the position of the oldest message, + `CLOSED`; senders sleep on it |
//! | `senders_waiting` | senders | how many of them sleep or are about to, at least |
//! | `sent`, `received` | the owner of the lock | messages so far; their difference is the length |
//! | `head_seen`, `received_seen`, `tail_seen` | the owner of the lock | what was read last from the other side, so that its cache line is read rarely |
//!
//! # Invariants
//! 1. Between `tail` and `head + ring` only the owner of `send_lock` writes; between `head` and `tail` only the owner of
//!    `receive_lock` reads. A message exists exactly from the write of `tail` behind it to the write of `head` behind it:
//!    an owner that dies between leaves the channel as it was, and the poison of its lock can be cleared.
//! 2. Nobody sleeps with a lock. Who is going to sleep counts itself and then looks once more; who changes a position
//!    looks at the other side's count afterwards. Either the first sees the change or the second the count.
//! 3. Each change of a position wakes one while anybody is counted. A sender who slept and found room wakes the next if there is
//!    more room, since what one receiver frees may do for several messages. (A flag that the waker clears would not do: it
//!    could clear it for somebody who has set it, but doesn't sleep yet, and whose position won't change any more.)
//! 4. `tail` is moved by compare-and-swap: a message and a close exclude each other, so a send that succeeded is received
//!    as long as anybody receives.
//! 5. `received` is written before `head`, `sent` after `tail`: dying between makes the channel look emptier by one,
//!    never fuller; when a sender finds the ring empty, the counts are made equal again.
//!
//! # Fairness
//! That of the locks: none beyond the host's queue. A large message may wait while smaller ones pass.
//!
//! # Memory orderings
//! `tail`: the sender's compare-and-swap publishes the message to the receiver's load. `head`: the receiver's add
//! publishes that the place is free to the sender's load. Both pairs are Release/Acquire at least, and SeqCst
//! together with the flags for invariant 2. What lies under one lock is ordered by that lock and is `Relaxed`.
//!
//! # Source
//! The two-lock queue of Michael and Scott (1996), on a ring; the sleeping of U. Drepper's mutex, with a flag a side.

use crate::layout::{CHANNEL_MAGIC, CHANNEL_VERSION, POSITION_CLOSED, POSITION_MASK};
use heddle_atomics::{
    Deadline, Parked, Poisoned, RawMutex, futex, park, registry,
    seam::{AtomicU32, Ordering, seqcst_order},
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
    unused_0: [u32; 10],

    send_lock: RawMutex,
    sent: AtomicU32,
    head_seen: AtomicU32,
    received_seen: AtomicU32,
    unused_1: [u32; 11],

    tail: AtomicU32,
    receivers_waiting: AtomicU32,
    unused_2: [u32; 14],

    receive_lock: RawMutex,
    received: AtomicU32,
    tail_seen: AtomicU32,
    unused_3: [u32; 12],

    head: AtomicU32,
    senders_waiting: AtomicU32,
    unused_4: [u32; 14],
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
    assert!(offset_of!(Core, send_lock) == layout::SEND_LOCK);
    assert!(offset_of!(Core, sent) == layout::SENT);
    assert!(offset_of!(Core, head_seen) == layout::HEAD_SEEN);
    assert!(offset_of!(Core, received_seen) == layout::RECEIVED_SEEN);
    assert!(offset_of!(Core, tail) == layout::TAIL);
    assert!(offset_of!(Core, receivers_waiting) == layout::RECEIVERS_WAITING);
    assert!(offset_of!(Core, receive_lock) == layout::RECEIVE_LOCK);
    assert!(offset_of!(Core, received) == layout::RECEIVED);
    assert!(offset_of!(Core, tail_seen) == layout::TAIL_SEEN);
    assert!(offset_of!(Core, head) == layout::HEAD);
    assert!(offset_of!(Core, senders_waiting) == layout::SENDERS_WAITING);
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
}

/// The oldest message, and the right to take it.
pub(crate) struct Claimed<'a> {
    core: &'a Core,
    head: u32,
    has_slept: bool,
}

impl Core {
    /// An open channel with one sending and one receiving end.
    pub(crate) fn new(ring_size: u32, capacity: u32) -> Self {
        Self {
            magic: AtomicU32::new(CHANNEL_MAGIC),
            version: AtomicU32::new(CHANNEL_VERSION),
            ring_size: AtomicU32::new(ring_size),
            capacity: AtomicU32::new(capacity),
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            unused_0: [0; 10],
            send_lock: RawMutex::new(),
            sent: AtomicU32::new(0),
            head_seen: AtomicU32::new(0),
            received_seen: AtomicU32::new(0),
            unused_1: [0; 11],
            tail: AtomicU32::new(0),
            receivers_waiting: AtomicU32::new(0),
            unused_2: [0; 14],
            receive_lock: RawMutex::new(),
            received: AtomicU32::new(0),
            tail_seen: AtomicU32::new(0),
            unused_3: [0; 12],
            head: AtomicU32::new(0),
            senders_waiting: AtomicU32::new(0),
            unused_4: [0; 14],
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

    /// How many messages fit at most.
    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// How many messages are in the channel; of the past as soon as it is known.
    pub(crate) fn len(&self) -> u32 {
        let received = self.received.load(Ordering::Relaxed);
        let length = self.sent.load(Ordering::Relaxed).wrapping_sub(received);
        // A thread that died may have left the difference below zero (invariant 5).
        if length.cast_signed() < 0 { 0 } else { length }
    }

    /// Waits for a place of `advance_at(position)` units of the ring, and takes the sending side.
    #[inline]
    #[track_caller]
    pub(crate) fn reserve(
        &self,
        advance_at: impl Fn(u32) -> u32,
        patience: Patience,
    ) -> Result<Reserved<'_>, Refusal> {
        let mut has_slept = false;
        let mut has_spun = false;
        loop {
            take(&self.send_lock, "the sending side of a channel");
            // Relaxed: only the owner of the lock moves it; the flag is settled by `commit`.
            let tail = self.tail.load(Ordering::Relaxed);
            let reserved = Reserved {
                core: self,
                tail,
                advance: advance_at(tail & POSITION_MASK),
                has_slept,
            };
            if tail & POSITION_CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            if reserved.fits_as_seen() || reserved.fits_now() {
                return Ok(reserved);
            }
            let Patience::Until(deadline) = patience else {
                return Err(Refusal::NotNow);
            };
            if !has_spun {
                // Before anything is announced: the other side needn't wake who is awake.
                has_spun = true;
                let head = self.head_seen.load(Ordering::Relaxed);
                drop(reserved);
                spin_while(&self.head, head);
                continue;
            }
            // Invariant 2.
            let waiting = Waiting::announce(&self.senders_waiting);
            if reserved.fits_now() {
                return Ok(reserved);
            }
            let head = self.head_seen.load(Ordering::Relaxed);
            if head & POSITION_CLOSED != 0 {
                // Closed since the look at the tail: the next round finds out, and nobody would wake us from here.
                continue;
            }
            drop(reserved);
            let name = &"room in a channel";
            if park(&self.head, head, registry::WAITS, deadline, || true, name) == Parked::TimedOut
            {
                return Err(Refusal::TimedOut);
            }
            drop(waiting);
            has_slept = true;
        }
    }

    /// Waits for a message, and takes the receiving side.
    #[inline]
    #[track_caller]
    pub(crate) fn claim(&self, patience: Patience) -> Result<Claimed<'_>, Refusal> {
        let mut has_slept = false;
        let mut has_spun = false;
        loop {
            take(&self.receive_lock, "the receiving side of a channel");
            // Relaxed: only the owner of the lock moves it.
            let head = self.head.load(Ordering::Relaxed) & POSITION_MASK;
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
            if tail & POSITION_CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            let Patience::Until(deadline) = patience else {
                return Err(Refusal::NotNow);
            };
            if !has_spun {
                // Before anything is announced, as in `reserve`.
                has_spun = true;
                drop(claimed);
                spin_while(&self.tail, tail);
                continue;
            }
            // Invariant 2.
            let waiting = Waiting::announce(&self.receivers_waiting);
            let tail = claimed.look();
            if tail != head {
                // A message, or the end: the next round finds out.
                continue;
            }
            drop(claimed);
            let name = &"a message in a channel";
            if park(&self.tail, tail, registry::WAITS, deadline, || true, name) == Parked::TimedOut
            {
                return Err(Refusal::TimedOut);
            }
            drop(waiting);
            has_slept = true;
        }
    }

    /// Closes the channel: nothing more is sent, what was sent is still received.
    pub(crate) fn close(&self) {
        // SeqCst: sleepers compare these words, so either they see the flag or they are woken.
        self.tail.fetch_or(POSITION_CLOSED, Ordering::SeqCst);
        self.head.fetch_or(POSITION_CLOSED, Ordering::SeqCst);
        futex::wake_all(&self.tail);
        futex::wake_all(&self.head);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Relaxed) & POSITION_CLOSED != 0
    }

    pub(crate) fn add_sender(&self) {
        // Relaxed: whoever adds an end has one, or is told about one by somebody who has.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up a sending end; the last one closes the channel.
    pub(crate) fn remove_sender(&self) {
        // AcqRel: the last one to go sees what the others did.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    /// Gives up a receiving end; the last one closes the channel.
    pub(crate) fn remove_receiver(&self) {
        // AcqRel: as in `remove_sender`.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    /// The positions of the oldest message and of the end, for the owner of the whole channel.
    pub(crate) fn positions(&mut self) -> (u32, u32) {
        (
            self.head.load(Ordering::Relaxed) & POSITION_MASK,
            self.tail.load(Ordering::Relaxed) & POSITION_MASK,
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

/// Wakes one of those who sleep on `position`, if `waiting` says that there are some.
#[inline]
fn wake_one(waiting: &AtomicU32, position: &AtomicU32) {
    seqcst_order();
    // SeqCst: invariant 2.
    if waiting.load(Ordering::SeqCst) != 0 {
        futex::wake(position, 1);
    }
}

/// Somebody who is going to sleep, counted as long as this lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn announce(count: &'a AtomicU32) -> Self {
        // SeqCst: invariant 2.
        count.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Relaxed: too high a count only costs a wake-up for nobody.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reserved<'_> {
    /// Where the message goes.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.tail & POSITION_MASK
    }

    /// Makes what was written there a message. If the channel was closed meanwhile the place comes back, not yet let
    /// go of.
    #[inline]
    pub(crate) fn commit(self) -> Result<(), Self> {
        let core = self.core;
        // Publishes the message to the look of a receiver; invariants 2 and 4.
        let is_sent = core
            .tail
            .compare_exchange(
                self.tail,
                self.tail.wrapping_add(self.advance),
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok();
        if !is_sent {
            return Err(self);
        }
        let sent = core.sent.load(Ordering::Relaxed);
        core.sent.store(sent.wrapping_add(1), Ordering::Relaxed);
        let has_slept = self.has_slept;
        let has_room = has_slept && self.has_more_room();
        drop(self);
        wake_one(&core.receivers_waiting, &core.tail);
        if has_room {
            wake_one(&core.senders_waiting, &core.head);
        }
        Ok(())
    }

    /// Whether the place is free by what was seen of the receivers last.
    #[inline]
    fn fits_as_seen(&self) -> bool {
        let core = self.core;
        self.fits(
            core.head_seen.load(Ordering::Relaxed),
            core.received_seen.load(Ordering::Relaxed),
        )
    }

    /// Whether the place is free, by a fresh look at the receivers.
    fn fits_now(&self) -> bool {
        let core = self.core;
        // Sees that a receiver has left the place; SeqCst for invariant 2.
        let head = core.head.load(Ordering::SeqCst);
        let received = core.received.load(Ordering::Relaxed);
        core.head_seen.store(head, Ordering::Relaxed);
        core.received_seen.store(received, Ordering::Relaxed);
        if head & POSITION_MASK == self.position() {
            // Empty, so nobody is receiving: the counts must agree (invariant 5).
            core.sent.store(received, Ordering::Relaxed);
        }
        self.fits(head, received)
    }

    #[inline]
    fn fits(&self, head: u32, received: u32) -> bool {
        let core = self.core;
        let used = self.position().wrapping_sub(head & POSITION_MASK);
        let length = core.sent.load(Ordering::Relaxed).wrapping_sub(received);
        used + self.advance <= core.ring_size()
            && (length < core.capacity() || length.cast_signed() < 0)
    }

    /// Whether another message might fit after this one.
    fn has_more_room(&self) -> bool {
        let core = self.core;
        let head = core.head.load(Ordering::SeqCst) & POSITION_MASK;
        let used = self
            .position()
            .wrapping_add(self.advance)
            .wrapping_sub(head);
        used < core.ring_size() && core.len() < core.capacity()
    }
}

impl Drop for Reserved<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `reserve` took the lock for this value.
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
    pub(crate) fn release(self, advance: u32) {
        let core = self.core;
        let received = core.received.load(Ordering::Relaxed);
        core.received
            .store(received.wrapping_add(1), Ordering::Relaxed);
        // Tells a sender's look that the place is free; invariant 2.
        core.head.fetch_add(advance, Ordering::SeqCst);
        let has_more = self.has_slept && {
            let tail = core.tail.load(Ordering::SeqCst) & POSITION_MASK;
            tail != self.head.wrapping_add(advance)
        };
        drop(self);
        wake_one(&core.senders_waiting, &core.head);
        if has_more {
            wake_one(&core.receivers_waiting, &core.tail);
        }
    }

    /// The end of the messages by a fresh look, with its flag.
    fn look(&self) -> u32 {
        // Sees what a sender published; SeqCst for invariant 2.
        let tail = self.core.tail.load(Ordering::SeqCst);
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
