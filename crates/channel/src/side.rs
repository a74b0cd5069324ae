//! One side of a channel: its position, and those who wait for it to move.
//!
//! Receivers wait for `tail` to move, senders for `head`.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `position` | see `protocol.rs` |
//! | `waiting`, bits 0–15 | how many wait for this channel alone, at least |
//! | `waiting`, bits 16–31 | how many selects wait here, at least |
//! | `events` | counts the changes that were told; all who wait here sleep on it |
//! | `told` | how many of those who wait are known to look again; who comes to wait clears it |
//! | `watchers` | other event counts, on which selects sleep that wait here too |
//!
//! # Invariants
//! 1. Who is going to sleep counts itself, then reads `events`, then looks at the channel once more. Who changes the
//!    channel looks at `waiting` afterwards and adds to `events`. Either the first sees the change, or the second the
//!    count; and if the second adds before the first sleeps, the first doesn't sleep.
//! 2. A select writes its watcher before it counts itself, and takes it out after it. Whoever finds it counted finds the
//!    watcher.
//! 3. A death adds to `events` of everyone who sleeps, so that ends of the dead are noticed.
//! 4. Who changed the channel may die before it tells. So a sleeper looks once more after the registry knows of it: either
//!    it sees what the dead did, or the reaper sees it.
//! 5. Who tells one adds to `told`, then to `events`, then wakes one; and who goes takes one from `told`, then from
//!    `waiting`. As long as `told` is less than `waiting` it says too little at most, which costs a wake-up for nobody.
//!    When it isn't, all of them will look once more, and nobody is told: that is what makes a stream of messages to a
//!    receiver that is just waking up cheap. For as many wake-ups came as `told` says, or come yet: each ended a sleep,
//!    and who slept looks again once it has gone and come back; or nobody slept, and who was about to can't, since
//!    `events` has changed. Who comes after that was not meant. It reads `events` and then clears `told`: of what it
//!    leaves there, the change of `events` is still to come, and keeps it from sleeping or finds it asleep. If the one
//!    who tells dies in between, its death tells everybody (invariant 3).
//! 6. TypeScript's selects may sleep on `events`, too. Such a one is in no `told`, but may be woken by what was meant for a
//!    waiter. As long as it is counted everybody is told, and it clears `told` before it goes.
//!
//! # Memory orderings
//! SeqCst for all of it: invariant 1 is an order between writes and reads of different words.
//!
//! # Source
//! Event counts: D. Reed and R. Kanodia, "Synchronization with Eventcounts and Sequencers" (1979).

use crate::{
    layout::{WAITING_MASK, WAITING_SELECT, WATCHERS},
    select,
};
use heddle_atomics::{
    Deadline, Parked, futex, park, registry,
    seam::{AtomicU32, AtomicUsize, Ordering, seqcst_order},
};

/// Wake everybody, not only one.
pub(crate) const ALL: u32 = u32::MAX;

/// A watcher's address: 64 bits wide in the record, of which a 32-bit memory leaves the upper half at 0.
#[repr(C, align(8))]
struct Watcher(AtomicUsize);

/// A position and those who wait for it to move.
#[repr(C, align(8))]
pub(crate) struct Side {
    pub(crate) position: AtomicU32,
    waiting: AtomicU32,
    events: AtomicU32,
    told: AtomicU32,
    watchers: [Watcher; WATCHERS as usize],
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::channel_header as layout;
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(Side, waiting) == layout::RECEIVERS_WAITING - layout::TAIL);
    assert!(offset_of!(Side, events) == layout::RECEIVER_EVENTS - layout::TAIL);
    assert!(offset_of!(Side, told) == layout::RECEIVERS_TOLD - layout::TAIL);
    assert!(offset_of!(Side, watchers) == layout::RECEIVER_WATCHERS - layout::TAIL);
    assert!(offset_of!(Side, waiting) == layout::SENDERS_WAITING - layout::HEAD);
    assert!(offset_of!(Side, events) == layout::SENDER_EVENTS - layout::HEAD);
    assert!(offset_of!(Side, told) == layout::SENDERS_TOLD - layout::HEAD);
    assert!(offset_of!(Side, watchers) == layout::SENDER_WATCHERS - layout::HEAD);
    assert!(size_of::<Watcher>() == 8);
};

impl Side {
    pub(crate) fn new() -> Self {
        Self {
            position: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            events: AtomicU32::new(0),
            told: AtomicU32::new(0),
            watchers: core::array::from_fn(|_| Watcher(AtomicUsize::new(0))),
        }
    }

