//! Running a model of locks or channels through many interleavings, under shuttle.
//!
//! Half of the runs let any thread go on at each point; the other half change threads at few points, the bad moments of
//! Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (2010). All of it follows
//! from one seed: `HEDDLE_SEED`, which a failure prints. `HEDDLE_LONG_MINUTES` makes the runs more.

use super::model::Fault;
use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// So many changes at bad moments find nearly all defects.
const DEPTH: usize = 3;

/// What a thread of a model needs: the registry is made on its stack.
const STACK_SIZE: usize = 128 << 10;

/// More steps than any model takes: beyond, its threads go round in circles.
const STEPS_MAX: usize = 200_000;

/// All models of a crate go through so many times their runs in a minute, about.
const RUNS_PER_MINUTE: usize = 10;

/// Faults are looked for from one seed only: with another, what a fault does first may be a panic while a panic unwinds, which ends the process.
const SEED: u64 = 1;

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Runs a model so many times.
///
/// # Panics
/// If a run of it panics, has all its threads wait for ever, or doesn't end.
pub fn check(runs: usize, model: impl Fn() + Clone + Send + Sync + 'static) {
    let minutes = setting("HEDDLE_LONG_MINUTES", 0) as usize;
    let seed = setting("HEDDLE_SEED", SEED);
    let attempt = || run(seed, runs * (1 + RUNS_PER_MINUTE * minutes), model);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(attempt)) {
        eprintln!("HEDDLE_SEED={seed} has this failure again");
        resume_unwind(payload);
    }
}

/// Shows that a model finds `fault`, with `expected` in what it says.
///
/// # Panics
/// If no run of so many fails, or one fails with something else.
pub fn finds(
    fault: Fault,
    expected: &str,
    runs: usize,
    model: impl Fn() + Clone + Send + Sync + 'static,
) {
    let found = failure(|| fault.within(|| run(SEED, runs, model)));
    assert_found(found, expected, runs);
}

/// Shows that a model of something broken fails, with `expected` in what it says.
///
/// # Panics
/// As [`finds`].
pub fn fails(expected: &str, runs: usize, model: impl Fn() + Clone + Send + Sync + 'static) {
    let found = failure(|| run(SEED, runs, model));
    assert_found(found, expected, runs);
}

fn run(seed: u64, runs: usize, model: impl Fn() + Clone + Send + Sync + 'static) {
    let random = RandomScheduler::new_from_seed(seed, runs / 2);
    Runner::new(random, config()).run(model.clone());
    let few = PctScheduler::new_from_seed(seed, DEPTH, runs / 2);
    Runner::new(few, config()).run(model);
}

/// What `f` panics with.
fn failure(f: impl FnOnce()) -> Option<Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(f)).err()
}

#[track_caller]
fn assert_found(found: Option<Box<dyn Any + Send>>, expected: &str, runs: usize) {
    let Some(payload) = found else {
        panic!("no run of {runs} found what is wrong");
    };
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    assert!(text.contains(expected), "found something else: {text}");
}
