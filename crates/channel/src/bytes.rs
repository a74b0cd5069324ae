//! A bounded channel of byte messages on a record that TypeScript shares.
//!
//! The protocol, its fairness and its orderings are those of `protocol.rs`; here a message is a frame: a header of 8 bytes
//! with the length, the payload, and padding to a multiple of 8. A frame lies in one piece: one that doesn't fit before
//! the end of the ring starts at its beginning, and a mark ([`FRAME_WRAP`]) says so.
//!
//! # Sizes
//! A message is 0 to [`Sender::max_message_len`] bytes: half the ring less 8, because only half a ring can always be
//! had in one piece. A longer one is refused with [`TooLong`], and the ring is yours to choose ([`Options::ring_size`]).

use crate::{
    error::{RecvError, RecvTimeoutError, TryRecvError},
    layout::{
        CHANNEL_VERSION, FRAME_ALIGN, FRAME_LENGTH_MASK, FRAME_WRAP, RING_SIZE_MAX, RING_SIZE_MIN,
        channel_header, frame_header,
    },
    protocol::{Core, Patience, Refusal},
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
    /// How many messages the channel holds at most; at least 1.
    pub capacity: u32,
    /// Bytes of the ring, headers included: a power of two, 64 to 2^30. The longest message is half of it less 8.
    pub ring_size: u32,
}

impl Default for Options {
    /// 1024 messages, 64 KiB.
    fn default() -> Self {
        Self {
            capacity: 1024,
            ring_size: 1 << 16,
        }
    }
}

impl Options {
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
        assert!(self.capacity > 0, "a channel holds at least one message");
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
        address
            .cast::<Core>()
            .write(Core::new(options.ring_size, options.capacity))
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

    #[inline]
    #[track_caller]
    fn send_within(&self, message: &[u8], patience: Patience) -> Result<(), SendRefusal> {
        if message.len() > self.max_message_len() {
            return Err(SendRefusal::TooLong(TooLong {
                len: message.len(),
                max: self.max_message_len(),
            }));
        }
        // At most half a ring, so 32 bits.
        let length = message.len() as u32;
        let frame = frame_size(length);
        let ring_size = self.core().ring_size();
        let advance_at = |position: u32| {
            let rest = ring_size - self.place(position);
            if frame <= rest { frame } else { rest + frame }
        };
        let reserved = self
            .core()
            .reserve(advance_at, patience)
            .map_err(SendRefusal::Refused)?;
        let mut place = self.place(reserved.position());
        if ring_size - place < frame {
            // SAFETY: the place is in the ring, aligned to 8, and reserved.
            unsafe {
                self.ring
                    .add(place as usize)
                    .cast::<u32>()
                    .write(FRAME_WRAP)
            };
            place = 0;
        }
        // SAFETY: `frame` bytes from here are in the ring and reserved; the place is aligned to 8.
        unsafe {
            let start = self.ring.add(place as usize);
            start.cast::<[u32; 2]>().write([length, 0]);
            start
                .add(FRAME_HEADER_SIZE as usize)
                .copy_from_nonoverlapping(NonNull::from(message).cast(), message.len());
        }
        reserved
            .commit()
            .map_err(|_closed| SendRefusal::Refused(Refusal::Closed))
    }

    #[inline]
    #[track_caller]
    fn recv_within<R>(
        &self,
        patience: Patience,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Refusal> {
        let claimed = self.core().claim(patience)?;
        let mut place = self.place(claimed.position());
        let mut advance = 0;
        // SAFETY: the claim says that there is a frame here, in the ring and aligned to 8.
        let mut length = unsafe { self.ring.add(place as usize).cast::<u32>().read() };
        if length & FRAME_WRAP != 0 {
            advance = self.core().ring_size() - place;
            place = 0;
            // SAFETY: behind the mark the frame is at the beginning.
            length = unsafe { self.ring.cast::<u32>().read() };
        }
        length &= FRAME_LENGTH_MASK;
        advance += frame_size(length);
        assert!(
            advance <= claimed.used() && place + frame_size(length) <= self.core().ring_size(),
            "the channel at {:p} is broken: a message of {length} bytes where {} are",
            self.core,
            claimed.used()
        );
        // SAFETY: the frame is within what the claim gives, and no sender writes there before `release`.
        let message = unsafe {
            slice::from_raw_parts(
                self.ring.add((place + FRAME_HEADER_SIZE) as usize).as_ptr(),
                length as usize,
            )
        };
        let result = read(message);
        claimed.release(advance);
        Ok(result)
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

            /// How many messages the channel holds at most.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.0.core().capacity() as usize
            }

            /// The bytes of the longest message that the channel takes.
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
    /// Sends a copy of `message`, waiting for room as long as it takes.
    ///
    /// # Errors
    /// `Closed`, or `TooLong`.
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
            .map_err(|refusal| match refusal {
                Refusal::Closed => TryRecvError::Closed,
                Refusal::NotNow | Refusal::TimedOut => TryRecvError::Empty,
            })
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

    /// The messages as they come, until the channel is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        core::iter::from_fn(|| self.recv().ok())
    }
}
