//! Values on their way from SQLite into a table's columns: strict, as in SQLite's STRICT tables.

use rusqlite::ffi;

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{self, Key};
use crate::schema::{Column, ColumnType, KeyKind, TableSchema};
use crate::statement::{text_of, value_of};
use crate::value::{Row, Value};

/// The row that an INSERT or UPDATE gives.
///
/// # Safety
/// `values` must be valid values of SQLite's, at least one for each column.
pub unsafe fn row(
    schema: &TableSchema,
    table: &str,
    values: &[*mut ffi::sqlite3_value],
) -> StoreResult<Row> {
    // SAFETY: the caller's promise.
    schema
        .columns
        .iter()
        .zip(values)
        .map(|(column, raw)| unsafe { column_value(column, table, *raw) })
        .collect()
}

/// The key of a row; for a table without a declared key, `rowid` gives it.
pub fn key_of(
    schema: &TableSchema,
    row: &Row,
    rowid: impl FnOnce() -> StoreResult<i64>,
) -> StoreResult<Key> {
    if schema.key == KeyKind::RowId {
        return Ok(Key::from(&key::encode_integer(rowid()?)[..]));
    }
    let mut bytes = Vec::new();
    for column in schema.key_columns() {
        key::encode(&row[*column], &mut bytes);
    }
    Ok(bytes.into())
}

/// # Safety
/// `raw` must be a valid value of SQLite's.
unsafe fn column_value(
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
        StoreError::new(StoreErrorCode::TypeMismatch, message)
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
        (_, Value::Null) if column.not_null => {
            let mut error = StoreError::new(
                StoreErrorCode::Constraint,
                format!("NOT NULL constraint failed: {table}.{}", column.name),
            );
            error.sqlite_code = Some(ffi::SQLITE_CONSTRAINT_NOTNULL);
            Err(error)
        }
        (_, Value::Null) => Ok(Value::Null),
        (ColumnType::Integer, value) => match numeric(value) {
            Value::Integer(integer) => Ok(Value::Integer(integer)),
            // As SQLite: a float becomes an integer where nothing is lost.
            Value::Real(real) if real.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&real) => {
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
            Value::Real(real) => Ok(Value::Real(real)),
            other => Err(mismatch(&other)),
        },
        (ColumnType::Text, value @ Value::Text(_)) => Ok(value),
        // SAFETY: the caller's promise.
        (ColumnType::Text, Value::Integer(_) | Value::Real(_)) => Ok(unsafe { text_of(raw) }),
        (ColumnType::Blob, value @ Value::Blob(_)) => Ok(value),
        (_, other) => Err(mismatch(&other)),
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
