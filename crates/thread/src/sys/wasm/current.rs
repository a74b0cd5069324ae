//! The running thread: its name, its id, its parker.
//!
//! # Parking
//! `parker` is a token: `EMPTY → PARKED` by the thread itself, `any → NOTIFIED` by `unpark`, `NOTIFIED → EMPTY` when the
//! thread takes it. `Release` in `unpark` publishes what came before it to the `Acquire` with which `park` takes the
//! token. The algorithm is that of std's futex parker.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use heddle_atomics::futex;

use super::control::CONTROL;
use super::waits::note_park;

const PARKED: u32 = u32::MAX;
const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;

/// A handle to a thread.
#[derive(Clone)]
pub struct Thread {
    inner: Arc<Inner>,
}

struct Inner {
    id: ThreadId,
    name: Option<String>,
    parker: AtomicU32,
}

/// Tells threads of one runtime apart; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadId(NonZeroU64);

impl Thread {
    pub(super) fn new(name: Option<String>) -> Self {
        Thread::with_id(CONTROL.next_id(), name)
    }

    pub(super) fn with_id(id: u32, name: Option<String>) -> Self {
        // An id of 0 comes after 2^32 threads; it shares the last one's number rather than ending the program.
        let id = ThreadId(NonZeroU64::new(id.into()).unwrap_or(NonZeroU64::MAX));
        Thread {
            inner: Arc::new(Inner {
                id,
                name,
                parker: AtomicU32::new(EMPTY),
            }),
        }
    }

    /// The thread's id.
    pub fn id(&self) -> ThreadId {
        self.inner.id
    }

    /// The thread's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// Wakes the thread from [`park`](crate::park), or lets its next `park` return at once.
    pub fn unpark(&self) {
        if self.inner.parker.swap(NOTIFIED, Release) == PARKED {
            futex::wake(&self.inner.parker, 1);
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.inner.id.0.get() as u32
    }

    fn park(&self, timeout: Option<Duration>) {
        let parker = &self.inner.parker;
        // NOTIFIED → EMPTY, or EMPTY → PARKED.
        if parker.fetch_sub(1, Acquire) == NOTIFIED {
            return;
        }
        let _noted = note_park();
        loop {
            futex::wait(parker, PARKED, timeout);
            if timeout.is_some() {
                // Whether notified, timed out or woken for no reason, the caller may not tell: take what is there.
                parker.swap(EMPTY, Acquire);
                return;
            }
            if parker
                .compare_exchange(NOTIFIED, EMPTY, Acquire, Acquire)
                .is_ok()
            {
                return;
            }
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The running thread, as a raw `Arc`: it is there for the destructors of thread-locals too.
    static CURRENT: Cell<*const Inner> = const { Cell::new(std::ptr::null()) };
}

/// Makes `thread` the running one.
pub(super) fn enter(thread: Thread) {
    leave();
    CURRENT.set(Arc::into_raw(thread.inner));
}

/// Forgets the running thread.
pub(super) fn leave() {
    let inner = CURRENT.replace(std::ptr::null());
    if !inner.is_null() {
        // SAFETY: `enter` made the pointer from an `Arc`, and it was in one place only.
        drop(unsafe { Arc::from_raw(inner) });
    }
}

/// The running thread's number; 0 where none of the runtime runs.
pub(super) fn number_if_running() -> u32 {
    // SAFETY: null, or what `enter` made from an `Arc` whose count this thread still holds.
    unsafe { CURRENT.get().as_ref() }.map_or(0, |inner| inner.id.0.get() as u32)
}

/// The running thread.
pub fn current() -> Thread {
    if CURRENT.get().is_null() {
        // Code that no runtime started (an export called directly): a thread without a name.
        enter(Thread::new(None));
    }
    let inner = CURRENT.get();
    // SAFETY: `enter` made the pointer from an `Arc` whose count this thread still holds.
    unsafe {
        Arc::increment_strong_count(inner);
        Thread {
            inner: Arc::from_raw(inner),
        }
    }
}

/// Blocks until somebody calls [`Thread::unpark`] on this thread's handle; may also return for no reason.
pub fn park() {
    current().park(None);
}

/// Like [`park`], for at most `timeout`.
pub fn park_timeout(timeout: Duration) {
    current().park(Some(timeout));
}
