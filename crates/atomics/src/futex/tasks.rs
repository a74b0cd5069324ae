//! The tasks that wait on words: natively every waker is in this process, so a table beside the host's queue of threads
//! is all that they need.
//!
//! # Invariants
//! 1. Who is going to wait is listed and counted, and then looks at the word once more; who wakes has changed the word before it
//!    looks at the count, with a fence between on both sides. Either the first sees the change or the second the count. So while no
//!    task waits, a wake costs a fence and a load more, beside the call to the host.
//! 2. A wake takes its task off the list. A task that goes, and isn't on it any more, passes the wake on: it may have been
//!    meant for what another one waits for.
//! 3. Wakers are cloned, woken and dropped without the lock: each may run a task, or end one that is on the list itself.
//!
//! # Fairness
//! First come, first woken. Threads and tasks don't take each other's wakes: one that is for `n` reaches `n` of each. For a task that
//! was woken runs when its executor has time for it, and a thread must not sleep until then.

use crate::{
    registry,
    seam::{AtomicU32, Ordering, fence},
};
use core::{
    future::Future,
    mem::replace,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::collections::{BTreeMap, VecDeque};

#[cfg(shuttle)]
use crate::seam::model::{Fault, any};

#[cfg(loom)]
use loom::{lazy_static, sync::Mutex};
#[cfg(shuttle)]
use shuttle::{lazy_static, sync::Mutex};
#[cfg(not(any(loom, shuttle)))]
use std::sync::Mutex;

/// A task on a list, or one that was.
type Ticket = u64;

struct Tasks {
    /// How many are listed.
    count: AtomicU32,
    lists: Mutex<Lists>,
}

struct Lists {
    ticket_last: Ticket,
    /// Who waits on the word at an address; no list is empty.
    by_address: BTreeMap<usize, VecDeque<(Ticket, Waker)>>,
}

impl Lists {
    const fn new() -> Self {
        Self {
            ticket_last: 0,
            by_address: BTreeMap::new(),
        }
    }

    fn find(&mut self, address: usize, ticket: Ticket) -> Option<(usize, &mut Waker)> {
        let list = self.by_address.get_mut(&address)?;
        let place = list.iter().position(|(listed, _)| *listed == ticket)?;
        Some((place, &mut list[place].1))
    }

    /// Takes up to `count` off the list of an address, from a place on.
    fn take(&mut self, address: usize, place: usize, count: usize) -> VecDeque<(Ticket, Waker)> {
        let Some(list) = self.by_address.get_mut(&address) else {
            return VecDeque::new();
        };
        let end = place.saturating_add(count).min(list.len());
        let taken = list.drain(place..end).collect();
        if list.is_empty() {
            self.by_address.remove(&address);
        }
        taken
    }
}

#[cfg(not(any(loom, shuttle)))]
fn tasks() -> &'static Tasks {
    static TASKS: Tasks = Tasks {
        count: AtomicU32::new(0),
        lists: Mutex::new(Lists::new()),
    };
    &TASKS
}

#[cfg(any(loom, shuttle))]
fn tasks() -> &'static Tasks {
    lazy_static! {
        static ref TASKS: Tasks = Tasks {
            count: AtomicU32::new(0),
            lists: Mutex::new(Lists::new()),
        };
    }
    &TASKS
}

impl Tasks {
    fn with<R>(&self, action: impl FnOnce(&mut Lists) -> R) -> R {
        // The lists are never left half-changed: nobody's code runs under the lock (invariant 3).
        let mut lists = self
            .lists
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        action(&mut lists)
    }

    /// Whether a wake has to look at the lists, after what the caller changed.
    #[inline]
    fn are_there_any(&self) -> bool {
        // SeqCst: invariant 1, with the fence in `WaitFuture::enter`.
        fence(Ordering::SeqCst);
        self.count.load(Ordering::Relaxed) != 0
    }

    #[cold]
    fn wake_listed(&self, address: usize, count: u32) -> u32 {
        #[cfg(shuttle)]
        let count = match count {
            _ if Fault::LoseWake.is_there() && any(2) == 0 => 0,
            _ if Fault::WakeOne.is_there() => count.min(1),
            _ => count,
        };
        let woken = self.with(|lists| {
            let woken = lists.take(address, 0, usize::try_from(count).unwrap_or(usize::MAX));
            self.count
                .fetch_sub(u32::try_from(woken.len()).unwrap_or(0), Ordering::Relaxed);
            woken
        });
        let woken_count = u32::try_from(woken.len()).unwrap_or(u32::MAX);
        for (_, waker) in woken {
            waker.wake();
        }
        woken_count
    }
}

/// Wakes up to `count` tasks that wait on the word at `address`, the first come first; how many it were.
#[inline]
pub(super) fn wake(address: *const AtomicU32, count: u32) -> u32 {
    let tasks = tasks();
    if tasks.are_there_any() {
        tasks.wake_listed(address.addr(), count)
    } else {
        0
    }
}

