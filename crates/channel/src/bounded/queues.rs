//! Who waits in a rendezvous: senders with their values, and receivers. The rules are those of `hand_over.rs`, by whose numbers the
//! invariants go here; its lock guards all of it.

use super::wakers::Ticket;
use core::{
    mem::{replace, take},
    task::Waker,
};
use heddle_atomics::{
    futex, may_block,
    seam::{AtomicU32, Ordering},
};
use std::{collections::VecDeque, sync::Arc};

/// A sleeper's word: before and after it was woken.
pub(super) const ASLEEP: u32 = 0;
const WOKEN: u32 = 1;

/// How somebody who waits is woken.
pub(super) enum Waiter {
    /// A thread that sleeps.
    Thread(Arc<AtomicU32>),
    /// A thread that may not sleep, and panics after a while.
    Spinner(Arc<AtomicU32>),
    Task(Waker),
    /// Woken, and hasn't looked yet.
    Told,
    /// Invariant 4.
    Nobody,
}

impl Waiter {
    /// This thread, which is woken through the word.
    pub(super) fn of(word: &Arc<AtomicU32>) -> Self {
        let word = Arc::clone(word);
        if may_block() {
            Self::Thread(word)
        } else {
            Self::Spinner(word)
        }
    }

    pub(super) fn wake(self) {
        match self {
            Self::Thread(word) | Self::Spinner(word) => {
                // Release isn't needed: what the sleeper looks at then is under the lock.
                word.store(WOKEN, Ordering::Relaxed);
                futex::wake_all(&word);
            }
            Self::Task(waker) => waker.wake(),
            Self::Told | Self::Nobody => {}
        }
    }
}

/// Who is to be woken without the lock, after a step that may concern one of each side.
#[must_use]
pub(super) struct Woken {
    sender: Waiter,
    receiver: Waiter,
}

impl Woken {
    const NOBODY: Self = Self {
        sender: Waiter::Nobody,
        receiver: Waiter::Nobody,
    };

    pub(super) fn wake(self) {
        self.sender.wake();
        self.receiver.wake();
    }
}

pub(super) struct Offer<T> {
    ticket: Ticket,
    pub(super) value: T,
    pub(super) waiter: Waiter,
}

pub(super) struct Request {
    ticket: Ticket,
    waiter: Waiter,
}

pub(super) struct Queues<T> {
    pub(super) is_closed: bool,
    ticket_last: Ticket,
    /// Oldest first.
    offers: VecDeque<Offer<T>>,
    /// Oldest first.
    requests: VecDeque<Request>,
    /// How many of the requests are told.
    told: usize,
    /// Of receivers who sleep, until they have looked.
    answers: Vec<(Ticket, T)>,
}

impl<T> Queues<T> {
    pub(super) fn new() -> Self {
        Self {
            is_closed: false,
            ticket_last: 0,
            offers: VecDeque::new(),
            requests: VecDeque::new(),
            told: 0,
            answers: Vec::new(),
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.ticket_last += 1;
        self.ticket_last
    }

    pub(super) fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// Whether more receivers wait than values.
    pub(super) fn has_free_receiver(&self) -> bool {
        self.requests.len() > self.offers.len()
    }

    /// Hands `value` to the receiver who has waited longest, who must be woken; gives it back if that one may go, or isn't there.
    pub(super) fn answer(&mut self, value: T) -> Result<Waiter, T> {
        let is_first = self.offers.is_empty() && self.told == 0;
        let sleeps = |request: &mut Request| matches!(request.waiter, Waiter::Thread(_));
        match self
            .requests
            .pop_front_if(|request| is_first && sleeps(request))
        {
            Some(request) => {
                self.answers.push((request.ticket, value));
                Ok(request.waiter)
            }
            None => Err(value),
        }
    }

    /// Adds an offer; its ticket, and who is to be woken for it.
    pub(super) fn offer(&mut self, value: T, waiter: Waiter) -> (Ticket, Woken) {
        let ticket = self.ticket();
        self.offers.push_back(Offer {
            ticket,
            value,
            waiter,
        });
        (ticket, self.settle())
    }

    /// Invariant 3, after an offer came or somebody who was told went.
    pub(super) fn settle(&mut self) -> Woken {
        if self.told >= self.offers.len() {
            return Woken::NOBODY;
        }
        let is_untold = |request: &Request| !matches!(request.waiter, Waiter::Told);
        let Some(place) = self.requests.iter().position(is_untold) else {
            return Woken::NOBODY;
        };
        let request = &mut self.requests[place];
        if !matches!(request.waiter, Waiter::Thread(_)) {
            self.told += 1;
            return Woken {
                receiver: replace(&mut request.waiter, Waiter::Told),
                ..Woken::NOBODY
            };
        }
        let (Some(request), Some(offer)) = (self.requests.remove(place), self.offers.pop_front())
        else {
            unreachable!("both were just there")
        };
        self.answers.push((request.ticket, offer.value));
        Woken {
            sender: offer.waiter,
            receiver: request.waiter,
        }
    }

    /// Takes the value of the sender who has waited longest, who must be woken.
    pub(super) fn take_offer(&mut self) -> Option<(T, Waiter)> {
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

    /// Takes a value for a receiver who waits and looks now: the value, its sender, who must be woken, and what the receiver left.
    pub(super) fn take_for(&mut self, ticket: Ticket) -> Option<(T, Waiter, Option<Request>)> {
        let answers = &mut self.answers;
        if let Some(place) = answers.iter().position(|answer| answer.0 == ticket) {
            return Some((answers.swap_remove(place).1, Waiter::Nobody, None));
        }
        let (value, sender) = self.take_offer()?;
        Some((value, sender, self.withdraw_request(ticket)))
    }

    pub(super) fn offer_of(&mut self, ticket: Ticket) -> Option<&mut Offer<T>> {
        self.offers.iter_mut().find(|offer| offer.ticket == ticket)
    }

    pub(super) fn withdraw_offer(&mut self, ticket: Ticket) -> Option<Offer<T>> {
        let place = self
            .offers
            .iter()
            .position(|offer| offer.ticket == ticket)?;
        self.offers.remove(place)
    }

    /// Puts a waiter who looked in vain at its place, or at the end if it has none; what was there before.
    pub(super) fn request(&mut self, ticket: Ticket, waiter: Waiter) -> Option<Waiter> {
        let mut requests = self.requests.iter_mut();
        let Some(request) = requests.find(|request| request.ticket == ticket) else {
            self.requests.push_back(Request { ticket, waiter });
            return None;
        };
        let renewed = replace(&mut request.waiter, waiter);
        self.told -= usize::from(matches!(renewed, Waiter::Told));
        Some(renewed)
    }

    pub(super) fn withdraw_request(&mut self, ticket: Ticket) -> Option<Request> {
        let place = self
            .requests
            .iter()
            .position(|request| request.ticket == ticket)?;
        let request = self.requests.remove(place)?;
        self.told -= usize::from(matches!(request.waiter, Waiter::Told));
        Some(request)
    }

    /// Closes the channel; everybody who waits, to be woken.
    pub(super) fn close(&mut self) -> Vec<Waiter> {
        self.is_closed = true;
        // The senders take back what they have when they look.
        let offers = self.offers.iter_mut();
        let mut waiters: Vec<_> = offers
            .filter(|offer| !matches!(offer.waiter, Waiter::Nobody))
            .map(|offer| replace(&mut offer.waiter, Waiter::Told))
            .collect();
        let requests = take(&mut self.requests).into_iter();
        self.told = 0;
        waiters.extend(requests.map(|request| request.waiter));
        waiters
    }
}
