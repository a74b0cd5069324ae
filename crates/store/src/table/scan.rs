//! Walking a key range of a version, in either direction, with a transaction's own changes on top.
//!
//! A scan goes from chunk to chunk. Within one it is a list of *runs*: stretches of the chunk's rows, and single changed rows between them.
//! A chunk that nothing changed and that lies wholly inside the range is one run, found without looking at a key.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::base::{Entry, KEY_SLOT, Loaded};
use super::packed;
use super::range::{KeyRange, just_after};
use super::rows::{Cell, ColumnArray};
use super::version::{Buffer, TableVersion};
use crate::activity::check_interrupt;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{Key, decode_integer};
use crate::schema::{KeyKind, TableSchema};
use crate::value::{Row, Value};

/// A range that asks for no more rows than this is read past the chunks where they aren't decoded.
const DIRECT_ROWS_MAX: usize = 64;

/// A range of integer keys that is no wider than this is read past the chunks where they aren't decoded.
const NARROW_WIDTH_MAX: i64 = 1024;

/// This part of a chunk's rows, in changed ones, is merged with it at a time: a table just filled has all its rows among the changes.
const CHANGES_SHARE: usize = 8;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which keys.
    pub range: KeyRange,
    /// Which columns, by their slots.
    pub columns: Vec<usize>,
    /// For each of `columns`, its value in rows that were written before it was added; NULL where that isn't said.
    pub absent: Vec<Value>,
    /// Whether [`Scan::key`] will be called.
    pub with_key: bool,
    /// From the greatest key down.
    pub descending: bool,
    /// How many rows the caller expects to take; it may take more.
    pub rows_expected: Option<usize>,
}

/// A position in a version. Starts on the first row.
pub struct Scan {
    version: Arc<TableVersion>,
    buffer: Buffer,
    request: Request,
    /// Columns of the Arrow schema to load: the request's, each once, then the key's where it is needed.
    slots: Vec<usize>,
    /// For each of the request's columns, where its values are.
    places: Vec<Place>,
    /// Where in `slots` the column that tells the key stands: the key's own or, where it is one integer, that column.
    key_place: Option<usize>,
    /// The part of the range that is still to be read.
    rest: Option<KeyRange>,
    columns: Vec<ColumnArray>,
    /// Where `columns` come from, if from a chunk.
    page: Option<Entry>,
    /// Runs still to come, the next one last.
    runs: Vec<Run>,
    current: Current,
}

/// Where a column's values are among the loaded ones.
#[derive(Clone, Copy)]
pub enum Place {
    /// In a column of their own.
    Own(usize),
    /// Those of a number within packed ones.
    Packed(usize, usize),
}

impl Place {
    /// The value in a row of loaded columns; `None` where the row was written before the column was added.
    #[inline]
    pub fn cell(self, columns: &[ColumnArray], row: usize) -> Option<Cell<'_>> {
        match self {
            Place::Own(at) => Some(columns[at].cell(row)),
            Place::Packed(at, number) => match columns[at].cell(row) {
                Cell::Blob(bytes) => packed::get(bytes, number),
                _ => None,
            },
        }
    }
}

enum Run {
    /// Rows of the chunk.
    Stored { first: usize, count: usize },
    /// A changed row.
    Changed { key: Key, row: Row },
}

enum Current {
    Stored { row: usize, remaining: usize },
    Changed { key: Key, row: Row },
    Done,
}

impl Scan {
    /// Starts a scan.
    pub fn new(version: Arc<TableVersion>, buffer: Buffer, request: Request) -> StoreResult<Scan> {
        let schema = &version.table.schema;
        let (mut slots, places) = slots_and_places(schema, &request.columns);
        let key_slot = key_slot(schema);
        let mut key_place = slots.iter().position(|slot| *slot == key_slot);
        if request.with_key && key_place.is_none() {
            key_place = Some(slots.len());
            slots.push(key_slot);
        }
        let rest = (!request.range.is_empty()).then(|| request.range.clone());
        let mut scan = Scan {
            version,
            buffer,
            request,
            slots,
            places,
            key_place,
            rest,
            columns: Vec::new(),
            page: None,
            runs: Vec::new(),
            current: Current::Done,
        };
        scan.next_run()?;
        Ok(scan)
    }

    /// Goes on with another range, which lies behind, and to its first row.
    pub fn go_on(&mut self, range: KeyRange) -> StoreResult<()> {
        self.rest = (!range.is_empty()).then(|| range.clone());
        self.request.range = range;
        self.next_run()
    }

    /// Whether the last row has been passed.
    #[inline]
    pub fn is_done(&self) -> bool {
        matches!(self.current, Current::Done)
    }

