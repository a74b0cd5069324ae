//! Bulk import: a Parquet, Arrow or CSV file into a Tonbo table, past SQL.
//!
//! An import holds its table's gate: commits of others to the table are refused meanwhile, reads go on. Batch by batch it is ingested –
//! atomic, durable and visible before it is acknowledged. After a crash the last, unacknowledged batch is there whole or not at all. An
//! import that ends early leaves the batches that it has acknowledged. A table with indexes gets its batches through the commit log, so that
//! rows and entries come together.

mod convert;
mod csv;
mod file;
mod gather;
mod indexed;

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;

use crate::activity::{self, check_interrupt};
use crate::commit::mover;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{Key, decode_integer};
use crate::offending_key::OffendingKey;
use crate::parameters::Parameters;
use crate::schema::TableSchema;
use crate::session::{Discard, Session};
use crate::store::Store;
use crate::table::Table;
use crate::table::gate::Gate;
use crate::table::range::{KeyRange, just_after};
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use convert::Converter;
use file::ImportFile;
use gather::BatchLimits;

/// Rows of a batch where the caller doesn't say.
const BATCH_ROWS: usize = 64 * 1024;

/// What to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The table's name.
    pub table: String,
    /// `parquet`, `arrow` or `csv`; `None`: one of the first two, by the file's first bytes.
    pub format: Option<String>,
    /// The column that gets the row's number in the file, from 1 on.
    pub row_number: Option<String>,
    /// Only the file's first rows.
    pub rows: Option<u64>,
    /// Rows of a batch.
    pub batch_rows: Option<usize>,
    /// Make the table from the file's columns where there is none.
    pub create: bool,
}

/// The table that is imported into.
#[derive(Clone, Copy)]
struct Target<'a> {
    table: &'a Arc<Table>,
    /// Its name, as the importing connection knows it.
    name: &'a str,
    /// Its columns, likewise.
    schema: &'a TableSchema,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows that are durable and visible.
    pub rows: u64,
    /// Rows that will be, where the file tells.
    pub rows_total: Option<u64>,
}

/// Runs an import to its end and returns the count of its rows. `report` is called behind each acknowledged batch; its error ends the
/// import.
pub fn run(
    session: &Session,
    source: Bytes,
    options: &ImportOptions,
    report: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<u64> {
    let mut done = 0;
    let outcome = activity::while_running(session.activity(), || {
        run_batches(session, source, options, report, &mut done)
    });
    outcome.map_err(|mut error| {
        if error.code == StoreErrorCode::Interrupted {
            error.message = format!("interrupted after {done} rows, which stay");
        }
        error
    })?;
    Ok(done)
}

/// As [`run`]; counts the rows of acknowledged batches in `done`.
fn run_batches(
    session: &Session,
    source: Bytes,
    options: &ImportOptions,
    report: &mut dyn FnMut(Progress) -> StoreResult<()>,
    done: &mut u64,
) -> StoreResult<()> {
    let batch_rows = options.batch_rows.unwrap_or(BATCH_ROWS).max(1);
    let batches = BatchLimits {
        rows: batch_rows,
        size: session.store().unflushed.table_size_max(),
    };
    let mut file = ImportFile::open(source, options.format.as_deref(), batches)?;
    let limit = options.rows.unwrap_or(u64::MAX);
    let rows_total = file.rows_total.map(|total| total.min(limit));
    if options.create && session.entry(&options.table)?.is_none() {
        let columns = file.table_schema()?;
        let sql =
            convert::create_statement(&options.table, &columns, options.row_number.as_deref())?;
        session.run(&sql, &Parameters::none(), &mut Discard)?;
    }
    let entry = session
        .entry(&options.table)?
        .ok_or_else(|| no_table(&options.table))?;
    let table = session.store().table(entry.id)?;
    let target = Target {
        table: &table,
        name: &entry.name,
        schema: &entry.schema()?,
    };
    let mut converter = Converter::new(
        session.handle(),
        target.name,
        target.schema,
        &file,
        options.row_number.as_deref(),
    )?;
    let store = session.store();
    let _gate = close_gate(store, &table)?;
    while let Some(mut batch) = file.next_batch()? {
        check_interrupt()?;
        if batch.num_rows() == 0 {
            continue;
        }
        let room = limit - *done;
        if room == 0 {
            break;
        }
        if batch.num_rows() as u64 > room {
            batch = batch.slice(0, room as usize);
        }
        let (batch, keys) = converter.convert(&batch)?;
        let key_of = |batch: &RecordBatch, row: usize| converter.key_of(batch, &keys, row);
        write(store, target, batch, &keys, key_of)?;
        *done += keys.len() as u64;
        report(Progress {
            rows: *done,
            rows_total,
        })?;
    }
    Ok(())
}

fn no_table(name: &str) -> StoreError {
    StoreError::new(
        StoreErrorCode::NotFound,
        format!("there is no Tonbo table named {name}"),
    )
}

/// Keeps new commits to the table out, waits for those under way, and moves its delta into Tonbo.
fn close_gate<'a>(store: &Store, table: &'a Arc<Table>) -> StoreResult<Gate<'a>> {
    let gate = Gate::close(table)?;
    store.sequencer.settle();
    let _writing = store.mover.writing();
    mover::move_table(store, table.id)?;
    // The logs may hold the table's commits for longer; they must not be replayed over what is imported.
    let moved = store.sequencer.published().sequence;
    store.log.set_table_floor(table.id, moved)?;
    store.sync_logs()?;
    Ok(gate)
}

