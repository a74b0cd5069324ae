//! A channel of byte messages that go to every receiver, on a record that TypeScript shares: news, as opposed to work.
//!
//! Each receiver receives each message that was sent since it was opened, once and in the one order that all receivers see;
//! or it is told how many it has missed. A thread that dies loses at most the message it was just sending.
//!
//! # State
//! Positions run freely modulo 2^32, in multiples of 8; `position & (ring_size - 1)` is the place in the ring, which holds
//! the frames between `oldest` and `tail`. Messages are numbered from 0, in 64 bits, and each frame has its number. A
//! receiver has the number of the message that it receives next and its position, and with back-pressure the number also in
//! its cursor in the record.
//!
//! | word | written by | means |
//! |---|---|---|
//! | `lock` | everybody | who is sending or receiving |
//! | `tail` | the sender with the lock; a closer | the position behind the last message, + `CLOSED` |
//! | `oldest` | the sender with the lock | the position of the oldest message that is kept |
//! | `sent` | the owner of the lock | the number of the next message |
//! | `cursors` | their receivers, with the lock | with back-pressure, which message each receives next |
//!
//! A sender makes room by giving up the oldest messages. With back-pressure it waits before it gives up one that a receiver
//! has not received yet; without, that receiver lags.
//!
//! # Invariants
//! 1. A frame exists from the write of `tail` behind it to the write of `oldest` behind it, and what is outside of both is
//!    written only after that. So an owner that dies leaves whole frames.
//! 2. `sent` is the number of the last frame and 1. It is written after `tail`: whoever finds the lock poisoned looks the
//!    number up.
//! 3. `tail` is moved by compare-and-swap: a message and a close exclude each other.
//! 4. With back-pressure no message is given up whose number is not below all cursors. A cursor's token is written after its
//!    number, and taken away by the receiver, or by whoever finds it dead. Receivers of Rust may move from thread to thread
//!    and have the token of no thread.
//! 5. A receiver's end goes before its cursor, so that the last one closes the channel before a sender takes it for room. A
//!    sender that finds no cursor looks whether a receiver is left: who has died has closed nothing.
//!
//! # Fairness
//! That of the lock. Nobody starves but who is slow by the channel's rules: a receiver that lags, or a sender that waits for
//! one.
//!
//! # Memory orderings
//! `tail`, `oldest` and the cursors are SeqCst, since those who are about to sleep look at them without the lock (`side.rs`).
//! The lock orders the frames.
//!
//! # Source
//! What is promised is that of tokio's `sync::broadcast`.

pub use crate::monitor::OpenError;
use crate::{
    bound::thread_end,
    bytes::{SendError, SendTimeoutError, TooLong, TrySendError},
    ends::{self, End, EndCounts, Ends},
    layout::{
        BROADCAST_MAGIC, BROADCAST_VERSION, CURSORS, FRAME_ALIGN, FRAME_LENGTH_MASK, FRAME_WRAP,
        OPTION_BACK_PRESSURE, POSITION_CLOSED, POSITION_MASK, RING_SIZE_MAX, RING_SIZE_MIN,
        broadcast_frame, broadcast_header,
    },
    monitor::{Allocation, Monitor, Number, perform_async},
    protocol::{Patience, Refusal},
    select::{Operation, SelectRecv, SelectSend, SelectSendLen, sealed},
    side::{ALL, Side},
};
use core::{fmt, ptr::NonNull, slice, time::Duration};
use heddle_atomics::{
    Deadline, RawMutex,
    layout::SLOT_UNREGISTERED,
    registry::{self, Token},
    seam::{AtomicU32, Ordering},
};
use std::{error::Error, sync::Arc};

const FRAME_HEADER_SIZE: u32 = broadcast_frame::SIZE as u32;

/// How far one receiver is; see `Cursor` in `docs/layout.md`.
#[repr(C, align(8))]
struct Cursor {
    token: AtomicU32,
    unused: u32,
    next: Number,
}

/// The record at the head of a broadcast channel; see `BroadcastHeader` in `docs/layout.md`.
#[repr(C, align(8))]
struct Core {
    magic: AtomicU32,
    version: AtomicU32,
    ring_size: AtomicU32,
    capacity: AtomicU32,
    senders: AtomicU32,
    receivers: AtomicU32,
    options: AtomicU32,
    ends_added: AtomicU32,
    unused_0: [u32; 8],

    lock: RawMutex,
    sent: Number,
    unused_1: [u32; 12],

    tail: Side,

    oldest: Side,

