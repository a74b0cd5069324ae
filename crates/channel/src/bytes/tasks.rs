//! Sending and receiving bytes as a task.
//!
//! A future may be dropped at any moment. One that sends has sent nothing then, and one that receives has taken nothing: with two
//! exceptions, as for whoever dies. A message longer than [`Sender::max_message_len`] that a dropped future had begun to receive is lost,
//! and in a rendezvous one that a receiver has just in hand may still be received.
//!
//! The futures may move from thread to thread. A [`Reservation`] and a [`Borrow`] stay on theirs: as long as a task has one, forms that
//! block or try on the same thread find the side taken by their own thread, and panic as they do for any lock.

use super::{
    Borrow, Receiver, RecvIntoError, Reservation, SendError, SendRefusal, Sender,
    frames::{Channel, Message, finish},
};
use crate::{
    error::RecvError,
    layout::FRAME_CONTINUED,
    protocol::{Claimed, Refusal, Reserved},
};

impl Channel {
    async fn reserve_async(&self, len: usize) -> Result<Reserved<'_>, SendRefusal> {
        let length = self.check_length(len).map_err(SendRefusal::TooLong)?;
        self.start_again();
        self.core()
            .reserve_async(move |position| self.advance_at(position, length))
            .await
            .map_err(SendRefusal::Refused)
    }

    async fn send_async(&self, message: &[u8]) -> Result<(), SendRefusal> {
        let sent = if message.len() > self.max_message_len() {
            self.send_long_async(message).await?
        } else {
            let reserved = self.reserve_async(message.len()).await?;
            self.write_frame(&reserved, message, 0, 0);
            reserved.commit().ok()
        };
        let end = sent.ok_or(SendRefusal::Refused(Refusal::Closed))?;
        if self.core().is_rendezvous() {
            let taken = self.core().await_taken_async(end).await;
            taken.map_err(SendRefusal::Refused)?;
        }
        Ok(())
    }

    /// Sends a message that takes several frames; the position behind it, or `None` if the channel was closed.
    async fn send_long_async(&self, message: &[u8]) -> Result<Option<u32>, SendRefusal> {
        let chunk_len = self.chunk_len(message.len())?;
        'again: loop {
            let mut reserved = self.reserve_async(chunk_len).await?;
            let mut chunks = message.chunks(chunk_len).peekable();
            let mut rest = message.len();
            let mut flags = 0;
            while let Some(chunk) = chunks.next() {
                rest -= chunk.len();
                // 32 bits, as was checked.
                self.write_frame(&reserved, chunk, flags, rest as u32);
                flags = FRAME_CONTINUED;
                let Some(next) = chunks.peek() else { break };
                if !reserved.commit_part() {
                    // What was sent is no message: the next frame doesn't go on with it.
                    reserved.abandon();
                    return Ok(None);
                }
                // At most a quarter of the ring.
                let length = next.len() as u32;
                let advance_at = |position| self.advance_at(position, length);
                let next = reserved.next_part_async(advance_at).await;
                match next.map_err(SendRefusal::Refused)? {
                    Some(place) => reserved = place,
                    // The thread that had the side has ended, and what was sent counts as given up.
                    None => continue 'again,
                }
            }
            return Ok(reserved.commit().ok());
        }
    }

    async fn claim_async(&self) -> Result<(Claimed<'_>, Message), Refusal> {
        'again: loop {
            let mut claimed = self.core().claim_async().await?;
            let mut bytes: Option<Vec<u8>> = None;
            loop {
                if !claimed.has_more() {
                    let next = match bytes {
                        Some(_) => claimed.await_more_async().await,
                        None => None,
                    };
                    // The rest won't come, or there was none: from the beginning.
                    let Some(next) = next else { continue 'again };
                    claimed = next;
                }
                if let Some(message) = self.put_together(&mut claimed, &mut bytes) {
                    return Ok((claimed, message));
                }
            }
        }
    }
}

