//! Who may write a table while it is imported into, indexed, or just has been.

use super::Table;
use super::version::Sequence;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a commit to a table looks at, under the sequencer's lock.
#[derive(Debug, Default)]
pub struct Writers {
    /// Set by the one import, or building of an index, that may run; commits of others are refused meanwhile. SeqCst: set before the look at
    /// the numbers given out ([`settle`](crate::commit::sequencer::Sequencer::settle)), read under the lock that gives them out.
    are_gated: AtomicBool,
    /// The last commit that was an import or changed which indexes there are: a transaction with an older snapshot may not write. Written
    /// and read under the sequencer's lock.
    began_anew_at: AtomicU64,
}

impl Writers {
    /// Whether a [`Gate`] is closed.
    pub fn are_gated(&self) -> bool {
        self.are_gated.load(Ordering::SeqCst)
    }

    /// Whether a transaction whose snapshot is `seen` may write: no import and no index has come in between.
    pub fn may_write_since(&self, seen: Sequence) -> bool {
        self.began_anew_at.load(Ordering::SeqCst) <= seen
    }

    /// Writers need a snapshot that shows this commit from now on. Returns which one they needed before. The caller is under the sequencer's
    /// lock.
    pub fn begin_anew(&self, sequence: Sequence) -> Sequence {
        self.began_anew_at.swap(sequence, Ordering::SeqCst)
    }
}

/// The right to keep everyone else's commits away from a table, which one import or building of an index has at a time.
pub struct Gate<'a>(&'a Table);

impl<'a> Gate<'a> {
    /// Keeps new commits to the table out. Those under way are the caller's to wait for.
    pub fn close(table: &'a Table) -> StoreResult<Gate<'a>> {
        if table.writers.are_gated.swap(true, Ordering::SeqCst) {
            return Err(is_gated(table));
        }
        Ok(Gate(table))
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        self.0.writers.are_gated.store(false, Ordering::SeqCst);
    }
}

/// The error of whoever meets another's [`Gate`].
pub fn is_gated(table: &Table) -> StoreError {
    StoreError::new(
        StoreErrorCode::TableBusy,
        format!(
            "table {} is being imported into or indexed: try again when that is done",
            table.name()
        ),
    )
}
