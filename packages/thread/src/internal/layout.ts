// Record sizes, offsets and state words: generated from layout/thread.json; edit that.

/** The first word of Control: `HDHT` in memory. */
export const CONTROL_MAGIC = 0x5448_4448;
/** The version of these records. */
export const CONTROL_VERSION = 2;
/** The bit of Control.pending that tells workers to end when the queue is empty; the other bits count queued threads. */
export const PENDING_CLOSING = 0x8000_0000;
/** Worker.state: it has not entered its loop. */
export const WORKER_STARTING = 0;
/** Worker.state: it waits for a thread to run. */
export const WORKER_IDLE = 1;
/** Worker.state: it runs a thread. */
export const WORKER_RUNNING = 2;
/** Worker.state: its thread trapped; it runs no other. */
export const WORKER_TRAPPED = 3;
/** Worker.state: it has left its loop. */
export const WORKER_ENDED = 4;
/** Work that a worker takes: a thread that belongs on the event loop. Other work is the address of a Call; 0 is the end. */
export const WORK_ON_EVENT_LOOP = 1;
/** Worker.woken: nobody has woken the thread on its event loop since it was last polled. */
export const LOOP_ASLEEP = 0;
/** Worker.woken: the thread on its event loop is to be polled. */
export const LOOP_WOKEN = 1;
/** Worker.waitKind: the thread waits for nothing that this runtime knows; locks and channels are in the registry. */
export const WAIT_NONE = 0;
/** Worker.waitKind: it is parked. */
export const WAIT_PARK = 1;
/** Worker.waitKind: it waits for the end of the thread with the id Worker.waitId. */
export const WAIT_JOIN = 2;
/** Worker.waitKind: it sleeps. */
export const WAIT_SLEEP = 3;
/** Worker.waitKind: it waits for the threads of a scope. */
export const WAIT_SCOPE = 4;
/** Worker.waitKind: its future waits; its event loop runs. */
export const WAIT_EVENT_LOOP = 5;
/** Desk.waitsFor: it sleeps on a word of which nobody has said more. */
export const WAIT_WORD = 6;
/** How many TraceEvents a Trace keeps, a power of two. */
export const TRACE_CAPACITY = 4096;
/** TraceEvent.kind: somebody has spawned the thread. */
export const TRACE_SPAWNED = 1;
/** TraceEvent.kind: a worker has begun to run it. */
export const TRACE_STARTED = 2;
/** TraceEvent.kind: it has returned or panicked, or there was no memory for its stack. */
export const TRACE_ENDED = 3;
/** TraceEvent.kind: it has trapped. */
export const TRACE_TRAPPED = 4;
/** TraceEvent.kind: its worker is gone. */
export const TRACE_TERMINATED = 5;
/** Task.outcome and Call.outcome: the thread has not ended. */
export const OUTCOME_PENDING = 0;
/** The thread ended; a Task's result (or panic) is in the module's own memory, a Call's in Call.result. */
export const OUTCOME_RETURNED = 1;
/** A Call's thread panicked; the message is in the record. */
export const OUTCOME_PANICKED = 2;
/** The thread trapped; the message is in the record. */
export const OUTCOME_TRAPPED = 3;
/** The thread wrote beyond its stack. */
export const OUTCOME_OVERFLOWED = 4;
/** There was no memory for the thread's stack. */
export const OUTCOME_OUT_OF_MEMORY = 5;
/** A Call's export threw a JavaScript error; the message is in the record. */
export const OUTCOME_THREW = 6;
/** The worker died or was terminated under the thread. */
export const OUTCOME_TERMINATED = 7;
/** Call.state: the record is nobody's. */
export const CALL_FREE = 0;
/** Call.state: TypeScript fills the record in, or reads the result from it. */
export const CALL_CLAIMED = 1;
/** Call.state: it waits for a worker. */
export const CALL_QUEUED = 2;
/** Call.state: a worker runs it. */
export const CALL_RUNNING = 3;
/** Control.begun: no instance has been initialised. */
export const BEGUN_NOT = 0;
/** Control.begun: one is being initialised. */
export const BEGUN_RUNNING = 1;
/** Control.begun: one has been, which is enough for all. */
export const BEGUN_DONE = 2;
/** Control.begun: the module's function for that has failed. */
export const BEGUN_FAILED = 3;
/** Call.resultKind: the export returned nothing. */
export const RESULT_UNDEFINED = 0;
/** Call.resultKind: Call.result is a 64-bit float. */
export const RESULT_NUMBER = 1;
/** Call.resultKind: Call.result is a 64-bit integer. */
export const RESULT_BIGINT = 2;
/** Desk.outcome: the function returned the value in Desk.cells. */
export const DESK_RETURNED = 0;
/** Desk.outcome: the function threw the value in Desk.cells. */
export const DESK_THREW = 1;
/** Desk.function: the call is in a message. */
export const DESK_BY_MESSAGE = 0xffff_ffff;
/** Desk.outcome: what came out is in a message. */
export const DESK_POSTED = 2;
/** Desk.outcome: the worker ended itself. */
export const DESK_DIED = 3;

