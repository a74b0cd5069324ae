//! A Wasm module without JavaScript of its own, as the tests of `@heddle/memory` and the example in its README run it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use heddle_memory::ThreadCachingAllocator;

#[global_allocator]
static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();

/// In a data segment, not in zeroed memory: an instance that copied the segments again would set it back.
static COUNTER: AtomicU32 = AtomicU32::new(40);

/// Counts the calls of all instances, from 41 on.
#[unsafe(no_mangle)]
pub extern "C" fn count_up() -> u32 {
    // `Relaxed`: a counter publishes nothing but itself.
    COUNTER.fetch_add(1, Relaxed) + 1
}
