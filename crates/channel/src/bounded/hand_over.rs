//! A channel without room: a value goes from a sender's hand into a receiver's, so each waits for the other.
//!
//! # State
//! One lock guards all of it: the queues of `queues.rs`. A receiver that sleeps looks in any case, so it is *answered*: it has the oldest
//! value from then on. One that may go without a look, a task or a thread that may not sleep, is only *told*: it takes what it finds
//! then, and keeps its place until it has.
//!
//! # Invariants
//! 1. A sender has succeeded exactly if its offer is gone: it alone takes it back, under the lock.
//! 2. A receiver has taken a value exactly if it returns it: who gives up leaves `requests` under the lock under which it looked, and
//!    there is no answer for who may go. So values are taken in the order in which they were offered, and nothing goes back.
//! 3. At least as many requests are told as there are offers, or all are. So who is told and goes passes that on, and who waits
//!    without having been told waits for an offer to come.
//! 4. `try_send` succeeds if more receivers wait than values: then its offer is nobody's, for its sender doesn't wait.
//! 5. Threads and tasks wait in the same queues and are woken in the same way. Wakers are cloned for a wait, woken and dropped
//!    without the lock, and so are values: each may run somebody's code, which may use the channel. So selects, which may be tasks, are
//!    told without it, too.
//!
//! # Fairness
//! First come, first served, on both sides; but who comes before one that was told has looked may be faster than that one.
//!
//! # Memory orderings
//! All is under the lock; a sleeper's word only wakes it.
//!
//! A thread that dies while it sleeps keeps its place: a value that is then handed to it is lost.

use super::{
    queues::{ASLEEP, Queues, Waiter},
    wakers::Ticket,
};
use crate::{
    protocol::{Patience, Refusal},
    select::Operation,
    side::{ALL, Side},
};
use core::{
    fmt::Display,
    mem::replace,
    task::{Context, Poll},
};
use heddle_atomics::{
    Deadline, Mutex, MutexGuard, Parked, park, registry,
    seam::{AtomicU32, Ordering},
};
use std::sync::Arc;

pub(super) struct HandOver<T> {
    state: Mutex<Queues<T>>,
    senders: AtomicU32,
    receivers: AtomicU32,
    /// Selects that wait for a receiver's request.
    selecting_to_send: Side,
    /// Selects that wait for a sender's offer.
    selecting_to_recv: Side,
}

