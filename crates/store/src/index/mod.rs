//! Secondary indexes: what finds a table's rows by other columns than its key, and what keeps them unlike each other.
//!
//! An index's entries are rows of a table of their own, hidden from SQL, that goes the same way as others: buffered in the transaction that
//! writes the rows, logged and published in the same commit, moved into Tonbo by the mover, replayed after a crash. So rows and entries agree
//! in every snapshot.
//!
//! | entry of | key | value |
//! |---|---|---|
//! | a unique index, no column NULL | the columns | the row's key |
//! | any other | the columns, then the row's key | the row's key |
//!
//! Columns are in the memcomparable encoding, each behind a byte that says whether it is NULL ([`key::encode_nullable`]), and texts
//! under the index's collation: what the user wrote is in the row alone. Two transactions
//! that insert the same unique values write the same key, so that the second to commit is refused as with any other row.
//!
//! Which indexes a table has is part of its [version](crate::table::version), and comes from the catalogue.

pub mod build;
pub mod lookup;
pub mod maintain;
pub mod parse;
pub mod scan;
pub mod statement;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rusqlite::ffi;

use crate::catalogue::IndexEntry;
use crate::collation::Collation;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::{self, Key};
use crate::schema::{KeyPart, TableSchema};
use crate::store::Store;
use crate::table::scan::Request;
use crate::table::{Table, TableId};
use crate::value::{Row, Value};

/// A table's indexes, in the order of their creation.
pub type Indexes = Arc<[Arc<Index>]>;

/// An index.
pub struct Index {
    /// The number of the table that holds its entries.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// The slots of its columns among a row's values.
    pub columns: Vec<usize>,
    /// The collation of each.
    collations: Vec<Collation>,
    /// Their names, as they were when the index was opened.
    names: Vec<String>,
    /// For each of them, its value in rows that were written before it was added.
    pub absent: Vec<Value>,
    /// Whether no two rows have the same values in them, NULL being unlike itself.
    pub is_unique: bool,
    /// The table that holds its entries, kept by whoever has a snapshot with the index in it; none as long as it could not be opened.
    table: OnceLock<Arc<Table>>,
}

impl Index {
    /// The index that the catalogue tells of.
    pub fn new(entry: &IndexEntry, schema: &TableSchema) -> StoreResult<Index> {
        let parts = schema.key_parts(&entry.columns).map_err(|name| {
            StoreError::corrupt(format!(
                "the index {} is on a column {name} that its table has not",
                entry.name
            ))
        })?;
        Ok(Index {
            id: entry.id,
            name: entry.name.clone(),
            names: entry.columns.iter().map(|c| c.name.clone()).collect(),
            is_unique: entry.is_unique,
            ..Index::unnamed(schema, &parts)
        })
    }

    /// An index that nobody has.
    pub fn unnamed(schema: &TableSchema, parts: &[KeyPart]) -> Index {
        let columns = parts.iter().map(|part| &schema.columns[part.column]);
        Index {
            id: 0,
            name: String::new(),
            names: Vec::new(),
            columns: columns.clone().map(|column| column.slot).collect(),
            collations: parts.iter().map(|part| part.collation).collect(),
            absent: columns.map(|column| column.absent.clone()).collect(),
            is_unique: false,
            table: OnceLock::new(),
        }
    }

    /// Its columns in a schema; `None` where one is not in it.
    pub fn parts(&self, schema: &TableSchema) -> Option<Vec<KeyPart>> {
        let part = |(slot, collation): (&usize, &Collation)| {
            Some(KeyPart {
                column: schema.columns.iter().position(|c| c.slot == *slot)?,
                collation: *collation,
            })
        };
        let columns = self.columns.iter().zip(&self.collations);
        columns.map(part).collect()
    }

    /// A row's values by their slots, as far as the index needs them; `cell` gives its columns' values by their places.
    pub fn row(&self, cell: impl Fn(usize) -> Value) -> Vec<Value> {
        let slots = self.columns.iter().max().map_or(0, |last| last + 1);
        let mut row = vec![Value::Null; slots];
        for (place, slot) in self.columns.iter().enumerate() {
            row[*slot] = cell(place);
        }
        row
    }

