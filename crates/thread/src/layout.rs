//! Record sizes, offsets and state words: generated from `layout/thread.json`; edit that.

/// The first word of Control: `HDHT` in memory.
pub const CONTROL_MAGIC: u32 = 0x5448_4448;
/// The version of these records.
pub const CONTROL_VERSION: u32 = 2;
/// The bit of Control.pending that tells workers to end when the queue is empty; the other bits count queued threads.
pub const PENDING_CLOSING: u32 = 0x8000_0000;
/// Worker.state: it has not entered its loop.
pub const WORKER_STARTING: u32 = 0;
/// Worker.state: it waits for a thread to run.
pub const WORKER_IDLE: u32 = 1;
/// Worker.state: it runs a thread.
pub const WORKER_RUNNING: u32 = 2;
/// Worker.state: its thread trapped; it runs no other.
pub const WORKER_TRAPPED: u32 = 3;
/// Worker.state: it has left its loop.
pub const WORKER_ENDED: u32 = 4;
/// Work that a worker takes: a thread that belongs on the event loop. Other work is the address of a Call; 0 is the end.
pub const WORK_ON_EVENT_LOOP: u32 = 1;
/// Worker.woken: nobody has woken the thread on its event loop since it was last polled.
pub const LOOP_ASLEEP: u32 = 0;
/// Worker.woken: the thread on its event loop is to be polled.
pub const LOOP_WOKEN: u32 = 1;
/// Worker.waitKind: the thread waits for nothing that this runtime knows; locks and channels are in the registry.
pub const WAIT_NONE: u32 = 0;
/// Worker.waitKind: it is parked.
pub const WAIT_PARK: u32 = 1;
/// Worker.waitKind: it waits for the end of the thread with the id Worker.waitId.
pub const WAIT_JOIN: u32 = 2;
/// Worker.waitKind: it sleeps.
pub const WAIT_SLEEP: u32 = 3;
/// Worker.waitKind: it waits for the threads of a scope.
pub const WAIT_SCOPE: u32 = 4;
/// Worker.waitKind: its future waits; its event loop runs.
pub const WAIT_EVENT_LOOP: u32 = 5;
/// How many TraceEvents a Trace keeps, a power of two.
pub const TRACE_CAPACITY: u32 = 4096;
/// TraceEvent.kind: somebody has spawned the thread.
pub const TRACE_SPAWNED: u32 = 1;
/// TraceEvent.kind: a worker has begun to run it.
pub const TRACE_STARTED: u32 = 2;
/// TraceEvent.kind: it has returned or panicked, or there was no memory for its stack.
pub const TRACE_ENDED: u32 = 3;
/// TraceEvent.kind: it has trapped.
pub const TRACE_TRAPPED: u32 = 4;
/// TraceEvent.kind: its worker is gone.
pub const TRACE_TERMINATED: u32 = 5;
/// Task.outcome and Call.outcome: the thread has not ended.
pub const OUTCOME_PENDING: u32 = 0;
/// The thread ended; a Task's result (or panic) is in the module's own memory, a Call's in Call.result.
pub const OUTCOME_RETURNED: u32 = 1;
/// A Call's thread panicked; the message is in the record.
pub const OUTCOME_PANICKED: u32 = 2;
/// The thread trapped; the message is in the record.
pub const OUTCOME_TRAPPED: u32 = 3;
/// The thread wrote beyond its stack.
pub const OUTCOME_OVERFLOWED: u32 = 4;
/// There was no memory for the thread's stack.
pub const OUTCOME_OUT_OF_MEMORY: u32 = 5;
/// A Call's export threw a JavaScript error; the message is in the record.
pub const OUTCOME_THREW: u32 = 6;
/// The worker died or was terminated under the thread.
pub const OUTCOME_TERMINATED: u32 = 7;
/// Call.state: the record is nobody's.
pub const CALL_FREE: u32 = 0;
/// Call.state: TypeScript fills the record in, or reads the result from it.
pub const CALL_CLAIMED: u32 = 1;
/// Call.state: it waits for a worker.
pub const CALL_QUEUED: u32 = 2;
/// Call.state: a worker runs it.
pub const CALL_RUNNING: u32 = 3;
/// Control.begun: no instance has been initialised.
pub const BEGUN_NOT: u32 = 0;
/// Control.begun: one is being initialised.
pub const BEGUN_RUNNING: u32 = 1;
/// Control.begun: one has been, which is enough for all.
pub const BEGUN_DONE: u32 = 2;
/// Control.begun: the module's function for that has failed.
pub const BEGUN_FAILED: u32 = 3;
/// Call.resultKind: the export returned nothing.
pub const RESULT_UNDEFINED: u32 = 0;
/// Call.resultKind: Call.result is a 64-bit float.
pub const RESULT_NUMBER: u32 = 1;
/// Call.resultKind: Call.result is a 64-bit integer.
pub const RESULT_BIGINT: u32 = 2;

