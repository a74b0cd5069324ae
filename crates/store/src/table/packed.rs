//! The values of columns that were added to a table since it was made, packed into one column of bytes.
//!
//! A table's Tonbo keeps the columns that it was made with. Its last one, [`MORE_COLUMN`](crate::schema::MORE_COLUMN), holds for each row the
//! values of all added columns, one behind the other in the order of their numbers; NULL where the row has none. A row that was written
//! before a column was added ends before its value.
//!
//! | tag | value | bytes behind the tag |
//! |---|---|---|
//! | 0 | NULL | none |
//! | 1 | INTEGER | 8, little-endian |
//! | 2 | REAL | 8, little-endian |
//! | 3, 4 | TEXT, BLOB | 4 for the length, little-endian, then the bytes |

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::BinaryBuilder;

use super::rows::Cell;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// A column of packed values: `fill` appends those of a row.
pub fn column(rows: usize, mut fill: impl FnMut(usize, &mut Vec<u8>)) -> ArrayRef {
    let mut column = BinaryBuilder::new();
    let mut packed = Vec::new();
    for row in 0..rows {
        packed.clear();
        fill(row, &mut packed);
        column.append_option((!packed.is_empty()).then_some(&packed));
    }
    Arc::new(column.finish())
}

/// Appends a value.
pub fn push(cell: Cell<'_>, into: &mut Vec<u8>) {
    let mut push_bytes = |tag: u8, bytes: &[u8]| {
        into.push(tag);
        // SQLite's values are below 2^31 bytes.
        into.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        into.extend_from_slice(bytes);
    };
    match cell {
        Cell::Null => into.push(NULL),
        Cell::Integer(value) => {
            into.push(INTEGER);
            into.extend_from_slice(&value.to_le_bytes());
        }
        Cell::Real(value) => {
            into.push(REAL);
            into.extend_from_slice(&value.to_le_bytes());
        }
        Cell::Text(value) => push_bytes(TEXT, value.as_bytes()),
        Cell::Blob(value) => push_bytes(BLOB, value),
    }
}

/// The value of that number; `None` where the row ends before it.
pub fn get(mut packed: &[u8], number: usize) -> Option<Cell<'_>> {
    for _ in 0..number {
        (_, packed) = split(packed)?;
    }
    split(packed).map(|(cell, _)| cell)
}

/// All values.
pub fn all(mut packed: &[u8]) -> impl Iterator<Item = Cell<'_>> {
    std::iter::from_fn(move || {
        let (cell, rest) = split(packed)?;
        packed = rest;
        Some(cell)
    })
}

/// The first value, and what stands behind it.
fn split(packed: &[u8]) -> Option<(Cell<'_>, &[u8])> {
    let (tag, rest) = packed.split_first()?;
    match *tag {
        NULL => Some((Cell::Null, rest)),
        INTEGER => {
            let (bytes, rest) = rest.split_first_chunk()?;
            Some((Cell::Integer(i64::from_le_bytes(*bytes)), rest))
        }
        REAL => {
            let (bytes, rest) = rest.split_first_chunk()?;
            Some((Cell::Real(f64::from_le_bytes(*bytes)), rest))
        }
        TEXT | BLOB => {
            let (length, rest) = rest.split_first_chunk()?;
            let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let cell = if *tag == TEXT {
                Cell::Text(std::str::from_utf8(bytes).ok()?)
            } else {
                Cell::Blob(bytes)
            };
            Some((cell, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_by_their_numbers() {
        let cells = [
            Cell::Null,
            Cell::Integer(i64::MIN),
            Cell::Real(-0.5),
            Cell::Text("é"),
            Cell::Blob(&[]),
            Cell::Blob(&[0, 1, 255]),
            Cell::Text(""),
        ];
        let mut packed = Vec::new();
        for cell in cells {
            push(cell, &mut packed);
        }
        for (number, cell) in cells.iter().enumerate() {
            assert_eq!(get(&packed, number), Some(*cell));
        }
        assert_eq!(get(&packed, cells.len()), None);
        assert_eq!(get(&[], 0), None);
        assert_eq!(get(&packed[..packed.len() - 1], cells.len() - 1), None);
    }
}
