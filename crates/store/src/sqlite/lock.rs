//! The locks that connections of this process hold on one database file.
//!
//! The store's directory belongs to one process (its [`crate::io::Io`] sees to that), so file locks need no file: they are
//! counts in memory. A connection asks again after a refusal (SQLite's busy handler), nobody waits in here.
//!
//! # State
//! | level of a connection | others may hold | new readers |
//! |---|---|---|
//! | `Shared` | `Shared`, one `Reserved` | come in |
//! | `Reserved` | `Shared` | come in |
//! | `Pending` | `Shared` | are refused |
//! | `Exclusive` | nothing | are refused |
//!
//! # Invariants
//! 1. `readers` counts every connection above `None`, the writer included.
//! 2. At most one connection is above `Shared`: the writer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

/// What one connection holds. The order is SQLite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(super) enum LockLevel {
    None = ffi::SQLITE_LOCK_NONE,
    Shared = ffi::SQLITE_LOCK_SHARED,
    Reserved = ffi::SQLITE_LOCK_RESERVED,
    Pending = ffi::SQLITE_LOCK_PENDING,
    Exclusive = ffi::SQLITE_LOCK_EXCLUSIVE,
}

impl LockLevel {
    pub(super) fn from_raw(level: i32) -> Option<Self> {
        [
            Self::None,
            Self::Shared,
            Self::Reserved,
            Self::Pending,
            Self::Exclusive,
        ]
        .into_iter()
        .find(|known| *known as i32 == level)
    }
}

/// The sum of all connections' locks on one file.
#[derive(Debug, Default)]
pub(super) struct FileLock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers: u32,
    has_writer: bool,
    refuses_readers: bool,
}

impl FileLock {
    /// Raises a connection's lock from `held` towards `wanted`. Returns whether it got there; on the way to `Exclusive` it
    /// may stop at `Pending`, from where it asks again.
    pub(super) fn raise(&self, held: &mut LockLevel, wanted: LockLevel) -> bool {
        if *held >= wanted {
            return true;
        }
        let mut state = self.state();
        if *held == LockLevel::None {
            if state.refuses_readers {
                return false;
            }
            state.readers += 1;
            *held = LockLevel::Shared;
        }
        if wanted == LockLevel::Shared {
            return true;
        }
        if *held == LockLevel::Shared {
            if state.has_writer {
                return false;
            }
            state.has_writer = true;
            *held = LockLevel::Reserved;
        }
        if wanted == LockLevel::Reserved {
            return true;
        }
        state.refuses_readers = true;
        *held = LockLevel::Pending;
        if wanted == LockLevel::Exclusive {
            if state.readers > 1 {
                return false;
            }
            *held = LockLevel::Exclusive;
        }
        true
    }

    /// Lowers a connection's lock to `Shared` or `None`.
    pub(super) fn lower(&self, held: &mut LockLevel, wanted: LockLevel) {
        if *held <= wanted {
            return;
        }
        let mut state = self.state();
        if *held > LockLevel::Shared {
            state.has_writer = false;
            state.refuses_readers = false;
        }
        if wanted == LockLevel::None {
            state.readers -= 1;
        }
        *held = wanted;
    }

    /// Whether any connection means to write.
    pub(super) fn has_writer(&self) -> bool {
        self.state().has_writer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LockLevel::{Exclusive, None, Pending, Reserved, Shared};

    #[test]
    fn one_writer_beside_readers_until_it_is_exclusive() {
        let lock = FileLock::default();
        let (mut reader, mut writer, mut third) = (None, None, None);
        assert!(lock.raise(&mut reader, Shared));
        assert!(lock.raise(&mut writer, Shared));
        assert!(lock.raise(&mut writer, Reserved));
        assert!(lock.has_writer());
        assert!(!lock.raise(&mut reader, Reserved), "two writers");
        assert_eq!(reader, Shared);
        assert!(lock.raise(&mut third, Shared));

        assert!(!lock.raise(&mut writer, Exclusive), "readers are there");
        assert_eq!(writer, Pending);
        lock.lower(&mut third, None);
        assert!(!lock.raise(&mut third, Shared), "pending lets nobody in");
        lock.lower(&mut reader, None);
        assert!(lock.raise(&mut writer, Exclusive));
        assert!(!lock.raise(&mut reader, Shared));

        lock.lower(&mut writer, Shared);
        assert!(!lock.has_writer());
        assert!(lock.raise(&mut reader, Shared));
        assert!(lock.raise(&mut reader, Reserved));
    }
}
