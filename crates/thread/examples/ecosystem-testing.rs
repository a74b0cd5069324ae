//! Crates of the ecosystem as the registry has them, on this crate's threads: the Wasm module that `@heddle/thread` tests them with. Built as
//! a cdylib; natively it is empty.
#![allow(
    missing_docs,
    reason = "the names of the exports say what a test uses them for"
)]
#![cfg(target_arch = "wasm32")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use crossbeam_channel::{bounded, select, unbounded};
use crossbeam_deque::{Injector, Steal, Worker};
use heddle_memory::ThreadCachingAllocator;
use heddle_thread as thread;
use parking_lot::{Condvar, Mutex, Once, RwLock};
use rayon::prelude::*;
use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

#[global_allocator]
static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();

/// What a user of rayon writes: threads for its pool.
fn spawn_for_rayon(thread: ThreadBuilder) -> io::Result<()> {
    let mut builder = thread::Builder::new();
    if let Some(name) = thread.name() {
        builder = builder.name(name.to_owned());
    }
    if let Some(bytes) = thread.stack_size() {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(|| thread.run()).map(drop)
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("rayon-{n}"))
        .spawn_handler(spawn_for_rayon)
        .build()
        .expect("the runtime has threads for the pool")
}

fn random_numbers(count: u32) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next).take(count as usize).collect()
}

/// Sorts `count` numbers on a pool of rayon's of so many threads. 1 if they are in order, and still the same.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rayon_sorts(count: u32, threads: u32) -> u32 {
    let mut numbers = random_numbers(count);
    let sum = |numbers: &[u64]| numbers.par_iter().copied().reduce(|| 0, u64::wrapping_add);
    let pool = pool(threads as usize);
    let (before, after) = pool.install(|| {
        let before = sum(&numbers);
        numbers.par_sort_unstable();
        (before, sum(&numbers))
    });
    u32::from(numbers.is_sorted() && before == after)
}

/// How many threads of a pool took part in work that needs all of them; then a panic of a job must reach whoever waits for it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rayon_uses_all_its_threads(threads: u32) -> u32 {
    let pool = pool(threads as usize);
    let names: Vec<_> = pool.broadcast(|_| thread::current().name().map(str::to_owned));
    let panicking = || pool.install(|| rayon::join(|| 1, || panic!("a job's")));
    let panicked = catch_unwind(AssertUnwindSafe(panicking));
    assert!(panicked.is_err());
    assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
    let expected = |n| Some(format!("rayon-{n}"));
    (0..threads)
        .filter(|&n| names.contains(&expected(n)))
        .count() as u32
}

/// 1 if each message of four senders reaches one of three receivers, over a channel with room for `capacity`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn crossbeam_channels(capacity: u32) -> u32 {
    const MESSAGES: u64 = 300;
    let (sender, receiver) = bounded(capacity as usize);
    let (stop, stopped) = unbounded::<()>();
    let total = thread::scope(|scope| {
        for part in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    sender.send(part * MESSAGES + n).unwrap();
                }
            });
        }
        drop(sender);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let (receiver, stopped) = (receiver.clone(), stopped.clone());
                scope.spawn(move || {
                    let mut sum = 0;
                    loop {
                        select! {
                            recv(receiver) -> message => match message {
                                Ok(n) => sum += n,
                                Err(_) => return sum,
                            },
                            recv(stopped) -> _ => return 0,
                        }
                    }
                })
            })
            .collect();
        let sums = receivers.into_iter().map(|thread| thread.join().unwrap());
        sums.sum::<u64>()
    });
    drop(stop);
    u32::from(total == (0..4 * MESSAGES).sum())
}

