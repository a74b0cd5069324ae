//! A channel of serde's values as MessagePack, whose other end may be TypeScript's `msgpackCodec`.
//!
//! Its ends are those of [`codec`], with the codec [`MessagePack`].
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

mod inspect;
mod timestamp;

pub use inspect::{DEPTH_MAX, Malformed};
pub use timestamp::Timestamp;

use crate::{
    bytes::Options,
    codec::{self, Decode, Encode},
};
use core::fmt;
use rmp_serde::Serializer;
use serde::{Serialize, de::DeserializeOwned};
use std::error::Error;

/// What a message has room for before it grows.
const MESSAGE_SIZE: usize = 128;

/// The codec: values of serde's as MessagePack.
#[derive(Clone, Copy, Debug)]
pub enum MessagePack {}

codec::names!(MessagePack, EncodeError, DecodeErrorKind);

/// Why a value has no bytes: its `Serialize` failed.
pub type EncodeError = rmp_serde::encode::Error;

/// What is wrong with a message.
#[derive(Debug)]
pub enum DecodeErrorKind {
    /// It is no MessagePack.
    Malformed(Malformed),
    /// It is MessagePack of another type.
    Mismatch(rmp_serde::decode::Error),
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Mismatch(error) => error.fmt(f),
        }
    }
}

/// It says what the error in it says, and has that one's source.
impl Error for DecodeErrorKind {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(malformed) => malformed.source(),
            Self::Mismatch(error) => error.source(),
        }
    }
}

impl<T: Serialize> Encode<T> for MessagePack {
    type Message<'a>
        = Vec<u8>
    where
        T: 'a;
    type Error = EncodeError;

    fn encode(value: &T) -> Result<Vec<u8>, EncodeError> {
        encode(value)
    }
}

impl<T: DeserializeOwned> Decode<T> for MessagePack {
    type Error = DecodeErrorKind;

    fn decode(message: Vec<u8>) -> Result<T, DecodeError> {
        decode(message)
    }
}

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
