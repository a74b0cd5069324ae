//! Wasm: threads run on workers that wait, inside Wasm, for the next one.
//!
//! | module | holds |
//! |---|---|
//! | `control` | the records that TypeScript sees, and the counts of threads and workers |
//! | `queue` | threads that wait for a worker |
//! | `worker` | the loop of a worker, and the exports through which its host enters it |
//! | `calls` | exports that TypeScript has called on threads |
//! | `event_loop` | threads that are polled, and the exports through which their worker's host does so |
//! | `current` | the running thread: its name, its id, its parker |
//! | `trace` | what threads do, for whoever observes them |
//! | `waits` | what a thread waits for, where no lock or channel tells |
//! | `hooks` | what a panic, a refused allocation and a trap lead to |
//! | `locals` | what std and wasm-bindgen keep in thread-local storage: destructors, free slots |

mod calls;
mod control;
mod current;
mod event_loop;
mod hooks;
mod locals;
mod queue;
mod reserve;
mod trace;
mod waits;
mod worker;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use heddle_atomics::futex;

use crate::builder::Builder;
use crate::event_loop::EventLoopThread;
use crate::join::Ending;
use crate::layout::TRACE_SPAWNED;

pub(crate) use control::{CONTROL, Head};
pub use current::{Thread, ThreadId, current, park, park_timeout};
pub(crate) use event_loop::{has_host_event_loop, spawn_on_host_event_loop};
pub use hooks::hide_panic_messages;
pub use reserve::keep_reserve;
pub(crate) use waits::{note_join, note_scope};
pub(crate) use worker::{ending, origin_ms, run_destructors};

/// Who holds a thread's packet at its end, if nobody waits for it: the closure, and its worker.
pub(crate) const HOLDERS_AT_END: usize = 2;

/// There is no thread of the operating system to wait for.
#[derive(Debug)]
pub struct NativeHandle;

impl NativeHandle {
    pub(crate) fn join(self) {}
}

/// # Safety
/// The thread has ended before anything that `run` borrows does.
pub(crate) unsafe fn spawn<'a, E: Ending + 'a>(
    builder: Builder,
    ending: Arc<E>,
    run: impl FnOnce() + Send + 'a,
) -> io::Result<(NativeHandle, Thread)> {
    let ending: Arc<dyn Ending + 'a> = ending;
    let run: Box<dyn FnOnce() + Send + 'a> = Box::new(run);
    // SAFETY: only lifetimes change, and by this function's contract what they stand for outlives the thread.
    let (ending, run) = unsafe {
        (
            std::mem::transmute::<Arc<dyn Ending + 'a>, Arc<dyn Ending>>(ending),
            std::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Box<dyn FnOnce() + Send>>(run),
        )
    };
    queue(builder, ending, queue::Run::Inside(run))
}

/// A thread that polls what `begin` makes; between two polls its worker's event loop runs.
pub(crate) fn spawn_on_event_loop(
    builder: Builder,
    ending: Arc<impl Ending + 'static>,
    begin: impl FnOnce() -> Box<dyn EventLoopThread> + Send + 'static,
) -> io::Result<(NativeHandle, Thread)> {
    queue(builder, ending, queue::Run::OnEventLoop(Box::new(begin)))
}

fn queue(
    builder: Builder,
    ending: Arc<dyn Ending>,
    run: queue::Run,
) -> io::Result<(NativeHandle, Thread)> {
    CONTROL.admit()?;
    let thread = Thread::new(builder.name);
    let stack_size = builder.stack_size.unwrap_or_else(|| CONTROL.stack_size());
    if let Some(trace) = CONTROL.trace() {
        let spawner = current::number_if_running();
        trace.note(TRACE_SPAWNED, &thread, spawner, crate::time::now_ms());
    }
    queue::push(queue::Task {
        ending,
        run,
        thread: thread.clone(),
        stack_size,
    });
    Ok((NativeHandle, thread))
}

/// How many threads the machine can run at once, as its host says (`navigator.hardwareConcurrency`).
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] where no runtime has been started.
pub fn available_parallelism() -> io::Result<NonZero<usize>> {
    NonZero::new(CONTROL.parallelism.load(Relaxed) as usize).ok_or_else(control::not_started)
}

/// Blocks this thread for at least `duration`.
pub fn sleep(duration: Duration) {
    let end = crate::time::Instant::now();
    let _noted = waits::note_sleep();
    let word = AtomicU32::new(0);
    loop {
        let rest = duration.saturating_sub(end.elapsed());
        if rest.is_zero() {
            return;
        }
        // Nobody knows the word, so this ends with the time, or early for no reason.
        futex::wait(&word, 0, Some(rest));
    }
}

/// Lets other threads run: this one sleeps for as short as the host can.
pub fn yield_now() {
    futex::wait(&AtomicU32::new(0), 0, Some(Duration::from_nanos(1)));
}