/// How many of `count` tasks were done once: one thread puts them into a deque and takes some, others steal.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn crossbeam_deques(count: u32) -> u32 {
    let done: Vec<_> = (0..count).map(|_| AtomicU32::new(0)).collect();
    let run = |task: u32| done[task as usize].fetch_add(1, Relaxed);
    let (injector, left) = (Injector::new(), AtomicU32::new(count));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let own = Worker::new_fifo();
                while left.load(SeqCst) > 0 {
                    let task = own
                        .pop()
                        .or_else(|| match injector.steal_batch_and_pop(&own) {
                            Steal::Success(task) => Some(task),
                            Steal::Empty | Steal::Retry => None,
                        });
                    match task {
                        Some(task) => {
                            run(task);
                            left.fetch_sub(1, SeqCst);
                        }
                        None => thread::yield_now(),
                    }
                }
            });
        }
        (0..count).for_each(|task| injector.push(task));
    });
    done.iter().filter(|times| times.load(Relaxed) == 1).count() as u32
}

/// 1 if parking_lot's locks keep four threads apart and wake those that wait.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn parking_lots_locks(rounds: u32) -> u32 {
    static ONCE: Once = Once::new();
    let (mutex, begun) = (Mutex::new(0_u32), AtomicU32::new(0));
    let pair = RwLock::new((0_u32, 0_u32));
    let (turn, turned) = (Mutex::new(0_u32), Condvar::new());
    thread::scope(|scope| {
        for me in 0..4 {
            let (mutex, begun, pair, turn, turned) = (&mutex, &begun, &pair, &turn, &turned);
            scope.spawn(move || {
                ONCE.call_once(|| {
                    begun.fetch_add(1, SeqCst);
                });
                for _ in 0..rounds {
                    *mutex.lock() += 1;
                    let mut both = pair.write();
                    (both.0, both.1) = (both.0 + 1, both.1 + 1);
                    drop(both);
                    let both = pair.read();
                    assert_eq!(both.0, both.1);
                }
                // Each waits for its turn: nobody's is skipped.
                let mut now = turn.lock();
                turned.wait_while(&mut now, |now| *now != me);
                *now += 1;
                turned.notify_all();
            });
        }
    });
    let is_right = *mutex.lock() == 4 * rounds && pair.read().0 == 4 * rounds && *turn.lock() == 4;
    u32::from(is_right && begun.load(SeqCst) == 1)
}

/// Bytes that `count` threads left behind, each of which made what crossbeam keeps for a thread: an entry in its list of those who may
/// still read, what a waiting receiver is found by.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn bytes_left_by_threads(count: u32) -> f64 {
    let injector = Injector::new();
    let use_crossbeam = |n: u32| {
        let (sender, receiver) = bounded(0);
        thread::scope(|scope| {
            // Workers keep a stack of the usual size for their next thread, of other sizes none.
            let thread = thread::Builder::new().stack_size(64 * 1024);
            let spawned = thread.spawn_scoped(scope, || {
                injector.push(n);
                sender.send(injector.steal().success()).unwrap();
            });
            assert!(spawned.is_ok());
            assert_eq!(receiver.recv(), Ok(Some(n)));
        });
    };
    (0..100).for_each(use_crossbeam);
    let before = heddle_memory::usage();
    (0..count).for_each(use_crossbeam);
    heddle_memory::usage() as f64 - before as f64
}

/// 1 if what `docs/std-thread.md` says can't be had is as it says: deadlines need std's clock, rayon's own pool needs std's threads.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn what_needs_std_itself() -> u32 {
    let (_sender, receiver) = unbounded::<()>();
    let timed = || receiver.recv_timeout(Duration::from_millis(1));
    assert!(catch_unwind(AssertUnwindSafe(timed)).is_err());
    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.lock();
    let other = Arc::clone(&mutex);
    let timed = thread::spawn(move || other.try_lock_for(Duration::from_millis(1)).is_some());
    assert!(timed.join().is_err());
    drop(held);
    let moment = Duration::from_millis(1);
    let timed = || {
        Condvar::new()
            .wait_for(&mut mutex.lock(), moment)
            .timed_out()
    };
    assert!(catch_unwind(AssertUnwindSafe(timed)).is_err());
    assert!(catch_unwind(|| crossbeam_channel::after(moment)).is_err());
    // Where std has no threads, rayon's global pool is the thread that calls it.
    assert_eq!(rayon::current_num_threads(), 1);
    assert_eq!((0..100_u32).into_par_iter().sum::<u32>(), 4950);
    1
}
