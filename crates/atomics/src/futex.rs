//! Sleeping until a word changes, and waking those who sleep.
//!
//! [`wait`] and [`wake`] are all that the locks need from the host. A wait compares and falls asleep as one step with
//! respect to wakes of the same word, so a change made before a [`wake`] is either seen by the compare or wakes the
//! sleeper. A wait may also return for no reason: callers look at the word again.
//!
//! | target | by |
//! |---|---|
//! | Wasm with atomics | `memory.atomic.wait32` / `memory.atomic.notify` |
//! | Linux | the system call `futex` |
//! | other | a table of parked threads (`fallback`) |
//! | the model checkers | the same table over their locks |
//!
//! A task waits too (`wait_async`), and any wake of the word reaches it:
//!
//! | target | by |
//! |---|---|
//! | Wasm with atomics | JavaScript's `Atomics.waitAsync`, so that TypeScript's wakes are heard (`promises`) |
//! | native | a table of tasks (`tasks`) |

use crate::seam::AtomicU32;
use core::time::Duration;

#[cfg_attr(target_arch = "wasm32", path = "futex/wasm.rs")]
#[cfg_attr(
    all(
        not(target_arch = "wasm32"),
        target_os = "linux",
        not(any(loom, shuttle))
    ),
    path = "futex/linux.rs"
)]
#[cfg_attr(
    all(
        not(target_arch = "wasm32"),
        any(not(target_os = "linux"), loom, shuttle)
    ),
    path = "futex/fallback.rs"
)]
mod imp;

// The table is compiled for the tests everywhere, so that a Linux machine tests what other hosts run.
#[cfg(all(test, target_os = "linux", not(any(loom, shuttle))))]
mod fallback;

#[cfg_attr(target_arch = "wasm32", path = "futex/promises.rs")]
mod tasks;
pub use tasks::WaitFuture;

/// Sleeps while `word` is `expected`, until a [`wake`] of the word or until `timeout` has passed.
///
/// Returns `false` only if the time ran out without a wake. The thread must be one that may block
/// ([`may_block`](crate::may_block)): in Wasm the engine traps otherwise.
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    #[cfg(target_arch = "wasm32")]
    tasks::leave_queues();
    imp::wait(word, expected, timeout)
}

/// Wakes up to `count` of those who wait on `word`, the longest sleeper first where the host keeps an order.
///
/// Natively up to `count` tasks are woken beside as many threads: a task may be long in coming.
///
/// Returns how many were woken; hosts that can't tell return 0.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    wake_address(word, count)
}

/// Wakes everybody who waits on `word`.
#[inline]
pub fn wake_all(word: &AtomicU32) -> u32 {
    wake_address(word, u32::MAX)
}

/// [`wake`] by address.
///
/// The word need not exist any more: an address is all that is looked at.
#[inline]
pub(crate) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    imp::wake_address(address, count).saturating_add(wake_tasks(address, count))
}

#[cfg(not(any(target_arch = "wasm32", loom)))]
use tasks::wake as wake_tasks;

/// In Wasm tasks are in the host's queue. Loom's models of the locks have none, and are spared the look; `tasks` has its own.
#[cfg(any(target_arch = "wasm32", loom))]
#[inline]
fn wake_tasks(_address: *const AtomicU32, _count: u32) -> u32 {
    0
}

/// Waits as a task while `word` is `expected`, until a wake of the word or until a thread has died.
///
/// `deaths` is what [`registry::deaths`](crate::registry::deaths) said before the caller looked: the dead may have owed us a
/// wake-up. Where the host has timers the wait ends after `limit`, too, and gives `false`. The future may be ready for no reason:
/// callers look again. Dropped before it is ready, it passes a wake-up on that it was given.
#[doc(hidden)]
pub fn wait_async(
    word: &AtomicU32,
    expected: u32,
    deaths: u32,
    limit: Option<Duration>,
) -> WaitFuture<'_> {
    WaitFuture::new(word, expected, deaths, limit)
}

/// What a reaper does for tasks, of which it knows nothing: they look after each death themselves.
pub(crate) fn wake_after_death(deaths: &AtomicU32) {
    wake_all(deaths);
    #[cfg(not(any(target_arch = "wasm32", loom)))]
    tasks::wake_everybody();
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::seam::Ordering;
    use std::{sync::Arc, thread, time::Instant};

    type Wait = fn(&AtomicU32, u32, Option<Duration>) -> bool;
    type Wake = fn(&AtomicU32, u32) -> u32;

    fn behaves(wait: Wait, wake: Wake) {
        let word = Arc::new(AtomicU32::new(0));

        // Another value: no sleep.
        assert!(wait(&word, 1, None));
        // The time runs out.
        let start = Instant::now();
        assert!(!wait(&word, 0, Some(Duration::from_millis(10))));
        assert!(start.elapsed() >= Duration::from_millis(10));
        // Nobody to wake.
        assert_eq!(wake(&word, 1), 0);

        // A wake reaches every sleeper, also with a timeout that never comes.
        let sleepers: Vec<_> = [None, Some(Duration::MAX), Some(Duration::from_secs(1000))]
            .into_iter()
            .map(|timeout| {
                let word = Arc::clone(&word);
                thread::spawn(move || {
                    while word.load(Ordering::Acquire) == 0 {
                        assert!(wait(&word, 0, timeout));
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        word.store(1, Ordering::Release);
        wake(&word, u32::MAX);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    }

    #[test]
    fn the_hosts_futex_behaves() {
        behaves(wait, wake);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_fallback_behaves() {
        behaves(fallback::wait, |word, count| {
            fallback::wake_address(word, count)
        });
    }
}
