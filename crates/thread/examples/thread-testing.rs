//! The Wasm module that the tests of `@heddle/thread` and `@heddle/memory` run. Built as a cdylib; natively it is empty.
#![allow(
    missing_docs,
    reason = "the names of the exports say what a test uses them for"
)]
#![cfg(target_arch = "wasm32")]

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use heddle_memory::ThreadCachingAllocator;
use heddle_thread::{self as thread, Builder, ThreadError};
use support::Dropped;
use wasm_bindgen::prelude::wasm_bindgen;

#[path = "thread-testing/event_loop.rs"]
mod event_loop;
#[path = "thread-testing/faults.rs"]
mod faults;
#[path = "thread-testing/locals.rs"]
mod locals;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "thread-testing/waits.rs"]
mod waits;
#[path = "../tests/std_api"]
mod std_api {
    use heddle_thread as thread;
    #[path = "rows.rs"]
    pub(crate) mod rows;
}

#[global_allocator]
static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();

/// In a data segment, not in zeroed memory: an instance that copied the segments again would set it back.
static COUNTER: AtomicU32 = AtomicU32::new(1000);

/// Through wasm-bindgen's own glue.
#[wasm_bindgen]
pub fn greet(name: &str) -> String {
    format!("hello, {name}")
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn multiply(a: i64, b: i64) -> i64 {
    a * b
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn nothing() {}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn count_up() -> u32 {
    COUNTER.fetch_add(1, SeqCst) + 1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn memory_pages() -> u32 {
    core::arch::wasm32::memory_size(0) as u32
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn bytes_taken() -> u32 {
    heddle_memory::usage() as u32
}

/// Spawns and joins `count` threads, one after the other; returns the sum of what they returned.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spawn_join(count: u32) -> f64 {
    (0..count)
        .map(|n| f64::from(thread::spawn(move || n + 1).join().unwrap()))
        .sum()
}

/// How many primes are below `limit`, counted by four threads. The README of `@heddle/thread` shows it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn count_primes(limit: u32) -> u32 {
    let is_prime = |n: &u32| *n > 1 && (2..=n.isqrt()).all(|divisor| n % divisor != 0);
    let chunk = limit.div_ceil(4);
    let threads: Vec<_> = (0..4)
        .map(|part| (part * chunk)..limit.min((part + 1) * chunk))
        .map(|numbers| heddle_thread::spawn(move || numbers.filter(is_prime).count() as u32))
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum()
}

/// As `spawn_join`; returns nanoseconds per thread.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spawn_join_ns(count: u32) -> f64 {
    let start = thread::time::Instant::now();
    for n in 0..count {
        assert_eq!(thread::spawn(move || n).join().unwrap(), n);
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Each thread spawns the next and joins it, `depth` deep: as many threads are alive at once.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn nest(depth: u32) -> u32 {
    if depth == 0 {
        0
    } else {
        1 + thread::spawn(move || nest(depth - 1)).join().unwrap()
    }
}

/// `count` threads at once, all alive until the last has started.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn rendezvous(count: u32) -> u32 {
    let (started, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(())));
    let locked = gate.lock().unwrap();
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            thread::spawn(move || {
                started.fetch_add(1, SeqCst);
                drop(gate.lock().unwrap());
            })
        })
        .collect();
    while started.load(SeqCst) < count {
        thread::sleep(Duration::from_millis(1));
    }
    drop(locked);
    threads
        .into_iter()
        .map(|thread| thread.join().map_or(0, |()| 1))
        .sum()
}

/// How many threads can be spawned until the runtime refuses; they all end before this returns.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spawn_until_refused() -> i32 {
    let gate = Arc::new(Mutex::new(()));
    let locked = gate.lock().unwrap();
    let mut threads = Vec::new();
    let refusal = loop {
        let gate = Arc::clone(&gate);
        match Builder::new().spawn(move || drop(gate.lock().unwrap())) {
            Ok(thread) => threads.push(thread),
            Err(error) => break error,
        }
    };
    drop(locked);
    let count = threads.len() as i32;
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    if refusal.kind() == std::io::ErrorKind::WouldBlock {
        count
    } else {
        -1
    }
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn panic_now() -> u32 {
    panic!("the weft broke");
}

/// Panics with what was put together at run time.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn panic_with(number: u32) -> u32 {
    panic!("the weft broke at {number}");
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn hide_messages(hides: u32) {
    thread::hide_panic_messages(hides != 0);
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn trap_now() -> u32 {
    core::arch::wasm32::unreachable()
}

/// A panic that can't leave this function: a trap, after the panic's message.
#[unsafe(no_mangle)]
pub extern "C" fn panic_without_unwinding() -> u32 {
    panic!("no way out");
}

/// 1 if a panic's payload reaches join and a later thread on the same worker runs; destructors run on the way.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_a_panic() -> u32 {
    let drops = Arc::new(AtomicU32::new(0));
    let dropped = Dropped(Arc::clone(&drops));
    let payload = thread::spawn(move || {
        let _dropped = dropped;
        panic!("number {}", std::hint::black_box(7));
    })
    .join()
    .unwrap_err();
    let message = payload.downcast::<String>().unwrap();
    let after = thread::spawn(|| 5).join().unwrap();
    u32::from(*message == "number 7" && after == 5 && drops.load(SeqCst) == 1)
}

