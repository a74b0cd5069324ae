//! Channels of values: [`bytes`] with a codec at both ends. The same record, protocol and promises.
//!
//! | codec | with the feature | the other end may be TypeScript's |
//! |---|---|---|
//! | [`msgpack`](crate::msgpack) | `msgpack` | `msgpackCodec` |
//! | [`json`](crate::json) | `json` | `jsonCodec` |
//! | [`fixed`](crate::fixed) | `fixed` | `structCodec` |
//!
//! Between Rust threads of one memory [`bounded`](crate::bounded) moves values without writing them out.
//!
//! Bring your own by a type that stands for it, of which there need not be a value. This one is TypeScript's `textCodec`:
//!
//! ```
//! use core::convert::Infallible;
//! use heddle_channel::{
//!     bytes::Options,
//!     codec::{self, Decode, DecodeError, Encode},
//! };
//! use std::str::Utf8Error;
//!
//! enum Text {}
//!
//! impl Encode<String> for Text {
//!     type Message<'a> = &'a str;
//!     type Error = Infallible;
//!
//!     fn encode(value: &String) -> Result<&str, Infallible> {
//!         Ok(value)
//!     }
//! }
//!
//! impl Decode<String> for Text {
//!     type Error = Utf8Error;
//!
//!     fn decode(message: Vec<u8>) -> Result<String, DecodeError<Utf8Error>> {
//!         String::from_utf8(message).map_err(|error| DecodeError {
//!             kind: error.utf8_error(),
//!             bytes: error.into_bytes(),
//!         })
//!     }
//! }
//!
//! let (sender, receiver) = codec::channel::<String, Text>(Options::default());
//! sender.send("warp".to_owned())?;
//! assert_eq!(receiver.recv()?, "warp");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is received is not believed
//! A decoder is given whatever somebody sent. What isn't of the type is a [`DecodeError`] with the bytes; the channel goes on.

mod error;

pub use error::{
    DecodeError, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};

use crate::{
    bound::{self, ThreadBound, ThreadEnd},
    bytes::{self, OpenError, Options},
    select::{Operation, SelectRecv, SelectSend, sealed},
};
use core::{fmt, iter::FusedIterator, marker::PhantomData, ptr::NonNull, time::Duration};
use heddle_atomics::registry::Token;
use std::error::Error;

/// The ends and the errors of a codec, as its module calls them, and what makes a pair of such ends.
#[cfg(any(feature = "msgpack", feature = "json", feature = "fixed"))]
macro_rules! names {
    ($codec:ty, $encode_error:ty, $decode_error_kind:ty) => {
        /// The sending end of a channel with this codec.
        pub type Sender<T> = $crate::codec::Sender<T, $codec>;

        /// The receiving end of a channel with this codec.
        pub type Receiver<T> = $crate::codec::Receiver<T, $codec>;

        /// The values of a [`Receiver`] as they come.
        pub type Iter<'a, T> = $crate::codec::Iter<'a, T, $codec>;

        /// Why a value wasn't sent; it comes back.
        pub type SendError<T> = $crate::codec::SendError<T, $encode_error>;

        /// Why a value wasn't sent at once; it comes back.
        pub type TrySendError<T> = $crate::codec::TrySendError<T, $encode_error>;

        /// Why a value wasn't sent in time; it comes back.
        pub type SendTimeoutError<T> = $crate::codec::SendTimeoutError<T, $encode_error>;

        /// A message came that is no value of the type. It has been taken from the channel; its bytes are here.
        pub type DecodeError = $crate::codec::DecodeError<$decode_error_kind>;

        /// Why no value was received.
        pub type RecvError = $crate::codec::RecvError<$decode_error_kind>;

        /// Why no value was received at once.
        pub type TryRecvError = $crate::codec::TryRecvError<$decode_error_kind>;

        /// Why no value was received in time.
        pub type RecvTimeoutError = $crate::codec::RecvTimeoutError<$decode_error_kind>;

        /// As [`channel`], with a ring of a size of its own.
        ///
        /// # Panics
        /// If the options are out of range, or memory has run out.
        #[must_use]
        pub fn channel_with<T>(options: $crate::bytes::Options) -> (Sender<T>, Receiver<T>) {
            $crate::codec::channel(options)
        }
    };
}

