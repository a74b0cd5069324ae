//! The commits of both logs, as they are replayed, and what is left of damaged ones.

use super::Salvage;
use super::tables::Stored;
use crate::commit::changes::Changes;
use crate::commit::log::{self, LogFile};
use crate::error::{StoreError, StoreResult};
use crate::statement::Handle;
use crate::store::{LOG_FILE, MAIN_FILE};
use crate::table::TableId;
use crate::table::version::Sequence;

/// A commit of one of the logs.
pub(super) struct Commit {
    pub(super) sequence: Sequence,
    pub(super) changes: Changes,
    /// The database file that its log is in.
    pub(super) file: &'static str,
    /// Whether the log says more than is left of it.
    is_mended: bool,
}

impl Commit {
    /// What is wrong where its rows do not fit a table.
    pub(super) fn misfit(&self, stored: &Stored) -> StoreError {
        let what = match stored {
            Stored::Rows(..) => "table",
            Stored::Entries(_) => "index",
        };
        StoreError::corrupt(format!(
            "commit {} in {} is damaged: a row of {what} {} has not as many values as that has columns",
            self.sequence,
            self.file,
            stored.name()
        ))
    }

    /// Forgets what it says of a table.
    pub(super) fn leave_out(&mut self, table: TableId) {
        self.changes.tables.remove(&table);
        self.is_mended = true;
    }
}

/// The commits from `floor` on, in their order. Of one that can't be read, if that is gone around, nothing is left.
pub(super) fn read(
    main: Handle,
    log: &LogFile,
    floor: Sequence,
    salvage: &mut Salvage,
) -> StoreResult<Vec<Commit>> {
    let own = log.read(floor).map_err(|error| salvage.advise(error))?;
    let own = own.into_iter().map(|row| (LOG_FILE, row));
    let mixed = log::read(main, log::MAIN_LOG, floor)?;
    let mixed = mixed.into_iter().map(|row| (MAIN_FILE, row));
    let mut commits = Vec::new();
    for (file, (sequence, changes)) in own.chain(mixed) {
        let (changes, is_mended) = match changes {
            Ok(changes) => (changes, false),
            Err(error) => {
                let message = format!("{file}: {}", error.message);
                salvage.meet(file, StoreError::corrupt(message))?;
                (Changes::default(), true)
            }
        };
        commits.push(Commit {
            sequence,
            changes,
            file,
            is_mended,
        });
    }
    commits.sort_by_key(|commit| commit.sequence);
    Ok(commits)
}

/// Has the logs say what is left of the commits.
pub(super) fn write_mended(main: Handle, log: &LogFile, commits: &[Commit]) -> StoreResult<()> {
    for commit in commits.iter().filter(|commit| commit.is_mended) {
        let (sequence, changes) = (commit.sequence, &commit.changes);
        match commit.file == LOG_FILE {
            true => log.rewrite(sequence, changes)?,
            false => log::transaction(main, || {
                log::rewrite(main, log::MAIN_LOG, sequence, changes)
            })?,
        }
    }
    Ok(())
}
