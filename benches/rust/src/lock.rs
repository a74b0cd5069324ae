//! Locks: each thread takes the lock, adds 1 to what it guards, and lets go.

use crate::round::{Measurement, Part, Request, time_together};
use std::sync::Arc;

/// A lock around a number.
trait Lock: Send + Sync + 'static {
    fn new() -> Self;
    fn add(&self);
    fn get(&self) -> u64;
}

impl Lock for heddle_atomics::Mutex<u64> {
    fn new() -> Self {
        heddle_atomics::Mutex::new(0)
    }

    #[inline]
    fn add(&self) {
        *self.lock().unwrap() += 1;
    }

    fn get(&self) -> u64 {
        *self.lock().unwrap()
    }
}

impl Lock for std::sync::Mutex<u64> {
    fn new() -> Self {
        std::sync::Mutex::new(0)
    }

    #[inline]
    fn add(&self) {
        *self.lock().unwrap() += 1;
    }

    fn get(&self) -> u64 {
        *self.lock().unwrap()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Lock for parking_lot::Mutex<u64> {
    fn new() -> Self {
        parking_lot::Mutex::new(0)
    }

    #[inline]
    fn add(&self) {
        *self.lock() += 1;
    }

    fn get(&self) -> u64 {
        *self.lock()
    }
}

/// A reader-writer lock around a number.
trait ReadLock: Send + Sync + 'static {
    fn around(number: u64) -> Self;
    fn read(&self) -> u64;
}

impl ReadLock for heddle_atomics::RwLock<u64> {
    fn around(number: u64) -> Self {
        heddle_atomics::RwLock::new(number)
    }

    #[inline]
    fn read(&self) -> u64 {
        *self.read().unwrap()
    }
}

impl ReadLock for std::sync::RwLock<u64> {
    fn around(number: u64) -> Self {
        std::sync::RwLock::new(number)
    }

    #[inline]
    fn read(&self) -> u64 {
        *self.read().unwrap()
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ReadLock for parking_lot::RwLock<u64> {
    fn around(number: u64) -> Self {
        parking_lot::RwLock::new(number)
    }

    #[inline]
    fn read(&self) -> u64 {
        *self.read()
    }
}

pub(crate) fn measure(request: &Request) -> Option<Measurement> {
    match request.subject.as_str() {
        "heddle-rust" => exclusive::<heddle_atomics::Mutex<u64>>(request)
            .or_else(|| reading::<heddle_atomics::RwLock<u64>>(request)),
        // The stock std, which in Wasm has the same futex below it.
        "std-wasm" if cfg!(target_arch = "wasm32") => of_std(request),
        "std-native" if cfg!(not(target_arch = "wasm32")) => of_std(request),
        #[cfg(not(target_arch = "wasm32"))]
        "parking_lot-native" => exclusive::<parking_lot::Mutex<u64>>(request)
            .or_else(|| reading::<parking_lot::RwLock<u64>>(request)),
        _ => None,
    }
}

fn of_std(request: &Request) -> Option<Measurement> {
    exclusive::<std::sync::Mutex<u64>>(request)
        .or_else(|| reading::<std::sync::RwLock<u64>>(request))
}

/// Two threads that read only.
fn reading<L: ReadLock>(request: &Request) -> Option<Measurement> {
    const THREADS: usize = 2;
    if request.case != "rwlock-read-2-threads" {
        return None;
    }
    let lock = Arc::new(L::around(1));
    let share = request.count.div_ceil(THREADS);
    let parts = (0..THREADS).map(|_| {
        let lock = Arc::clone(&lock);
        let part: Part =
            Box::new(move || (0..share).map(|_| std::hint::black_box(lock.read())).sum());
        part
    });
    let (elapsed, sums) = time_together(parts.collect());
    assert_eq!(sums.iter().sum::<u64>(), (share * THREADS) as u64);
    Some(Measurement::of(elapsed))
}

fn exclusive<L: Lock>(request: &Request) -> Option<Measurement> {
    let threads = match request.case.as_str() {
        "lock-uncontended" => 1,
        "lock-2-threads" => 2,
        "lock-4-threads" => 4,
        _ => return None,
    };
    let lock = Arc::new(L::new());
    let share = request.count.div_ceil(threads);
    let parts = (0..threads).map(|_| {
        let lock = Arc::clone(&lock);
        let part: Part = Box::new(move || {
            for _ in 0..share {
                lock.add();
            }
            share as u64
        });
        part
    });
    let (elapsed, done) = time_together(parts.collect());
    assert_eq!(lock.get(), done.iter().sum(), "an addition was lost");
    Some(Measurement::of(elapsed))
}
