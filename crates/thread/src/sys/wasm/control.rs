//! The records that Rust and TypeScript share (`docs/layout.md`, thread), and the counts of threads and workers.
//!
//! # Invariants
//! 1. `live` counts every thread from [`Control::admit`] to its end, queued ones included, and never exceeds
//!    `threads_max`.
//! 2. The supervisor keeps as many workers as there are live threads (and the pool's minimum), so a thread that was
//!    admitted gets a worker, whatever the others wait for. That is why a spawn beyond the limit is an error and not a
//!    place in the queue: the thread that could make room may be the one that waits.
//! 3. A thread leaves `live` before its outcome changes: who has joined it may spawn the next.

use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use heddle_atomics::{futex, registry};

use super::trace::Trace;
use crate::join::OUTCOME_PENDING;
use crate::layout::{self, CONTROL_MAGIC, CONTROL_VERSION, PENDING_CLOSING};

/// See `Control` in `docs/layout.md`.
#[repr(C, align(8))]
pub(crate) struct Control {
    magic: AtomicU32,
    version: AtomicU32,
    live: AtomicU32,
    workers: AtomicU32,
    pub(super) pending: AtomicU32,
    demand: AtomicU32,
    pub(super) inbox: AtomicU32,
    spawned: AtomicU32,
    threads_max: AtomicU32,
    stack_size: AtomicU32,
    pub(super) parallelism: AtomicU32,
    worker_records: AtomicU32,
    call_records: AtomicU32,
    call_count: AtomicU32,
    trapped: AtomicU32,
    registry: AtomicU32,
    trace: AtomicU32,
    unused: AtomicU32,
}

/// See `Worker` in `docs/layout.md`.
#[repr(C, align(8))]
#[derive(Debug)]
pub(super) struct WorkerRecord {
    pub(super) state: AtomicU32,
    pub(super) task: AtomicU32,
    pub(super) thread_id: AtomicU32,
    pub(super) threads_run: AtomicU32,
    pub(super) home_stack: AtomicU32,
    pub(super) home_tls: AtomicU32,
    pub(super) registry_slot: AtomicU32,
    pub(super) registry_generation: AtomicU32,
    pub(super) origin_ms: f64,
    pub(super) frame_stack: AtomicU32,
    pub(super) frame_tls: AtomicU32,
    pub(super) name_size: AtomicU32,
    pub(super) panic_size: AtomicU32,
    pub(super) name: [u8; 40],
    pub(super) woken: AtomicU32,
    pub(super) wait_kind: AtomicU32,
    pub(super) wait_id: AtomicU32,
    terminated: AtomicU32,
    pub(super) panic: [u8; 144],
}

/// See `Call` in `docs/layout.md`. Only what Rust touches has a name.
#[repr(C, align(8))]
pub(super) struct CallRecord {
    pub(super) outcome: AtomicU32,
    pub(super) state: AtomicU32,
    pub(super) next: AtomicU32,
    export: [u32; 6],
    pub(super) stack_size: AtomicU32,
    pub(super) thread_id: AtomicU32,
    pub(super) name_size: AtomicU32,
    message_size: AtomicU32,
    unused: u32,
    arguments: [u64; 8],
    pub(super) name: [u8; 40],
    message: [u8; 352],
}

/// See `Task` in `docs/layout.md`: the part of a packet that the host writes where the thread traps.
#[repr(C)]
pub struct Head {
    pub(crate) outcome: AtomicU32,
    message_size: AtomicU32,
    stack_size: AtomicU32,
    message: UnsafeCell<[u8; 116]>,
}

