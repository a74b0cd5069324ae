//! How long to spin before sleeping, learned by each thread.
//!
//! Spinning saves a sleep of tens of microseconds when the owner is about to let go, and only burns the owner's own
//! processor when there are more threads than processors. So each thread keeps a budget: it grows when spinning got
//! the lock, halves when it didn't, and is 0 when it fell below [`BUDGET_MIN`]; then one wait in [`PROBE_INTERVAL`]
//! tries a little, to notice better times.

use crate::seam::{AtomicU32, Ordering, spin_loop};
#[cfg(not(any(loom, shuttle)))]
use core::cell::Cell;

/// The most rounds that one wait spins.
#[cfg(not(any(loom, shuttle)))]
const BUDGET_MAX: u32 = 160;
/// Below this, spinning isn't worth its start.
#[cfg(not(any(loom, shuttle)))]
const BUDGET_MIN: u32 = 8;
/// With an empty budget, one wait in so many spins.
#[cfg(not(any(loom, shuttle)))]
const PROBE_INTERVAL: u32 = 64;
#[cfg(not(any(loom, shuttle)))]
const PROBE_ROUNDS: u32 = 24;
/// The longest that a batch is waited for, in rounds.
#[cfg(not(any(loom, shuttle)))]
const LINGER_MAX: u32 = 128;
/// Where no batches came lately, one wait in so many looks for one.
#[cfg(not(any(loom, shuttle)))]
const LINGER_PROBE_INTERVAL: u32 = 16;

#[cfg(not(any(loom, shuttle)))]
thread_local! {
    static BUDGET: Cell<u32> = const { Cell::new(100) };
    static WAITS_WITHOUT_SPIN: Cell<u32> = const { Cell::new(0) };
    static LINGER: Cell<u32> = const { Cell::new(1) };
    static WAITS_WITHOUT_LINGER: Cell<u32> = const { Cell::new(0) };
}

/// Spins a little while `word` is `expected`, as long as that has been worth it lately. `true` if it changed.
pub fn spin_while(word: &AtomicU32, expected: u32) -> bool {
    let rounds = rounds();
    for _ in 0..rounds {
        spin_loop();
        // Relaxed: the caller looks again, with the ordering it needs.
        if word.load(Ordering::Relaxed) != expected {
            learn(true);
            return true;
        }
    }
    if rounds > 0 {
        learn(false);
    }
    false
}

/// As [`spin_while`], for a word that counts what another thread makes: once it has changed, this gives it some time for more, as long as
/// more came lately.
///
/// What is passed on one at a time takes the time that cache lines need to go to and fro, which is many times what it takes to make one;
/// several at a time cost no more than one. Who waits for a single answer finds no more, and doesn't linger. In Wasm, which has no
/// instruction for a pause, nobody does.
pub fn spin_for_batch(word: &AtomicU32, expected: u32) -> bool {
    let has_changed = spin_while(word, expected);
    #[cfg(not(any(loom, shuttle)))]
    if has_changed {
        linger(word);
    }
    has_changed
}

#[cfg(not(any(loom, shuttle)))]
fn linger(word: &AtomicU32) {
    let mut rounds = LINGER.get();
    if rounds == 0 {
        let waits = WAITS_WITHOUT_LINGER.get() + 1;
        WAITS_WITHOUT_LINGER.set(waits % LINGER_PROBE_INTERVAL);
        if waits < LINGER_PROBE_INTERVAL {
            return;
        }
        rounds = 1;
    }
    let seen = word.load(Ordering::Relaxed);
    (0..rounds).for_each(|_| spin_loop());
    let has_more = word.load(Ordering::Relaxed) != seen;
    LINGER.set(if has_more {
        LINGER_MAX.min(rounds * 2)
    } else {
        rounds / 2
    });
}

/// The rounds this wait may spin.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn rounds() -> u32 {
    let budget = BUDGET.get();
    if budget > 0 {
        return budget;
    }
    let waits = WAITS_WITHOUT_SPIN.get() + 1;
    WAITS_WITHOUT_SPIN.set(waits % PROBE_INTERVAL);
    if waits == PROBE_INTERVAL {
        PROBE_ROUNDS
    } else {
        0
    }
}

/// Tells whether the spinning of a wait was worth it.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn learn(was_worth_it: bool) {
    let budget = BUDGET.get();
    BUDGET.set(if was_worth_it {
        (budget + budget / 4 + PROBE_ROUNDS).min(BUDGET_MAX)
    } else if budget / 2 < BUDGET_MIN {
        0
    } else {
        budget / 2
    });
}

/// Under loom nothing is gained by spinning, and once is enough for a random model.
#[cfg(any(loom, shuttle))]
pub(crate) fn rounds() -> u32 {
    u32::from(cfg!(shuttle))
}

#[cfg(any(loom, shuttle))]
pub(crate) fn learn(_was_worth_it: bool) {}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn failures_switch_spinning_off_and_a_success_brings_it_back() {
        std::thread::spawn(|| {
            for _ in 0..8 {
                learn(false);
            }
            let spun: u32 = (0..PROBE_INTERVAL).map(|_| rounds()).sum();
            assert_eq!(spun, PROBE_ROUNDS, "one wait in {PROBE_INTERVAL} probes");
            learn(true);
            assert!(rounds() >= PROBE_ROUNDS);
            for _ in 0..100 {
                learn(true);
            }
            assert_eq!(rounds(), BUDGET_MAX);
        })
        .join()
        .unwrap();
    }
}
