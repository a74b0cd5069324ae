//! One lock over a whole channel, and those who wait for what it guards to change: of the broadcast and the watch channel,
//! whose messages everybody reads, so that a lock for each side would win nothing.
//!
//! An operation is an attempt under the lock. If it can't be done now, its thread sleeps until something changed, and
//! attempts again.
//!
//! # Invariants
//! 1. Nobody sleeps with the lock.
//! 2. A sleeper counts itself before the attempt that fails, and who changed something tells the counted ones afterwards
//!    (invariant 1 of `side.rs`).
//! 3. Whoever finds the lock poisoned repairs what its dead owner left, and goes on as if nothing had happened.
//!
//! # Fairness
//! That of the lock: none beyond the host's queue.
//!
//! # Source
//! Monitors: C. A. R. Hoare, "Monitors: An Operating System Structuring Concept" (1974); here the condition is signalled
//! after the lock was given back, and looked at again.

use crate::{
    protocol::{Patience, Refusal},
    side::Side,
};
use core::{fmt, ptr::NonNull};
use heddle_atomics::{
    Poisoned, RawMutex, registry,
    seam::{AtomicU32, Ordering},
};
use std::{
    alloc::{self, Layout},
    error::Error,
};

/// A channel under one lock.
pub(crate) trait Monitor {
    /// What the channel is called, in panics.
    const NAME: &'static str;

    fn lock(&self) -> &RawMutex;

    /// Makes whole what an owner that died in the lock left; called with the lock.
    fn repair(&self);

    /// Closes the channel if all who have ends of one side are dead.
    fn close_if_deserted(&self) -> bool;

    /// Does something with the lock.
    #[track_caller]
    fn with<R>(&self, action: impl FnOnce() -> R) -> R {
        if self.lock().lock_named(&Self::NAME) == Poisoned::Yes {
            self.repair();
            self.lock().clear_poison();
        }
        let _guard = Guard(self.lock());
        action()
    }

    /// Does something with the lock if nobody has it; `None` if somebody has.
    fn try_with<R>(&self, action: impl FnOnce() -> R) -> Option<R> {
        if self.lock().try_lock()? == Poisoned::Yes {
            self.repair();
            self.lock().clear_poison();
        }
        let _guard = Guard(self.lock());
        Some(action())
    }

    /// Attempts something with the lock until it isn't `NotNow`, as patient as the caller. `is_still` looks without the
    /// lock whether nothing has changed since.
    #[track_caller]
    fn perform<R>(
        &self,
        side: &Side,
        patience: Patience,
        mut attempt: impl FnMut() -> Result<R, Refusal>,
        is_still: impl Fn() -> bool,
    ) -> Result<R, Refusal> {
        match self.with(&mut attempt) {
            Err(Refusal::NotNow) => {}
            result => return result,
        }
        let Patience::Until(deadline) = patience else {
            return Err(Refusal::NotNow);
        };
        loop {
            // Invariant 2.
            let waiting = side.announce();
            match self.with(&mut attempt) {
                Err(Refusal::NotNow) => {}
                result => return result,
            }
            if self.close_if_deserted() {
                continue;
            }
            let should_wait = || is_still() && !self.close_if_deserted();
            if !waiting.sleep(deadline, Self::NAME, should_wait) {
                return Err(Refusal::TimedOut);
            }
        }
    }
}

/// [`Monitor::with`] as a task, which has the lock only while it runs.
pub(crate) async fn with_async<M: Monitor, R>(channel: &M, action: impl FnOnce() -> R) -> R {
    if channel.lock().lock_async().await == Poisoned::Yes {
        channel.repair();
        channel.lock().clear_poison();
    }
    let _guard = Guard(channel.lock());
    action()
}

/// [`Monitor::perform`] as a task, as patient as whoever polls it.
///
/// Dropped before it is ready, it has done nothing. Whoever changes such a channel tells everybody, so there is nothing to pass on.
pub(crate) async fn perform_async<M: Monitor, R>(
    channel: &M,
    side: &Side,
    mut attempt: impl FnMut() -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    match with_async(channel, &mut attempt).await {
        Err(Refusal::NotNow) => {}
        result => return result,
    }
    loop {
        // Before the looks: whoever dies after them has the wait end.
        let deaths = registry::deaths();
        // Invariant 2.
        let waiting = side.announce();
        match with_async(channel, &mut attempt).await {
            Err(Refusal::NotNow) => {}
            result => return result,
        }
        if !channel.close_if_deserted() {
            waiting.sleep_async(deaths).await;
        }
    }
}

/// Lets go of the lock, also where what was done under it panics.
struct Guard<'a>(&'a RawMutex);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: whoever made this value took the lock for this value.
        unsafe { self.0.unlock() };
    }
}

/// A number of 64 bits as two words, the lower one first, since JavaScript has no cheap ones of 64.
///
/// SeqCst throughout: written under the lock, and cursors are looked at without it by senders who are about to sleep
/// (invariant 2). A look that falls between the two words differs from the one before, and the sender looks again.
#[repr(C, align(8))]
pub(crate) struct Number([AtomicU32; 2]);

impl Number {
    pub(crate) fn new() -> Self {
        Self([AtomicU32::new(0), AtomicU32::new(0)])
    }

    pub(crate) fn get(&self) -> u64 {
        let [low, high] = &self.0;
        u64::from(low.load(Ordering::SeqCst)) | u64::from(high.load(Ordering::SeqCst)) << 32
    }

    pub(crate) fn set(&self, number: u64) {
        let [low, high] = &self.0;
        // The lower and the upper half.
        low.store(number as u32, Ordering::SeqCst);
        high.store((number >> 32) as u32, Ordering::SeqCst);
    }
}

/// Zeroed bytes for a record, aligned to a cache line.
pub(crate) struct Allocation {
    pub(crate) address: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the allocation belongs to this value alone, and the allocator takes it back on any thread.
unsafe impl Send for Allocation {}
// SAFETY: a shared reference gives the address only.
unsafe impl Sync for Allocation {}

impl Allocation {
    /// `size` is not 0.
    pub(crate) fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 64).expect("little more than 1 GiB");
        // SAFETY: the layout isn't empty, a record has a head.
        let pointer = unsafe { alloc::alloc_zeroed(layout) };
        let Some(address) = NonNull::new(pointer) else {
            alloc::handle_alloc_error(layout)
        };
        Self { address, layout }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`, and given back once.
        unsafe { alloc::dealloc(self.address.as_ptr(), self.layout) };
    }
}

/// Why there is no broadcast or watch channel at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The address is not a multiple of 8.
    Misaligned,
    /// There is no channel of that kind.
    NotAChannel,
    /// The channel was made by another version of the layout.
    Version {
        /// The channel's.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The channel is broken: it can't have so many bytes.
    Size(u32),
    /// A broadcast channel with back-pressure knows of so many receivers only.
    TooManyReceivers(usize),
    /// The message at which the receiver was to begin was not sent yet.
    NotSent(u64),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str("the address of a channel is a multiple of 8"),
            Self::NotAChannel => f.write_str("there is no channel of that kind at this address"),
            Self::Version { found, expected } => {
                write!(
                    f,
                    "the channel has layout {found}, this program has {expected}"
                )
            }
            Self::Size(size) => write!(f, "the channel is broken: it has {size} bytes"),
            Self::TooManyReceivers(max) => write!(
                f,
                "a broadcast channel with back-pressure has at most {max} open receivers"
            ),
            Self::NotSent(number) => write!(f, "message {number} was not sent yet"),
        }
    }
}

impl Error for OpenError {}