    /// How many wait for this channel alone, at least.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst) & WAITING_MASK
    }

    /// Counts a waiter, which must look at the channel once more before it sleeps (invariant 1).
    pub(crate) fn announce(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        let ticket = self.events.load(Ordering::SeqCst);
        // Invariant 5.
        self.told.store(0, Ordering::SeqCst);
        seqcst_order();
        Waiting { side: self, ticket }
    }

    /// Tells one waiter, or [`ALL`], that something changed, if anybody waits. Selects are told always.
    #[inline]
    pub(crate) fn signal(&self, count: u32) {
        seqcst_order();
        // Invariant 1.
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting != 0 {
            self.tell(waiting, if waiting > WAITING_MASK { ALL } else { count });
        }
    }

    #[cold]
    fn tell(&self, waiting: u32, count: u32) {
        if count != ALL {
            // Invariant 5.
            if self.told.load(Ordering::SeqCst) >= waiting {
                return;
            }
            self.told.fetch_add(1, Ordering::SeqCst);
        }
        self.events.fetch_add(1, Ordering::SeqCst);
        futex::wake(&self.events, count);
        if count != ALL {
            return;
        }
        for watcher in &self.watchers {
            let address = watcher.0.load(Ordering::SeqCst);
            if address == 0 {
                continue;
            }
            if let Some(events) = select::events_at(address) {
                events.fetch_add(1, Ordering::SeqCst);
                futex::wake_all(events);
            }
        }
    }

    /// Counts a select that sleeps on `events`; `false` if there is no place for it.
    pub(crate) fn announce_select(&self, events: &'static AtomicU32) -> bool {
        let address = core::ptr::from_ref(events).expose_provenance();
        let is_added = self.watchers.iter().any(|watcher| {
            let free = watcher
                .0
                .compare_exchange(0, address, Ordering::SeqCst, Ordering::SeqCst);
            free.is_ok()
        });
        if is_added {
            self.waiting.fetch_add(WAITING_SELECT, Ordering::SeqCst);
            seqcst_order();
        }
        is_added
    }

    /// Takes a select out again.
    pub(crate) fn retire_select(&self, events: &'static AtomicU32) {
        let address = core::ptr::from_ref(events).addr();
        self.waiting.fetch_sub(WAITING_SELECT, Ordering::SeqCst);
        for watcher in &self.watchers {
            let own = watcher
                .0
                .compare_exchange(address, 0, Ordering::SeqCst, Ordering::SeqCst);
            if own.is_ok() {
                return;
            }
        }
    }
}

/// Somebody who is going to sleep, counted as long as this lives.
pub(crate) struct Waiting<'a> {
    side: &'a Side,
    ticket: u32,
}

impl Waiting<'_> {
    /// Sleeps, unless something was told since the announcement; `false` when the time ran out.
    ///
    /// `should_wait` looks at the channel once the registry knows of the sleeper (invariant 4).
    #[track_caller]
    pub(crate) fn sleep(
        self,
        deadline: Deadline,
        name: &'static str,
        should_wait: impl FnOnce() -> bool,
    ) -> bool {
        let kind = registry::WAITS_ON_SEQUENCE | registry::WAITS_FOR_CHANNEL;
        let parked = park(
            &self.side.events,
            self.ticket,
            kind,
            deadline,
            should_wait,
            &name,
        );
        parked != Parked::TimedOut
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // SeqCst, in this order: invariant 5.
        let told = &self.side.told;
        let mut seen = told.load(Ordering::SeqCst);
        while seen > 0
            && let Err(now) =
                told.compare_exchange(seen, seen - 1, Ordering::SeqCst, Ordering::SeqCst)
        {
            seen = now;
        }
        self.side.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is waited for is a number of messages, so that few steps are the channel's.
#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::{model::Builder, sync::Arc, thread};

    struct Queue {
        side: Side,
        messages: AtomicU32,
    }

    impl Queue {
        fn take(&self) -> bool {
            let mut seen = self.messages.load(Ordering::SeqCst);
            while seen > 0 {
                let order = Ordering::SeqCst;
                let taken = self.messages.compare_exchange(seen, seen - 1, order, order);
                match taken {
                    Ok(_) => return true,
                    Err(now) => seen = now,
                }
            }
            false
        }

        fn receive(&self) {
            loop {
                let waiting = self.side.announce();
                if self.take() {
                    return;
                }
                let is_empty = || self.messages.load(Ordering::SeqCst) == 0;
                waiting.sleep(Deadline::NEVER, "a message", is_empty);
            }
        }

        fn send(&self) {
            self.messages.fetch_add(1, Ordering::SeqCst);
            self.side.signal(1);
        }
    }

    /// So many receive so many messages each, all of which one thread sends. A wake-up that is missing is a deadlock.
    fn check(receivers: usize, count: usize, preemptions: usize) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 100_000;
        builder.check(move || {
            let queue = Arc::new(Queue {
                side: Side::new(),
                messages: AtomicU32::new(0),
            });
            let receiving: Vec<_> = (0..receivers)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || {
                        registry::enter_new().expect("the model has few threads");
                        (0..count).for_each(|_| queue.receive());
                        registry::leave();
                    })
                })
                .collect();
            (0..receivers * count).for_each(|_| queue.send());
            for receiving in receiving {
                receiving.join().unwrap();
            }
        });
    }

    #[test]
    fn each_who_waits_is_told() {
        check(2, 1, 3);
    }

    #[test]
    fn who_comes_again_is_told_again() {
        check(1, 2, 3);
    }
}
