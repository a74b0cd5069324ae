//! `PRAGMA integrity_check` and `quick_check` on a Tonbo table.
//!
//! What is stored is read again, past the cache: keys ascend, match their columns, and NOT NULL holds; the same of what is not in Tonbo yet.
//! Then, unless the check is to be quick, rows and entries are compared as the transaction sees them: every row has its entry in every index,
//! and every entry its row. What is wrong is told by table and key, without rows' content.

use std::sync::Arc;

use super::TableHandle;
use super::values::key_of;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::index::lookup::Lookup;
use crate::index::{Index, row_key, statement};
use crate::key::{self, Key};
use crate::schema::{KeyKind, TableSchema};
use crate::session::Shared;
use crate::table::base::KEY_SLOT;
use crate::table::packed;
use crate::table::range::{KeyRange, just_after};
use crate::table::rows::{Cell, ColumnArray};
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::value::Value;

/// Faults that are told one by one.
const TOLD_MAX: usize = 20;

/// Rows that are read at once.
const PART_ROWS: usize = 32 * 1024;

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 256;

/// A key's bytes that are told.
const KEY_BYTES_MAX: usize = 64;

/// What is wrong with a table; `None` where nothing is.
pub fn check(handle: &TableHandle, shared: &Shared, is_quick: bool) -> StoreResult<Option<String>> {
    let mut report = Report {
        shared,
        name: &handle.name,
        faults: Vec::new(),
        count: 0,
        looked: 0,
    };
    match check_table(handle, shared, is_quick, &mut report) {
        // Damage that keeps the rest from being read.
        Err(error) if error.code == StoreErrorCode::Corrupt => report.tell(error.message),
        outcome => outcome?,
    }
    Ok(report.text())
}

fn check_table(
    handle: &TableHandle,
    shared: &Shared,
    is_quick: bool,
    report: &mut Report<'_>,
) -> StoreResult<()> {
    let transaction = shared.transaction()?;
    handle.check_current(shared)?;
    let table = handle.table(shared)?;
    let version = transaction.version(&shared.store, &table)?;
    let buffer = transaction.buffer(&table);
    let indexes = statement::visible(shared, &version)?;
    let mut entries = Vec::new();
    for index in indexes.iter() {
        let opened = index.table(&shared.store).and_then(|table| {
            let version = transaction.version(&shared.store, table)?;
            Ok((index, version, transaction.buffer(table)))
        });
        match opened {
            Ok(opened) => entries.push(opened),
            // Dropped by another connection since.
            Err(error) if error.code == StoreErrorCode::NotFound => return Err(error),
            Err(error) => report.tell(format!(
                "the index {} cannot be read: {}",
                index.name, error.message
            )),
        }
    }
    drop(transaction);
    check_stored(&handle.schema, &version, &buffer, report)?;
    for (_, version, buffer) in &entries {
        check_stored(&version.table.schema, version, buffer, report)?;
    }
    if is_quick {
        return Ok(());
    }
    for (index, entry_version, entry_buffer) in entries {
        let rows = (&version, &buffer);
        let entries = (&entry_version, &entry_buffer);
        check_index(&handle.schema, index, rows, entries, report)?;
    }
    Ok(())
}

/// Rows as they are stored, one by one.
fn check_stored(
    schema: &TableSchema,
    version: &TableVersion,
    buffer: &Buffer,
    report: &mut Report<'_>,
) -> StoreResult<()> {
    let slots: Vec<usize> = (0..schema.arrow.fields().len()).collect();
    let stored = schema.layout.stored.len();
    let mut range = KeyRange::all();
    let mut before: Option<Key> = None;
    loop {
        let loaded = version
            .base
            .read_directly(&range, &slots, Some(PART_ROWS))?;
        let columns: Vec<ColumnArray> = loaded
            .columns
            .iter()
            .map(|column| {
                ColumnArray::new(column).ok_or_else(|| {
                    StoreError::corrupt(format!("a column is a {}", column.data_type()))
                })
            })
            .collect::<StoreResult<_>>()?;
        for number in 0..loaded.rows {
            let Cell::Blob(key) = columns[KEY_SLOT].cell(number) else {
                report.tell("a row has no key".into());
                continue;
            };
            let key = Key::from(key);
            if before.as_ref().is_some_and(|before| *before >= key) {
                report.tell(format!(
                    "{} comes behind a greater one",
                    named(schema, &key)
                ));
            }
            let mut row: Vec<Value> = columns[1..=stored]
                .iter()
                .map(|column| Value::from(column.cell(number)))
                .collect();
            let more = columns.get(stored + 1);
            if let Some(Cell::Blob(bytes)) = more.map(|column| column.cell(number)) {
                row.extend(packed::all(bytes).map(Value::from));
            }
            check_row(schema, &key, &row, report)?;
            before = Some(key);
        }
        match &before {
            Some(last) if loaded.rows == PART_ROWS => range.lower = Some(just_after(last)),
            _ => break,
        }
    }
    let committed = version.delta.iter().map(|(key, change)| (key, &change.row));
    for (key, row) in committed.chain(buffer) {
        if let Some(row) = row {
            check_row(schema, key, row, report)?;
        }
    }
    Ok(())
}

