//! Waiting until one of several channel operations is possible.
//!
//! # How it waits
//! A select sleeps on an event count of its own, and is a watcher at each of its channels (`side.rs`): who changes one of
//! them tells that count. Event counts come from a pool and are never freed, so one that is told late is still there.
//!
//! # Fairness
//! Each round of looks starts at another operation than the last, by a count that all selects share: none that stays
//! possible is passed over for ever.
//!
//! # Invariants
//! 1. A select counts itself at every channel, reads its event count, then looks at all channels, then sleeps: a change after
//!    a look is one after the count was read, and the sleep ends at once.
//! 2. Every select that waits is told of every change, so that one which then does another operation keeps no wake-up from
//!    anybody.

use crate::{bytes, side::Side};
use core::{fmt, time::Duration};
use heddle_atomics::{
    Deadline, Parked, park, registry,
    seam::{AtomicU32, Ordering},
};

/// An end that can be waited for with [`Select::recv`]: the receivers of this crate.
pub trait SelectRecv: sealed::Sealed {}

/// An end that can be waited for with [`Select::send`]: the senders of this crate.
pub trait SelectSend: sealed::Sealed {}

pub(crate) mod sealed {
    /// How a select sees an end.
    pub trait Sealed {
        #[doc(hidden)]
        fn operation(&self) -> super::Operation<'_>;
    }
}

/// What a select waits for.
#[doc(hidden)]
pub struct Operation<'a> {
    pub(crate) side: &'a Side,
    pub(crate) is_ready: Box<dyn Fn() -> bool + 'a>,
}

/// Waits until one of several operations on channels is possible, or on one that is closed. The operation itself is done
/// by its end's `try_` form, which can still find that another thread was faster: then wait again.
///
/// ```
/// use heddle_channel::{Select, bounded};
///
/// let (jobs, job) = bounded(4);
/// let (stops, stop) = bounded::<()>(1);
/// jobs.send("weave").unwrap();
///
/// let mut select = Select::new();
/// let (on_job, on_stop) = (select.recv(&job), select.recv(&stop));
/// let done = loop {
///     match select.ready() {
///         ready if ready == on_job => match job.try_recv() {
///             Ok(task) => break task,
///             Err(_) => continue,
///         },
///         ready if ready == on_stop => break "stopped",
///         _ => unreachable!(),
///     }
/// };
/// assert_eq!(done, "weave");
/// # drop(stops);
/// ```
#[derive(Default)]
pub struct Select<'a> {
    operations: Vec<Operation<'a>>,
}

impl<'a> Select<'a> {
    /// A select without operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a message, too. Returns the operation's index.
    pub fn recv(&mut self, receiver: &'a impl SelectRecv) -> usize {
        self.add(receiver.operation())
    }

    /// Waits for room, too; in a byte channel for the shortest message, in a rendezvous for a receiver that waits in `recv`.
    /// Returns the operation's index.
    pub fn send(&mut self, sender: &'a impl SelectSend) -> usize {
        self.add(sender.operation())
    }

    /// Waits for room for a message of `len` bytes, too. Returns the operation's index.
    ///
    /// # Panics
    /// If a message of so many bytes doesn't lie in the ring in one piece.
    pub fn send_len(&mut self, sender: &'a bytes::Sender, len: usize) -> usize {
        assert!(
            len <= sender.max_message_len(),
            "{len} bytes don't lie in the ring in one piece"
        );
        self.add(sender.operation_of_len(len))
    }

    fn add(&mut self, operation: Operation<'a>) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// Waits as long as it takes; the index of an operation that is possible.
    ///
    /// # Panics
    /// Without operations; if more than four selects wait for one side of a channel; if the thread
    /// [may not block](heddle_atomics::may_block) and none becomes possible.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        match self.ready_within(Deadline::NEVER) {
            Some(index) => index,
            None => unreachable!("a wait without a deadline doesn't time out"),
        }
    }

    /// Waits for at most `timeout`; `None` if no operation became possible.
    ///
    /// # Panics
    /// As [`Select::ready`].
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Option<usize> {
        self.ready_within(Deadline::after(timeout))
    }

    /// The index of an operation that is possible now, if there is one: a select with a default.
    #[must_use]
    pub fn try_ready(&mut self) -> Option<usize> {
        let count = self.operations.len();
        let start = next_start();
        (0..count)
            .map(|offset| (start + offset) % count)
            .find(|&index| (self.operations[index].is_ready)())
    }

    #[track_caller]
    fn ready_within(&mut self, deadline: Deadline) -> Option<usize> {
        assert!(
            !self.operations.is_empty(),
            "a select needs an operation to wait for"
        );
        if let Some(index) = self.try_ready() {
            return Some(index);
        }
        let watch = Watch::new(&self.operations);
        loop {
            // SeqCst: invariant 1.
            let ticket = watch.events.load(Ordering::SeqCst);
            if let Some(index) = self.try_ready() {
                return Some(index);
            }
            let kind = registry::WAITS_ON_SEQUENCE | registry::WAITS_FOR_CHANNEL;
            let name = &"a select";
            let mut ready = None;
            // Once more when the registry knows of the sleeper (invariant 4 of `side.rs`).
            let should_wait = || {
                ready = self.try_ready();
                ready.is_none()
            };
            let parked = park(watch.events, ticket, kind, deadline, should_wait, name);
            if ready.is_some() {
                return ready;
            }
            if parked == Parked::TimedOut {
                return None;
            }
        }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("operations", &self.operations.len())
            .finish()
    }
}

