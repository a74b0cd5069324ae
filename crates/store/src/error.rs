//! What can go wrong in the store, told apart by a code.

use std::any::Any;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::io::{IoError, IoErrorCode};
use crate::offending_key::OffendingKey;

/// How the panic begins that `heddle_thread` makes of a refused allocation.
pub(crate) const ALLOCATION_FAILED: &str = "memory allocation of ";

/// The kind of an error. The names are those that TypeScript's `HeddleStoreError.code` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StoreErrorCode {
    /// SQLite refused the statement; the message is SQLite's.
    SqlError,
    /// A NOT NULL, PRIMARY KEY, UNIQUE or CHECK constraint failed.
    Constraint,
    /// A value cannot be stored in its column without loss.
    TypeMismatch,
    /// Another transaction committed a row that this one wrote: roll back and try again.
    Conflict,
    /// Another connection holds the lock of the ordinary tables for longer than the wait.
    Busy,
    /// The table is being imported into.
    TableBusy,
    /// The statement was interrupted.
    Interrupted,
    /// The store has been closed.
    Closed,
    /// Another process or page has the location open.
    Locked,
    /// The host refuses access.
    PermissionDenied,
    /// The memory that statements may use is used up.
    OutOfMemory,
    /// A value, a statement or a transaction is larger than the store takes.
    TooBig,
    /// The disk or the quota is full.
    NoSpace,
    /// A file operation failed otherwise.
    IoError,
    /// Stored bytes are damaged or missing.
    Corrupt,
    /// The imported file is truncated, foreign, or does not fit the table.
    BadImport,
    /// No such table.
    NotFound,
    /// The call is not allowed in this state.
    Misuse,
    /// The engine met a state that it cannot go on from.
    EngineFailed,
}

/// An error of the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreError {
    /// Its kind.
    pub code: StoreErrorCode,
    /// What happened and what to do, without row contents.
    pub message: String,
    /// SQLite's extended result code, where SQLite reported it.
    #[serde(
        rename = "sqliteCode",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub sqlite_code: Option<i32>,
    /// The byte offset in the SQL text, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<i32>,
    /// The key that is there already, or that another transaction has written, where it is known which. Not a part of what an error says
    /// of itself: it is what is in a row.
    #[serde(skip)]
    pub key: Option<Box<OffendingKey>>,
}

/// The store's results.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// An error of a kind with a message.
    pub fn new(code: StoreErrorCode, message: impl Into<String>) -> StoreError {
        StoreError {
            code,
            message: message.into(),
            sqlite_code: None,
            offset: None,
            key: None,
        }
    }

    /// The engine got no memory, as `words` say.
    pub fn memory_full(words: &str) -> StoreError {
        StoreError::new(
            StoreErrorCode::OutOfMemory,
            format!(
                "the engine's memory is full ({words}): do it in smaller steps, or open with smaller cacheBytes and memoryBytes"
            ),
        )
    }

    /// A panic that was caught in `place`: most often the memory was refused, which the allocator can't tell otherwise.
    pub fn of_panic(place: &str, payload: &(dyn Any + Send)) -> StoreError {
        let words = panic_words(payload);
        match words.starts_with(ALLOCATION_FAILED) {
            true => StoreError::memory_full(words),
            false => StoreError::new(
                StoreErrorCode::EngineFailed,
                format!("{place} panicked: {words}"),
            ),
        }
    }

    /// Whether it tells of the host or of the engine, not of what was asked for: nobody knows how far it got.
    pub fn is_of_the_host(&self) -> bool {
        use StoreErrorCode::*;
        matches!(
            self.code,
            PermissionDenied | OutOfMemory | NoSpace | IoError | Corrupt | EngineFailed
        )
    }

    /// The same, at this byte of the SQL text.
    #[must_use]
    pub fn at(mut self, offset: usize) -> StoreError {
        self.offset = i32::try_from(offset).ok();
        self
    }

    /// The same, about this key.
    #[must_use]
    pub fn about(mut self, key: OffendingKey) -> StoreError {
        self.key = Some(Box::new(key));
        self
    }

    /// What SQLite itself would refuse, in its words.
    pub fn of_sqlite(message: impl Into<String>) -> StoreError {
        StoreError {
            sqlite_code: Some(rusqlite::ffi::SQLITE_ERROR),
            ..StoreError::new(StoreErrorCode::SqlError, message)
        }
    }

    /// Stored bytes are damaged or missing.
    pub fn corrupt(message: impl Into<String>) -> StoreError {
        StoreError::new(StoreErrorCode::Corrupt, message)
    }
}

/// What a panic says, as far as it cannot come from rows: words that stand in the program, and those of a refused allocation. What was
/// formatted (an index's string, the error that `unwrap` met) may quote a value, and is printed where that is asked for
/// (`heddle_store_show_panics`).
pub(crate) fn panic_words(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    let allocation = (payload.downcast_ref::<String>())
        .map(String::as_str)
        .filter(|words| words.starts_with(ALLOCATION_FAILED));
    literal
        .or(allocation)
        .unwrap_or("what it said may quote rows: open with showsPanics to have it printed")
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

impl From<IoErrorCode> for StoreErrorCode {
    fn from(code: IoErrorCode) -> Self {
        match code {
            IoErrorCode::PermissionDenied => StoreErrorCode::PermissionDenied,
            IoErrorCode::NoSpace => StoreErrorCode::NoSpace,
            IoErrorCode::Locked => StoreErrorCode::Locked,
            IoErrorCode::Closed => StoreErrorCode::Closed,
            IoErrorCode::NotFound => StoreErrorCode::NotFound,
            IoErrorCode::Damaged => StoreErrorCode::Corrupt,
            IoErrorCode::Panicked => StoreErrorCode::EngineFailed,
            IoErrorCode::AlreadyExists | IoErrorCode::Other => StoreErrorCode::IoError,
        }
    }
}

impl From<IoError> for StoreError {
    fn from(error: IoError) -> Self {
        StoreError::new(error.code.into(), error.to_string())
    }
}
