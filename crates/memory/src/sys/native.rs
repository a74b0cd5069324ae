//! Native threads: the cache is a thread-local whose destructor flushes it.

use std::alloc::Layout;
use std::cell::UnsafeCell;

use crate::cache::ThreadCache;

struct OwnCache(UnsafeCell<ThreadCache>);

impl Drop for OwnCache {
    fn drop(&mut self) {
        self.0.get_mut().flush();
    }
}

thread_local! {
    static CACHE: OwnCache = const { OwnCache(UnsafeCell::new(ThreadCache::EMPTY)) };
}

/// Runs `with` on this thread's cache, or returns `None` where the thread has already given it up.
#[inline]
pub(crate) fn with_cache<R>(with: impl FnOnce(&mut ThreadCache) -> R) -> Option<R> {
    CACHE
        .try_with(|cache| {
            // SAFETY: no code inside a cache's methods allocates through it or runs anything of the program's, so
            // there is no second reference.
            with(unsafe { &mut *cache.0.get() })
        })
        .ok()
}

/// The thread-local storage that a block must hold: none, the operating system does that.
pub(crate) fn tls_layout() -> Layout {
    Layout::new::<()>()
}