/// A select that waits, known at the sides of its channels as long as this lives.
struct Watch<'a> {
    events: &'static AtomicU32,
    sides: Vec<&'a Side>,
}

impl<'a> Watch<'a> {
    #[track_caller]
    fn new(operations: &[Operation<'a>]) -> Self {
        let mut watch = Self {
            events: pool::take(),
            sides: Vec::with_capacity(operations.len()),
        };
        for operation in operations {
            assert!(
                operation.side.announce_select(watch.events),
                "more than four selects wait for one side of a channel"
            );
            watch.sides.push(operation.side);
        }
        watch
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for side in &self.sides {
            side.retire_select(self.events);
        }
        pool::give(self.events);
    }
}

/// Where the next round of looks starts.
fn next_start() -> usize {
    // A model must take the same way again.
    if cfg!(any(loom, shuttle)) {
        return 0;
    }
    // Not the seam's: it orders nothing.
    use core::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The event count at an address that stands in a channel's record; `None` if there is none, because the record is broken.
#[cfg(not(all(target_family = "wasm", not(loom))))]
pub(crate) fn events_at(address: usize) -> Option<&'static AtomicU32> {
    pool::find(address)
}

/// The event count at an address that stands in a channel's record; `None` if there is none, because the record is broken.
///
/// It may be one of this module's, or that of a channel on which TypeScript selects.
#[cfg(all(target_family = "wasm", not(loom)))]
pub(crate) fn events_at(address: usize) -> Option<&'static AtomicU32> {
    let end = core::arch::wasm32::memory_size(0) << 16;
    let pointer: *const AtomicU32 = core::ptr::with_exposed_provenance(address);
    if !pointer.is_aligned() || address.checked_add(4)? > end {
        return None;
    }
    // SAFETY: aligned and inside the memory, which never shrinks; any bytes are an atomic number.
    Some(unsafe { &*pointer })
}

/// Event counts that are never freed.
#[cfg(not(any(loom, shuttle)))]
mod pool {
    use super::AtomicU32;
    use heddle_atomics::{Mutex, MutexGuard, PoisonError};

    struct Pool {
        all: Vec<&'static AtomicU32>,
        free: Vec<&'static AtomicU32>,
    }

    static POOL: Mutex<Pool> = Mutex::new(Pool {
        all: Vec::new(),
        free: Vec::new(),
    });

    fn pool() -> MutexGuard<'static, Pool> {
        // Vectors of references are whole at any time: poison means nothing here.
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take() -> &'static AtomicU32 {
        let mut pool = pool();
        if let Some(events) = pool.free.pop() {
            return events;
        }
        let events: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        pool.all.push(events);
        events
    }

    pub(super) fn give(events: &'static AtomicU32) {
        pool().free.push(events);
    }

    #[cfg(not(target_family = "wasm"))]
    pub(super) fn find(address: usize) -> Option<&'static AtomicU32> {
        let pool = pool();
        let is_there = |events: &&&AtomicU32| core::ptr::from_ref(**events).addr() == address;
        pool.all.iter().find(is_there).copied()
    }
}

/// A model's event counts belong to one run of it, so that none can be used again.
#[cfg(any(loom, shuttle))]
mod pool {
    use super::AtomicU32;

    pub(super) fn take() -> &'static AtomicU32 {
        Box::leak(Box::new(AtomicU32::new(0)))
    }

    pub(super) fn give(_events: &'static AtomicU32) {}

    pub(super) fn find(address: usize) -> Option<&'static AtomicU32> {
        let pointer: *const AtomicU32 = core::ptr::with_exposed_provenance(address);
        // SAFETY: `take` has leaked it, and nobody else writes records in a model.
        Some(unsafe { &*pointer })
    }
}
