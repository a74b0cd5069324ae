//! Waiting until a word says so, as a thread or as a task: the loops that the barrier, the latch, the wait group, the event,
//! the parker and the once share.
//!
//! Each of them is an *attempt*: a function that either succeeds or tells with which value of the word it failed. The word
//! is slept on with that value, so a change between the attempt and the sleep is seen; whoever makes an attempt possible
//! wakes the word.

use crate::{
    Deadline, Parked, futex, park,
    registry::{self, WAITS},
    seam::{AtomicU32, spin_loop},
    spin,
};

/// Waits until `attempt` succeeds; `None` if it didn't before `deadline`. `purpose` tells a list of the threads what the wait is for.
///
/// # Panics
/// On a thread that may not block, if the word doesn't change within [`SPIN_LIMIT`](crate::SPIN_LIMIT); `name` says what
/// was waited for.
#[track_caller]
pub(crate) fn wait_until<T>(
    word: &AtomicU32,
    purpose: u32,
    name: &'static str,
    deadline: Deadline,
    attempt: impl FnMut() -> Result<T, u32>,
) -> Option<T> {
    wait_until_with(word, WAITS | purpose, |_| true, name, deadline, attempt)
}

/// [`wait_until`] for a word that may have an owner: `kind` is what the registry is told about it, and `owner_lives` looks
/// at the value to sleep on after the registry was told.
#[track_caller]
pub(crate) fn wait_until_with<T>(
    word: &AtomicU32,
    kind: u32,
    owner_lives: impl Fn(u32) -> bool,
    name: &'static str,
    deadline: Deadline,
    mut attempt: impl FnMut() -> Result<T, u32>,
) -> Option<T> {
    let rounds = spin::rounds();
    for _ in 0..rounds {
        if let Ok(value) = attempt() {
            spin::learn(true);
            return Some(value);
        }
        spin_loop();
    }
    if rounds > 0 {
        spin::learn(false);
    }
    loop {
        let expected = match attempt() {
            Ok(value) => return Some(value),
            Err(expected) => expected,
        };
        let parked = park(
            word,
            expected,
            kind,
            deadline,
            || owner_lives(expected),
            &name,
        );
        if parked == Parked::TimedOut {
            // It may have become possible at the last moment.
            return attempt().ok();
        }
    }
}

/// Waits until `attempt` succeeds, as a task: the future is ready then. Dropped before, it passes a wake-up on that it was given.
pub(crate) async fn wait_until_async<T>(
    word: &AtomicU32,
    mut attempt: impl FnMut() -> Result<T, u32>,
) -> T {
    loop {
        // Before the attempt: whoever dies after it has the wait end.
        let deaths = registry::deaths();
        match attempt() {
            Ok(value) => return value,
            Err(expected) => _ = futex::wait_async(word, expected, deaths, None).await,
        }
    }
}
