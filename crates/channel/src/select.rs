//! Waiting until one of several channel operations is possible.
//!
//! # How it waits
//! A select that blocks sleeps on an event count of its own, and is a watcher at each of its channels (`side.rs`): who changes one of
//! them tells that count. Event counts come from a pool and are never freed, so one that is told late is still there. A channel has
//! places for six watchers at each side. Who finds none is served all the same: it looks again every few milliseconds, also
//! whether a place has become free.
//!
//! A task sleeps on the event counts of all its channels at once, where there is a place for everybody, and moves from thread to thread as
//! it likes.
//!
//! # Fairness
//! Each round of looks starts at another operation than the last, by a count that all selects share: none that stays
//! possible is passed over for ever.
//!
//! # Invariants
//! 1. A select counts itself at every channel, reads its event count, then looks at all channels, then sleeps: a change after
//!    a look is one after the count was read, and the sleep ends at once. A wait of a task that has not ended holds for the next round.
//! 2. Every select that waits is told of every change, so that one which then does another operation keeps no wake-up from
//!    anybody. Nor does one that is dropped.
//! 3. What is possible is seen without touching a value that is in a channel, so a select may look on any thread.
//! 4. A look waits for nobody: it may be the last one before a sleep, of which the registry knows already. What only the owner of a
//!    lock could tell counts as possible while another has that lock, since that one need not tell when it lets go.

use crate::side::{Selecting, Side, Watcher};
use core::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use heddle_atomics::{
    Deadline, Parked,
    futex::WaitFuture,
    may_block, park, registry,
    seam::{AtomicU32, Ordering, seqcst_order},
};

/// How long a select sleeps that a channel can't tell.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An end that can be waited for with [`Select::recv`]: the receivers of this crate.
pub trait SelectRecv: sealed::Sealed {}

/// An end that can be waited for with [`Select::send`]: the senders of this crate.
pub trait SelectSend: sealed::Sealed {}

/// An end that can be waited for with [`Select::send_len`]: the senders of bytes.
pub trait SelectSendLen: SelectSend + sealed::OfLength {}

pub(crate) mod sealed {
    /// How a select sees an end.
    pub trait Sealed {
        #[doc(hidden)]
        fn operation(&self) -> super::Operation<'_>;
    }

    /// How a select sees an end that sends messages of some length.
    pub trait OfLength {
        /// `len` is at most `len_max()`.
        #[doc(hidden)]
        fn operation_of_len(&self, len: usize) -> super::Operation<'_>;

        /// The bytes of the longest message that the end sends at once.
        #[doc(hidden)]
        fn len_max(&self) -> usize;
    }
}

/// What a select waits for.
#[doc(hidden)]
pub struct Operation<'a> {
    pub(crate) side: &'a Side,
    /// Runs on any thread (invariant 3).
    pub(crate) is_ready: Box<dyn Fn() -> bool + 'a>,
}