/// `row` is by slots.
fn check_row(
    schema: &TableSchema,
    key: &Key,
    row: &[Value],
    report: &mut Report<'_>,
) -> StoreResult<()> {
    report.look()?;
    let row: Vec<Value> = schema
        .columns
        .iter()
        .map(|column| row.get(column.slot).unwrap_or(&column.absent).clone())
        .collect();
    for (column, value) in schema.columns.iter().zip(&row) {
        if column.not_null && *value == Value::Null {
            report.tell(format!(
                "{} has NULL in {}, which is NOT NULL",
                named(schema, key),
                column.name
            ));
        }
    }
    let is_right = match schema.key {
        KeyKind::RowId => key::decode_integer(key).is_some(),
        KeyKind::Columns(ref columns) if columns.is_empty() => true, // an index's
        _ => key_of(schema, &row, || Ok(0))? == *key,
    };
    if !is_right {
        report.tell(format!(
            "{} stands under a key that is not its columns'",
            named(schema, key)
        ));
    }
    Ok(())
}

/// Rows against entries, both ways.
fn check_index(
    schema: &TableSchema,
    index: &Index,
    (version, buffer): (&Arc<TableVersion>, &Buffer),
    (entry_version, entry_buffer): (&Arc<TableVersion>, &Buffer),
    report: &mut Report<'_>,
) -> StoreResult<()> {
    let (entries_of, own) = (entry_version.clone(), entry_buffer.clone());
    let mut lookup = Lookup::new(entries_of, own, vec![0], Vec::new());
    let request = Request {
        columns: index.columns.clone(),
        absent: index.absent.clone(),
        with_key: true,
        ..Request::default()
    };
    let mut rows = Scan::new(version.clone(), buffer.clone(), request)?;
    while !rows.is_done() {
        report.look()?;
        let row = index.row(|place| Value::from(rows.cell(place)));
        if let Some(key) = rows.key() {
            let (entry_key, _) = index.entry(&row, &key);
            match lookup.find(&entry_key)? {
                Some(found) if lookup.cell(&found, 0) == Cell::Blob(&key) => {}
                Some(_) => report.tell(format!(
                    "the index {} has another row's entry for {}",
                    index.name,
                    named(schema, &key)
                )),
                None => report.tell(format!(
                    "the index {} has no entry for {}",
                    index.name,
                    named(schema, &key)
                )),
            }
        }
        rows.advance()?;
    }
    let (columns, absent) = (index.columns.clone(), index.absent.clone());
    let mut lookup = Lookup::new(version.clone(), buffer.clone(), columns, absent);
    let request = Request {
        columns: vec![0],
        with_key: true,
        ..Request::default()
    };
    let mut entries = Scan::new(entry_version.clone(), entry_buffer.clone(), request)?;
    while !entries.is_done() {
        report.look()?;
        let row_key = row_key(&[Value::from(entries.cell(0))])?;
        match lookup.find(&row_key)? {
            None => report.tell(format!(
                "the index {} has an entry for {}, which is not there",
                index.name,
                named(schema, &row_key)
            )),
            Some(found) => {
                let row = index.row(|place| Value::from(lookup.cell(&found, place)));
                let (expected, _) = index.entry(&row, &row_key);
                if entries.key() != Some(expected) {
                    report.tell(format!(
                        "the index {} has an entry for {} that does not match it",
                        index.name,
                        named(schema, &row_key)
                    ));
                }
            }
        }
        entries.advance()?;
    }
    Ok(())
}

/// A row, by its key.
fn named(schema: &TableSchema, key: &Key) -> String {
    if schema.has_rowid()
        && let Some(number) = key::decode_integer(key)
    {
        return format!("row {number}");
    }
    let bytes: String = key
        .iter()
        .take(KEY_BYTES_MAX)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("the row with the key x'{bytes}'")
}

/// What was found.
struct Report<'a> {
    shared: &'a Shared,
    name: &'a str,
    faults: Vec<String>,
    count: usize,
    looked: usize,
}

impl Report<'_> {
    fn tell(&mut self, fault: String) {
        self.count += 1;
        if self.faults.len() < TOLD_MAX {
            self.faults.push(format!("table {}: {fault}", self.name));
        }
    }

    /// Counts a row; an error where the check is to be interrupted.
    fn look(&mut self) -> StoreResult<()> {
        self.looked += 1;
        if self.looked.is_multiple_of(LOOK_ROWS) && self.shared.is_interrupted() {
            return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
        }
        Ok(())
    }

    fn text(mut self) -> Option<String> {
        let untold = self.count - self.faults.len();
        if untold > 0 {
            self.faults
                .push(format!("table {}: {untold} more faults", self.name));
        }
        (self.count > 0).then(|| self.faults.join("\n"))
    }
}
