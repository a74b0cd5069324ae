//! A bounded channel of values within one memory: values are moved, nothing is serialised.
//!
//! The protocol, its fairness and its orderings are those of `protocol.rs`; here a message is one slot of 8 units, and the
//! slot's cell holds the value from `commit` to `release`.

use crate::{
    SendError, SendTimeoutError, TryRecvError, TrySendError,
    error::{RecvError, RecvTimeoutError},
    layout::FRAME_ALIGN,
    protocol::{Core, Patience, Refusal},
    select::{Operation, SelectRecv, SelectSend, sealed},
};
use core::{fmt, iter::FusedIterator, mem::MaybeUninit, time::Duration};
use heddle_atomics::{Deadline, seam::Guarded};
use std::sync::Arc;

/// The units of a position that one value takes.
const UNITS: u32 = FRAME_ALIGN;

struct Shared<T> {
    core: Core,
    slots: Box<[Guarded<MaybeUninit<T>>]>,
}

// SAFETY: values move from thread to thread through the slots, so `T: Send` is needed; a slot is reached by one thread
// at a time, the owner of the lock of its side, so `T: Sync` isn't.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline]
    fn slot(&self, position: u32) -> &Guarded<MaybeUninit<T>> {
        &self.slots[(position / UNITS) as usize & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if !core::mem::needs_drop::<T>() {
            return;
        }
        let (mut head, tail) = self.core.positions();
        while head != tail {
            // SAFETY: what lies between head and tail was written and not taken, and nobody else has the channel.
            self.slot(head)
                .with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(UNITS);
        }
    }
}

/// A channel of at most `capacity` values.
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
/// # Panics
/// If `capacity` is 0 or more than 2^26.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        (1..=1 << 26).contains(&capacity),
        "the capacity of a channel is 1 to 2^26 values, not {capacity}"
    );
    let slots: Box<[_]> = (0..capacity.next_power_of_two())
        .map(|_| Guarded::new(MaybeUninit::uninit()))
        .collect();
    let units = |count: usize| u32::try_from(count).expect("at most 2^26") * UNITS;
    let shared = Arc::new(Shared {
        core: Core::new(units(capacity), u32::MAX, 0),
        slots,
    });
    (
        Sender {
            shared: Arc::clone(&shared),
        },
        Receiver { shared },
    )
}

/// The sending end of a channel made by [`bounded`]. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The receiving end of a channel made by [`bounded`]. Clone it for more receivers, each value goes to one of them; the
/// last one dropped closes the channel.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

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
        match self.send_within(value, Patience::Until(Deadline::NEVER)) {
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
        match self.send_within(value, Patience::None) {
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
        match self.send_within(value, Patience::Until(Deadline::after(timeout))) {
            Ok(()) => Ok(()),
            Err((value, Refusal::Closed)) => Err(SendTimeoutError::Closed(value)),
            Err((value, _)) => Err(SendTimeoutError::TimedOut(value)),
        }
    }

    #[inline]
    #[track_caller]
    fn send_within(&self, value: T, patience: Patience) -> Result<(), (T, Refusal)> {
        let shared = &*self.shared;
        let reserved = match shared.core.reserve(|_| UNITS, patience) {
            Ok(reserved) => reserved,
            Err(refusal) => return Err((value, refusal)),
        };
        let slot = shared.slot(reserved.position());
        // SAFETY: the reservation makes this thread the only one at this slot, which is empty.
        slot.with_mut(|slot| unsafe { (*slot).write(value) });
        match reserved.commit() {
            Ok(_end) => Ok(()),
            Err(_still_reserved) => {
                // SAFETY: written above, and nobody sees it: the commit failed and the place is still reserved.
                let value = slot.with_mut(|slot| unsafe { (*slot).assume_init_read() });
                Err((value, Refusal::Closed))
            }
        }
    }

    /// Closes the channel for all ends: nothing more is sent, what was sent is still received.
    pub fn close(&self) {
        self.shared.core.close();
    }

    /// Whether the channel is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.core.is_closed()
    }

    /// How many values wait to be received; of the past as soon as it is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.core.len() as usize
    }

    /// Whether nothing waits to be received; of the past as soon as it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for another value; of the past as soon as it is known.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.core.is_full()
    }

    /// How many values the channel holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        (self.shared.core.ring_size() / UNITS) as usize
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
        self.recv_within(Patience::Until(Deadline::NEVER))
            .map_err(|_closed| RecvError)
    }

    /// Receives the oldest value if there is one.
    ///
    /// # Errors
    /// `Empty`, or `Closed` if it is empty and none will come.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.recv_within(Patience::None)
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
        let patience = Patience::Until(Deadline::after(timeout));
        self.recv_within(patience).map_err(|refusal| match refusal {
            Refusal::Closed => RecvTimeoutError::Closed,
            Refusal::NotNow | Refusal::TimedOut => RecvTimeoutError::TimedOut,
        })
    }

    #[inline]
    #[track_caller]
    fn recv_within(&self, patience: Patience) -> Result<T, Refusal> {
        let claimed = self.shared.core.claim(patience)?;
        let slot = self.shared.slot(claimed.position());
        // SAFETY: the claim makes this thread the only one at this slot, which a sender filled; `release` says that it
        // is empty, and nothing between can fail.
        let value = slot.with_mut(|slot| unsafe { (*slot).assume_init_read() });
        claimed.release(UNITS);
        Ok(value)
    }

    /// The values as they come, until the channel is closed and empty.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The values that are there, without waiting.
    #[must_use]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Closes the channel for all ends: nothing more is sent, what was sent is still received.
    pub fn close(&self) {
        self.shared.core.close();
    }

    /// Whether the channel is closed; it may still hold values.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.core.is_closed()
    }

    /// How many values wait to be received; of the past as soon as it is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.core.len() as usize
    }

    /// Whether nothing waits to be received; of the past as soon as it is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for another value; of the past as soon as it is known.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.core.is_full()
    }

    /// How many values the channel holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        (self.shared.core.ring_size() / UNITS) as usize
    }
}

impl<T> sealed::Sealed for Sender<T> {
    fn operation(&self) -> Operation<'_> {
        self.shared.core.sending(|_| UNITS)
    }
}

impl<T> sealed::Sealed for Receiver<T> {
    fn operation(&self) -> Operation<'_> {
        self.shared.core.receiving()
    }
}

impl<T> SelectSend for Sender<T> {}
impl<T> SelectRecv for Receiver<T> {}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.core.add_sender();
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.core.add_receiver();
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.core.remove_sender();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.core.remove_receiver();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The values of a [`Receiver`] as they come.
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The values that a [`Receiver`] has at hand.
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The values of a [`Receiver`] that it owns, as they come.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}
