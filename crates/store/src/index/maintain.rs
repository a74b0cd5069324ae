//! Keeping entries with their rows: a row is written, replaced or deleted together with what every index holds of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Index, columns_of, row_key};
use crate::error::StoreResult;
use crate::key::Key;
use crate::store::Store;
use crate::table::{Table, TableId};
use crate::transaction::{Transaction, change_size};
use crate::value::{Row, Value};

/// A table that a transaction writes, with its indexes as that transaction knows them.
pub struct Writer<'a> {
    /// The database.
    pub store: &'a Store,
    /// The table.
    pub table: &'a Arc<Table>,
    /// Its indexes.
    pub indexes: &'a [Arc<Index>],
}

impl Writer<'_> {
    /// The row of that key, as far as indexes have to know it; `None` where there is none.
    pub fn old_row(&self, transaction: &Transaction, key: &Key) -> StoreResult<Option<Vec<Value>>> {
        let (columns, absent) = columns_of(self.indexes);
        transaction.row(self.store, self.table, key, &columns, absent)
    }

    /// The keys of other rows that have a unique index's values already, each with that index. `old` is the key of the row that the new one
    /// stands for.
    pub fn rivals(
        &self,
        transaction: &Transaction,
        old: Option<&Key>,
        row: &[Value],
    ) -> StoreResult<Vec<(Key, &Index)>> {
        let mut rivals = Vec::new();
        for index in self.indexes {
            let Some(unique) = index.unique_key(row) else {
                continue;
            };
            let entries = index.table(self.store)?;
            if let Some(entry) = transaction.row(self.store, entries, &unique, &[0], Vec::new())? {
                let rival = row_key(&entry)?;
                if old != Some(&rival) {
                    rivals.push((rival, &**index));
                }
            }
        }
        Ok(rivals)
    }

    /// Deletes the row of that key and its entries.
    pub fn delete(&self, transaction: &mut Transaction, key: Key) -> StoreResult<()> {
        transaction.take_room(change_size(&key, None) * self.changes_per_row())?;
        if !self.indexes.is_empty()
            && let Some(old) = self.old_row(transaction, &key)?
        {
            self.write_entries(transaction, Some((&key, &old)), None)?;
        }
        transaction.write(self.table, key, None);
        transaction.return_room();
        Ok(())
    }

    /// Writes a row; `old` is the key and the content of the row that it stands for, as [`Writer::old_row`] tells it.
    pub fn put(
        &self,
        transaction: &mut Transaction,
        old: Option<(&Key, &[Value])>,
        key: Key,
        row: Row,
    ) -> StoreResult<()> {
        let moved = old.filter(|(old, _)| **old != key);
        let moved = moved.map_or(0, |(old, _)| change_size(old, None));
        transaction.take_room(moved + change_size(&key, Some(&row)) * self.changes_per_row())?;
        self.write_entries(transaction, old, Some((&key, &row)))?;
        if let Some((old, _)) = old
            && *old != key
        {
            transaction.write(self.table, old.clone(), None);
        }
        transaction.write(self.table, key, Some(row));
        transaction.return_room();
        Ok(())
    }

    /// The row's own change, and each index's: the entry that goes and the one that comes.
    fn changes_per_row(&self) -> usize {
        1 + 2 * self.indexes.len()
    }

    fn write_entries(
        &self,
        transaction: &mut Transaction,
        old: Option<(&Key, &[Value])>,
        new: Option<(&Key, &[Value])>,
    ) -> StoreResult<()> {
        for index in self.indexes {
            let entries = index.table(self.store)?;
            let old = old.map(|(key, row)| index.entry(row, key));
            let new = new.map(|(key, row)| index.entry(row, key));
            if old == new {
                continue;
            }
            if let Some((key, _)) = old {
                transaction.write(entries, key, None);
            }
            if let Some((key, entry)) = new {
                transaction.write(entries, key, Some(entry));
            }
        }
        Ok(())
    }
}

/// The entries of rows that a table did not have, by index; the first index of which two rows have the same values is the error, with one of
/// those.
pub fn entries_of<'a>(
    indexes: &'a [Arc<Index>],
    rows: impl Iterator<Item = (&'a Key, &'a Row)> + Clone,
) -> Result<BTreeMap<TableId, crate::table::version::Buffer>, (&'a Index, &'a Row)> {
    let mut by_index = BTreeMap::new();
    for index in indexes {
        let mut buffer = crate::table::version::Buffer::new();
        for (key, row) in rows.clone() {
            let (entry_key, entry) = index.entry(row, key);
            if buffer.insert(entry_key, Some(entry)).is_some() {
                return Err((index, row));
            }
        }
        by_index.insert(index.id, buffer);
    }
    Ok(by_index)
}