    /// Goes to the next row.
    #[inline]
    pub fn advance(&mut self) -> StoreResult<()> {
        if let Current::Stored { row, remaining } = &mut self.current
            && *remaining > 0
        {
            *remaining -= 1;
            *row = if self.request.descending {
                *row - 1
            } else {
                *row + 1
            };
            return Ok(());
        }
        self.next_run()
    }

    /// The current row's value of `request.columns[place]`.
    #[inline]
    pub fn cell(&self, place: usize) -> Cell<'_> {
        match &self.current {
            Current::Stored { row, .. } => self.places[place]
                .cell(&self.columns, *row)
                .unwrap_or_else(|| self.absent(place)),
            Current::Changed { row, .. } => match row.get(self.request.columns[place]) {
                Some(value) => Cell::from(value),
                None => self.absent(place),
            },
            Current::Done => Cell::Null,
        }
    }

    #[cold]
    fn absent(&self, place: usize) -> Cell<'_> {
        self.request
            .absent
            .get(place)
            .map_or(Cell::Null, Cell::from)
    }

    /// Makes [`Scan::key`] and [`Scan::rowid`] available from the current row on, where the request was not `with_key`.
    pub fn need_key(&mut self) -> StoreResult<()> {
        if self.key_place.is_some() {
            return Ok(());
        }
        let place = self.slots.len();
        let slot = key_slot(&self.version.table.schema);
        if let Some(entry) = &self.page
            && self.columns.len() == place
        {
            let column = self.version.base.load_beside(entry, slot)?;
            let column = column.ok_or_else(|| StoreError::corrupt("a page without a chunk"))?;
            self.columns.push(column_array(&column)?);
        }
        self.slots.push(slot);
        self.key_place = Some(place);
        Ok(())
    }

    /// The current row's key; only after a request `with_key`.
    pub fn key(&self) -> Option<Key> {
        match &self.current {
            Current::Changed { key, .. } => Some(key.clone()),
            Current::Stored { row, .. } => match self.columns.get(self.key_place?)?.cell(*row) {
                Cell::Integer(value) => Some(crate::key::encode_integer(value)[..].into()),
                Cell::Blob(bytes) => Some(bytes.into()),
                _ => None,
            },
            Current::Done => None,
        }
    }

    /// The current row's key as an integer, for tables whose key is one; only after a request `with_key`.
    pub fn rowid(&self) -> Option<i64> {
        match &self.current {
            Current::Changed { key, .. } => decode_integer(key),
            Current::Stored { row, .. } => match self.columns.get(self.key_place?)?.cell(*row) {
                Cell::Integer(value) => Some(value),
                Cell::Blob(bytes) => decode_integer(bytes),
                _ => None,
            },
            Current::Done => None,
        }
    }

    #[cold]
    fn next_run(&mut self) -> StoreResult<()> {
        loop {
            match self.runs.pop() {
                Some(Run::Stored { count: 0, .. }) => {}
                Some(Run::Stored { first, count }) => {
                    let row = if self.request.descending {
                        first + count - 1
                    } else {
                        first
                    };
                    self.current = Current::Stored {
                        row,
                        remaining: count - 1,
                    };
                    return Ok(());
                }
                Some(Run::Changed { key, row }) => {
                    self.current = Current::Changed { key, row };
                    return Ok(());
                }
                None => {
                    self.current = Current::Done;
                    let Some(rest) = self.rest.take() else {
                        return Ok(());
                    };
                    self.read_chunk(rest)?;
                }
            }
        }
    }

    /// Reads the next chunk of `rest`, and leaves what is behind it in `self.rest`.
    fn read_chunk(&mut self, rest: KeyRange) -> StoreResult<()> {
        check_interrupt()?;
        if self.is_point() {
            let (changes, _) = self.changes(&rest);
            if !changes.is_empty() {
                self.columns.clear();
                self.page = None;
                self.runs = changes
                    .into_iter()
                    .filter_map(|(key, row)| row.map(|row| Run::Changed { key, row }))
                    .collect();
                return Ok(());
            }
        }
        let base = self.version.base.clone();
        let entry = if self.request.descending {
            base.entry_below(rest.upper.as_ref())
        } else {
            base.entry(rest.lower.as_ref())
        };
        let inside = rest.intersect(&entry.range);
        let is_unchanged = !self.has_changes(&inside);
        let mut slots = self.slots.clone();
        let needs_key = !is_unchanged || !inside.covers(&entry.range);
        let mut key_place = self.key_place;
        if needs_key && key_place.is_none() {
            key_place = Some(slots.len());
            slots.push(key_slot(&self.version.table.schema));
        }
        let loaded = match self.load_directly(&entry, &inside, &slots, key_place, is_unchanged)? {
            Some(loaded) => loaded,
            None => base.load(&entry, &slots)?,
        };
        if self.request.descending
            && loaded.range.upper != entry.range.upper
            && loaded.chunk.is_some()
        {
            // An unknown range was cut from its front, or a known one halved; its greatest keys are still to be found.
            self.rest = Some(rest);
            return Ok(());
        }
        let inside = rest.intersect(&loaded.range);
        if inside.is_empty() && !self.request.descending && loaded.chunk.is_some() {
            // The range was cut from its front, and all of the cut lies before the rows that are asked for.
            self.rest = Some(rest);
            return Ok(());
        }
        self.columns = loaded
            .columns
            .iter()
            .map(column_array)
            .collect::<StoreResult<_>>()?;
        self.page = loaded.chunk.clone().map(|chunk| Entry {
            range: loaded.range.clone(),
            chunk: Some(chunk),
        });
        let keys = key_place.map(|place| &self.columns[place]);
        let (changes, end) = self.changes(&inside);
        let mut done = loaded.range.clone();
        if end.is_some() && self.request.descending {
            done.lower = end;
        } else if end.is_some() {
            done.upper = end;
        }
        self.runs = runs(&loaded, &inside.intersect(&done), keys, changes);
        if !self.request.descending {
            self.runs.reverse();
        }
        self.rest = self.behind(&rest, &done);
        Ok(())
    }

    /// What a range leaves once `done` has been read from it.
    fn behind(&self, rest: &KeyRange, done: &KeyRange) -> Option<KeyRange> {
        let behind = if self.request.descending {
            KeyRange {
                lower: rest.lower.clone(),
                upper: Some(done.lower.clone()?),
            }
        } else {
            KeyRange {
                lower: Some(done.upper.clone()?),
                upper: rest.upper.clone(),
            }
        };
        (!behind.is_empty()).then_some(behind)
    }

    /// Reads few rows past the chunks, where that is cheaper than decoding one; `None` where it isn't.
    fn load_directly(
        &self,
        entry: &Entry,
        inside: &KeyRange,
        slots: &[usize],
        key_place: Option<usize>,
        is_unchanged: bool,
    ) -> StoreResult<Option<Loaded>> {
        let is_narrow = self.is_narrow(inside);
        let limit = self
            .request
            .rows_expected
            .filter(|rows| *rows <= DIRECT_ROWS_MAX && is_unchanged);
        if !is_narrow && limit.is_none() {
            return Ok(None);
        }
        let limit = limit.filter(|_| !is_narrow);
        if let Some(chunk) = &entry.chunk {
            let misses = self.is_point() && !chunk.may_hold(inside);
            if misses {
                let columns = slots
                    .iter()
                    .map(|slot| self.version.table.empty_column(*slot))
                    .collect();
                return Ok(Some(Loaded {
                    range: inside.clone(),
                    rows: 0,
                    columns,
                    chunk: None,
                }));
            }
            if chunk.peek(slots).is_some() || !chunk.prefers_direct_reads() {
                return Ok(None);
            }
        }
        if self.request.descending && !is_narrow {
            return Ok(None);
        }
        let mut slots = slots.to_vec();
        let key_place = key_place.unwrap_or_else(|| {
            slots.push(key_slot(&self.version.table.schema));
            slots.len() - 1
        });
        let mut loaded = self.version.base.read_directly(inside, &slots, limit)?;
        if let Some(limit) = limit.filter(|limit| loaded.rows == *limit) {
            let last = match ColumnArray::new(&loaded.columns[key_place])
                .as_ref()
                .map(|keys| keys.cell(limit - 1))
            {
                Some(Cell::Integer(value)) => just_after(&crate::key::encode_integer(value)),
                Some(Cell::Blob(bytes)) => just_after(bytes),
                _ => return Err(unexpected(loaded.columns[key_place].data_type())),
            };
            loaded.range.upper = Some(last);
        }
        Ok(Some(loaded))
    }

    fn has_changes(&self, range: &KeyRange) -> bool {
        self.version.delta.range(range.bounds()).next().is_some()
            || self.buffer.range(range.bounds()).next().is_some()
    }

    /// Committed and own changes of a range in ascending order, the own ones winning: those that the scan meets first, but not too many at a time.
    /// Where there are more, also the bound that parts the range: the first key behind them or, downwards, the last of them.
    fn changes(&self, range: &KeyRange) -> (Vec<(Key, Option<Row>)>, Option<Key>) {
        let committed = self.version.delta.range(range.bounds());
        let committed = committed.map(|(key, change)| (key, &change.row));
        let own = self.buffer.range(range.bounds());
        let count_max = (self.version.base.chunk_rows() / CHANGES_SHARE).max(1);
        if self.request.descending {
            let (mut changes, next) = merge(committed.rev(), own.rev(), count_max, |a, b| a > b);
            changes.reverse();
            let end = next.and_then(|_| Some(changes.first()?.0.clone()));
            (changes, end)
        } else {
            merge(committed, own, count_max, |a, b| a < b)
        }
    }

    /// Whether a range holds few rows at most, as its bounds alone tell.
    fn is_narrow(&self, range: &KeyRange) -> bool {
        let integer = |bound: &Option<Key>| decode_integer(bound.as_deref()?.get(..8)?);
        let has_integers = self.version.table.schema.has_rowid();
        self.is_point()
            || has_integers
                && matches!((integer(&range.lower), integer(&range.upper)), (Some(lower), Some(upper))
                    if upper.saturating_sub(lower) <= NARROW_WIDTH_MAX)
    }

    fn is_point(&self) -> bool {
        match (&self.request.range.lower, &self.request.range.upper) {
            (Some(lower), Some(upper)) => {
                upper.len() == lower.len() + 1 && upper.starts_with(lower) && upper.ends_with(&[0])
            }
            _ => false,
        }
    }
}

