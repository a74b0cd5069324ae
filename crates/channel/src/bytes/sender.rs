//! Sending bytes: copied from where they lie, or written in place.

use super::{
    SendError, SendRefusal, SendTimeoutError, Sender, TrySendError,
    frames::{FRAME_HEADER_SIZE, frame_size},
};
use crate::{
    protocol::{Patience, Refusal, Reserved},
    side::ALL,
};
use core::{fmt, ptr::NonNull, slice, time::Duration};
use heddle_atomics::Deadline;

impl Sender {
    /// Sends a copy of `message`, waiting for room as long as it takes. While one longer than
    /// [`Sender::max_message_len`] is sent, other senders wait.
    ///
    /// # Errors
    /// `Closed`; `TooLong` for 4 GiB or more.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no room comes.
    #[inline]
    #[track_caller]
    pub fn send(&self, message: &[u8]) -> Result<(), SendError> {
        Ok(self
            .0
            .send_within(message, Patience::Until(Deadline::NEVER))?)
    }

    /// Sends a copy of `message` if there is room.
    ///
    /// # Errors
    /// `Full`, `Closed`, or `TooLong`.
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<(), TrySendError> {
        Ok(self.0.send_within(message, Patience::None)?)
    }

    /// Sends a copy of `message`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), SendTimeoutError> {
        Ok(self
            .0
            .send_within(message, Patience::Until(Deadline::after(timeout)))?)
    }

    /// Sends copies of as many of `messages` as there is room for, with one lock and one wake-up; how many.
    ///
    /// # Errors
    /// `Closed` if the channel is closed and none was sent, `TooLong` if the first is.
    pub fn try_send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<usize, TrySendError> {
        let Some(first) = messages.first() else {
            return Ok(0);
        };
        if self.0.core().is_rendezvous() {
            return self.try_send(first.as_ref()).map(|()| 1);
        }
        let reserved = match self.0.reserve_within(first.as_ref().len(), Patience::None) {
            Err(SendRefusal::Refused(Refusal::NotNow)) => return Ok(0),
            result => result?,
        };
        match self.send_from(reserved, messages) {
            0 => Err(TrySendError::Closed),
            sent => Ok(sent),
        }
    }

    /// Sends as many of `messages` as there is room for, from the first, which has its place; how many, and 0 if the channel is closed.
    pub(super) fn send_from<M: AsRef<[u8]>>(
        &self,
        mut reserved: Reserved<'_>,
        messages: &[M],
    ) -> usize {
        let channel = &self.0;
        let mut sent = 0;
        loop {
            channel.write_frame(&reserved, messages[sent].as_ref(), 0, 0);
            let next = messages
                .get(sent + 1)
                .and_then(|next| channel.check_length(next.as_ref().len()).ok());
            if let Some(length) = next
                && reserved.commit_and_keep()
            {
                sent += 1;
                if reserved.next(|position| channel.advance_at(position, length)) {
                    continue;
                }
                reserved.abandon();
                return sent;
            }
            let is_sent = reserved.commit().is_ok();
            channel.core().receivers().signal(ALL);
            return sent + usize::from(is_sent);
        }
    }

    /// Sends copies of all `messages`, waiting for room as long as it takes: as many as there is room for with one lock
    /// and one wake-up. Messages of other senders may come between them.
    ///
    /// # Errors
    /// With the number that was sent before: `Closed`, or `TooLong` for 4 GiB or more.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_many<M: AsRef<[u8]>>(&self, messages: &[M]) -> Result<(), (usize, SendError)> {
        self.send_many_within(messages, Deadline::NEVER)
            .map_err(|(sent, refusal)| (sent, refusal.into()))
    }

    /// [`Sender::send_many`], waiting for at most `timeout` in all.
    ///
    /// # Errors
    /// With the number that was sent before: `TimedOut`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn send_many_timeout<M: AsRef<[u8]>>(
        &self,
        messages: &[M],
        timeout: Duration,
    ) -> Result<(), (usize, SendTimeoutError)> {
        self.send_many_within(messages, Deadline::after(timeout))
            .map_err(|(sent, refusal)| (sent, refusal.into()))
    }

    #[track_caller]
    fn send_many_within<M: AsRef<[u8]>>(
        &self,
        messages: &[M],
        deadline: Deadline,
    ) -> Result<(), (usize, SendRefusal)> {
        let mut sent = 0;
        while sent < messages.len() {
            let count = self.try_send_many(&messages[sent..]).unwrap_or(0);
            sent += count;
            if count == 0 {
                let message = messages[sent].as_ref();
                self.0
                    .send_within(message, Patience::Until(deadline))
                    .map_err(|refusal| (sent, refusal))?;
                sent += 1;
            }
        }
        Ok(())
    }

    /// A place for a message of `len` bytes, waiting for room as long as it takes: the message is written where the
    /// receiver reads it, without a copy. Until it is committed or dropped, other senders wait.
    ///
    /// # Errors
    /// `Closed`, or `TooLong` for more than [`Sender::max_message_len`].
    ///
    /// # Panics
    /// As [`Sender::send`]; and in a rendezvous, which has no place to reserve.
    #[track_caller]
    pub fn reserve(&self, len: usize) -> Result<Reservation<'_>, SendError> {
        Ok(self.reservation(len, Patience::Until(Deadline::NEVER))?)
    }

    /// [`Sender::reserve`], waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// As [`Sender::reserve`].
    #[track_caller]
    pub fn reserve_timeout(
        &self,
        len: usize,
        timeout: Duration,
    ) -> Result<Reservation<'_>, SendTimeoutError> {
        Ok(self.reservation(len, Patience::Until(Deadline::after(timeout)))?)
    }

    /// [`Sender::reserve`] if there is room.
    ///
    /// # Errors
    /// `Full`, `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// In a rendezvous.
    #[track_caller]
    pub fn try_reserve(&self, len: usize) -> Result<Reservation<'_>, TrySendError> {
        Ok(self.reservation(len, Patience::None)?)
    }

    #[track_caller]
    fn reservation(&self, len: usize, patience: Patience) -> Result<Reservation<'_>, SendRefusal> {
        self.assert_places();
        let reserved = self.0.reserve_within(len, patience)?;
        // At most half a ring, so 32 bits.
        Ok(self.reservation_of(reserved, len as u32))
    }

    #[track_caller]
    pub(super) fn assert_places(&self) {
        assert!(
            !self.0.core().is_rendezvous(),
            "a rendezvous has no place to reserve"
        );
    }

    pub(super) fn reservation_of<'a>(
        &self,
        reserved: Reserved<'a>,
        length: u32,
    ) -> Reservation<'a> {
        let payload = self.0.write_head(&reserved, length, 0, 0);
        Reservation {
            reserved: Some(reserved),
            payload,
            length,
        }
    }
}

