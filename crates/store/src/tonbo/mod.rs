//! Tonbo, and what it stands on here: a file system and an executor of our own.

pub mod executor;
pub mod fs;

use self::executor::TonboExecutor;
use self::fs::TonboFs;
use crate::io::{IoResult, SharedIo};

/// Where Tonbo's files are, relative to the store's root.
pub(crate) const ROOT: &str = "tonbo";

/// What every Tonbo table of a store stands on.
#[derive(Clone, Debug)]
pub struct TonboHost {
    /// The files.
    pub fs: TonboFs,
    /// The tasks.
    pub executor: TonboExecutor,
}

impl TonboHost {
    /// Opens the files of a store's tables.
    ///
    /// # Errors
    /// The log of objects can't be read or written, or is damaged.
    pub fn open(io: SharedIo) -> IoResult<Self> {
        Ok(Self {
            fs: TonboFs::open(io, ROOT)?,
            executor: TonboExecutor::new(),
        })
    }
}