/// The first `count_max` of two sequences of changes in one order, `own` ones winning, and the key behind them.
fn merge<'a>(
    committed: impl Iterator<Item = (&'a Key, &'a Option<Row>)>,
    own: impl Iterator<Item = (&'a Key, &'a Option<Row>)>,
    count_max: usize,
    is_before: impl Fn(&Key, &Key) -> bool,
) -> (Vec<(Key, Option<Row>)>, Option<Key>) {
    let (mut committed, mut own) = (committed.peekable(), own.peekable());
    let mut merged = Vec::new();
    loop {
        let takes_own = match (committed.peek(), own.peek()) {
            (None, None) => return (merged, None),
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (Some((committed, _)), Some((own, _))) => !is_before(committed, own),
        };
        let next = if takes_own {
            own.peek()
        } else {
            committed.peek()
        };
        let Some((key, row)) = next.copied() else {
            return (merged, None);
        };
        if merged.len() == count_max {
            return (merged, Some(key.clone()));
        }
        merged.push((key.clone(), row.clone()));
        if takes_own {
            committed.next_if(|(other, _)| *other == key);
            own.next();
        } else {
            committed.next();
        }
    }
}

/// The runs of a loaded chunk within `inside`, in ascending order.
fn runs(
    loaded: &Loaded,
    inside: &KeyRange,
    keys: Option<&ColumnArray>,
    changes: Vec<(Key, Option<Row>)>,
) -> Vec<Run> {
    let Some(keys) = keys.filter(|_| !changes.is_empty() || !inside.covers(&loaded.range)) else {
        return vec![Run::Stored {
            first: 0,
            count: loaded.rows,
        }];
    };
    let mut at = inside
        .lower
        .as_ref()
        .map_or(0, |lower| keys.lower_bound(lower));
    let end = inside
        .upper
        .as_ref()
        .map_or(loaded.rows, |upper| keys.lower_bound(upper));
    let mut runs = Vec::with_capacity(2 * changes.len() + 1);
    for (key, row) in changes {
        let before = keys.lower_bound(&key);
        runs.push(Run::Stored {
            first: at,
            count: before - at,
        });
        at = keys.lower_bound(&just_after(&key));
        runs.extend(row.map(|row| Run::Changed { key, row }));
    }
    runs.push(Run::Stored {
        first: at,
        count: end.max(at) - at,
    });
    runs
}

