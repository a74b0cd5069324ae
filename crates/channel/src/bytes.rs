//! A bounded channel of byte messages on a record that TypeScript shares.
//!
//! The protocol, its fairness and its orderings are those of `protocol.rs`; here a message is a frame: a header of 8 bytes
//! with the length, the payload, and padding to a multiple of 8. A frame lies in one piece: one that doesn't fit before
//! the end of the ring starts at its beginning, and a mark ([`FRAME_WRAP`]) says so.
//!
//! # Sizes
//! A message of at most [`Sender::max_message_len`] bytes lies in the ring in one piece: half the ring less 8, because only
//! half a ring can always be had so. A longer one goes in several frames, one behind the other: its sender keeps the
//! sending side until the last one, and its receiver the receiving side. Each frame says how much is still to come, and
//! each but the first that it goes on with the one before. So a receiver that has begun a message and finds a frame which
//! doesn't go on with it, or nothing more and nobody alive who is sending, knows that the sender died or gave up, and
//! drops it; and one that finds a frame whose beginning somebody else took with him drops that. Nobody ever sees a part.
//! Operations that don't wait, or that give a place in the ring, refuse longer messages with [`TooLong`].

use crate::{
    error::{RecvError, RecvTimeoutError, TryRecvError},
    layout::{
        CHANNEL_VERSION, FRAME_ALIGN, FRAME_CONTINUED, FRAME_LENGTH_MASK, FRAME_WRAP,
        OPTION_COMPACT, RING_SIZE_MAX, RING_SIZE_MIN, channel_header, frame_header,
    },
    protocol::{Claimed, Core, Patience, Refusal, Reserved},
    select::{Operation, SelectRecv, SelectSend, sealed},
    side::ALL,
};
use core::{fmt, ptr::NonNull, slice, time::Duration};
use heddle_atomics::Deadline;
use std::{
    alloc::{self, Layout},
    error::Error,
    sync::Arc,
};

/// Bytes before a message's payload.
const FRAME_HEADER_SIZE: u32 = frame_header::SIZE as u32;

/// What [`channel`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many messages the channel holds at most. With 0, a sender waits until its message is taken (a rendezvous).
    pub capacity: u32,
    /// Bytes of the ring, headers included: a power of two, 64 to 2^30.
    pub ring_size: u32,
    /// Whether the ring is written from its start again whenever it is found empty, so that a big one touches only as
    /// much memory as its longest backlog.
    pub is_compact: bool,
}

impl Default for Options {
    /// 1024 messages, 64 KiB.
    fn default() -> Self {
        Self {
            capacity: 1024,
            ring_size: 1 << 16,
            is_compact: false,
        }
    }
}

impl Options {
    /// A channel whose senders wait only at a limit far away: `limit` bytes, a power of two. It reserves addresses for
    /// them, but touches memory only for what waits to be received.
    #[must_use]
    pub const fn unbounded(limit: u32) -> Self {
        Self {
            capacity: u32::MAX >> 1,
            ring_size: limit,
            is_compact: true,
        }
    }

    /// A channel for one message of at most `max_len` bytes, which sending never has to wait for.
    #[must_use]
    pub const fn oneshot(max_len: u32) -> Self {
        let ring_size = ((max_len + FRAME_HEADER_SIZE) * 2).next_power_of_two();
        Self {
            capacity: 1,
            ring_size: if ring_size < RING_SIZE_MIN {
                RING_SIZE_MIN
            } else {
                ring_size
            },
            is_compact: false,
        }
    }

    /// Bytes of the whole record.
    #[must_use]
    pub const fn record_size(&self) -> usize {
        channel_header::SIZE + self.ring_size as usize
    }

    #[track_caller]
    fn assert_valid(&self) {
        assert!(
            self.ring_size.is_power_of_two()
                && (RING_SIZE_MIN..=RING_SIZE_MAX).contains(&self.ring_size),
            "the ring of a channel is a power of two from {RING_SIZE_MIN} to {RING_SIZE_MAX} bytes, not {}",
            self.ring_size
        );
    }
}

/// A new channel, in memory of its own.
///
/// The record lives as long as one of the Rust ends: as long as TypeScript uses it, keep one.
///
/// ```
/// use heddle_channel::bytes::{self, Options};
///
/// let (sender, receiver) = bytes::channel(Options::default());
/// sender.send(b"over and out").unwrap();
/// assert_eq!(receiver.recv().unwrap(), b"over and out");
/// ```
///
/// # Panics
/// If the options are out of range, or memory has run out.
#[must_use]
pub fn channel(options: Options) -> (Sender, Receiver) {
    options.assert_valid();
    let allocation = Arc::new(Allocation::new(options));
    // SAFETY: `Allocation::new` has made a channel there, which lives as long as the allocation.
    let channel = unsafe { Channel::at(allocation.address, Some(allocation)) };
    (Sender(channel.clone()), Receiver(channel))
}