/// Has every task look again, whatever it waits for.
#[cfg(not(loom))]
#[cold]
pub(super) fn wake_everybody() {
    let tasks = tasks();
    if !tasks.are_there_any() {
        return;
    }
    let woken = tasks.with(|lists| {
        tasks.count.store(0, Ordering::Relaxed);
        core::mem::take(&mut lists.by_address)
    });
    for (_, waker) in woken.into_values().flatten() {
        waker.wake();
    }
}

/// What [`wait_async`](super::wait_async) gives.
#[must_use = "a future does nothing unless it is awaited"]
#[doc(hidden)]
pub struct WaitFuture<'a> {
    word: &'a AtomicU32,
    expected: u32,
    deaths: u32,
    /// While the task is listed.
    ticket: Option<Ticket>,
}

impl<'a> WaitFuture<'a> {
    /// `limit` is for hosts that have timers.
    pub(super) fn new(
        word: &'a AtomicU32,
        expected: u32,
        deaths: u32,
        _limit: Option<Duration>,
    ) -> Self {
        Self {
            word,
            expected,
            deaths,
            ticket: None,
        }
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self.word).addr()
    }

    /// Whether nothing has happened yet that this waits for.
    fn is_as_expected(&self) -> bool {
        #[cfg(shuttle)]
        if Fault::LateWait.is_there() {
            return true;
        }
        self.word.load(Ordering::SeqCst) == self.expected && registry::deaths() == self.deaths
    }

    /// Lists the task, or renews its waker; whether it has to wait.
    fn enter(&mut self, waker: &Waker) -> bool {
        let tasks = tasks();
        let address = self.address();
        let waker = waker.clone();
        // What it gives is dropped without the lock.
        let (waits, _unused) = tasks.with(|lists| {
            let (place, renewed) = match self.ticket {
                None => {
                    lists.ticket_last += 1;
                    self.ticket = Some(lists.ticket_last);
                    let list = lists.by_address.entry(address).or_default();
                    list.push_back((lists.ticket_last, waker));
                    tasks.count.fetch_add(1, Ordering::Relaxed);
                    (list.len() - 1, None)
                }
                Some(ticket) => match lists.find(address, ticket) {
                    Some((place, listed)) => (place, Some(replace(listed, waker))),
                    None => {
                        // Woken.
                        self.ticket = None;
                        return (false, (Some(waker), VecDeque::new()));
                    }
                },
            };
            // SeqCst: invariant 1, with the fence in `are_there_any`.
            fence(Ordering::SeqCst);
            let mut left = VecDeque::new();
            let waits = self.is_as_expected();
            if !waits {
                self.ticket = None;
                tasks.count.fetch_sub(1, Ordering::Relaxed);
                left = lists.take(address, place, 1);
            }
            (waits, (renewed, left))
        });
        waits
    }
}

impl Future for WaitFuture<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.enter(context.waker()) {
            Poll::Pending
        } else {
            Poll::Ready(true)
        }
    }
}

impl Drop for WaitFuture<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let tasks = tasks();
        let address = self.address();
        let listed = tasks.with(|lists| {
            let (place, _) = lists.find(address, ticket)?;
            tasks.count.fetch_sub(1, Ordering::Relaxed);
            Some(lists.take(address, place, 1))
        });
        if listed.is_none() {
            // Invariant 2.
            wake(self.word, 1);
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::{model::Builder, sync::Arc, thread};
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        task::Wake,
    };

    /// Whether the task was woken; looked at only when everybody else has ended, so that it is nothing to model.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }

    /// Polls a wait; whether it goes on.
    fn waits(wait: &mut WaitFuture<'_>, woken: &std::sync::Arc<Woken>) -> bool {
        let waker = Waker::from(std::sync::Arc::clone(woken));
        let poll = Pin::new(wait).poll(&mut Context::from_waker(&waker));
        poll.is_pending()
    }

    /// One changes the word and wakes one task, while of two that wait for it the first gives up.
    fn hand_over(wake: fn(&AtomicU32)) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let word = Arc::new(AtomicU32::new(0));
            let waker = thread::spawn({
                let word = Arc::clone(&word);
                move || {
                    // Release, as an unlock: its order with the look at the count is the fence's.
                    word.store(1, Ordering::Release);
                    wake(&word);
                }
            });
            let (gone, woken) = <[std::sync::Arc<Woken>; 2]>::default().into();
            let mut first = WaitFuture::new(&word, 0, 0, None);
            let mut second = WaitFuture::new(&word, 0, 0, None);
            waits(&mut first, &gone);
            let is_waiting = waits(&mut second, &woken);
            drop(first);
            waker.join().unwrap();
            drop(second);
            assert!(!is_waiting || woken.0.load(Relaxed), "nobody woke the task");
        });
    }

    #[test]
    fn a_wake_reaches_the_task_that_stays() {
        hand_over(|word| _ = wake(word, 1));
    }

    #[test]
    #[should_panic = "nobody woke the task"]
    fn a_look_at_the_count_that_may_come_too_early_is_found() {
        hand_over(|word| {
            let tasks = tasks();
            if tasks.count.load(Ordering::Relaxed) != 0 {
                tasks.wake_listed(core::ptr::from_ref(word).addr(), 1);
            }
        });
    }
}