/// The thread runtime of one module.
pub mod control {
    /// Bytes of the record.
    pub const SIZE: usize = 72;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// CONTROL_MAGIC.
    pub const MAGIC: usize = 0;
    /// CONTROL_VERSION.
    pub const VERSION: usize = 4;
    /// Threads spawned and not ended, queued ones included.
    pub const LIVE: usize = 8;
    /// Workers started or starting; written by the supervisor alone.
    pub const WORKERS: usize = 12;
    /// Threads queued and not taken by a worker, and PENDING_CLOSING. Idle workers wait on it.
    pub const PENDING: usize = 16;
    /// Changed and notified when there are more threads than workers. The supervisor waits on it.
    pub const DEMAND: usize = 20;
    /// Address of the newest Call that no worker has moved to the queue; 0: none.
    pub const INBOX: usize = 24;
    /// Threads ever spawned: the last thread id.
    pub const SPAWNED: usize = 28;
    /// What `live` may not exceed.
    pub const THREADS_MAX: usize = 32;
    /// Bytes of stack of a thread that asks for nothing else.
    pub const STACK_SIZE: usize = 36;
    /// Threads that the machine can run at once.
    pub const PARALLELISM: usize = 40;
    /// Address of the Worker records, `threadsMax` of them.
    pub const WORKER_RECORDS: usize = 44;
    /// Address of the Call records.
    pub const CALL_RECORDS: usize = 48;
    /// Number of Call records.
    pub const CALL_COUNT: usize = 52;
    /// Threads that trapped.
    pub const TRAPPED: usize = 56;
    /// Address of the registry of threads, where their locks and channels note what they wait for.
    pub const REGISTRY: usize = 60;
    /// Address of the Trace; 0: nobody keeps note of what threads do.
    pub const TRACE: usize = 64;
    /// BEGUN_NOT and so on, of a hosted module; else 0. Its workers wait on it.
    pub const BEGUN: usize = 68;
}

/// A worker and the thread that it runs.
pub mod worker {
    /// Bytes of the record.
    pub const SIZE: usize = 256;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// WORKER_STARTING and so on.
    pub const STATE: usize = 0;
    /// Address of the Task or Call that it runs, whose first word is the outcome; 0: none.
    pub const TASK: usize = 4;
    /// The id of the thread that it runs; 0: none.
    pub const THREAD_ID: usize = 8;
    /// Threads that it has run or runs.
    pub const THREADS_RUN: usize = 12;
    /// The worker's own stack pointer, to come back to after a trap.
    pub const HOME_STACK: usize = 16;
    /// The worker's own thread-local storage.
    pub const HOME_TLS: usize = 20;
    /// Its slot in the registry of threads; 0: none.
    pub const REGISTRY_SLOT: usize = 24;
    /// The generation of that slot.
    pub const REGISTRY_GENERATION: usize = 28;
    /// Milliseconds since 1970 at which its `performance.now()` was 0.
    pub const ORIGIN_MS: usize = 32;
    /// The stack pointer that a Call, or a thread on its event loop, starts with.
    pub const FRAME_STACK: usize = 40;
    /// The thread-local storage of that thread.
    pub const FRAME_TLS: usize = 44;
    /// Bytes of the thread's name.
    pub const NAME_SIZE: usize = 48;
    /// Bytes of the last panic's message; 0: the thread has not panicked.
    pub const PANIC_SIZE: usize = 52;
    /// The thread's name, UTF-8, cut at 40 bytes.
    pub const NAME: usize = 56;
    /// LOOP_ASLEEP or LOOP_WOKEN. A thread on its event loop waits on it between two polls.
    pub const WOKEN: usize = 96;
    /// WAIT_NONE and so on.
    pub const WAIT_KIND: usize = 100;
    /// The id of the thread that it joins; else 0.
    pub const WAIT_ID: usize = 104;
    /// Where wasm-bindgen's JavaScript in this worker notes a trap.
    pub const TERMINATED: usize = 108;
    /// The last panic's message, UTF-8, cut at 144 bytes.
    pub const PANIC: usize = 112;
}

