//! A channel of serde's values as JSON, whose other end may be TypeScript's `jsonCodec`.
//!
//! Its ends are those of [`codec`], with the codec [`Json`]. JSON is what everything reads; [`msgpack`](crate::msgpack) is
//! shorter and keeps more.
//!
//! # What arrives
//! What `serde_json` writes: structs as objects, enums as serde has them, an absent property as `None`. A number of
//! TypeScript is an `f64`, so that integers beyond 2^53 lose digits there. JSON has no NaN and no infinities: both languages
//! write `null`, which isn't read as a number. Bytes are arrays of numbers, and half a surrogate pair, which a text of
//! TypeScript may have, is no text here.
//!
//! # What is received is not believed
//! A message is read as it comes, no deeper than 128, and nothing in it says how much to make room for. What isn't of the
//! type is a [`DecodeError`] with the bytes; the channel goes on.

use crate::{
    bytes::Options,
    codec::{self, Decode, Encode},
};
use serde::{Serialize, de::DeserializeOwned};

/// The codec: values of serde's as JSON.
#[derive(Clone, Copy, Debug)]
pub enum Json {}

codec::names!(Json, EncodeError, DecodeErrorKind);

/// Why a value has no bytes: its `Serialize` failed, or a key of a map is no text, number or unit variant.
pub type EncodeError = serde_json::Error;

/// What is wrong with a message; its `classify` tells what is no JSON from what is JSON of another type.
pub type DecodeErrorKind = serde_json::Error;

/// A new channel of at most `capacity` values, in memory of its own, with the ring of [`Options::default`].
///
/// ```
/// use heddle_channel::json;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Job {
///     id: u32,
///     name: String,
/// }
///
/// let (sender, receiver) = json::channel::<Job>(16);
/// sender.send(Job { id: 1, name: "warp".into() })?;
/// assert_eq!(receiver.recv()?, Job { id: 1, name: "warp".into() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What can't be written is refused by the compiler:
///
/// ```compile_fail,E0599
/// struct NoSerde;
/// heddle_channel::json::channel::<NoSerde>(1).0.send(NoSerde);
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
/// If the value has none.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    serde_json::to_vec(value)
}

/// The value in the bytes of a message.
///
/// # Errors
/// If there is none, with the bytes.
pub fn decode<T: DeserializeOwned>(message: Vec<u8>) -> Result<T, DecodeError> {
    serde_json::from_slice(&message).map_err(|kind| DecodeError {
        bytes: message,
        kind,
    })
}

impl<T: Serialize> Encode<T> for Json {
    type Message<'a>
        = Vec<u8>
    where
        T: 'a;
    type Error = EncodeError;

    fn encode(value: &T) -> Result<Vec<u8>, EncodeError> {
        encode(value)
    }
}

impl<T: DeserializeOwned> Decode<T> for Json {
    type Error = DecodeErrorKind;

    fn decode(message: Vec<u8>) -> Result<T, DecodeError> {
        decode(message)
    }
}
