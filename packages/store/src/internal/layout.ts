// Record sizes, offsets and state words: generated from layout/store.json; edit that.

/** The version of StoreControl and StoreThread. */
export const STORE_CONTROL_VERSION = 1;
/** Connection state: no request runs. */
export const CONNECTION_IDLE = 0;
/** Connection state: a request runs. */
export const CONNECTION_RUNNING = 1;

/** Bytes of StoreControl: Where the SQL threads are. `threads` records of StoreThread follow it. */
export const STORE_CONTROL_SIZE = 8;
/** Alignment of StoreControl, in bytes. */
export const STORE_CONTROL_ALIGN = 4;
/** STORE_CONTROL_VERSION. */
export const STORE_CONTROL_VERSION_OFFSET = 0;
/** How many StoreThreads follow. */
export const STORE_CONTROL_THREADS_OFFSET = 4;

/** Bytes of StoreThread: The addresses of what belongs to one SQL thread. */
export const STORE_THREAD_SIZE = 12;
/** Alignment of StoreThread, in bytes. */
export const STORE_THREAD_ALIGN = 4;
/** The address of the byte channel of requests, from the main thread. */
export const STORE_THREAD_REQUESTS_OFFSET = 0;
/** The address of the byte channel of responses, to the main thread. */
export const STORE_THREAD_RESPONSES_OFFSET = 4;
/** The address of the thread's Connection. */
export const STORE_THREAD_CONNECTION_OFFSET = 8;

/** Bytes of Connection: What one SQL thread shows of itself, and the word by which it is interrupted. */
export const CONNECTION_SIZE = 16;
/** Alignment of Connection, in bytes. */
export const CONNECTION_ALIGN = 4;
/** The id of the request to interrupt, or 0. Written by the main thread; a blocked send waits on it. */
export const CONNECTION_CANCEL_OFFSET = 0;
/** CONNECTION_IDLE or CONNECTION_RUNNING. */
export const CONNECTION_STATE_OFFSET = 4;
/** Statements run, modulo 2^32. */
export const CONNECTION_STATEMENTS_OFFSET = 8;
/** The id of the request that runs, or 0. */
export const CONNECTION_REQUEST_OFFSET = 12;
