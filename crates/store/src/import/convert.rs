//! A file's columns into a table's.
//!
//! Integers of every width, dates and times become INTEGER, in the unit that the file has; decimals DECIMAL; floats REAL; texts TEXT; bytes BLOB;
//! booleans BOOLEAN. A table that declares DATE and TIMESTAMP columns gets dates and timestamps as such. A value that does not fit is an error,
//! never changed. Of a file that knows texts alone, each is what the column takes: `true` and `false` BOOLEAN, `2024-02-29` DATE.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt32Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema, TimeUnit};

use crate::activity::check_interrupt;
use crate::collation::Collation;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{self, Key};
use crate::module::rules::Rules;
use crate::module::values;
use crate::offending_key::OffendingKey;
use crate::schema::{ColumnType, KeyKind, TableSchema, quote_identifier};
use crate::statement::Handle;
use crate::table::packed;
use crate::table::rows::{Cell, ColumnArray, build_column};
use crate::value::Value;

use super::file::ImportFile;

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
        // Who wants texts declares the table.
        let kind = match kind {
            ColumnType::Date | ColumnType::Timestamp => ColumnType::Integer,
            kind => kind,
        };
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
        DataType::Date32 | DataType::Date64 => Some(ColumnType::Date),
        DataType::Timestamp(..) => Some(ColumnType::Timestamp),
        DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) => {
            Some(ColumnType::Integer)
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            ColumnType::decimal(*precision, u8::try_from(*scale).ok()?)
        }
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
    /// The table's name.
    table: &'a str,
    schema: &'a TableSchema,
    sources: Vec<Source>,
    rules: Rules,
    rows_before: i64,
}

impl<'a> Converter<'a> {
    /// Matches columns by name, without regard to case.
    pub fn new(
        handle: Handle,
        table: &'a str,
        schema: &'a TableSchema,
        file: &ImportFile,
        row_number: Option<&str>,
    ) -> StoreResult<Converter<'a>> {
        let texts_are_values = file.texts_are_values;
        let file = &file.schema;
        for field in file.fields() {
            if !schema
                .columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(field.name()))
            {
                return Err(bad(format!(
                    "the file's column {} is not in table {}",
                    field.name(),
                    table
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
                table
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
                        .is_some_and(|kind| fits(kind, column.kind, texts_are_values)) =>
                {
                    Ok(Source::File(position))
                }
                Some(position) => Err(bad(format!(
                    "the file's column {} is {}, that of table {} is {}",
                    column.name,
                    file.field(position).data_type(),
                    table,
                    column.kind.sql_name()
                ))),
                None if column.not_null && column.default.is_none() => Err(bad(format!(
                    "the file has no column {}, which is NOT NULL in table {}",
                    column.name, table
                ))),
                None => Ok(Source::Default),
            }
        });
        Ok(Converter {
            sources: sources.collect::<StoreResult<_>>()?,
            rules: Rules::new(handle, table, schema)?,
            table,
            schema,
            rows_before: 0,
        })
    }

