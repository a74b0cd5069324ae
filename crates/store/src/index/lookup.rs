//! Finding single rows of a version by their keys, one after another: what an index scan does for each entry.
//!
//! The chunk of the last row is kept, so that keys that lie together cost a binary search each. A chunk that nobody has decoded is decoded
//! once a few rows have been read past it, as with other small reads.

use std::sync::Arc;

use crate::error::{StoreError, StoreResult};
use crate::key::{Key, encode_integer};
use crate::table::base::Loaded;
use crate::table::range::KeyRange;
use crate::table::rows::{Cell, ColumnArray};
use crate::table::scan::{Place, key_slot, slots_and_places};
use crate::table::version::{Buffer, TableVersion};
use crate::value::{Row, Value};

/// Rows read from ranges that nobody has read yet, before those are read as a whole.
const DIRECT_MAX: usize = 32;

/// Rows of a version by their keys, with a transaction's own changes on top.
pub struct Lookup {
    version: Arc<TableVersion>,
    buffer: Buffer,
    /// The slots that are asked for.
    columns: Vec<usize>,
    /// For each of them, its value in rows that were written before its column was added.
    absent: Vec<Value>,
    /// Columns of the Arrow schema to load: those that hold the slots, and the one that tells the key if it isn't among them.
    slots: Vec<usize>,
    /// For each of the slots that are asked for, where its values are.
    places: Vec<Place>,
    /// Where in `slots` that one stands.
    key_place: usize,
    page: Option<Page>,
    direct_reads: usize,
}

/// Rows that lie together.
struct Page {
    range: KeyRange,
    rows: usize,
    columns: Vec<ColumnArray>,
}

/// Where a row was found. Good until the next one is looked for.
pub enum Found {
    /// Among the changes that are not in Tonbo yet.
    Changed(Row),
    /// In the page.
    Stored(usize),
}

impl Lookup {
    /// For rows of `version` and their values in the slots `columns`; `absent` as in a scan's request.
    pub fn new(
        version: Arc<TableVersion>,
        buffer: Buffer,
        columns: Vec<usize>,
        absent: Vec<Value>,
    ) -> Lookup {
        let key_slot = key_slot(&version.table.schema);
        let (mut slots, places) = slots_and_places(&version.table.schema, &columns);
        let key_place = slots.iter().position(|slot| *slot == key_slot);
        let key_place = key_place.unwrap_or_else(|| {
            slots.push(key_slot);
            slots.len() - 1
        });
        Lookup {
            slots,
            places,
            key_place,
            version,
            buffer,
            columns,
            absent,
            page: None,
            direct_reads: 0,
        }
    }

    /// The row of that key; `None` where there is none.
    pub fn find(&mut self, key: &Key) -> StoreResult<Option<Found>> {
        if let Some(row) = self.buffer.get(key) {
            return Ok(row.clone().map(Found::Changed));
        }
        if let Some(change) = self.version.delta.get(key) {
            return Ok(change.row.clone().map(Found::Changed));
        }
        let is_here = |page: &Page| page.range.contains(key);
        if !self.page.as_ref().is_some_and(is_here) {
            self.page = self.read(key)?;
        }
        Ok(self
            .page
            .as_ref()
            .and_then(|page| page.find(key, self.key_place)))
    }

    /// The value of `columns[place]` in a row that was just found.
    pub fn cell<'a>(&'a self, found: &'a Found, place: usize) -> Cell<'a> {
        match (found, &self.page) {
            (Found::Changed(row), _) => match row.get(self.columns[place]) {
                Some(value) => Cell::from(value),
                None => self.absent(place),
            },
            (Found::Stored(row), Some(page)) => self.places[place]
                .cell(&page.columns, *row)
                .unwrap_or_else(|| self.absent(place)),
            (Found::Stored(_), None) => Cell::Null,
        }
    }

    fn absent(&self, place: usize) -> Cell<'_> {
        self.absent.get(place).map_or(Cell::Null, Cell::from)
    }

    /// The page that a key's row is in, if there is such a row.
    fn read(&mut self, key: &Key) -> StoreResult<Option<Page>> {
        let base = self.version.base.clone();
        let point = KeyRange::point(key);
        loop {
            let entry = base.entry(Some(key));
            let reads_directly = match &entry.chunk {
                Some(chunk) if !chunk.may_hold(&point) => return Ok(None),
                Some(chunk) => chunk.peek(&self.slots).is_none() && chunk.prefers_direct_reads(),
                None => {
                    self.direct_reads += 1;
                    self.direct_reads <= DIRECT_MAX
                }
            };
            let loaded = if reads_directly {
                base.read_directly(&point, &self.slots, None)?
            } else {
                base.load(&entry, &self.slots)?
            };
            // An unknown range is cut from its front; the key may lie behind the cut.
            if loaded.range.contains(key) {
                return Page::new(loaded).map(Some);
            }
        }
    }
}

impl Page {
    fn new(loaded: Loaded) -> StoreResult<Page> {
        let columns = loaded.columns.iter().map(|column| {
            ColumnArray::new(column)
                .ok_or_else(|| StoreError::corrupt("a column of an unexpected type"))
        });
        Ok(Page {
            range: loaded.range,
            rows: loaded.rows,
            columns: columns.collect::<StoreResult<_>>()?,
        })
    }

    fn find(&self, key: &Key, key_place: usize) -> Option<Found> {
        let keys = self.columns.get(key_place)?;
        let row = keys.lower_bound(key);
        let is_it = row < self.rows
            && match keys.cell(row) {
                Cell::Integer(value) => encode_integer(value)[..] == **key,
                Cell::Blob(bytes) => *bytes == **key,
                _ => false,
            };
        is_it.then_some(Found::Stored(row))
    }
}
