//! What Tonbo holds of a table at one moment: a pinned snapshot, and a directory that cuts its keys into chunks.
//!
//! The chunks' ranges follow one another from no lower bound to no upper bound, so that every key belongs to just one. A range whose rows
//! nobody has read yet is *unknown*; reading it cuts a chunk of a fixed number of rows ([`CHUNK_ROWS`]) off its front and leaves the rest unknown. So a point or
//! a `LIMIT` on a cold table reads little, and nothing has to be read when a table is opened. Where rows are large a chunk gets fewer of them:
//! one whose columns exceed [`CHUNK_SIZE_MAX`] when they are read is halved.
//!
//! Invariants: the directory is never empty; neighbours' bounds are equal; a known chunk holds just the snapshot's rows of its range.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use super::cache::ColumnCache;
use super::chunk::Chunk;
use super::range::{KeyRange, just_after};
use super::source::SourceSnapshot;
use crate::error::{StoreError, StoreResult};
use crate::key::Key;
use crate::sync::{Mutex, PoisonError};

/// How many rows a chunk gets when it is cut: enough to make a scan's start negligible, few enough to share the work.
pub const CHUNK_ROWS: usize = 32 * 1024;

/// The columns that are read of a chunk at once take no more bytes than this, but for one row and what Tonbo reads ahead.
pub const CHUNK_SIZE_MAX: usize = 32 << 20;

/// The key's position among the slots.
pub const KEY_SLOT: usize = 0;

/// An entry of the directory.
#[derive(Clone)]
pub struct Entry {
    /// The keys that belong here.
    pub range: KeyRange,
    /// Their rows; `None` while unknown.
    pub chunk: Option<Arc<Chunk>>,
}

/// A known range with the columns that were asked for.
pub struct Loaded {
    /// The keys that belong here.
    pub range: KeyRange,
    /// How many rows.
    pub rows: usize,
    /// A column for each slot that was asked for.
    pub columns: Vec<ArrayRef>,
    /// Where they come from; `None` where they were read past the chunks.
    pub chunk: Option<Arc<Chunk>>,
}

/// See the module's documentation.
pub struct Base {
    snapshot: Arc<SourceSnapshot>,
    slots: usize,
    cache: Arc<ColumnCache>,
    directory: Mutex<Arc<Vec<Entry>>>,
    /// Held while an unknown range is read. Never taken while `directory` is held.
    reading: Mutex<()>,
}

impl Base {
    /// All that a snapshot holds, unread. `slots` counts the columns of the Arrow schema.
    pub fn new(snapshot: SourceSnapshot, slots: usize, cache: Arc<ColumnCache>) -> Base {
        let directory = vec![Entry {
            range: KeyRange::all(),
            chunk: None,
        }];
        Base::with_directory(Arc::new(snapshot), slots, cache, directory)
    }

    fn with_directory(
        snapshot: Arc<SourceSnapshot>,
        slots: usize,
        cache: Arc<ColumnCache>,
        directory: Vec<Entry>,
    ) -> Base {
        Base {
            snapshot,
            slots,
            cache,
            directory: Mutex::new(Arc::new(directory)),
            reading: Mutex::new(()),
        }
    }

    /// The base after the rows of `changed` (sorted, without repeats) were written and `snapshot` was taken: chunks without a changed key
    /// are shared.
    pub fn after(&self, snapshot: SourceSnapshot, changed: &[Key]) -> Base {
        let mut directory: Vec<Entry> = Vec::new();
        let mut rest = changed;
        for entry in self.directory().iter() {
            let inside = match &entry.range.upper {
                Some(upper) => rest.partition_point(|key| key < upper),
                None => rest.len(),
            };
            let (own, after) = rest.split_at(inside);
            rest = after;
            match own.first() {
                None => directory.push(entry.clone()),
                Some(first) => {
                    directory.extend(split_for_append(entry, first, self.cache.chunk_rows()))
                }
            }
        }
        Base::with_directory(
            Arc::new(snapshot),
            self.slots,
            self.cache.clone(),
            directory,
        )
    }

    /// The entry that `key` belongs to; the first one for `None`.
    pub fn entry(&self, key: Option<&Key>) -> Entry {
        let directory = self.directory();
        directory[entry_index(&directory, key)].clone()
    }

