//! The tasks that wait at one side of a channel, beside the threads that its protocol has sleep.
//!
//! # Invariants
//! 1. Who is going to wait is counted and listed, and then looks once more; who changes the channel looks at the count
//!    afterwards. Either the first sees the change or the second the count.
//! 2. A wake takes its task off the list. A task that goes, and isn't on it any more, passes the wake on: it may have been
//!    meant for what another one waits for.
//!
//! 3. Wakers are cloned, woken and dropped without the lock: each may run a task, or end one that is on the list itself.
//!
//! # Fairness
//! First come, first woken; who comes meanwhile may be faster.

use core::{
    mem::{replace, take},
    task::Waker,
};
use heddle_atomics::{
    Mutex,
    seam::{AtomicU32, Ordering, seqcst_order},
};
use std::collections::VecDeque;

/// A task on a list, or one that was.
pub(super) type Ticket = u64;

pub(super) struct Wakers {
    count: AtomicU32,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    ticket_last: Ticket,
    waiting: VecDeque<(Ticket, Waker)>,
}

impl Wakers {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            list: Mutex::new(List::default()),
        }
    }

    /// Lists a task, or renews its waker.
    pub(super) fn enter(&self, ticket: &mut Option<Ticket>, waker: &Waker) {
        let waker = waker.clone();
        let _renewed = self.with(|list| {
            let listed = ticket.and_then(|ticket| {
                list.waiting
                    .iter_mut()
                    .find(|(listed, _)| *listed == ticket)
            });
            if let Some((_, listed)) = listed {
                return Some(replace(listed, waker));
            }
            list.ticket_last += 1;
            *ticket = Some(list.ticket_last);
            list.waiting.push_back((list.ticket_last, waker));
            None
        });
        // Invariant 1: the look that follows comes after the count.
        seqcst_order();
    }

    /// Takes a task off the list for good.
    pub(super) fn leave(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        let listed = self.with(|list| {
            let place = list
                .waiting
                .iter()
                .position(|(listed, _)| *listed == ticket);
            place.and_then(|place| list.waiting.remove(place))
        });
        if listed.is_none() {
            // Invariant 2.
            self.wake_one();
        }
    }

    /// Wakes the task that has waited longest, if there is one.
    #[inline]
    pub(super) fn wake_one(&self) {
        if self.are_there_any() {
            self.wake_first();
        }
    }

    /// Wakes all of them.
    pub(super) fn wake_all(&self) {
        if self.are_there_any() {
            let waiting = self.with(|list| take(&mut list.waiting));
            for (_, waker) in waiting {
                waker.wake();
            }
        }
    }

    #[inline]
    fn are_there_any(&self) -> bool {
        seqcst_order();
        // SeqCst: invariant 1; pairs with the store in `with`.
        self.count.load(Ordering::SeqCst) != 0
    }

    #[cold]
    fn wake_first(&self) {
        if let Some((_, waker)) = self.with(|list| list.waiting.pop_front()) {
            waker.wake();
        }
    }

    fn with<R>(&self, action: impl FnOnce(&mut List) -> R) -> R {
        // Nobody's code runs under the lock (invariant 3), so nothing there can panic.
        let mut list = self
            .list
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        let result = action(&mut list);
        // SeqCst: invariant 1; pairs with the load in `are_there_any`.
        self.count
            .store(list.waiting.len() as u32, Ordering::SeqCst);
        result
    }
}
