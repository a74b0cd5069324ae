//! Native targets: std's threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Wake, Waker};

use crate::builder::Builder;
use crate::event_loop::EventLoopThread;
use crate::failure::ThreadError;
use crate::join::{Ending, OUTCOME_PENDING};

pub use std::thread::{
    Thread, ThreadId, available_parallelism, current, park, park_timeout, sleep, yield_now,
};

/// Sets memory aside for the panic that a refused allocation becomes: in Wasm. Natively such an allocation ends the process.
pub fn keep_reserve() {}

/// Whether messages of panics that were put together at run time are kept from the console and TypeScript: in Wasm. Natively such
/// things are said by the hook of [`std::panic::set_hook`].
pub fn hide_panic_messages(_hides: bool) {}

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

/// A thread that polls what `begin` makes and sleeps between.
pub(crate) fn spawn_on_event_loop(
    builder: Builder,
    ending: Arc<impl Ending>,
    begin: impl FnOnce() -> Box<dyn EventLoopThread> + Send + 'static,
) -> io::Result<(NativeHandle, Thread)> {
    let run = move || {
        let mut thread = begin();
        let waker = Waker::from(Arc::new(Unpark(current())));
        let mut context = Context::from_waker(&waker);
        while thread.poll(&mut context).is_pending() {
            // Woken or not, poll again.
            park();
        }
        thread.end();
    };
    // SAFETY: what it borrows lives for ever.
    unsafe { spawn(builder, ending, run) }
}

/// Wakes a thread from its sleep between two polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Natively only threads of [`spawn_async`](crate::spawn_async) have an event loop.
pub(crate) fn has_host_event_loop() -> bool {
    false
}

/// Natively there is no such event loop.
pub(crate) fn spawn_on_host_event_loop(_future: impl Future<Output = ()> + 'static) {}

/// In Wasm whoever lists the threads sees what they wait for; natively there is no such list.
pub(crate) struct NotedWait;

/// This thread waits for the end of `thread`.
pub(crate) fn note_join(_thread: &Thread) -> NotedWait {
    NotedWait
}

/// This thread waits for the threads of a scope.
pub(crate) fn note_scope() -> NotedWait {
    NotedWait
}

/// What must be known before a thread's result counts: natively an overflow faults at once.
pub(crate) fn ending() -> Result<(), ThreadError> {
    Ok(())
}

/// Who holds a thread's packet at its end, if nobody waits for it: the closure.
pub(crate) const HOLDERS_AT_END: usize = 1;

/// The operating system does it, before the thread counts as joined.
pub(crate) fn run_destructors() {}
