//! An event: something that has happened or not, and threads that wait for it.
//!
//! It promises: setting a *manual* event lets everybody through who waits then, also if it is reset at once, and everybody who
//! comes until it is reset; each setting of an *auto* event that isn't set lets exactly one through, who resets it. Who gets
//! through sees what was done before the setting.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `word`, bit 0 | the event is set |
//! | `word`, bits 1–31 | the epoch: how often it was set |
//! | `waiters` | how many have announced themselves; 0 spares the setter the call to the host |
//! | `mode` | `EVENT_MANUAL` or `EVENT_AUTO` |
//!
//! # Invariants
//! 1. A waiter counts itself before its last look at `word`; a setter sets `word` before it looks at `waiters`. Either the waiter
//!    sees the event set or the setter sees the waiter.
//! 2. A waiter of a manual event goes on when the event is set or the epoch isn't the one it came in.
//!
//! # Fairness
//! None beyond the host's queue: who comes while an auto event is set gets through, also before somebody just woken.
//!
//! # Threads that die
//! Nobody owns an event. A wake-up that a dead waiter may have swallowed is passed on when it is reaped.
//!
//! # Memory orderings
//! Setting is `Release`, getting through `Acquire`, a pair on `word`. Invariant 1 is a store followed by a load of another word
//! on both sides, so those four are SeqCst.
//!
//! # Source
//! The events of Windows and .NET.

use crate::{
    Deadline, futex,
    layout::{EVENT_AUTO, EVENT_EPOCH, EVENT_MANUAL, EVENT_SET, WAITING_FOR_EVENT},
    seam::{AtomicU32, Ordering, seqcst_order},
    waiting::{wait_until, wait_until_async},
};
use core::{fmt, time::Duration};

/// Something that has happened or not; the record `Event` of `docs/layout.md`.
///
/// ```
/// use heddle_atomics::Event;
/// use std::thread;
///
/// let opened = Event::manual_reset();
/// thread::scope(|scope| {
///     scope.spawn(|| opened.wait());
///     scope.spawn(|| opened.wait());
///     opened.set();
/// });
/// assert!(opened.is_set());
///
/// let ticket = Event::auto_reset();
/// ticket.set();
/// assert!(ticket.try_wait());
/// assert!(!ticket.try_wait());
/// ```
#[repr(C)]
pub struct Event {
    word: AtomicU32,
    waiters: AtomicU32,
    mode: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::event;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Event, word) == event::WORD);
    assert!(offset_of!(Event, waiters) == event::WAITERS);
    assert!(offset_of!(Event, mode) == event::MODE);
    assert!(size_of::<Event>() == event::SIZE);
    assert!(align_of::<Event>() == event::ALIGN);
};

impl Event {
    const_unless_loom! {
        fn new(mode: u32) -> Self {
            Self {
                word: AtomicU32::new(0),
                waiters: AtomicU32::new(0),
                mode: AtomicU32::new(mode),
            }
        }
    }

    const_unless_loom! {
        /// One that, once set, stays so until somebody resets it.
        #[must_use]
        pub fn manual_reset() -> Self {
            Self::new(EVENT_MANUAL)
        }
    }

    const_unless_loom! {
        /// One that whoever gets through resets.
        #[must_use]
        pub fn auto_reset() -> Self {
            Self::new(EVENT_AUTO)
        }
    }

    /// Sets the event and wakes those that it lets through. `false` if it was set already.
    pub fn set(&self) -> bool {
        // Acquire isn't needed: what earlier setters published stays published (the words between are all read-modify-writes).
        let mut word = self.word.load(Ordering::SeqCst);
        loop {
            if word & EVENT_SET != 0 {
                return false;
            }
            // Release: publishes what was done before to the Acquire of those who get through. SeqCst: invariant 1.
            match self.word.compare_exchange_weak(
                word,
                word.wrapping_add(EVENT_EPOCH) | EVENT_SET,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        seqcst_order();
        // SeqCst: invariant 1.
        if self.waiters.load(Ordering::SeqCst) != 0 {
            if self.is_auto() {
                futex::wake(&self.word, 1);
            } else {
                futex::wake_all(&self.word);
            }
        }
        true
    }

    /// Takes the setting back; whether it was set. Who has got through is through.
    pub fn reset(&self) -> bool {
        // Relaxed: publishes nothing.
        self.word.fetch_and(!EVENT_SET, Ordering::Relaxed) & EVENT_SET != 0
    }

    /// Whether the event is set; of the past as soon as it is known.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // Acquire: sees what the Release of `set` publishes.
        self.word.load(Ordering::Acquire) & EVENT_SET != 0
    }

    /// Whether whoever gets through resets the event.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        // Relaxed: it never changes.
        self.mode.load(Ordering::Relaxed) == EVENT_AUTO
    }

    /// Gets through if that is possible without waiting; resets an auto event.
    #[inline]
    #[must_use]
    pub fn try_wait(&self) -> bool {
        self.attempt(None).is_ok()
    }

    /// Waits until the event lets this thread through.
    ///
    /// # Panics
    /// If the thread may not block and that takes longer than [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        self.wait_before(Deadline::NEVER);
    }

    /// Waits until the event lets this thread through, for at most `timeout`; whether it did.
    ///
    /// # Panics
    /// As [`Event::wait`].
    #[inline]
    #[track_caller]
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_before(Deadline::after(timeout))
    }

    /// Waits until the event lets this task through, from when the future is polled first.
    ///
    /// Dropped before it is ready, it has not got through: what an auto event was set for is there for another one.
    pub async fn wait_async(&self) {
        if let Err(word) = self.attempt(None) {
            let epoch = word & !EVENT_SET;
            let _waiter = self.count_in();
            wait_until_async(&self.word, || self.attempt(Some(epoch))).await;
        }
    }

    #[track_caller]
    fn wait_before(&self, deadline: Deadline) -> bool {
        match self.attempt(None) {
            Ok(()) => true,
            Err(word) => self.wait_contended(word & !EVENT_SET, deadline),
        }
    }

    #[cold]
    #[track_caller]
    fn wait_contended(&self, epoch: u32, deadline: Deadline) -> bool {
        let _waiter = self.count_in();
        wait_until(&self.word, WAITING_FOR_EVENT, "an event", deadline, || {
            self.attempt(Some(epoch))
        })
        .is_some()
    }

    /// Announces a waiter. The guard counts it out again, also when the wait panics or is given up.
    fn count_in(&self) -> Waiter<'_> {
        // SeqCst: invariant 1.
        self.waiters.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        Waiter(self)
    }

    /// Gets through, or tells why not. `epoch` is the one that a waiter came in.
    fn attempt(&self, epoch: Option<u32>) -> Result<(), u32> {
        // Acquire: sees what the Release of `set` publishes. SeqCst: invariant 1.
        let mut word = self.word.load(Ordering::SeqCst);
        if !self.is_auto() {
            // Invariant 2.
            let is_through =
                word & EVENT_SET != 0 || epoch.is_some_and(|epoch| epoch != word & !EVENT_SET);
            return if is_through { Ok(()) } else { Err(word) };
        }
        while word & EVENT_SET != 0 {
            match self.word.compare_exchange_weak(
                word,
                word & !EVENT_SET,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }
}

/// Counts a waiter out again.
struct Waiter<'a>(&'a Event);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .field("is_auto", &self.is_auto())
            .finish_non_exhaustive()
    }
}
