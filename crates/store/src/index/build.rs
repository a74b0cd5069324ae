//! Making an index of a table that has rows: its entries go straight to Tonbo, where nobody sees them before the catalogue tells of them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::{Index, row_key};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::offending_key::OffendingKey;
use crate::schema::TableSchema;
use crate::table::Table;
use crate::table::base::KEY_SLOT;
use crate::table::range::{KeyRange, just_after};
use crate::table::rows::to_batch;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::transaction::change_size;
use crate::value::{Row, Value};

/// Entries that are written at once: a few milliseconds of work, which no interrupt ends.
const BATCH_ROWS: usize = 1024;

/// Their bytes, but for the last one's.
const BATCH_SIZE: usize = 1 << 20;

/// Entries that are read at once: each scan begins in every file, and looks at the interrupt word itself.
const SCANNED_ROWS: usize = 4 * 1024;

/// Their bytes, but for the last ones': an entry repeats what its row holds in the index's columns.
const SCANNED_SIZE: usize = 16 << 20;

/// Where an entry's row stands in its Arrow schema.
const ROW_SLOT: usize = 1;

/// Parts that rows are counted by.
const PARTS: usize = 1 << 16;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 256;

/// Fills `entries`, new and known to nobody, with what `index` holds of a table's rows; `flush` is called between batches. Errors tell of
/// the table by `name` and `schema`, as the connection knows it.
///
/// # Errors
/// The index's own where it is unique and two rows have the same values; [`StoreErrorCode::Interrupted`].
pub fn fill(
    index: &Index,
    entries: &Arc<Table>,
    (name, schema): (&str, &TableSchema),
    version: Arc<TableVersion>,
    buffer: Buffer,
    is_interrupted: &dyn Fn() -> bool,
    flush: &dyn Fn(&Arc<Table>) -> StoreResult<()>,
) -> StoreResult<()> {
    // The error of the row of that key, whose values another row has.
    let violation = |key: Key| {
        let error = index.violation(name, schema);
        let request = Request {
            range: KeyRange::point(&key),
            ..index.request()
        };
        match Scan::new(version.clone(), buffer.clone(), request) {
            Ok(scan) if !scan.is_done() => {
                let row = index.row(|place| Value::from(scan.cell(place)));
                error.about(OffendingKey::of_index(index, name, schema, &row))
            }
            _ => error,
        }
    };
    let mut scan = Scan::new(version.clone(), buffer.clone(), index.request())?;
    let (mut batch, mut size, mut count): (Vec<(Key, Row)>, usize, usize) = (Vec::new(), 0, 0);
    while !scan.is_done() {
        if count.is_multiple_of(LOOK_ROWS) && is_interrupted() {
            return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
        }
        let row = index.row(|place| Value::from(scan.cell(place)));
        let key = scan
            .key()
            .ok_or_else(|| StoreError::corrupt("a row without its key"))?;
        let (key, row) = index.entry(&row, &key);
        size += change_size(&key, Some(&row));
        batch.push((key, row));
        count += 1;
        if batch.len() == BATCH_ROWS || size >= BATCH_SIZE {
            size = 0;
            write(entries, std::mem::take(&mut batch)).map_err(violation)??;
            flush(entries)?;
        }
        scan.advance()?;
    }
    let is_one_batch = count == batch.len();
    if !batch.is_empty() {
        write(entries, batch).map_err(violation)??;
    }
    // Of two entries with one key in different batches the later one has taken the place of the other.
    if !index.is_unique || is_one_batch {
        return Ok(());
    }
    let mut stored = 0;
    each_entry(entries, is_interrupted, |_| stored += 1)?;
    if stored == count {
        return Ok(());
    }
    let displaced = displaced(entries, &version, &buffer, is_interrupted)?;
    Err(displaced.map_or_else(|| index.violation(name, schema), violation))
}

/// Writes entries in the order of their keys; fails with the key of a row where another one's entry has the same.
fn write(entries: &Arc<Table>, mut batch: Vec<(Key, Row)>) -> Result<StoreResult<()>, Key> {
    batch.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(pair) = batch.windows(2).find(|pair| pair[0].0 == pair[1].0)
        && let Ok(key) = row_key(&pair[1].1)
    {
        return Err(key);
    }
    let ingest = || {
        let changes = batch.iter().map(|(key, row)| (key, Some(row)));
        let (rows, deletes) = to_batch(&entries.schema, changes)?;
        entries.ingest(rows, deletes)
    };
    Ok(ingest())
}

/// The key of a row whose entry is not there, because another row's has taken its place. Rows and entries are counted by parts first, and one
/// part's keys are compared then: however many there are, few are held at once.
fn displaced(
    entries: &Arc<Table>,
    version: &Arc<TableVersion>,
    buffer: &Buffer,
    is_interrupted: &dyn Fn() -> bool,
) -> StoreResult<Option<Key>> {
    let part = |key: &[u8]| crc32fast::hash(key) as usize % PARTS;
    let mut missing = vec![0_i64; PARTS];
    each_row(version, buffer, is_interrupted, |key| {
        missing[part(key)] += 1;
    })?;
    each_entry(entries, is_interrupted, |key| missing[part(key)] -= 1)?;
    let Some(short) = missing.iter().position(|count| *count > 0) else {
        return Ok(None);
    };
    let mut there = HashSet::new();
    each_entry(entries, is_interrupted, |key| {
        if part(key) == short {
            there.insert(key.to_vec());
        }
    })?;
    let mut found = None;
    each_row(version, buffer, is_interrupted, |key| {
        if found.is_none() && part(key) == short && !there.contains(&key[..]) {
            found = Some(key.clone());
        }
    })?;
    Ok(found)
}

/// Tells the key of each row.
fn each_row(
    version: &Arc<TableVersion>,
    buffer: &Buffer,
    is_interrupted: &dyn Fn() -> bool,
    mut tell: impl FnMut(&Key),
) -> StoreResult<()> {
    let request = Request {
        with_key: true,
        ..Request::default()
    };
    let mut scan = Scan::new(version.clone(), buffer.clone(), request)?;
    let mut count = 0_usize;
    while let Some(key) = scan.key() {
        if count.is_multiple_of(LOOK_ROWS) && is_interrupted() {
            return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
        }
        tell(&key);
        count += 1;
        scan.advance()?;
    }
    Ok(())
}

/// Tells the row's key of each entry that has been written.
fn each_entry(
    entries: &Arc<Table>,
    is_interrupted: &dyn Fn() -> bool,
    mut tell: impl FnMut(&[u8]),
) -> StoreResult<()> {
    let snapshot = entries.source.snapshot()?;
    let mut range = KeyRange::all();
    loop {
        if is_interrupted() {
            return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
        }
        let slots = [KEY_SLOT, ROW_SLOT];
        let piece = snapshot.scan_piece(&range, &slots, Some(SCANNED_ROWS), SCANNED_SIZE)?;
        let [keys, rows] = &piece.columns[..] else {
            return Err(StoreError::corrupt("entries without their columns"));
        };
        let (keys, rows) = (keys.as_binary::<i32>(), rows.as_binary::<i32>());
        rows.iter().flatten().for_each(&mut tell);
        if keys.len() < SCANNED_ROWS && !piece.is_cut {
            return Ok(());
        }
        range.lower = Some(just_after(keys.value(keys.len() - 1)));
    }
}
