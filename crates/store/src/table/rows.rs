//! Rows to Arrow and back.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::DataType;

use super::packed;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{Key, encode_integer};
use crate::schema::{ColumnType, TableSchema};
use crate::value::{Row, Value};

/// A value in its place, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// `NULL`.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Cell::Null,
            Value::Integer(value) => Cell::Integer(*value),
            Value::Real(value) => Cell::Real(*value),
            Value::Text(value) => Cell::Text(value),
            Value::Blob(value) => Cell::Blob(value),
        }
    }
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Null => Value::Null,
            Cell::Integer(value) => Value::Integer(value),
            Cell::Real(value) => Value::Real(value),
            Cell::Text(value) => Value::Text(value.into()),
            Cell::Blob(value) => Value::Blob(value.into()),
        }
    }
}

/// A decoded column, its type known.
#[derive(Clone, Debug)]
pub enum ColumnArray {
    /// INTEGER.
    Integer(Int64Array),
    /// REAL.
    Real(Float64Array),
    /// TEXT.
    Text(StringArray),
    /// BLOB, and keys.
    Blob(BinaryArray),
    /// BOOLEAN.
    Boolean(BooleanArray),
}

impl ColumnArray {
    /// The array as its type says; `None` where it is none of a store's types.
    pub fn new(array: &ArrayRef) -> Option<ColumnArray> {
        Some(match array.data_type() {
            DataType::Int64 => ColumnArray::Integer(array.as_primitive::<Int64Type>().clone()),
            DataType::Float64 => ColumnArray::Real(array.as_primitive::<Float64Type>().clone()),
            DataType::Utf8 => ColumnArray::Text(array.as_string::<i32>().clone()),
            DataType::Binary => ColumnArray::Blob(array.as_binary::<i32>().clone()),
            DataType::Boolean => ColumnArray::Boolean(array.as_boolean().clone()),
            _ => return None,
        })
    }

    /// The value of a row.
    #[inline]
    pub fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            ColumnArray::Integer(array) if array.is_valid(row) => Cell::Integer(array.value(row)),
            ColumnArray::Real(array) if array.is_valid(row) => Cell::Real(array.value(row)),
            ColumnArray::Text(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            ColumnArray::Blob(array) if array.is_valid(row) => Cell::Blob(array.value(row)),
            ColumnArray::Boolean(array) if array.is_valid(row) => {
                Cell::Integer(array.value(row).into())
            }
            _ => Cell::Null,
        }
    }

    /// The first row whose key is not below `key`. The array holds keys, as bytes or as the integers that they encode, in order.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = match self {
            ColumnArray::Integer(array) => (0, array.len()),
            ColumnArray::Blob(array) => (0, array.len()),
            _ => (0, 0),
        };
        while low < high {
            let middle = low + (high - low) / 2;
            let is_below = match self {
                ColumnArray::Integer(array) => encode_integer(array.value(middle))[..] < *key,
                ColumnArray::Blob(array) => array.value(middle) < key,
                _ => false,
            };
            if is_below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Changes as Tonbo takes them: a batch, and which of its rows are deletes. Keys must come sorted and once each.
pub fn to_batch<'a>(
    schema: &TableSchema,
    changes: impl Iterator<Item = (&'a Key, Option<&'a Row>)> + Clone,
) -> StoreResult<(RecordBatch, Vec<bool>)> {
    let mut keys = BinaryBuilder::new();
    let mut deletes = Vec::new();
    for (key, row) in changes.clone() {
        keys.append_value(key);
        deletes.push(row.is_none());
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(keys.finish())];
    let stored = &schema.layout.stored;
    for (slot, kind) in stored.iter().enumerate() {
        let cells = changes
            .clone()
            .map(|(_, row)| row.map_or(Cell::Null, |row| Cell::from(&row[slot])));
        columns.push(build_column(*kind, cells));
    }
    if schema.layout.added.is_some() {
        let mut rows = changes.map(|(_, row)| row);
        columns.push(packed::column(deletes.len(), |_, into| {
            let added = rows.next().flatten().map(|row| &row[stored.len()..]);
            for value in added.into_iter().flatten() {
                packed::push(Cell::from(value), into);
            }
        }));
    }
    let batch = RecordBatch::try_new(schema.arrow.clone(), columns).map_err(|error| {
        StoreError::new(
            StoreErrorCode::EngineFailed,
            format!("cannot make a batch: {error}"),
        )
    })?;
    Ok((batch, deletes))
}

/// A column of cells that are of its type already.
pub fn build_column<'a>(kind: ColumnType, cells: impl Iterator<Item = Cell<'a>>) -> ArrayRef {
    match kind {
        ColumnType::Integer | ColumnType::Date | ColumnType::Timestamp => {
            let mut builder = Int64Builder::new();
            cells.for_each(|cell| {
                builder.append_option(if let Cell::Integer(value) = cell {
                    Some(value)
                } else {
                    None
                })
            });
            Arc::new(builder.finish())
        }
        ColumnType::Boolean => {
            let mut builder = BooleanBuilder::new();
            cells.for_each(|cell| {
                builder.append_option(if let Cell::Integer(value) = cell {
                    Some(value != 0)
                } else {
                    None
                })
            });
            Arc::new(builder.finish())
        }
        ColumnType::Real => {
            let mut builder = Float64Builder::new();
            cells.for_each(|cell| {
                builder.append_option(if let Cell::Real(value) = cell {
                    Some(value)
                } else {
                    None
                })
            });
            Arc::new(builder.finish())
        }
        ColumnType::Text => {
            let mut builder = StringBuilder::new();
            cells.for_each(|cell| {
                builder.append_option(if let Cell::Text(value) = cell {
                    Some(value)
                } else {
                    None
                })
            });
            Arc::new(builder.finish())
        }
        ColumnType::Blob | ColumnType::Decimal { .. } => {
            let mut builder = BinaryBuilder::new();
            cells.for_each(|cell| {
                builder.append_option(if let Cell::Blob(value) = cell {
                    Some(value)
                } else {
                    None
                })
            });
            Arc::new(builder.finish())
        }
    }
}
