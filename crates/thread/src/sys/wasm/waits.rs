//! What a thread waits for, for whoever lists the threads (`runtime.threads()`): what is not in the registry, where locks and channels
//! note it.
//!
//! # Memory orderings
//! All `Relaxed`: a human reads it, and a wait may be over by then.

use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use super::control::WorkerRecord;
use super::current::Thread;
use super::worker::{with_worker, worker};
use crate::layout::{WAIT_JOIN, WAIT_NONE, WAIT_PARK, WAIT_SCOPE, WAIT_SLEEP};

/// While it exists, this thread is known to wait.
#[must_use]
pub(crate) struct NotedWait(Option<NonNull<WorkerRecord>>);

fn note(kind: u32, id: u32) -> NotedWait {
    if worker().is_none() {
        return NotedWait(None);
    }
    NotedWait(Some(with_worker(|worker| {
        worker.record().wait_id.store(id, Relaxed);
        worker.record().wait_kind.store(kind, Relaxed);
        worker.record
    })))
}

/// This thread waits for the end of `thread`.
pub(crate) fn note_join(thread: &Thread) -> NotedWait {
    note(WAIT_JOIN, thread.number())
}

/// This thread waits for the threads of a scope.
pub(crate) fn note_scope() -> NotedWait {
    note(WAIT_SCOPE, 0)
}

/// This thread waits to be unparked.
pub(super) fn note_park() -> NotedWait {
    note(WAIT_PARK, 0)
}

/// This thread waits for nothing but the time.
pub(super) fn note_sleep() -> NotedWait {
    note(WAIT_SLEEP, 0)
}

impl Drop for NotedWait {
    fn drop(&mut self) {
        if let Some(record) = self.0 {
            // SAFETY: the record lives as long as the module, and only an atomic of it is used here.
            unsafe { record.as_ref() }
                .wait_kind
                .store(WAIT_NONE, Relaxed);
        }
    }
}
