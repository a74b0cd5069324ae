//! Why a channel of bytes wasn't opened, or a message not sent or received.

use crate::{layout::CHANNEL_VERSION, protocol::Refusal};
use core::fmt;
use std::error::Error;

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
pub(super) enum SendRefusal {
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
    /// There is no room now, or somebody else has a place reserved.
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

/// Why a message wasn't copied into a buffer at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvIntoError {
    /// There is no message now, or somebody else has it borrowed.
    Empty,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// The message is longer than the buffer.
    TooLong(TooLong),
}

/// Why a message wasn't copied into a buffer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvIntoTimeoutError {
    /// No message came in all that time.
    TimedOut,
    /// The channel is closed and everything sent has been received.
    Closed,
    /// The message is longer than the buffer.
    TooLong(TooLong),
}

const DRAINED: &str = "the channel is closed and empty";

fn write_too_long(f: &mut fmt::Formatter<'_>, TooLong { len, max }: &TooLong) -> fmt::Result {
    write!(f, "a message of {len} bytes for a buffer of {max}")
}

impl fmt::Display for RecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str(DRAINED),
            Self::TooLong(too_long) => write_too_long(f, too_long),
        }
    }
}

impl fmt::Display for TryRecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel is empty"),
            Self::Closed => f.write_str(DRAINED),
            Self::TooLong(too_long) => write_too_long(f, too_long),
        }
    }
}

impl fmt::Display for RecvIntoTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the channel stayed empty until the time ran out"),
            Self::Closed => f.write_str(DRAINED),
            Self::TooLong(too_long) => write_too_long(f, too_long),
        }
    }
}

impl Error for RecvIntoError {}
impl Error for TryRecvIntoError {}
impl Error for RecvIntoTimeoutError {}

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