/// 1 if a trap reaches join as `ThreadError::Trapped`, and a mutex of heddle-atomics that it held is poisoned.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_a_trap() -> u32 {
    let mutex = Arc::new(heddle_atomics::Mutex::new(1));
    let held = Arc::clone(&mutex);
    let payload = thread::spawn(move || {
        let _guard = held.lock().unwrap();
        core::arch::wasm32::unreachable();
    })
    .join()
    .unwrap_err();
    match *payload.downcast::<ThreadError>().unwrap() {
        ThreadError::Trapped { message } => assert!(!message.is_empty()),
        other => panic!("not a trap: {other}"),
    }
    assert!(mutex.lock().is_err(), "the mutex is not poisoned");
    1
}

#[wasm_bindgen]
extern "C" {
    /// In a worker of Node: ends the worker, in the middle of what it does.
    #[wasm_bindgen(js_namespace = process, js_name = exit)]
    fn end_worker(code: i32);
}

/// 1 if the end of a thread's worker reaches join, and a mutex that the thread held is poisoned. In Node only.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_a_dead_worker() -> u32 {
    let mutex = Arc::new(heddle_atomics::Mutex::new(1));
    let held = Arc::clone(&mutex);
    let payload = thread::spawn(move || {
        let _guard = held.lock().unwrap();
        end_worker(0);
    })
    .join()
    .unwrap_err();
    assert_eq!(
        *payload.downcast::<ThreadError>().unwrap(),
        ThreadError::Terminated
    );
    assert!(mutex.lock().is_err(), "the mutex is not poisoned");
    1
}

/// 1 if a thread that runs beyond its stack is told so.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_an_overflow() -> u32 {
    // The neighbour takes the damage, whatever else lies around.
    let neighbour = vec![0u8; 1 << 20];
    let payload = Builder::new()
        .stack_size(32 * 1024)
        .spawn(|| eat_stack(20))
        .unwrap()
        .join()
        .unwrap_err();
    drop(neighbour);
    u32::from(matches!(
        *payload.downcast::<ThreadError>().unwrap(),
        ThreadError::StackOverflow { stack_size: 32768 }
    ))
}

/// Uses about three kilobytes of stack a level, every word of them.
#[inline(never)]
fn eat_stack(depth: u32) -> u32 {
    let frame = std::hint::black_box([depth; 256]);
    if depth == 0 {
        frame[0]
    } else {
        eat_stack(depth - 1) + std::hint::black_box(frame)[255]
    }
}

/// 1 if a thread with a big stack can use it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn use_a_big_stack() -> u32 {
    let thread = Builder::new()
        .stack_size(8 << 20)
        .spawn(|| eat_stack(2000))
        .unwrap();
    u32::from(thread.join().is_ok())
}

thread_local! {
    static LOCAL: Cell<u32> = const { Cell::new(17) };
}

/// How often a thread saw another thread's value in its thread-local, of `count` threads on few workers.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn mixed_up_locals(count: u32) -> u32 {
    LOCAL.set(1);
    let foreign: u32 = (0..count)
        .map(|n| {
            thread::spawn(move || {
                let before = LOCAL.replace(n + 100);
                thread::yield_now();
                u32::from(before != 17 || LOCAL.get() != n + 100)
            })
            .join()
            .unwrap()
        })
        .sum();
    foreign + u32::from(LOCAL.get() != 1)
}

/// 1 if names, ids, park and unpark, hooks and scopes behave.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn behaves_like_std() -> u32 {
    static HOOKED: AtomicU32 = AtomicU32::new(0);
    let parked = Builder::new()
        .name("sley".into())
        .spawn(|| {
            thread::at_exit(|| HOOKED.store(1, Release));
            thread::park();
            thread::current().name().map(str::to_owned)
        })
        .unwrap();
    assert_eq!(parked.thread().name(), Some("sley"));
    assert_ne!(parked.thread().id(), thread::current().id());
    parked.thread().unpark();
    assert_eq!(parked.join().unwrap().as_deref(), Some("sley"));
    assert_eq!(HOOKED.load(Acquire), 1);

    let start = thread::time::Instant::now();
    thread::park_timeout(Duration::from_millis(5));
    thread::sleep(Duration::from_millis(5));
    assert!(start.elapsed() >= Duration::from_millis(5));

    let words = ["warp", "weft", "sley"];
    let mut total = 0;
    thread::scope(|scope| {
        let threads: Vec<_> = words
            .iter()
            .map(|word| scope.spawn(move || word.len()))
            .collect();
        total = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
    });
    assert_eq!(total, 12);
    assert!(thread::available_parallelism().unwrap().get() >= 1);

    let (sender, receiver) = mpsc::channel();
    for n in 0..3 {
        let sender = sender.clone();
        thread::spawn(move || sender.send(n).unwrap());
    }
    drop(sender);
    assert_eq!(receiver.iter().sum::<u32>(), 3);
    1
}

