//! The loop of a worker, and the exports through which its host enters it.
//!
//! A worker's instance has a stack and thread-local storage of its own ("home"), on which the loop below runs. Each thread
//! gets others: a [`ThreadBlock`], with thread-local storage fresh from the module's image. A worker keeps one block of
//! the default size for its next thread.
//!
//! Threads that Rust code spawned never leave Wasm between one and the next, but for those that are polled (`event_loop`). For a call that TypeScript spawned,
//! [`heddle_thread_work`] returns to the host, which calls the export:
//!
//! ```text
//! heddle_thread_work → call; heddle_thread_call_begin(call); [stack and TLS of the call: heddle_set_frame]
//!   heddle_thread_call_enter(call); the export; heddle_thread_call_leave(call) → overflowed?
//! [home again: heddle_set_frame]; the host writes result and outcome; heddle_thread_work …
//! ```
//!
//! # After a trap
//! The host sees the exception, whatever thread ran. It writes the outcome and counts the thread off by itself (nothing
//! in Wasm can be relied on to return), sets stack and thread-local storage back to home, and calls
//! [`heddle_thread_trapped`], which tells those who wait in Rust. The block stays allocated: others may hold references into
//! the dead thread's stack. The worker then ends.
//!
//! The exports are raw ones: wasm-bindgen's wrappers would refuse every call in every worker after one trap.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use heddle_atomics::registry;
use heddle_memory::{BlockError, ThreadBlock};

use super::Head;
use super::control::{CONTROL, WorkerRecord};
use super::current::{self, Thread};
use super::hooks::{self, console_error};
use super::queue::{self, Run, Task, Work};
use super::{event_loop, locals};
use crate::event_loop::EventLoopThread;
use crate::failure::ThreadError;
use crate::join::Ending;
use crate::layout::{
    OUTCOME_OUT_OF_MEMORY, TRACE_ENDED, TRACE_STARTED, TRACE_TRAPPED, WAIT_NONE,
    WORK_ON_EVENT_LOOP, WORKER_ENDED, WORKER_IDLE, WORKER_RUNNING, WORKER_TRAPPED,
};
use crate::time::now_ms_since;

/// A worker, found through the instance's own word; only its own worker touches it.
pub(super) struct Worker {
    pub(super) record: NonNull<WorkerRecord>,
    /// Its place among the records.
    place: u32,
    /// A block for the next thread.
    spare: Option<ThreadBlock>,
    /// The block of the running thread.
    block: Option<ThreadBlock>,
    /// The running thread, where what threads do is noted.
    traced: Option<Thread>,
    /// Whom to tell where the running thread traps.
    pub(super) ending: Option<Arc<dyn Ending>>,
    /// A thread that is to be polled, until it has begun.
    pub(super) waiting: Option<Task>,
    /// The thread that is polled, between two polls.
    pub(super) polled: Option<Box<dyn EventLoopThread>>,
}

/// This instance's worker, or `None` in an instance that is none.
pub(super) fn worker() -> Option<&'static UnsafeCell<Worker>> {
    // SAFETY: the word is 0 or what `heddle_thread_enter` leaked.
    unsafe { (heddle_memory::instance_word() as *const UnsafeCell<Worker>).as_ref() }
}

/// Runs `with` on this instance's worker. Nothing of the program's runs inside `with`.
pub(super) fn with_worker<R>(with: impl FnOnce(&mut Worker) -> R) -> R {
    let worker = worker().expect("only entered workers come here");
    // SAFETY: the worker is this instance's alone, and `with` doesn't come back here.
    with(unsafe { &mut *worker.get() })
}

/// Milliseconds since 1970 at which this worker's clock was 0; `None` where this is no worker.
pub(crate) fn origin_ms() -> Option<f64> {
    // SAFETY: written before the worker entered its loop, by the worker itself.
    worker().map(|_| with_worker(|worker| unsafe { worker.record.as_ref() }.origin_ms))
}

/// Ends what the running thread keeps in thread-local storage, unless it wrote beyond its stack: nobody knows what of that is whole.
pub(crate) fn run_destructors() {
    let is_whole = with_worker(|worker| {
        worker
            .block
            .as_ref()
            .is_none_or(|block| block.check().is_ok())
    });
    if is_whole {
        locals::run_destructors();
    }
}

/// What must be known before a thread's result counts: whether it stayed on its stack. Also counts the thread off.
pub(crate) fn ending() -> Result<(), ThreadError> {
    let checked = with_worker(|worker| {
        // Before anybody who joins the thread is told.
        worker.note_end(TRACE_ENDED);
        let overflow = worker.block.as_ref().and_then(|block| block.check().err());
        if overflow.is_some() {
            // What lies around the block may be damaged, the allocator's own words too: never give it back.
            std::mem::forget(worker.block.take());
        }
        overflow
    });
    CONTROL.dismiss();
    match checked {
        Some(overflow) => Err(ThreadError::StackOverflow {
            stack_size: overflow.stack_size,
        }),
        None => Ok(()),
    }
}

