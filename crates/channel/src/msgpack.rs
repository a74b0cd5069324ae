//! A channel of serde's values as MessagePack, whose other end may be TypeScript's `msgpackCodec`.
//!
//! It is a channel of [`bytes`] with a codec at both ends: the same record, protocol and promises. Between Rust
//! threads of one memory [`bounded`](crate::bounded) moves values without writing them out.
//!
//! # What arrives
//! Structs are written as maps with the names of their fields, and enums as serde has them (`"Unit"`, `{"Tuple": [1, 2]}`).
//! Bytes are what [`serde_bytes`] marks, a `Uint8Array` in TypeScript; a plain `Vec<u8>` is an array of numbers to serde, and takes
//! either when it is read. A time is a [`Timestamp`], a `Date` there. The whole table stands in `README.md`, and
//! the other direction in the module of TypeScript's codec.
//!
//! Two things can't be told from others by MessagePack: `Some(None)` is read as `None`, and `Some(())` too.
//!
//! # What is received is not believed
//! A message is looked over before serde sees it (`inspect`): that it is one value, whole and no more, not nested too
//! deep, and that it claims no more elements than it has bytes for. What isn't of the type is a [`DecodeError`]
//! with the bytes; the channel goes on.

mod error;
mod inspect;
mod timestamp;

pub use error::{
    DecodeError, DecodeErrorKind, EncodeError, RecvError, RecvTimeoutError, SendError,
    SendTimeoutError, TryRecvError, TrySendError,
};
pub use inspect::{DEPTH_MAX, Malformed};
pub use timestamp::Timestamp;

use crate::{
    bound::{self, ThreadBound, ThreadEnd},
    bytes::{self, OpenError, Options},
    select::{Operation, SelectRecv, SelectSend, sealed},
};
use core::{fmt, iter::FusedIterator, marker::PhantomData, ptr::NonNull, time::Duration};
use heddle_atomics::registry::Token;
use rmp_serde::Serializer;
use serde::{Serialize, de::DeserializeOwned};

/// What a message has room for before it grows.
const MESSAGE_SIZE: usize = 128;

/// A new channel of at most `capacity` values, in memory of its own, with the ring of [`Options::default`].
///
/// ```
/// use heddle_channel::channel;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Data {
///     id: u32,
///     name: String,
/// }
///
/// let (sender, receiver) = channel::<Data>(1024);
/// sender.send(Data { id: 1, name: "warp".into() })?;
/// assert_eq!(receiver.recv()?, Data { id: 1, name: "warp".into() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What holds no thread-safe value may be sent, for it is written out; what can't be written is refused by the compiler:
///
/// ```compile_fail,E0599
/// struct NoSerde;
/// heddle_channel::channel::<NoSerde>(1).0.send(NoSerde);
/// ```
///
/// # Panics
/// If the capacity is 0, or memory has run out.
#[must_use]
pub fn channel<T>(capacity: u32) -> (Sender<T>, Receiver<T>) {
    channel_with(Options {
        capacity,
        ..Options::default()
    })
}

/// As [`channel`], with a ring of a size of its own.
///
/// # Panics
/// If the options are out of range, or memory has run out.
#[must_use]
pub fn channel_with<T>(options: Options) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = bytes::channel(options);
    (sender.into(), receiver.into())
}

/// The bytes of a value, as a message has them.
///
/// # Errors
/// If the value has none: its `Serialize` failed.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut message = Vec::with_capacity(MESSAGE_SIZE);
    value.serialize(&mut Serializer::new(&mut message).with_struct_map())?;
    Ok(message)
}

/// The value in the bytes of a message.
///
/// # Errors
/// If there is none, with the bytes.
pub fn decode<T: DeserializeOwned>(message: Vec<u8>) -> Result<T, DecodeError> {
    let kind = match inspect::inspect(&message) {
        Err(malformed) => DecodeErrorKind::Malformed(malformed),
        Ok(()) => match rmp_serde::from_slice(&message) {
            Ok(value) => return Ok(value),
            Err(error) => DecodeErrorKind::Mismatch(error),
        },
    };
    Err(DecodeError {
        bytes: message,
        kind,
    })
}

/// What both ends can say and do.
macro_rules! either_end {
    ($end:ident) => {
        impl<T> $end<T> {
            /// One more end on the channel at `address`, made by Rust or TypeScript.
            ///
            /// # Errors
            /// If there is no channel that this program understands.
            ///
            /// # Safety
            /// As that of [`bytes`](crate::bytes).
            pub unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
                // SAFETY: of the caller.
                unsafe { bytes::$end::open(address) }.map(Self::from)
            }

            /// Where the channel's record is: what TypeScript opens it by.
            #[must_use]
            pub fn address(&self) -> NonNull<u8> {
                self.bytes.address()
            }

            /// The end of bytes that this one stands on; what it sends or receives is not encoded.
            #[must_use]
            pub fn as_bytes(&self) -> &bytes::$end {
                &self.bytes
            }

            /// The end of bytes that this one stood on.
            #[must_use]
            pub fn into_bytes(self) -> bytes::$end {
                self.bytes
            }

            /// Closes the channel for all ends: nothing more is sent, what was sent is still received.
            pub fn close(&self) {
                self.bytes.close();
            }

            /// Whether the channel is closed; it may still hold values.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.bytes.is_closed()
            }

            /// How many values wait to be received; of the past as soon as it is known.
            #[must_use]
            pub fn len(&self) -> usize {
                self.bytes.len()
            }

            /// Whether nothing waits to be received; of the past as soon as it is known.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.bytes.is_empty()
            }

            /// How many values the channel holds at most.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.bytes.capacity()
            }
        }

        impl<T> bound::sealed::Sealed for $end<T> {
            fn bind(&self) -> Option<Token> {
                bound::sealed::Sealed::bind(&self.bytes)
            }

            fn unbind(&self, thread: Token) {
                bound::sealed::Sealed::unbind(&self.bytes, thread);
            }
        }

        impl<T> ThreadEnd for $end<T> {}

        impl<T> $end<T> {
            /// Has this end go with this thread, as that of [`bytes`](crate::bytes) does.
            #[must_use]
            pub fn bind_to_thread(self) -> ThreadBound<Self> {
                ThreadBound::new(self)
            }
        }

        impl<T> sealed::Sealed for $end<T> {
            fn operation(&self) -> Operation<'_> {
                sealed::Sealed::operation(&self.bytes)
            }
        }

        impl<T> From<bytes::$end> for $end<T> {
            fn from(bytes: bytes::$end) -> Self {
                Self {
                    bytes,
                    values: PhantomData,
                }
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                self.bytes.clone().into()
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($end)).field(&self.bytes).finish()
            }
        }
    };
}