/// The columns of the Arrow schema that hold these slots, each once, and where each slot's values are among them.
pub fn slots_and_places(schema: &TableSchema, columns: &[usize]) -> (Vec<usize>, Vec<Place>) {
    let mut slots: Vec<usize> = Vec::with_capacity(columns.len() + 1);
    let mut at = |slot: usize| match slots.iter().position(|other| *other == slot) {
        Some(at) => at,
        None => {
            slots.push(slot);
            slots.len() - 1
        }
    };
    let place = |slot: &usize| match schema.layout.packed_number(*slot) {
        None => Place::Own(at(slot + 1)),
        Some(number) => Place::Packed(at(schema.layout.stored.len() + 1), number),
    };
    let places = columns.iter().map(place).collect();
    (slots, places)
}

/// The slot that tells a row's key: the key's own, or that of the one integer column which is the key.
pub fn key_slot(schema: &TableSchema) -> usize {
    match schema.key {
        KeyKind::Integer(column) => schema.columns[column].slot + 1,
        _ => KEY_SLOT,
    }
}

fn column_array(array: &ArrayRef) -> StoreResult<ColumnArray> {
    ColumnArray::new(array).ok_or_else(|| unexpected(array.data_type()))
}

fn unexpected(kind: &arrow_schema::DataType) -> StoreError {
    StoreError::new(
        StoreErrorCode::EngineFailed,
        format!("a column of the unexpected type {kind}"),
    )
}
