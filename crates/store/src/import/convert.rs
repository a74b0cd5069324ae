//! A file's columns into a table's.
//!
//! Integers of every width, dates and times become INTEGER, in the unit that the file has; floats REAL; texts TEXT; bytes BLOB; booleans
//! BOOLEAN. A value that does not fit is an error, never changed.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt32Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema};

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{self, Key};
use crate::module::rules::Rules;
use crate::module::values;
use crate::schema::{ColumnType, KeyKind, TableSchema, quote_identifier};
use crate::statement::Handle;
use crate::table::Table;
use crate::table::rows::{Cell, ColumnArray, build_column};
use crate::value::Value;

pub(super) fn bad(message: String) -> StoreError {
    StoreError::new(StoreErrorCode::BadImport, message)
}

/// The statement that makes a table for a file's columns.
pub fn create_statement(
    table: &str,
    schema: &Schema,
    row_number: Option<&str>,
) -> StoreResult<String> {
    let mut columns = Vec::new();
    if let Some(name) = row_number {
        columns.push(format!("{} INTEGER PRIMARY KEY", quote_identifier(name)));
    }
    for field in schema.fields() {
        let kind = kind_of(field.data_type()).ok_or_else(|| {
            bad(format!(
                "column {} has the type {}, which has no counterpart here",
                field.name(),
                field.data_type()
            ))
        })?;
        columns.push(format!(
            "{} {}",
            quote_identifier(field.name()),
            kind.sql_name()
        ));
    }
    Ok(format!(
        "CREATE VIRTUAL TABLE {} USING tonbo({})",
        quote_identifier(table),
        columns.join(", ")
    ))
}

fn kind_of(kind: &DataType) -> Option<ColumnType> {
    match kind {
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::Boolean => Some(ColumnType::Boolean),
        kind if kind.is_integer() => Some(ColumnType::Integer),
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_) => Some(ColumnType::Integer),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(ColumnType::Real),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(ColumnType::Text),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Some(ColumnType::Blob),
        _ => None,
    }
}

/// Where a column of the table comes from.
enum Source {
    /// A column of the file.
    File(usize),
    /// The row's number in the file.
    RowNumber,
    /// The file has no such column: its default, or NULL.
    Default,
}

/// Turns a file's batches into a table's.
pub struct Converter<'a> {
    table: &'a Table,
    sources: Vec<Source>,
    rules: Rules,
    rows_before: i64,
}

