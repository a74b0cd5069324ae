//! A stand-in for the logs: records in memory, written in groups as the store does.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::changes::Changes;
use super::group::Groups;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::statement::Handle;
use crate::table::version::Sequence;

pub struct Record {
    sequence: Sequence,
}

impl Record {
    pub fn new(
        sequence: Sequence,
        _changes: &Changes,
        _after_mixed: Sequence,
    ) -> StoreResult<Record> {
        Ok(Record { sequence })
    }
}

/// Its locks are std's: they are held at no point at which another thread may go on.
pub struct LogFile {
    groups: Groups<Record>,
    kept: Mutex<BTreeSet<Sequence>>,
    failures: Mutex<usize>,
}

impl LogFile {
    pub fn new() -> LogFile {
        LogFile {
            groups: Groups::new(),
            kept: Mutex::default(),
            failures: Mutex::new(0),
        }
    }

    /// The next so many groups can't be written.
    pub fn fail(&self, groups: usize) {
        *self.failures.lock().unwrap() = groups;
    }

    /// The commits in the log.
    pub fn kept(&self) -> BTreeSet<Sequence> {
        self.kept.lock().unwrap().clone()
    }

    pub fn append(&self, record: Record) -> StoreResult<()> {
        self.groups.append(record, |group| {
            shuttle::thread::yield_now();
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(StoreError::new(StoreErrorCode::NoSpace, "no space"));
            }
            let sequences = group.iter().map(|record| record.sequence);
            self.kept.lock().unwrap().extend(sequences);
            Ok(())
        })
    }

    pub fn remove(&self, sequence: Sequence) -> StoreResult<()> {
        assert!(self.kept.lock().unwrap().remove(&sequence));
        Ok(())
    }

    pub fn sync(&self) -> StoreResult<Option<Sequence>> {
        shuttle::thread::yield_now();
        Ok(None)
    }

    pub fn trim(&self, floor: Sequence) -> StoreResult<()> {
        shuttle::thread::yield_now();
        self.kept.lock().unwrap().retain(|kept| *kept >= floor);
        Ok(())
    }
}

/// In the store this becomes durable, and visible, with SQLite's own commit.
pub fn write_to_main(
    main: Handle,
    record: &Record,
    _floor: Sequence,
    _logged: Option<Sequence>,
) -> StoreResult<()> {
    main.main().write(record.sequence);
    Ok(())
}

/// As the store's.
pub fn is_in_main(main: Handle, sequence: Sequence) -> StoreResult<bool> {
    Ok(main.main().mixed() >= sequence)
}