/// Uses each item of `std::thread` that `docs/std-thread.md` says works; returns how many. Panics with the name of one that
/// doesn't.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn use_each_item_of_std() -> u32 {
    for (name, row) in std_api::rows::ROWS {
        if std::panic::catch_unwind(row).is_err() {
            panic!("{name} doesn't work");
        }
    }
    std_api::rows::ROWS.len() as u32
}

/// 1 if std's own functions, which dependencies call, do what `docs/std-thread.md` says of them.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn std_as_dependencies_see_it() -> u32 {
    let unsupported = std::thread::Builder::new().spawn(|| ()).unwrap_err();
    assert_eq!(unsupported.kind(), std::io::ErrorKind::Unsupported);
    assert!(std::thread::available_parallelism().is_err());
    assert!(std::panic::catch_unwind(std::time::Instant::now).is_err());
    assert!(std::panic::catch_unwind(std::time::SystemTime::now).is_err());

    let (sender, receiver) = mpsc::channel();
    let parked = thread::Builder::new().name("beam".into()).spawn(move || {
        sender.send(std::thread::current()).unwrap();
        std::thread::park();
    });
    let handle = receiver.recv().unwrap();
    assert_eq!(handle.name(), None);
    assert_ne!(handle.id(), std::thread::current().id());
    handle.unpark();
    parked.unwrap().join().unwrap();
    std::thread::sleep(Duration::from_millis(1));
    std::thread::yield_now();
    1
}

/// 1 if a thread can be awaited, by a hand-made executor.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn await_a_thread() -> u32 {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let joined = thread::spawn(|| {
        thread::sleep(Duration::from_millis(5));
        21
    })
    .join_async();
    let mut joined = pin!(joined);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match joined.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return u32::from(result.unwrap() == 21),
            Poll::Pending => thread::park(),
        }
    }
}

/// Threads that allocate, write, check and free, also each other's objects; returns how many objects were found damaged.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn stress_allocator(threads: u32, rounds: u32) -> u32 {
    let shelf: Arc<Mutex<Vec<Vec<u8>>>> = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..threads)
        .map(|seed| {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let mut random = seed.wrapping_mul(2_654_435_761) | 1;
                let mut damaged = 0;
                let mut own: Vec<Vec<u8>> = Vec::new();
                for _ in 0..rounds {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let size =
                        1 + (random >> 8) as usize % (if random & 15 == 0 { 70_000 } else { 600 });
                    own.push(vec![size as u8; size]);
                    if random & 0x30 == 0 {
                        let mut shelf = shelf.lock().unwrap();
                        shelf.extend(own.pop());
                        own.extend((shelf.len() > 64).then(|| shelf.swap_remove(0)));
                    }
                    if own.len() > 40 {
                        let object = own.swap_remove(random as usize % 40);
                        damaged += u32::from(object.iter().any(|byte| *byte != object.len() as u8));
                    }
                }
                damaged
            })
        })
        .collect();
    workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum()
}

/// Pairs of allocating and freeing, in nanoseconds a pair, on `threads` threads at once.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn allocate_ns(threads: u32, pairs: u32) -> f64 {
    let start = thread::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for n in 0..pairs {
                    std::hint::black_box(Vec::<u8>::with_capacity(16 + (n as usize & 255)));
                }
            });
        }
    });
    start.elapsed().as_nanos() as f64 / f64::from(pairs)
}

/// The address of a word that lives for ever.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn new_word(value: u32) -> *const AtomicU32 {
    Box::leak(Box::new(AtomicU32::new(value)))
}

/// Blocks until the word is no longer `value`; returns what it is then.
///
/// # Safety
/// `word` is what `new_word` returned.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn wait_while(word: *const AtomicU32, value: u32) -> u32 {
    // SAFETY: passed on from the caller.
    let word = unsafe { &*word };
    while word.load(Acquire) == value {
        heddle_atomics::futex::wait(word, value, None);
    }
    word.load(Relaxed)
}

/// Keeps this thread busy.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spin_ms(ms: f64) {
    let start = thread::time::now_ms();
    while thread::time::now_ms() - start < ms {
        std::hint::spin_loop();
    }
}

/// Milliseconds since 1970, as threads see it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn time_ms() -> f64 {
    thread::spawn(thread::time::now_ms).join().unwrap()
}