/** Bytes of Control: The thread runtime of one module. */
export const CONTROL_SIZE = 72;
/** Alignment of Control, in bytes. */
export const CONTROL_ALIGN = 8;
/** CONTROL_MAGIC. */
export const CONTROL_MAGIC_OFFSET = 0;
/** CONTROL_VERSION. */
export const CONTROL_VERSION_OFFSET = 4;
/** Threads spawned and not ended, queued ones included. */
export const CONTROL_LIVE_OFFSET = 8;
/** Workers started or starting; written by the supervisor alone. */
export const CONTROL_WORKERS_OFFSET = 12;
/** Threads queued and not taken by a worker, and PENDING_CLOSING. Idle workers wait on it. */
export const CONTROL_PENDING_OFFSET = 16;
/** Changed and notified when there are more threads than workers. The supervisor waits on it. */
export const CONTROL_DEMAND_OFFSET = 20;
/** Address of the newest Call that no worker has moved to the queue; 0: none. */
export const CONTROL_INBOX_OFFSET = 24;
/** Threads ever spawned: the last thread id. */
export const CONTROL_SPAWNED_OFFSET = 28;
/** What `live` may not exceed. */
export const CONTROL_THREADS_MAX_OFFSET = 32;
/** Bytes of stack of a thread that asks for nothing else. */
export const CONTROL_STACK_SIZE_OFFSET = 36;
/** Threads that the machine can run at once. */
export const CONTROL_PARALLELISM_OFFSET = 40;
/** Address of the Worker records, `threadsMax` of them. */
export const CONTROL_WORKER_RECORDS_OFFSET = 44;
/** Address of the Call records. */
export const CONTROL_CALL_RECORDS_OFFSET = 48;
/** Number of Call records. */
export const CONTROL_CALL_COUNT_OFFSET = 52;
/** Threads that trapped. */
export const CONTROL_TRAPPED_OFFSET = 56;
/** Address of the registry of threads, where their locks and channels note what they wait for. */
export const CONTROL_REGISTRY_OFFSET = 60;
/** Address of the Trace; 0: nobody keeps note of what threads do. */
export const CONTROL_TRACE_OFFSET = 64;
/** BEGUN_NOT and so on, of a hosted module; else 0. Its workers wait on it. */
export const CONTROL_BEGUN_OFFSET = 68;

