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
    unused: u32,
    watchers: [Watcher; WATCHERS as usize],
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::channel_header as layout;
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(Side, waiting) == layout::RECEIVERS_WAITING - layout::TAIL);
    assert!(offset_of!(Side, events) == layout::RECEIVER_EVENTS - layout::TAIL);
    assert!(offset_of!(Side, watchers) == layout::RECEIVER_WATCHERS - layout::TAIL);
    assert!(offset_of!(Side, waiting) == layout::SENDERS_WAITING - layout::HEAD);
    assert!(offset_of!(Side, events) == layout::SENDER_EVENTS - layout::HEAD);
    assert!(offset_of!(Side, watchers) == layout::SENDER_WATCHERS - layout::HEAD);
    assert!(size_of::<Watcher>() == 8);
};

impl Side {
    pub(crate) fn new() -> Self {
        Self {
            position: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            events: AtomicU32::new(0),
            unused: 0,
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
        Waiting {
            side: self,
            ticket: self.events.load(Ordering::SeqCst),
        }
    }

    /// Tells one waiter, or [`ALL`], that something changed, if anybody waits. Selects are told always.
    #[inline]
    pub(crate) fn signal(&self, count: u32) {
        seqcst_order();
        // Invariant 1.
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting != 0 {
            self.tell(if waiting > WAITING_MASK { ALL } else { count });
        }
    }

    #[cold]
    fn tell(&self, count: u32) {
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
        // Relaxed: too high a count only costs a wake-up for nobody.
        self.side.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