// SAFETY: the message is written by the host before it changes the outcome, and read after.
unsafe impl Sync for Head {}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Control>() == layout::control::SIZE);
    assert!(align_of::<Control>() == layout::control::ALIGN);
    assert!(offset_of!(Control, live) == layout::control::LIVE);
    assert!(offset_of!(Control, workers) == layout::control::WORKERS);
    assert!(offset_of!(Control, pending) == layout::control::PENDING);
    assert!(offset_of!(Control, demand) == layout::control::DEMAND);
    assert!(offset_of!(Control, inbox) == layout::control::INBOX);
    assert!(offset_of!(Control, spawned) == layout::control::SPAWNED);
    assert!(offset_of!(Control, threads_max) == layout::control::THREADS_MAX);
    assert!(offset_of!(Control, stack_size) == layout::control::STACK_SIZE);
    assert!(offset_of!(Control, parallelism) == layout::control::PARALLELISM);
    assert!(offset_of!(Control, worker_records) == layout::control::WORKER_RECORDS);
    assert!(offset_of!(Control, call_records) == layout::control::CALL_RECORDS);
    assert!(offset_of!(Control, call_count) == layout::control::CALL_COUNT);
    assert!(offset_of!(Control, trapped) == layout::control::TRAPPED);
    assert!(offset_of!(Control, trace) == layout::control::TRACE);
    assert!(offset_of!(Control, registry) == layout::control::REGISTRY);
    assert!(size_of::<WorkerRecord>() == layout::worker::SIZE);
    assert!(align_of::<WorkerRecord>() == layout::worker::ALIGN);
    assert!(offset_of!(WorkerRecord, state) == layout::worker::STATE);
    assert!(offset_of!(WorkerRecord, task) == layout::worker::TASK);
    assert!(offset_of!(WorkerRecord, thread_id) == layout::worker::THREAD_ID);
    assert!(offset_of!(WorkerRecord, threads_run) == layout::worker::THREADS_RUN);
    assert!(offset_of!(WorkerRecord, home_stack) == layout::worker::HOME_STACK);
    assert!(offset_of!(WorkerRecord, home_tls) == layout::worker::HOME_TLS);
    assert!(offset_of!(WorkerRecord, registry_slot) == layout::worker::REGISTRY_SLOT);
    assert!(offset_of!(WorkerRecord, registry_generation) == layout::worker::REGISTRY_GENERATION);
    assert!(offset_of!(WorkerRecord, origin_ms) == layout::worker::ORIGIN_MS);
    assert!(offset_of!(WorkerRecord, frame_stack) == layout::worker::FRAME_STACK);
    assert!(offset_of!(WorkerRecord, frame_tls) == layout::worker::FRAME_TLS);
    assert!(offset_of!(WorkerRecord, name_size) == layout::worker::NAME_SIZE);
    assert!(offset_of!(WorkerRecord, panic_size) == layout::worker::PANIC_SIZE);
    assert!(offset_of!(WorkerRecord, name) == layout::worker::NAME);
    assert!(offset_of!(WorkerRecord, woken) == layout::worker::WOKEN);
    assert!(offset_of!(WorkerRecord, wait_kind) == layout::worker::WAIT_KIND);
    assert!(offset_of!(WorkerRecord, wait_id) == layout::worker::WAIT_ID);
    assert!(offset_of!(WorkerRecord, terminated) == layout::worker::TERMINATED);
    assert!(offset_of!(WorkerRecord, panic) == layout::worker::PANIC);
    assert!(size_of::<CallRecord>() == layout::call::SIZE);
    assert!(align_of::<CallRecord>() == layout::call::ALIGN);
    assert!(offset_of!(CallRecord, outcome) == layout::call::OUTCOME);
    assert!(offset_of!(CallRecord, state) == layout::call::STATE);
    assert!(offset_of!(CallRecord, next) == layout::call::NEXT);
    assert!(offset_of!(CallRecord, stack_size) == layout::call::STACK_SIZE);
    assert!(offset_of!(CallRecord, thread_id) == layout::call::THREAD_ID);
    assert!(offset_of!(CallRecord, name_size) == layout::call::NAME_SIZE);
    assert!(offset_of!(CallRecord, arguments) == layout::call::ARGUMENTS);
    assert!(offset_of!(CallRecord, name) == layout::call::NAME);
    assert!(offset_of!(CallRecord, message) == layout::call::MESSAGE);
    assert!(size_of::<Head>() == layout::task::SIZE);
    assert!(align_of::<Head>() == layout::task::ALIGN);
    assert!(offset_of!(Head, outcome) == layout::task::OUTCOME);
    assert!(offset_of!(Head, message_size) == layout::task::MESSAGE_SIZE);
    assert!(offset_of!(Head, stack_size) == layout::task::STACK_SIZE);
    assert!(offset_of!(Head, message) == layout::task::MESSAGE);
};

impl Head {
    pub(crate) fn new() -> Self {
        Head {
            outcome: AtomicU32::new(OUTCOME_PENDING),
            message_size: AtomicU32::new(0),
            stack_size: AtomicU32::new(0),
            message: UnsafeCell::new([0; 116]),
        }
    }

    pub(super) fn set_stack_size(&self, bytes: usize) {
        // Relaxed: read by the thread's own worker, and after the outcome has changed.
        self.stack_size.store(bytes as u32, Relaxed);
    }

    pub(crate) fn stack_size(&self) -> usize {
        self.stack_size.load(Relaxed) as usize
    }

    /// Says why the thread ends, before the outcome changes.
    pub(super) fn set_message(&self, text: &str) {
        // SAFETY: the outcome is still pending, so nobody reads, and the thread's worker is the only one to write.
        let message = unsafe { &mut *self.message.get() };
        let size = text.len().min(message.len());
        message[..size].copy_from_slice(&text.as_bytes()[..size]);
        self.message_size.store(size as u32, Relaxed);
    }