/** Bytes of Worker: A worker and the thread that it runs. */
export const WORKER_SIZE = 256;
/** Alignment of Worker, in bytes. */
export const WORKER_ALIGN = 8;
/** WORKER_STARTING and so on. */
export const WORKER_STATE_OFFSET = 0;
/** Address of the Task or Call that it runs, whose first word is the outcome; 0: none. */
export const WORKER_TASK_OFFSET = 4;
/** The id of the thread that it runs; 0: none. */
export const WORKER_THREAD_ID_OFFSET = 8;
/** Threads that it has run or runs. */
export const WORKER_THREADS_RUN_OFFSET = 12;
/** The worker's own stack pointer, to come back to after a trap. */
export const WORKER_HOME_STACK_OFFSET = 16;
/** The worker's own thread-local storage. */
export const WORKER_HOME_TLS_OFFSET = 20;
/** Its slot in the registry of threads; 0: none. */
export const WORKER_REGISTRY_SLOT_OFFSET = 24;
/** The generation of that slot. */
export const WORKER_REGISTRY_GENERATION_OFFSET = 28;
/** Milliseconds since 1970 at which its `performance.now()` was 0. */
export const WORKER_ORIGIN_MS_OFFSET = 32;
/** The stack pointer that a Call, or a thread on its event loop, starts with. */
export const WORKER_FRAME_STACK_OFFSET = 40;
/** The thread-local storage of that thread. */
export const WORKER_FRAME_TLS_OFFSET = 44;
/** Bytes of the thread's name. */
export const WORKER_NAME_SIZE_OFFSET = 48;
/** Bytes of the last panic's message; 0: the thread has not panicked. */
export const WORKER_PANIC_SIZE_OFFSET = 52;
/** The thread's name, UTF-8, cut at 40 bytes. */
export const WORKER_NAME_OFFSET = 56;
/** LOOP_ASLEEP or LOOP_WOKEN. A thread on its event loop waits on it between two polls. */
export const WORKER_WOKEN_OFFSET = 96;
/** WAIT_NONE and so on. */
export const WORKER_WAIT_KIND_OFFSET = 100;
/** The id of the thread that it joins; else 0. */
export const WORKER_WAIT_ID_OFFSET = 104;
/** Where wasm-bindgen's JavaScript in this worker notes a trap. */
export const WORKER_TERMINATED_OFFSET = 108;
/** The last panic's message, UTF-8, cut at 144 bytes. */
export const WORKER_PANIC_OFFSET = 112;

/** Bytes of TraceHeader: The head of a Trace; TRACE_CAPACITY events follow it. The event with number n is in place n modulo that. */
export const TRACE_HEADER_SIZE = 8;
/** Alignment of TraceHeader, in bytes. */
export const TRACE_HEADER_ALIGN = 8;
/** Events that somebody writes or has written: the number of the next one. */
export const TRACE_HEADER_TAKEN_OFFSET = 0;
/** One more with each event that has been written. Observers wait on it. */
export const TRACE_HEADER_WRITTEN_OFFSET = 4;

/** Bytes of TraceEvent: What a thread has done. */
export const TRACE_EVENT_SIZE = 64;
/** Alignment of TraceEvent, in bytes. */
export const TRACE_EVENT_ALIGN = 8;
/** The event's number plus 1, written last; 0 while it is being written. */
export const TRACE_EVENT_NUMBER_OFFSET = 0;
/** TRACE_SPAWNED and so on. */
export const TRACE_EVENT_KIND_OFFSET = 4;
/** When, in milliseconds since 1970. */
export const TRACE_EVENT_TIME_MS_OFFSET = 8;
/** The thread's id. */
export const TRACE_EVENT_THREAD_ID_OFFSET = 16;
/** TRACE_SPAWNED: the id of the thread that spawned it, 0 for one outside of the runtime. Else the worker's place. */
export const TRACE_EVENT_OTHER_ID_OFFSET = 20;
/** Bytes of the name. */
export const TRACE_EVENT_NAME_SIZE_OFFSET = 24;
/** The thread's name, UTF-8, cut at 36 bytes. */
export const TRACE_EVENT_NAME_OFFSET = 28;

