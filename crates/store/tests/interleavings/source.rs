//! A stand-in for Tonbo: rows in memory, and snapshots of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::SchemaRef;

use super::range::KeyRange;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;

/// By key, each column's value as an array of one.
type Rows = BTreeMap<Key, Vec<ArrayRef>>;

/// Its lock is std's: it is held at no point at which another thread may go on.
pub struct Source {
    schema: SchemaRef,
    rows: Mutex<Arc<Rows>>,
    failures: Mutex<usize>,
    scans: AtomicUsize,
}

impl Source {
    pub fn new(schema: SchemaRef) -> Arc<Source> {
        Arc::new(Source {
            schema,
            rows: Mutex::default(),
            failures: Mutex::new(0),
            scans: AtomicUsize::new(0),
        })
    }

    /// The next so many writes fail.
    pub fn fail(&self, writes: usize) {
        *self.failures.lock().unwrap() = writes;
    }

    /// How often rows were read.
    pub fn scans(&self) -> usize {
        self.scans.load(Ordering::Relaxed)
    }

    pub fn ingest(&self, batch: RecordBatch, deletes: Vec<bool>) -> StoreResult<()> {
        shuttle::thread::yield_now();
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::new(StoreErrorCode::NoSpace, "no space"));
        }
        let mut rows = self.rows.lock().unwrap();
        let rows = Arc::make_mut(&mut rows);
        let keys = batch.column(0).as_binary::<i32>().clone();
        for (row, is_delete) in deletes.into_iter().enumerate() {
            let key = Key::from(keys.value(row));
            if is_delete {
                rows.remove(&key);
            } else {
                let columns = batch.columns().iter();
                rows.insert(key, columns.map(|column| column.slice(row, 1)).collect());
            }
        }
        Ok(())
    }

    pub fn flush(&self) -> StoreResult<bool> {
        Ok(true)
    }

    pub fn compact(&self) -> StoreResult<bool> {
        Ok(false)
    }

    pub fn snapshot(self: &Arc<Self>) -> StoreResult<SourceSnapshot> {
        shuttle::thread::yield_now();
        Ok(SourceSnapshot {
            source: self.clone(),
            rows: self.rows.lock().unwrap().clone(),
            is_pinned: true,
        })
    }
}

/// What a [`Source`] held at one moment.
pub struct SourceSnapshot {
    source: Arc<Source>,
    rows: Arc<Rows>,
    is_pinned: bool,
}

pub struct Piece {
    pub columns: Vec<ArrayRef>,
    pub is_cut: bool,
}

impl SourceSnapshot {
    /// A fault to be found: it shows what is written later, too.
    pub fn unpinned(self) -> SourceSnapshot {
        SourceSnapshot {
            is_pinned: false,
            ..self
        }
    }

    pub fn scan(
        &self,
        range: &KeyRange,
        slots: &[usize],
        limit: Option<usize>,
    ) -> StoreResult<Vec<ArrayRef>> {
        Ok(self.scan_piece(range, slots, limit, usize::MAX)?.columns)
    }

    /// Gives row for row, as Tonbo gives batch for batch.
    pub fn scan_piece(
        &self,
        range: &KeyRange,
        slots: &[usize],
        limit: Option<usize>,
        size_max: usize,
    ) -> StoreResult<Piece> {
        self.source.scans.fetch_add(1, Ordering::Relaxed);
        shuttle::thread::yield_now();
        let rows = match self.is_pinned {
            true => self.rows.clone(),
            false => self.source.rows.lock().unwrap().clone(),
        };
        let (mut parts, mut size, mut is_cut) = (vec![Vec::new(); slots.len()], 0, false);
        let inside = rows.iter().filter(|(key, _)| range.contains(key));
        for (_, row) in inside.take(limit.unwrap_or(usize::MAX)) {
            is_cut = size > size_max;
            if is_cut {
                break;
            }
            for (part, slot) in parts.iter_mut().zip(slots) {
                size += row[*slot].get_array_memory_size();
                part.push(row[*slot].clone());
            }
        }
        let columns = parts.iter().zip(slots).map(|(part, slot)| {
            let part: Vec<_> = part.iter().map(|array| array.as_ref()).collect();
            match part[..] {
                [] => new_empty_array(self.source.schema.field(*slot).data_type()),
                _ => arrow_select::concat::concat(&part).expect("columns of one type"),
            }
        });
        Ok(Piece {
            columns: columns.collect(),
            is_cut,
        })
    }
}
