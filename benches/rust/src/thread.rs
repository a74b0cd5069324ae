//! Threads: spawning, computing side by side, sorting with rayon, allocating.

mod allocate;
mod parallel;

use crate::clock;
use crate::round::{Measurement, Quantiles, Request};
use std::time::Duration;

/// How long the pool lies idle before a spawn of `spawn-join-idle2ms`.
const IDLE: Duration = Duration::from_millis(2);

pub(crate) fn measure(request: &Request) -> Option<Measurement> {
    let count = request.count;
    match (request.subject.as_str(), request.case.as_str()) {
        ("heddle-rust", "spawn-join-busy") => Some(spawn_join(count, None, heddle)),
        ("heddle-rust", "spawn-join-idle2ms") => Some(spawn_join(count, Some(IDLE), heddle)),
        #[cfg(not(target_arch = "wasm32"))]
        ("std-native", "spawn-join-busy") => Some(spawn_join(count, None, native)),
        #[cfg(not(target_arch = "wasm32"))]
        ("std-native", "spawn-join-idle2ms") => Some(spawn_join(count, Some(IDLE), native)),
        ("heddle-rust" | "std-native", "parallel-sum-1") => Some(parallel::sum(1, count)),
        ("heddle-rust" | "std-native", "parallel-sum-2") => Some(parallel::sum(2, count)),
        ("heddle-rust" | "rayon-native", "sort-10M") => Some(parallel::sort(count)),
        (subject, case) => allocate::measure(subject, case, count),
    }
}

fn heddle(n: usize) -> usize {
    heddle_thread::spawn(move || n).join().expect("no panic")
}

#[cfg(not(target_arch = "wasm32"))]
fn native(n: usize) -> usize {
    std::thread::spawn(move || n).join().expect("no panic")
}

/// Spawns and joins one thread after the other; each is timed.
fn spawn_join(count: usize, idle: Option<Duration>, run: impl Fn(usize) -> usize) -> Measurement {
    let start = clock::now();
    let samples = (0..count).map(|n| {
        if let Some(idle) = idle {
            heddle_thread::sleep(idle);
        }
        let start = clock::now();
        assert_eq!(run(n), n, "join gives what the thread returned");
        clock::now().saturating_sub(start)
    });
    let quantiles = Quantiles::of(samples.collect());
    Measurement {
        elapsed: clock::now().saturating_sub(start),
        quantiles,
    }
}