impl Sender {
    /// [`Sender::send`] as a task. Dropped before it is ready, the future has sent nothing, unless a receiver of a rendezvous has the
    /// message in hand.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let Poll::Ready(value) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else { panic!("nobody has it") };
    /// #     value
    /// # }
    /// use heddle_channel::bytes::{self, Options};
    ///
    /// let (sender, receiver) = bytes::channel(Options::default());
    /// block_on(async {
    ///     sender.send_async(b"warp").await.unwrap();
    ///     assert_eq!(receiver.recv_async().await.unwrap(), b"warp");
    /// });
    /// ```
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_async(&self, message: &[u8]) -> Result<(), SendError> {
        Ok(self.0.send_async(message).await?)
    }

    /// [`Sender::reserve`] as a task. Dropped before it is ready, the future has reserved nothing.
    ///
    /// # Errors
    /// As [`Sender::reserve`].
    ///
    /// # Panics
    /// In a rendezvous.
    pub async fn reserve_async(&self, len: usize) -> Result<Reservation<'_>, SendError> {
        self.assert_places();
        let reserved = self.0.reserve_async(len).await?;
        // At most half a ring, so 32 bits.
        Ok(self.reservation_of(reserved, len as u32))
    }

    /// [`Sender::send_many`] as a task. Dropped before it is ready, the future has sent some of them, from the first.
    ///
    /// # Errors
    /// As [`Sender::send_many`].
    pub async fn send_many_async<M: AsRef<[u8]>>(
        &self,
        messages: &[M],
    ) -> Result<(), (usize, SendError)> {
        let mut sent = 0;
        while let Some(first) = messages.get(sent).map(AsRef::as_ref) {
            let has_no_place = first.len() > self.max_message_len();
            if has_no_place || self.0.core().is_rendezvous() {
                let one = self.send_async(first).await;
                one.map_err(|error| (sent, error))?;
                sent += 1;
                continue;
            }
            let reserved = self.0.reserve_async(first.len()).await;
            let reserved = reserved.map_err(|refusal| (sent, refusal.into()))?;
            let count = self.send_from(reserved, &messages[sent..]);
            if count == 0 {
                return Err((sent, SendError::Closed));
            }
            sent += count;
        }
        Ok(())
    }
}

impl Receiver {
    /// [`Receiver::recv`] as a task. Dropped before it is ready, the future has taken nothing; but of a message longer than
    /// [`Receiver::max_message_len`] that it has begun, the rest is dropped as it comes.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn recv_async(&self) -> Result<Vec<u8>, RecvError> {
        let claimed = self.0.claim_async().await;
        let (claimed, message) = claimed.map_err(|_closed| RecvError)?;
        let bytes = message.bytes().to_vec();
        finish(claimed, &message);
        Ok(bytes)
    }

    /// [`Receiver::borrow`] as a task. Dropped before it is ready, the future is as one of [`Receiver::recv_async`].
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn borrow_async(&self) -> Result<Borrow<'_>, RecvError> {
        let claimed = self.0.claim_async().await;
        let (claimed, message) = claimed.map_err(|_closed| RecvError)?;
        Ok(self.borrow_of(claimed, message))
    }

    /// [`Receiver::recv_into`] as a task. Dropped before it is ready, the future is as one of [`Receiver::recv_async`].
    ///
    /// # Errors
    /// As [`Receiver::recv_into`].
    pub async fn recv_into_async(&self, target: &mut [u8]) -> Result<usize, RecvIntoError> {
        let message = self.borrow_async().await;
        let message = message.map_err(|RecvError| RecvIntoError::Closed)?;
        message.copy_into(target).map_err(RecvIntoError::TooLong)
    }

    /// [`Receiver::recv_many`] as a task. Dropped before it is ready, the future is as one of [`Receiver::recv_async`].
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub async fn recv_many_async(&self, max: usize) -> Result<Vec<Vec<u8>>, RecvError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let claimed = self.0.claim_async().await;
        let (claimed, message) = claimed.map_err(|_closed| RecvError)?;
        Ok(self.take_from(claimed, message, max))
    }
}
