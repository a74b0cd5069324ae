//! Which rows were written lately, and by which commit: what tells a transaction that it comes second.
//!
//! A small commit's rows are noted one by one. A large one's stand together, as keys that were sorted before the sequencer's lock was taken:
//! under the lock, noting it, voiding it and forgetting it take no longer than for a small one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::LARGE_ROWS;
use super::changes::Changes;
use crate::activity::check_interrupt;
use crate::error::StoreResult;
use crate::key::Key;
use crate::table::TableId;
use crate::table::version::{Buffer, Sequence};

/// Rows beyond which forgotten ones are looked for.
const SWEEP_ROWS: usize = 64 * 1024;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 1024;

/// The rows of small commits, and large commits whole, with their numbers.
pub struct RecentWrites {
    rows: HashMap<(TableId, Key), Sequence>,
    large: BTreeMap<Sequence, Keys>,
    sweep_at: usize,
}

/// The keys of a commit's rows, by table, ascending.
type Keys = Arc<BTreeMap<TableId, Vec<Key>>>;

/// What a commit writes, ready to be noted.
pub struct Footprint<'a> {
    changes: &'a Changes,
    /// Of a large commit.
    keys: Option<Keys>,
}

/// What was known, before a commit was noted, of each row that it writes; nothing for a large one.
pub type Before = Vec<((TableId, Key), Option<Sequence>)>;

/// What nobody asks for any more. Dropping it takes a while: best without a lock.
pub type Forgotten = Vec<Keys>;

impl<'a> Footprint<'a> {
    /// What `changes` write.
    ///
    /// # Errors
    /// [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted).
    pub fn new(changes: &'a Changes) -> StoreResult<Footprint<'a>> {
        if changes.row_count() < LARGE_ROWS {
            return Ok(Footprint {
                changes,
                keys: None,
            });
        }
        let mut keys = BTreeMap::new();
        for (id, buffer) in &changes.tables {
            let mut of_table = Vec::with_capacity(buffer.len());
            for key in buffer.keys() {
                look(of_table.len())?;
                of_table.push(key.clone());
            }
            keys.insert(*id, of_table);
        }
        Ok(Footprint {
            changes,
            keys: Some(Arc::new(keys)),
        })
    }
}

impl Default for RecentWrites {
    fn default() -> RecentWrites {
        RecentWrites {
            rows: HashMap::new(),
            large: BTreeMap::new(),
            sweep_at: SWEEP_ROWS,
        }
    }
}

impl RecentWrites {
    /// Whether a commit after `seen` wrote any row of a table.
    pub fn has_any(&self, table: TableId, seen: Sequence) -> bool {
        let mut later = self.large.range(seen + 1..);
        later.any(|(_, keys)| keys.contains_key(&table))
            || self
                .rows
                .iter()
                .any(|((id, _), last)| *id == table && *last > seen)
    }

    /// Whether a commit after `seen` wrote a row of a table that `buffer` writes too.
    ///
    /// # Errors
    /// [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted).
    pub fn has_any_of(&self, table: TableId, buffer: &Buffer, seen: Sequence) -> StoreResult<bool> {
        Ok(self.has_small(table, buffer, seen)? || self.has_large(table, buffer, seen)?)
    }

    fn has_small(&self, table: TableId, buffer: &Buffer, seen: Sequence) -> StoreResult<bool> {
        if self.rows.len() < buffer.len() {
            for (place, ((id, key), last)) in self.rows.iter().enumerate() {
                look(place)?;
                if *id == table && *last > seen && buffer.contains_key(key) {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        for (place, key) in buffer.keys().enumerate() {
            look(place)?;
            let last = self.rows.get(&(table, key.clone()));
            if last.is_some_and(|last| *last > seen) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_large(&self, table: TableId, buffer: &Buffer, seen: Sequence) -> StoreResult<bool> {
        let later = self.large.range(seen + 1..);
        for theirs in later.filter_map(|(_, keys)| keys.get(&table)) {
            if theirs.len() < buffer.len() {
                for (place, key) in theirs.iter().enumerate() {
                    look(place)?;
                    if buffer.contains_key(key) {
                        return Ok(true);
                    }
                }
            } else {
                for (place, key) in buffer.keys().enumerate() {
                    look(place)?;
                    if theirs.binary_search(key).is_ok() {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Notes a commit, which comes after all others.
    pub fn note(&mut self, sequence: Sequence, footprint: Footprint<'_>) -> Before {
        if let Some(keys) = footprint.keys {
            self.large.insert(sequence, keys);
            return Before::new();
        }
        let places = footprint.changes.keys().map(|(id, key)| (id, key.clone()));
        let note = |place: (TableId, Key)| {
            let last = self.rows.insert(place.clone(), sequence);
            (place, last)
        };
        places.map(note).collect()
    }

    /// Takes back what [`RecentWrites::note`] did, which returned `before`.
    pub fn void(&mut self, sequence: Sequence, before: Before) -> Forgotten {
        for (place, last) in before {
            match last {
                Some(last) => self.rows.insert(place, last),
                None => self.rows.remove(&place),
            };
        }
        self.large.remove(&sequence).into_iter().collect()
    }

    /// Forgets the commits up to `oldest`.
    pub fn forget(&mut self, oldest: Sequence) -> Forgotten {
        if self.rows.len() > self.sweep_at {
            self.rows.retain(|_, last| *last > oldest);
            self.sweep_at = (2 * self.rows.len()).max(SWEEP_ROWS);
        }
        if self
            .large
            .first_key_value()
            .is_none_or(|(first, _)| *first > oldest)
        {
            return Forgotten::new();
        }
        let later = self.large.split_off(&(oldest + 1));
        std::mem::replace(&mut self.large, later)
            .into_values()
            .collect()
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Forgotten {
        self.rows.clear();
        std::mem::take(&mut self.large).into_values().collect()
    }
}

/// Looks at the interrupt word at every so many rows.
fn look(place: usize) -> StoreResult<()> {
    if place.is_multiple_of(LOOK_ROWS) {
        check_interrupt()?;
    }
    Ok(())
}