impl Worker {
    pub(super) fn record(&self) -> &WorkerRecord {
        // SAFETY: the record lives as long as the module, and all of it that changes is atomic.
        unsafe { self.record.as_ref() }
    }

    /// A block with a stack of `stack_size` bytes becomes the running thread's.
    pub(super) fn take_block(&mut self, stack_size: usize) -> Result<(usize, usize), BlockError> {
        let block = match self
            .spare
            .take_if(|spare| spare.stack_size() == stack_size.next_multiple_of(16))
        {
            Some(spare) => spare,
            None => ThreadBlock::new(stack_size)?,
        };
        let frame = (block.stack_top(), block.tls_base());
        self.block = Some(block);
        Ok(frame)
    }

    /// The running thread's block becomes the spare one, if it is of the size that most threads have.
    pub(super) fn keep_block(&mut self) {
        let stack_size = CONTROL.stack_size().next_multiple_of(16);
        if let Some(block) = self.block.take_if(|block| block.stack_size() == stack_size) {
            self.spare = Some(block);
        }
        self.block = None;
    }

    /// The running thread has ended, and left what it stood on.
    pub(super) fn end_task(&mut self) {
        self.record().task.store(0, Relaxed);
        self.ending = None;
        self.keep_block();
    }

    /// Notes for the host which thread runs.
    pub(super) fn announce(&mut self, thread: &Thread, record_of_thread: u32) {
        let name = thread.name().unwrap_or_default().as_bytes();
        // SAFETY: `name` is written by this worker alone. The host may read a name that is half the old one and half the
        // new one; it shows it to a human.
        let record = unsafe { self.record.as_mut() };
        let size = name.len().min(record.name.len());
        record.name[..size].copy_from_slice(&name[..size]);
        record.name_size.store(size as u32, Relaxed);
        record.panic_size.store(0, Relaxed);
        record.wait_kind.store(WAIT_NONE, Relaxed);
        record.thread_id.store(thread.number(), Relaxed);
        record.threads_run.fetch_add(1, Relaxed);
        record.task.store(record_of_thread, Relaxed);
        // Release: the host, which reads the state first, sees the rest.
        record.state.store(WORKER_RUNNING, Release);
        if let Some(trace) = CONTROL.trace() {
            trace.note(TRACE_STARTED, thread, self.place, self.now_ms());
            self.traced = Some(thread.clone());
        }
    }

    /// As `time::now_ms`, which looks for the worker itself.
    fn now_ms(&self) -> f64 {
        // SAFETY: written before the worker entered its loop, by the worker itself.
        now_ms_since(unsafe { self.record.as_ref() }.origin_ms)
    }

    /// Notes how the running thread has ended, where that is noted.
    fn note_end(&mut self, kind: u32) {
        if let Some(thread) = self.traced.take()
            && let Some(trace) = CONTROL.trace()
        {
            trace.note(kind, &thread, self.place, self.now_ms());
        }
    }
}

/// What every thread needs before its first line: it is fresh, also for the libraries below.
pub(super) fn enter_thread(thread: Thread) {
    heddle_atomics::set_may_block(true);
    let (slot, generation, home_tls) = with_worker(|worker| {
        let record = worker.record();
        (
            record.registry_slot.load(Relaxed),
            record.registry_generation.load(Relaxed),
            record.home_tls.load(Relaxed),
        )
    });
    locals::enter(home_tls as usize);
    if slot != 0 {
        registry::enter(slot, generation);
    }
    current::enter(thread);
}

/// What every thread leaves behind, after its last line.
pub(super) fn leave_thread() {
    current::leave();
    // `ending` has taken the block of a thread that wrote beyond its stack.
    let (home_tls, is_whole) = with_worker(|worker| {
        let home_tls = worker.record().home_tls.load(Relaxed);
        (home_tls, worker.block.is_some())
    });
    locals::leave(home_tls as usize, is_whole);
}

/// Runs a thread from its first line to its last.
fn run_task(task: Task) {
    let head: *const Head = task.ending.head();
    task.ending.head().set_stack_size(task.stack_size);
    let frame = with_worker(|worker| {
        let frame = worker.take_block(task.stack_size)?;
        worker.announce(&task.thread, head as u32);
        worker.ending = Some(Arc::clone(&task.ending));
        Ok(frame)
    });
    let (stack_top, tls_base) = match frame {
        Ok(frame) => frame,
        Err(failure) => {
            refuse_task(task, failure);
            return;
        }
    };
    let argument = Box::into_raw(Box::new(task)) as usize;
    // SAFETY: the block is this worker's, and `run_task_inside` catches every panic.
    unsafe { heddle_memory::enter_frame(stack_top, tls_base, run_task_inside, argument) };
    with_worker(Worker::end_task);
}

