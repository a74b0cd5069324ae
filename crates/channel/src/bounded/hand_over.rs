//! A channel without room: a value goes from a sender's hand into a receiver's, so each waits for the other.
//!
//! # State
//! One lock guards all of it. Senders who wait are in `offers`, with their values; receivers who wait are in `requests`. Never
//! both: who comes takes the oldest of the other side. A value for a receiver lies in `answers` until that one has looked.
//!
//! # Invariants
//! 1. A sender has succeeded exactly if its offer is gone: it alone takes it back, under the lock.
//! 2. A receiver has a value exactly if there is an answer of its ticket. One that goes without it leaves the value as an
//!    offer of nobody's, before the others: its sender was told that it was taken.
//! 3. Threads and tasks wait in the same queues and are woken in the same way. Wakers are cloned for a wait, woken and dropped
//!    without the lock, and so are values: each may run somebody's code, which may use the channel.
//!
//! # Fairness
//! First come, first served, on both sides.
//!
//! # Memory orderings
//! All is under the lock; a sleeper's word only wakes it.
//!
//! A thread that dies while it waits keeps its place: a value that is then handed to it is lost.

use super::wakers::Ticket;
use crate::{
    protocol::{Patience, Refusal},
    select::Operation,
    side::{ALL, Side},
};
use core::{
    mem::{replace, take},
    task::{Context, Poll, Waker},
};
use heddle_atomics::{
    Mutex, MutexGuard, Parked, futex, park, registry,
    seam::{AtomicU32, Ordering},
};
use std::{collections::VecDeque, sync::Arc};

/// A sleeper's word: before and after it was woken.
const ASLEEP: u32 = 0;
const WOKEN: u32 = 1;

/// How somebody who waits is woken.
enum Waiter {
    Thread(Arc<AtomicU32>),
    Task(Waker),
    /// Woken by the close, and hasn't looked yet.
    Told,
    /// Invariant 2.
    Nobody,
}

impl Waiter {
    fn thread() -> (Arc<AtomicU32>, Self) {
        let word = Arc::new(AtomicU32::new(ASLEEP));
        (Arc::clone(&word), Self::Thread(word))
    }

    fn wake(self) {
        match self {
            Self::Thread(word) => {
                // Release isn't needed: what the sleeper looks at then is under the lock.
                word.store(WOKEN, Ordering::Relaxed);
                futex::wake_all(&word);
            }
            Self::Task(waker) => waker.wake(),
            Self::Told | Self::Nobody => {}
        }
    }
}

struct Offer<T> {
    ticket: Ticket,
    value: T,
    waiter: Waiter,
}

struct Request {
    ticket: Ticket,
    waiter: Waiter,
}

struct State<T> {
    is_closed: bool,
    ticket_last: Ticket,
    offers: VecDeque<Offer<T>>,
    requests: VecDeque<Request>,
    answers: Vec<(Ticket, T)>,
}

impl<T> State<T> {
    fn ticket(&mut self) -> Ticket {
        self.ticket_last += 1;
        self.ticket_last
    }

    /// Hands `value` to the receiver who has waited longest, who must be woken; gives it back if there is none.
    fn answer(&mut self, value: T) -> Result<Waiter, T> {
        let Some(request) = self.requests.pop_front() else {
            return Err(value);
        };
        self.answers.push((request.ticket, value));
        Ok(request.waiter)
    }

    /// Takes the value of the sender who has waited longest, who must be woken.
    fn take_offer(&mut self) -> Option<(T, Waiter)> {
        let offer = if self.is_closed {
            // The senders take back what they still have; what is nobody's was sent before.
            let place = self
                .offers
                .iter()
                .position(|offer| matches!(offer.waiter, Waiter::Nobody))?;
            self.offers.remove(place)?
        } else {
            self.offers.pop_front()?
        };
        Some((offer.value, offer.waiter))
    }

    fn offer_of(&mut self, ticket: Ticket) -> Option<&mut Offer<T>> {
        self.offers.iter_mut().find(|offer| offer.ticket == ticket)
    }

    fn withdraw_offer(&mut self, ticket: Ticket) -> Option<Offer<T>> {
        let place = self
            .offers
            .iter()
            .position(|offer| offer.ticket == ticket)?;
        self.offers.remove(place)
    }

    fn take_answer(&mut self, ticket: Ticket) -> Option<T> {
        let place = self
            .answers
            .iter()
            .position(|(answered, _)| *answered == ticket)?;
        Some(self.answers.swap_remove(place).1)
    }

    fn withdraw_request(&mut self, ticket: Ticket) -> Option<Request> {
        let place = self
            .requests
            .iter()
            .position(|request| request.ticket == ticket)?;
        self.requests.remove(place)
    }
}