    ends: EndCounts,
    cursors: [Cursor; CURSORS as usize],
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::{broadcast_header as layout, cursor};
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Core, magic) == layout::MAGIC);
    assert!(offset_of!(Core, version) == layout::VERSION);
    assert!(offset_of!(Core, ring_size) == layout::RING_SIZE);
    assert!(offset_of!(Core, capacity) == layout::CAPACITY);
    assert!(offset_of!(Core, senders) == layout::SENDERS);
    assert!(offset_of!(Core, receivers) == layout::RECEIVERS);
    assert!(offset_of!(Core, options) == layout::OPTIONS);
    assert!(offset_of!(Core, ends_added) == layout::ENDS_ADDED);
    assert!(offset_of!(Core, lock) == layout::LOCK);
    assert!(offset_of!(Core, sent) == layout::SENT);
    assert!(offset_of!(Core, tail) == layout::TAIL);
    assert!(layout::RECEIVERS_WAITING - layout::TAIL == 4);
    assert!(layout::RECEIVER_WATCHERS - layout::TAIL == 16);
    assert!(offset_of!(Core, oldest) == layout::OLDEST);
    assert!(layout::SENDERS_WAITING - layout::OLDEST == 4);
    assert!(layout::SENDER_WATCHERS - layout::OLDEST == 16);
    assert!(offset_of!(Core, ends) == layout::ENDS);
    assert!(offset_of!(Core, cursors) == layout::CURSORS);
    assert!(size_of::<Core>() == layout::SIZE);
    assert!(align_of::<Core>() == layout::ALIGN);
    assert!(offset_of!(Cursor, token) == cursor::TOKEN);
    assert!(offset_of!(Cursor, next) == cursor::NEXT);
    assert!(size_of::<Cursor>() == cursor::SIZE);
    assert!(broadcast_frame::LENGTH == 0 && broadcast_frame::NUMBER == 8);
};

impl Core {
    fn new(options: Options) -> Self {
        Self {
            magic: AtomicU32::new(BROADCAST_MAGIC),
            version: AtomicU32::new(BROADCAST_VERSION),
            ring_size: AtomicU32::new(options.ring_size),
            capacity: AtomicU32::new(options.capacity),
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            options: AtomicU32::new(if options.back_pressure {
                OPTION_BACK_PRESSURE
            } else {
                0
            }),
            ends_added: AtomicU32::new(0),
            unused_0: [0; 8],
            lock: RawMutex::new(),
            sent: Number::new(),
            unused_1: [0; 12],
            tail: Side::new(),
            oldest: Side::new(),
            ends: ends::no_ends(),
            cursors: core::array::from_fn(|_| Cursor {
                token: AtomicU32::new(0),
                unused: 0,
                next: Number::new(),
            }),
        }
    }

