//! Channels of values within one memory: values are moved, nothing is serialised.
//!
//! | made by | holds | memory |
//! |---|---|---|
//! | [`bounded`] | so many values | all of it from the beginning |
//! | [`unbounded`] | values up to a limit | what the values in it take, in segments |
//! | [`rendezvous`], `bounded(0)` | none: a sender waits for its receiver | that of those who wait |
//!
//! The first two stand on the protocol of `protocol.rs` (`ring.rs`), the third on a lock and two queues (`hand_over.rs`). Threads and
//! tasks may wait at the same channel.

mod future;
mod hand_over;
mod iter;
mod queues;
mod ring;
mod segments;
mod wakers;

pub use future::{RecvFuture, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};

use crate::{
    SendError, SendTimeoutError, TryRecvError, TrySendError,
    error::{RecvError, RecvTimeoutError},
    protocol::{Patience, Refusal},
    select::{Operation, SelectRecv, SelectSend, sealed},
};
use core::{fmt, time::Duration};
use hand_over::HandOver;
use heddle_atomics::Deadline;
use ring::{CAPACITY_MAX, Ring};
use std::sync::Arc;

/// What is at the other side of an end.
enum Channel<T> {
    Ring(Arc<Ring<T>>),
    HandOver(Arc<HandOver<T>>),
}

impl<T> Channel<T> {
    fn ends(self) -> (Sender<T>, Receiver<T>) {
        let channel = self.clone();
        (Sender { channel }, Receiver { channel: self })
    }

    #[inline]
    #[track_caller]
    fn send(&self, value: T, patience: Patience) -> Result<(), (T, Refusal)> {
        match self {
            Self::Ring(ring) => ring.send(value, patience),
            Self::HandOver(hand_over) => hand_over.send(value, patience),
        }
    }

    #[inline]
    #[track_caller]
    fn recv(&self, patience: Patience) -> Result<T, Refusal> {
        match self {
            Self::Ring(ring) => ring.recv(patience),
            Self::HandOver(hand_over) => hand_over.recv(patience),
        }
    }

    fn close(&self) {
        match self {
            Self::Ring(ring) => ring.close(),
            Self::HandOver(hand_over) => hand_over.close(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.core.is_closed(),
            Self::HandOver(hand_over) => hand_over.is_closed(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.len(),
            Self::HandOver(_) => 0,
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.capacity(),
            Self::HandOver(_) => 0,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ring(ring), Self::Ring(other)) => Arc::ptr_eq(ring, other),
            (Self::HandOver(hand_over), Self::HandOver(other)) => Arc::ptr_eq(hand_over, other),
            _ => false,
        }
    }
}

impl<T> Clone for Channel<T> {
    /// The same channel; the ends are counted by the ends.
    fn clone(&self) -> Self {
        match self {
            Self::Ring(ring) => Self::Ring(Arc::clone(ring)),
            Self::HandOver(hand_over) => Self::HandOver(Arc::clone(hand_over)),
        }
    }
}

/// A channel of at most `capacity` values; with 0 a [`rendezvous`].
///
/// ```
/// let (sender, receiver) = heddle_channel::bounded(1);
/// sender.send("first").unwrap();
/// let refused = sender.try_send("second").unwrap_err();
/// assert_eq!(refused.into_inner(), "second");
/// assert_eq!(receiver.recv(), Ok("first"));
/// drop(sender);
/// assert!(receiver.recv().is_err());
/// ```
///
/// An end goes to another thread exactly if its values may:
///
/// ```compile_fail,E0277
/// let (sender, receiver) = heddle_channel::bounded(1);
/// std::thread::spawn(move || sender.send(std::rc::Rc::new(1)));
/// drop(receiver);
/// ```
///
/// # Panics
/// If `capacity` is more than 2^26.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity <= CAPACITY_MAX,
        "the capacity of a channel is at most 2^26 values, not {capacity}"
    );
    if capacity == 0 {
        return rendezvous();
    }
    Channel::Ring(Arc::new(Ring::with_array(capacity))).ends()
}

/// A channel that takes memory for the values that are in it, and waits only when these are `limit`.
///
/// There is no channel without a limit: one whose receivers are slower than its senders would take all memory.
///
/// ```
/// let (sender, receiver) = heddle_channel::unbounded(1_000_000);
/// (0..1000).for_each(|n| sender.send(n).unwrap());
/// drop(sender);
/// assert_eq!(receiver.iter().count(), 1000);
/// ```
///
/// # Panics
/// If `limit` is 0 or more than 2^26.
#[must_use]
pub fn unbounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        (1..=CAPACITY_MAX).contains(&limit),
        "the limit of a channel is 1 to 2^26 values, not {limit}"
    );
    Channel::Ring(Arc::new(Ring::with_segments(limit))).ends()
}

/// A channel that holds no values: each goes from its sender's hand into a receiver's.
///
/// [`Sender::send`] returns when a receiver has the value, and [`Sender::try_send`] succeeds exactly if one is waiting.
///
/// ```
/// let (sender, receiver) = heddle_channel::rendezvous();
/// assert!(sender.try_send(1).is_err());
/// std::thread::scope(|scope| {
///     scope.spawn(|| sender.send(2).unwrap());
///     assert_eq!(receiver.recv(), Ok(2));
/// });
/// ```
#[must_use]
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    Channel::HandOver(Arc::new(HandOver::new())).ends()
}

/// The sending end of a channel of values. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender<T> {
    channel: Channel<T>,
}

