//! Receiving bytes: as a vector, into a buffer, or read in place.

use super::{
    Receiver, RecvIntoError, RecvIntoTimeoutError, TooLong, TryRecvIntoError,
    frames::{Message, finish},
};
use crate::{
    error::{RecvError, RecvTimeoutError, TryRecvError},
    protocol::{Claimed, Patience, Refusal},
    side::ALL,
};
use core::{fmt, time::Duration};
use heddle_atomics::Deadline;

/// The oldest message where it lies, got by [`Receiver::borrow`]: dropped, it is taken out of the channel.
///
/// It derefs to the bytes of the message.
pub struct Borrow<'a> {
    /// `None` once it is over.
    claimed: Option<Claimed<'a>>,
    message: Message,
}

impl Borrow<'_> {
    /// Leaves the message in the channel, unless it took several frames: then it has left it already.
    pub fn keep(mut self) {
        if let (Message::InPlace(_), Some(claimed)) = (&self.message, self.claimed.take()) {
            claimed.keep();
        }
    }

    /// Copies the message into `target`, and takes it out; how many bytes. If there are too many, it stays.
    pub(super) fn copy_into(self, target: &mut [u8]) -> Result<usize, TooLong> {
        let len = self.len();
        let Some(target) = target.get_mut(..len) else {
            let max = target.len();
            self.keep();
            return Err(TooLong { len, max });
        };
        target.copy_from_slice(&self);
        Ok(len)
    }
}

impl core::ops::Deref for Borrow<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.message.bytes()
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        if let Some(claimed) = self.claimed.take() {
            finish(claimed, &self.message);
        }
    }
}