/// A place for a message, got by [`Sender::reserve`]: write its bytes, then commit. Dropped, it is abandoned.
///
/// It derefs to the bytes of the message; what they hold first is of the past.
pub struct Reservation<'a> {
    /// `None` once it is over.
    reserved: Option<Reserved<'a>>,
    payload: NonNull<u8>,
    length: u32,
}

impl Reservation<'_> {
    /// Sends the message.
    ///
    /// # Errors
    /// If the channel was closed meanwhile.
    pub fn commit(mut self) -> Result<(), SendError> {
        let Some(reserved) = self.reserved.take() else {
            unreachable!("only a commit or a drop ends it")
        };
        match reserved.commit() {
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendError::Closed),
        }
    }

    /// Sends the first `len` bytes as the message.
    ///
    /// # Errors
    /// If the channel was closed meanwhile.
    ///
    /// # Panics
    /// If fewer bytes were reserved.
    pub fn commit_len(mut self, len: usize) -> Result<(), SendError> {
        assert!(
            len <= self.length as usize,
            "a message of {len} bytes where {} were reserved",
            self.length
        );
        // At most what was reserved, so 32 bits.
        let length = len as u32;
        if let Some(reserved) = &mut self.reserved {
            reserved.shorten(frame_size(self.length) - frame_size(length));
            // SAFETY: the head of the frame lies before the payload, and is reserved still.
            unsafe {
                self.payload
                    .sub(FRAME_HEADER_SIZE as usize)
                    .cast::<u32>()
                    .write(length);
            }
        }
        self.commit()
    }
}

impl core::ops::Deref for Reservation<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as many bytes are reserved there, for this value alone, and were initialised with the ring.
        unsafe { slice::from_raw_parts(self.payload.as_ptr(), self.length as usize) }
    }
}

impl core::ops::DerefMut for Reservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.payload.as_ptr(), self.length as usize) }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            reserved.abandon();
        }
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("len", &self.length)
            .finish_non_exhaustive()
    }
}
