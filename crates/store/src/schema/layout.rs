//! Where a table's columns are in its Tonbo: what ALTER TABLE changes without touching a row.
//!
//! Each column has a *slot*, which it keeps when others are dropped. The slots of the columns that the table was made with are Tonbo's own
//! columns; those of columns that were added come behind them, and are packed ([`packed`](crate::table::packed)). No slot is used twice.

use super::{Column, ColumnType, bad};
use crate::error::StoreError;
use crate::table::packed;
use crate::table::rows::Cell;
use crate::value::Value;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The types of the columns that the table was made with, those that were dropped since among them.
    pub stored: Vec<ColumnType>,
    /// How many columns were added; `None` for a table that was made when there was no room for any.
    pub added: Option<usize>,
}

impl Layout {
    /// The layout of a new table.
    pub(super) fn new(columns: &[Column]) -> Layout {
        Layout {
            stored: columns.iter().map(|column| column.kind).collect(),
            added: Some(0),
        }
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.stored.len() + self.added.unwrap_or_default()
    }

    /// Whether a row may have so many values: older ones have none in columns that were added.
    pub fn takes(&self, values: usize) -> bool {
        (self.stored.len()..=self.slots()).contains(&values)
    }

    /// The number of an added column's value among the packed ones.
    pub fn packed_number(&self, slot: usize) -> Option<usize> {
        slot.checked_sub(self.stored.len())
    }

    /// As the catalogue keeps it: the stored types, the count of added columns, the columns' slots with the values of
    /// added ones in older rows.
    pub(super) fn write(&self, columns: &[Column]) -> String {
        let words = |parts: Vec<String>| parts.join(" ");
        format!(
            "{}|{}|{}",
            words(
                self.stored
                    .iter()
                    .map(|kind| kind.sql_name().into_owned())
                    .collect()
            ),
            self.added
                .map(|count| count.to_string())
                .unwrap_or_default(),
            words(columns.iter().map(|column| self.word(column)).collect())
        )
    }

    /// A column's slot and, of one that was added, the value in older rows, packed, in hexadecimal.
    fn word(&self, column: &Column) -> String {
        let mut word = column.slot.to_string();
        if self.packed_number(column.slot).is_some() {
            let mut bytes = Vec::new();
            packed::push(Cell::from(&column.absent), &mut bytes);
            word.push('=');
            word.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        }
        word
    }

    /// The slot and the value that [`Layout::word`] wrote.
    fn read_word(word: &str) -> Option<(usize, Value)> {
        let (slot, value) = word.split_once('=').unwrap_or((word, ""));
        let bytes = (0..value.len()).step_by(2);
        let bytes: Vec<u8> = bytes
            .map(|at| u8::from_str_radix(value.get(at..at + 2)?, 16).ok())
            .collect::<Option<_>>()?;
        let absent = match value {
            "" => Value::Null,
            _ => Value::from(packed::get(&bytes, 0)?),
        };
        Some((slot.parse().ok()?, absent))
    }

    /// Reads what [`Layout::write`] wrote, and gives the columns their slots.
    pub(super) fn read(text: &str, columns: &mut [Column]) -> Result<Layout, StoreError> {
        let damaged = || bad(format!("not the layout of a table: {text}"));
        let [stored, added, slots] = text.split('|').collect::<Vec<_>>()[..] else {
            return Err(damaged());
        };
        let stored = stored.split_whitespace().map(ColumnType::from_declared);
        let layout = Layout {
            stored: stored.collect::<Option<_>>().ok_or_else(damaged)?,
            added: match added {
                "" => None,
                count => Some(count.parse().map_err(|_| damaged())?),
            },
        };
        let places = slots.split_whitespace().map(Layout::read_word);
        let places: Vec<(usize, Value)> = places.collect::<Option<_>>().ok_or_else(damaged)?;
        let is_sound = places.len() == columns.len()
            && places.is_sorted_by(|(a, _), (b, _)| a < b)
            && places.last().is_none_or(|(last, _)| *last < layout.slots());
        if !is_sound {
            return Err(damaged());
        }
        for (column, (slot, absent)) in columns.iter_mut().zip(places) {
            column.slot = slot;
            column.absent = absent;
        }
        Ok(layout)
    }
}