    fn ends(&self) -> Ends<'_> {
        Ends {
            senders: &self.senders,
            receivers: &self.receivers,
            added: &self.ends_added,
            entries: &self.ends,
        }
    }

    /// `tail` with its flag.
    fn tail(&self) -> u32 {
        // SeqCst: sees a sender's or a closer's write, or is counted by `announce` before that looks (`side.rs`).
        self.tail.position.load(Ordering::SeqCst)
    }

    fn is_closed(&self) -> bool {
        self.tail() & POSITION_CLOSED != 0
    }

    fn close(&self) {
        self.tail
            .position
            .fetch_or(POSITION_CLOSED, Ordering::SeqCst);
        self.tail.signal(ALL);
        self.oldest.signal(ALL);
    }

    fn has_back_pressure(&self) -> bool {
        // Relaxed: never changes once the channel is ready.
        self.options.load(Ordering::Relaxed) & OPTION_BACK_PRESSURE != 0
    }

    /// The number that the slowest receiver receives next, with back-pressure; cursors of the dead are freed.
    fn slowest(&self) -> u64 {
        let mut slowest = u64::MAX;
        if !self.has_back_pressure() {
            return slowest;
        }
        for cursor in &self.cursors {
            // SeqCst: as `tail`.
            let token = cursor.token.load(Ordering::SeqCst);
            if token == 0 {
                continue;
            }
            let is_live = Token::of_lock_word(token)
                .is_some_and(|token| token.slot() == SLOT_UNREGISTERED || registry::is_live(token));
            if is_live {
                slowest = slowest.min(cursor.next.get());
            } else {
                let _freed =
                    cursor
                        .token
                        .compare_exchange(token, 0, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
        slowest
    }

    /// A cursor for a receiver that receives message `next` next, if one is free; called with the lock.
    fn open_cursor(&self, next: u64) -> Option<usize> {
        // Frees those of the dead.
        self.slowest();
        let is_free = |cursor: &Cursor| cursor.token.load(Ordering::SeqCst) == 0;
        let index = self.cursors.iter().position(is_free)?;
        let cursor = &self.cursors[index];
        // Invariant 4; cursors are opened with the lock only.
        cursor.next.set(next);
        cursor.token.store(SLOT_UNREGISTERED, Ordering::SeqCst);
        Some(index)
    }
}

/// What [`channel`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many messages are kept at most, at least 1.
    pub capacity: u32,
    /// Bytes of the ring, headers included: a power of two, 64 to 2^30.
    pub ring_size: u32,
    /// Whether a sender waits for the slowest receiver, of at most 16. Otherwise it overwrites the oldest messages.
    pub back_pressure: bool,
}

impl Default for Options {
    /// 1024 messages, 64 KiB, overwriting.
    fn default() -> Self {
        Self {
            capacity: 1024,
            ring_size: 1 << 16,
            back_pressure: false,
        }
    }
}

impl Options {
    /// Bytes of the whole record.
    #[must_use]
    pub const fn record_size(&self) -> usize {
        broadcast_header::SIZE + self.ring_size as usize
    }
}

/// A new broadcast channel, in memory of its own.
///
/// The record lives as long as one of the Rust ends: as long as TypeScript uses it, keep one.
///
/// ```
/// use heddle_channel::broadcast::{self, Options, RecvError};
///
/// let (sender, mut receiver) = broadcast::channel(Options { capacity: 2, ..Options::default() });
/// let mut late = sender.subscribe().unwrap();
/// for news in [b"one", b"two"] {
///     sender.send(news).unwrap();
/// }
/// assert_eq!(receiver.recv().unwrap(), b"one");
/// sender.send(b"three").unwrap();
/// assert_eq!(late.recv(), Err(RecvError::Lagged(1)));
/// assert_eq!(late.recv().unwrap(), b"two");
/// ```
///
/// # Panics
/// If the options are out of range, or memory has run out.
#[must_use]
pub fn channel(options: Options) -> (Sender, Receiver) {
    let ring_size = options.ring_size;
    assert!(
        is_ring_size(ring_size),
        "the ring of a channel is a power of two from {RING_SIZE_MIN} to {RING_SIZE_MAX} bytes, not {ring_size}",
    );
    assert!(
        options.capacity > 0,
        "a broadcast channel keeps at least one message"
    );
    let allocation = Arc::new(Allocation::new(options.record_size()));
    let core = allocation.address.cast::<Core>();
    // SAFETY: freshly allocated, of the record's size and alignment.
    unsafe { core.write(Core::new(options)) };
    let channel = Channel {
        core,
        _allocation: Some(allocation),
    };
    let cursor = channel.core().has_back_pressure();
    let receiver = Receiver {
        next: 0,
        position: 0,
        cursor: cursor.then(|| channel.core().open_cursor(0)).flatten(),
        channel: channel.clone(),
    };
    (Sender(channel), receiver)
}

fn is_ring_size(size: u32) -> bool {
    size.is_power_of_two() && (RING_SIZE_MIN..=RING_SIZE_MAX).contains(&size)
}

/// The record, and what keeps it alive.
#[derive(Clone)]
struct Channel {
    core: NonNull<Core>,
    _allocation: Option<Arc<Allocation>>,
}

// SAFETY: the record is made for threads: its words are atomics, and the ring is reached under its lock.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

/// A frame that is kept.
struct Frame {
    /// Where its payload is.
    payload: NonNull<u8>,
    length: u32,
    number: u64,
    /// The position behind it.
    end: u32,
}

/// The bytes of the frame of a message.
const fn frame_size(length: u32) -> u32 {
    (FRAME_HEADER_SIZE + length).next_multiple_of(FRAME_ALIGN)
}

impl Channel {
    /// # Safety
    /// If there is a channel at `address`, it lives as long as its ends.
    unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        let core = address.cast::<Core>();
        if !core.is_aligned() {
            return Err(OpenError::Misaligned);
        }
        let channel = Self {
            core,
            _allocation: None,
        };
        // Acquire: the magic is written last.
        if channel.core().magic.load(Ordering::Acquire) != BROADCAST_MAGIC {
            return Err(OpenError::NotAChannel);
        }
        // Relaxed: never change once the channel is ready.
        let found = channel.core().version.load(Ordering::Relaxed);
        if found != BROADCAST_VERSION {
            let expected = BROADCAST_VERSION;
            return Err(OpenError::Version { found, expected });
        }
        let size = channel.ring_size();
        if !is_ring_size(size) {
            return Err(OpenError::Size(size));
        }
        Ok(channel)
    }

    fn core(&self) -> &Core {
        // SAFETY: the record lives at least as long as this value, and it is atomics throughout.
        unsafe { self.core.as_ref() }
    }

    fn ring_size(&self) -> u32 {
        // Relaxed: never changes once the channel is ready.
        self.core().ring_size.load(Ordering::Relaxed)
    }

    fn max_message_len(&self) -> usize {
        (self.ring_size() / 2 - FRAME_HEADER_SIZE) as usize
    }

    /// The bytes of the ring from a place on.
    ///
    /// # Safety
    /// The place is in the ring.
    unsafe fn at(&self, place: u32) -> NonNull<u8> {
        let offset = broadcast_header::SIZE + place as usize;
        // SAFETY: the ring follows the header.
        unsafe { self.core.cast::<u8>().add(offset) }
    }

    /// A position that is none, or too far from the tail, would lead out of the ring.
    fn check_position(&self, position: u32, tail: u32) {
        let position = position & POSITION_MASK;
        assert!(
            position.is_multiple_of(FRAME_ALIGN) && tail.wrapping_sub(position) <= self.ring_size(),
            "the broadcast channel at {:p} is broken: a message at {position}, where the last one ends at {tail}",
            self.core
        );
    }

    /// The frame at a position before the tail; called with the lock.
    fn frame_at(&self, position: u32, tail: u32) -> Frame {
        let size = self.ring_size();
        self.check_position(position, tail);
        let mut place = position & POSITION_MASK & (size - 1);
        let mut end = position;
        // SAFETY: the place is a multiple of 8, so it is aligned and has 8 bytes in the ring, initialised with it.
        let mut length = unsafe { self.at(place).cast::<u32>().read() };
        if length == FRAME_WRAP {
            end = end.wrapping_add(size - place);
            place = 0;
            // SAFETY: as above.
            length = unsafe { self.at(place).cast::<u32>().read() };
        }
        length &= FRAME_LENGTH_MASK;
        end = end.wrapping_add(frame_size(length));
        assert!(
            end.wrapping_sub(position) <= tail.wrapping_sub(position)
                && place + frame_size(length) <= size,
            "the broadcast channel at {:p} is broken: a message of {length} bytes at {place}",
            self.core
        );
        // SAFETY: the frame lies in the ring, as was just seen, and it is aligned to 8.
        let (number, payload) = unsafe {
            let start = self.at(place);
            let number = start.add(broadcast_frame::NUMBER).cast::<u64>().read();
            (number, start.add(broadcast_frame::SIZE))
        };
        Frame {
            payload,
            length,
            number,
            end,
        }
    }

    fn check_length(&self, len: usize) -> Result<(), SendRefusal> {
        let max = self.max_message_len();
        if len > max {
            return Err(SendRefusal::TooLong(TooLong { len, max }));
        }
        Ok(())
    }

    /// [`Channel::send_within`] as a task.
    async fn send_async(&self, message: &[u8]) -> Result<(), SendRefusal> {
        self.check_length(message.len())?;
        let core = self.core();
        perform_async(self, &core.oldest, || self.write(message, core.slowest()))
            .await
            .map_err(|refusal| self.close_after(refusal))?;
        core.tail.signal(ALL);
        Ok(())
    }

    #[track_caller]
    fn send_within(&self, message: &[u8], patience: Patience) -> Result<(), SendRefusal> {
        self.check_length(message.len())?;
        let core = self.core();
        let slowest = core::cell::Cell::new(0);
        let attempt = || {
            slowest.set(core.slowest());
            self.write(message, slowest.get())
        };
        let is_still = || !core.is_closed() && core.slowest() == slowest.get();
        self.perform(&core.oldest, patience, attempt, is_still)
            .map_err(|refusal| self.close_after(refusal))?;
        core.tail.signal(ALL);
        Ok(())
    }

    /// Writes a message that isn't too long; called with the lock.
    fn write(&self, message: &[u8], slowest: u64) -> Result<(), Refusal> {
        let core = self.core();
        let tail = core.tail();
        if tail & POSITION_CLOSED != 0 || self.is_deserted(slowest) {
            return Err(Refusal::Closed);
        }
        // At most half a ring, so 32 bits.
        let length = message.len() as u32;
        self.check_position(tail, tail);
        let mut place = tail & (self.ring_size() - 1);
        let advance = self.advance_at(tail, length);
        let is_wrapping = advance != frame_size(length);
        let number = core.sent.get();
        self.make_room(tail, advance, slowest, |oldest| {
            core.oldest.position.store(oldest, Ordering::SeqCst);
        })?;
        // SAFETY: there is room for the frame and for a mark before it, nobody reads or writes there (invariant 1), places
        // are aligned to 8, and `message` is not there, or the sender would read what it may not.
        unsafe {
            if is_wrapping {
                self.at(place).cast::<u32>().write(FRAME_WRAP);
                place = 0;
            }
            let start = self.at(place);
            start.cast::<[u32; 2]>().write([length, 0]);
            start
                .add(broadcast_frame::NUMBER)
                .cast::<u64>()
                .write(number);
            start
                .add(broadcast_frame::SIZE)
                .copy_from_nonoverlapping(NonNull::from(message).cast(), message.len());
        }
        // Invariant 3.
        let next = tail.wrapping_add(advance);
        core.tail
            .position
            .compare_exchange(tail, next, Ordering::SeqCst, Ordering::Relaxed)
            .map_err(|_closed| Refusal::Closed)?;
        core.sent.set(number + 1);
        Ok(())
    }

    /// Whether nobody is left to receive, which was found by there being no cursor (invariant 5).
    fn is_deserted(&self, slowest: u64) -> bool {
        let core = self.core();
        slowest == u64::MAX && core.has_back_pressure() && core.ends().is_deserted()
    }

    /// After an attempt to send that failed, without the lock: what was found deserted is closed for everybody.
    fn close_after(&self, refusal: Refusal) -> SendRefusal {
        if matches!(refusal, Refusal::Closed) {
            self.close_if_deserted();
        }
        SendRefusal::Refused(refusal)
    }

    /// The bytes by which a message moves the tail on: its frame, and what it leaves at the end of the ring.
    fn advance_at(&self, tail: u32, length: u32) -> u32 {
        let rest = self.ring_size() - (tail & (self.ring_size() - 1));
        let frame = frame_size(length);
        frame + if frame > rest { rest } else { 0 }
    }

    /// Gives up the oldest messages until there is room, unless a receiver has not received one of them yet (invariant 4): `give_up` is
    /// told each position that becomes the oldest. Called with the lock.
    fn make_room(
        &self,
        tail: u32,
        advance: u32,
        slowest: u64,
        give_up: impl Fn(u32),
    ) -> Result<(), Refusal> {
        let core = self.core();
        let number = core.sent.get();
        // Relaxed: written under this lock; and the capacity never changes.
        let mut oldest = core.oldest.position.load(Ordering::Relaxed);
        let capacity = u64::from(core.capacity.load(Ordering::Relaxed));
        while oldest != tail {
            let frame = self.frame_at(oldest, tail);
            let used = tail.wrapping_sub(oldest);
            if used + advance <= self.ring_size() && number.wrapping_sub(frame.number) < capacity {
                break;
            }
            if frame.number >= slowest {
                return Err(Refusal::NotNow);
            }
            oldest = frame.end;
            give_up(oldest);
        }
        Ok(())
    }

    /// Whether a message of that length could be sent now, for a select: it waits for nobody, so that it says `true` while another has
    /// the lock. No message is given up for a look.
    fn is_room(&self, length: u32) -> bool {
        let core = self.core();
        let look = || {
            let tail = core.tail();
            let advance = self.advance_at(tail & POSITION_MASK, length);
            let is_closed = tail & POSITION_CLOSED != 0;
            is_closed
                || self
                    .make_room(tail, advance, core.slowest(), |_| ())
                    .is_ok()
        };
        !core.has_back_pressure() || self.try_with(look).unwrap_or(true)
    }

    /// Where a receiver begins: before the next message, or before number `from`; called with the lock.
    fn place(&self, from: Option<u64>) -> Result<(u64, u32, Option<usize>), OpenError> {
        let core = self.core();
        let sent = core.sent.get();
        let next = from.unwrap_or(sent);
        if next > sent {
            return Err(OpenError::NotSent(next));
        }
        let tail = core.tail() & POSITION_MASK;
        let mut position = core.oldest.position.load(Ordering::Relaxed);
        while position != tail {
            let frame = self.frame_at(position, tail);
            if frame.number >= next {
                break;
            }
            position = frame.end;
        }
        if !core.has_back_pressure() {
            return Ok((next, position, None));
        }
        let cursor = core.open_cursor(next);
        let cursor = cursor.ok_or(OpenError::TooManyReceivers(core.cursors.len()))?;
        Ok((next, position, Some(cursor)))
    }

    #[track_caller]
    fn receiver(&self, from: Option<u64>) -> Result<Receiver, OpenError> {
        let (next, position, cursor) = self.with(|| self.place(from))?;
        self.core().ends().add(End::Receiving);
        Ok(Receiver {
            channel: self.clone(),
            next,
            position,
            cursor,
        })
    }
}