impl<'a> Converter<'a> {
    /// Matches columns by name, without regard to case.
    pub fn new(
        handle: Handle,
        table: &'a Table,
        file: &Schema,
        row_number: Option<&str>,
    ) -> StoreResult<Converter<'a>> {
        let schema = &table.schema;
        for field in file.fields() {
            if !schema
                .columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(field.name()))
            {
                return Err(bad(format!(
                    "the file's column {} is not in table {}",
                    field.name(),
                    table.name
                )));
            }
        }
        if let Some(name) = row_number
            && !schema.columns.iter().any(|column| {
                column.name.eq_ignore_ascii_case(name) && column.kind == ColumnType::Integer
            })
        {
            return Err(bad(format!(
                "table {} has no INTEGER column {name} for the rows' numbers",
                table.name
            )));
        }
        let sources = schema.columns.iter().map(|column| {
            let found = file
                .fields()
                .iter()
                .position(|field| field.name().eq_ignore_ascii_case(&column.name));
            match found {
                _ if row_number.is_some_and(|name| name.eq_ignore_ascii_case(&column.name)) => {
                    Ok(Source::RowNumber)
                }
                Some(position)
                    if kind_of(file.field(position).data_type())
                        .is_some_and(|kind| fits(kind, column.kind)) =>
                {
                    Ok(Source::File(position))
                }
                Some(position) => Err(bad(format!(
                    "the file's column {} is {}, that of table {} is {}",
                    column.name,
                    file.field(position).data_type(),
                    table.name,
                    column.kind.sql_name()
                ))),
                None if column.not_null && column.default.is_none() => Err(bad(format!(
                    "the file has no column {}, which is NOT NULL in table {}",
                    column.name, table.name
                ))),
                None => Ok(Source::Default),
            }
        });
        Ok(Converter {
            sources: sources.collect::<StoreResult<_>>()?,
            rules: Rules::new(handle, &table.name, schema)?,
            table,
            rows_before: 0,
        })
    }

    /// A batch of the table's schema, sorted by key, and its keys.
    pub fn convert(&mut self, batch: &RecordBatch) -> StoreResult<(RecordBatch, Vec<Key>)> {
        let rows = batch.num_rows();
        let schema = &self.table.schema;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len() + 1);
        for (position, (column, source)) in schema.columns.iter().zip(&self.sources).enumerate() {
            let array: ArrayRef = match source {
                Source::Default if column.default.is_none() => {
                    arrow_array::new_null_array(&column.kind.arrow(), rows)
                }
                Source::Default => {
                    let values = (0..rows)
                        .map(|_| self.rules.default(schema, &self.table.name, position))
                        .collect::<StoreResult<Vec<Value>>>()?;
                    build_column(column.kind, values.iter().map(Cell::from))
                }
                Source::RowNumber => {
                    let first = self.rows_before + 1;
                    Arc::new(Int64Array::from_iter_values(first..first + rows as i64))
                }
                Source::File(position) => {
                    let options = CastOptions {
                        safe: false,
                        ..CastOptions::default()
                    };
                    cast_with_options(batch.column(*position), &column.kind.arrow(), &options)
                        .map_err(|error| bad(format!("column {}: {error}", column.name)))?
                }
            };
            if column.not_null
                && let Some(row) = (0..rows).find(|row| array.is_null(*row))
            {
                return Err(self.refused(row, values::not_null(&self.table.name, column)));
            }
            columns.push(array);
        }
        let mut keys = self.keys(schema, &columns, rows)?;
        self.check(&columns, &keys)?;
        self.rows_before += rows as i64;
        if !keys.is_sorted() {
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_by(|a, b| keys[*a as usize].cmp(&keys[*b as usize]));
            let order = UInt32Array::from(order);
            for column in &mut columns {
                *column = arrow_select::take::take(column, &order, None)
                    .map_err(|error| bad(error.to_string()))?;
            }
            keys.sort();
        }
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(bad(format!(
                "the file has two rows with the same key of table {}",
                self.table.name
            )));
        }
        columns.insert(0, Arc::new(BinaryArray::from_iter_values(keys.iter())));
        let batch = RecordBatch::try_new(schema.arrow.clone(), columns)
            .map_err(|error| bad(error.to_string()))?;
        Ok((batch, keys))
    }

    /// Refuses rows that a CHECK constraint does not hold for.
    fn check(&mut self, columns: &[ArrayRef], keys: &[Key]) -> StoreResult<()> {
        if !self.rules.has_checks() {
            return Ok(());
        }
        let columns: Vec<ColumnArray> = columns
            .iter()
            .map(|column| {
                ColumnArray::new(column).ok_or_else(|| bad("a column of an unknown type".into()))
            })
            .collect::<StoreResult<_>>()?;
        for (row, key) in keys.iter().enumerate() {
            let cell = |column: usize| Value::from(columns[column].cell(row));
            let rowid = key::decode_integer(key);
            self.rules
                .check(&self.table.schema, rowid, cell)
                .map_err(|error| self.refused(row, error))?;
        }
        Ok(())
    }

    /// Why a row of the current batch is refused, with its number in the file.
    fn refused(&self, row: usize, error: StoreError) -> StoreError {
        let number = self.rows_before + row as i64 + 1;
        StoreError {
            code: StoreErrorCode::BadImport,
            message: format!("row {number}: {}", error.message),
            ..error
        }
    }

    fn keys(
        &self,
        schema: &TableSchema,
        columns: &[ArrayRef],
        rows: usize,
    ) -> StoreResult<Vec<Key>> {
        if schema.key == KeyKind::RowId {
            return Err(bad(format!(
                "table {} has no declared key: give it one, for instance an INTEGER PRIMARY KEY filled by rowNumber",
                self.table.name
            )));
        }
        let key_columns: Vec<ColumnArray> = schema
            .key_columns()
            .iter()
            .map(|position| {
                ColumnArray::new(&columns[*position])
                    .ok_or_else(|| bad("a key of an unknown type".into()))
            })
            .collect::<StoreResult<_>>()?;
        let mut bytes = Vec::new();
        let key_of = |row: usize| {
            bytes.clear();
            for column in &key_columns {
                match column.cell(row) {
                    Cell::Integer(value) => bytes.extend_from_slice(&key::encode_integer(value)),
                    Cell::Real(value) => key::encode(&Value::Real(value), &mut bytes),
                    Cell::Text(value) => key::encode(&Value::Text(value.into()), &mut bytes),
                    Cell::Blob(value) => key::encode(&Value::Blob(value.into()), &mut bytes),
                    Cell::Null => {}
                }
            }
            Key::from(&bytes[..])
        };
        Ok((0..rows).map(key_of).collect())
    }
}

fn fits(file: ColumnType, table: ColumnType) -> bool {
    file == table || (file, table) == (ColumnType::Boolean, ColumnType::Integer)
}
