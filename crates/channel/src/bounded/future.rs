//! Sending and receiving as a task.

use super::{Channel, Receiver, Sender, wakers::Ticket};
use crate::{RecvError, SendError};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What [`Sender::send_async`] gives.
#[must_use = "a future does nothing unless it is awaited"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    /// As long as it is neither sent nor offered.
    value: Option<T>,
    /// While the task waits.
    ticket: Option<Ticket>,
}

/// What [`Receiver::recv_async`] gives.
#[must_use = "a future does nothing unless it is awaited"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    /// While the task waits.
    ticket: Option<Ticket>,
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self {
            sender,
            value: Some(value),
            ticket: None,
        }
    }
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self {
            receiver,
            ticket: None,
        }
    }
}

// The value is moved in and out, and nobody is given a pinned reference to it.
impl<T> Unpin for SendFuture<'_, T> {}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            sender,
            value,
            ticket,
        } = &mut *self;
        let sent = match &sender.channel {
            Channel::Ring(ring) => ring.poll_send(value, ticket, context),
            Channel::HandOver(hand_over) => hand_over.poll_send(value, ticket, context),
        };
        Poll::Ready(ready!(sent).map_err(SendError))
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, ticket } = &mut *self;
        let received = match &receiver.channel {
            Channel::Ring(ring) => ring.poll_recv(ticket, context),
            Channel::HandOver(hand_over) => hand_over.poll_recv(ticket, context),
        };
        Poll::Ready(ready!(received).map_err(|()| RecvError))
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        match &self.sender.channel {
            Channel::Ring(ring) => ring.sending.leave(&mut self.ticket),
            Channel::HandOver(hand_over) => hand_over.leave_sending(&mut self.ticket),
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        match &self.receiver.channel {
            Channel::Ring(ring) => ring.receiving.leave(&mut self.ticket),
            Channel::HandOver(hand_over) => hand_over.leave_receiving(&mut self.ticket),
        }
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture")
            .field("sender", self.sender)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture")
            .field("receiver", self.receiver)
            .finish_non_exhaustive()
    }
}
