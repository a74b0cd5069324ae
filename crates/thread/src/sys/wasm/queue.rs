//! Threads that wait for a worker.
//!
//! Rust code pushes to a list under a lock. TypeScript, which may be a main thread that must not wait for one, pushes
//! calls to a stack without a lock (`Control.inbox`); whoever pops next moves them over, oldest first.
//!
//! # Invariants
//! 1. `Control.pending` (without its closing bit) is at most the number of threads in list and inbox: who pushes
//!    does so before counting up, who pops counts down before.
//! 2. So whoever counted down finds a thread.
//!
//! # Fairness
//! In order of arrival, as far as a worker's being woken and its popping are in the same order.
//!
//! # Memory orderings
//! The lock orders the list. `Release` of the inbox's exchange in TypeScript (every `Atomics` call is SeqCst) publishes the
//! call's record to the `Acquire` of the swap here. `pending` only counts: its users order nothing by it.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use heddle_atomics::{Mutex, MutexGuard, PoisonError, futex};

use super::control::{CONTROL, CallRecord};
use super::current::Thread;
use crate::event_loop::EventLoopThread;
use crate::join::Ending;
use crate::layout::PENDING_CLOSING;

/// A thread that Rust code spawned.
pub(super) struct Task {
    pub(super) ending: Arc<dyn Ending>,
    pub(super) run: Run,
    pub(super) thread: Thread,
    pub(super) stack_size: usize,
}

/// What a thread does.
pub(super) enum Run {
    /// It runs from its first line to its last.
    Inside(Box<dyn FnOnce() + Send>),
    /// It is polled, and its worker's event loop runs meanwhile.
    OnEventLoop(Box<dyn FnOnce() -> Box<dyn EventLoopThread> + Send>),
}

/// What a worker takes from the queue.
pub(super) enum Work {
    Task(Task),
    /// A call that TypeScript spawned: the address of a record that lives as long as the module.
    Call(NonNull<CallRecord>),
}

// SAFETY: a call's record is written by TypeScript before it is queued, and by one worker after.
unsafe impl Send for Work {}

static LIST: Mutex<VecDeque<Work>> = Mutex::new(VecDeque::new());

/// The lock is never held while anything of the program's runs, and no operation leaves the list half-changed.
fn list() -> MutexGuard<'static, VecDeque<Work>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a thread and wakes a worker.
pub(super) fn push(task: Task) {
    list().push_back(Work::Task(task));
    CONTROL.pending.fetch_add(1, SeqCst);
    futex::wake(&CONTROL.pending, 1);
}

/// Waits for a thread to run; `None` once the runtime is closing and the queue is empty. `idle` is called before waiting.
pub(super) fn pop(mut idle: impl FnMut()) -> Option<Work> {
    loop {
        let pending = CONTROL.pending.load(Relaxed);
        if pending & !PENDING_CLOSING != 0 {
            if CONTROL
                .pending
                .compare_exchange(pending, pending - 1, SeqCst, Relaxed)
                .is_ok()
            {
                return Some(take());
            }
        } else if pending & PENDING_CLOSING != 0 {
            return None;
        } else {
            idle();
            // Woken or not, look again.
            futex::wait(&CONTROL.pending, 0, None);
        }
    }
}

fn take() -> Work {
    let mut list = list();
    if list.is_empty() {
        move_inbox(&mut list);
    }
    list.pop_front()
        .expect("invariant 2: a thread was counted, so there is one")
}

fn move_inbox(list: &mut VecDeque<Work>) {
    let mut call = NonNull::new(CONTROL.inbox.swap(0, Acquire) as *mut CallRecord);
    let first = list.len();
    while let Some(record) = call {
        list.push_back(Work::Call(record));
        // SAFETY: TypeScript only links records of `Control.call_records`, and this one until it is taken from the list.
        call = NonNull::new(unsafe { record.as_ref() }.next.load(Relaxed) as *mut CallRecord);
    }
    // The inbox has the newest first.
    list.make_contiguous()[first..].reverse();
}
