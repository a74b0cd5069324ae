//! The key that a constraint or another transaction's commit refuses.
//!
//! What is in rows stands in no message, and in no log: so this travels beside the message, and neither [`Debug`] nor the error's text shows it.
//! A caller who wants to know asks for it.

use std::fmt;

use serde::Serialize;

use crate::index::Index;
use crate::key::{Key, decode_integer};
use crate::schema::{Column, TableSchema};
use crate::value::Value;

/// What SQLite calls the key of a table that declares none.
const ROWID: &str = "rowid";

/// See the module's documentation.
#[derive(Clone, PartialEq, Serialize)]
pub struct OffendingKey {
    /// The table.
    pub table: String,
    /// The columns of the PRIMARY KEY, UNIQUE constraint or unique index, in its order.
    pub columns: Vec<String>,
    /// The refused row's values in them, as a SELECT would show them.
    pub values: Vec<Value>,
}

impl OffendingKey {
    /// A row's PRIMARY KEY; `value` tells what the row holds in a column. The key itself tells it of a table that declares none.
    pub fn of_row(
        table: &str,
        schema: &TableSchema,
        key: &Key,
        value: impl Fn(&Column) -> Value,
    ) -> OffendingKey {
        let columns = schema.key_columns().iter();
        let columns: Vec<&Column> = columns.map(|column| &schema.columns[*column]).collect();
        if columns.is_empty()
            && let Some(rowid) = decode_integer(key)
        {
            return OffendingKey {
                table: table.into(),
                columns: vec![ROWID.into()],
                values: vec![Value::Integer(rowid)],
            };
        }
        OffendingKey {
            table: table.into(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            values: (columns.iter())
                .map(|column| column.kind.shown(value(column)))
                .collect(),
        }
    }

    /// A row's values in the columns of an index; `row` has its values by their slots.
    pub fn of_index(
        index: &Index,
        table: &str,
        schema: &TableSchema,
        row: &[Value],
    ) -> OffendingKey {
        let slots = index.columns.iter().zip(&index.absent);
        let values = slots.map(|(slot, absent)| {
            let value = row.get(*slot).unwrap_or(absent).clone();
            match schema.at_slot(*slot) {
                Some(column) => column.kind.shown(value),
                None => value,
            }
        });
        OffendingKey {
            table: table.into(),
            values: values.collect(),
            columns: index.column_names(schema).map(String::from).collect(),
        }
    }
}

/// Names alone.
impl fmt::Debug for OffendingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffendingKey")
            .field("table", &self.table)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
