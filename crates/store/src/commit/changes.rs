//! A transaction's changes, as they go to the log and come back from it.

use std::collections::BTreeMap;

use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use crate::activity::check_interrupt;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::table::TableId;
use crate::table::version::Buffer;
use crate::value::{Row, Value};

/// Changed rows by table and key.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// By table; none of the buffers is empty.
    pub tables: BTreeMap<TableId, Buffer>,
}

/// Rows between two looks at the interrupt word.
const LOOK_ROWS: usize = 1024;

#[derive(Deserialize)]
struct LoggedTable<'a>(TableId, #[serde(borrow)] Vec<LoggedRow<'a>>);

#[derive(Deserialize)]
struct LoggedRow<'a>(
    #[serde(borrow, with = "serde_bytes")] &'a [u8],
    Option<Vec<Value>>,
);

/// The rows of a table as they are logged.
struct Rows<'a>(&'a Buffer);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        for (place, (key, row)) in self.0.iter().enumerate() {
            if place % LOOK_ROWS == 0 && check_interrupt().is_err() {
                return Err(S::Error::custom("interrupted"));
            }
            rows.serialize_element(&(serde_bytes::Bytes::new(key), row.as_deref()))?;
        }
        rows.end()
    }
}

impl Changes {
    /// How many rows.
    pub fn row_count(&self) -> usize {
        self.tables.values().map(Buffer::len).sum()
    }

    /// The keys of all of them.
    pub fn keys(&self) -> impl Iterator<Item = (TableId, &Key)> {
        self.tables
            .iter()
            .flat_map(|(id, buffer)| buffer.keys().map(|key| (*id, key)))
    }

    /// The log's bytes: MessagePack, `[[table, [[key, row or nil] …]] …]`.
    ///
    /// # Errors
    /// [`StoreErrorCode::Interrupted`].
    pub fn encode(&self) -> StoreResult<Vec<u8>> {
        let tables: Vec<_> = self
            .tables
            .iter()
            .map(|(id, buffer)| (id, Rows(buffer)))
            .collect();
        rmp_serde::to_vec(&tables).map_err(|error| {
            let failed = || {
                let words = format!("cannot write a log record: {error}");
                match error {
                    // A vector takes everything, as long as there is memory for it.
                    rmp_serde::encode::Error::InvalidValueWrite(_) => {
                        StoreError::memory_full(&words)
                    }
                    _ => StoreError::new(StoreErrorCode::EngineFailed, words),
                }
            };
            check_interrupt().err().unwrap_or_else(failed)
        })
    }

    /// The changes of a log's bytes.
    pub fn decode(bytes: &[u8]) -> StoreResult<Changes> {
        let tables: Vec<LoggedTable<'_>> = rmp_serde::from_slice(bytes).map_err(|error| {
            StoreError::corrupt(format!("a log record cannot be read: {error}"))
        })?;
        let tables = tables.into_iter().map(|LoggedTable(id, rows)| {
            let buffer = rows
                .into_iter()
                .map(|LoggedRow(key, row)| (Key::from(key), row.map(Row::from)))
                .collect();
            (id, buffer)
        });
        Ok(Changes {
            tables: tables.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_comes_back() {
        let row: Row = vec![
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Integer(3),
            Value::Real(1.0),
            Value::Text("é\0".into()),
            Value::Blob(vec![0, 255].into()),
        ]
        .into();
        let buffer: Buffer = [
            (Key::from(&b"a"[..]), Some(row)),
            (Key::from(&b""[..]), None),
        ]
        .into_iter()
        .collect();
        let changes = Changes {
            tables: [(7, buffer)].into_iter().collect(),
        };
        let again = Changes::decode(&changes.encode().unwrap()).unwrap();
        assert_eq!(again.tables, changes.tables);
        assert_eq!(again.row_count(), 2);
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        assert_eq!(
            Changes::decode(&[0xC1, 1, 2]).unwrap_err().code,
            StoreErrorCode::Corrupt
        );
    }
}
