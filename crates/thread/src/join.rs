//! Waiting for a thread's end: blocking, or as a future.
//!
//! # State
//! A [`Packet`] is shared by the thread and its handle. [`Head::outcome`] is `OUTCOME_PENDING` until the thread has ended;
//! `result` is written before that and read after it. In Wasm the head is a `Task` of `docs/layout.md`: where the thread
//! traps, its host writes the outcome, from TypeScript.
//!
//! # Invariants
//! 1. `outcome` changes once, from `OUTCOME_PENDING`.
//! 2. Only the thread writes `result`, before it changes `outcome`; only the handle's owner takes it, after.
//! 3. A waker is looked for after `outcome` changed, and left before `outcome` is read again: one of the two sees the
//!    other.
//!
//! # Memory orderings
//! The `Release` in [`Packet::complete`] publishes `result` to the `Acquire` in [`Packet::outcome`]. The mutex around the
//! waker orders invariant 3.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};

use heddle_atomics::{Mutex, PoisonError, futex};

use crate::failure::ThreadError;
use crate::scope::ScopeData;
use crate::sys::{self, Head, Thread};

pub use std::thread::Result;

pub(crate) const OUTCOME_PENDING: u32 = 0;
pub(crate) const OUTCOME_RETURNED: u32 = 1;
pub(crate) const OUTCOME_TRAPPED: u32 = 3;
pub(crate) const OUTCOME_OVERFLOWED: u32 = 4;
pub(crate) const OUTCOME_OUT_OF_MEMORY: u32 = 5;

/// What a thread leaves behind. The head comes first, so that its address is the packet's.
#[repr(C)]
pub(crate) struct Packet<T> {
    head: Head,
    result: UnsafeCell<Option<Result<T>>>,
    waker: Mutex<Option<Waker>>,
    /// The scope that waits for the thread, until it has been told.
    scope: Mutex<Option<Arc<ScopeData>>>,
}

// SAFETY: invariant 2: the result is touched by one thread at a time, and moves from one to the other.
unsafe impl<T: Send> Sync for Packet<T> {}

/// The part of a packet that doesn't depend on the result's type: what whoever runs the thread needs.
pub(crate) trait Ending: Send + Sync {
    /// The words that are shared with the host.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(dead_code, reason = "natively nobody ends a thread from outside")
    )]
    fn head(&self) -> &Head;
    /// Tells everybody that the thread will never complete, after the host has changed `outcome`.
    #[cfg_attr(
        not(target_arch = "wasm32"),
        expect(dead_code, reason = "natively nobody ends a thread from outside")
    )]
    fn abandon(&self);
}

impl<T: Send> Ending for Packet<T> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn abandon(&self) {
        self.wake();
        self.leave_scope(false);
    }
}

impl<T> Packet<T> {
    fn wake(&self) {
        futex::wake_all(&self.head.outcome);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn leave_scope(&self, has_panicked: bool) {
        let scope = self
            .scope
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(scope) = scope {
            scope.end_one(has_panicked);
        }
    }

    pub(crate) fn new(scope: Option<Arc<ScopeData>>) -> Self {
        if let Some(scope) = &scope {
            scope.begin_one();
        }
        Packet {
            head: Head::new(),
            result: UnsafeCell::new(None),
            waker: Mutex::new(None),
            scope: Mutex::new(scope),
        }
    }

    /// Notes the thread's result, if anybody may want it, and tells everybody.
    pub(crate) fn complete(&self, result: Option<Result<T>>) {
        // SAFETY: invariant 2: the outcome is still pending, so nobody reads.
        unsafe { *self.result.get() = result };
        self.head.outcome.store(OUTCOME_RETURNED, Release);
        self.wake();
    }

    fn outcome(&self) -> u32 {
        self.head.outcome.load(Acquire)
    }

    fn wait(&self, thread: &Thread) {
        if self.outcome() != OUTCOME_PENDING {
            return;
        }
        let _noted = sys::note_join(thread);
        while self.outcome() == OUTCOME_PENDING {
            // An interrupted wait is a reason to look again, not an error.
            futex::wait(&self.head.outcome, OUTCOME_PENDING, None);
        }
    }

    /// The result of a thread that has ended.
    fn take(&self) -> Result<T> {
        match self.outcome() {
            OUTCOME_RETURNED => {
                // SAFETY: invariant 2: the thread has ended, and there is one handle, which is used up by this call.
                let result = unsafe { &mut *self.result.get() };
                result.take().expect("a result is taken once")
            }
            outcome => Err(Box::new(failure(outcome, &self.head)) as Box<dyn Any + Send>),
        }
    }
}

fn failure(outcome: u32, head: &Head) -> ThreadError {
    match outcome {
        OUTCOME_TRAPPED => ThreadError::Trapped {
            message: head.message(),
        },
        OUTCOME_OVERFLOWED => ThreadError::StackOverflow {
            stack_size: head.stack_size(),
        },
        OUTCOME_OUT_OF_MEMORY => ThreadError::OutOfMemory {
            message: head.message(),
        },
        _ => ThreadError::Terminated,
    }
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        // A result that nobody took may borrow what the scope guards: it goes before the scope is told.
        let result = self.result.get_mut().take();
        let has_panicked = matches!(result, Some(Err(_)));
        drop(result);
        self.leave_scope(has_panicked);
    }
}

/// A thread to wait for; the thread goes on alone where the handle is dropped.
pub struct JoinHandle<T> {
    native: sys::NativeHandle,
    thread: Thread,
    packet: Arc<Packet<T>>,
}

// SAFETY: whoever started the thread proved that its result may move to another one; a handle can do nothing else with it.
unsafe impl<T> Send for JoinHandle<T> {}
// SAFETY: as above; through a shared handle nobody gets at the result.
unsafe impl<T> Sync for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(native: sys::NativeHandle, thread: Thread, packet: Arc<Packet<T>>) -> Self {
        JoinHandle {
            native,
            thread,
            packet,
        }
    }

    /// The thread, to unpark it or to read its name.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Whether `join` would return at once.
    pub fn is_finished(&self) -> bool {
        self.packet.outcome() != OUTCOME_PENDING
    }

    /// Blocks until the thread has ended.
    ///
    /// # Errors
    /// The payload of the thread's panic, or a [`ThreadError`] where it ended otherwise (trap, stack overflow).
    pub fn join(self) -> Result<T> {
        self.packet.wait(&self.thread);
        self.native.join();
        self.packet.take()
    }

    /// A future of what [`join`](Self::join) returns, which never blocks. It works with any executor.
    pub fn join_async(self) -> JoinFuture<T> {
        JoinFuture { handle: self }
    }
}

/// The future that [`JoinHandle::join_async`] returns.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct JoinFuture<T> {
    handle: JoinHandle<T>,
}

impl<T> Future for JoinFuture<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let packet = &self.handle.packet;
        if packet.outcome() == OUTCOME_PENDING {
            *packet.waker.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(context.waker().clone());
            // Invariant 3: the thread may have ended before it could see the waker.
            if packet.outcome() == OUTCOME_PENDING {
                return Poll::Pending;
            }
        }
        Poll::Ready(packet.take())
    }
}
