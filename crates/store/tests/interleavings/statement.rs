//! A stand-in for a connection to the ordinary tables.

use std::sync::{Arc, Mutex};

use crate::table::version::Sequence;

/// The database file with the ordinary tables.
#[derive(Default)]
pub struct Main {
    /// The last mixed commit that is visible in it, and the one that its writer is about to commit.
    // Locks of std's: held at no point at which another thread may go on.
    mixed: Mutex<Sequence>,
    pending: Mutex<Sequence>,
    /// How many transactions have written ordinary tables alone.
    plain: Mutex<u64>,
    /// SQLite's lock of the one writer.
    pub writer: shuttle::sync::Mutex<()>,
}

impl Main {
    /// What a snapshot that is taken now shows.
    pub fn mixed(&self) -> Sequence {
        shuttle::thread::yield_now();
        *self.mixed.lock().unwrap()
    }

    /// The same, and how many transactions it shows that have written ordinary tables alone.
    pub fn shown(&self) -> (Sequence, u64) {
        shuttle::thread::yield_now();
        (*self.mixed.lock().unwrap(), *self.plain.lock().unwrap())
    }

    /// A transaction that has written ordinary tables alone is committed.
    pub fn commit_plain(&self) {
        shuttle::thread::yield_now();
        *self.plain.lock().unwrap() += 1;
    }

    /// The writer's commit gets its row.
    pub fn write(&self, sequence: Sequence) {
        shuttle::thread::yield_now();
        *self.pending.lock().unwrap() = sequence;
    }

    /// The writer commits: new snapshots show its row.
    pub fn commit(&self) {
        shuttle::thread::yield_now();
        *self.mixed.lock().unwrap() = *self.pending.lock().unwrap();
    }
}

/// A connection, and whether its transaction has written ordinary tables.
#[derive(Clone, Copy)]
pub struct Handle {
    main: *const Main,
    writes_main: bool,
}

// SAFETY: `Main` may be shared.
unsafe impl Send for Handle {}

impl Handle {
    /// The caller keeps `main` for as long as the handle is used.
    pub fn new(main: &Arc<Main>, writes_main: bool) -> Handle {
        Handle {
            main: Arc::as_ptr(main),
            writes_main,
        }
    }

    pub fn writes_main(&self) -> bool {
        self.writes_main
    }

    pub fn main(&self) -> &Main {
        // SAFETY: kept by who made the handle.
        unsafe { &*self.main }
    }
}
