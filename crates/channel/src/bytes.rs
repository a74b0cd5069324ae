//! A bounded channel of byte messages on a record that TypeScript shares.
//!
//! The protocol, its fairness and its orderings are those of `protocol.rs`; here a message is a frame: a header of 8 bytes
//! with the length, the payload, and padding to a multiple of 8. A frame lies in one piece: one that doesn't fit before
//! the end of the ring starts at its beginning, and a mark ([`FRAME_WRAP`](crate::layout::FRAME_WRAP)) says so.
//!
//! # Sizes
//! A message of at most [`Sender::max_message_len`] bytes lies in the ring in one piece: half the ring less 8, because only
//! half a ring can always be had so. A longer one goes in several frames, one behind the other: its sender keeps the
//! sending side until the last one, and its receiver the receiving side. Each frame says how much is still to come, and
//! each but the first that it goes on with the one before. So a receiver that has begun a message and finds a frame which
//! doesn't go on with it, or nothing more and nobody alive who is sending, knows that the sender died or gave up, and
//! drops it; and one that finds a frame whose beginning somebody else took with him drops that. Nobody ever sees a part.
//! Operations that don't wait, or that give a place in the ring, refuse longer messages with [`TooLong`].
mod error;
mod frames;
mod receiver;
mod sender;
mod tasks;

use error::SendRefusal;
pub use error::{
    OpenError, RecvIntoError, RecvIntoTimeoutError, SendError, SendTimeoutError, TooLong,
    TryRecvIntoError, TrySendError,
};
use frames::{Channel, FRAME_HEADER_SIZE};
pub use receiver::Borrow;
pub use sender::Reservation;

use crate::{
    bound::thread_end,
    layout::{OPTION_COMPACT, RING_SIZE_MAX, RING_SIZE_MIN, channel_header},
    protocol::Core,
    select::{Operation, SelectRecv, SelectSend, SelectSendLen, sealed},
};
use core::{fmt, ptr::NonNull};
use std::{
    alloc::{self, Layout},
    sync::Arc,
};

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
    ///
    /// # Panics
    /// If `max_len` is more than 2^29 less 8.
    #[must_use]
    pub const fn oneshot(max_len: u32) -> Self {
        assert!(
            max_len <= RING_SIZE_MAX / 2 - FRAME_HEADER_SIZE,
            "a message is at most half the longest ring, less 8 bytes"
        );
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

impl sealed::Sealed for Sender {
    fn operation(&self) -> Operation<'_> {
        sealed::OfLength::operation_of_len(self, 0)
    }
}

impl sealed::OfLength for Sender {
    fn operation_of_len(&self, len: usize) -> Operation<'_> {
        // At most half a ring, so 32 bits.
        let length = len as u32;
        let advance_at = move |position| self.0.advance_at(position, length);
        self.0.core().sending(advance_at)
    }

    fn len_max(&self) -> usize {
        self.max_message_len()
    }
}

impl sealed::Sealed for Receiver {
    fn operation(&self) -> Operation<'_> {
        self.0.core().receiving()
    }
}

impl SelectSend for Sender {}
impl SelectSendLen for Sender {}
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

thread_end!(Sender, Sending, 0);
thread_end!(Receiver, Receiving, 0);
