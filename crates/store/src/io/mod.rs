//! The store's files, as the thread that asks sees them.
//!
//! One seam for every host: `std::fs` natively, plain memory, a file system that loses power, and in WebAssembly the
//! I/O thread that owns the host's handles. Every call blocks its own thread until the answer is there; the I/O thread
//! runs on, so no waiting SQL thread stops another's file work.
//!
//! Paths are relative to the store's root, `/`-separated, without `.` or `..`; directories come into being with the
//! first file below them and are never named by themselves.
//!
//! # Invariants
//! 1. A path may be open several times; all its handles see one file, each other's writes at once.
//! 2. A removed file's open handles keep working until they are closed. Its name may be reused at once natively and in
//!    memory; elsewhere only after the last of those handles is closed.
//! 3. What [`Io::sync`] acknowledged survives a loss of power. What it has not may be there, in part, or not at all.
//! 4. A removal is durable when [`Io::remove`] returns where the host can sync a directory. In a browser it cannot: there
//!    a removed file may come back after a loss of power (whole, as last synced), and users must not mind.

#[cfg(target_arch = "wasm32")]
mod direct;
mod handles;
#[cfg(target_arch = "wasm32")]
mod host;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod path;
mod power_loss;
#[cfg(target_arch = "wasm32")]
mod queue;
#[cfg(target_arch = "wasm32")]
mod random;

use std::fmt;
use std::sync::Arc;

#[cfg(target_arch = "wasm32")]
pub use host::{HostIo, heddle_store_io_queue};
pub use memory::MemoryIo;
pub(crate) use memory::copy_at;
#[cfg(not(target_arch = "wasm32"))]
pub use native::NativeIo;
pub(crate) use path::is_below;
pub use power_loss::PowerLossIo;
#[cfg(target_arch = "wasm32")]
pub use queue::IoQueue;

/// The file that holds a directory natively; no file of the store may be called so.
pub(crate) const NATIVE_LOCK: &str = "heddle.lock";

/// The file that holds a directory in a browser: `OpfsLock.ts`.
pub(crate) const BROWSER_LOCK: &str = "lock";

/// An open file. Only meaningful to the [`Io`] that returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FileId(pub u32);

/// What [`Io::open`] does where the file is absent or present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OpenMode {
    /// The file must exist, else [`IoErrorCode::NotFound`].
    Existing = 0,
    /// The file is created empty where it is absent.
    OrCreate = 1,
    /// The file must be absent, else [`IoErrorCode::AlreadyExists`].
    CreateNew = 2,
}

/// What went wrong with a file. The numbers are shared with the TypeScript side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IoErrorCode {
    /// No file of that name.
    NotFound = 1,
    /// [`OpenMode::CreateNew`] met a file.
    AlreadyExists = 2,
    /// The host refuses access to the file or its directory.
    PermissionDenied = 3,
    /// The disk is full or the origin's quota is used up.
    NoSpace = 4,
    /// Another process or page holds the store's directory.
    Locked = 5,
    /// The store or its I/O thread has been closed.
    Closed = 6,
    /// Anything else; the message tells.
    Other = 7,
    /// What was read is not what was written. Said by those who keep checksums, never by a host.
    Damaged = 8,
    /// A callback of SQLite's files panicked. Never said by a host.
    Panicked = 9,
}

/// A failed file operation: what failed, on which file, and the host's own words.
#[derive(Clone, Debug)]
pub struct IoError {
    /// What kind of failure.
    pub code: IoErrorCode,
    /// The operation, as a verb: `open`, `read`, `write`, `sync` …
    pub operation: &'static str,
    /// The path, relative to the store's root; empty where only the handle is known.
    pub path: String,
    /// The host's message, without contents of the file.
    pub message: String,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot {} {}: {:?}: {}",
            self.operation, self.path, self.code, self.message
        )
    }
}

impl std::error::Error for IoError {}

/// The code of the [`IoError`] whose words stand in a message of others.
pub(crate) fn code_in(message: &str) -> Option<IoErrorCode> {
    use IoErrorCode::*;
    [
        NotFound,
        AlreadyExists,
        PermissionDenied,
        NoSpace,
        Locked,
        Closed,
        Damaged,
        Panicked,
        Other,
    ]
    .into_iter()
    .find(|code| message.contains(&format!(": {code:?}: ")))
}

impl IoError {
    /// An error of one operation on one path.
    pub fn new(
        code: IoErrorCode,
        operation: &'static str,
        path: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            operation,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// The result of a file operation.
pub type IoResult<T> = Result<T, IoError>;

/// The files of one store. See the module's documentation for paths and blocking.
pub trait Io: Send + Sync + fmt::Debug {
    /// Opens a file for reading and writing.
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId>;
    /// Closes a handle; the file's bytes need not be durable.
    fn close(&self, file: FileId) -> IoResult<()>;
    /// Reads into `buffer` from `offset`; fewer bytes than asked only at the file's end. Returns the count of bytes.
    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize>;
    /// Writes the whole of `bytes` at `offset`; a gap behind the old end is filled with zeros.
    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()>;
    /// Sets the file's size in bytes.
    fn truncate(&self, file: FileId, size: u64) -> IoResult<()>;
    /// The file's size in bytes.
    fn size(&self, file: FileId) -> IoResult<u64>;
    /// Returns when the file's bytes, size and name are durable.
    fn sync(&self, file: FileId) -> IoResult<()>;
    /// Removes a file; [`IoErrorCode::NotFound`] where there is none.
    fn remove(&self, path: &str) -> IoResult<()>;
    /// Whether a file of that name exists.
    fn exists(&self, path: &str) -> IoResult<bool>;
    /// Every file below `directory` (recursively): path relative to the root, and size in bytes. Sorted by path; empty
    /// where there is no such directory.
    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>>;
}

/// A shared [`Io`].
pub type SharedIo = Arc<dyn Io>;
