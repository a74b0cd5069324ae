//! Threads that borrow from their parent's frame.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};

use heddle_atomics::futex;

use crate::builder::Builder;
use crate::join::{JoinHandle, Result};
use crate::sys::{self, Thread};

/// The scope that [`scope`] hands to its closure.
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<ScopeData>,
    // Invariant over both: a scope must neither be shrunk nor stretched.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

#[derive(Debug)]
pub(crate) struct ScopeData {
    /// Threads of this scope that have not ended; [`scope`] waits for 0.
    running: AtomicU32,
    has_panicked: AtomicBool,
}

impl ScopeData {
    pub(crate) fn begin_one(&self) {
        // Relaxed: the scope's own thread does this, or one of its threads, which the count already holds open.
        self.running.fetch_add(1, Relaxed);
    }

    pub(crate) fn end_one(&self, has_panicked: bool) {
        if has_panicked {
            self.has_panicked.store(true, Relaxed);
        }
        // Release: publishes what the thread did to the Acquire in `wait`.
        if self.running.fetch_sub(1, Release) == 1 {
            futex::wake_all(&self.running);
        }
    }

    fn wait(&self) {
        let _noted = sys::note_scope();
        loop {
            let running = self.running.load(Acquire);
            if running == 0 {
                return;
            }
            // Woken or not, look again.
            futex::wait(&self.running, running, None);
        }
    }
}

/// Runs `f` and returns once every thread that it spawned in its [`Scope`] has ended; those may borrow what outlives the
/// call.
///
/// ```
/// let words = vec!["warp", "weft"];
/// let lengths = heddle_thread::scope(|scope| {
///     let threads: Vec<_> = words.iter().map(|word| scope.spawn(|| word.len())).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
/// });
/// assert_eq!(lengths, 8);
/// ```
///
/// # Panics
/// Where a thread panicked that nobody joined.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        data: Arc::new(ScopeData {
            running: AtomicU32::new(0),
            has_panicked: AtomicBool::new(false),
        }),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.data.wait();
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.data.has_panicked.load(Relaxed) => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that ends before the scope does.
    ///
    /// # Panics
    /// Where no thread can be started.
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new()
            .spawn_scoped(self, f)
            .expect("failed to spawn thread")
    }
}

impl Builder {
    /// Starts a thread of `scope` with these properties.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        // SAFETY: `scope` waits until the packet of every thread is gone, and a packet goes after the closure that the
        // thread ran and with the thread's result, thus after the last use of what either borrowed. After a trap the
        // closure never goes, but never runs again either.
        let handle = unsafe { self.start(f, Some(Arc::clone(&scope.data))) }?;
        Ok(ScopedJoinHandle {
            handle,
            scope: PhantomData,
        })
    }
}

/// A scoped thread to wait for.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// The thread, to unpark it or to read its name.
    pub fn thread(&self) -> &Thread {
        self.handle.thread()
    }

    /// Whether `join` would return at once.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Blocks until the thread has ended.
    ///
    /// # Errors
    /// As [`JoinHandle::join`].
    pub fn join(self) -> Result<T> {
        self.handle.join()
    }
}
