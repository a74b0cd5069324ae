//! Writes that come at the same time go together.
//!
//! Who comes while nobody writes *leads*: it writes everything that waits as one group, and tells the others. Meanwhile the next group gathers.
//!
//! # Invariants
//! 1. There is at most one leader. It gives up the lead and notes what came of its group's members in one step, so that whoever finds neither
//!    an outcome of its own nor a leader is among those that wait to be written.
//! 2. A leader ends as such whatever its writing does: a panic is an outcome, too.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::activity;
use crate::error::{StoreError, StoreResult};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What waits to be written, and what came of what was.
pub struct Groups<T> {
    queue: Mutex<Queue<T>>,
    /// Notified when a group is written, or failed.
    written: Condvar,
}

struct Queue<T> {
    waiting: Vec<T>,
    /// Whose records those are.
    tickets: Vec<u64>,
    outcomes: Vec<(u64, StoreResult<()>)>,
    /// How many have no outcome yet.
    open: usize,
    next_ticket: u64,
    has_leader: bool,
}

impl<T> Groups<T> {
    /// Nothing waits.
    pub fn new() -> Groups<T> {
        let queue = Queue {
            waiting: Vec::new(),
            tickets: Vec::new(),
            outcomes: Vec::new(),
            open: 0,
            next_ticket: 0,
            has_leader: false,
        };
        Groups {
            queue: Mutex::new(queue),
            written: Condvar::new(),
        }
    }

    /// Returns what came of writing a group that `record` was in; `write` writes one, all or none of it.
    pub fn append(&self, record: T, write: impl Fn(&[T]) -> StoreResult<()>) -> StoreResult<()> {
        let mut queue = self.queue();
        // A record without its ticket, or a ticket without its outcome, would be somebody else's concern: where memory is refused, it is here.
        queue.waiting.reserve(1);
        queue.tickets.reserve(1);
        let open = queue.open + 1;
        queue.outcomes.reserve(open);
        queue.open = open;
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push(record);
        queue.tickets.push(ticket);
        loop {
            if let Some(position) = queue
                .outcomes
                .iter()
                .position(|(other, _)| *other == ticket)
            {
                return queue.outcomes.swap_remove(position).1;
            }
            if queue.has_leader {
                queue = activity::while_waiting(|| self.written.wait(queue))
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.has_leader = true;
            let group = std::mem::take(&mut queue.waiting);
            let tickets = std::mem::take(&mut queue.tickets);
            drop(queue);
            // A leader that ended here by a panic would leave all others waiting for ever.
            let outcome =
                catch_unwind(AssertUnwindSafe(|| write(&group))).unwrap_or_else(|payload| {
                    Err(StoreError::of_panic(
                        "writing a group of commits",
                        &*payload,
                    ))
                });
            queue = self.queue();
            queue.has_leader = false;
            queue.open -= tickets.len();
            queue
                .outcomes
                .extend(tickets.into_iter().map(|ticket| (ticket, outcome.clone())));
            self.written.notify_all();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
