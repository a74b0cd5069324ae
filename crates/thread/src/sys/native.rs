//! Native targets: std's threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::builder::Builder;
use crate::failure::ThreadError;
use crate::join::{Ending, OUTCOME_PENDING};

pub use std::thread::{
    Thread, ThreadId, available_parallelism, current, park, park_timeout, sleep, yield_now,
};

/// Sets memory aside for the panic that a refused allocation becomes: in Wasm. Natively such an allocation ends the process.
pub fn keep_reserve() {}

/// The outcome alone: natively no host writes into it.
pub struct Head {
    pub(crate) outcome: AtomicU32,
}

impl Head {
    pub(crate) fn new() -> Self {
        Head {
            outcome: AtomicU32::new(OUTCOME_PENDING),
        }
    }

    pub(crate) fn message(&self) -> String {
        String::new()
    }

    pub(crate) fn stack_size(&self) -> usize {
        0
    }
}

/// The operating system's thread, so that joining waits for its destructors of thread-locals too.
#[derive(Debug)]
pub struct NativeHandle(std::thread::JoinHandle<()>);

impl NativeHandle {
    pub(crate) fn join(self) {
        // The closure catches its own panics; what is left is a panic in a thread-local's destructor, which aborts.
        self.0
            .join()
            .expect("a thread's closure catches its panics");
    }
}

/// # Safety
/// The thread has ended before anything that `run` borrows does.
pub(crate) unsafe fn spawn(
    builder: Builder,
    _ending: Arc<impl Ending>,
    run: impl FnOnce() + Send,
) -> io::Result<(NativeHandle, Thread)> {
    let mut native = std::thread::Builder::new();
    if let Some(name) = builder.name {
        native = native.name(name);
    }
    if let Some(bytes) = builder.stack_size {
        native = native.stack_size(bytes);
    }
    // SAFETY: passed on from the caller.
    let handle = unsafe { native.spawn_unchecked(run) }?;
    let thread = handle.thread().clone();
    Ok((NativeHandle(handle), thread))
}

/// What must be known before a thread's result counts: natively an overflow faults at once.
pub(crate) fn ending() -> Result<(), ThreadError> {
    Ok(())
}

/// Who holds a thread's packet at its end, if nobody waits for it: the closure.
pub(crate) const HOLDERS_AT_END: usize = 1;

/// The operating system does it, before the thread counts as joined.
pub(crate) fn run_destructors() {}