    /// The entry that holds the greatest keys below `key`; the last one for `None`.
    pub fn entry_below(&self, key: Option<&Key>) -> Entry {
        let directory = self.directory();
        let index = match key {
            None => directory.len() - 1,
            Some(key) => {
                directory
                    .partition_point(|entry| {
                        entry.range.lower.as_ref().is_none_or(|lower| lower < key)
                    })
                    .max(1)
                    - 1
            }
        };
        directory[index].clone()
    }

    /// How many rows a chunk gets when it is cut.
    pub fn chunk_rows(&self) -> usize {
        self.cache.chunk_rows()
    }

    /// How many rows are known, and whether that is all of them.
    pub fn known_rows(&self) -> (usize, bool) {
        let directory = self.directory();
        let rows = directory
            .iter()
            .filter_map(|entry| entry.chunk.as_ref())
            .map(|chunk| chunk.rows)
            .sum();
        (rows, directory.iter().all(|entry| entry.chunk.is_some()))
    }

    /// Makes an entry's columns available: those of the whole entry where it is known, else those of the chunk that is cut off its front.
    pub fn load(&self, entry: &Entry, slots: &[usize]) -> StoreResult<Loaded> {
        if let Some(chunk) = &entry.chunk {
            let size_max = match chunk.rows {
                0 | 1 => usize::MAX,
                _ => self.cache.chunk_size(),
            };
            return match chunk.load(&self.snapshot, &entry.range, slots, size_max)? {
                Some(columns) => Ok(Loaded {
                    range: entry.range.clone(),
                    rows: chunk.rows,
                    columns,
                    chunk: Some(chunk.clone()),
                }),
                None => self.load(&self.halve(entry, chunk)?, slots),
            };
        }
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.entry(entry.range.lower.as_ref());
        if current.chunk.is_some() {
            drop(reading);
            return self.load(&current, slots);
        }
        self.cut(&current, slots)
    }

    /// A further column of an entry whose others are in use already.
    pub fn load_beside(&self, entry: &Entry, slot: usize) -> StoreResult<Option<ArrayRef>> {
        let Some(chunk) = &entry.chunk else {
            return Ok(None);
        };
        let columns = chunk.load(&self.snapshot, &entry.range, &[slot], usize::MAX)?;
        Ok(columns.and_then(|mut columns| columns.pop()))
    }