    /// A batch of the table's schema, sorted by key, and its keys.
    pub fn convert(&mut self, batch: &RecordBatch) -> StoreResult<(RecordBatch, Vec<Key>)> {
        let rows = batch.num_rows();
        let schema = self.schema;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len() + 1);
        for (position, (column, source)) in schema.columns.iter().zip(&self.sources).enumerate() {
            check_interrupt()?;
            let array: ArrayRef = match source {
                Source::Default if column.default.is_none() => {
                    arrow_array::new_null_array(&column.kind.arrow(), rows)
                }
                Source::Default => {
                    let values = (0..rows)
                        .map(|_| self.rules.default(schema, self.table, position))
                        .collect::<StoreResult<Vec<Value>>>()?;
                    build_column(column.kind, values.iter().map(Cell::from))
                }
                Source::RowNumber => {
                    let first = self.rows_before + 1;
                    Arc::new(Int64Array::from_iter_values(first..first + rows as i64))
                }
                Source::File(position) => {
                    stored(batch.column(*position), column.kind).map_err(|(row, reason)| {
                        let error = bad(format!("column {}: {reason}", column.name));
                        match row {
                            Some(row) => self.refused(row, error),
                            None => error,
                        }
                    })?
                }
            };
            if column.not_null
                && let Some(row) = (0..rows).find(|row| array.is_null(*row))
            {
                return Err(self.refused(row, values::not_null(self.table, column)));
            }
            columns.push(array);
        }
        let mut keys = self.keys(schema, &columns, rows)?;
        check_interrupt()?;
        self.check(&columns, &keys)?;
        check_interrupt()?;
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
        let mut stored: Vec<ArrayRef> = vec![Arc::new(BinaryArray::from_iter_values(keys.iter()))];
        stored.extend(by_slots(self.schema, &columns, rows)?);
        let batch = RecordBatch::try_new(self.schema.arrow.clone(), stored)
            .map_err(|error| bad(error.to_string()))?;
        if let Some(row) = keys.windows(2).position(|pair| pair[0] == pair[1]) {
            let message = format!(
                "the file has two rows with the same key of table {}",
                self.table
            );
            return Err(bad(message).about(self.key_of(&batch, &keys, row)));
        }
        Ok((batch, keys))
    }

    /// The key of a converted batch's row.
    pub fn key_of(&self, batch: &RecordBatch, keys: &[Key], row: usize) -> OffendingKey {
        OffendingKey::of_row(self.table, self.schema, &keys[row], |column| {
            // A key's columns are stored from the beginning on, behind the key; none is among the packed ones.
            let array = ColumnArray::new(batch.column(1 + column.slot));
            array.map_or(Value::Null, |array| Value::from(array.cell(row)))
        })
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
                .check(self.schema, rowid, cell)
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
                self.table
            )));
        }
        let key_columns: Vec<(ColumnArray, Collation)> = schema
            .key_order()
            .map(|part| {
                let column = ColumnArray::new(&columns[part.column]);
                let column = column.ok_or_else(|| bad("a key of an unknown type".into()))?;
                Ok((column, part.collation))
            })
            .collect::<StoreResult<_>>()?;
        let mut bytes = Vec::new();
        let key_of = |row: usize| {
            bytes.clear();
            for (column, collation) in &key_columns {
                match column.cell(row) {
                    Cell::Integer(value) => bytes.extend_from_slice(&key::encode_integer(value)),
                    Cell::Text(value) => key::encode_text(value, *collation, &mut bytes),
                    value => key::encode(&Value::from(value), *collation, &mut bytes),
                }
            }
            Key::from(&bytes[..])
        };
        Ok((0..rows).map(key_of).collect())
    }
}

/// The columns as Tonbo has them: by their slots, those that were added since packed into the last one.
fn by_slots(schema: &TableSchema, columns: &[ArrayRef], rows: usize) -> StoreResult<Vec<ArrayRef>> {
    let at_slot = |slot: usize| schema.columns.iter().position(|column| column.slot == slot);
    let stored = schema.layout.stored.iter().enumerate();
    let mut arrays: Vec<ArrayRef> = stored
        .map(|(slot, kind)| match at_slot(slot) {
            Some(position) => columns[position].clone(),
            None => arrow_array::new_null_array(&kind.arrow(), rows),
        })
        .collect();
    let added = schema.layout.stored.len()..schema.layout.slots();
    if schema.layout.added.is_some() {
        let added: Vec<Option<ColumnArray>> = added
            .map(|slot| at_slot(slot).and_then(|position| ColumnArray::new(&columns[position])))
            .collect();
        arrays.push(packed::column(rows, |row, into| {
            for column in &added {
                let cell = column
                    .as_ref()
                    .map_or(Cell::Null, |column| column.cell(row));
                packed::push(cell, into);
            }
        }));
    }
    Ok(arrays)
}

/// Whether a table's column takes a file's of that kind.
fn fits(file: ColumnType, table: ColumnType, texts_are_values: bool) -> bool {
    use ColumnType::{Blob, Boolean, Date, Decimal, Integer, Text, Timestamp};
    file == table
        || (texts_are_values && file == Text && table != Blob)
        || matches!((file, table), (Boolean | Date | Timestamp, Integer))
        || matches!((file, table), (Decimal { .. } | Integer, Decimal { .. }))
}

/// Why a column can't be had, and the first row that is to blame, where one is.
type Unfit = (Option<usize>, String);

