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

/// Sleeps while `word` is `expected`, until a [`wake`] of the word or until `timeout` has passed.
///
/// Returns `false` only if the time ran out without a wake. The thread must be one that may block
/// ([`may_block`](crate::may_block)): in Wasm the engine traps otherwise.
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    imp::wait(word, expected, timeout)
}

/// Wakes up to `count` of those who wait on `word`, the longest sleeper first where the host keeps an order.
///
/// Returns how many were woken; hosts that can't tell return 0.
#[inline]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    imp::wake(word, count)
}

/// Wakes everybody who waits on `word`.
#[inline]
pub fn wake_all(word: &AtomicU32) -> u32 {
    imp::wake(word, u32::MAX)
}

/// [`wake`] by address.
///
/// The word need not exist any more: an address is all that is looked at.
#[inline]
pub(crate) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    imp::wake_address(address, count)
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
        behaves(fallback::wait, fallback::wake);
    }
}
