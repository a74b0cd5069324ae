//! Record sizes, offsets and state words: generated from `layout/store.json`; edit that.

/// The version of StoreControl and StoreThread.
pub const STORE_CONTROL_VERSION: u32 = 1;
/// Connection state: no request runs.
pub const CONNECTION_IDLE: u32 = 0;
/// Connection state: a request runs.
pub const CONNECTION_RUNNING: u32 = 1;

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
    pub const SIZE: usize = 16;
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
}
