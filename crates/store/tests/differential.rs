//! The same statements on Tonbo tables, on ordinary tables of ours, and in native SQLite: the same rows, changes, errors and tables.
//!
//! What a seed makes – tables of every kind of key, rows of odd values, queries and writes – runs on all three, and between the statements
//! the Tonbo tables' changes are moved into Tonbo, flushed, compacted and reopened, with chunks of a few rows and a cache of a few bytes.
//! Nothing runs in the background, so that a seed repeats. What is known to differ, and why, is in `docs/sql.md`; the generator avoids just
//! that.
//!
//! Four threads do the same at once: see `compare/threads.rs`.
//!
//! A failure prints its seed and the few steps that it takes. `HEDDLE_SEED=7 cargo test -p heddle-store --test differential` replays it;
//! `HEDDLE_LONG_MINUTES` makes the run longer.

mod compare;
mod engine;
mod generator;
mod random;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use compare::episode::{Episode, populate, run_seed, small_steps};
use compare::shrink::shrink;
use compare::threads;
use compare::world::Step;
use generator::Statement;
use heddle_store::store::StoreOptions;
use random::Random;

/// Statements of a default run, all seeds together.
const STATEMENTS: u64 = 20_000;

/// Seeds of a default run that four threads share.
const CROWDS: u64 = 6;

/// The canary: a comparison that finds nothing wrong would pass with everything wrong.
#[test]
fn a_difference_is_found_and_told_with_few_steps() {
    let mut random = Random(7);
    let mut episode = Episode::new(StoreOptions::default());
    let tables = populate(&mut episode, &mut random);
    let run = |sql: &str, writes: bool| {
        Step::Run(Statement {
            writes: writes.then(|| "p".to_owned()),
            ..Statement::new(sql)
        })
    };
    small_steps(&mut episode, &mut random, &tables, &AtomicBool::new(false));
    assert_eq!(episode.failure, None);
    if episode.world.is_open() {
        episode.step(run("ROLLBACK", false));
    }
    episode.step(run(
        "INSERT OR REPLACE INTO p VALUES (1000, 'here', 1, NULL)",
        true,
    ));
    episode.step(Step::Spoil("DELETE FROM p WHERE c0 = 1000"));
    episode.step(run("SELECT c1 FROM p WHERE c0 = 1000", false));
    let failure = episode.failure.take().unwrap();
    assert!(failure.starts_with("other rows"), "{failure}");
    let (steps, failure) = shrink(&episode.options, episode.steps, failure);
    assert!(failure.starts_with("other rows"), "{failure}");
    let others = steps.iter().filter(|step| !matches!(step, Step::Make(_)));
    assert_eq!(
        others.count(),
        3,
        "the row, its loss, and the query: {steps:?}"
    );
}

/// What the environment asks for: the first seed, and how long to go on.
fn wishes() -> (u64, Option<Duration>) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<f64>().ok();
    let seed = std::env::var("HEDDLE_SEED").ok();
    let minutes = number("HEDDLE_LONG_MINUTES");
    (
        seed.and_then(|seed| seed.parse().ok()).unwrap_or(1),
        minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes)),
    )
}

/// Readers and writers at once get native SQLite's answers, each of them.
#[test]
fn four_threads_do_the_same_as_sqlite_alone() {
    let (base, long) = wishes();
    let start = Instant::now();
    let (mut statements, mut seeds) = (0, 0);
    while seeds < CROWDS || long.is_some_and(|time| start.elapsed() < time) {
        let seed = base.wrapping_add(seeds);
        statements += threads::run_seed(seed)
            .unwrap_or_else(|failure| panic!("HEDDLE_SEED={seed} fails: {failure}"));
        seeds += 1;
    }
    println!(
        "{statements} statements of {seeds} seeds in {:?}",
        start.elapsed()
    );
}

/// The canary of four threads: what one of them is told wrongly is found, and so is a row that nobody wrote.
#[test]
fn a_difference_on_four_threads_is_found() {
    let spoil = "UPDATE shared SET c1 = 999, c2 = 'stray'";
    let mut crowd = threads::Crowd::new(7).unwrap();
    crowd.read().unwrap();
    crowd.world.apply(&Step::Spoil(spoil)).unwrap();
    let failure = crowd.read().unwrap_err();
    assert!(failure.contains("other rows"), "{failure}");

    let mut crowd = threads::Crowd::new(8).unwrap();
    // A key that no writer has.
    let stray = "INSERT INTO shared VALUES (100000, 0, 'stray')";
    crowd.world.apply(&Step::Spoil(stray)).unwrap();
    let failure = crowd.write().unwrap_err();
    assert!(failure.contains("in the end"), "{failure}");
}

/// What the seeds make, on two threads, until there are statements enough.
#[test]
fn generated_statements_do_the_same_on_tonbo_tables_and_in_sqlite() {
    let (base, long) = wishes();
    let start = Instant::now();
    let (next, statements, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let is_enough = || match long {
        Some(time) => start.elapsed() >= time,
        // Relaxed, here and below: counts of their own, read for certain after the threads have been joined.
        None => statements.load(Ordering::Relaxed) >= STATEMENTS,
    };
    let work = || {
        while !is_enough() && !stop.load(Ordering::Relaxed) {
            let seed = base.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
            match std::panic::catch_unwind(|| run_seed(seed, &stop)) {
                Ok(Ok(count)) => {
                    statements.fetch_add(count, Ordering::Relaxed);
                }
                Ok(Err(failure)) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some(failure);
                }
                Err(_) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some(format!("HEDDLE_SEED={seed} panics"));
                }
            }
        }
        None
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!(
        "{} statements of {} seeds in {:?}",
        statements.load(Ordering::Relaxed),
        next.load(Ordering::Relaxed),
        start.elapsed()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