/// Bytes that [`channel`] allocated.
struct Allocation {
    address: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the allocation belongs to this value alone, and the allocator takes it back on any thread.
unsafe impl Send for Allocation {}
// SAFETY: a shared reference gives the address only.
unsafe impl Sync for Allocation {}

impl Allocation {
    fn new(options: Options) -> Self {
        // Aligned to a cache line: the record keeps the words of the two sides on lines of their own.
        let layout = Layout::from_size_align(options.record_size(), 64).expect("at most 1 GiB");
        // SAFETY: the layout isn't empty.
        let pointer = unsafe { alloc::alloc_zeroed(layout) };
        let Some(address) = NonNull::new(pointer) else {
            alloc::handle_alloc_error(layout)
        };
        // SAFETY: freshly allocated, of the record's size and alignment.
        unsafe { init(address, options) };
        Self { address, layout }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`, and given back once.
        unsafe { alloc::dealloc(self.address.as_ptr(), self.layout) };
    }
}

/// Makes an open channel, with one sending and one receiving end, at `address`.
///
/// # Safety
/// `address` is aligned to 8 and has [`Options::record_size`] bytes that nobody else uses.
///
/// # Panics
/// If the options are out of range.
pub unsafe fn init(address: NonNull<u8>, options: Options) {
    options.assert_valid();
    // SAFETY: the caller gives the bytes.
    unsafe {
        address.cast::<Core>().write(Core::new(
            options.ring_size,
            options.capacity,
            if options.is_compact {
                OPTION_COMPACT
            } else {
                0
            },
        ))
    };
}

/// Why there is no channel at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The address is not a multiple of 8.
    Misaligned,
    /// There is no channel.
    NotAChannel,
    /// The channel was made by another version of the layout.
    Version(u32),
    /// The channel is broken: its ring can't have so many bytes.
    RingSize(u32),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str("the address of a channel is a multiple of 8"),
            Self::NotAChannel => f.write_str("there is no channel at this address"),
            Self::Version(version) => {
                write!(
                    f,
                    "the channel has layout {version}, this program has {CHANNEL_VERSION}"
                )
            }
            Self::RingSize(size) => write!(f, "the channel is broken: a ring of {size} bytes"),
        }
    }
}

impl Error for OpenError {}

/// The record, and what keeps it alive.
#[derive(Clone)]
struct Channel {
    core: NonNull<Core>,
    ring: NonNull<u8>,
    _allocation: Option<Arc<Allocation>>,
}

// SAFETY: the record is made for threads: its words are atomics, and the ring is reached under its locks.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// # Safety
    /// There is a channel at `address`, and it lives as long as `allocation`, or for ever if that is `None`.
    unsafe fn at(address: NonNull<u8>, allocation: Option<Arc<Allocation>>) -> Self {
        Self {
            core: address.cast(),
            // SAFETY: the ring follows the header.
            ring: unsafe { address.add(channel_header::SIZE) },
            _allocation: allocation,
        }
    }

    /// # Safety
    /// If there is a channel at `address`, it lives as long as its ends.
    unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        if !address.cast::<Core>().is_aligned() {
            return Err(OpenError::Misaligned);
        }
        // SAFETY: of the caller.
        let channel = unsafe { Self::at(address, None) };
        if !channel.core().is_ready() {
            return Err(OpenError::NotAChannel);
        }
        let version = channel.core().version();
        if version != CHANNEL_VERSION {
            return Err(OpenError::Version(version));
        }
        let ring_size = channel.core().ring_size();
        if !ring_size.is_power_of_two() || !(RING_SIZE_MIN..=RING_SIZE_MAX).contains(&ring_size) {
            return Err(OpenError::RingSize(ring_size));
        }
        Ok(channel)
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: the record lives at least as long as this value, and it is atomics throughout.
        unsafe { self.core.as_ref() }
    }

    #[inline]
    fn max_message_len(&self) -> usize {
        (self.core().ring_size() / 2 - FRAME_HEADER_SIZE) as usize
    }

    /// The place in the ring of a position.
    #[inline]
    fn place(&self, position: u32) -> u32 {
        position & (self.core().ring_size() - 1)
    }

    /// How far a frame for `length` bytes moves the tail at a position: it lies in one piece.
    #[inline]
    fn advance_at(&self, position: u32, length: u32) -> u32 {
        let ring_size = self.core().ring_size();
        let place = self.place(position);
        let frame = frame_size(length);
        let rest = ring_size - place;
        if frame <= rest { frame } else { rest + frame }
    }

    /// Writes the head of a frame at a reserved place; where its payload goes.
    #[inline]
    fn write_head(
        &self,
        reserved: &Reserved<'_>,
        length: u32,
        flags: u32,
        rest: u32,
    ) -> NonNull<u8> {
        let mut place = self.place(reserved.position());
        if reserved.advance() > frame_size(length) {
            // SAFETY: the place is in the ring, aligned to 8, and reserved.
            unsafe {
                self.ring
                    .add(place as usize)
                    .cast::<u32>()
                    .write(FRAME_WRAP)
            };
            place = 0;
        }
        // SAFETY: the frame's bytes from here are in the ring and reserved; the place is aligned to 8.
        unsafe {
            let start = self.ring.add(place as usize);
            start.cast::<[u32; 2]>().write([length | flags, rest]);
            start.add(FRAME_HEADER_SIZE as usize)
        }
    }

    /// Writes a whole frame at a reserved place.
    #[inline]
    fn write_frame(&self, reserved: &Reserved<'_>, payload: &[u8], flags: u32, rest: u32) {
        // At most half a ring, so 32 bits.
        let target = self.write_head(reserved, payload.len() as u32, flags, rest);
        // SAFETY: as many bytes are reserved there, and `payload` is not in the ring, or the sender would read what it
        // may not.
        unsafe { target.copy_from_nonoverlapping(NonNull::from(payload).cast(), payload.len()) };
    }

    #[inline]
    fn check_length(&self, len: usize) -> Result<u32, TooLong> {
        let max = self.max_message_len();
        if len > max {
            return Err(TooLong { len, max });
        }
        // At most half a ring, so 32 bits.
        Ok(len as u32)
    }

    #[inline]
    #[track_caller]
    fn reserve_within(&self, len: usize, patience: Patience) -> Result<Reserved<'_>, SendRefusal> {
        let length = self.check_length(len).map_err(SendRefusal::TooLong)?;
        self.core().start_again(|place| {
            // SAFETY: the place is in the ring, aligned to 8, and nobody else sends or receives.
            unsafe {
                self.ring
                    .add(place as usize)
                    .cast::<u32>()
                    .write(FRAME_WRAP)
            }
        });
        self.core()
            .reserve(|position| self.advance_at(position, length), patience)
            .map_err(SendRefusal::Refused)
    }

    #[inline]
    #[track_caller]
    fn send_within(&self, message: &[u8], patience: Patience) -> Result<(), SendRefusal> {
        if let Patience::Until(deadline) = patience {
            if message.len() > self.max_message_len() {
                return self.send_long(message, deadline);
            }
        } else if self.core().is_rendezvous() {
            return self.send_meeting(message);
        }
        let reserved = self.reserve_within(message.len(), patience)?;
        self.write_frame(&reserved, message, 0, 0);
        let Ok(end) = reserved.commit() else {
            return Err(SendRefusal::Refused(Refusal::Closed));
        };
        match patience {
            Patience::Until(deadline) if self.core().is_rendezvous() => {
                self.await_taken(end, deadline)
            }
            _ => Ok(()),
        }
    }

    /// Sends in a rendezvous without waiting.
    fn send_meeting(&self, message: &[u8]) -> Result<(), SendRefusal> {
        let length = self
            .check_length(message.len())
            .map_err(SendRefusal::TooLong)?;
        let reserved = self
            .core()
            .meet(|position| self.advance_at(position, length))
            .map_err(SendRefusal::Refused)?;
        self.write_frame(&reserved, message, 0, 0);
        match reserved.commit() {
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendRefusal::Refused(Refusal::Closed)),
        }
    }

    #[track_caller]
    fn await_taken(&self, end: u32, deadline: Deadline) -> Result<(), SendRefusal> {
        self.core()
            .await_taken(end, deadline)
            .map_err(|(refusal, claimed)| {
                let units = end.wrapping_sub(claimed.position());
                claimed.release(units);
                SendRefusal::Refused(refusal)
            })
    }

    /// Sends a message that takes several frames.
    #[cold]
    #[track_caller]
    fn send_long(&self, message: &[u8], deadline: Deadline) -> Result<(), SendRefusal> {
        if u32::try_from(message.len()).is_err() {
            let max = u32::MAX as usize;
            return Err(SendRefusal::TooLong(TooLong {
                len: message.len(),
                max,
            }));
        }
        let chunk_len = (self.core().ring_size() / 4 - FRAME_HEADER_SIZE) as usize;
        let mut reserved = self.reserve_within(chunk_len, Patience::Until(deadline))?;
        let mut chunks = message.chunks(chunk_len).peekable();
        let mut rest = message.len();
        let mut flags = 0;
        while let Some(chunk) = chunks.next() {
            rest -= chunk.len();
            // 32 bits, as was checked.
            self.write_frame(&reserved, chunk, flags, rest as u32);
            flags = FRAME_CONTINUED;
            let Some(next) = chunks.peek() else { break };
            let result = if reserved.commit_part() {
                let length = next.len() as u32;
                reserved.next_part(|position| self.advance_at(position, length), deadline)
            } else {
                Err(Refusal::Closed)
            };
            if let Err(refusal) = result {
                // What was sent is no message: the next frame doesn't go on with it.
                reserved.abandon();
                return Err(SendRefusal::Refused(refusal));
            }
        }
        match reserved.commit() {
            Ok(end) if self.core().is_rendezvous() => self.await_taken(end, deadline),
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendRefusal::Refused(Refusal::Closed)),
        }
    }

    /// The frame at a claimed position; `None` if there is only the mark of a sender that died while it moved an empty ring
    /// to its start, which is taken away.
    #[inline]
    fn frame_at(&self, claimed: &mut Claimed<'_>) -> Option<Frame> {
        let mut place = self.place(claimed.position());
        let mut advance = 0;
        // SAFETY: the claim says that there is a frame here, in the ring and aligned to 8.
        let mut length = unsafe { self.ring.add(place as usize).cast::<u32>().read() };
        if length & FRAME_WRAP != 0 {
            advance = self.core().ring_size() - place;
            if advance == claimed.used() {
                claimed.pass(advance, false);
                return None;
            }
            place = 0;
            // SAFETY: behind the mark the frame is at the beginning.
            length = unsafe { self.ring.cast::<u32>().read() };
        }
        // SAFETY: the second word of the same frame's head.
        let rest = unsafe { self.ring.add(place as usize + 4).cast::<u32>().read() };
        let is_continued = length & FRAME_CONTINUED != 0;
        length &= FRAME_LENGTH_MASK;
        advance += frame_size(length);
        let used = claimed.used();
        assert!(
            advance <= used && place + frame_size(length) <= self.core().ring_size(),
            "the channel at {:p} is broken: a message of {length} bytes where {used} are",
            self.core,
        );
        Some(Frame {
            // SAFETY: the frame is in the ring.
            payload: unsafe { self.ring.add((place + FRAME_HEADER_SIZE) as usize) },
            length,
            rest,
            is_continued,
            advance,
        })
    }

    /// Waits for a message: where it lies, or its bytes if it took several frames.
    #[inline]
    #[track_caller]
    fn claim_within(&self, patience: Patience) -> Result<(Claimed<'_>, Message), Refusal> {
        let mut claimed = self.core().claim(patience)?;
        if let Some(frame) = self.frame_at(&mut claimed)
            && frame.rest == 0
            && !frame.is_continued
        {
            return Ok((claimed, Message::InPlace(frame)));
        }
        self.collect(claimed, patience)
    }

    /// Takes a message that takes several frames out of the ring.
    #[cold]
    #[track_caller]
    fn collect<'a>(
        &'a self,
        mut claimed: Claimed<'a>,
        patience: Patience,
    ) -> Result<(Claimed<'a>, Message), Refusal> {
        let mut bytes: Option<Vec<u8>> = None;
        loop {
            if !claimed.has_more() && (bytes.is_none() || !claimed.await_more()) {
                // The rest won't come, or there was none: from the beginning.
                drop(claimed);
                return self.claim_within(patience);
            }
            let Some(frame) = self.frame_at(&mut claimed) else {
                continue;
            };
            if !frame.is_continued {
                if frame.rest == 0 {
                    return Ok((claimed, Message::InPlace(frame)));
                }
                // What came before was given up by its sender. The length is not believed before it has come.
                bytes = Some(Vec::with_capacity(frame.length as usize));
            }
            if let Some(bytes) = &mut bytes {
                // SAFETY: the frame is within what the claim gives, and no sender writes there before `pass`.
                bytes.extend_from_slice(unsafe { frame.bytes() });
            }
            claimed.pass(frame.advance, frame.rest == 0);
            if frame.rest == 0
                && let Some(bytes) = bytes.take()
            {
                return Ok((claimed, Message::Collected(bytes)));
            }
        }
    }

    #[inline]
    #[track_caller]
    fn recv_within<R>(
        &self,
        patience: Patience,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Refusal> {
        let (claimed, message) = self.claim_within(patience)?;
        let result = read(message.bytes());
        finish(claimed, &message);
        Ok(result)
    }
}

/// A frame in the ring.
#[derive(Clone, Copy)]
struct Frame {
    payload: NonNull<u8>,
    length: u32,
    rest: u32,
    is_continued: bool,
    advance: u32,
}

impl Frame {
    /// # Safety
    /// The frame is claimed as long as the slice is used.
    #[inline]
    unsafe fn bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: the payload lies in the ring in one piece, and no sender writes there while it is claimed.
        unsafe { slice::from_raw_parts(self.payload.as_ptr(), self.length as usize) }
    }
}

/// A message that was claimed.
enum Message {
    /// It lies in the ring.
    InPlace(Frame),
    /// It took several frames, and has left the ring.
    Collected(Vec<u8>),
}

impl Message {
    /// The bytes, for as long as the claim lasts.
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: whoever has a message in place has its claim.
            Self::InPlace(frame) => unsafe { frame.bytes() },
            Self::Collected(bytes) => bytes,
        }
    }
}

/// Takes a claimed message out of the channel.
#[inline]
fn finish(claimed: Claimed<'_>, message: &Message) {
    match message {
        Message::InPlace(frame) => claimed.release(frame.advance),
        Message::Collected(_) => claimed.leave(),
    }
}

/// The bytes of a frame with a payload of `length`.
#[inline]
const fn frame_size(length: u32) -> u32 {
    (FRAME_HEADER_SIZE + length).next_multiple_of(FRAME_ALIGN)
}

enum SendRefusal {
    TooLong(TooLong),
    Refused(Refusal),
}

/// A message is longer than the channel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The message's bytes.
    pub len: usize,
    /// The longest message's bytes.
    pub max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a message of {} bytes in a channel that takes {}",
            self.len, self.max
        )
    }
}

/// Why a message wasn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The channel is closed.
    Closed,
    /// The message is longer than the channel takes.
    TooLong(TooLong),
}

/// Why a message wasn't sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError {
    /// There is no room now.
    Full,
    /// The channel is closed.
    Closed,
    /// The message is longer than the channel takes.
    TooLong(TooLong),
}

/// Why a message wasn't sent in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTimeoutError {
    /// There was no room in all that time.
    TimedOut,
    /// The channel is closed.
    Closed,
    /// The message is longer than the channel takes.
    TooLong(TooLong),
}

/// Why a message wasn't copied into a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvIntoError {
    /// The channel is closed and everything sent has been received.
    Closed,
    /// The message is longer than the buffer.
    TooLong(TooLong),
}

impl fmt::Display for RecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the channel is closed and empty"),
            Self::TooLong(TooLong { len, max }) => {
                write!(f, "a message of {len} bytes for a buffer of {max}")
            }
        }
    }
}

impl Error for RecvIntoError {}

impl From<SendRefusal> for SendError {
    fn from(refusal: SendRefusal) -> Self {
        match refusal {
            SendRefusal::TooLong(too_long) => Self::TooLong(too_long),
            SendRefusal::Refused(_) => Self::Closed,
        }
    }
}

impl From<SendRefusal> for TrySendError {
    fn from(refusal: SendRefusal) -> Self {
        match refusal {
            SendRefusal::TooLong(too_long) => Self::TooLong(too_long),
            SendRefusal::Refused(Refusal::Closed) => Self::Closed,
            SendRefusal::Refused(_) => Self::Full,
        }
    }
}

impl From<SendRefusal> for SendTimeoutError {
    fn from(refusal: SendRefusal) -> Self {
        match refusal {
            SendRefusal::TooLong(too_long) => Self::TooLong(too_long),
            SendRefusal::Refused(Refusal::Closed) => Self::Closed,
            SendRefusal::Refused(_) => Self::TimedOut,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the channel is closed"),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the channel is full"),
            Self::Closed => f.write_str("the channel is closed"),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl fmt::Display for SendTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the channel stayed full until the time ran out"),
            Self::Closed => f.write_str("the channel is closed"),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl Error for TooLong {}
impl Error for SendError {}
impl Error for TrySendError {}
impl Error for SendTimeoutError {}

impl sealed::Sealed for Sender {
    fn operation(&self) -> Operation<'_> {
        self.operation_of_len(0)
    }
}

impl sealed::Sealed for Receiver {
    fn operation(&self) -> Operation<'_> {
        self.0.core().receiving()
    }
}

impl SelectSend for Sender {}
impl SelectRecv for Receiver {}

/// What both ends can say and do.
macro_rules! either_end {
    ($end:ident, $add:ident, $remove:ident) => {
        impl $end {
            /// One more end on the channel at `address`, made by [`init`], [`channel`] or TypeScript.
            ///
            /// # Errors
            /// If there is no channel that this program understands.
            ///
            /// # Safety
            /// The bytes of a channel header can be read at `address`, and if there is a channel, it lives as long as
            /// the end and those cloned from it.
            pub unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
                // SAFETY: of the caller.
                let channel = unsafe { Channel::open(address) }?;
                channel.core().$add();
                Ok(Self(channel))
            }

            /// Takes over the end that [`init`] has counted for the channel at `address`.
            ///
            /// # Errors
            /// If there is no channel that this program understands.
            ///
            /// # Safety
            /// As `open`; and nobody else takes over that end.
            pub unsafe fn adopt(address: NonNull<u8>) -> Result<Self, OpenError> {
                // SAFETY: of the caller.
                Ok(Self(unsafe { Channel::open(address) }?))
            }

            /// Where the channel's record is: what TypeScript opens it by.
            #[must_use]
            pub fn address(&self) -> NonNull<u8> {
                self.0.core.cast()
            }

            /// Closes the channel for all ends: nothing more is sent, what was sent is still received.
            pub fn close(&self) {
                self.0.core().close();
            }

            /// Whether the channel is closed; it may still hold messages.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.0.core().is_closed()
            }

            /// How many messages wait to be received; of the past as soon as it is known.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.core().len() as usize
            }

            /// Whether nothing waits to be received; of the past as soon as it is known.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// How many messages the channel holds at most; 0 in a rendezvous.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.0.core().capacity() as usize
            }

            /// Whether there is no room for another message, however short; of the past as soon as it is known.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.0.core().is_full()
            }

            /// The bytes of the longest message that lies in the ring in one piece: half the ring less 8.
            #[must_use]
            pub fn max_message_len(&self) -> usize {
                self.0.max_message_len()
            }
        }

        impl Clone for $end {
            fn clone(&self) -> Self {
                self.0.core().$add();
                Self(self.0.clone())
            }
        }

        impl Drop for $end {
            fn drop(&mut self) {
                self.0.core().$remove();
            }
        }

        impl fmt::Debug for $end {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("address", &self.0.core)
                    .field("len", &self.len())
                    .field("is_closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    };
}

/// The sending end of a byte channel. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender(Channel);

/// The receiving end of a byte channel. Clone it for more receivers, each message goes to one of them; the last one
/// dropped closes the channel.
pub struct Receiver(Channel);

either_end!(Sender, add_sender, remove_sender);
either_end!(Receiver, add_receiver, remove_receiver);

impl Sender {
    /// Sends a copy of `message`, waiting for room as long as it takes. While one longer than
    /// [`Sender::max_message_len`] is sent, other senders wait.
    ///
    /// # Errors
    /// `Closed`; `TooLong` for 4 GiB or more.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no room comes.
    #[inline]
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> Result<(), SendError> {
        Ok(self
            .0
            .send_within(message, Patience::Until(Deadline::NEVER))?)
    }

    /// Sends a copy of `message` if there is room.
    ///
    /// # Errors
    /// `Full`, `Closed`, or `TooLong`.
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<(), TrySendError> {
        Ok(self.0.send_within(message, Patience::None)?)
    }

    /// Sends a copy of `message`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), SendTimeoutError> {
        Ok(self
            .0
            .send_within(message, Patience::Until(Deadline::after(timeout)))?)
    }

    /// Sends copies of as many of `messages` as there is room for, with one lock and one wake-up; how many.
    ///
    /// # Errors
    /// `Closed` if the channel is closed and none was sent, `TooLong` if the first is.
    pub fn try_send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<usize, TrySendError> {
        let Some(first) = messages.first() else {
            return Ok(0);
        };
        if self.0.core().is_rendezvous() {
            return self.try_send(first.as_ref()).map(|()| 1);
        }
        let channel = &self.0;
        let mut reserved = match channel.reserve_within(first.as_ref().len(), Patience::None) {
            Err(SendRefusal::Refused(Refusal::NotNow)) => return Ok(0),
            result => result?,
        };
        let mut sent = 0;
        loop {
            channel.write_frame(&reserved, messages[sent].as_ref(), 0, 0);
            let next = messages
                .get(sent + 1)
                .and_then(|next| channel.check_length(next.as_ref().len()).ok());
            if let Some(length) = next
                && reserved.commit_and_keep()
            {
                sent += 1;
                if reserved.next(|position| channel.advance_at(position, length)) {
                    continue;
                }
                reserved.abandon();
                return Ok(sent);
            }
            let is_sent = reserved.commit().is_ok();
            channel.core().receivers().signal(ALL);
            sent += usize::from(is_sent);
            return if sent > 0 {
                Ok(sent)
            } else {
                Err(TrySendError::Closed)
            };
        }
    }

    /// Sends copies of all `messages`, waiting for room as long as it takes: as many as there is room for with one lock
    /// and one wake-up. Messages of other senders may come between them.
    ///
    /// # Errors
    /// With the number that was sent before: `Closed`, or `TooLong` for 4 GiB or more.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<(), (usize, SendError)> {
        let mut sent = 0;
        while sent < messages.len() {
            let count = self.try_send_many(&messages[sent..]).unwrap_or(0);
            sent += count;
            if count == 0 {
                self.send(messages[sent].as_ref())
                    .map_err(|error| (sent, error))?;
                sent += 1;
            }
        }
        Ok(())
    }

    /// A place for a message of `len` bytes, waiting for room as long as it takes: the message is written where the
    /// receiver reads it, without a copy. Until it is committed or dropped, other senders wait.
    ///
    /// # Errors
    /// `Closed`, or `TooLong` for more than [`Sender::max_message_len`].
    ///
    /// # Panics
    /// As [`Sender::send`]; and in a rendezvous, which has no place to reserve.
    #[track_caller]
    pub fn reserve(&self, len: usize) -> Result<Reservation<'_>, SendError> {
        Ok(self.reservation(len, Patience::Until(Deadline::NEVER))?)
    }

    /// [`Sender::reserve`] if there is room.
    ///
    /// # Errors
    /// `Full`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// In a rendezvous.
    #[track_caller]
    pub fn try_reserve(&self, len: usize) -> Result<Reservation<'_>, TrySendError> {
        Ok(self.reservation(len, Patience::None)?)
    }

    /// What a select waits for to send a message of `len` bytes.
    pub(crate) fn operation_of_len(&self, len: usize) -> Operation<'_> {
        // At most half a ring, so 32 bits.
        let length = len as u32;
        self.0
            .core()
            .sending(move |position| self.0.advance_at(position, length))
    }

    #[track_caller]
    fn reservation(&self, len: usize, patience: Patience) -> Result<Reservation<'_>, SendRefusal> {
        assert!(
            !self.0.core().is_rendezvous(),
            "a rendezvous has no place to reserve"
        );
        let reserved = self.0.reserve_within(len, patience)?;
        // At most half a ring, so 32 bits.
        let length = len as u32;
        let payload = self.0.write_head(&reserved, length, 0, 0);
        Ok(Reservation {
            reserved: Some(reserved),
            payload,
            length,
        })
    }
}

/// A place for a message, got by [`Sender::reserve`]: write its bytes, then commit. Dropped, it is abandoned.
///
/// It derefs to the bytes of the message; what they hold first is of the past.
pub struct Reservation<'a> {
    /// `None` once it is over.
    reserved: Option<Reserved<'a>>,
    payload: NonNull<u8>,
    length: u32,
}

impl Reservation<'_> {
    /// Sends the message.
    ///
    /// # Errors
    /// If the channel was closed meanwhile.
    pub fn commit(mut self) -> Result<(), SendError> {
        let Some(reserved) = self.reserved.take() else {
            unreachable!("only a commit or a drop ends it")
        };
        match reserved.commit() {
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendError::Closed),
        }
    }

    /// Sends the first `len` bytes as the message.
    ///
    /// # Errors
    /// If the channel was closed meanwhile.
    ///
    /// # Panics
    /// If fewer bytes were reserved.
    pub fn commit_len(mut self, len: usize) -> Result<(), SendError> {
        assert!(
            len <= self.length as usize,
            "a message of {len} bytes where {} were reserved",
            self.length
        );
        // At most what was reserved, so 32 bits.
        let length = len as u32;
        if let Some(reserved) = &mut self.reserved {
            reserved.shorten(frame_size(self.length) - frame_size(length));
            // SAFETY: the head of the frame lies before the payload, and is reserved still.
            unsafe {
                self.payload
                    .sub(FRAME_HEADER_SIZE as usize)
                    .cast::<u32>()
                    .write(length);
            }
        }
        self.commit()
    }
}

impl core::ops::Deref for Reservation<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as many bytes are reserved there, for this value alone, and were initialised with the ring.
        unsafe { slice::from_raw_parts(self.payload.as_ptr(), self.length as usize) }
    }
}

impl core::ops::DerefMut for Reservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.payload.as_ptr(), self.length as usize) }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            reserved.abandon();
        }
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("len", &self.length)
            .finish_non_exhaustive()
    }
}

/// The oldest message where it lies, got by [`Receiver::borrow`]: dropped, it is taken out of the channel.
///
/// It derefs to the bytes of the message.
pub struct Borrow<'a> {
    /// `None` once it is over.
    claimed: Option<Claimed<'a>>,
    message: Message,
}

impl Borrow<'_> {
    /// Leaves the message in the channel, unless it took several frames: then it has left it already.
    pub fn keep(mut self) {
        if let (Message::InPlace(_), Some(claimed)) = (&self.message, self.claimed.take()) {
            claimed.keep();
        }
    }
}

impl core::ops::Deref for Borrow<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.message.bytes()
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        if let Some(claimed) = self.claimed.take() {
            finish(claimed, &self.message);
        }
    }
}

impl fmt::Debug for Borrow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrow")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// Receives the oldest message, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`RecvError`] if the channel is closed and empty.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no message comes.
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<Vec<u8>, RecvError> {
        self.recv_with(<[u8]>::to_vec)
    }

    /// Receives the oldest message in place, without a copy: `read` sees its bytes in the ring.
    ///
    /// While `read` runs, other receivers wait.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`]. If `read` panics, the message stays in the channel.
    #[inline]
    #[track_caller]
    pub fn recv_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R, RecvError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.0
            .recv_within(patience, read)
            .map_err(|_closed| RecvError)
    }