/** Bytes of Task: What the host needs to know of a thread that Rust code spawned. */
export const TASK_SIZE = 128;
/** Alignment of Task, in bytes. */
export const TASK_ALIGN = 4;
/** OUTCOME_PENDING and so on. Joining threads wait on it. */
export const TASK_OUTCOME_OFFSET = 0;
/** Bytes of the message. */
export const TASK_MESSAGE_SIZE_OFFSET = 4;
/** Bytes of stack that it asked for. */
export const TASK_STACK_SIZE_OFFSET = 8;
/** Why it trapped, UTF-8, cut at 116 bytes. */
export const TASK_MESSAGE_OFFSET = 12;

/** Bytes of Call: A call of an export on a thread of its own, spawned by TypeScript. */
export const CALL_SIZE = 512;
/** Alignment of Call, in bytes. */
export const CALL_ALIGN = 8;
/** OUTCOME_PENDING and so on. Joining threads wait on it. */
export const CALL_OUTCOME_OFFSET = 0;
/** CALL_FREE and so on. */
export const CALL_STATE_OFFSET = 4;
/** Address of the next older Call in the inbox. */
export const CALL_NEXT_OFFSET = 8;
/** Position of the export among those of the module. */
export const CALL_EXPORT_INDEX_OFFSET = 12;
/** Number of arguments, at most 8. */
export const CALL_ARGUMENT_COUNT_OFFSET = 16;
/** Bit i: argument i is a 64-bit integer, else a 64-bit float. */
export const CALL_ARGUMENT_KINDS_OFFSET = 20;
/** What the export returned. */
export const CALL_RESULT_OFFSET = 24;
/** RESULT_UNDEFINED and so on. */
export const CALL_RESULT_KIND_OFFSET = 32;
/** Bytes of stack; 0: Control.stackSize. */
export const CALL_STACK_SIZE_OFFSET = 36;
/** The thread's id. */
export const CALL_THREAD_ID_OFFSET = 40;
/** Bytes of the name. */
export const CALL_NAME_SIZE_OFFSET = 44;
/** Bytes of the message. */
export const CALL_MESSAGE_SIZE_OFFSET = 48;
/** 1 where nobody will read the result: the worker frees the record. Only of a hosted module. */
export const CALL_IS_DETACHED_OFFSET = 52;
/** The arguments. */
export const CALL_ARGUMENTS_OFFSET = 56;
/** The thread's name, UTF-8. */
export const CALL_NAME_OFFSET = 120;
/** Why it failed, UTF-8, cut at 352 bytes. */
export const CALL_MESSAGE_OFFSET = 160;

/** Bytes of Desk: What a worker of TypeScript's threads and its creator hand each other: one call, and what came out of it. */
export const DESK_SIZE = 8192;
/** Alignment of Desk, in bytes. */
export const DESK_ALIGN = 8;
/** Number of the last call. Written by the creator; the worker waits on it. */
export const DESK_CALL_OFFSET = 0;
/** Number of the last call that has ended. Written by the worker; the creator waits on it. */
export const DESK_RESULT_OFFSET = 4;
/** Number of the function that the call is of, of which the worker has been told before; or DESK_BY_MESSAGE. */
export const DESK_FUNCTION_OFFSET = 8;
/** The id of the thread that the call is. */
export const DESK_THREAD_OFFSET = 12;
/** DESK_RETURNED and so on, of the call that ended last. */
export const DESK_OUTCOME_OFFSET = 16;
/** 1 as soon as the worker waits for calls. */
export const DESK_IS_READY_OFFSET = 20;
/** Where the thread parks. */
export const DESK_PARKER_OFFSET = 24;
/** 1 while the worker blocks for the next call, and reads no messages. */
export const DESK_IS_LINGERING_OFFSET = 28;
/** 1 once the worker is to end rather than to go on, should it be parked. */
export const DESK_IS_ENDING_OFFSET = 32;
/** What the thread waits for: WAIT_NONE and so on, or, for a lock or a channel, WAITING_FOR_MUTEX and so on. Written by the worker. */
export const DESK_WAITS_FOR_OFFSET = 36;
/** Arguments or result: a value is a cell with its tag (u32) and its length (u32), and the cells of what it holds. */
export const DESK_CELLS_OFFSET = 40;
