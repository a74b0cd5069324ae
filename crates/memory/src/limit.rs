//! The system allocator, with an account of what was taken from it and a limit on that.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

// Both are plain counters: no data is published through them, so every access is Relaxed.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Sets how many bytes may be taken from the system; allocations beyond fail as if memory had run out.
///
/// Counted is what the system was asked for: objects in use, and free ones that caches hold. What the limit leaves out is
/// memory got by other ways than [`ThreadCachingAllocator`](crate::ThreadCachingAllocator) and
/// [`ThreadBlock`](crate::ThreadBlock), and the system allocator's own overhead. `usize::MAX`, the default, is no limit.
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes, Relaxed);
}

/// Bytes now taken from the system, those in caches included.
pub fn usage() -> usize {
    TAKEN.load(Relaxed)
}

/// Notes `bytes` more as taken; `false` where the limit forbids it.
fn charge(bytes: usize) -> bool {
    let before = TAKEN.fetch_add(bytes, Relaxed);
    if before.saturating_add(bytes) <= LIMIT.load(Relaxed) {
        return true;
    }
    TAKEN.fetch_sub(bytes, Relaxed);
    false
}

fn refund(bytes: usize) {
    TAKEN.fetch_sub(bytes, Relaxed);
}

/// # Safety
/// As for [`GlobalAlloc::alloc`].
pub(crate) unsafe fn alloc(layout: Layout) -> *mut u8 {
    // SAFETY: passed on from the caller.
    charged(layout.size(), || unsafe { System.alloc(layout) })
}

/// # Safety
/// As for [`GlobalAlloc::alloc_zeroed`].
pub(crate) unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
    // SAFETY: passed on from the caller.
    charged(layout.size(), || unsafe { System.alloc_zeroed(layout) })
}

/// # Safety
/// As for [`GlobalAlloc::dealloc`], for memory of this module.
pub(crate) unsafe fn dealloc(pointer: *mut u8, layout: Layout) {
    // SAFETY: passed on from the caller; all memory of this module comes from `System`.
    unsafe { System.dealloc(pointer, layout) };
    refund(layout.size());
}

/// # Safety
/// As for [`GlobalAlloc::realloc`], for memory of this module.
pub(crate) unsafe fn realloc(pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    let growth = new_size.saturating_sub(layout.size());
    // SAFETY: passed on from the caller; all memory of this module comes from `System`.
    let moved = charged(growth, || unsafe {
        System.realloc(pointer, layout, new_size)
    });
    if !moved.is_null() {
        refund(layout.size().saturating_sub(new_size));
    }
    moved
}

fn charged(bytes: usize, allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    if !charge(bytes) {
        return null_mut();
    }
    let pointer = allocate();
    if pointer.is_null() {
        refund(bytes);
    }
    pointer
}