    /// What the host wrote; to be called after the outcome has changed.
    pub(crate) fn message(&self) -> String {
        // Relaxed: the Acquire of the outcome comes before.
        let size = self.message_size.load(Relaxed) as usize;
        // SAFETY: nobody writes after the outcome has changed.
        let message = unsafe { &*self.message.get() };
        String::from_utf8_lossy(&message[..size.min(message.len())]).into_owned()
    }
}

/// This module's runtime.
pub(crate) static CONTROL: Control = Control {
    magic: AtomicU32::new(CONTROL_MAGIC),
    version: AtomicU32::new(CONTROL_VERSION),
    live: AtomicU32::new(0),
    workers: AtomicU32::new(0),
    pending: AtomicU32::new(0),
    demand: AtomicU32::new(0),
    inbox: AtomicU32::new(0),
    spawned: AtomicU32::new(0),
    threads_max: AtomicU32::new(0),
    stack_size: AtomicU32::new(0),
    parallelism: AtomicU32::new(0),
    worker_records: AtomicU32::new(0),
    call_records: AtomicU32::new(0),
    call_count: AtomicU32::new(0),
    trapped: AtomicU32::new(0),
    registry: AtomicU32::new(0),
    trace: AtomicU32::new(0),
    unused: AtomicU32::new(0),
};

pub(super) fn not_started() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this module has no threads: start it with WasmRuntime.start() of @heddle/thread",
    )
}

impl Control {
    /// Sets the runtime up; only the first call counts. Called by every worker before its loop.
    pub(super) fn start(
        &self,
        threads_max: u32,
        call_count: u32,
        stack_size: u32,
        parallelism: u32,
        is_traced: bool,
    ) {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            self.stack_size.store(stack_size, Relaxed);
            self.parallelism.store(parallelism, Relaxed);
            self.registry.store(registry::address() as u32, Relaxed);
            self.worker_records
                .store(zeroed::<WorkerRecord>(threads_max), Relaxed);
            self.call_records
                .store(zeroed::<CallRecord>(call_count), Relaxed);
            self.call_count.store(call_count, Relaxed);
            if is_traced {
                self.trace.store(zeroed::<Trace>(1), Relaxed);
            }
            // Release: who sees a limit above 0 in `admit` sees the rest. The host reads it all after a message.
            self.threads_max.store(threads_max, Release);
        });
    }

    /// The record of the worker in `slot`.
    pub(super) fn worker(&self, slot: u32) -> *mut WorkerRecord {
        assert!(
            slot < self.threads_max.load(Acquire),
            "worker {slot} is beyond the limit"
        );
        let records = self.worker_records.load(Relaxed) as *mut WorkerRecord;
        // SAFETY: `start` allocated as many records as the limit says.
        unsafe { records.add(slot as usize) }
    }

    /// Where what threads do is noted, if anywhere.
    pub(super) fn trace(&self) -> Option<&'static Trace> {
        // SAFETY: 0, or what `start` allocated for as long as the module lives; all zeros are an empty one.
        unsafe { (self.trace.load(Relaxed) as *const Trace).as_ref() }
    }

    /// The size of a stack for which nobody asked for another.
    pub(super) fn stack_size(&self) -> usize {
        self.stack_size.load(Relaxed) as usize
    }

    /// The next thread's id, from 1.
    pub(super) fn next_id(&self) -> u32 {
        self.spawned.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// Counts one thread more as live, and asks for a worker where there are fewer than threads (invariants 1, 2).
    pub(super) fn admit(&self) -> io::Result<()> {
        let threads_max = self.threads_max.load(Acquire);
        if threads_max == 0 {
            return Err(not_started());
        }
        if self.pending.load(Relaxed) & PENDING_CLOSING != 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the thread runtime is being closed",
            ));
        }
        let admitted = self.live.try_update(SeqCst, Relaxed, |live| {
            (live < threads_max).then_some(live + 1)
        });
        let Ok(live_before) = admitted else {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!(
                    "all {threads_max} threads that the runtime may have are alive; start it with a higher maxThreads"
                ),
            ));
        };
        // SeqCst here and in the supervisor, which writes `workers` and then reads `live`: one of the two sees the other.
        if live_before + 1 > self.workers.load(SeqCst) {
            self.demand.fetch_add(1, Release);
            futex::wake_all(&self.demand);
        }
        Ok(())
    }

    /// Counts a thread as ended (invariant 3).
    pub(super) fn dismiss(&self) {
        self.live.fetch_sub(1, SeqCst);
    }
}

/// The address of `count` records of zeros, which live as long as the module.
fn zeroed<T>(count: u32) -> u32 {
    let layout = std::alloc::Layout::array::<T>(count.max(1) as usize)
        .expect("a few thousand records at most");
    // SAFETY: no record has size 0.
    let records = unsafe { std::alloc::alloc_zeroed(layout) };
    if records.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    records as u32
}
