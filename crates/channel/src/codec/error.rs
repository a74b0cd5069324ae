//! What can go wrong in each operation on values. What wasn't sent comes back, and so do the bytes of what couldn't be read.

use crate::bytes::TooLong;
use core::fmt;
use std::error::Error;

/// Why a value wasn't sent; it comes back.
pub enum SendError<T, E> {
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, E),
}

/// Why a value wasn't sent at once; it comes back.
pub enum TrySendError<T, E> {
    /// There is no room now.
    Full(T),
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, E),
}

/// Why a value wasn't sent in time; it comes back.
pub enum SendTimeoutError<T, E> {
    /// There was no room in all that time.
    TimedOut(T),
    /// The channel is closed.
    Closed(T),
    /// The message is longer than the channel takes.
    TooLong(T, TooLong),
    /// The value has no bytes.
    Encode(T, E),
}

/// A message came that is no value of the type. It has been taken from the channel; its bytes are here.
#[derive(Debug)]
pub struct DecodeError<K> {
    /// The message as it came.
    pub bytes: Vec<u8>,
    /// What is wrong with it.
    pub kind: K,
}

/// Why no value was received.
#[derive(Debug)]
pub enum RecvError<K> {
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError<K>),
}

/// Why no value was received at once.
#[derive(Debug)]
pub enum TryRecvError<K> {
    /// There is no message now.
    Empty,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError<K>),
}

/// Why no value was received in time.
#[derive(Debug)]
pub enum RecvTimeoutError<K> {
    /// No message came in all that time.
    TimedOut,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// A message came that is no value of the type.
    Decode(DecodeError<K>),
}

impl<K> From<crate::RecvError> for RecvError<K> {
    fn from(crate::RecvError: crate::RecvError) -> Self {
        Self::Closed
    }
}

impl<K> From<crate::TryRecvError> for TryRecvError<K> {
    fn from(error: crate::TryRecvError) -> Self {
        match error {
            crate::TryRecvError::Empty => Self::Empty,
            crate::TryRecvError::Closed => Self::Closed,
        }
    }
}

impl<K> From<crate::RecvTimeoutError> for RecvTimeoutError<K> {
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
        impl<T, E> $error<T, E> {
            /// The value that wasn't sent.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$own(value) => value,)?
                    Self::Closed(value) | Self::TooLong(value, _) | Self::Encode(value, _) => value,
                }
            }
        }

        impl<T, E: fmt::Debug> fmt::Debug for $error<T, E> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str(concat!(stringify!($own), "(..)")),)?
                    Self::Closed(_) => f.write_str("Closed(..)"),
                    Self::TooLong(_, too_long) => write!(f, "TooLong(.., {too_long:?})"),
                    Self::Encode(_, error) => write!(f, "Encode(.., {error:?})"),
                }
            }
        }

        impl<T, E> fmt::Display for $error<T, E> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own(_) => f.write_str($words),)?
                    Self::Closed(_) => f.write_str(CLOSED),
                    Self::TooLong(_, too_long) => too_long.fmt(f),
                    Self::Encode(..) => f.write_str("the codec has no bytes for the value"),
                }
            }
        }

        impl<T, E: Error + 'static> Error for $error<T, E> {
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
        impl<K> From<DecodeError<K>> for $error<K> {
            fn from(error: DecodeError<K>) -> Self {
                Self::Decode(error)
            }
        }

        impl<K> fmt::Display for $error<K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$own => f.write_str($words),)?
                    Self::Closed => f.write_str(DRAINED),
                    Self::Decode(error) => error.fmt(f),
                }
            }
        }

        impl<K: Error + 'static> Error for $error<K> {
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

impl<K> fmt::Display for DecodeError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.bytes.len();
        write!(
            f,
            "a message of {count} bytes is no value of the channel's type"
        )
    }
}

impl<K: Error + 'static> Error for DecodeError<K> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.kind)
    }
}