#[cfg(any(feature = "msgpack", feature = "json", feature = "fixed"))]
pub(crate) use names;

/// A codec that writes values of type `T`.
pub trait Encode<T> {
    /// The bytes of a value, which may lie in it.
    type Message<'a>: AsRef<[u8]>
    where
        T: 'a;

    /// Why a value has no bytes; [`Infallible`](core::convert::Infallible) if each has.
    type Error: Error + 'static;

    /// The bytes of a value.
    ///
    /// # Errors
    /// If the value has none.
    fn encode(value: &T) -> Result<Self::Message<'_>, Self::Error>;
}

/// A codec that reads values of type `T`.
pub trait Decode<T> {
    /// What may be wrong with a message.
    type Error: Error + 'static;

    /// The value in the bytes of a message.
    ///
    /// # Errors
    /// If there is none, with the bytes.
    fn decode(message: Vec<u8>) -> Result<T, DecodeError<Self::Error>>;
}

/// A new channel of values, in memory of its own. The modules of the codecs have this with the codec chosen.
///
/// # Panics
/// If the options are out of range, or memory has run out.
#[must_use]
pub fn channel<T, C>(options: Options) -> (Sender<T, C>, Receiver<T, C>) {
    let (sender, receiver) = bytes::channel(options);
    (sender.into(), receiver.into())
}

/// What both ends can say and do.
macro_rules! either_end {
    ($end:ident) => {
        impl<T, C> $end<T, C> {
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

        impl<T, C> bound::sealed::Sealed for $end<T, C> {
            fn bind(&self) -> Option<Token> {
                bound::sealed::Sealed::bind(&self.bytes)
            }

            fn unbind(&self, thread: Token) {
                bound::sealed::Sealed::unbind(&self.bytes, thread);
            }
        }

        impl<T, C> ThreadEnd for $end<T, C> {}

        impl<T, C> $end<T, C> {
            /// Has this end go with this thread, as that of [`bytes`](crate::bytes) does.
            #[must_use]
            pub fn bind_to_thread(self) -> ThreadBound<Self> {
                ThreadBound::new(self)
            }
        }

        impl<T, C> sealed::Sealed for $end<T, C> {
            fn operation(&self) -> Operation<'_> {
                sealed::Sealed::operation(&self.bytes)
            }
        }

        impl<T, C> From<bytes::$end> for $end<T, C> {
            fn from(bytes: bytes::$end) -> Self {
                Self {
                    bytes,
                    values: PhantomData,
                }
            }
        }

        impl<T, C> Clone for $end<T, C> {
            fn clone(&self) -> Self {
                self.bytes.clone().into()
            }
        }

        impl<T, C> fmt::Debug for $end<T, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($end)).field(&self.bytes).finish()
            }
        }
    };
}

/// The sending end of a channel of values. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender<T, C> {
    bytes: bytes::Sender,
    // It takes values and holds none.
    values: PhantomData<fn(T) -> C>,
}

/// The receiving end of a channel of values. Clone it for more receivers, each value goes to one of them; the last one
/// dropped closes the channel.
pub struct Receiver<T, C> {
    bytes: bytes::Receiver,
    // It makes values and holds none.
    values: PhantomData<fn() -> (T, C)>,
}

either_end!(Sender);
either_end!(Receiver);

impl<T, C> SelectSend for Sender<T, C> {}
impl<T, C> SelectRecv for Receiver<T, C> {}

/// Why a value wasn't sent, with it.
fn unsent<T, E>(value: T, error: bytes::SendError) -> SendError<T, E> {
    match error {
        bytes::SendError::Closed => SendError::Closed(value),
        bytes::SendError::TooLong(too_long) => SendError::TooLong(value, too_long),
    }
}

