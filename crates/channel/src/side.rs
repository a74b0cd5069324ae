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
//! | `watchers` | other event counts, on which selects sleep that wait here too, and the tokens of their threads |
//!
//! # Invariants
//! 1. Who is going to sleep counts itself, then reads `events`, then looks at the channel once more. Who changes the
//!    channel looks at `waiting` afterwards and adds to `events`. Either the first sees the change, or the second the
//!    count; and if the second adds before the first sleeps, the first doesn't sleep.
//! 2. A select writes its watcher before it counts itself, and notes there that it did. Whoever finds it counted finds the
//!    watcher. A watcher is read and changed as one word, by its select while that lives; who finds that its thread is dead may
//!    take it out. Whoever takes out one that is counted takes back the count. (A select that dies between counting and
//!    noting stays counted: then more are told than need to be.)
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
//! 6. TypeScript's selects may sleep on `events`, too, and so do those of tasks. Such a one is in no `told`, but may be woken by what was
//!    meant for a waiter. As long as it is counted everybody is told, and it clears `told` before it goes. (One that dies where it sleeps
//!    stays counted: then more are told than need to be.)
//! 7. A task sleeps on `events` as a thread does, counted, and comes back after each death. Dropped, it gives its count and what
//!    was told back, the wait passes on a wake-up that had come already, and who dropped it tells another (`protocol/tasks.rs`).
//!
//! # Memory orderings
//! SeqCst for all of it: invariant 1 is an order between writes and reads of different words.
//!
//! # Source
//! Event counts: D. Reed and R. Kanodia, "Synchronization with Eventcounts and Sequencers" (1979).

use crate::{
    layout::{WAITING_MASK, WAITING_SELECT, WATCHER_COUNTED, WATCHER_TOKEN_SHIFT, WATCHERS},
    select,
};
use heddle_atomics::{
    Deadline, Parked, futex, park,
    registry::{self, Token},
    seam::{AtomicU32, AtomicU64, Ordering, seqcst_order},
};

/// Wake everybody, not only one.
pub(crate) const ALL: u32 = u32::MAX;

/// A place for a [`Watcher`].
#[repr(C, align(8))]
struct Place(AtomicU64);

/// A select that sleeps on an event count of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watcher(u64);

impl Watcher {
    const NOBODY: Self = Self(0);

    /// This thread's, which sleeps on the event count of that number.
    fn new(events: u32) -> Self {
        Self(u64::from(events) | u64::from(registry::current().bits()) << WATCHER_TOKEN_SHIFT)
    }

    const fn counted(self) -> Self {
        Self(self.0 | WATCHER_COUNTED as u64)
    }

    fn is_counted(self) -> bool {
        self.counted() == self
    }

    const fn events(self) -> u32 {
        self.0 as u32 & !WATCHER_COUNTED
    }

    fn is_live(self) -> bool {
        Token::of_lock_word((self.0 >> WATCHER_TOKEN_SHIFT) as u32).is_some_and(registry::is_live)
    }
}

impl Place {
    fn watcher(&self) -> Watcher {
        Watcher(self.0.load(Ordering::SeqCst))
    }

    fn exchange(&self, from: Watcher, to: Watcher) -> bool {
        let order = Ordering::SeqCst;
        self.0.compare_exchange(from.0, to.0, order, order).is_ok()
    }
}

/// A position and those who wait for it to move.
#[repr(C, align(8))]
pub(crate) struct Side {
    pub(crate) position: AtomicU32,
    waiting: AtomicU32,
    events: AtomicU32,
    told: AtomicU32,
    watchers: [Place; WATCHERS as usize],
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
    assert!(size_of::<Place>() == 8);
};

