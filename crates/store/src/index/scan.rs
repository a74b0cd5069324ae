//! Walking a table's rows in the order of an index.

use std::sync::Arc;

use super::lookup::{Found, Lookup};
use super::{Index, row_key};
use crate::activity::check_interrupt;
use crate::error::{StoreError, StoreResult};
use crate::key::{Key, decode_integer};
use crate::table::range::KeyRange;
use crate::table::rows::Cell;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::value::Value;

/// A position among an index's entries, and the row of that entry. Starts on the first one.
pub struct IndexScan {
    entries: Entries,
    lookup: Lookup,
    current: Option<(Key, Found)>,
}

/// Where entries come from.
pub enum Entries {
    /// The index.
    Stored(Box<Ranges>),
    /// The table: the plan was made for an index that this snapshot hasn't, or that can't be read. Their rows' keys, the next one last.
    Sorted(Vec<Key>),
}

/// A position in ranges of a table, one behind another. Starts on the first row.
pub struct Ranges {
    scan: Scan,
    /// Ranges still to come, the next one last.
    rest: Vec<KeyRange>,
}

impl Ranges {
    /// The rows in `ranges`, which ascend.
    pub fn new(
        version: Arc<TableVersion>,
        buffer: Buffer,
        request: Request,
        mut ranges: Vec<KeyRange>,
    ) -> StoreResult<Ranges> {
        if !request.descending {
            ranges.reverse();
        }
        let range = ranges.pop().unwrap_or_else(KeyRange::none);
        let scan = Scan::new(version, buffer, Request { range, ..request })?;
        let mut all = Ranges { scan, rest: ranges };
        all.settle()?;
        Ok(all)
    }

    #[inline]
    fn advance(&mut self) -> StoreResult<()> {
        self.scan.advance()?;
        self.settle()
    }

    /// Goes to the next range that has rows, where this one is over.
    #[inline]
    fn settle(&mut self) -> StoreResult<()> {
        while self.scan.is_done()
            && let Some(range) = self.rest.pop()
        {
            self.scan.go_on(range)?;
        }
        Ok(())
    }
}

impl Entries {
    /// The entries of an index in `ranges`, which ascend.
    pub fn stored(
        version: Arc<TableVersion>,
        buffer: Buffer,
        request: Request,
        ranges: Vec<KeyRange>,
    ) -> StoreResult<Entries> {
        let request = Request {
            columns: vec![0],
            absent: Vec::new(),
            with_key: false,
            ..request
        };
        let ranges = Ranges::new(version, buffer, request, ranges)?;
        Ok(Entries::Stored(Box::new(ranges)))
    }

    /// The entries that `index` would have.
    pub fn sorted(
        index: &Index,
        version: Arc<TableVersion>,
        buffer: Buffer,
        ranges: &[KeyRange],
        descending: bool,
    ) -> StoreResult<Entries> {
        let mut scan = Scan::new(version, buffer, index.request())?;
        let mut entries: Vec<(Key, Key)> = Vec::new();
        while !scan.is_done() {
            check_interrupt()?;
            let row = index.row(|place| Value::from(scan.cell(place)));
            if let Some(key) = scan.key() {
                let (entry_key, _) = index.entry(&row, &key);
                if ranges.iter().any(|range| range.contains(&entry_key)) {
                    entries.push((entry_key, key));
                }
            }
            scan.advance()?;
        }
        entries.sort_unstable();
        if !descending {
            entries.reverse();
        }
        let keys = entries.into_iter().map(|(_, key)| key).collect();
        Ok(Entries::Sorted(keys))
    }

    fn next(&mut self) -> StoreResult<Option<Key>> {
        match self {
            Entries::Sorted(keys) => Ok(keys.pop()),
            Entries::Stored(ranges) if ranges.scan.is_done() => Ok(None),
            Entries::Stored(ranges) => {
                let key = row_key(&[Value::from(ranges.scan.cell(0))])?;
                ranges.advance()?;
                Ok(Some(key))
            }
        }
    }
}

impl IndexScan {
    /// The rows that entries lead to.
    pub fn new(entries: Entries, lookup: Lookup) -> StoreResult<IndexScan> {
        let mut scan = IndexScan {
            entries,
            lookup,
            current: None,
        };
        scan.advance()?;
        Ok(scan)
    }

    fn advance(&mut self) -> StoreResult<()> {
        self.current = None;
        if let Some(key) = self.entries.next()? {
            let found = self.lookup.find(&key)?.ok_or_else(|| {
                StoreError::corrupt(
                    "an index has an entry for a row that is not there: PRAGMA integrity_check names it; drop the index and make it again",
                )
            })?;
            self.current = Some((key, found));
        }
        Ok(())
    }
}

/// A walk over a table's rows: by its key, or by an index.
pub enum Walk {
    /// In the order of the keys.
    Key(Box<Ranges>),
    /// In the order of an index.
    Index(Box<IndexScan>),
}

impl Walk {
    /// Whether the last row has been passed.
    #[inline]
    pub fn is_done(&self) -> bool {
        match self {
            Walk::Key(ranges) => ranges.scan.is_done(),
            Walk::Index(scan) => scan.current.is_none(),
        }
    }

    /// Goes to the next row.
    #[inline]
    pub fn advance(&mut self) -> StoreResult<()> {
        match self {
            Walk::Key(ranges) => ranges.advance(),
            Walk::Index(scan) => scan.advance(),
        }
    }

    /// The current row's value of the column at this place of the request.
    #[inline]
    pub fn cell(&self, place: usize) -> Cell<'_> {
        match self {
            Walk::Key(ranges) => ranges.scan.cell(place),
            Walk::Index(scan) => match &scan.current {
                Some((_, found)) => scan.lookup.cell(found, place),
                None => Cell::Null,
            },
        }
    }

    /// As [`Scan::need_key`].
    pub fn need_key(&mut self) -> StoreResult<()> {
        match self {
            Walk::Key(ranges) => ranges.scan.need_key(),
            Walk::Index(_) => Ok(()),
        }
    }

    /// The current row's key.
    pub fn key(&self) -> Option<Key> {
        match self {
            Walk::Key(ranges) => ranges.scan.key(),
            Walk::Index(scan) => scan.current.as_ref().map(|(key, _)| key.clone()),
        }
    }

    /// The current row's key as an integer, for tables whose key is one.
    pub fn rowid(&self) -> Option<i64> {
        match self {
            Walk::Key(ranges) => ranges.scan.rowid(),
            Walk::Index(scan) => decode_integer(&scan.current.as_ref()?.0),
        }
    }
}
