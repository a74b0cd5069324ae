// Record sizes, offsets and state words: generated from layout/store.json; edit that.

/** The version of StoreControl, StoreThread and Connection. */
export const STORE_CONTROL_VERSION = 2;
/** Connection state: no request runs. */
export const CONNECTION_IDLE = 0;
/** Connection state: a request runs. */
export const CONNECTION_RUNNING = 1;
/** The version of IoQueue and IoRequest. */
export const IO_QUEUE_VERSION = 1;
/** Queue state: no I/O thread has come yet. */
export const IO_IDLE = 0;
/** Queue state: the I/O thread answers. */
export const IO_SERVING = 1;
/** Queue state: the I/O thread is to close its files and end. */
export const IO_CLOSING = 2;
/** Queue state: the I/O thread has closed its files. Requests are not answered any more. */
export const IO_CLOSED = 3;
/** Request state: not answered. */
export const IO_PENDING = 1;
/** Request state: answered. */
export const IO_DONE = 2;
/** Operation: open the file named in the buffer, as `argument` says. The result is its number. */
export const IO_OPEN = 1;
/** Operation: close the file. */
export const IO_CLOSE = 2;
/** Operation: fill the buffer from `offset`. The result is the count of bytes. */
export const IO_READ = 3;
/** Operation: write the buffer at `offset`. */
export const IO_WRITE = 4;
/** Operation: set the file's size to `offset`. */
export const IO_TRUNCATE = 5;
/** Operation: the result is the file's size. */
export const IO_SIZE = 6;
/** Operation: make the file durable. */
export const IO_SYNC = 7;
/** Operation: remove the file named in the buffer. */
export const IO_REMOVE = 8;
/** Operation: the result is 1 where a file of the name in the buffer exists, else 0. */
export const IO_EXISTS = 9;
/** Operation: list the files below the directory named in the first `argument` bytes of the buffer. The list is written over the buffer: a line each, the size, a space, the path. The result is its size; where that is more than `length`, nothing was written. */
export const IO_LIST = 10;
/** Error code: no file of that name. */
export const IO_ERROR_NOT_FOUND = 1;
/** Error code: a file that was to be created exists. */
export const IO_ERROR_ALREADY_EXISTS = 2;
/** Error code: the host refuses access to the file or its directory. */
export const IO_ERROR_PERMISSION_DENIED = 3;
/** Error code: the disk is full or the origin's quota is used up. */
export const IO_ERROR_NO_SPACE = 4;
/** Error code: another process or page holds the store's directory. */
export const IO_ERROR_LOCKED = 5;
/** Error code: the store or its I/O thread has been closed. */
export const IO_ERROR_CLOSED = 6;
/** Error code: anything else; the message tells. */
export const IO_ERROR_OTHER = 7;

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
export const CONNECTION_SIZE = 20;
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
/** Another number as long as the request goes on: 2 more with each look whether it is to be interrupted; odd while its thread waits for another one or for the host. */
export const CONNECTION_PROGRESS_OFFSET = 16;

/** Bytes of IoQueue: Requests to the I/O thread, a worker that sees only the memory and owns the files. One for each memory; made by the engine. */
export const IO_QUEUE_SIZE = 64;
/** Alignment of IoQueue, in bytes. */
export const IO_QUEUE_ALIGN = 8;
/** IO_QUEUE_VERSION. */
export const IO_QUEUE_VERSION_OFFSET = 0;
/** IO_IDLE, IO_SERVING, IO_CLOSING or IO_CLOSED. Written by the TypeScript side. */
export const IO_QUEUE_STATE_OFFSET = 4;
/** One more with each request and each change of `state`. The I/O thread waits on it. */
export const IO_QUEUE_BELL_OFFSET = 8;
/** 1 while the I/O thread waits, or is about to: then a bell must be followed by a notification. */
export const IO_QUEUE_IS_WAITING_OFFSET = 12;
/** 1 where a file's number is a descriptor that every thread of the process can use. */
export const IO_QUEUE_SHARES_DESCRIPTORS_OFFSET = 16;
/** The address of the IoRequest that came last, 0 for none. Threads put theirs in front; the I/O thread takes the whole list. */
export const IO_QUEUE_HEAD_OFFSET = 20;
/** How many threads use a descriptor right now. They add themselves before they look at `sharesDescriptors`; it is cleared before files are closed, which waits for this to be 0. */
export const IO_QUEUE_DESCRIPTOR_USERS_OFFSET = 24;

/** Bytes of IoRequest: One file operation. It lies on the stack of the thread that asks, which waits until it is answered. */
export const IO_REQUEST_SIZE = 64;
/** Alignment of IoRequest, in bytes. */
export const IO_REQUEST_ALIGN = 8;
/** IO_PENDING or IO_DONE. The asking thread waits on it; written last. */
export const IO_REQUEST_STATE_OFFSET = 0;
/** IO_OPEN and so on. */
export const IO_REQUEST_OPERATION_OFFSET = 4;
/** The number of an open file. */
export const IO_REQUEST_FILE_OFFSET = 8;
/** IO_OPEN: 0 the file exists, 1 it may be created, 2 it must be created. IO_LIST: see there. */
export const IO_REQUEST_ARGUMENT_OFFSET = 12;
/** The address of the buffer. */
export const IO_REQUEST_ADDRESS_OFFSET = 16;
/** The size of the buffer in bytes. */
export const IO_REQUEST_LENGTH_OFFSET = 20;
/** A position in the file or its size, in bytes. */
export const IO_REQUEST_OFFSET_OFFSET = 24;
/** See the operations. */
export const IO_REQUEST_RESULT_OFFSET = 32;
/** 0, or why the operation failed: the numbers of io::IoErrorCode. */
export const IO_REQUEST_ERROR_CODE_OFFSET = 40;
/** Where the host's words about a failure go, in UTF-8. */
export const IO_REQUEST_MESSAGE_ADDRESS_OFFSET = 44;
/** Room for them in bytes, and after a failure their size. */
export const IO_REQUEST_MESSAGE_LENGTH_OFFSET = 48;
/** The address of the request that came before, or 0. Written before the request is put into the queue. */
export const IO_REQUEST_NEXT_OFFSET = 52;
