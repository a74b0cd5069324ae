//! Which rows were written lately, and by which commit: what tells a transaction that it comes second.
//!
//! A small commit's rows are noted one by one. A large one's stand together, as keys that were sorted before the sequencer's lock was taken:
//! under the lock, noting it, voiding it and forgetting it take no longer than for a small one.
//!
//! # How far it reaches back
//! To the oldest transaction that is open, but over no more than [`ROWS_MAX`] rows: an old transaction would otherwise have all rows kept that
//! were written since. One that is older than what is known can't be told from one that comes second, and has to begin again
//! ([`RecentWrites::reaches`]). Only those that write ask.

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

/// Rows of which it is known when they were written; beyond, the oldest half of the commits is forgotten. A commit that has more is known alone.
const ROWS_MAX: usize = 1 << 20;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 1024;

/// The rows of small commits, and large commits whole, with their numbers.
pub struct RecentWrites {
    rows: HashMap<(TableId, Key), Sequence>,
    large: BTreeMap<Sequence, Keys>,
    /// How many rows `large` has.
    large_rows: usize,
    rows_max: usize,
    /// The commits up to this one may be forgotten, whoever would ask for them.
    floor: Sequence,
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
        RecentWrites::keeping(ROWS_MAX)
    }
}

fn rows_of(keys: &Keys) -> usize {
    keys.values().map(Vec::len).sum()
}

impl RecentWrites {
    /// Nothing yet, and later no more rows than that, but for those of one commit.
    pub fn keeping(rows_max: usize) -> RecentWrites {
        RecentWrites {
            rows: HashMap::new(),
            large: BTreeMap::new(),
            large_rows: 0,
            rows_max,
            floor: 0,
            sweep_at: SWEEP_ROWS,
        }
    }

    /// How many rows are kept.
    pub fn row_count(&self) -> usize {
        self.rows.len() + self.large_rows
    }

    /// Whether all commits after `seen` are known.
    pub fn reaches(&self, seen: Sequence) -> bool {
        seen >= self.floor
    }

    /// Whether a commit after `seen` wrote any row of a table.
    pub fn has_any(&self, table: TableId, seen: Sequence) -> bool {
        let mut later = self.large.range(seen + 1..);
        later.any(|(_, keys)| keys.contains_key(&table))
            || self
                .rows
                .iter()
                .any(|((id, _), last)| *id == table && *last > seen)
    }

    /// A row of a table that `buffer` writes and a commit after `seen` wrote, too, if there is one.
    ///
    /// # Errors
    /// [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted).
    pub fn first_of(
        &self,
        table: TableId,
        buffer: &Buffer,
        seen: Sequence,
    ) -> StoreResult<Option<Key>> {
        match self.first_small(table, buffer, seen)? {
            None => self.first_large(table, buffer, seen),
            found => Ok(found),
        }
    }

    fn first_small(
        &self,
        table: TableId,
        buffer: &Buffer,
        seen: Sequence,
    ) -> StoreResult<Option<Key>> {
        if self.rows.len() < buffer.len() {
            for (place, ((id, key), last)) in self.rows.iter().enumerate() {
                look(place)?;
                if *id == table && *last > seen && buffer.contains_key(key) {
                    return Ok(Some(key.clone()));
                }
            }
            return Ok(None);
        }
        for (place, key) in buffer.keys().enumerate() {
            look(place)?;
            let last = self.rows.get(&(table, key.clone()));
            if last.is_some_and(|last| *last > seen) {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    fn first_large(
        &self,
        table: TableId,
        buffer: &Buffer,
        seen: Sequence,
    ) -> StoreResult<Option<Key>> {
        let later = self.large.range(seen + 1..);
        for theirs in later.filter_map(|(_, keys)| keys.get(&table)) {
            if theirs.len() < buffer.len() {
                for (place, key) in theirs.iter().enumerate() {
                    look(place)?;
                    if buffer.contains_key(key) {
                        return Ok(Some(key.clone()));
                    }
                }
            } else {
                for (place, key) in buffer.keys().enumerate() {
                    look(place)?;
                    if theirs.binary_search(key).is_ok() {
                        return Ok(Some(key.clone()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Notes a commit, which comes after all others; where memory is refused, which is a panic, nothing of it.
    pub fn note(&mut self, sequence: Sequence, footprint: Footprint<'_>) -> Before {
        if let Some(keys) = footprint.keys {
            let count = rows_of(&keys);
            self.large.insert(sequence, keys);
            self.large_rows += count;
            return Before::new();
        }
        let count = footprint.changes.row_count();
        let mut before = Before::with_capacity(count);
        self.rows.reserve(count);
        for (id, key) in footprint.changes.keys() {
            let place = (id, key.clone());
            let last = self.rows.insert(place.clone(), sequence);
            before.push((place, last));
        }
        before
    }

    /// Forgets the oldest of the commits before this one, if more is kept than may be.
    pub fn make_room(&mut self, sequence: Sequence) -> Forgotten {
        let (mut forgotten, last) = (Forgotten::new(), sequence - 1);
        while self.row_count() > self.rows_max && self.floor < last {
            self.floor += (last - self.floor).div_ceil(2);
            self.sweep_at = 0;
            forgotten.extend(self.forget(self.floor));
        }
        forgotten
    }

    /// Takes back what [`RecentWrites::note`] did, which returned `before`.
    pub fn void(&mut self, sequence: Sequence, before: Before) -> Forgotten {
        for (place, last) in before {
            match last {
                Some(last) => self.rows.insert(place, last),
                None => self.rows.remove(&place),
            };
        }
        let forgotten: Forgotten = self.large.remove(&sequence).into_iter().collect();
        self.count_out(forgotten)
    }

    fn count_out(&mut self, forgotten: Forgotten) -> Forgotten {
        self.large_rows -= forgotten.iter().map(rows_of).sum::<usize>();
        forgotten
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
        let earlier = std::mem::replace(&mut self.large, later);
        self.count_out(earlier.into_values().collect())
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Forgotten {
        self.rows.clear();
        self.large_rows = 0;
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