pub(super) struct HandOver<T> {
    state: Mutex<State<T>>,
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
            state: Mutex::new(State {
                is_closed: false,
                ticket_last: 0,
                offers: VecDeque::new(),
                requests: VecDeque::new(),
                answers: Vec::new(),
            }),
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            selecting_to_send: Side::new(),
            selecting_to_recv: Side::new(),
        }
    }

    /// What a select waits for to send: who changes the queues tells it under the lock, under which it looks.
    pub(super) fn sending(&self) -> Operation<'_> {
        Operation {
            side: &self.selecting_to_send,
            is_ready: Box::new(|| {
                let state = self.state();
                state.is_closed || !state.requests.is_empty()
            }),
        }
    }

    /// What a select waits for to receive, as [`HandOver::sending`].
    pub(super) fn receiving(&self) -> Operation<'_> {
        Operation {
            side: &self.selecting_to_recv,
            is_ready: Box::new(|| {
                let state = self.state();
                state.is_closed || !state.offers.is_empty()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that panics runs under the lock.
        self.state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    #[track_caller]
    pub(super) fn send(&self, value: T, patience: Patience) -> Result<(), (T, Refusal)> {
        let mut state = self.state();
        if state.is_closed {
            return Err((value, Refusal::Closed));
        }
        let value = match state.answer(value) {
            Ok(waiter) => {
                drop(state);
                waiter.wake();
                return Ok(());
            }
            Err(value) => value,
        };
        let Patience::Until(deadline) = patience else {
            return Err((value, Refusal::NotNow));
        };
        let (word, waiter) = Waiter::thread();
        let ticket = state.ticket();
        state.offers.push_back(Offer {
            ticket,
            value,
            waiter,
        });
        self.selecting_to_recv.signal(ALL);
        drop(state);
        let _offered = Offered {
            channel: self,
            ticket,
        };
        loop {
            let name = &"a receiver of a channel";
            let parked = park(&word, ASLEEP, registry::WAITS, deadline, || true, name);
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
            return Err((offer.value, refusal));
        }
    }

    #[track_caller]
    pub(super) fn recv(&self, patience: Patience) -> Result<T, Refusal> {
        let mut state = self.state();
        if let Some((value, waiter)) = state.take_offer() {
            drop(state);
            waiter.wake();
            return Ok(value);
        }
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        let Patience::Until(deadline) = patience else {
            return Err(Refusal::NotNow);
        };
        let (word, waiter) = Waiter::thread();
        let ticket = state.ticket();
        state.requests.push_back(Request { ticket, waiter });
        self.selecting_to_send.signal(ALL);
        drop(state);
        let _requested = Requested {
            channel: self,
            ticket,
        };
        loop {
            let name = &"a sender of a channel";
            let parked = park(&word, ASLEEP, registry::WAITS, deadline, || true, name);
            let mut state = self.state();
            if let Some(value) = state.take_answer(ticket) {
                return Ok(value);
            }
            if state.is_closed {
                return Err(Refusal::Closed);
            }
            if parked == Parked::TimedOut {
                return Err(Refusal::TimedOut);
            }
        }
    }

    /// Sends what `value` holds, or has the task woken when it was taken.
    pub(super) fn poll_send(
        &self,
        value: &mut Option<T>,
        ticket: &mut Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), T>> {
        let waker = context.waker().clone();
        let mut state = self.state();
        let is_closed = state.is_closed;
        let Some(waiting) = *ticket else {
            let Some(offered) = value.take() else {
                return Poll::Pending;
            };
            if is_closed {
                return Poll::Ready(Err(offered));
            }
            match state.answer(offered) {
                Ok(waiter) => {
                    drop(state);
                    waiter.wake();
                    return Poll::Ready(Ok(()));
                }
                Err(value) => {
                    let new = state.ticket();
                    *ticket = Some(new);
                    state.offers.push_back(Offer {
                        ticket: new,
                        value,
                        waiter: Waiter::Task(waker),
                    });
                    self.selecting_to_recv.signal(ALL);
                }
            }
            return Poll::Pending;
        };
        match state.offer_of(waiting) {
            Some(offer) if !is_closed => {
                let renewed = replace(&mut offer.waiter, Waiter::Task(waker));
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
        let waker = context.waker().clone();
        let mut state = self.state();
        if let Some(waiting) = *ticket {
            if let Some(value) = state.take_answer(waiting) {
                *ticket = None;
                return Poll::Ready(Ok(value));
            }
        } else if let Some((value, waiter)) = state.take_offer() {
            drop(state);
            waiter.wake();
            return Poll::Ready(Ok(value));
        }
        if state.is_closed {
            // Closing has taken the request off its queue.
            *ticket = None;
            return Poll::Ready(Err(()));
        }
        let waiting = *ticket.get_or_insert_with(|| state.ticket());
        let waiter = Waiter::Task(waker);
        match state
            .requests
            .iter_mut()
            .find(|request| request.ticket == waiting)
        {
            Some(request) => {
                let renewed = replace(&mut request.waiter, waiter);
                drop(state);
                drop(renewed);
            }
            None => state.requests.push_back(Request {
                ticket: waiting,
                waiter,
            }),
        }
        Poll::Pending
    }

    /// Takes an offer back for good.
    pub(super) fn leave_sending(&self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            let offer = self.state().withdraw_offer(ticket);
            drop(offer);
        }
    }

    /// Takes a request back for good; what was answered goes to somebody else (invariant 2).
    pub(super) fn leave_receiving(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        let mut state = self.state();
        let request = state.withdraw_request(ticket);
        let Some(value) = state.take_answer(ticket) else {
            drop(state);
            drop(request);
            return;
        };
        match state.answer(value) {
            Ok(waiter) => {
                drop(state);
                waiter.wake();
            }
            Err(value) => {
                let ticket = state.ticket();
                state.offers.push_front(Offer {
                    ticket,
                    value,
                    waiter: Waiter::Nobody,
                });
                self.selecting_to_send.signal(ALL);
                self.selecting_to_recv.signal(ALL);
            }
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        self.selecting_to_send.signal(ALL);
        self.selecting_to_recv.signal(ALL);
        // The senders take back what they have when they look.
        let offers = state.offers.iter_mut();
        let mut waiters: Vec<_> = offers
            .filter(|offer| !matches!(offer.waiter, Waiter::Nobody))
            .map(|offer| replace(&mut offer.waiter, Waiter::Told))
            .collect();
        let requests = take(&mut state.requests).into_iter();
        waiters.extend(requests.map(|request| request.waiter));
        drop(state);
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
