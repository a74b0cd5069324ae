//! Starting a scan as the planner had it.

use std::ffi::c_int;
use std::sync::Arc;

use rusqlite::ffi;

use super::bounds::{self, Argument, Path};
use super::plan::{self, Plan};
use super::{Cursor, NOWHERE, TableHandle};
use crate::error::StoreResult;
use crate::index::lookup::Lookup;
use crate::index::scan::{Entries, IndexScan, Ranges, Walk};
use crate::index::{Index, statement};
use crate::schema::{KeyKind, KeyPart};
use crate::session::Shared;
use crate::statement::{is_utf8, value_of};
use crate::table::range::KeyRange;
use crate::table::scan::Request;

/// The indexes that the planner may use. A statement that is planned before its transaction has a snapshot may come to see others: then
/// [`start`] makes do without the index.
pub fn indexes(handle: &TableHandle, shared: &Shared) -> StoreResult<Vec<Arc<Index>>> {
    let version = match shared.open_transaction().as_ref() {
        Some(transaction) => handle
            .table(shared)
            .and_then(|table| transaction.version(&shared.store, &table))
            .ok(),
        None => {
            let published = shared.store.sequencer.published();
            published.tables.get(&handle.id).cloned()
        }
    };
    // Why a table can't be read is told when it is; one whose index can't be can do without.
    let Some(version) = version else {
        return Ok(Vec::new());
    };
    let known = statement::visible(shared, &version)?;
    let is_open = |index: &&Arc<Index>| index.table(&shared.store).is_ok();
    Ok(known.iter().filter(is_open).cloned().collect())
}

/// Puts a cursor on the first row of a plan.
///
/// # Safety
/// `arguments` must be valid values of SQLite's.
pub unsafe fn start(
    cursor: &mut Cursor,
    handle: &TableHandle,
    shared: &Shared,
    index: c_int,
    plan: &Plan<'_>,
    arguments: &[*mut ffi::sqlite3_value],
) -> StoreResult<()> {
    let transaction = shared.transaction()?;
    handle.check_current(shared)?;
    let table = handle.table(shared)?;
    let version = transaction.version(&shared.store, &table)?;
    let known = match &plan.index {
        Some((id, _)) => statement::visible(shared, &version)?
            .iter()
            .find(|index| index.id == *id)
            .filter(|index| index.table(&shared.store).is_ok())
            .cloned(),
        None => None,
    };
    let is_unique = known.as_ref().is_some_and(|index| index.is_unique);
    let path = match &plan.index {
        Some((_, columns)) => Path::index(&handle.schema, columns, is_unique),
        None => Path::key(&handle.schema),
    };
    let are_numeric = bounds::are_numeric(&path, plan.letters);
    let values: Vec<Argument> = arguments
        .iter()
        .zip(plan.letters.chars())
        .enumerate()
        // SAFETY: the caller's promise.
        .map(|(place, (raw, letter))| unsafe {
            match letter {
                'E' => list(*raw),
                _ => argument(*raw, are_numeric.get(place) == Some(&true)),
            }
        })
        .collect();
    let bounds = bounds::bounds(&path, plan.letters, &values);
    let count = handle.schema.columns.len();
    let is_used = |column: usize| plan.mask >> column.min(63) & 1 == 1;
    let columns: Vec<usize> = (0..count).filter(|column| is_used(*column)).collect();
    cursor.places = vec![NOWHERE; count];
    for (place, column) in columns.iter().enumerate() {
        cursor.places[*column] = place;
    }
    let request = Request {
        range: bounds.range,
        absent: columns
            .iter()
            .map(|column| handle.schema.columns[*column].absent.clone())
            .collect(),
        columns: columns
            .iter()
            .map(|column| handle.schema.columns[*column].slot)
            .collect(),
        with_key: needs_key(handle, plan.mask),
        descending: index & plan::DESCENDING != 0,
        rows_expected: bounds.rows_expected,
    };
    let buffer = transaction.buffer(&table);
    let ranges = bounds.parts.unwrap_or_else(|| vec![request.range.clone()]);
    let resorted = bounds.fixed_loosely.filter(|_| plan.is_ordered);
    cursor.scan = Some(if let Some(fixed) = resorted {
        let rest: Vec<KeyPart> = path.columns[fixed..].iter().copied().flatten().collect();
        let lookup = Lookup::new(
            version.clone(),
            buffer.clone(),
            request.columns,
            request.absent,
        );
        let all = [KeyRange::all()];
        let index = Index::unnamed(&handle.schema, &rest);
        let entries = Entries::sorted(&index, version, buffer, &all, request.descending)?;
        Walk::Index(Box::new(IndexScan::new(entries, lookup)?))
    } else if let Some((_, columns)) = &plan.index {
        let lookup = Lookup::new(
            version.clone(),
            buffer.clone(),
            request.columns.clone(),
            request.absent.clone(),
        );
        let entries = match known {
            Some(index) => {
                let entries = index.table(&shared.store)?;
                let version = transaction.version(&shared.store, entries)?;
                Entries::stored(version, transaction.buffer(entries), request, ranges)?
            }
            // Those that the index would have.
            None => {
                let index = Index::unnamed(&handle.schema, columns);
                Entries::sorted(&index, version, buffer, &ranges, request.descending)?
            }
        };
        Walk::Index(Box::new(IndexScan::new(entries, lookup)?))
    } else {
        Walk::Key(Box::new(Ranges::new(version, buffer, request, ranges)?))
    });
    Ok(())
}

/// A constraint's value.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
unsafe fn argument(raw: *mut ffi::sqlite3_value, is_numeric: bool) -> Argument {
    // SAFETY: the caller's promise; only a text is asked whether it is UTF-8. A number in a text takes its place, as SQLite allows here.
    unsafe {
        if is_numeric {
            ffi::sqlite3_value_numeric_type(raw);
        }
        let is_text = ffi::sqlite3_value_type(raw) == ffi::SQLITE_TEXT;
        if is_text && !is_utf8(raw) {
            return Argument::Unknown;
        }
        Argument::One(value_of(raw))
    }
}

/// The values of an IN.
///
/// # Safety
/// `raw` must be an argument that `sqlite3_vtab_in` was asked for, within xFilter.
unsafe fn list(raw: *mut ffi::sqlite3_value) -> Argument {
    let mut values = Vec::new();
    let mut value = std::ptr::null_mut();
    // SAFETY: the caller's promise; each value is read before the next one is asked for.
    unsafe {
        let mut code = ffi::sqlite3_vtab_in_first(raw, &mut value);
        while code == ffi::SQLITE_OK && !value.is_null() {
            values.push(argument(value, false));
            code = ffi::sqlite3_vtab_in_next(raw, &mut value);
        }
        if code == ffi::SQLITE_DONE {
            return Argument::List(values);
        }
    }
    Argument::Unknown
}

/// Whether a statement asks for the hidden key column, or may ask for the row id: SQLite sets no bit for that one. Where the row id is a column
/// of the table it is read once it is asked for.
fn needs_key(handle: &TableHandle, mask: u64) -> bool {
    match handle.schema.key {
        KeyKind::Integer(_) => false,
        KeyKind::RowId => true,
        KeyKind::Columns(_) => mask >> handle.schema.columns.len().min(63) & 1 == 1,
    }
}
