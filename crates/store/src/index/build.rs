//! Making an index of a table that has rows: its entries go straight to Tonbo, where nobody sees them before the catalogue tells of them.

use std::sync::Arc;

use super::Index;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::table::Table;
use crate::table::rows::to_batch;
use crate::table::scan::Scan;
use crate::table::version::{Buffer, TableVersion};
use crate::transaction::change_size;
use crate::value::{Row, Value};

/// Entries that are written at once: a few milliseconds of work, which no interrupt ends.
const BATCH_ROWS: usize = 1024;

/// Their bytes, but for the last one's.
const BATCH_SIZE: usize = 1 << 20;

/// Entries that are counted at once: each scan begins in every file, and looks at the interrupt word itself.
const COUNTED_ROWS: usize = 4 * 1024;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 256;

/// Fills `entries`, new and known to nobody, with what `index` holds of a table's rows; `flush` is called between batches.
///
/// # Errors
/// The index's own where it is unique and two rows have the same values; [`StoreErrorCode::Interrupted`].
pub fn fill(
    index: &Index,
    entries: &Arc<Table>,
    version: Arc<TableVersion>,
    buffer: Buffer,
    is_interrupted: &dyn Fn() -> bool,
    flush: &dyn Fn(&Arc<Table>) -> StoreResult<()>,
) -> StoreResult<()> {
    let table = version.table.clone();
    let violation = || index.violation(&table.name, &table.schema);
    let mut scan = Scan::new(version, buffer, index.request())?;
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
            write(entries, std::mem::take(&mut batch)).ok_or_else(violation)??;
            flush(entries)?;
        }
        scan.advance()?;
    }
    let is_one_batch = count == batch.len();
    if !batch.is_empty() {
        write(entries, batch).ok_or_else(violation)??;
    }
    // Of two entries with one key in different batches the later one has taken the place of the other.
    if index.is_unique && !is_one_batch && stored(entries, is_interrupted)? != count {
        return Err(violation());
    }
    Ok(())
}

/// Writes entries in the order of their keys; `None` where two have the same.
fn write(entries: &Arc<Table>, mut batch: Vec<(Key, Row)>) -> Option<StoreResult<()>> {
    batch.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    if batch.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let ingest = || {
        let changes = batch.iter().map(|(key, row)| (key, Some(row)));
        let (rows, deletes) = to_batch(&entries.schema, changes)?;
        entries.ingest(rows, deletes)
    };
    Some(ingest())
}

/// How many entries have been written.
fn stored(entries: &Arc<Table>, is_interrupted: &dyn Fn() -> bool) -> StoreResult<usize> {
    let snapshot = entries.source.snapshot()?;
    let mut range = crate::table::range::KeyRange::all();
    let mut count = 0;
    loop {
        if is_interrupted() {
            return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
        }
        let keys = snapshot.scan(&range, &[0], Some(COUNTED_ROWS))?;
        let keys = arrow_array::cast::AsArray::as_binary::<i32>(&keys[0]);
        let rows = arrow_array::Array::len(keys);
        count += rows;
        if rows < COUNTED_ROWS {
            return Ok(count);
        }
        range.lower = Some(crate::table::range::just_after(keys.value(rows - 1)));
    }
}