impl Monitor for Channel {
    const NAME: &'static str = "a broadcast channel";

    fn lock(&self) -> &RawMutex {
        &self.core().lock
    }

    /// Invariant 2: the number of the next message, from the last frame.
    fn repair(&self) {
        let core = self.core();
        let tail = core.tail() & POSITION_MASK;
        let mut position = core.oldest.position.load(Ordering::Relaxed);
        while position != tail {
            let frame = self.frame_at(position, tail);
            core.sent.set(frame.number + 1);
            position = frame.end;
        }
    }

    fn close_if_deserted(&self) -> bool {
        let core = self.core();
        let is_deserted = core.ends().is_deserted();
        if is_deserted {
            core.close();
        }
        is_deserted
    }
}

/// Why a message wasn't sent.
enum SendRefusal {
    Refused(Refusal),
    TooLong(TooLong),
}

/// The sending end of a broadcast channel. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender(Channel);

impl Sender {
    /// One more end on the channel at `address`.
    ///
    /// # Errors
    /// If there is no channel that this program understands.
    ///
    /// # Safety
    /// The bytes of a broadcast channel's header can be read at `address`, and if there is a channel, it lives as long as
    /// the end and those that are made of it.
    pub unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        // SAFETY: of the caller.
        let channel = unsafe { Channel::open(address) }?;
        channel.core().ends().add(End::Sending);
        Ok(Self(channel))
    }

    /// Sends a copy of `message` to every receiver. With back-pressure it waits while the slowest one has the channel full.
    ///
    /// # Errors
    /// `Closed`, or `TooLong` for more than [`Sender::max_message_len`].
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and would have to.
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> Result<(), SendError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.0
            .send_within(message, patience)
            .map_err(|refusal| match refusal {
                SendRefusal::TooLong(too_long) => SendError::TooLong(too_long),
                SendRefusal::Refused(_) => SendError::Closed,
            })
    }

    /// [`Sender::send`] as a task. Dropped before it is ready, the future has sent nothing.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_async(&self, message: &[u8]) -> Result<(), SendError> {
        let sent = self.0.send_async(message).await;
        sent.map_err(|refusal| match refusal {
            SendRefusal::TooLong(too_long) => SendError::TooLong(too_long),
            SendRefusal::Refused(_) => SendError::Closed,
        })
    }

    /// Sends a copy of `message` if no receiver has to be waited for.
    ///
    /// # Errors
    /// `Full`, `Closed`, or `TooLong`.
    #[track_caller]
    pub fn try_send(&self, message: &[u8]) -> Result<(), TrySendError> {
        self.0
            .send_within(message, Patience::None)
            .map_err(|refusal| match refusal {
                SendRefusal::TooLong(too_long) => TrySendError::TooLong(too_long),
                SendRefusal::Refused(Refusal::Closed) => TrySendError::Closed,
                SendRefusal::Refused(Refusal::NotNow | Refusal::TimedOut) => TrySendError::Full,
            })
    }

    /// [`Sender::send`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), SendTimeoutError> {
        let patience = Patience::Until(Deadline::after(timeout));
        self.0
            .send_within(message, patience)
            .map_err(|refusal| match refusal {
                SendRefusal::TooLong(too_long) => SendTimeoutError::TooLong(too_long),
                SendRefusal::Refused(Refusal::Closed) => SendTimeoutError::Closed,
                SendRefusal::Refused(Refusal::NotNow | Refusal::TimedOut) => {
                    SendTimeoutError::TimedOut
                }
            })
    }

    /// A receiving end for the messages from now on.
    ///
    /// # Errors
    /// `TooManyReceivers` for the 17th of a channel with back-pressure.
    #[track_caller]
    pub fn subscribe(&self) -> Result<Receiver, OpenError> {
        self.0.receiver(None)
    }

    /// The bytes of the longest message: half the ring less 16.
    #[must_use]
    pub fn max_message_len(&self) -> usize {
        self.0.max_message_len()
    }

    /// Whether the channel is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.core().is_closed()
    }

    /// Closes the channel for all ends: nothing more is sent, what is kept is still received.
    pub fn close(&self) {
        self.0.core().close();
    }

    /// Where the channel's record is: what TypeScript opens it by.
    #[must_use]
    pub fn address(&self) -> NonNull<u8> {
        self.0.core.cast()
    }
}

