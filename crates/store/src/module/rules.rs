//! CHECK constraints and defaults. SQLite evaluates them, in statements that are prepared once for each connection and table.

use std::fmt::Write;

use rusqlite::ffi;

use super::values;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::schema::{Column, TableSchema, quote_identifier};
use crate::statement::{Handle, Statement};
use crate::value::Value;

/// The names by which an expression can mean the row id, where no column has them.
const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A table's CHECK constraints and defaults, ready to run.
pub struct Rules {
    checks: Option<Checks>,
    /// For each column, the statement that evaluates its default.
    defaults: Vec<Option<Statement>>,
}

/// One statement for all CHECK constraints: it returns the number of the first that fails, or 0.
struct Checks {
    statement: Statement,
    /// What the parameters are: a column's value or, for `None`, the row id.
    parameters: Vec<Option<usize>>,
}

impl Rules {
    /// Prepares them.
    pub fn new(handle: Handle, table: &str, schema: &TableSchema) -> StoreResult<Rules> {
        let defaults = schema.columns.iter().map(|column| {
            let sql = column.default.as_ref().map(|sql| format!("SELECT {sql}"));
            sql.map(|sql| handle.statement(&sql)).transpose()
        });
        Ok(Rules {
            checks: Checks::new(handle, table, schema, None)?,
            defaults: defaults.collect::<StoreResult<_>>()?,
        })
    }

    /// The default of an added column, the last one, as older rows have it. Refuses one whose CHECK constraints its default does not hold for: they can name no other column, so that this is all
    /// there is to look at, whoever writes rows meanwhile.
    pub fn check_added(handle: Handle, table: &str, schema: &TableSchema) -> StoreResult<Value> {
        let added = schema.columns.len() - 1;
        let mut own = schema.clone();
        own.checks.retain(|check| check.column == Some(added));
        let checks = Checks::new(handle, table, &own, Some(added)).map_err(|error| StoreError {
            message: format!(
                "the CHECK of an added column can name that column alone: {}",
                error.message
            ),
            ..error
        })?;
        own.checks.clear();
        let mut rules = Rules::new(handle, table, &own)?;
        let value = rules.default(schema, table, added)?;
        own.checks.clone_from(&schema.checks);
        own.checks.retain(|check| check.column == Some(added));
        rules.checks = checks;
        rules.check(&own, None, |_| value.clone())?;
        Ok(value)
    }

    /// Whether there are CHECK constraints.
    pub fn has_checks(&self) -> bool {
        self.checks.is_some()
    }

    /// Refuses a row that a CHECK constraint does not hold for. As in SQLite, one that is NULL holds.
    pub fn check(
        &mut self,
        schema: &TableSchema,
        rowid: Option<i64>,
        cell: impl Fn(usize) -> Value,
    ) -> StoreResult<()> {
        let Some(checks) = &mut self.checks else {
            return Ok(());
        };
        let values: Vec<Value> = checks
            .parameters
            .iter()
            .map(|parameter| match parameter {
                Some(column) => schema.columns[*column].kind.shown(cell(*column)),
                None => rowid.map_or(Value::Null, Value::Integer),
            })
            .collect();
        let failed = match checks.statement.first(&values)?.as_deref() {
            Some([Value::Integer(failed)]) => *failed as usize,
            _ => 0,
        };
        let Some(check) = failed.checked_sub(1).and_then(|at| schema.checks.get(at)) else {
            return Ok(());
        };
        let mut error = StoreError::new(
            StoreErrorCode::Constraint,
            format!("CHECK constraint failed: {}", check.label()),
        );
        error.sqlite_code = Some(ffi::SQLITE_CONSTRAINT_CHECK);
        Err(error)
    }

    /// A column's default as the column holds it, evaluated now; NULL where none was declared.
    pub fn default(
        &mut self,
        schema: &TableSchema,
        table: &str,
        column: usize,
    ) -> StoreResult<Value> {
        let Some(statement) = &mut self.defaults[column] else {
            return Ok(Value::Null);
        };
        let value = match statement.step() {
            // SAFETY: the statement is on a row with one column, and nobody else uses it before it is reset.
            Ok(_) => unsafe {
                let raw = ffi::sqlite3_column_value(statement.raw(), 0);
                values::column_value(&schema.columns[column], table, raw)
            },
            Err(error) => Err(error),
        };
        statement.reset();
        value
    }
}

impl Checks {
    /// Prepares them. Where only one column is `visible`, it is the only one that they can name.
    fn new(
        handle: Handle,
        table: &str,
        schema: &TableSchema,
        visible: Option<usize>,
    ) -> StoreResult<Option<Checks>> {
        if schema.checks.is_empty() {
            return Ok(None);
        }
        let mut text = String::new();
        for check in &schema.checks {
            text.push_str(&check.expression.to_ascii_lowercase());
        }
        // A name with quotes in it may be spelled in several ways.
        let is_used = |name: &str| {
            name.contains(['"', '`', '\'', ']']) || text.contains(&name.to_ascii_lowercase())
        };
        let mut parameters = Vec::new();
        let mut columns = Vec::new();
        for (position, column) in schema.columns.iter().enumerate() {
            if is_used(&column.name) && visible.is_none_or(|only| only == position) {
                parameters.push(Some(position));
                // This gives the parameter the column's affinity and collation; the value is of its type already.
                columns.push(format!(
                    "CAST(?{} AS {}) COLLATE {} AS {}",
                    parameters.len(),
                    column.kind.affinity(),
                    column.collation_name(),
                    quote_identifier(&column.name)
                ));
            }
        }
        for name in ROWID_NAMES {
            let is_column = |column: &Column| column.name.eq_ignore_ascii_case(name);
            if visible.is_none()
                && schema.has_rowid()
                && is_used(name)
                && !schema.columns.iter().any(is_column)
            {
                parameters.push(None);
                columns.push(format!("CAST(?{} AS INTEGER) AS {name}", parameters.len()));
            }
        }
        if columns.is_empty() {
            columns.push("NULL".into());
        }
        let mut sql = String::from("SELECT CASE");
        for (at, check) in schema.checks.iter().enumerate() {
            let _infallible = write!(
                sql,
                " WHEN {} IS FALSE THEN {}",
                check.parenthesized(),
                at + 1
            );
        }
        let _infallible = write!(
            sql,
            " ELSE 0 END FROM (SELECT {}) AS {}",
            columns.join(", "),
            quote_identifier(table)
        );
        Ok(Some(Checks {
            statement: handle.statement(&sql)?,
            parameters,
        }))
    }
}

/// Has SQLite look at a new table's expressions, as at those of an ordinary table: an unknown column, a subquery, a parameter or an
/// aggregate is told of in SQLite's words. The statement is prepared and never run; no ordinary table has the name.
pub fn validate(handle: Handle, table: &str, schema: &TableSchema) -> StoreResult<()> {
    let sql = schema.ordinary("main", table, &[]);
    handle.statement(&sql).map(drop)
}
