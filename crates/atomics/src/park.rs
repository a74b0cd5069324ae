//! Waiting on a word with everything a lock owes its thread: a deadline, an entry in the registry so that a death is
//! noticed, and an answer on threads that may not block.

use crate::{
    clock::Instant,
    futex,
    registry::{self, WaitScope},
    seam::{AtomicU32, Ordering, spin_loop},
};
use core::time::Duration;

#[cfg(not(loom))]
use core::cell::Cell;

/// How long a thread that may not block spins on a lock before it panics.
pub const SPIN_LIMIT: Duration = Duration::from_millis(200);

#[cfg(not(loom))]
thread_local! {
    // In Wasm nobody but the host knows whether this is a browser's main thread, and a wait there is a trap.
    static MAY_BLOCK: Cell<bool> = const { Cell::new(cfg!(not(target_family = "wasm"))) };
}

/// Whether this thread may block.
///
/// Natively `true`. In Wasm `false` until whoever runs the thread has called [`set_may_block`].
#[inline]
pub fn may_block() -> bool {
    #[cfg(not(loom))]
    return MAY_BLOCK.get();
    #[cfg(loom)]
    return true;
}

/// Says whether this thread may block: `true` in workers, `false` on a browser's main thread.
pub fn set_may_block(may_block: bool) {
    #[cfg(not(loom))]
    MAY_BLOCK.set(may_block);
    #[cfg(loom)]
    assert!(
        may_block,
        "the model checker has only threads that may block"
    );
}

/// When a wait ends: never, or so long after its start.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// No deadline.
    pub const NEVER: Self = Self(None);

    /// `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        Self(Some((Instant::now(), timeout)))
    }

    /// What is left: `None` without a deadline, zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .map(|(start, timeout)| timeout.saturating_sub(start.elapsed()))
    }

    /// This deadline, or `limit` from now if that is sooner.
    pub(crate) fn at_most(&self, limit: Duration) -> Self {
        Self::after(
            self.remaining()
                .map_or(limit, |remaining| remaining.min(limit)),
        )
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the time is over.
    pub fn has_passed(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// The word changed, or somebody woke this thread, or nothing happened: look again.
    Look,
    /// The deadline passed without a wake.
    TimedOut,
}

/// Waits while `word` is `expected`.
///
/// `kind` is what the registry is told about the address ([`registry::WAITS`] and friends), `recheck` runs after the
/// registry was told and before the wait: `false` means don't wait. `name` says what is waited for, in the panic of
/// a thread that may not block.
///
/// # Panics
/// On a thread that may not block, when the word hasn't changed within [`SPIN_LIMIT`].
#[cold]
#[track_caller]
pub fn park(
    word: &AtomicU32,
    expected: u32,
    kind: u32,
    deadline: Deadline,
    recheck: impl FnOnce() -> bool,
    name: &dyn core::fmt::Display,
) -> Parked {
    let remaining = deadline.remaining();
    if remaining == Some(Duration::ZERO) {
        return Parked::TimedOut;
    }
    if !may_block() {
        if !recheck() {
            return Parked::Look;
        }
        return spin_instead(word, expected, remaining, name);
    }
    let scope = WaitScope::enter(word, kind);
    if scope.may_wait() && recheck() && !futex::wait(word, expected, remaining) {
        return Parked::TimedOut;
    }
    drop(scope);
    Parked::Look
}

/// What a thread that may not block does: spins with growing pauses, and gives up loudly.
#[cold]
#[track_caller]
fn spin_instead(
    word: &AtomicU32,
    expected: u32,
    remaining: Option<Duration>,
    name: &dyn core::fmt::Display,
) -> Parked {
    let start = Instant::now();
    let mut pause = 1;
    loop {
        for _ in 0..pause {
            spin_loop();
        }
        pause = (pause * 2).min(4096);
        // Acquire isn't needed: the caller looks again, with the ordering it needs.
        if word.load(Ordering::Relaxed) != expected {
            return Parked::Look;
        }
        let elapsed = start.elapsed();
        if remaining.is_some_and(|remaining| elapsed >= remaining) {
            return Parked::TimedOut;
        }
        assert!(
            elapsed < SPIN_LIMIT,
            "this thread may not block, and {name} at {word:p} kept it waiting for {} ms (word {expected:#010x}, \
             this thread's token {:#x}); use an asynchronous form here, or call heddle_atomics::set_may_block(true) \
             if this thread is a worker",
            SPIN_LIMIT.as_millis(),
            registry::current().bits(),
        );
    }
}