impl fmt::Debug for Borrow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrow")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// Receives the oldest message, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`RecvError`] if the channel is closed and empty.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no message comes.
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<Vec<u8>, RecvError> {
        self.recv_with(<[u8]>::to_vec)
    }

    /// Receives the oldest message in place, without a copy: `read` sees its bytes in the ring.
    ///
    /// While `read` runs, other receivers wait.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`]. If `read` panics, the message stays in the channel.
    #[inline]
    #[track_caller]
    pub fn recv_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R, RecvError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.0
            .recv_within(patience, read)
            .map_err(|_closed| RecvError)
    }

    /// Receives the oldest message if there is one.
    ///
    /// # Errors
    /// `Empty`, also while somebody else has the message borrowed, or `Closed` if it is empty and none will come.
    #[inline]
    pub fn try_recv(&self) -> Result<Vec<u8>, TryRecvError> {
        self.0
            .recv_within(Patience::None, <[u8]>::to_vec)
            .map_err(TryRecvError::from)
    }

    /// Receives the oldest message, waiting for one for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` if it is empty and none will come.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        let patience = Patience::Until(Deadline::after(timeout));
        Ok(self.0.recv_within(patience, <[u8]>::to_vec)?)
    }

    /// Borrows the oldest message, waiting for one as long as it takes: it is read where it was written, without a copy,
    /// and taken out of the channel when the borrow is dropped. Until then other receivers wait.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn borrow(&self) -> Result<Borrow<'_>, RecvError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.borrow_within(patience).map_err(|_closed| RecvError)
    }

    /// [`Receiver::borrow`], waiting for a message for at most `timeout`.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn borrow_timeout(&self, timeout: Duration) -> Result<Borrow<'_>, RecvTimeoutError> {
        Ok(self.borrow_within(Patience::Until(Deadline::after(timeout)))?)
    }

    /// [`Receiver::borrow`] if there is a message.
    ///
    /// # Errors
    /// As [`Receiver::try_recv`].
    pub fn try_borrow(&self) -> Result<Borrow<'_>, TryRecvError> {
        self.borrow_within(Patience::None)
            .map_err(TryRecvError::from)
    }

    #[track_caller]
    fn borrow_within(&self, patience: Patience) -> Result<Borrow<'_>, Refusal> {
        let (claimed, message) = self.0.claim_within(patience)?;
        Ok(self.borrow_of(claimed, message))
    }

    pub(super) fn borrow_of<'a>(&self, claimed: Claimed<'a>, message: Message) -> Borrow<'a> {
        Borrow {
            claimed: Some(claimed),
            message,
        }
    }

    /// Copies the oldest message into `target`, waiting for one as long as it takes; how many bytes.
    ///
    /// # Errors
    /// `Closed`, or `TooLong` if the message is longer than `target`; it stays in the channel, unless it took several
    /// frames.
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_into(&self, target: &mut [u8]) -> Result<usize, RecvIntoError> {
        let message = self.borrow().map_err(|RecvError| RecvIntoError::Closed)?;
        message.copy_into(target).map_err(RecvIntoError::TooLong)
    }

    /// [`Receiver::recv_into`] if there is a message.
    ///
    /// # Errors
    /// `Empty`, `Closed`, or `TooLong` as [`Receiver::recv_into`].
    pub fn try_recv_into(&self, target: &mut [u8]) -> Result<usize, TryRecvIntoError> {
        let message = self.try_borrow().map_err(|error| match error {
            TryRecvError::Empty => TryRecvIntoError::Empty,
            TryRecvError::Closed => TryRecvIntoError::Closed,
        })?;
        message.copy_into(target).map_err(TryRecvIntoError::TooLong)
    }

    /// [`Receiver::recv_into`], waiting for a message for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`, or `TooLong` as [`Receiver::recv_into`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_into_timeout(
        &self,
        target: &mut [u8],
        timeout: Duration,
    ) -> Result<usize, RecvIntoTimeoutError> {
        let message = self.borrow_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::TimedOut => RecvIntoTimeoutError::TimedOut,
            RecvTimeoutError::Closed => RecvIntoTimeoutError::Closed,
        })?;
        let copied = message.copy_into(target);
        copied.map_err(RecvIntoTimeoutError::TooLong)
    }

    /// Receives the messages that are there, at most `max`, with one lock and one wake-up.
    ///
    /// # Errors
    /// `Empty` if there is none, `Closed` if none will come.
    pub fn try_recv_many(&self, max: usize) -> Result<Vec<Vec<u8>>, TryRecvError> {
        self.recv_many_within(max, Patience::None)
            .map_err(TryRecvError::from)
    }

    /// Receives the oldest messages, at most `max`, with one lock and one wake-up, waiting for the first as long as it
    /// takes.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_many(&self, max: usize) -> Result<Vec<Vec<u8>>, RecvError> {
        self.recv_many_within(max, Patience::Until(Deadline::NEVER))
            .map_err(|_closed| RecvError)
    }

    /// [`Receiver::recv_many`], waiting for the first for at most `timeout`.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    ///
    /// # Panics
    /// As [`Receiver::recv`].
    #[track_caller]
    pub fn recv_many_timeout(
        &self,
        max: usize,
        timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, RecvTimeoutError> {
        Ok(self.recv_many_within(max, Patience::Until(Deadline::after(timeout)))?)
    }

    #[track_caller]
    fn recv_many_within(&self, max: usize, patience: Patience) -> Result<Vec<Vec<u8>>, Refusal> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let (claimed, message) = self.0.claim_within(patience)?;
        Ok(self.take_from(claimed, message, max))
    }

    /// Takes the messages that are there, from the first, which is claimed; at most `max`, which isn't 0.
    pub(super) fn take_from(
        &self,
        mut claimed: Claimed<'_>,
        first: Message,
        max: usize,
    ) -> Vec<Vec<u8>> {
        let frame = match first {
            Message::Collected(bytes) => {
                claimed.leave();
                return vec![bytes];
            }
            Message::InPlace(frame) => frame,
        };
        let mut frame = Some(frame);
        let mut messages = Vec::new();
        while let Some(whole) = frame {
            // SAFETY: the frame is claimed until `pass`.
            messages.push(unsafe { whole.bytes() }.to_vec());
            claimed.pass(whole.advance, true);
            // A message of several frames is left to the next call.
            let has_more = messages.len() < max && claimed.has_more();
            frame = if has_more {
                self.0.frame_at(&mut claimed)
            } else {
                None
            }
            .filter(|next| next.rest == 0 && !next.is_continued);
        }
        claimed.leave();
        self.0.core().senders().signal(ALL);
        messages
    }

    /// The messages as they come, until the channel is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        core::iter::from_fn(|| self.recv().ok())
    }
}