impl Side {
    pub(crate) fn new() -> Self {
        Self {
            position: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            events: AtomicU32::new(0),
            told: AtomicU32::new(0),
            watchers: core::array::from_fn(|_| Place(AtomicU64::new(0))),
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

    /// Tells the selects that wait here, if any does.
    pub(crate) fn signal_selects(&self) {
        seqcst_order();
        // Invariant 1.
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting > WAITING_MASK {
            self.tell(waiting, ALL);
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
        for place in &self.watchers {
            let watcher = place.watcher();
            if watcher == Watcher::NOBODY {
                continue;
            }
            // What a dead one slept on may be something else by now.
            if !watcher.is_live() {
                self.take_out(place, watcher);
            } else if let Some(events) = select::events_at(watcher.events()) {
                events.fetch_add(1, Ordering::SeqCst);
                futex::wake_all(events);
            }
        }
    }

    /// Takes a watcher out, if it is still there.
    fn take_out(&self, place: &Place, watcher: Watcher) {
        // Invariant 2.
        if place.exchange(watcher, Watcher::NOBODY) && watcher.is_counted() {
            self.waiting.fetch_sub(WAITING_SELECT, Ordering::SeqCst);
        }
    }

    /// Counts a select that sleeps on the event count of that number; `None` if there is no place for it.
    pub(crate) fn announce_select(&self, events: u32) -> Option<Watcher> {
        let watcher = Watcher::new(events);
        let add = || {
            let mut places = self.watchers.iter();
            places.find(|place| place.exchange(Watcher::NOBODY, watcher))
        };
        let place = add().or_else(|| {
            self.sweep();
            add()
        })?;
        // Invariant 2.
        self.waiting.fetch_add(WAITING_SELECT, Ordering::SeqCst);
        // A failure means that this thread was declared dead, and lost its place.
        let _is_noted = place.exchange(watcher, watcher.counted());
        seqcst_order();
        Some(watcher.counted())
    }

    /// Takes a select out again.
    pub(crate) fn retire_select(&self, watcher: Watcher) {
        let mut places = self.watchers.iter();
        if let Some(place) = places.find(|place| place.watcher() == watcher) {
            self.take_out(place, watcher);
        }
    }

    /// Counts a select of a task, which sleeps here and needs no place of a watcher.
    pub(crate) fn count_select(&self) -> Selecting<'_> {
        // SeqCst, before the events are read: invariant 1.
        self.waiting.fetch_add(WAITING_SELECT, Ordering::SeqCst);
        seqcst_order();
        Selecting { side: self }
    }

    /// Takes out the selects of dead threads.
    #[cold]
    fn sweep(&self) {
        for place in &self.watchers {
            let watcher = place.watcher();
            if watcher != Watcher::NOBODY && !watcher.is_live() {
                self.take_out(place, watcher);
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

impl Waiting<'_> {
    /// [`Waiting::sleep`] as a task.
    ///
    /// `deaths` was read before the look at the channel: who died since may have owed a word (invariant 4), or been the last end.
    pub(crate) async fn sleep_async(self, deaths: u32) {
        futex::wait_async(&self.side.events, self.ticket, deaths, None).await;
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

/// A select of a task, counted as long as this lives.
pub(crate) struct Selecting<'a> {
    side: &'a Side,
}

impl<'a> Selecting<'a> {
    /// Waits until something is told from now on, or somebody dies after `deaths` was read: the select looks at the channel before it
    /// polls this (invariant 1).
    pub(crate) fn wait(&self, deaths: u32) -> futex::WaitFuture<'a> {
        let ticket = self.side.events.load(Ordering::SeqCst);
        futex::wait_async(&self.side.events, ticket, deaths, None)
    }
}

impl Drop for Selecting<'_> {
    fn drop(&mut self) {
        // SeqCst, in this order: invariant 6.
        self.side.told.store(0, Ordering::SeqCst);
        self.side
            .waiting
            .fetch_sub(WAITING_SELECT, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::thread;

    /// The places of selects whose threads died in them stayed taken: once all were, no further select could wait for the channel.
    #[test]
    fn the_places_of_the_dead_are_for_the_next() {
        let side = Side::new();
        let events: Vec<u32> = (1..=WATCHERS).map(|number| number * 4).collect();
        thread::scope(|scope| {
            for _round in 0..3 {
                let dead: Vec<Token> = events
                    .iter()
                    .map(|events| {
                        let selecting = scope.spawn(|| {
                            let me = registry::enter_new().unwrap();
                            assert!(side.announce_select(*events).is_some());
                            me
                        });
                        selecting.join().unwrap()
                    })
                    .collect();
                assert!(side.announce_select(4).is_none());
                dead.into_iter()
                    .for_each(|dead| assert!(registry::reap_token(dead)));
            }
        });
        let living = side.announce_select(4).unwrap();
        assert_eq!(side.waiting.load(Ordering::SeqCst), WAITING_SELECT);
        // Who was declared dead and lives on has nothing to take out.
        side.retire_select(living);
        side.retire_select(living);
        assert_eq!(side.waiting.load(Ordering::SeqCst), 0);
        assert!(
            side.watchers
                .iter()
                .all(|place| place.watcher() == Watcher::NOBODY)
        );
    }

    /// What a dead select slept on may be another's by now.
    #[test]
    fn a_dead_select_is_told_nothing() {
        let side = Side::new();
        let (_sender, receiver) = crate::bounded::<()>(1);
        let mut select = crate::Select::new();
        select.recv(&receiver);
        // So that there is an event count of that number.
        assert_eq!(select.ready_timeout(core::time::Duration::ZERO), None);
        let events = select::events_at(4).unwrap();
        let dead = thread::scope(|scope| {
            let selecting = scope.spawn(|| {
                let me = registry::enter_new().unwrap();
                side.announce_select(4).unwrap();
                me
            });
            selecting.join().unwrap()
        });
        let before = events.load(Ordering::SeqCst);
        side.signal(1);
        assert_ne!(events.load(Ordering::SeqCst), before);
        registry::reap_token(dead);
        let before = events.load(Ordering::SeqCst);
        side.signal(1);
        assert_eq!(events.load(Ordering::SeqCst), before);
        assert_eq!(side.waiting.load(Ordering::SeqCst), 0);
    }
}

/// What is waited for is a number of messages, so that few steps are the channel's.
#[cfg(all(test, loom))]
mod models {
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

    /// The place of a dead select is taken out by who tells and by who comes, and counted back once.
    #[test]
    fn the_place_of_the_dead_is_taken_out_once() {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let side = Arc::new(Side::new());
            let dead = registry::enter_new().expect("the model has few threads");
            (0..WATCHERS).for_each(|_| assert!(side.announce_select(4).is_some()));
            registry::reap_token(dead);
            let coming: Vec<_> = (0..2)
                .map(|_| {
                    let side = Arc::clone(&side);
                    thread::spawn(move || side.announce_select(4))
                })
                .collect();
            side.tell(WAITING_SELECT, ALL);
            for coming in coming {
                assert!(coming.join().unwrap().is_some());
            }
            side.sweep();
            assert_eq!(side.waiting.load(Ordering::SeqCst), 2 * WAITING_SELECT);
        });
    }
}