// SAFETY: what `is_ready` borrows is an end of this crate or its channel, of which it looks at words that are atomics or under a lock, and
// never at a value (invariant 3): so it doesn't matter whether the values may go to another thread.
unsafe impl Send for Operation<'_> {}
// SAFETY: as above.
unsafe impl Sync for Operation<'_> {}

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
///
/// The receivers of a [broadcast](crate::broadcast) and of a [watch](crate::watch) channel are changed by what they receive, so a select
/// that waits for one is dropped before, and made anew for each wait:
///
/// ```
/// use heddle_channel::{Select, bounded, watch};
///
/// let (_jobs, job) = bounded::<u32>(4);
/// let (settings, mut setting) = watch::channel(b"light", 64);
/// settings.send(b"dark").unwrap();
/// let mut select = Select::new();
/// let (_on_job, on_setting) = (select.recv(&job), select.recv(&setting));
/// let ready = select.ready();
/// drop(select);
/// assert_eq!(ready, on_setting);
/// assert_eq!(setting.borrow_and_update(), b"dark");
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

    /// Waits for room, too; in a channel of bytes for the shortest message, in a rendezvous for a receiver that waits in `recv`, in a
    /// [broadcast](crate::broadcast) with back-pressure for the slowest receiver. A broadcast without always has room. Returns the
    /// operation's index.
    pub fn send(&mut self, sender: &'a impl SelectSend) -> usize {
        self.add(sender.operation())
    }

    /// Waits for room for a message of `len` bytes, too. Returns the operation's index.
    ///
    /// ```
    /// use heddle_channel::{Select, broadcast};
    ///
    /// let options = broadcast::Options { capacity: 1, back_pressure: true, ..Default::default() };
    /// let (news, mut reader) = broadcast::channel(options);
    /// news.send(b"first").unwrap();
    /// let mut select = Select::new();
    /// let on_room = select.send_len(&news, b"second".len());
    /// assert_eq!(select.try_ready(), None);
    /// assert_eq!(reader.recv().unwrap(), b"first");
    /// assert_eq!(select.ready(), on_room);
    /// assert_eq!(news.try_send(b"second"), Ok(()));
    /// ```
    ///
    /// # Panics
    /// If a message of so many bytes doesn't lie in the ring in one piece.
    pub fn send_len(&mut self, sender: &'a impl SelectSendLen, len: usize) -> usize {
        assert!(
            len <= sender.len_max(),
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
    /// Without operations; if the thread [may not block](heddle_atomics::may_block) and none becomes possible.
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

    /// [`Select::ready`] as a task. Dropped before it is ready, it has waited for nothing, and keeps no wake-up from anybody.
    ///
    /// For a wait with a timeout, race it with a timer of your executor.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let Poll::Ready(value) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else { panic!("nobody has it") };
    /// #     value
    /// # }
    /// use heddle_channel::{Select, bounded, bytes};
    ///
    /// let (_jobs, job) = bounded::<u32>(4);
    /// let (texts, text) = bytes::channel(bytes::Options::default());
    /// texts.send(b"weft").unwrap();
    /// let mut select = Select::new();
    /// let (_on_job, on_text) = (select.recv(&job), select.recv(&text));
    /// assert_eq!(block_on(select.ready_async()), on_text);
    /// ```
    ///
    /// # Panics
    /// Without operations.
    pub async fn ready_async(&mut self) -> usize {
        self.assert_operations();
        if let Some(index) = self.try_ready() {
            return index;
        }
        let operations = self.operations.iter();
        let selecting: Vec<Selecting<'a>> = operations
            .map(|operation| operation.side.count_select())
            .collect();
        // Dropped first: who goes counts until its waits are over.
        let mut waits: Vec<Option<WaitFuture<'a>>> = selecting.iter().map(|_| None).collect();
        loop {
            // Before the looks: whoever dies after them has the waits end.
            let deaths = registry::deaths();
            for (wait, selecting) in waits.iter_mut().zip(&selecting) {
                wait.get_or_insert_with(|| selecting.wait(deaths));
            }
            seqcst_order();
            // Invariant 1.
            if let Some(index) = self.try_ready() {
                return index;
            }
            poll_fn(|context| poll_any(&mut waits, context)).await;
        }
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
    fn assert_operations(&self) {
        assert!(
            !self.operations.is_empty(),
            "a select needs an operation to wait for"
        );
    }

    #[track_caller]
    fn ready_within(&mut self, deadline: Deadline) -> Option<usize> {
        self.assert_operations();
        if let Some(index) = self.try_ready() {
            return Some(index);
        }
        let mut watch = Watch::new(&self.operations);
        loop {
            let is_told = watch.take_places();
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
            let until = if is_told || !may_block() {
                deadline
            } else {
                let left = deadline.remaining();
                Deadline::after(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)))
            };
            let parked = park(watch.events, ticket, kind, until, should_wait, name);
            if ready.is_some() {
                return ready;
            }
            if parked == Parked::TimedOut && (is_told || deadline.has_passed()) {
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

/// Polls those waits that have not ended; ready when one has, which is taken out.
fn poll_any(waits: &mut [Option<WaitFuture<'_>>], context: &mut Context<'_>) -> Poll<()> {
    let mut poll = Poll::Pending;
    for place in waits {
        if let Some(wait) = place
            && Pin::new(wait).poll(context).is_ready()
        {
            *place = None;
            poll = Poll::Ready(());
        }
    }
    poll
}

/// A select that waits, known at the sides of its channels as long as this lives.
struct Watch<'a> {
    number: u32,
    events: &'static AtomicU32,
    /// `None` where there is no place.
    watched: Vec<(&'a Side, Option<Watcher>)>,
}

impl<'a> Watch<'a> {
    fn new(operations: &[Operation<'a>]) -> Self {
        let (number, events) = pool::take();
        let sides = operations.iter().map(|operation| (operation.side, None));
        Self {
            number,
            events,
            watched: sides.collect(),
        }
    }

    /// Takes a place wherever it has none; whether every side can tell it then.
    fn take_places(&mut self) -> bool {
        let mut is_told = true;
        for (side, watcher) in &mut self.watched {
            if watcher.is_none() {
                *watcher = side.announce_select(self.number);
            }
            is_told &= watcher.is_some();
        }
        is_told
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for (side, watcher) in &self.watched {
            if let Some(watcher) = watcher {
                side.retire_select(*watcher);
            }
        }
        pool::give(self.number, self.events);
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

/// The event count that is named in a channel's record; `None` if there is none, because the record is broken.
#[cfg(not(all(target_family = "wasm", not(any(loom, shuttle)))))]
pub(crate) fn events_at(number: u32) -> Option<&'static AtomicU32> {
    pool::find(number)
}

/// The event count at an address that stands in a channel's record; `None` if there is none, because the record is broken.
///
/// It may be one of this module's, or that of a channel on which TypeScript selects.
#[cfg(all(target_family = "wasm", not(any(loom, shuttle))))]
pub(crate) fn events_at(address: u32) -> Option<&'static AtomicU32> {
    let address = address as usize;
    let end = core::arch::wasm32::memory_size(0) << 16;
    let pointer: *const AtomicU32 = core::ptr::with_exposed_provenance(address);
    if !pointer.is_aligned() || address.checked_add(4)? > end {
        return None;
    }
    // SAFETY: aligned and inside the memory, which never shrinks; any bytes are an atomic number.
    Some(unsafe { &*pointer })
}

/// Event counts that are never freed, each with the number that names it in the records of channels: its address in Wasm, which
/// TypeScript reads; elsewhere its place among all.
mod pool {
    use super::AtomicU32;

    // Not the seam's, neither the lock nor what it guards: a model's threads meet at the channels.
    #[cfg(not(any(loom, shuttle)))]
    use heddle_atomics::{Mutex, MutexGuard, PoisonError};
    #[cfg(any(loom, shuttle))]
    use std::sync::{Mutex, MutexGuard, PoisonError};

    struct Pool {
        all: Vec<&'static AtomicU32>,
        free: Vec<(u32, &'static AtomicU32)>,
    }

    static POOL: Mutex<Pool> = Mutex::new(Pool {
        all: Vec::new(),
        free: Vec::new(),
    });

    fn pool() -> MutexGuard<'static, Pool> {
        // Vectors of references are whole at any time: poison means nothing here.
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take() -> (u32, &'static AtomicU32) {
        if let Some(taken) = pool().free.pop() {
            return taken;
        }
        let events: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        let mut pool = pool();
        pool.all.push(events);
        let number = if cfg!(target_family = "wasm") {
            core::ptr::from_ref(events).expose_provenance()
        } else {
            // Not 0, and without the lowest bits, like an address.
            pool.all.len() * 4
        };
        let number = u32::try_from(number).expect("fewer than 2^30 threads select at once");
        (number, events)
    }

    pub(super) fn give(number: u32, events: &'static AtomicU32) {
        // A model's event counts belong to one run of it, so that none can be used again.
        if cfg!(not(any(loom, shuttle))) {
            pool().free.push((number, events));
        }
    }

    #[cfg(not(all(target_family = "wasm", not(any(loom, shuttle)))))]
    pub(super) fn find(number: u32) -> Option<&'static AtomicU32> {
        let index = (number as usize / 4).checked_sub(1)?;
        pool().all.get(index).copied()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::{bounded, layout::WATCHERS};
    use std::thread;

    /// The seventh select that waited for one side of a channel panicked, for a channel has places for six watchers.
    #[test]
    fn more_selects_than_places_are_served() {
        let (sender, receiver) = bounded::<u32>(8);
        let (_stops, stop) = bounded::<()>(1);
        let full = sealed::Sealed::operation(&receiver).side;
        let others: Vec<Watcher> = (1..=WATCHERS)
            .map(|number| full.announce_select(number * 4).unwrap())
            .collect();
        assert!(full.announce_select(4).is_none());
        let ready_timeout = |timeout| {
            let mut select = Select::new();
            select.recv(&stop);
            select.recv(&receiver);
            select.ready_timeout(timeout)
        };
        assert_eq!(ready_timeout(3 * LOOK_AGAIN), None);
        thread::scope(|scope| {
            let selecting: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        while ready_timeout(Duration::MAX) == Some(1) {
                            if receiver.try_recv().is_ok() {
                                return;
                            }
                        }
                        unreachable!("nobody stops it");
                    })
                })
                .collect();
            thread::sleep(3 * LOOK_AGAIN);
            // One finds a place meanwhile, and the others none.
            full.retire_select(others[0]);
            for _ in &selecting {
                sender.send(1).unwrap();
                thread::sleep(LOOK_AGAIN);
            }
        });
        others
            .into_iter()
            .for_each(|watcher| full.retire_select(watcher));
        assert!((0..WATCHERS).all(|number| full.announce_select(number * 4 + 4).is_some()));
    }
}