    /// What a scan of its table has to read so that [`Index::entry`] can be told of every row.
    pub fn request(&self) -> Request {
        Request {
            columns: self.columns.clone(),
            absent: self.absent.clone(),
            with_key: true,
            ..Request::default()
        }
    }

    /// Notes the table that holds its entries.
    pub fn bind(&self, table: &Arc<Table>) {
        self.table.get_or_init(|| table.clone());
    }

    /// The table that holds its entries.
    pub fn table(&self, store: &Store) -> StoreResult<&Arc<Table>> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = store.table(self.id)?;
        Ok(self.table.get_or_init(|| table))
    }

    /// Where the row of that key has its entry, and the entry.
    pub fn entry(&self, row: &[Value], row_key: &Key) -> (Key, Row) {
        let (mut bytes, has_null) = self.columns_of(row);
        if has_null || !self.is_unique {
            bytes.extend_from_slice(row_key);
        }
        (bytes.into(), entry_of(row_key))
    }

    /// The only key that an entry with these values can have, where there may be no two.
    pub fn unique_key(&self, row: &[Value]) -> Option<Key> {
        let (bytes, has_null) = self.columns_of(row);
        (self.is_unique && !has_null).then(|| bytes.into())
    }

    fn columns_of(&self, row: &[Value]) -> (Vec<u8>, bool) {
        let (mut bytes, mut has_null) = (Vec::new(), false);
        let columns = self.columns.iter().zip(&self.collations);
        for ((slot, collation), absent) in columns.zip(&self.absent) {
            let value = row.get(*slot).unwrap_or(absent);
            has_null |= *value == Value::Null;
            key::encode_nullable(value, *collation, &mut bytes);
        }
        (bytes, has_null)
    }

    /// The names of its columns to who knows the table by `schema`.
    pub fn column_names<'a>(&'a self, schema: &'a TableSchema) -> impl Iterator<Item = &'a str> {
        let names = self.columns.iter().zip(&self.names);
        names.map(|(slot, name)| {
            schema
                .at_slot(*slot)
                .map_or(name, |column| &column.name)
                .as_str()
        })
    }

    /// The error of a row whose values another row has, in the words of a connection that knows the table by `schema`.
    pub fn violation(&self, table: &str, schema: &TableSchema) -> StoreError {
        let columns: Vec<String> = self
            .column_names(schema)
            .map(|name| format!("{table}.{name}"))
            .collect();
        let mut error = StoreError::new(
            StoreErrorCode::Constraint,
            format!("UNIQUE constraint failed: {}", columns.join(", ")),
        );
        error.sqlite_code = Some(ffi::SQLITE_CONSTRAINT_UNIQUE);
        error
    }
}

/// What an index holds for the row of that key.
pub fn entry_of(row_key: &Key) -> Row {
    Row::from([Value::Blob(row_key.clone())])
}

/// The row's key that an entry holds.
pub fn row_key(entry: &[Value]) -> StoreResult<Key> {
    match entry {
        [Value::Blob(key)] => Ok(key.clone()),
        _ => Err(StoreError::corrupt("an index entry names no row")),
    }
}

/// A table's indexes, among all that the catalogue has.
pub fn of_table(
    entries: &[IndexEntry],
    table: TableId,
    schema: &TableSchema,
) -> StoreResult<Indexes> {
    entries
        .iter()
        .filter(|entry| entry.table == table)
        .map(|entry| Index::new(entry, schema).map(Arc::new))
        .collect()
}

/// The slots of the columns that any of the indexes has, and those columns' values in rows that were written before they were added.
pub fn columns_of(indexes: &[Arc<Index>]) -> (Vec<usize>, Vec<Value>) {
    let mut columns = BTreeMap::new();
    for index in indexes {
        columns.extend(
            index
                .columns
                .iter()
                .copied()
                .zip(index.absent.iter().cloned()),
        );
    }
    columns.into_iter().unzip()
}
