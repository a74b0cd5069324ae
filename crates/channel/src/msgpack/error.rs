//! What can go wrong in each operation on values. What wasn't sent comes back, and so do the bytes of what couldn't be read.

use super::Malformed;
use crate::bytes::TooLong;
use core::fmt;
use std::error::Error;

/// Why a value has no bytes: its `Serialize` failed.
pub type EncodeError = rmp_serde::encode::Error;

/// Why a value wasn't sent; it comes back.
pub enum SendError<T> {
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, EncodeError),
}

/// Why a value wasn't sent at once; it comes back.
pub enum TrySendError<T> {
    /// There is no room now.
    Full(T),
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, EncodeError),
}

/// Why a value wasn't sent in time; it comes back.
pub enum SendTimeoutError<T> {
    /// There was no room in all that time.
    TimedOut(T),
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, EncodeError),
}

/// A message came that is no value of the type. It has been taken from the channel; its bytes are here.
#[derive(Debug)]
pub struct DecodeError {
    /// The message as it came.
    pub bytes: Vec<u8>,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a message.
#[derive(Debug)]
pub enum DecodeErrorKind {
    /// It is no MessagePack.
    Malformed(Malformed),
    /// It is MessagePack of another type.
    Mismatch(rmp_serde::decode::Error),
}

/// Why no value was received.
#[derive(Debug)]
pub enum RecvError {
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError),
}

/// Why no value was received at once.
#[derive(Debug)]
pub enum TryRecvError {
    /// There is no message now.
    Empty,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError),
}

/// Why no value was received in time.
#[derive(Debug)]
pub enum RecvTimeoutError {
    /// No message came in all that time.
    TimedOut,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError),
}

impl From<crate::RecvError> for RecvError {
    fn from(crate::RecvError: crate::RecvError) -> Self {
        Self::Closed
    }
}

impl From<crate::TryRecvError> for TryRecvError {
    fn from(error: crate::TryRecvError) -> Self {
        match error {
            crate::TryRecvError::Empty => Self::Empty,
            crate::TryRecvError::Closed => Self::Closed,
        }
    }
}

impl From<crate::RecvTimeoutError> for RecvTimeoutError {
    fn from(error: crate::RecvTimeoutError) -> Self {
        match error {
            crate::RecvTimeoutError::TimedOut => Self::TimedOut,
            crate::RecvTimeoutError::Closed => Self::Closed,
        }
    }
}

const CLOSED: &str = "the channel is closed";
const DRAINED: &str = "the channel is closed and empty";

/// What the errors of sending have in common. `Debug` is without the value, so that `unwrap` works for every type.
macro_rules! send_error {
    ($error:ident $(, $own:ident: $words:literal)?) => {
        impl<T> $error<T> {
            /// The value that wasn't sent.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$own(value) => value,)?
                    Self::Closed(value) | Self::TooLong(value, _) | Self::Encode(value, _) => value,
                }
            }
        }

        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str(concat!(stringify!($own), "(..)")),)?
                    Self::Closed(_) => f.write_str("Closed(..)"),
                    Self::TooLong(_, too_long) => write!(f, "TooLong(.., {too_long:?})"),
                    Self::Encode(_, error) => write!(f, "Encode(.., {error:?})"),
                }
            }
        }

        impl<T> fmt::Display for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str($words),)?
                    Self::Closed(_) => f.write_str(CLOSED),
                    Self::TooLong(_, too_long) => too_long.fmt(f),
                    Self::Encode(..) => f.write_str("the value can't be written as MessagePack"),
                }
            }
        }

        impl<T> Error for $error<T> {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    Self::Encode(_, error) => Some(error),
                    _ => None,
                }
            }
        }
    };
}

send_error!(SendError);
send_error!(TrySendError, Full: "the channel is full");
send_error!(SendTimeoutError, TimedOut: "the channel stayed full until the time ran out");

/// What the errors of receiving have in common.
macro_rules! recv_error {
    ($error:ident $(, $own:ident: $words:literal)?) => {
        impl From<DecodeError> for $error {
            fn from(error: DecodeError) -> Self {
                Self::Decode(error)
            }
        }

        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own => f.write_str($words),)?
                    Self::Closed => f.write_str(DRAINED),
                    Self::Decode(error) => error.fmt(f),
                }
            }
        }

        impl Error for $error {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self {
                    Self::Decode(error) => error.source(),
                    _ => None,
                }
            }
        }
    };
}

recv_error!(RecvError);
recv_error!(TryRecvError, Empty: "the channel is empty");
recv_error!(RecvTimeoutError, TimedOut: "the channel stayed empty until the time ran out");

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.bytes.len();
        write!(
            f,
            "a message of {count} bytes is no value of the channel's type"
        )
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match &self.kind {
            DecodeErrorKind::Malformed(malformed) => malformed,
            DecodeErrorKind::Mismatch(error) => error,
        })
    }
}
