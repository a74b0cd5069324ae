//! SQLite on this crate's own memory, mutexes and files.
//!
//! [`initialize`] sets SQLite up once for the process (or the Wasm memory), [`register_vfs`] gives it the files of one
//! [`Io`](crate::io::Io). Connections are then opened with
//! [`rusqlite::Connection::open_with_flags_and_vfs`] and [`OPEN_FLAGS`]: WAL mode works between threads, with parallel
//! readers and one writer.
//!
//! # Example
//! ```
//! use heddle_store::{io::MemoryIo, sqlite};
//! use std::sync::Arc;
//!
//! let vfs = sqlite::register_vfs("example", Arc::new(MemoryIo::new()))?;
//! let connection = rusqlite::Connection::open_with_flags_and_vfs("main.db", sqlite::OPEN_FLAGS, vfs.name())?;
//! connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE warp (thread INTEGER PRIMARY KEY)")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(target_arch = "wasm32")]
mod c_library;
mod clock;
mod file;
mod lock;
mod malloc;
mod mutex;
mod page_sums;
mod temporary;
mod vfs;
mod wal_damage;
mod wal_index;

use std::ffi::{CStr, c_int};
use std::fmt;
use std::sync::OnceLock;

use rusqlite::{OpenFlags, ffi};

pub(crate) use clock::unix_ms;
pub use file::{take_io_error, wait_for_lock};
pub use vfs::{Vfs, register_vfs, register_vfs_within};
pub(crate) use wal_damage::find_wal_damage;

/// Read, write, create; no mutex on the connection, because each is used by one thread at a time.
pub const OPEN_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE
    .union(OpenFlags::SQLITE_OPEN_CREATE)
    .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
    .union(OpenFlags::SQLITE_OPEN_EXRESCODE);

/// Has a database that is made through this connection keep a checksum in each page, see `page_sums`. For one that exists this is decided.
///
/// # Safety
/// The connection is open.
pub(crate) unsafe fn keep_page_sums(connection: *mut ffi::sqlite3) -> c_int {
    let mut count = page_sums::RESERVED as c_int;
    // SAFETY: the caller's promise; the operation reads and writes one int.
    unsafe {
        ffi::sqlite3_file_control(
            connection,
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_RESERVE_BYTES,
            (&raw mut count).cast(),
        )
    }
}

/// SQLite could not be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteError {
    message: &'static str,
    code: c_int,
}

impl SqliteError {
    fn new(message: &'static str, code: c_int) -> Self {
        Self { message, code }
    }

    /// SQLite's result code.
    pub fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: SQLite returns a static, NUL-terminated string for every code.
        let words = unsafe { CStr::from_ptr(ffi::sqlite3_errstr(self.code)) }.to_string_lossy();
        write!(f, "{}: {words} ({})", self.message, self.code)
    }
}

impl std::error::Error for SqliteError {}

/// Gives SQLite our memory and mutexes and starts it; only the first call does anything. Every function of this module
/// calls it. In WebAssembly it must run before anything else touches SQLite.
///
/// # Errors
/// SQLite was started by others with mutexes that do nothing, was built without threads, or runs out of memory.
pub fn initialize() -> Result<(), SqliteError> {
    static OUTCOME: OnceLock<Result<(), SqliteError>> = OnceLock::new();
    OUTCOME.get_or_init(configure).clone()
}

fn configure() -> Result<(), SqliteError> {
    let (memory, mutexes) = (malloc::METHODS, mutex::METHODS);
    // SAFETY: each option is followed by the argument it asks for; SQLite copies the records. SQLite answers
    // `SQLITE_MISUSE` where it is running already.
    let codes = unsafe {
        [
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MUTEX, &raw const mutexes),
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const memory),
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int),
        ]
    };
    let refused = codes.into_iter().find(|code| *code != ffi::SQLITE_OK);
    // Natively SQLite may be running before us, with the operating system's mutexes and allocator: as good as ours.
    if let Some(code) = refused
        && (cfg!(target_arch = "wasm32") || code != ffi::SQLITE_MISUSE)
    {
        return Err(SqliteError::new("SQLite refuses its configuration", code));
    }
    // SAFETY: no requirements.
    let code = unsafe { ffi::sqlite3_initialize() };
    if code != ffi::SQLITE_OK {
        return Err(SqliteError::new("SQLite does not start", code));
    }
    assert_threads()
}

/// A build without mutexes would look right until two threads meet.
fn assert_threads() -> Result<(), SqliteError> {
    /// What SQLite hands out for every mutex when its mutexes do nothing.
    const NO_OP_MUTEX: usize = 8;
    // SAFETY: the mutex is freed once, by the library that allocated it.
    let has_mutexes = unsafe {
        let probe = ffi::sqlite3_mutex_alloc(0);
        ffi::sqlite3_mutex_free(probe);
        !probe.is_null() && probe.addr() != NO_OP_MUTEX
    };
    // SAFETY: no requirements.
    if has_mutexes && unsafe { ffi::sqlite3_threadsafe() } != 0 {
        Ok(())
    } else {
        Err(SqliteError::new(
            "SQLite was built or started without threads",
            ffi::SQLITE_MISUSE,
        ))
    }
}
