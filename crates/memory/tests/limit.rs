//! Limits and accounts: alone in its process, because both are the process's.

use std::alloc::{GlobalAlloc, Layout};
use std::thread;

use heddle_memory::{BlockError, ThreadBlock, ThreadCachingAllocator, flush, set_limit, usage};

/// Not this process's allocator: only what the test takes is counted.
static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();

#[test]
fn what_is_taken_is_counted_given_back_and_limited() {
    let small = Layout::from_size_align(100, 8).unwrap();
    let big = Layout::from_size_align(1 << 20, 8).unwrap();

    // A thread's end gives back what its cache held: all of it, where it is less than a batch.
    thread::spawn(move || {
        // SAFETY: the size is above 0, and the object goes back with its layout.
        unsafe { ALLOCATOR.dealloc(ALLOCATOR.alloc(small), small) };
        assert_eq!(
            usage(),
            112,
            "the object is in the cache, at the size of its class"
        );
    })
    .join()
    .unwrap();
    assert_eq!(usage(), 0);

    // So does a flush.
    // SAFETY: as above.
    unsafe { ALLOCATOR.dealloc(ALLOCATOR.alloc(small), small) };
    flush();
    assert_eq!(usage(), 0);

    set_limit(1_500_000);
    // SAFETY: the size is above 0.
    let first = unsafe { ALLOCATOR.alloc(big) };
    assert!(!first.is_null());
    // SAFETY: the size is above 0.
    let beyond = unsafe { ALLOCATOR.alloc(big) };
    assert!(beyond.is_null(), "beyond the limit there is no memory");
    let error = ThreadBlock::new(1 << 20).unwrap_err();
    assert!(matches!(error, BlockError::OutOfMemory { bytes } if bytes > 1 << 20));
    assert!(
        error
            .to_string()
            .starts_with("no memory for a thread's stack: ")
    );
    // SAFETY: allocated with this layout above.
    unsafe { ALLOCATOR.dealloc(first, big) };
    assert_eq!(usage(), 0);
    // SAFETY: the size is above 0.
    let second = unsafe { ALLOCATOR.alloc(big) };
    assert!(!second.is_null(), "room again");
    // SAFETY: allocated with this layout above.
    unsafe { ALLOCATOR.dealloc(second, big) };
    set_limit(usize::MAX);
}
