//! Running a model through many interleavings.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::sync::{self, Fault};

/// A change of place at so many points finds nearly all defects (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of
/// Finding Bugs", 2010).
const DEPTH: usize = 3;

/// What a thread of a model needs: Arrow's kernels are in it.
const STACK_SIZE: usize = 256 << 10;

/// More steps than any model takes: beyond, its threads go round in circles.
const STEPS_MAX: usize = 100_000;

/// All models go through so many times their schedules in a minute, about.
const RUNS_PER_MINUTE: usize = 4;

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    config
}

fn setting(name: &str) -> Option<u64> {
    let setting = std::env::var(name).ok()?;
    Some(
        setting
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Runs a model so many times, half of them with any thread going on at each point, half with few changes at bad moments.
pub fn check<M: Fn() + Clone + Send + Sync + 'static>(runs: usize, model: M) {
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0) as usize;
    run(runs * (1 + RUNS_PER_MINUTE * minutes), model);
}

/// Runs what one thread does so many times, with other random numbers each time.
pub fn check_alone<M: Fn() + Clone + Send + Sync + 'static>(runs: usize, model: M) {
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    Runner::new(RandomScheduler::new_from_seed(seed, runs), config()).run(model);
}

fn run<M: Fn() + Clone + Send + Sync + 'static>(runs: usize, model: M) {
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let fresh = move || {
        sync::shared::reset();
        model();
    };
    let random = RandomScheduler::new_from_seed(seed, runs / 2);
    Runner::new(random, config()).run(fresh.clone());
    let few = PctScheduler::new_from_seed(seed, DEPTH, runs / 2);
    Runner::new(few, config()).run(fresh);
}

/// Shows that a fault is found, and how: `expected` is in the failure's text.
pub fn finds<M: Fn() + Clone + Send + Sync + 'static>(
    runs: usize,
    fault: Option<Fault>,
    expected: &str,
    model: M,
) {
    let attempt = || sync::with_fault(fault, || run(runs, model));
    let Err(payload) = catch_unwind(AssertUnwindSafe(attempt)) else {
        panic!("no schedule of {runs} found the fault that was put in");
    };
    let found = text(&*payload);
    assert!(found.contains(expected), "found something else: {found}");
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
}