    /// Splits an entry whose chunk is too large to be read, and returns the first half.
    fn halve(&self, entry: &Entry, chunk: &Arc<Chunk>) -> StoreResult<Entry> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.entry(entry.range.lower.as_ref());
        if current
            .chunk
            .as_ref()
            .is_none_or(|other| !Arc::ptr_eq(other, chunk))
        {
            return Ok(current);
        }
        let keys = self.snapshot.scan(&entry.range, &[KEY_SLOT], None)?;
        let [keys] = &keys[..] else {
            return Err(StoreError::corrupt("a chunk without keys"));
        };
        if keys.len() != chunk.rows {
            return Err(super::chunk::read_back_differs(chunk.rows, keys.len()));
        }
        let middle = keys.len() / 2;
        let bound = Key::from(keys.as_binary::<i32>().value(middle));
        let half = |range: KeyRange, from: usize, count: usize| Entry {
            range,
            chunk: Some(Chunk::new(
                &self.cache,
                vec![None; self.slots],
                &keys.slice(from, count),
            )),
        };
        let (lower, upper) = (entry.range.lower.clone(), entry.range.upper.clone());
        let first = KeyRange {
            lower,
            upper: Some(bound.clone()),
        };
        let second = KeyRange {
            lower: Some(bound),
            upper,
        };
        let first = half(first, 0, middle);
        let second = half(second, middle, keys.len() - middle);
        self.replace(entry.range.lower.as_ref(), vec![first.clone(), second]);
        Ok(first)
    }

    /// Puts entries in the place of the one that `key` belongs to.
    fn replace(&self, key: Option<&Key>, entries: Vec<Entry>) {
        let mut directory = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let index = entry_index(&directory, key);
        Arc::make_mut(&mut directory).splice(index..=index, entries);
    }

    /// Reads rows straight from Tonbo, past the chunks: for a few rows of a range that nobody has decoded.
    pub fn read_directly(
        &self,
        range: &KeyRange,
        slots: &[usize],
        limit: Option<usize>,
    ) -> StoreResult<Loaded> {
        let columns = self.snapshot.scan(range, slots, limit)?;
        Ok(Loaded {
            range: range.clone(),
            rows: columns.first().map_or(0, |column| column.len()),
            columns,
            chunk: None,
        })
    }

    /// Reads the first rows of an unknown entry and splits the entry behind them. The caller holds `reading`.
    fn cut(&self, entry: &Entry, slots: &[usize]) -> StoreResult<Loaded> {
        let mut read: Vec<usize> = vec![KEY_SLOT];
        read.extend(slots.iter().filter(|slot| **slot != KEY_SLOT));
        self.cache.miss();
        let rows_max = self.cache.chunk_rows();
        let size_max = self.cache.chunk_size();
        let piece = self
            .snapshot
            .scan_piece(&entry.range, &read, Some(rows_max + 1), size_max)?;
        let mut columns = piece.columns;
        let keys = columns[0].as_binary::<i32>();
        let mut range = entry.range.clone();
        if piece.is_cut && keys.len() <= rows_max {
            range.upper = Some(just_after(keys.value(keys.len() - 1)));
        } else if keys.len() > rows_max {
            range.upper = Some(Key::from(keys.value(rows_max)));
            for column in &mut columns {
                *column = owned_prefix(column, rows_max);
            }
        }
        let mut by_slot: Vec<Option<ArrayRef>> = vec![None; self.slots];
        for (slot, column) in read.iter().zip(&columns) {
            by_slot[*slot] = Some(column.clone());
        }
        if !slots.contains(&KEY_SLOT) {
            by_slot[KEY_SLOT] = None; // read for the cut alone
        }
        let chunk = Chunk::new(&self.cache, by_slot.clone(), &columns[0]);
        let mut pieces = vec![Entry {
            range: range.clone(),
            chunk: Some(chunk.clone()),
        }];
        if range.upper != entry.range.upper {
            let rest = KeyRange {
                lower: range.upper.clone(),
                upper: entry.range.upper.clone(),
            };
            pieces.push(Entry {
                range: rest,
                chunk: None,
            });
        }
        self.replace(entry.range.lower.as_ref(), pieces);
        let columns = slots
            .iter()
            .filter_map(|slot| by_slot[*slot].clone())
            .collect();
        Ok(Loaded {
            range,
            rows: chunk.rows,
            columns,
            chunk: Some(chunk),
        })
    }

    fn directory(&self) -> Arc<Vec<Entry>> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn entry_index(directory: &[Entry], key: Option<&Key>) -> usize {
    let starts_at_or_before = |entry: &Entry| match (&entry.range.lower, key) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(lower), Some(key)) => lower <= key,
    };
    directory.partition_point(starts_at_or_before).max(1) - 1
}

/// The entries that stand in for one in which rows were written, `first` being the first of them: where all of them come behind its rows,
/// those keep their chunk.
fn split_for_append(entry: &Entry, first: &Key, chunk_rows: usize) -> Vec<Entry> {
    if let Some(chunk) = &entry.chunk
        && chunk.rows >= chunk_rows / 2
        && chunk.ends.as_ref().is_some_and(|(_, last)| last < first)
    {
        let kept = KeyRange {
            lower: entry.range.lower.clone(),
            upper: Some(first.clone()),
        };
        let rest = KeyRange {
            lower: Some(first.clone()),
            upper: entry.range.upper.clone(),
        };
        return vec![
            Entry {
                range: kept,
                chunk: entry.chunk.clone(),
            },
            Entry {
                range: rest,
                chunk: None,
            },
        ];
    }
    vec![Entry {
        range: entry.range.clone(),
        chunk: None,
    }]
}

/// The first rows of an array, in buffers of their own size.
fn owned_prefix(array: &ArrayRef, rows: usize) -> ArrayRef {
    let slice = array.slice(0, rows);
    arrow_select::concat::concat(&[slice.as_ref()]).unwrap_or(slice)
}
