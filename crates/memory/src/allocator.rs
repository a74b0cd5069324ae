//! The allocator that programs install.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::copy_nonoverlapping;

use crate::class::Class;
use crate::{limit, sys};

/// A global allocator with a cache of free objects in each thread, over the system allocator.
///
/// In Wasm the system allocator is one dlmalloc behind one spin lock, which threads fight for; with this in front of it,
/// most allocations touch nothing shared. Objects may be freed by any thread. Objects above 32 KiB, and those that want
/// more alignment than two words, go to the system directly.
///
/// ```
/// use heddle_memory::ThreadCachingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: ThreadCachingAllocator = ThreadCachingAllocator::new();
///
/// let squares: Vec<u64> = (0..1000).map(|n| n * n).collect();
/// assert_eq!(squares[999], 998_001);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadCachingAllocator;

impl ThreadCachingAllocator {
    /// The allocator; all its values share the same caches.
    pub const fn new() -> Self {
        ThreadCachingAllocator
    }
}

// SAFETY: every object of a class is allocated with the class's layout, which is at least the asked one (`Class::of`
// rounds up and refuses bigger alignments), is known to one list or one user at a time, and goes back with the same
// layout, because `Class::of` depends on the layout alone.
unsafe impl GlobalAlloc for ThreadCachingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout) {
            Some(class) => match sys::with_cache(|cache| cache.acquire(class)) {
                Some(object) => object,
                // SAFETY: no class has size 0.
                None => unsafe { limit::alloc(class.layout()) },
            },
            // SAFETY: passed on from the caller.
            None => unsafe { limit::alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match Class::of(layout) {
            Some(class) => {
                // SAFETY: by the caller's contract the object came from `alloc` with this layout, thus this class.
                if sys::with_cache(|cache| unsafe { cache.release(class, pointer) }).is_none() {
                    // SAFETY: as above.
                    unsafe { limit::dealloc(pointer, class.layout()) };
                }
            }
            // SAFETY: passed on from the caller.
            None => unsafe { limit::dealloc(pointer, layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Class::of(layout).is_none() {
            // SAFETY: passed on from the caller. Fresh pages are zero already, which the system knows and we don't.
            return unsafe { limit::alloc_zeroed(layout) };
        }
        // SAFETY: passed on from the caller.
        let object = unsafe { self.alloc(layout) };
        if !object.is_null() {
            // SAFETY: the object has at least `layout.size()` bytes.
            unsafe { object.write_bytes(0, layout.size()) };
        }
        object
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: by the caller's contract `new_size`, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let (old_class, new_class) = (Class::of(layout), Class::of(new_layout));
        match (old_class, new_class) {
            (Some(old), Some(new)) if old == new => return pointer,
            // SAFETY: passed on from the caller; without a class both sizes are the system's.
            (None, None) => return unsafe { limit::realloc(pointer, layout, new_size) },
            _ => {}
        }
        // SAFETY: passed on from the caller.
        let moved = unsafe { self.alloc(new_layout) };
        if !moved.is_null() {
            // SAFETY: both objects hold the smaller of the sizes, and a fresh one overlaps no live one.
            unsafe { copy_nonoverlapping(pointer, moved, layout.size().min(new_size)) };
            // SAFETY: passed on from the caller, who gives the old object up when we return a new one.
            unsafe { self.dealloc(pointer, layout) };
        }
        moved
    }
}