impl sealed::Sealed for Sender {
    fn operation(&self) -> Operation<'_> {
        sealed::OfLength::operation_of_len(self, 0)
    }
}

impl sealed::OfLength for Sender {
    fn operation_of_len(&self, len: usize) -> Operation<'_> {
        let channel = &self.0;
        // At most half a ring, so 32 bits.
        let length = len as u32;
        Operation {
            // Whatever makes room is told there, and so is a close.
            side: &channel.core().oldest,
            is_ready: Box::new(move || channel.is_room(length) || channel.close_if_deserted()),
        }
    }

    fn len_max(&self) -> usize {
        self.max_message_len()
    }
}

impl SelectSend for Sender {}
impl SelectSendLen for Sender {}

thread_end!(Sender, Sending, 0);

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.core().ends().add(End::Sending);
        Self(self.0.clone())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.core().ends().remove(End::Sending) {
            self.close();
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("address", &self.0.core)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// So many messages were overwritten before this end received them. It goes on with the oldest that is kept.
    Lagged(u64),
    /// The channel is closed and this end has received everything.
    Closed,
}

/// Why no message was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no message now.
    Empty,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// The channel is closed and this end has received everything.
    Closed,
}

/// Why no message was received in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// No message came in all that time.
    TimedOut,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// The channel is closed and this end has received everything.
    Closed,
}

