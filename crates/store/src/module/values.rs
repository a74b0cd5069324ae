//! Values on their way from SQLite into a table's columns: strict, as in SQLite's STRICT tables.
//!
//! What such a table would refuse is refused with the same kind of error, NOT NULL before types. Of a refused type the code is SQLITE_MISMATCH,
//! so that OR IGNORE does not pass over the row and OR FAIL does not keep the rows before it: a STRICT table has it so.

use rusqlite::ffi;

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{self, Key};
use crate::schema::{Column, ColumnType, KeyKind, TableSchema};
use crate::statement::{is_utf8, text_of, value_of};
use crate::value::Value;

/// The row that an INSERT or UPDATE gives. An INTEGER PRIMARY KEY may be `NULL` in it: the caller gives it a number. `default` is what
/// stands for a NULL that is refused, `NULL` where nothing does.
///
/// # Safety
/// `values` must be valid values of SQLite's, at least one for each column.
pub unsafe fn row(
    schema: &TableSchema,
    table: &str,
    values: &[*mut ffi::sqlite3_value],
    mut default: impl FnMut(usize) -> StoreResult<Value>,
) -> StoreResult<Vec<Value>> {
    let mut replaced: Vec<(usize, Value)> = Vec::new();
    for (position, (column, raw)) in schema.columns.iter().zip(values).enumerate() {
        // SAFETY: the caller's promise.
        let is_null = unsafe { ffi::sqlite3_value_type(*raw) } == ffi::SQLITE_NULL;
        if is_null && column.not_null && schema.key != KeyKind::Integer(position) {
            match default(position)? {
                Value::Null => return Err(not_null(table, column)),
                value => replaced.push((position, value)),
            }
        }
    }
    let mut row: Vec<Value> = schema
        .columns
        .iter()
        .zip(values)
        .enumerate()
        // SAFETY: the caller's promise.
        .map(|(position, (column, raw))| unsafe {
            if schema.key == KeyKind::Integer(position) {
                return Ok(rowid(schema, table, *raw)?.map_or(Value::Null, Value::Integer));
            }
            column_value(column, table, *raw)
        })
        .collect::<StoreResult<_>>()?;
    for (position, value) in replaced {
        row[position] = value;
    }
    Ok(row)
}

/// The error of a NULL where none may be.
pub fn not_null(table: &str, column: &Column) -> StoreError {
    let mut error = StoreError::new(
        StoreErrorCode::Constraint,
        format!("NOT NULL constraint failed: {table}.{}", column.name),
    );
    error.sqlite_code = Some(ffi::SQLITE_CONSTRAINT_NOTNULL);
    error
}

/// The key of a row; for a table without a declared key, `rowid` gives it.
pub fn key_of(
    schema: &TableSchema,
    row: &[Value],
    rowid: impl FnOnce() -> StoreResult<i64>,
) -> StoreResult<Key> {
    if schema.key == KeyKind::RowId {
        return Ok(Key::from(&key::encode_integer(rowid()?)[..]));
    }
    let mut bytes = Vec::new();
    for part in schema.key_order() {
        key::encode(&row[part.column], part.collation, &mut bytes);
    }
    Ok(bytes.into())
}