/// Writes a batch whose keys are sorted and unlike each other, and makes it visible. `key_of` tells the key of one of its rows.
fn write(
    store: &Arc<Store>,
    target: Target<'_>,
    batch: RecordBatch,
    keys: &[Key],
    key_of: impl Fn(&RecordBatch, usize) -> OffendingKey,
) -> StoreResult<()> {
    let Target { table, name, .. } = target;
    let dropped = || {
        StoreError::new(
            StoreErrorCode::NotFound,
            format!("table {name} has been dropped"),
        )
    };
    let writing = store.mover.writing();
    let version = || {
        let published = store.sequencer.published();
        published.tables.get(&table.id).cloned().ok_or_else(dropped)
    };
    let current = version()?;
    if let Some(duplicate) = find_duplicate(&current, keys)? {
        return Err(convert::bad(format!(
            "the table {name} has a row with the key of row {} of a batch already",
            duplicate + 1
        ))
        .about(key_of(&batch, duplicate)));
    }
    if !current.indexes.is_empty() {
        drop(writing);
        return indexed::write(store, target, &current, &batch, keys);
    }
    // A base that is kept meanwhile would keep in memory what is flushed.
    drop(current);
    let deletes = vec![false; keys.len()];
    mover::ingest(store, table, batch, deletes)?;
    let base = Arc::new(version()?.base.after(table.source.snapshot()?, keys));
    let mut reservation = store.sequencer.reserve_import();
    let sequence = reservation.sequence();
    reservation.publish(false, |published| {
        if let Some(current) = published.tables.get(&table.id) {
            let next = TableVersion {
                base,
                ..TableVersion::clone(current)
            };
            published.tables.insert(table.id, Arc::new(next));
        }
        table.writers.begin_anew(sequence);
    });
    if table.schema.has_rowid()
        && let Some(last) = keys.last().and_then(|key| decode_integer(key))
    {
        table.note_rowid(last);
    }
    drop(writing);
    if store.flush_if_due(table).is_err() {
        // The batch is durable in Tonbo's log, and visible. The mover tries again, and tells if that fails; an interrupt is seen with the next batch.
        store.mover.call();
    }
    Ok(())
}

/// The position of a key that the table has already.
fn find_duplicate(version: &Arc<TableVersion>, keys: &[Key]) -> StoreResult<Option<usize>> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return Ok(None);
    };
    let range = KeyRange {
        lower: Some(first.clone()),
        upper: Some(just_after(last)),
    };
    // Most imports append: one row is enough to see that there is none.
    for rows_expected in [Some(1), None] {
        let request = Request {
            range: range.clone(),
            with_key: true,
            rows_expected,
            ..Request::default()
        };
        let mut scan = Scan::new(version.clone(), Buffer::new(), request)?;
        if scan.is_done() {
            return Ok(None);
        }
        while rows_expected.is_none() && !scan.is_done() {
            if let Some(key) = scan.key()
                && let Ok(position) = keys.binary_search(&key)
            {
                return Ok(Some(position));
            }
            scan.advance()?;
        }
    }
    Ok(None)
}