/// The sending end of a channel of values. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender<T> {
    bytes: bytes::Sender,
    // It takes values and holds none.
    values: PhantomData<fn(T)>,
}

/// The receiving end of a channel of values. Clone it for more receivers, each value goes to one of them; the last one
/// dropped closes the channel.
pub struct Receiver<T> {
    bytes: bytes::Receiver,
    // It makes values and holds none.
    values: PhantomData<fn() -> T>,
}

either_end!(Sender);
either_end!(Receiver);

impl<T> SelectSend for Sender<T> {}
impl<T> SelectRecv for Receiver<T> {}

/// Why a value wasn't sent, with it.
fn unsent<T>(value: T, error: bytes::SendError) -> SendError<T> {
    match error {
        bytes::SendError::Closed => SendError::Closed(value),
        bytes::SendError::TooLong(too_long) => SendError::TooLong(value, too_long),
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends `value`, waiting for room as long as it takes.
    ///
    /// # Errors
    /// With the value: `Closed`, `TooLong` or `Encode`.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no room comes.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let message = match encode(&value) {
            Ok(message) => message,
            Err(error) => return Err(SendError::Encode(value, error)),
        };
        let sent = self.bytes.send(&message);
        sent.map_err(|error| unsent(value, error))
    }

    /// [`Sender::send`] as a task; dropped before it is ready, the future is as one of
    /// [`bytes::Sender::send_async`](crate::bytes::Sender::send_async).
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_async(&self, value: T) -> Result<(), SendError<T>> {
        let message = match encode(&value) {
            Ok(message) => message,
            Err(error) => return Err(SendError::Encode(value, error)),
        };
        let sent = self.bytes.send_async(&message).await;
        sent.map_err(|error| unsent(value, error))
    }

    /// Sends `value` if there is room.
    ///
    /// # Errors
    /// With the value: `Full`, `Closed`, `TooLong` or `Encode`.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let message = match encode(&value) {
            Ok(message) => message,
            Err(error) => return Err(TrySendError::Encode(value, error)),
        };
        self.bytes.try_send(&message).map_err(|error| match error {
            bytes::TrySendError::Full => TrySendError::Full(value),
            bytes::TrySendError::Closed => TrySendError::Closed(value),
            bytes::TrySendError::TooLong(too_long) => TrySendError::TooLong(value, too_long),
        })
    }

    /// Sends `value`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// With the value: `TimedOut`, `Closed`, `TooLong` or `Encode`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let message = match encode(&value) {
            Ok(message) => message,
            Err(error) => return Err(SendTimeoutError::Encode(value, error)),
        };
        self.bytes
            .send_timeout(&message, timeout)
            .map_err(|error| match error {
                bytes::SendTimeoutError::TimedOut => SendTimeoutError::TimedOut(value),
                bytes::SendTimeoutError::Closed => SendTimeoutError::Closed(value),
                bytes::SendTimeoutError::TooLong(too_long) => {
                    SendTimeoutError::TooLong(value, too_long)
                }
            })
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Receives the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// `Closed` if the channel is closed and empty; `Decode` if a message came that isn't a `T`. It has been taken from the
    /// channel, and its bytes are in the error.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no message comes.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let message = self.bytes.recv()?;
        Ok(decode(message)?)
    }

    /// [`Receiver::recv`] as a task; dropped before it is ready, the future is as one of
    /// [`bytes::Receiver::recv_async`](crate::bytes::Receiver::recv_async).
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn recv_async(&self) -> Result<T, RecvError> {
        let message = self.bytes.recv_async().await?;
        Ok(decode(message)?)
    }

    /// Receives the oldest value if there is one.
    ///
    /// # Errors
    /// `Empty`, `Closed` if it is empty and none will come, or `Decode` as in [`Receiver::recv`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let message = self.bytes.try_recv()?;
        Ok(decode(message)?)
    }

    /// Receives the oldest value, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed` if it is empty and none will come, or `Decode` as in [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let message = self.bytes.recv_timeout(timeout)?;
        Ok(decode(message)?)
    }

    /// The values as they come, until the channel is closed and empty. A message that isn't a `T` is an `Err` among them.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }
}

/// The values of a [`Receiver`] as they come.
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T: DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.bytes.recv().ok().map(decode)
    }
}

impl<T: DeserializeOwned> FusedIterator for Iter<'_, T> {}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Receiver<T> {
    type Item = Result<T, DecodeError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
