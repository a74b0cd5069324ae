//! Threads that are polled: what their worker's host calls, and how they are woken.
//!
//! The thread keeps its stack and its thread-local storage while its worker's event loop runs, so that whatever JavaScript calls
//! meanwhile – a promise's callback, a timer's – runs on the thread too:
//!
//! ```text
//! heddle_thread_work → WORK_ON_EVENT_LOOP; [stack and TLS of the thread: heddle_set_frame] heddle_thread_loop_begin
//!   heddle_thread_loop_poll → 0; [the event loop, until Worker.woken is LOOP_WOKEN] heddle_thread_loop_poll → … → 1
//!   [one more turn of the event loop] heddle_thread_loop_leave
//! [home again: heddle_set_frame] heddle_thread_loop_end; heddle_thread_work …
//! ```
//!
//! # Invariants
//! 1. A waker is the address of its worker's record, which lives as long as the module. One that outlives its thread wakes whichever
//!    thread the worker runs then, once too often; that one is polled for no reason, as futures may be.
//! 2. `woken` is set back before each poll: what is told during the poll or after leads to another one.
//!
//! # Memory orderings
//! `Release` in [`wake`] publishes what the waker's thread did to the `Acquire` with which [`heddle_thread_loop_poll`] takes the
//! wake-up. The host looks at the word with `Atomics`, SeqCst, and only to know whether to wait.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use heddle_atomics::futex;

use super::control::WorkerRecord;
use super::queue::{Run, Task};
use super::worker::{enter_thread, leave_thread, refuse_task, with_worker, worker};
use crate::layout::{LOOP_ASLEEP, LOOP_WOKEN, WAIT_EVENT_LOOP, WAIT_NONE};

const WAKER: RawWakerVTable = RawWakerVTable::new(
    |record| RawWaker::new(record, &WAKER),
    wake,
    wake,
    |_record| {},
);

/// # Safety
/// `record` is the address of a worker's record.
unsafe fn wake(record: *const ()) {
    // SAFETY: by this function's contract, and invariant 1.
    let record = unsafe { &*record.cast::<WorkerRecord>() };
    if record.woken.swap(LOOP_WOKEN, Release) == LOOP_ASLEEP {
        futex::wake(&record.woken, 1);
    }
}

/// Prepares stack and thread-local storage for a thread that is to be polled; `false` where there is no memory for that, and the
/// thread has been told.
pub(super) fn prepare(task: Task) -> bool {
    task.ending.head().set_stack_size(task.stack_size);
    let head = std::ptr::from_ref(task.ending.head()) as u32;
    let frame = with_worker(|worker| {
        let (stack_top, tls_base) = worker.take_block(task.stack_size)?;
        let record = worker.record();
        record.frame_stack.store(stack_top as u32, Relaxed);
        record.frame_tls.store(tls_base as u32, Relaxed);
        record.woken.store(LOOP_ASLEEP, Relaxed);
        worker.announce(&task.thread, head);
        worker.ending = Some(Arc::clone(&task.ending));
        Ok(tls_base)
    });
    match frame {
        Ok(tls_base) => {
            with_worker(|worker| worker.waiting = Some(task));
            // SAFETY: the block is fresh, and nothing uses thread-local storage before the host has switched.
            unsafe { heddle_memory::init_tls(tls_base) };
            true
        }
        Err(failure) => {
            refuse_task(task, failure);
            false
        }
    }
}

/// The first thing on the thread's own stack: makes its future.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_loop_begin() {
    let task = with_worker(|worker| worker.waiting.take());
    let Task {
        ending,
        run,
        thread,
        ..
    } = task.expect("heddle_thread_work has prepared a thread");
    drop(ending);
    let Run::OnEventLoop(begin) = run else {
        unreachable!("other threads are run inside");
    };
    enter_thread(thread);
    let polled = begin();
    with_worker(|worker| worker.polled = Some(polled));
}

/// Polls the thread; 1 when its future has ended, 0 while it waits to be woken.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_loop_poll() -> u32 {
    let (mut polled, record) = with_worker(|worker| (worker.polled.take(), worker.record));
    let thread = polled.as_mut().expect("a thread is on this event loop");
    // SAFETY: the record lives as long as the module, and only atomics of it are used here.
    let fields = unsafe { record.as_ref() };
    fields.wait_kind.store(WAIT_NONE, Relaxed);
    // Invariant 2.
    fields.woken.swap(LOOP_ASLEEP, Acquire);
    // SAFETY: the functions of the table take such an address.
    let waker = unsafe { Waker::new(record.as_ptr().cast_const().cast(), &WAKER) };
    let is_ready = thread.poll(&mut Context::from_waker(&waker)).is_ready();
    with_worker(|worker| worker.polled = polled);
    if !is_ready {
        fields.wait_kind.store(WAIT_EVENT_LOOP, Relaxed);
    }
    u32::from(is_ready)
}

/// The last thing on the thread's own stack, after its future has ended.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_loop_leave() {
    let polled = with_worker(|worker| worker.polled.take());
    polled.expect("a thread is on this event loop").end();
    leave_thread();
}

/// Takes back what the thread stood on; to be called at home.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_loop_end() {
    with_worker(super::worker::Worker::end_task);
}

/// Whether code runs here outside of a runtime's threads, thus on an event loop that nobody has taken.
pub(crate) fn has_host_event_loop() -> bool {
    worker().is_none()
}

/// Has wasm-bindgen run the future.
pub(crate) fn spawn_on_host_event_loop(future: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(future);
}