impl<T> HandOver<T> {
    /// With one sending and one receiving end.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(Queues::new()),
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            selecting_to_send: Side::new(),
            selecting_to_recv: Side::new(),
        }
    }

    /// What a select waits for to send: it looks under the lock, and who changed the queues under it tells it afterwards (invariant 5).
    pub(super) fn sending(&self) -> Operation<'_> {
        Operation {
            side: &self.selecting_to_send,
            is_ready: Box::new(|| {
                let state = self.state();
                state.is_closed || state.has_free_receiver()
            }),
        }
    }

    /// What a select waits for to receive, as [`HandOver::sending`].
    pub(super) fn receiving(&self) -> Operation<'_> {
        Operation {
            side: &self.selecting_to_recv,
            is_ready: Box::new(|| {
                let state = self.state();
                state.is_closed || state.has_offers()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, Queues<T>> {
        // Nothing that panics runs under the lock.
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// Lets go of the lock, and tells the selects that wait to send if a receiver may be free: one came, or a value went.
    fn leave_and_tell(&self, state: MutexGuard<'_, Queues<T>>) {
        let is_free = state.has_free_receiver();
        drop(state);
        if is_free {
            self.selecting_to_send.signal(ALL);
        }
    }

    #[track_caller]
    pub(super) fn send(&self, value: T, patience: Patience) -> Result<(), (T, Refusal)> {
        let mut state = self.state();
        if state.is_closed {
            return Err((value, Refusal::Closed));
        }
        let value = match state.answer(value) {
            Ok(receiver) => {
                drop(state);
                receiver.wake();
                return Ok(());
            }
            Err(value) => value,
        };
        let Patience::Until(deadline) = patience else {
            if !state.has_free_receiver() {
                return Err((value, Refusal::NotNow));
            }
            let (_ticket, woken) = state.offer(value, Waiter::Nobody);
            drop(state);
            self.selecting_to_recv.signal(ALL);
            woken.wake();
            return Ok(());
        };
        let word = Arc::new(AtomicU32::new(ASLEEP));
        let (ticket, woken) = state.offer(value, Waiter::Thread(Arc::clone(&word)));
        drop(state);
        let _offered = Offered {
            channel: self,
            ticket,
        };
        self.selecting_to_recv.signal(ALL);
        woken.wake();
        loop {
            let parked = sleep(&word, deadline, &"a receiver of a channel");
            let mut state = self.state();
            if state.offer_of(ticket).is_none() {
                return Ok(());
            }
            let refusal = match parked {
                _ if state.is_closed => Refusal::Closed,
                Parked::TimedOut => Refusal::TimedOut,
                Parked::Look => continue,
            };
            let offer = state.withdraw_offer(ticket).expect("it was just there");
            self.leave_and_tell(state);
            return Err((offer.value, refusal));
        }
    }

    #[track_caller]
    pub(super) fn recv(&self, patience: Patience) -> Result<T, Refusal> {
        let mut state = self.state();
        if let Some((value, sender)) = state.take_offer() {
            self.leave_and_tell(state);
            sender.wake();
            return Ok(value);
        }
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        let Patience::Until(deadline) = patience else {
            return Err(Refusal::NotNow);
        };
        let word = Arc::new(AtomicU32::new(ASLEEP));
        let ticket = state.ticket();
        state.request(ticket, Waiter::of(&word));
        drop(state);
        let _requested = Requested {
            channel: self,
            ticket,
        };
        self.selecting_to_send.signal(ALL);
        loop {
            let parked = sleep(&word, deadline, &"a sender of a channel");
            let mut state = self.state();
            if let Some((value, sender, _request)) = state.take_for(ticket) {
                drop(state);
                sender.wake();
                return Ok(value);
            }
            if state.is_closed {
                return Err(Refusal::Closed);
            }
            if parked == Parked::TimedOut {
                // Before the lock is let go of: invariant 2.
                state.withdraw_request(ticket);
                return Err(Refusal::TimedOut);
            }
            // Somebody was faster than this thread, which was told.
            word.store(ASLEEP, Ordering::Relaxed);
            state.request(ticket, Waiter::of(&word));
        }
    }

    /// Sends what `value` holds, or has the task woken when it was taken.
    pub(super) fn poll_send(
        &self,
        value: &mut Option<T>,
        ticket: &mut Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), T>> {
        let waiter = Waiter::Task(context.waker().clone());
        let mut state = self.state();
        let is_closed = state.is_closed;
        let Some(waiting) = *ticket else {
            let Some(offered) = value.take() else {
                return Poll::Pending;
            };
            if is_closed {
                return Poll::Ready(Err(offered));
            }
            let offered = match state.answer(offered) {
                Ok(receiver) => {
                    drop(state);
                    receiver.wake();
                    return Poll::Ready(Ok(()));
                }
                Err(offered) => offered,
            };
            let (new, woken) = state.offer(offered, waiter);
            *ticket = Some(new);
            drop(state);
            self.selecting_to_recv.signal(ALL);
            woken.wake();
            return Poll::Pending;
        };
        match state.offer_of(waiting) {
            Some(offer) if !is_closed => {
                let renewed = replace(&mut offer.waiter, waiter);
                drop(state);
                drop(renewed);
                return Poll::Pending;
            }
            _ => {}
        }
        *ticket = None;
        let offer = state.withdraw_offer(waiting);
        drop(state);
        Poll::Ready(offer.map_or(Ok(()), |offer| Err(offer.value)))
    }

    /// Receives a value, or has the task woken when there is one; `Err` if the channel is closed.
    pub(super) fn poll_recv(
        &self,
        ticket: &mut Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, ()>> {
        let waiter = Waiter::Task(context.waker().clone());
        let mut state = self.state();
        let taken = match *ticket {
            Some(waiting) => state.take_for(waiting),
            None => state
                .take_offer()
                .map(|(value, sender)| (value, sender, None)),
        };
        if let Some((value, sender, request)) = taken {
            *ticket = None;
            self.leave_and_tell(state);
            drop(request);
            sender.wake();
            return Poll::Ready(Ok(value));
        }
        if state.is_closed {
            // Closing has taken the request off its queue.
            *ticket = None;
            return Poll::Ready(Err(()));
        }
        let waiting = *ticket.get_or_insert_with(|| state.ticket());
        let renewed = state.request(waiting, waiter);
        drop(state);
        if renewed.is_none() {
            self.selecting_to_send.signal(ALL);
        }
        drop(renewed);
        Poll::Pending
    }

    /// Takes an offer back for good.
    pub(super) fn leave_sending(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        let mut state = self.state();
        let offer = state.withdraw_offer(ticket);
        if offer.is_some() {
            self.leave_and_tell(state);
        } else {
            drop(state);
        }
        drop(offer);
    }

    /// Takes a request back for good, and passes on what it was told.
    pub(super) fn leave_receiving(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        let mut state = self.state();
        let request = state.withdraw_request(ticket);
        let woken = state.settle();
        drop(state);
        drop(request);
        woken.wake();
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        let waiters = state.close();
        drop(state);
        self.selecting_to_send.signal(ALL);
        self.selecting_to_recv.signal(ALL);
        waiters.into_iter().for_each(Waiter::wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    pub(super) fn add_sender(&self) {
        // Relaxed: whoever adds an end has one.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        // Relaxed: as in `add_sender`.
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_sender(&self) {
        // AcqRel: the last one to go sees what the others did.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    pub(super) fn remove_receiver(&self) {
        // AcqRel: as in `remove_sender`.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

/// Sleeps until the other side has set `word`, or it is to be looked at again.
#[track_caller]
fn sleep(word: &AtomicU32, deadline: Deadline, name: &dyn Display) -> Parked {
    let kind = registry::WAITS_FOR_CHANNEL;
    park(word, ASLEEP, kind, deadline, || true, name)
}

/// An offer of this thread, which is gone after this, however that comes about: a thread that may not block panics.
struct Offered<'a, T> {
    channel: &'a HandOver<T>,
    ticket: Ticket,
}

impl<T> Drop for Offered<'_, T> {
    fn drop(&mut self) {
        self.channel.leave_sending(&mut Some(self.ticket));
    }
}

/// A request of this thread, likewise.
struct Requested<'a, T> {
    channel: &'a HandOver<T>,
    ticket: Ticket,
}

impl<T> Drop for Requested<'_, T> {
    fn drop(&mut self) {
        self.channel.leave_receiving(&mut Some(self.ticket));
    }
}
