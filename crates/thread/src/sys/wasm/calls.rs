//! Exports that TypeScript has called on threads: what their worker's host does around the export. See `worker` for the order.

use std::sync::atomic::Ordering::Relaxed;

use super::control::{CONTROL, CallRecord};
use super::current::Thread;
use super::worker::{Worker, ending, enter_thread, leave_thread, run_destructors, with_worker};
use crate::exit;
use crate::layout::CALL_RUNNING;

/// Prepares a stack and thread-local storage for `call`; the Worker record then tells which. Returns 0 where there is no
/// memory for that.
///
/// # Safety
/// `call` is what [`heddle_thread_work`] returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heddle_thread_call_begin(call: *mut CallRecord) -> u32 {
    // SAFETY: by this function's contract the record is this worker's until the host reports the outcome.
    let call = unsafe { &*call };
    let stack_size = match call.stack_size.load(Relaxed) as usize {
        0 => CONTROL.stack_size(),
        stack_size => stack_size,
    };
    let taken = with_worker(|worker| {
        let (stack_top, tls_base) = worker.take_block(stack_size).ok()?;
        worker.record().frame_stack.store(stack_top as u32, Relaxed);
        worker.record().frame_tls.store(tls_base as u32, Relaxed);
        worker.announce(&thread_of(call), &raw const *call as u32);
        Some(tls_base)
    });
    let Some(tls_base) = taken else {
        CONTROL.dismiss();
        return 0;
    };
    call.state.store(CALL_RUNNING, Relaxed);
    // SAFETY: the block is fresh, and nothing after this line uses thread-local storage before the host has switched.
    unsafe { heddle_memory::init_tls(tls_base) };
    1
}

fn thread_of(call: &CallRecord) -> Thread {
    let size = (call.name_size.load(Relaxed) as usize).min(call.name.len());
    let name = (size > 0).then(|| String::from_utf8_lossy(&call.name[..size]).into_owned());
    Thread::with_id(call.thread_id.load(Relaxed), name)
}

/// The first thing on a call's own stack.
///
/// # Safety
/// `call` is what [`heddle_thread_work`] returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heddle_thread_call_enter(call: *mut CallRecord) {
    // SAFETY: by this function's contract the record is this worker's until the host reports the outcome.
    enter_thread(thread_of(unsafe { &*call }));
}

/// The last thing on a call's own stack, after it returned or panicked. Returns 1 where it wrote beyond that stack.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_call_leave() -> u32 {
    exit::run_hooks();
    run_destructors();
    let has_overflowed = ending().is_err();
    leave_thread();
    u32::from(has_overflowed)
}

/// Takes back what the call stood on; to be called at home.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_call_end() {
    with_worker(Worker::keep_block);
}
