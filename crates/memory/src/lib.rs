#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "wasm32", feature(asm_experimental_arch))]

mod allocator;
mod block;
mod cache;
mod central;
mod class;
#[expect(
    dead_code,
    reason = "some of the records' words are TypeScript's alone"
)]
mod layout;
mod limit;
mod sys;

pub use allocator::ThreadCachingAllocator;
pub use block::{BlockError, StackOverflow, ThreadBlock};
pub use limit::{set_limit, usage};

#[cfg(target_arch = "wasm32")]
pub use sys::{current_frame, enter_frame, init_tls, instance_word, set_instance_word, tls_layout};

/// Gives everything that this thread's cache holds back to the other threads and to the system.
///
/// Threads that end do this by themselves: natively by a thread-local destructor, in Wasm by the worker that ran them.
/// Call it in a thread that goes to sleep for long after having freed much.
pub fn flush() {
    sys::with_cache(|cache| cache.flush());
}