/// A value as the column holds it, or why it can't.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
pub unsafe fn column_value(
    column: &Column,
    table: &str,
    raw: *mut ffi::sqlite3_value,
) -> StoreResult<Value> {
    // SAFETY: the caller's promise.
    let value = unsafe { value_of(raw) };
    let mismatch = |found: &Value| {
        let found = match found {
            Value::Null => "NULL",
            Value::Integer(_) => "INTEGER",
            Value::Real(_) => "REAL",
            Value::Text(_) => "TEXT",
            Value::Blob(_) => "BLOB",
        };
        let message = format!(
            "cannot store {found} value in {} column {table}.{}",
            column.kind.sql_name(),
            column.name
        );
        mismatched(message)
    };
    let numeric = |value: Value| match value {
        Value::Text(_) => {
            // SAFETY: the caller's promise; the conversion changes the value's type only if the text is a number.
            unsafe {
                ffi::sqlite3_value_numeric_type(raw);
                value_of(raw)
            }
        }
        other => other,
    };
    match (column.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (ColumnType::Integer, value) => match numeric(value) {
            Value::Integer(integer) => Ok(Value::Integer(integer)),
            // As SQLite: a float becomes an integer where nothing is lost, but for the two that end the range.
            Value::Real(real) if real.fract() == 0.0 && real.abs() < TWO_TO_63 => {
                Ok(Value::Integer(real as i64))
            }
            other => Err(mismatch(&other)),
        },
        (ColumnType::Boolean, value) => match numeric(value) {
            Value::Integer(integer @ (0 | 1)) => Ok(Value::Integer(integer)),
            other => Err(mismatch(&other)),
        },
        (ColumnType::Real, value) => match numeric(value) {
            Value::Integer(integer) => Ok(Value::Real(integer as f64)),
            // As SQLite, which stores floats without a fraction as integers: the sign of a zero is lost.
            Value::Real(real) => Ok(Value::Real(real + 0.0)),
            other => Err(mismatch(&other)),
        },
        // SAFETY: the caller's promise.
        (ColumnType::Text, Value::Text(_)) if !unsafe { is_utf8(raw) } => Err(mismatched(format!(
            "cannot store text that is not UTF-8 in TEXT column {table}.{}",
            column.name
        ))),
        (ColumnType::Text, value @ Value::Text(_)) => Ok(value),
        // SAFETY: the caller's promise.
        (ColumnType::Text, Value::Integer(_) | Value::Real(_)) => Ok(unsafe { text_of(raw) }),
        (ColumnType::Blob, value @ Value::Blob(_)) => Ok(value),
        (kind, value) if kind.is_shown_as_text() => kind
            .stored(&value)
            .ok_or_else(|| unfit(column, table, &value)),
        (_, other) => Err(mismatch(&other)),
    }
}

/// Why a value is none of a type that is shown as text.
fn unfit(column: &Column, table: &str, value: &Value) -> StoreError {
    let what = match (column.kind, value) {
        (ColumnType::Decimal { .. }, Value::Real(_)) => {
            "a REAL that is not exactly a number of its digits; write it as a text"
        }
        (ColumnType::Decimal { .. }, _) => "what is no number of its digits",
        (ColumnType::Date, _) => "what is no date, YYYY-MM-DD,",
        _ => "what is no time, YYYY-MM-DD HH:MM:SS with up to six digits behind,",
    };
    mismatched(format!(
        "cannot store {what} in {} column {table}.{}",
        column.kind.sql_name(),
        column.name
    ))
}

/// A row is to be named by what is no integer.
pub fn no_rowid(schema: &TableSchema, table: &str) -> StoreError {
    let column = match schema.key {
        KeyKind::Integer(position) => &schema.columns[position].name,
        _ => "rowid",
    };
    mismatched(format!(
        "datatype mismatch: {table}.{column} names the row and is an integer"
    ))
}

fn mismatched(message: String) -> StoreError {
    let mut error = StoreError::new(StoreErrorCode::TypeMismatch, message);
    error.sqlite_code = Some(ffi::SQLITE_MISMATCH);
    error
}

/// The row id, or value of an INTEGER PRIMARY KEY, that a statement gives; `None` where it gives none.
///
/// # Safety
/// `raw` must be a valid value of SQLite's.
pub unsafe fn rowid(
    schema: &TableSchema,
    table: &str,
    raw: *mut ffi::sqlite3_value,
) -> StoreResult<Option<i64>> {
    // SAFETY: the caller's promise; the conversion changes the value's type only if the text is a number.
    let value = unsafe {
        ffi::sqlite3_value_numeric_type(raw);
        value_of(raw)
    };
    match value {
        Value::Null => Ok(None),
        Value::Integer(rowid) => Ok(Some(rowid)),
        // Unlike other columns' -2^63, a row id's is an integer to SQLite.
        Value::Real(real) if real.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&real) => {
            Ok(Some(real as i64))
        }
        _ => Err(no_rowid(schema, table)),
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