// A message may lie in its value, so it goes before that comes back.
impl<T, C: Encode<T>> Sender<T, C> {
    /// Sends `value`, waiting for room as long as it takes.
    ///
    /// # Errors
    /// With the value: `Closed`, `TooLong` or `Encode`.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no room comes.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T, C::Error>> {
        let sent = match C::encode(&value) {
            Ok(message) => Ok(self.bytes.send(message.as_ref())),
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => sent.map_err(|error| unsent(value, error)),
            Err(error) => Err(SendError::Encode(value, error)),
        }
    }

    /// [`Sender::send`] as a task; dropped before it is ready, the future is as one of
    /// [`bytes::Sender::send_async`](crate::bytes::Sender::send_async).
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_async(&self, value: T) -> Result<(), SendError<T, C::Error>> {
        let sent = match C::encode(&value) {
            Ok(message) => Ok(self.bytes.send_async(message.as_ref()).await),
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => sent.map_err(|error| unsent(value, error)),
            Err(error) => Err(SendError::Encode(value, error)),
        }
    }

    /// Sends `value` if there is room.
    ///
    /// # Errors
    /// With the value: `Full`, `Closed`, `TooLong` or `Encode`.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T, C::Error>> {
        let sent = match C::encode(&value) {
            Ok(message) => Ok(self.bytes.try_send(message.as_ref())),
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => sent.map_err(|error| match error {
                bytes::TrySendError::Full => TrySendError::Full(value),
                bytes::TrySendError::Closed => TrySendError::Closed(value),
                bytes::TrySendError::TooLong(too_long) => TrySendError::TooLong(value, too_long),
            }),
            Err(error) => Err(TrySendError::Encode(value, error)),
        }
    }

    /// Sends `value`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// With the value: `TimedOut`, `Closed`, `TooLong` or `Encode`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(
        &self,
        value: T,
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<T, C::Error>> {
        let sent = match C::encode(&value) {
            Ok(message) => Ok(self.bytes.send_timeout(message.as_ref(), timeout)),
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => sent.map_err(|error| match error {
                bytes::SendTimeoutError::TimedOut => SendTimeoutError::TimedOut(value),
                bytes::SendTimeoutError::Closed => SendTimeoutError::Closed(value),
                bytes::SendTimeoutError::TooLong(too_long) => {
                    SendTimeoutError::TooLong(value, too_long)
                }
            }),
            Err(error) => Err(SendTimeoutError::Encode(value, error)),
        }
    }
}

impl<T, C: Decode<T>> Receiver<T, C> {
    /// Receives the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// `Closed` if the channel is closed and empty; `Decode` if a message came that isn't a `T`. It has been taken from the
    /// channel, and its bytes are in the error.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no message comes.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError<C::Error>> {
        let message = self.bytes.recv()?;
        Ok(C::decode(message)?)
    }

    /// [`Receiver::recv`] as a task; dropped before it is ready, the future is as one of
    /// [`bytes::Receiver::recv_async`](crate::bytes::Receiver::recv_async).
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn recv_async(&self) -> Result<T, RecvError<C::Error>> {
        let message = self.bytes.recv_async().await?;
        Ok(C::decode(message)?)
    }

    /// Receives the oldest value if there is one.
    ///
    /// # Errors
    /// `Empty`, `Closed` if it is empty and none will come, or `Decode` as in [`Receiver::recv`].
    pub fn try_recv(&self) -> Result<T, TryRecvError<C::Error>> {
        let message = self.bytes.try_recv()?;
        Ok(C::decode(message)?)
    }

    /// Receives the oldest value, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed` if it is empty and none will come, or `Decode` as in [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError<C::Error>> {
        let message = self.bytes.recv_timeout(timeout)?;
        Ok(C::decode(message)?)
    }

    /// The values as they come, until the channel is closed and empty. A message that isn't a `T` is an `Err` among them.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T, C> {
        Iter { receiver: self }
    }
}

/// The values of a [`Receiver`] as they come.
pub struct Iter<'a, T, C> {
    receiver: &'a Receiver<T, C>,
}

impl<T, C> fmt::Debug for Iter<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("receiver", self.receiver)
            .finish()
    }
}

impl<T, C: Decode<T>> Iterator for Iter<'_, T, C> {
    type Item = Result<T, DecodeError<C::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.bytes.recv().ok().map(C::decode)
    }
}

impl<T, C: Decode<T>> FusedIterator for Iter<'_, T, C> {}

impl<'a, T, C: Decode<T>> IntoIterator for &'a Receiver<T, C> {
    type Item = Result<T, DecodeError<C::Error>>;
    type IntoIter = Iter<'a, T, C>;

    fn into_iter(self) -> Iter<'a, T, C> {
        self.iter()
    }
}