const DRAINED: &str = "the channel is closed and everything was received";

fn write_lagged(f: &mut fmt::Formatter<'_>, skipped: u64) -> fmt::Result {
    write!(
        f,
        "the receiver was too slow and has missed {skipped} messages"
    )
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(skipped) => write_lagged(f, *skipped),
            Self::Closed => f.write_str(DRAINED),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no message now"),
            Self::Lagged(skipped) => write_lagged(f, *skipped),
            Self::Closed => f.write_str(DRAINED),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no message came until the time ran out"),
            Self::Lagged(skipped) => write_lagged(f, *skipped),
            Self::Closed => f.write_str(DRAINED),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}

/// A receiving end of a broadcast channel, with a place of its own among the messages. The last one dropped closes the
/// channel.
pub struct Receiver {
    channel: Channel,
    /// The number of the message that it receives next.
    next: u64,
    /// That message's position, unless it lags.
    position: u32,
    /// Its cursor, with back-pressure.
    cursor: Option<usize>,
}

/// What an attempt to receive came to.
enum Received {
    Message(Vec<u8>),
    Lagged(u64),
}

impl Receiver {
    /// One more end on the channel at `address`, for the messages from now on; or from number `from`, as a handle of
    /// TypeScript has it.
    ///
    /// # Errors
    /// If there is no channel that this program understands, or no such message yet, or there are too many receivers.
    ///
    /// # Safety
    /// As [`Sender::open`].
    #[track_caller]
    pub unsafe fn open(address: NonNull<u8>, from: Option<u64>) -> Result<Self, OpenError> {
        // SAFETY: of the caller.
        unsafe { Channel::open(address) }?.receiver(from)
    }