/// The head of a Trace; TRACE_CAPACITY events follow it. The event with number n is in place n modulo that.
pub mod trace_header {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// Events that somebody writes or has written: the number of the next one.
    pub const TAKEN: usize = 0;
    /// One more with each event that has been written. Observers wait on it.
    pub const WRITTEN: usize = 4;
}

/// What a thread has done.
pub mod trace_event {
    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The event's number plus 1, written last; 0 while it is being written.
    pub const NUMBER: usize = 0;
    /// TRACE_SPAWNED and so on.
    pub const KIND: usize = 4;
    /// When, in milliseconds since 1970.
    pub const TIME_MS: usize = 8;
    /// The thread's id.
    pub const THREAD_ID: usize = 16;
    /// TRACE_SPAWNED: the id of the thread that spawned it, 0 for one outside of the runtime. Else the worker's place.
    pub const OTHER_ID: usize = 20;
    /// Bytes of the name.
    pub const NAME_SIZE: usize = 24;
    /// The thread's name, UTF-8, cut at 36 bytes.
    pub const NAME: usize = 28;
}

/// What the host needs to know of a thread that Rust code spawned.
pub mod task {
    /// Bytes of the record.
    pub const SIZE: usize = 128;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// OUTCOME_PENDING and so on. Joining threads wait on it.
    pub const OUTCOME: usize = 0;
    /// Bytes of the message.
    pub const MESSAGE_SIZE: usize = 4;
    /// Bytes of stack that it asked for.
    pub const STACK_SIZE: usize = 8;
    /// Why it trapped, UTF-8, cut at 116 bytes.
    pub const MESSAGE: usize = 12;
}

/// A call of an export on a thread of its own, spawned by TypeScript.
pub mod call {
    /// Bytes of the record.
    pub const SIZE: usize = 512;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// OUTCOME_PENDING and so on. Joining threads wait on it.
    pub const OUTCOME: usize = 0;
    /// CALL_FREE and so on.
    pub const STATE: usize = 4;
    /// Address of the next older Call in the inbox.
    pub const NEXT: usize = 8;
    /// Position of the export among those of the module.
    pub const EXPORT_INDEX: usize = 12;
    /// Number of arguments, at most 8.
    pub const ARGUMENT_COUNT: usize = 16;
    /// Bit i: argument i is a 64-bit integer, else a 64-bit float.
    pub const ARGUMENT_KINDS: usize = 20;
    /// What the export returned.
    pub const RESULT: usize = 24;
    /// RESULT_UNDEFINED and so on.
    pub const RESULT_KIND: usize = 32;
    /// Bytes of stack; 0: Control.stackSize.
    pub const STACK_SIZE: usize = 36;
    /// The thread's id.
    pub const THREAD_ID: usize = 40;
    /// Bytes of the name.
    pub const NAME_SIZE: usize = 44;
    /// Bytes of the message.
    pub const MESSAGE_SIZE: usize = 48;
    /// 1 where nobody will read the result: the worker frees the record. Only of a hosted module.
    pub const IS_DETACHED: usize = 52;
    /// The arguments.
    pub const ARGUMENTS: usize = 56;
    /// The thread's name, UTF-8.
    pub const NAME: usize = 120;
    /// Why it failed, UTF-8, cut at 352 bytes.
    pub const MESSAGE: usize = 160;
}