    /// Receives the oldest message if there is one.
    ///
    /// # Errors
    /// `Empty`, or `Closed` if it is empty and none will come.
    #[inline]
    pub fn try_recv(&self) -> Result<Vec<u8>, TryRecvError> {
        self.0
            .recv_within(Patience::None, <[u8]>::to_vec)
            .map_err(TryRecvError::from)
    }

    /// Receives the oldest message, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` if it is empty and none will come.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        let patience = Patience::Until(Deadline::after(timeout));
        self.0
            .recv_within(patience, <[u8]>::to_vec)
            .map_err(|refusal| match refusal {
                Refusal::Closed => RecvTimeoutError::Closed,
                Refusal::NotNow | Refusal::TimedOut => RecvTimeoutError::TimedOut,
            })
    }

    /// Borrows the oldest message, waiting for one as long as it takes: it is read where it was written, without a copy,
    /// and taken out of the channel when the borrow is dropped. Until then other receivers wait.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn borrow(&self) -> Result<Borrow<'_>, RecvError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.borrow_within(patience).map_err(|_closed| RecvError)
    }

    /// [`Receiver::borrow`] if there is a message.
    ///
    /// # Errors
    /// As [`Receiver::try_recv`].
    pub fn try_borrow(&self) -> Result<Borrow<'_>, TryRecvError> {
        self.borrow_within(Patience::None)
            .map_err(TryRecvError::from)
    }

    #[track_caller]
    fn borrow_within(&self, patience: Patience) -> Result<Borrow<'_>, Refusal> {
        let (claimed, message) = self.0.claim_within(patience)?;
        Ok(Borrow {
            claimed: Some(claimed),
            message,
        })
    }

    /// Copies the oldest message into `target`, waiting for one as long as it takes; how many bytes.
    ///
    /// # Errors
    /// `Closed`, or `TooLong` if the message is longer than `target`; it stays in the channel, unless it took several
    /// frames.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_into(&self, target: &mut [u8]) -> Result<usize, RecvIntoError> {
        let message = self.borrow().map_err(|RecvError| RecvIntoError::Closed)?;
        let len = message.len();
        let Some(target) = target.get_mut(..len) else {
            let max = target.len();
            message.keep();
            return Err(RecvIntoError::TooLong(TooLong { len, max }));
        };
        target.copy_from_slice(&message);
        Ok(len)
    }

    /// Receives the messages that are there, at most `max`, with one lock and one wake-up.
    ///
    /// # Errors
    /// `Empty` if there is none, `Closed` if none will come.
    pub fn try_recv_many(&self, max: usize) -> Result<Vec<Vec<u8>>, TryRecvError> {
        self.recv_many_within(max, Patience::None)
            .map_err(TryRecvError::from)
    }

    /// Receives the oldest messages, at most `max`, with one lock and one wake-up, waiting for the first as long as it
    /// takes.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_many(&self, max: usize) -> Result<Vec<Vec<u8>>, RecvError> {
        self.recv_many_within(max, Patience::Until(Deadline::NEVER))
            .map_err(|_closed| RecvError)
    }

    #[track_caller]
    fn recv_many_within(&self, max: usize, patience: Patience) -> Result<Vec<Vec<u8>>, Refusal> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let (mut claimed, message) = self.0.claim_within(patience)?;
        let frame = match message {
            Message::Collected(bytes) => {
                claimed.leave();
                return Ok(vec![bytes]);
            }
            Message::InPlace(frame) => frame,
        };
        let mut frame = Some(frame);
        let mut messages = Vec::new();
        while let Some(whole) = frame {
            // SAFETY: the frame is claimed until `pass`.
            messages.push(unsafe { whole.bytes() }.to_vec());
            claimed.pass(whole.advance, true);
            // A message of several frames is left to the next call.
            let has_more = messages.len() < max && claimed.has_more();
            frame = if has_more {
                self.0.frame_at(&mut claimed)
            } else {
                None
            }
            .filter(|next| next.rest == 0 && !next.is_continued);
        }
        claimed.leave();
        self.0.core().senders().signal(ALL);
        Ok(messages)
    }

    /// The messages as they come, until the channel is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        core::iter::from_fn(|| self.recv().ok())
    }
}