/// The receiving end of a channel of values. Clone it for more receivers, each value goes to one of them; the last one
/// dropped closes the channel.
pub struct Receiver<T> {
    channel: Channel<T>,
}

/// What both ends can say and do.
macro_rules! either_end {
    ($end:ident, $add:ident, $remove:ident) => {
        impl<T> $end<T> {
            /// Closes the channel for all ends: nothing more is sent, what was sent is still received.
            pub fn close(&self) {
                self.channel.close();
            }

            /// Whether the channel is closed; it may still hold values.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.channel.is_closed()
            }

            /// How many values wait to be received; of the past as soon as it is known.
            #[must_use]
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Whether nothing waits to be received; of the past as soon as it is known.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether there is no room; of the past as soon as it is known. A [`rendezvous`] never has any.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.len() >= self.capacity()
            }

            /// How many values the channel holds at most.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.channel.capacity()
            }

            /// Whether the other end is of the same channel.
            #[must_use]
            pub fn same_channel(&self, other: &Self) -> bool {
                self.channel.is_same(&other.channel)
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                match &self.channel {
                    Channel::Ring(ring) => ring.core.$add(),
                    Channel::HandOver(hand_over) => hand_over.$add(),
                }
                Self {
                    channel: self.channel.clone(),
                }
            }
        }

        impl<T> Drop for $end<T> {
            fn drop(&mut self) {
                match &self.channel {
                    Channel::Ring(ring) => {
                        ring.core.$remove();
                        if ring.core.is_closed() {
                            ring.wake_all();
                        }
                    }
                    Channel::HandOver(hand_over) => hand_over.$remove(),
                }
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("is_closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    };
}

either_end!(Sender, add_sender, remove_sender);
either_end!(Receiver, add_receiver, remove_receiver);

impl<T> sealed::Sealed for Sender<T> {
    fn operation(&self) -> Operation<'_> {
        match &self.channel {
            Channel::Ring(ring) => ring.core.sending(|_| ring::UNITS),
            Channel::HandOver(hand_over) => hand_over.sending(),
        }
    }
}

impl<T> sealed::Sealed for Receiver<T> {
    fn operation(&self) -> Operation<'_> {
        match &self.channel {
            Channel::Ring(ring) => ring.core.receiving(),
            Channel::HandOver(hand_over) => hand_over.receiving(),
        }
    }
}

impl<T> SelectSend for Sender<T> {}
impl<T> SelectRecv for Receiver<T> {}

impl<T> Sender<T> {
    /// Sends `value`, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`SendError`] with the value if the channel is closed.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no room comes.
    #[inline]
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.channel.send(value, Patience::Until(Deadline::NEVER)) {
            Ok(()) => Ok(()),
            Err((value, _)) => Err(SendError(value)),
        }
    }

    /// Sends `value` if there is room.
    ///
    /// # Errors
    /// With the value: `Full`, or `Closed`.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.channel.send(value, Patience::Copies) {
            Ok(()) => Ok(()),
            Err((value, Refusal::Closed)) => Err(TrySendError::Closed(value)),
            Err((value, _)) => Err(TrySendError::Full(value)),
        }
    }

    /// Sends `value`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// With the value: `TimedOut`, or `Closed`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_deadline(value, Deadline::after(timeout))
    }

    /// Sends `value`, waiting for room until `deadline` at most.
    ///
    /// # Errors
    /// With the value: `TimedOut`, or `Closed`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_deadline(&self, value: T, deadline: Deadline) -> Result<(), SendTimeoutError<T>> {
        match self.channel.send(value, Patience::Until(deadline)) {
            Ok(()) => Ok(()),
            Err((value, Refusal::Closed)) => Err(SendTimeoutError::Closed(value)),
            Err((value, _)) => Err(SendTimeoutError::TimedOut(value)),
        }
    }

    /// Sends `value` as a task: the future waits for room without blocking its thread.
    ///
    /// The future gives [`SendError`] with the value if the channel is closed. Dropped before it is ready, it has sent
    /// nothing, and the value goes with it.
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture::new(self, value)
    }
}

impl<T> Receiver<T> {
    /// Receives the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`RecvError`] if the channel is closed and empty.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no value comes.
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.channel
            .recv(Patience::Until(Deadline::NEVER))
            .map_err(|_closed| RecvError)
    }

    /// Receives the oldest value if there is one.
    ///
    /// # Errors
    /// `Empty`, or `Closed` if it is empty and none will come.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel
            .recv(Patience::Copies)
            .map_err(|refusal| match refusal {
                Refusal::Closed => TryRecvError::Closed,
                Refusal::NotNow | Refusal::TimedOut => TryRecvError::Empty,
            })
    }

    /// Receives the oldest value, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` if it is empty and none will come.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives the oldest value, waiting for one until `deadline` at most.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` if it is empty and none will come.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<T, RecvTimeoutError> {
        let patience = Patience::Until(deadline);
        self.channel
            .recv(patience)
            .map_err(|refusal| match refusal {
                Refusal::Closed => RecvTimeoutError::Closed,
                Refusal::NotNow | Refusal::TimedOut => RecvTimeoutError::TimedOut,
            })
    }

    /// Receives the oldest value as a task: the future waits for one without blocking its thread.
    ///
    /// The future gives [`RecvError`] if the channel is closed and empty. Dropped before it is ready, it has taken nothing.
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self)
    }

    /// The values as they come, until the channel is closed and empty.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The values that are there, without waiting.
    #[must_use]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }
}