/// A file's column as the table stores it.
fn stored(array: &ArrayRef, kind: ColumnType) -> Result<ArrayRef, Unfit> {
    let cast = |array: &ArrayRef, to: &DataType| {
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        // What the cast says of it has the value in it.
        cast_with_options(array, to, &options).map_err(|_| (first_unfit(array, to), unfit(kind)))
    };
    let array = match array.data_type() {
        DataType::Dictionary(_, values) => &cast(array, values)?,
        _ => array,
    };
    if let (DataType::Utf8, false) = (array.data_type(), kind == ColumnType::Text) {
        return parsed(array, kind);
    }
    match kind {
        ColumnType::Date => {
            let days_are = match array.data_type() {
                // Milliseconds.
                DataType::Date64 => 86_400_000,
                _ => 1,
            };
            let array = match array.data_type() {
                DataType::Date32 => &cast(array, &DataType::Int32)?,
                _ => array,
            };
            scaled(&cast(array, &DataType::Int64)?, kind, 1, days_are)
        }
        ColumnType::Timestamp => {
            let (times, divisor) = match array.data_type() {
                DataType::Timestamp(TimeUnit::Second, _) => (1_000_000, 1),
                DataType::Timestamp(TimeUnit::Millisecond, _) => (1000, 1),
                DataType::Timestamp(TimeUnit::Nanosecond, _) => (1, 1000),
                _ => (1, 1),
            };
            scaled(&cast(array, &DataType::Int64)?, kind, times, divisor)
        }
        ColumnType::Decimal { .. } => {
            let own_scale = match kind_of(array.data_type()) {
                Some(ColumnType::Decimal { scale, .. }) => scale,
                _ => 0,
            };
            let wide = DataType::Decimal128(38, own_scale as i8);
            let array = cast(array, &wide)?;
            let values = array.as_primitive::<Decimal128Type>();
            let values = (0..values.len()).map(|row| match values.is_null(row) {
                true => Ok(Value::Null),
                false => kind
                    .of_unscaled(values.value(row), own_scale)
                    .ok_or_else(|| (Some(row), unfit(kind))),
            });
            let values = values.collect::<Result<Vec<Value>, Unfit>>()?;
            Ok(build_column(kind, values.iter().map(Cell::from)))
        }
        _ => cast(array, &kind.arrow()),
    }
}

/// Why a value can't be had.
fn unfit(kind: ColumnType) -> String {
    format!("the value is no {}", kind.sql_name())
}

/// The first row whose value is none of a type.
fn first_unfit(array: &ArrayRef, to: &DataType) -> Option<usize> {
    let cast = cast_with_options(array, to, &CastOptions::default()).ok()?;
    (0..array.len()).find(|row| cast.is_null(*row) && !array.is_null(*row))
}

/// What texts mean in a column.
fn parsed(array: &ArrayRef, kind: ColumnType) -> Result<ArrayRef, Unfit> {
    let texts = array.as_string::<i32>();
    let values = texts.iter().enumerate().map(|(row, text)| match text {
        None => Ok(Value::Null),
        Some(text) => value_of(text, kind).ok_or_else(|| (Some(row), unfit(kind))),
    });
    let values = values.collect::<Result<Vec<Value>, Unfit>>()?;
    Ok(build_column(kind, values.iter().map(Cell::from)))
}

fn value_of(text: &str, kind: ColumnType) -> Option<Value> {
    match kind {
        ColumnType::Integer => text.parse().ok().map(Value::Integer),
        ColumnType::Real => {
            let real = text.parse::<f64>().ok().filter(|real| real.is_finite())?;
            // As SQLite has it, there is one zero.
            Some(Value::Real(real + 0.0))
        }
        ColumnType::Boolean => match text {
            "0" => Some(Value::Integer(0)),
            "1" => Some(Value::Integer(1)),
            _ if text.eq_ignore_ascii_case("false") => Some(Value::Integer(0)),
            _ if text.eq_ignore_ascii_case("true") => Some(Value::Integer(1)),
            _ => None,
        },
        ColumnType::Text => Some(Value::Text(text.into())),
        ColumnType::Blob => None,
        ColumnType::Date | ColumnType::Timestamp | ColumnType::Decimal { .. } => {
            kind.stored(&Value::Text(text.into()))
        }
    }
}

/// Integers times `times` or by `divisor`, as days or instants.
fn scaled(array: &ArrayRef, kind: ColumnType, times: i64, divisor: i64) -> Result<ArrayRef, Unfit> {
    let values = array.as_primitive::<Int64Type>();
    let values = (0..values.len()).map(|row| {
        if values.is_null(row) {
            return Ok(None);
        }
        let value = values.value(row);
        let exact = (value % divisor == 0).then_some(value / divisor);
        exact
            .and_then(|value| value.checked_mul(times))
            .filter(|value| kind.show(Cell::Integer(*value)).is_some())
            .map(Some)
            .ok_or_else(|| (Some(row), unfit(kind)))
    });
    let values = values.collect::<Result<Vec<Option<i64>>, Unfit>>()?;
    Ok(Arc::new(Int64Array::from(values)))
}
