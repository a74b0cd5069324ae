//! Which row it was that another transaction has written first.
//!
//! The sequencer knows rows by the bytes of their keys. What the user wrote stands in the row, which is among the transaction's changes or, where
//! it is deleted, in its snapshot. Where it has inserted and deleted it itself, the row of the other transaction has it, in the other's spelling;
//! the bytes of an integer tell it by themselves.

use crate::catalogue;
use crate::commit::sequencer::Refusal;
use crate::error::{StoreError, StoreResult};
use crate::index::{row_key, statement};
use crate::key::{Key, decode_integer};
use crate::offending_key::OffendingKey;
use crate::schema::{Column, KeyKind};
use crate::session::Shared;
use crate::table::TableId;
use crate::transaction::{Transaction, row_of};
use crate::value::Value;

/// The error of a transaction that gets no number, with the key that is to blame, where one is.
pub fn told(shared: &Shared, transaction: &Transaction, refusal: Refusal) -> StoreError {
    let Refusal { error, row } = refusal;
    // Whatever keeps the key from being told, the conflict is the error.
    let key = row.and_then(|(table, key)| find(shared, transaction, table, &key).ok().flatten());
    match key {
        Some(key) => error.about(key),
        None => error,
    }
}

fn find(
    shared: &Shared,
    transaction: &Transaction,
    table: TableId,
    key: &Key,
) -> StoreResult<Option<OffendingKey>> {
    let store = &shared.store;
    let table = store.table(table)?;
    let owner = store.table(table.owner)?;
    let entries = catalogue::read(shared.handle)?;
    let Some(entry) = entries.iter().find(|entry| entry.id == owner.id) else {
        return Ok(None);
    };
    let schema = entry.schema()?;
    let own = transaction.buffer(&table);
    let written = own.get(key).and_then(Option::as_ref);
    if owner.id != table.id {
        // Of an index. An entry that goes, goes with its row, which the other transaction has written then, too.
        let Some(row_key) = written.map(|entry| row_key(entry)).transpose()? else {
            return Ok(None);
        };
        let rows = transaction.buffer(&owner);
        let version = transaction.version(store, &owner)?;
        let indexes = statement::visible(shared, &version)?;
        let index = indexes.iter().find(|index| index.id == table.id);
        let row = rows.get(&row_key).and_then(Option::as_ref);
        return Ok(index
            .zip(row)
            .map(|(index, row)| OffendingKey::of_index(index, &entry.name, &schema, row)));
    }
    let of_row = |row: &[Value]| {
        OffendingKey::of_row(&entry.name, &schema, key, |column| row[column.slot].clone())
    };
    if let Some(row) = written {
        return Ok(Some(of_row(row)));
    }
    let columns = schema.key_columns().iter();
    let columns: Vec<_> = columns.map(|column| &schema.columns[*column]).collect();
    let slots: Vec<usize> = columns.iter().map(|column| column.slot).collect();
    let absent: Vec<Value> = columns.iter().map(|column| column.absent.clone()).collect();
    let row = match transaction.stored_row(store, &table, key, &slots, absent.clone())? {
        Some(row) => Some(row),
        None => match store.sequencer.published().tables.get(&table.id) {
            Some(version) => row_of(version.clone(), key, &slots, absent)?,
            None => None,
        },
    };
    let told = row.map(|row| of_row(&row));
    Ok(told.or_else(|| match &schema.key {
        KeyKind::Columns(_) => None,
        KeyKind::Integer(_) | KeyKind::RowId => {
            let number = decode_integer(key).map_or(Value::Null, Value::Integer);
            let of_number = |_: &Column| number.clone();
            Some(OffendingKey::of_row(&entry.name, &schema, key, of_number))
        }
    }))
}
