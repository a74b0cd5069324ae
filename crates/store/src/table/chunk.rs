//! A run of neighbouring rows that never changes, with those of its columns that are decoded at the moment.
//!
//! A chunk is known by its content alone, not by a snapshot: as long as no key between its bounds changes, every later version of the
//! table shares it, and what one thread has decoded serves all.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use super::cache::ColumnCache;
use super::range::KeyRange;
use super::source::SourceSnapshot;
use crate::error::{StoreError, StoreResult};
use crate::key::Key;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A chunk is decoded once this many small reads have gone past it.
const DIRECT_READS_MAX: u32 = 16;

/// See the module's documentation.
#[derive(Debug)]
pub struct Chunk {
    /// How many rows.
    pub rows: usize,
    /// The first and the last key; `None` where there are no rows.
    pub ends: Option<(Key, Key)>,
    cache: Arc<ColumnCache>,
    direct_reads: AtomicU32,
    decoded: Mutex<Decoded>,
    /// Held while columns are read, so that two threads don't read the same ones. Never taken while `decoded` is held.
    reading: Mutex<()>,
}

#[derive(Debug)]
struct Decoded {
    columns: Vec<Option<ArrayRef>>,
    size: usize,
}

impl Chunk {
    /// A chunk whose key column, and any others of `columns`, are decoded. `columns` has a place for each slot of the schema.
    pub fn new(
        cache: &Arc<ColumnCache>,
        columns: Vec<Option<ArrayRef>>,
        keys: &ArrayRef,
    ) -> Arc<Chunk> {
        let keys = keys.as_binary::<i32>();
        let rows = keys.len();
        let ends = (rows > 0).then(|| (Key::from(keys.value(0)), Key::from(keys.value(rows - 1))));
        let size = columns
            .iter()
            .flatten()
            .map(|column| column.get_array_memory_size())
            .sum();
        let chunk = Arc::new(Chunk {
            rows,
            ends,
            cache: cache.clone(),
            direct_reads: AtomicU32::new(0),
            decoded: Mutex::new(Decoded { columns, size }),
            reading: Mutex::new(()),
        });
        cache.add(size);
        cache.admit(Arc::downgrade(&chunk));
        cache.enforce();
        chunk
    }

    /// The columns of these slots, decoded now where they weren't; `None` where those take more than `size_max` bytes. `range` must hold the
    /// chunk's rows and no others in `snapshot`.
    pub fn load(
        self: &Arc<Self>,
        snapshot: &SourceSnapshot,
        range: &KeyRange,
        slots: &[usize],
        size_max: usize,
    ) -> StoreResult<Option<Vec<ArrayRef>>> {
        if let Some(columns) = self.peek(slots) {
            self.cache.hit();
            return Ok(Some(columns));
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut columns: Vec<Option<ArrayRef>> = {
            let decoded = self.decoded();
            slots
                .iter()
                .map(|slot| decoded.columns[*slot].clone())
                .collect()
        };
        let missing: Vec<usize> = slots
            .iter()
            .zip(&columns)
            .filter(|(_, column)| column.is_none())
            .map(|(slot, _)| *slot)
            .collect();
        if !missing.is_empty() {
            self.cache.miss();
            let piece = snapshot.scan_piece(range, &missing, None, size_max)?;
            if piece.is_cut {
                return Ok(None);
            }
            let read = piece.columns;
            if let Some(column) = read.iter().find(|column| column.len() != self.rows) {
                return Err(read_back_differs(self.rows, column.len()));
            }
            let mut decoded = self.decoded();
            let mut added = 0;
            for (slot, column) in missing.iter().zip(read) {
                added += column.get_array_memory_size();
                let place = slots
                    .iter()
                    .position(|other| other == slot)
                    .unwrap_or_default();
                columns[place] = Some(column.clone());
                decoded.columns[*slot] = Some(column);
            }
            let is_new_holder = decoded.size == 0;
            decoded.size += added;
            // Before another thread can evict the chunk, which takes its whole size off the count.
            self.cache.add(added);
            drop(decoded);
            if is_new_holder {
                self.cache.admit(Arc::downgrade(self));
            }
            self.cache.enforce();
        }
        Ok(Some(columns.into_iter().flatten().collect()))
    }

    /// Whether a key of this range can be among the rows, by their ends alone.
    pub fn may_hold(&self, range: &KeyRange) -> bool {
        self.ends.as_ref().is_some_and(|(first, last)| {
            range.upper.as_ref().is_none_or(|upper| first < upper)
                && range.lower.as_ref().is_none_or(|lower| lower <= last)
        })
    }

    /// Whether a few rows should be read past the chunk: so for its first such reads, until decoding it pays.
    pub fn prefers_direct_reads(&self) -> bool {
        // Relaxed: a count of its own.
        self.direct_reads.fetch_add(1, Ordering::Relaxed) < DIRECT_READS_MAX
    }

    /// The columns of these slots, where all of them are decoded.
    pub fn peek(&self, slots: &[usize]) -> Option<Vec<ArrayRef>> {
        let decoded = self.decoded();
        slots
            .iter()
            .map(|slot| decoded.columns[*slot].clone())
            .collect()
    }

    /// Forgets every decoded column; who has taken one keeps it.
    pub(super) fn evict(&self) {
        // Small reads go past the chunk again, so that a table larger than the budget is not decoded for each of them. Relaxed: a count.
        self.direct_reads.store(0, Ordering::Relaxed);
        let mut decoded = self.decoded();
        decoded.columns.fill(None);
        self.cache.subtract(std::mem::take(&mut decoded.size));
    }

    fn decoded(&self) -> MutexGuard<'_, Decoded> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tonbo gave other rows for a range than before.
pub(super) fn read_back_differs(expected: usize, read: usize) -> StoreError {
    StoreError::corrupt(format!(
        "a chunk of {expected} rows was read back with {read}"
    ))
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let decoded = self
            .decoded
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        self.cache.subtract(decoded.size);
    }
}