/// Runs on the thread's own stack, with its own thread-local storage.
unsafe extern "C" fn run_task_inside(argument: usize) {
    // SAFETY: `run_task` made the argument from a box and uses it no more.
    let task = unsafe { Box::from_raw(argument as *mut Task) };
    let Task {
        ending,
        run,
        thread,
        ..
    } = *task;
    drop(ending);
    let Run::Inside(run) = run else {
        unreachable!("other threads are polled");
    };
    enter_thread(thread);
    run();
    leave_thread();
}

/// Ends a thread for which there is no stack.
pub(super) fn refuse_task(task: Task, failure: BlockError) {
    let head = task.ending.head();
    head.set_message(&failure.to_string());
    CONTROL.dismiss();
    head.outcome.store(OUTCOME_OUT_OF_MEMORY, Release);
    task.ending.abandon();
}

/// Sets the runtime up, where no worker has done so, and returns the address of its Control.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_start(
    threads_max: u32,
    call_count: u32,
    stack_size: u32,
    parallelism: u32,
    is_traced: u32,
) -> usize {
    // The first threads, before any worker has entered: this one is a worker, so it may block.
    heddle_atomics::set_may_block(true);
    CONTROL.start(
        threads_max,
        call_count,
        stack_size,
        parallelism,
        is_traced != 0,
    );
    static HOOKS: std::sync::Once = std::sync::Once::new();
    HOOKS.call_once(hooks::install);
    &raw const CONTROL as usize
}

/// Makes this instance the worker in `slot`. Returns the address of its record.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_enter(slot: u32, origin_ms: f64) -> usize {
    let record = CONTROL.worker(slot);
    let (home_stack, home_tls) = heddle_memory::current_frame();
    let token = registry::enter_new();
    // SAFETY: the record is this worker's: the supervisor gives a slot to one worker at a time.
    let fields = unsafe { &mut *record };
    fields.origin_ms = origin_ms;
    fields.home_stack.store(home_stack as u32, Relaxed);
    fields.home_tls.store(home_tls as u32, Relaxed);
    fields
        .registry_slot
        .store(token.map_or(0, |token| token.slot()), Relaxed);
    fields
        .registry_generation
        .store(token.map_or(0, |token| token.generation()), Relaxed);
    fields.threads_run.store(0, Relaxed);
    fields.task.store(0, Relaxed);
    let worker = Worker {
        record: NonNull::from(fields),
        place: slot,
        spare: find_locals(),
        block: None,
        traced: None,
        ending: None,
        waiting: None,
        polled: None,
    };
    heddle_memory::set_instance_word(Box::into_raw(Box::new(UnsafeCell::new(worker))) as usize);
    record as usize
}

/// Has the first worker find what libraries keep in thread-local storage; returns the block that it did so in, for a thread.
fn find_locals() -> Option<ThreadBlock> {
    static FOUND: std::sync::Once = std::sync::Once::new();
    let mut spare = None;
    FOUND.call_once(|| {
        spare = ThreadBlock::new(CONTROL.stack_size()).ok();
        let Some(block) = &mut spare else {
            return console_error(
                "heddle-thread: no memory to look for thread-local destructors: none will run",
            );
        };
        for what in locals::find(block) {
            console_error(&format!(
                "heddle-thread: did not find {what}, which will leak"
            ));
        }
    });
    spare
}

/// Runs threads until there is one for the host: a call, whose address it returns, or one that is to be polled
/// (`WORK_ON_EVENT_LOOP`). 0 when the runtime is closing.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_work() -> usize {
    let idle = || {
        with_worker(|worker| {
            worker.record().thread_id.store(0, Relaxed);
            worker.record().state.store(WORKER_IDLE, Release);
        });
    };
    loop {
        match queue::pop(idle) {
            Some(Work::Task(task)) if matches!(task.run, Run::Inside(_)) => run_task(task),
            Some(Work::Task(task)) => {
                if event_loop::prepare(task) {
                    return WORK_ON_EVENT_LOOP as usize;
                }
            }
            Some(Work::Call(call)) => return call.as_ptr() as usize,
            None => {
                end_worker();
                return 0;
            }
        }
    }
}

fn end_worker() {
    with_worker(|worker| {
        worker.spare = None;
        worker.record().state.store(WORKER_ENDED, Release);
    });
    registry::leave();
    heddle_memory::flush();
}

/// Whether the running thread has written beyond its stack; to be called at home, where it trapped.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_overflowed() -> u32 {
    with_worker(|worker| {
        u32::from(
            worker
                .block
                .as_ref()
                .is_some_and(|block| block.check().is_err()),
        )
    })
}

/// Tells Rust code of a trap, after the host has written the outcome; to be called at home. The worker then ends.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_thread_trapped() {
    let ending = with_worker(|worker| {
        worker.note_end(TRACE_TRAPPED);
        worker.record().state.store(WORKER_TRAPPED, Release);
        // Others may hold references into the stack of the thread that trapped.
        std::mem::forget(worker.block.take());
        worker.ending.take()
    });
    // Locks that the thread held become poisoned, and those who wait for them wake.
    registry::reap_token(registry::current());
    if let Some(ending) = ending {
        ending.abandon();
    }
    heddle_memory::flush();
}
