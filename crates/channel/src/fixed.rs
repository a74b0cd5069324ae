//! A channel of fixed structs, each message being the bytes of one as it lies in memory. The other end may be TypeScript's
//! `structCodec`, or C.
//!
//! Its ends are those of [`codec`], with the codec [`Fixed`]. A value is sent without being written anywhere first.
//!
//! # Which types
//! Those of which [`zerocopy`] 0.8 knows what their bytes are: what is sent has [`IntoBytes`] and [`Immutable`], what is
//! received [`TryFromBytes`]. All are derived, for structs with `#[repr(C)]` of numbers, `bool`, arrays, enums without
//! fields and such structs. Pointers and references are refused by the compiler. So are gaps between fields in what is sent,
//! since their bytes are nobody's: name them. TypeScript lays its structs in the same way, leaves zeros in the gaps, and
//! doesn't look there:
//!
//! | TypeScript | Rust |
//! |---|---|
//! | `structCodec({ isNew: bool, x: f64, hits: u32 })` | `struct { is_new: bool, _unused_0: [u8; 7], x: f64, hits: u32, _unused_1: [u8; 4] }` |
//! | `bytes(5)`, `array(u16, 3)` | `[u8; 5]`, `[u16; 3]` |
//! | `struct({ … })` as a field | a struct of such fields |
//!
//! Wasm's byte order is that of the little end; natively it is the machine's.
//!
//! # What is received is not believed
//! A message of another length, or with bytes that are no value (a `bool` of 2), is a [`DecodeError`] with the bytes; the
//! channel goes on. That it is a struct of the same fields nobody can see: both ends must be of one mind.

use crate::{
    bytes::Options,
    codec::{self, Decode, Encode},
};
use core::{convert::Infallible, fmt};
use std::error::Error;
use zerocopy::{Immutable, IntoBytes, TryFromBytes, error::TryReadError};

/// The codec: values as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum Fixed {}

codec::names!(Fixed, Infallible, DecodeErrorKind);

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// It has another length than a value.
    Length {
        /// Of a value.
        expected: usize,
        /// Of the message.
        found: usize,
    },
    /// It has bytes that no value has.
    Invalid,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "a struct of {expected} bytes, in {found}")
            }
            Self::Invalid => f.write_str("bytes that no value has"),
        }
    }
}

impl Error for DecodeErrorKind {}

/// A new channel of at most `capacity` values, in memory of its own, with the ring of [`Options::default`].
///
/// ```
/// use heddle_channel::fixed;
/// use zerocopy::{Immutable, IntoBytes, TryFromBytes};
///
/// /// `structCodec({ isNew: bool, x: f64, hits: u32 })` in TypeScript.
/// #[derive(Debug, Default, PartialEq, Immutable, IntoBytes, TryFromBytes)]
/// #[repr(C)]
/// struct Sample {
///     is_new: bool,
///     _unused_0: [u8; 7],
///     x: f64,
///     hits: u32,
///     _unused_1: [u8; 4],
/// }
///
/// let (sender, receiver) = fixed::channel::<Sample>(16);
/// sender.send(Sample { x: 0.5, hits: 7, ..Default::default() })?;
/// assert_eq!(receiver.recv()?, Sample { x: 0.5, hits: 7, ..Default::default() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A value that has bytes of nobody's is refused by the compiler, and so is one that means something in one place alone:
///
/// ```compile_fail,E0277
/// #[derive(zerocopy::IntoBytes, zerocopy::Immutable)]
/// #[repr(C)]
/// struct WithGap {
///     flag: u8,
///     x: f64,
/// }
/// ```
///
/// ```compile_fail,E0599
/// heddle_channel::fixed::channel::<&str>(1).0.send("elsewhere");
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

impl<T: IntoBytes + Immutable> Encode<T> for Fixed {
    type Message<'a>
        = &'a [u8]
    where
        T: 'a;
    type Error = Infallible;

    fn encode(value: &T) -> Result<&[u8], Infallible> {
        Ok(value.as_bytes())
    }
}

impl<T: TryFromBytes> Decode<T> for Fixed {
    type Error = DecodeErrorKind;

    fn decode(message: Vec<u8>) -> Result<T, DecodeError> {
        let kind = match T::try_read_from_bytes(&message) {
            Ok(value) => return Ok(value),
            Err(TryReadError::Size(_)) => DecodeErrorKind::Length {
                expected: size_of::<T>(),
                found: message.len(),
            },
            Err(_) => DecodeErrorKind::Invalid,
        };
        Err(DecodeError {
            bytes: message,
            kind,
        })
    }
}
