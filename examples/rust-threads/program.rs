//! Threads in Rust without wasm-bindgen and without a crate: std's locks, channels and thread-local values work as they are. Only what
//! starts a thread is the host's, which gives it a stack and thread-local storage.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, mpsc};

const THREADS: u32 = 4;
const CHUNK: u32 = 5000;

type Job = Box<dyn FnOnce() + Send>;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Calls `thread_main(job)` on another thread.
    #[link_name = "spawn"]
    safe fn host_spawn(job: *mut c_void);
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    let job: Job = Box::new(run);
    host_spawn(Box::into_raw(Box::new(job)).cast());
}

/// # Safety
/// `job` is what `spawn` gave to the host, which calls this once with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thread_main(job: *mut c_void) {
    // SAFETY: by this function's contract the pointer came from `Box::into_raw`, and nobody else has it.
    let job = unsafe { Box::from_raw(job.cast::<Job>()) };
    job();
}

/// How many numbers the chain from `n` to 1 has: halved where it is even, else three times it and one.
fn chain_length(n: u32) -> u32 {
    let next = |n: &u64| (*n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(u64::from(n)), next).count() as u32
}

/// The next number that nobody has taken.
static NEXT: Mutex<u32> = Mutex::new(1);

fn take_chunk(limit: u32) -> Option<std::ops::Range<u32>> {
    let mut next = NEXT.lock().unwrap();
    let begin = *next;
    *next = limit.min(begin + CHUNK);
    (begin < limit).then(|| begin..*next)
}

thread_local! {
    /// Begins at 0 in every thread.
    static TRIED: Cell<u32> = const { Cell::new(0) };
}

/// How many numbers all threads have tried.
static TRIED_BY_ALL: AtomicU32 = AtomicU32::new(0);

/// The number below `limit` that has the longest chain.
#[unsafe(no_mangle)]
pub extern "C" fn longest_chain_below(limit: u32) -> u32 {
    *NEXT.lock().unwrap() = 1;
    let (sender, receiver) = mpsc::channel();
    for _ in 0..THREADS {
        let sender = sender.clone();
        spawn(move || {
            while let Some(numbers) = take_chunk(limit) {
                TRIED.set(TRIED.get() + numbers.len() as u32);
                sender
                    .send(numbers.map(|n| (chain_length(n), n)).max())
                    .unwrap();
            }
            // Relaxed: the channel's end tells that the threads have ended, and orders this.
            TRIED_BY_ALL.fetch_add(TRIED.get(), Relaxed);
        });
    }
    drop(sender);
    let longest = receiver.iter().flatten().max();
    longest.map_or(0, |(_, n)| n)
}

#[unsafe(no_mangle)]
pub extern "C" fn tried() -> u32 {
    TRIED_BY_ALL.load(Relaxed)
}
