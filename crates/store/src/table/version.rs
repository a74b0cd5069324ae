//! A table as one transaction sees it: what Tonbo holds, and the committed changes above that.
//!
//! A version never changes; a commit replaces it whole. Whoever has one may read it for as long as they like, on any thread.

use std::sync::Arc;

use imbl::OrdMap;

use super::Table;
use super::base::Base;
use crate::index::Indexes;
use crate::key::Key;
use crate::value::Row;

/// A commit's place in the order of all commits.
pub type Sequence = u64;

/// A committed change that has not reached Tonbo yet.
#[derive(Clone, Debug)]
pub struct Change {
    /// The commit that made it.
    pub sequence: Sequence,
    /// The row as it is now; `None` where it was deleted.
    pub row: Option<Row>,
}

/// Committed changes by key.
pub type Delta = OrdMap<Key, Change>;

/// A transaction's own changes to a table, not committed yet.
pub type Buffer = OrdMap<Key, Option<Row>>;

/// See the module's documentation.
#[derive(Clone)]
pub struct TableVersion {
    /// Which table.
    pub table: Arc<Table>,
    /// What Tonbo holds.
    pub base: Arc<Base>,
    /// What was committed since.
    pub delta: Delta,
    /// The indexes that find its rows. Part of the version, so that who sees a table's rows knows just the indexes that have their entries.
    pub indexes: Indexes,
}

/// Puts a commit's changes over those before.
pub fn add_changes(delta: &mut Delta, sequence: Sequence, changes: &Buffer) {
    for (key, row) in changes {
        let row = row.clone();
        delta.insert(key.clone(), Change { sequence, row });
    }
}

impl TableVersion {
    /// This version with a commit's changes on top.
    pub fn with_changes(&self, sequence: Sequence, changes: &Buffer) -> TableVersion {
        let mut next = self.clone();
        add_changes(&mut next.delta, sequence, changes);
        next
    }

    /// This version after `moved` has been written to Tonbo, which `base` shows: those changes leave the delta, unless they have been
    /// overwritten since.
    pub fn after_move(&self, moved: &Delta, base: Arc<Base>) -> TableVersion {
        let mut delta = self.delta.clone();
        for (key, change) in moved {
            if delta
                .get(key)
                .is_some_and(|current| current.sequence == change.sequence)
            {
                delta.remove(key);
            }
        }
        TableVersion {
            base,
            delta,
            ..self.clone()
        }
    }
}
