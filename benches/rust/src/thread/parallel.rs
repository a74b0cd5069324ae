//! Work that is shared out to threads.

use crate::clock;
use crate::round::{Measurement, Part, time_together};
use rayon::slice::ParallelSliceMut;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;

/// A generator of numbers, whose every step needs the one before: nothing to vectorise, nothing in memory.
struct Steps(u64);

impl Iterator for Steps {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0)
    }
}

/// `count` steps on so many threads.
pub(super) fn sum(threads: usize, count: usize) -> Measurement {
    let share = count / threads;
    let parts = (0..threads).map(|seed| {
        let part: Part = Box::new(move || {
            Steps(seed as u64 + 1)
                .take(share)
                .fold(0, u64::wrapping_add)
        });
        part
    });
    let (elapsed, sums) = time_together(parts.collect());
    assert!(sums.iter().all(|sum| *sum != 0), "a thread did no work");
    Measurement::of(elapsed)
}

/// rayon's own pool of two threads, natively std's, in Wasm heddle's through its `spawn_handler`.
fn pool() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| {
        ThreadPoolBuilder::new()
            .num_threads(2)
            .spawn_handler(|thread| {
                heddle_thread::Builder::new()
                    .name("rayon".to_owned())
                    .spawn(|| thread.run())
                    .map(drop)
            })
            .build()
            .expect("the runtime has threads for rayon")
    })
}

/// Sorts `count` random numbers.
pub(super) fn sort(count: usize) -> Measurement {
    let mut numbers: Vec<u64> = Steps(1).take(count).collect();
    let pool = pool();
    let start = clock::now();
    pool.install(|| numbers.par_sort());
    let elapsed = clock::now().saturating_sub(start);
    assert!(numbers.is_sorted(), "the numbers are not sorted");
    Measurement::of(elapsed)
}
