//! What a statement does, and when two of them have done the same.

use std::fmt::Write as _;

use heddle_store::error::StoreErrorCode;
use heddle_store::statement::kind_of;
use heddle_store::value::Value;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::engine::Rows;
use crate::generator::{self, Statement};

/// What a statement did.
#[derive(Debug)]
pub struct Outcome {
    pub result: Result<(Rows, i64), (StoreErrorCode, String)>,
    pub is_open: bool,
}

pub fn run_natively(connection: &rusqlite::Connection, statement: &Statement) -> Outcome {
    struct Parameter<'a>(&'a Value);
    impl rusqlite::ToSql for Parameter<'_> {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Ok(ToSqlOutput::Borrowed(match self.0 {
                Value::Null => ValueRef::Null,
                Value::Integer(value) => ValueRef::Integer(*value),
                Value::Real(value) => ValueRef::Real(*value),
                Value::Text(value) => ValueRef::Text(value.as_bytes()),
                Value::Blob(value) => ValueRef::Blob(value),
            }))
        }
    }
    let changes = || {
        // SAFETY: the connection is open.
        unsafe { rusqlite::ffi::sqlite3_total_changes64(connection.handle()) }
    };
    let before = changes();
    let run = || -> rusqlite::Result<Rows> {
        let mut prepared = connection.prepare(&statement.sql)?;
        let columns = prepared.column_count();
        for (position, value) in statement.parameters.iter().enumerate() {
            prepared.raw_bind_parameter(position + 1, Parameter(value))?;
        }
        let mut rows = prepared.raw_query();
        let mut all = Rows::new();
        while let Some(row) = rows.next()? {
            let value = |column: usize| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => Value::Integer(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into()),
                    ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
                })
            };
            all.push((0..columns).map(value).collect::<rusqlite::Result<_>>()?);
        }
        Ok(all)
    };
    let result = run().map_err(|error| match &error {
        rusqlite::Error::SqliteFailure(code, _) => (kind_of(code.extended_code), error.to_string()),
        rusqlite::Error::SqlInputError { error: code, .. } => {
            (kind_of(code.extended_code), error.to_string())
        }
        _ => (StoreErrorCode::Misuse, error.to_string()),
    });
    Outcome {
        result: result.map(|rows| (rows, changes() - before)),
        is_open: !connection.is_autocommit(),
    }
}

/// What differs, if anything does.
pub fn difference(
    statement: &Statement,
    expected: &Outcome,
    found: &Outcome,
) -> Option<&'static str> {
    if expected.is_open != found.is_open {
        return Some("a transaction is open in one of them");
    }
    match (&expected.result, &found.result) {
        (Ok((rows, changes)), Ok((other_rows, other_changes))) => {
            if changes != other_changes {
                return Some("another number of changes");
            }
            let is_same = canonical(statement, rows) == canonical(statement, other_rows);
            (!is_same).then_some("other rows")
        }
        (Err((code, _)), Err((other, _))) => {
            let is_value = |code: &StoreErrorCode| {
                matches!(
                    code,
                    StoreErrorCode::Constraint | StoreErrorCode::TypeMismatch
                )
            };
            let is_same = code == other
                || statement.may_fail_in_several_ways && is_value(code) && is_value(other);
            (!is_same).then_some("another error")
        }
        (Ok(_), Err(_)) => Some("an error"),
        (Err(_), Ok(_)) => Some("no error"),
    }
}

/// Rows as texts that are equal where the rows are the same; sorted where their order is left open.
pub fn canonical(statement: &Statement, rows: &Rows) -> Vec<String> {
    let cell = |value: &Value| match value {
        Value::Real(real) if statement.is_loose && real.fract() == 0.0 && real.abs() < 1e15 => {
            format!("{}", *real as i64)
        }
        Value::Text(text) if statement.is_loose => {
            let start = text.split('\0').next().unwrap_or_default();
            format!("{:?}", start.trim_end_matches(' ').to_ascii_lowercase())
        }
        Value::Integer(value) => format!("{value}"),
        // Bit by bit, so that -0.0 is told from 0.0.
        Value::Real(real) => format!("{real:e} {:x}", real.to_bits()),
        other => format!("{other:?}"),
    };
    let mut texts: Vec<String> = rows
        .iter()
        .map(|row| row.iter().map(cell).collect::<Vec<_>>().join("\u{1f}"))
        .collect();
    if !statement.is_ordered {
        texts.sort();
    }
    texts
}

pub fn shown(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok((rows, changes)) => {
            let mut text = format!("{} rows, {changes} changes:", rows.len());
            for row in rows.iter().take(40) {
                let cells: Vec<String> = row.iter().map(generator::value::literal).collect();
                let _ = write!(text, "\n    {}", cells.join(", "));
            }
            text
        }
        Err((code, message)) => format!("{code:?}: {message}"),
    }
}
