//! A table as one transaction sees it: what Tonbo holds, and the committed changes above that.
//!
//! A version never changes; a commit replaces it whole. Whoever has one may read it for as long as they like, on any thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::base::Base;
use super::{Table, TableId};
use crate::activity::check_interrupt;
use crate::error::StoreResult;
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

/// A commit changes a row once.
impl PartialEq for Change {
    fn eq(&self, other: &Change) -> bool {
        self.sequence == other.sequence
    }
}

/// Committed changes by key.
pub type Delta = OrdMap<Key, Change>;

/// A transaction's own changes to a table, not committed yet.
pub type Buffer = OrdMap<Key, Option<Row>>;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 1024;

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

/// A commit's changes, to go over those before.
///
/// # Errors
/// [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted).
pub fn delta_of(sequence: Sequence, changes: &Buffer) -> StoreResult<Delta> {
    let mut delta = Delta::new();
    for (place, (key, row)) in changes.iter().enumerate() {
        if place.is_multiple_of(LOOK_ROWS) {
            check_interrupt()?;
        }
        let row = row.clone();
        delta.insert(key.clone(), Change { sequence, row });
    }
    Ok(delta)
}

/// As [`delta_of`], for each table that a commit changes.
pub fn deltas_of(
    sequence: Sequence,
    changes: &BTreeMap<TableId, Buffer>,
) -> StoreResult<BTreeMap<TableId, Delta>> {
    let changes = changes.iter();
    changes
        .map(|(id, buffer)| Ok((*id, delta_of(sequence, buffer)?)))
        .collect()
}

/// Puts a later commit's changes over those before, which takes as long as the fewer of the two need.
pub fn add_changes(delta: &mut Delta, mut later: Delta) {
    if later.len() <= delta.len() {
        delta.extend(later);
        return;
    }
    for (key, change) in delta.iter() {
        if !later.contains_key(key) {
            later.insert(key.clone(), change.clone());
        }
    }
    *delta = later;
}

impl TableVersion {
    /// This version with a later commit's changes on top.
    pub fn with_changes(&self, later: Delta) -> TableVersion {
        let mut next = self.clone();
        add_changes(&mut next.delta, later);
        next
    }

    /// The oldest commit whose changes are in the delta.
    pub fn oldest_change(&self) -> Option<Sequence> {
        self.delta.values().map(|change| change.sequence).min()
    }

    /// This version after `moved` has been written to Tonbo, which `base` shows: those changes leave the delta, unless they have been
    /// overwritten since.
    pub fn after_move(&self, moved: &Delta, base: Arc<Base>) -> TableVersion {
        // Looks only at what the two do not share.
        let stays = moved.diff(&self.delta).filter_map(|item| match item {
            DiffItem::Add(key, change) => Some((key, change)),
            DiffItem::Update {
                new: (key, change), ..
            } => Some((key, change)),
            DiffItem::Remove(..) => None,
        });
        let delta = stays
            .map(|(key, change)| (key.clone(), change.clone()))
            .collect();
        TableVersion {
            base,
            delta,
            ..self.clone()
        }
    }
}
