//! The store against a plain model: random histories of four connections – reads by every access path, writes, transactions with
//! savepoints, moves into Tonbo, flushes, imports, changes of the schema under open transactions, reopening, losses of power – in which every
//! answer, every error and every count of changes must be what the model says, each transaction at its own snapshot.
//!
//! One thread runs all connections in turn and the store has no thread of its own, so a seed replays exactly. A failure prints its
//! seed: `HEDDLE_SEED=7 cargo test -p heddle-store --test store_model` runs that history alone. `HEDDLE_LONG_MINUTES` makes the test go on
//! for so long, from that seed or a random one.

mod engine;
mod model;
mod random;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::canary::Canary;
use model::history::History;

/// Histories of the short form, and operations of each.
const HISTORIES: u64 = 23;
const OPERATIONS: u64 = 4_500;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {value}"))
    })
}

fn run(seed: u64) {
    let mut history = History::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| history.run(OPERATIONS)));
    if outcome.is_err() {
        panic!(
            "seed {seed} failed at operation {}; before it:\n{}",
            history.operation,
            history.tail()
        );
    }
}

#[test]
fn every_answer_is_the_models() {
    let seed = number("HEDDLE_SEED");
    if let Some(minutes) = env::var("HEDDLE_LONG_MINUTES")
        .ok()
        .and_then(|minutes| minutes.parse::<f64>().ok())
    {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let first = seed.unwrap_or_else(|| clock().as_nanos() as u64);
        let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
        let mut next = first;
        while Instant::now() < end {
            run(next);
            next = next.wrapping_add(1);
        }
        println!("{} histories from seed {first}", next.wrapping_sub(first));
    } else if let Some(seed) = seed {
        run(seed);
    } else {
        (1..=HISTORIES).for_each(run);
    }
}

/// A check that can't fail proves nothing: a store that does one thing wrong, once, must be caught.
#[test]
fn a_fault_is_caught() {
    for canary in Canary::ALL {
        let caught = (1..=3).any(|seed| {
            let mut history = History::new(seed);
            history.canary = Some(canary);
            catch_unwind(AssertUnwindSafe(|| history.run(OPERATIONS))).is_err()
        });
        assert!(caught, "{canary:?} went unnoticed");
    }
}
