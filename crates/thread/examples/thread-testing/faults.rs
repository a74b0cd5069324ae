//! Threads that can't go on: no memory, no more of the engine's stack, an address that is none.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::Result;

use heddle_thread::{self as thread, Builder, ThreadError};

/// More than the memory of a test's runtime may grow to.
const TOO_MUCH: usize = 1 << 30;

/// 1 if a thread without memory for its stack is told so, a future too, and the next thread runs.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_without_memory() -> u32 {
    fn is_refused(result: Result<u32>) -> bool {
        let payload = result.unwrap_err();
        matches!(*payload.downcast().unwrap(), ThreadError::OutOfMemory { message } if !message.is_empty())
    }
    let greedy = || Builder::new().stack_size(TOO_MUCH);
    let thread = greedy().spawn(|| 1).unwrap();
    let future = greedy().spawn_async(|| async { 1 }).unwrap();
    let refused = is_refused(thread.join()) && is_refused(future.join());
    u32::from(refused) * thread::spawn(|| 1).join().unwrap()
}

/// 1 if an allocation that is refused is a panic of its thread, and the next thread runs.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_a_refused_allocation() -> u32 {
    let thread = thread::spawn(|| black_box(Vec::<u8>::with_capacity(TOO_MUCH)).len());
    let payload = thread.join().unwrap_err();
    let message = payload.downcast::<String>().unwrap();
    assert!(message.contains("memory allocation of"), "{message}");
    thread::spawn(|| 1).join().unwrap()
}

static GOES_ON: AtomicBool = AtomicBool::new(true);

/// Calls itself until the engine's own stack ends. Nothing of it lies on the thread's stack in memory, and no loop does the same.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if !GOES_ON.load(Relaxed) {
        return 0;
    }
    descend(depth + 1).rotate_left(3) ^ depth
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn recurse_for_ever() -> u64 {
    descend(0)
}

/// Reads where there is no memory.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn read_out_of_bounds() -> u32 {
    // SAFETY: it is out of bounds, for the engine to notice.
    unsafe { (black_box(0xffff_fff0_usize) as *const u32).read_volatile() }
}

/// 1 if both of these reach join as traps.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_traps_of_the_engine() -> u32 {
    fn is_trap<T>(result: Result<T>) -> bool {
        let payload = result.err().expect("it traps");
        matches!(*payload.downcast().unwrap(), ThreadError::Trapped { message } if !message.is_empty())
    }
    let deep = Builder::new()
        .stack_size(8 << 20)
        .spawn(|| recurse_for_ever());
    let deep = is_trap(deep.unwrap().join());
    let outside = is_trap(thread::spawn(|| read_out_of_bounds()).join());
    u32::from(deep && outside)
}