    /// One more end, which begins where this one is.
    ///
    /// # Errors
    /// `TooManyReceivers` for the 17th of a channel with back-pressure.
    #[track_caller]
    pub fn try_clone(&self) -> Result<Self, OpenError> {
        self.channel.receiver(Some(self.next))
    }

    /// The number of the message that this end receives next.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Receives the next message, waiting for one as long as it takes.
    ///
    /// # Errors
    /// `Lagged` if messages were overwritten, once; the next call goes on with the oldest that is kept. `Closed`.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no message comes.
    #[track_caller]
    pub fn recv(&mut self) -> Result<Vec<u8>, RecvError> {
        match self.recv_within(Patience::Until(Deadline::NEVER)) {
            Ok(Received::Message(message)) => Ok(message),
            Ok(Received::Lagged(skipped)) => Err(RecvError::Lagged(skipped)),
            Err(_closed) => Err(RecvError::Closed),
        }
    }

    /// [`Receiver::recv`] as a task. Dropped before it is ready, the future has received nothing.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn recv_async(&mut self) -> Result<Vec<u8>, RecvError> {
        let channel = self.channel.clone();
        let core = channel.core();
        let received = perform_async(&channel, &core.tail, || self.read(core.tail())).await;
        if received.is_ok() && self.cursor.is_some() {
            core.oldest.signal(ALL);
        }
        match received {
            Ok(Received::Message(message)) => Ok(message),
            Ok(Received::Lagged(skipped)) => Err(RecvError::Lagged(skipped)),
            Err(_closed) => Err(RecvError::Closed),
        }
    }

    /// Receives the next message if there is one.
    ///
    /// # Errors
    /// `Empty`, `Lagged`, or `Closed`.
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        match self.recv_within(Patience::None) {
            Ok(Received::Message(message)) => Ok(message),
            Ok(Received::Lagged(skipped)) => Err(TryRecvError::Lagged(skipped)),
            Err(Refusal::Closed) => Err(TryRecvError::Closed),
            Err(Refusal::NotNow | Refusal::TimedOut) => Err(TryRecvError::Empty),
        }
    }

    /// Receives the next message, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Lagged`, or `Closed`.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        match self.recv_within(Patience::Until(Deadline::after(timeout))) {
            Ok(Received::Message(message)) => Ok(message),
            Ok(Received::Lagged(skipped)) => Err(RecvTimeoutError::Lagged(skipped)),
            Err(Refusal::Closed) => Err(RecvTimeoutError::Closed),
            Err(Refusal::NotNow | Refusal::TimedOut) => Err(RecvTimeoutError::TimedOut),
        }
    }

    #[track_caller]
    fn recv_within(&mut self, patience: Patience) -> Result<Received, Refusal> {
        let channel = self.channel.clone();
        let core = channel.core();
        let seen = core::cell::Cell::new(0);
        let attempt = || {
            seen.set(core.tail());
            self.read(seen.get())
        };
        let is_still = || core.tail() == seen.get();
        let received = channel.perform(&core.tail, patience, attempt, is_still)?;
        if self.cursor.is_some() {
            core.oldest.signal(ALL);
        }
        Ok(received)
    }

    /// Called with the lock.
    fn read(&mut self, flagged: u32) -> Result<Received, Refusal> {
        let core = self.channel.core();
        if self.next == core.sent.get() {
            let is_closed = flagged & POSITION_CLOSED != 0;
            return Err(if is_closed {
                Refusal::Closed
            } else {
                Refusal::NotNow
            });
        }
        let tail = flagged & POSITION_MASK;
        // Relaxed: written under this lock.
        let oldest = core.oldest.position.load(Ordering::Relaxed);
        let first = self.channel.frame_at(oldest, tail).number;
        if self.next < first {
            let skipped = first - self.next;
            self.advance(first, oldest);
            return Ok(Received::Lagged(skipped));
        }
        let frame = self.channel.frame_at(self.position, tail);
        assert!(
            frame.number == self.next,
            "the broadcast channel at {:p} is broken: message {} where {} is due",
            self.channel.core,
            frame.number,
            self.next
        );
        // SAFETY: the frame lies in the ring and is kept as long as the lock is held.
        let payload =
            unsafe { slice::from_raw_parts(frame.payload.as_ptr(), frame.length as usize) };
        let message = payload.to_vec();
        self.advance(frame.number + 1, frame.end);
        Ok(Received::Message(message))
    }

    fn advance(&mut self, next: u64, position: u32) {
        self.next = next;
        self.position = position;
        if let Some(cursor) = self.cursor {
            self.channel.core().cursors[cursor].next.set(next);
        }
    }

    /// Whether the channel is closed; it may still keep messages.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.core().is_closed()
    }

    /// Closes the channel for all ends: nothing more is sent, what is kept is still received.
    pub fn close(&self) {
        self.channel.core().close();
    }
}

impl sealed::Sealed for Receiver {
    fn operation(&self) -> Operation<'_> {
        let core = self.channel.core();
        Operation {
            side: &core.tail,
            is_ready: Box::new(move || {
                let tail = core.tail();
                // Without the lock. The number is of the past until the sender tells, or if that dies before it has written it; the
                // position may be the same again once 2^32 bytes were missed.
                tail & POSITION_CLOSED != 0
                    || tail & POSITION_MASK != self.position
                    || core.sent.get() != self.next
                    || self.channel.close_if_deserted()
            }),
        }
    }
}

impl SelectRecv for Receiver {}

impl Drop for Receiver {
    fn drop(&mut self) {
        let core = self.channel.core();
        // Invariant 5.
        if core.ends().remove(End::Receiving) {
            core.close();
        }
        if let Some(cursor) = self.cursor {
            // Tells a sender's look that nobody waits to receive here.
            core.cursors[cursor].token.store(0, Ordering::SeqCst);
            core.oldest.signal(ALL);
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.channel.core)
            .field("next", &self.next)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
