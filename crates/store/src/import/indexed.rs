//! A batch for a table with indexes: as one commit, through the log, that holds the rows and their entries.
//!
//! Tonbo takes a batch of one table whole or not at all, but not those of several tables; the log does.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::Target;
use crate::commit::changes::Changes;
use crate::commit::log::Record;
use crate::commit::mover;
use crate::error::{StoreError, StoreResult};
use crate::index::{Index, maintain};
use crate::key::{Key, decode_integer};
use crate::offending_key::OffendingKey;
use crate::store::Store;
use crate::table::packed;
use crate::table::range::KeyRange;
use crate::table::rows::{Cell, ColumnArray};
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion, deltas_of};
use crate::value::{Row, Value};

/// Writes a batch whose keys are sorted, unlike each other and new, and makes it visible. The caller holds the table's gate.
pub fn write(
    store: &Arc<Store>,
    target: Target<'_>,
    version: &TableVersion,
    batch: &RecordBatch,
    keys: &[Key],
) -> StoreResult<()> {
    let table = &version.table;
    let rows = rows_of(batch, table.schema.layout.stored.len())?;
    let entries = maintain::entries_of(&version.indexes, keys.iter().zip(&rows))
        .map_err(|(index, row)| violation(target, index, row))?;
    for index in version.indexes.iter().filter(|index| index.is_unique) {
        if let Some(buffer) = entries.get(&index.id)
            && let Some(met) = first_known(store, index, buffer)?
        {
            let of_entry = |row: &&Row| index.unique_key(row).as_ref() == Some(&met);
            return Err(match rows.iter().find(of_entry) {
                Some(row) => violation(target, index, row),
                None => index.violation(target.name, target.schema),
            });
        }
    }
    let own: Buffer = keys
        .iter()
        .cloned()
        .zip(rows.into_iter().map(Some))
        .collect();
    let mut changes = Changes { tables: entries };
    changes.tables.insert(table.id, own);
    let mut reservation = store.sequencer.reserve_import();
    let sequence = reservation.sequence();
    let deltas = deltas_of(sequence, &changes.tables)?;
    store
        .log
        .append(Record::new(sequence, &changes, reservation.after_mixed())?)?;
    reservation.publish(false, |published| {
        for (id, delta) in deltas {
            if let Some(version) = published.tables.get(&id) {
                let next = Arc::new(version.with_changes(delta));
                published.tables.insert(id, next);
            }
        }
        table.writers.begin_anew(sequence);
    });
    if table.schema.has_rowid()
        && let Some(last) = keys.last().and_then(|key| decode_integer(key))
    {
        table.note_rowid(last);
    }
    // The batch is durable and visible. Moved at once, so that a long import doesn't pile up in memory; what fails is the mover's to try
    // again, and to tell of.
    let writing = store.mover.writing();
    let _moved: Vec<_> = changes
        .tables
        .keys()
        .map(|id| mover::move_table(store, *id))
        .collect();
    drop(writing);
    store.mover.call();
    Ok(())
}

/// A batch's rows, by their slots: the first `stored` have columns of their own, the rest is packed in a last one.
fn rows_of(batch: &RecordBatch, stored: usize) -> StoreResult<Vec<Row>> {
    let columns: Vec<ColumnArray> = batch
        .columns()
        .iter()
        .skip(1) // the key
        .map(|column| {
            ColumnArray::new(column)
                .ok_or_else(|| StoreError::corrupt("a converted column of an unknown type"))
        })
        .collect::<StoreResult<_>>()?;
    let row = |number: usize| -> Row {
        let cells = columns.iter().take(stored);
        let mut row: Vec<Value> = cells
            .map(|column| Value::from(column.cell(number)))
            .collect();
        if let Some(Cell::Blob(bytes)) = columns.get(stored).map(|column| column.cell(number)) {
            row.extend(packed::all(bytes).map(Value::from));
        }
        row.into()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The error of a row whose values another row has.
fn violation(target: Target<'_>, index: &Index, row: &[Value]) -> StoreError {
    let Target { name, schema, .. } = target;
    let key = OffendingKey::of_index(index, name, schema, row);
    index.violation(name, schema).about(key)
}

/// The first of these keys that an index has an entry with, if there is one.
fn first_known(store: &Store, index: &Index, buffer: &Buffer) -> StoreResult<Option<Key>> {
    let entries = index.table(store)?;
    let published = store.sequencer.published();
    let Some(version) = published.tables.get(&entries.id) else {
        return Ok(None);
    };
    for key in buffer.keys() {
        let request = Request {
            range: KeyRange::point(key),
            rows_expected: Some(1),
            ..Request::default()
        };
        if !Scan::new(version.clone(), Buffer::new(), request)?.is_done() {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}
