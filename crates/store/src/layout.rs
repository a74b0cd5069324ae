//! Record sizes, offsets and state words: generated from `layout/store.json`; edit that.

/// The version of StoreControl, StoreThread and Connection.
pub const STORE_CONTROL_VERSION: u32 = 2;
/// Connection state: no request runs.
pub const CONNECTION_IDLE: u32 = 0;
/// Connection state: a request runs.
pub const CONNECTION_RUNNING: u32 = 1;
/// The version of IoQueue and IoRequest.
pub const IO_QUEUE_VERSION: u32 = 1;
/// Queue state: no I/O thread has come yet.
pub const IO_IDLE: u32 = 0;
/// Queue state: the I/O thread answers.
pub const IO_SERVING: u32 = 1;
/// Queue state: the I/O thread is to close its files and end.
pub const IO_CLOSING: u32 = 2;
/// Queue state: the I/O thread has closed its files. Requests are not answered any more.
pub const IO_CLOSED: u32 = 3;
/// Request state: not answered.
pub const IO_PENDING: u32 = 1;
/// Request state: answered.
pub const IO_DONE: u32 = 2;
/// Operation: open the file named in the buffer, as `argument` says. The result is its number.
pub const IO_OPEN: u32 = 1;
/// Operation: close the file.
pub const IO_CLOSE: u32 = 2;
/// Operation: fill the buffer from `offset`. The result is the count of bytes.
pub const IO_READ: u32 = 3;
/// Operation: write the buffer at `offset`.
pub const IO_WRITE: u32 = 4;
/// Operation: set the file's size to `offset`.
pub const IO_TRUNCATE: u32 = 5;
/// Operation: the result is the file's size.
pub const IO_SIZE: u32 = 6;
/// Operation: make the file durable.
pub const IO_SYNC: u32 = 7;
/// Operation: remove the file named in the buffer.
pub const IO_REMOVE: u32 = 8;
/// Operation: the result is 1 where a file of the name in the buffer exists, else 0.
pub const IO_EXISTS: u32 = 9;
/// Operation: list the files below the directory named in the first `argument` bytes of the buffer. The list is written over the buffer: a line each, the size, a space, the path. The result is its size; where that is more than `length`, nothing was written.
pub const IO_LIST: u32 = 10;
/// Error code: no file of that name.
pub const IO_ERROR_NOT_FOUND: u32 = 1;
/// Error code: a file that was to be created exists.
pub const IO_ERROR_ALREADY_EXISTS: u32 = 2;
/// Error code: the host refuses access to the file or its directory.
pub const IO_ERROR_PERMISSION_DENIED: u32 = 3;
/// Error code: the disk is full or the origin's quota is used up.
pub const IO_ERROR_NO_SPACE: u32 = 4;
/// Error code: another process or page holds the store's directory.
pub const IO_ERROR_LOCKED: u32 = 5;
/// Error code: the store or its I/O thread has been closed.
pub const IO_ERROR_CLOSED: u32 = 6;
/// Error code: anything else; the message tells.
pub const IO_ERROR_OTHER: u32 = 7;

/// Where the SQL threads are. `threads` records of StoreThread follow it.
pub mod store_control {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// STORE_CONTROL_VERSION.
    pub const VERSION: usize = 0;
    /// How many StoreThreads follow.
    pub const THREADS: usize = 4;
}

/// The addresses of what belongs to one SQL thread.
pub mod store_thread {
    /// Bytes of the record.
    pub const SIZE: usize = 12;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The address of the byte channel of requests, from the main thread.
    pub const REQUESTS: usize = 0;
    /// The address of the byte channel of responses, to the main thread.
    pub const RESPONSES: usize = 4;
    /// The address of the thread's Connection.
    pub const CONNECTION: usize = 8;
}

/// What one SQL thread shows of itself, and the word by which it is interrupted.
pub mod connection {
    /// Bytes of the record.
    pub const SIZE: usize = 20;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The id of the request to interrupt, or 0. Written by the main thread; a blocked send waits on it.
    pub const CANCEL: usize = 0;
    /// CONNECTION_IDLE or CONNECTION_RUNNING.
    pub const STATE: usize = 4;
    /// Statements run, modulo 2^32.
    pub const STATEMENTS: usize = 8;
    /// The id of the request that runs, or 0.
    pub const REQUEST: usize = 12;
    /// Another number as long as the request goes on: 2 more with each look whether it is to be interrupted; odd while its thread waits for another one or for the host.
    pub const PROGRESS: usize = 16;
}

/// Requests to the I/O thread, a worker that sees only the memory and owns the files. One for each memory; made by the engine.
pub mod io_queue {
    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// IO_QUEUE_VERSION.
    pub const VERSION: usize = 0;
    /// IO_IDLE, IO_SERVING, IO_CLOSING or IO_CLOSED. Written by the TypeScript side.
    pub const STATE: usize = 4;
    /// One more with each request and each change of `state`. The I/O thread waits on it.
    pub const BELL: usize = 8;
    /// 1 while the I/O thread waits, or is about to: then a bell must be followed by a notification.
    pub const IS_WAITING: usize = 12;
    /// 1 where a file's number is a descriptor that every thread of the process can use.
    pub const SHARES_DESCRIPTORS: usize = 16;
    /// The address of the IoRequest that came last, 0 for none. Threads put theirs in front; the I/O thread takes the whole list.
    pub const HEAD: usize = 20;
    /// How many threads use a descriptor right now. They add themselves before they look at `sharesDescriptors`; it is cleared before files are closed, which waits for this to be 0.
    pub const DESCRIPTOR_USERS: usize = 24;
}

/// One file operation. It lies on the stack of the thread that asks, which waits until it is answered.
pub mod io_request {
    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// IO_PENDING or IO_DONE. The asking thread waits on it; written last.
    pub const STATE: usize = 0;
    /// IO_OPEN and so on.
    pub const OPERATION: usize = 4;
    /// The number of an open file.
    pub const FILE: usize = 8;
    /// IO_OPEN: 0 the file exists, 1 it may be created, 2 it must be created. IO_LIST: see there.
    pub const ARGUMENT: usize = 12;
    /// The address of the buffer.
    pub const ADDRESS: usize = 16;
    /// The size of the buffer in bytes.
    pub const LENGTH: usize = 20;
    /// A position in the file or its size, in bytes.
    pub const OFFSET: usize = 24;
    /// See the operations.
    pub const RESULT: usize = 32;
    /// 0, or why the operation failed: the numbers of io::IoErrorCode.
    pub const ERROR_CODE: usize = 40;
    /// Where the host's words about a failure go, in UTF-8.
    pub const MESSAGE_ADDRESS: usize = 44;
    /// Room for them in bytes, and after a failure their size.
    pub const MESSAGE_LENGTH: usize = 48;
    /// The address of the request that came before, or 0. Written before the request is put into the queue.
    pub const NEXT: usize = 52;
}
