//! Running `CREATE INDEX` and `DROP INDEX` of Tonbo tables on a connection.
//!
//! Outside of a transaction an index is built before one begins, from what is published, while the table's gate keeps others' commits to it
//! away: the lock of the ordinary tables is held for the catalogue's row alone. Inside of one it is built from what the transaction sees, and
//! its commit is refused if somebody has written the table since.

use std::sync::Arc;

use super::parse::{self, Creation, IndexStatement};
use super::{Index, Indexes, build};
use crate::catalogue::{self, IndexEntry};
use crate::commit::sequencer::Claim;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::guard;
use crate::names;
use crate::schema::{IndexedColumn, TableSchema, quote_identifier};
use crate::session::Shared;
use crate::store::Built;
use crate::table::gate::Gate;
use crate::table::version::{Buffer, TableVersion};
use crate::table::{Table, TableId};
use crate::transaction::{Reindexing, Transaction};
use crate::view::{self, parse::Kind};

/// What a connection's open transaction has done to indexes.
#[derive(Default)]
pub struct Changed {
    /// Whose indexes it has changed.
    tables: Vec<TableId>,
    /// The indexes that it has made.
    made: Vec<Arc<Index>>,
    /// The table that it keeps others' commits away from.
    gated: Option<TableId>,
}

/// Runs the first statement of a text if it is about an index of a Tonbo table, and returns the length of its part.
pub fn run(shared: &Shared, sql: &str) -> StoreResult<Option<usize>> {
    let Some(statement) = parse::parse(sql) else {
        return Ok(None);
    };
    match statement {
        IndexStatement::Create(creation) => create(shared, sql, &creation),
        IndexStatement::Drop { name, end } => {
            let entries = catalogue::read_indexes(shared.handle)?;
            let named = |entry: &&IndexEntry| entry.name.eq_ignore_ascii_case(&name);
            let Some(entry) = entries.iter().find(named) else {
                return Ok(None); // an ordinary table's, or none: SQLite tells
            };
            let length = parse::end_of(sql, end)?;
            if entry.is_constraint {
                return Err(StoreError::of_sqlite(
                    "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped",
                ));
            }
            in_transaction(shared, || {
                catalogue::remove_index(shared.handle, entry.id)?;
                shared.dropped.borrow_mut().push(entry.id);
                shared.indexes.borrow_mut().tables.push(entry.table);
                enlist(shared, entry.table)
            })?;
            Ok(Some(length))
        }
    }
}

fn create(shared: &Shared, sql: &str, creation: &Creation) -> StoreResult<Option<usize>> {
    let tables = catalogue::read(shared.handle)?;
    let table = tables
        .iter()
        .find(|entry| entry.name.eq_ignore_ascii_case(&creation.table));
    let is_free =
        || names::is_free_for_index(shared.handle, &creation.name, creation.if_not_exists);
    let Some(table) = table else {
        // Of an ordinary table, or of none: SQLite tells, but for names of the catalogue.
        let (_, length) = shared.handle.prepare(sql)?;
        let is_elsewhere = view::is_in_temp(shared.handle, Kind::View, &creation.table)?;
        return Ok((!is_elsewhere && !is_free()?).then_some(length));
    };
    let (columns, length) = creation.columns(sql)?;
    guard::check_name(&creation.name).map_err(|error| creation.at_named(error, sql))?;
    if creation.name.to_ascii_lowercase().starts_with("sqlite_") {
        let message = format!("object name reserved for internal use: {}", creation.name);
        return Err(StoreError::of_sqlite(message));
    }
    if !is_free()? {
        return Ok(Some(length));
    }
    let target = shared.store.table(table.id)?;
    check_columns(&columns, &table.schema()?).map_err(|error| creation.at_named(error, sql))?;
    let entry = IndexEntry {
        id: shared.store.new_table_id(),
        name: creation.name.clone(),
        table: table.id,
        columns,
        is_unique: creation.is_unique,
        is_constraint: false,
    };
    if shared.handle.is_autocommit() {
        build_and_note(shared, &target, &entry)?;
    } else {
        in_transaction(shared, || {
            // First, so that a lock that can't be had is told before the work.
            catalogue::insert_index(shared.handle, &entry)?;
            let transaction = shared.transaction()?;
            let version = transaction.version(&shared.store, &target)?;
            let buffer = transaction.buffer(&target);
            drop(transaction);
            let built = build(shared, &entry, version, buffer)?;
            note(shared, &entry, built)
        })?;
    }
    Ok(Some(length))
}

/// Outside of a transaction.
fn build_and_note(shared: &Shared, target: &Arc<Table>, entry: &IndexEntry) -> StoreResult<()> {
    let store = &shared.store;
    let _gate = Gate::close(target)?;
    store.sequencer.settle();
    let version = store.sequencer.published().tables.get(&target.id).cloned();
    let version = version.ok_or_else(|| dropped(target))?;
    let built = build(shared, entry, version, Buffer::new())?;
    in_transaction(shared, || {
        // The catalogue is another one perhaps.
        let tables = catalogue::read(shared.handle)?;
        let table = tables.iter().find(|table| table.id == entry.table);
        let table = table.ok_or_else(|| dropped(target))?;
        check_columns(&entry.columns, &table.schema()?)?;
        names::is_free_for_index(shared.handle, &entry.name, false)?;
        shared.indexes.borrow_mut().gated = Some(target.id);
        catalogue::insert_index(shared.handle, entry)?;
        note(shared, entry, built)
    })
}

fn build(
    shared: &Shared,
    entry: &IndexEntry,
    version: Arc<TableVersion>,
    buffer: Buffer,
) -> StoreResult<(Arc<Index>, Built)> {
    let tables = catalogue::read(shared.handle)?;
    let table = tables.iter().find(|table| table.id == entry.table);
    let table = table.ok_or_else(|| dropped(&version.table))?;
    let schema = table.schema()?;
    let index = Arc::new(Index::new(entry, &schema)?);
    let built = shared.store.new_index(entry, |entries| {
        index.bind(entries);
        build::fill(
            &index,
            entries,
            (&table.name, &schema),
            version,
            buffer,
            &|| shared.is_interrupted(),
            &|entries| shared.store.flush_if_due(entries),
        )
    })?;
    Ok((index, built))
}

/// Refuses columns that the table has not.
fn check_columns(columns: &[IndexedColumn], schema: &TableSchema) -> StoreResult<()> {
    let found = schema.key_parts(columns);
    let unknown = |name| StoreError::of_sqlite(format!("no such column: {name}"));
    found.map(drop).map_err(unknown)
}

/// Makes an index known to the open transaction.
fn note(
    shared: &Shared,
    entry: &IndexEntry,
    (index, built): (Arc<Index>, Built),
) -> StoreResult<()> {
    shared.made.borrow_mut().push(entry.id);
    shared.store.add(built);
    let mut changed = shared.indexes.borrow_mut();
    changed.tables.push(entry.table);
    changed.made.push(index);
    drop(changed);
    enlist(shared, entry.table)
}

/// Runs `body` in the open transaction, or one of its own: all of it is done, or nothing.
fn in_transaction(shared: &Shared, body: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    let (begin, end, undo) = if shared.handle.is_autocommit() {
        ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
    } else {
        (
            "SAVEPOINT heddle_index",
            "RELEASE heddle_index",
            "ROLLBACK TO heddle_index; RELEASE heddle_index",
        )
    };
    shared.unnoticed(|| {
        shared.handle.execute(begin)?;
        let outcome = body().and_then(|()| shared.handle.execute(end));
        if outcome.is_err() && !shared.handle.is_autocommit() {
            // What failed is the error to tell.
            let _undone = shared.handle.execute(undo);
        }
        outcome
    })
}

/// Makes the table take part in SQLite's commit, as one that was written does.
pub fn enlist(shared: &Shared, table: TableId) -> StoreResult<()> {
    let tables = catalogue::read(shared.handle)?;
    let Some(entry) = tables.iter().find(|entry| entry.id == table) else {
        return Ok(());
    };
    let name = quote_identifier(&entry.name);
    shared
        .handle
        .execute(&format!("DELETE FROM temp.{name} WHERE 0"))
}

/// The indexes of a table as the connection's open transaction sees them; `version` is the table's.
pub fn visible(shared: &Shared, version: &TableVersion) -> StoreResult<Indexes> {
    let changed = shared.indexes.borrow();
    let table = version.table.id;
    if !changed.tables.contains(&table) {
        return Ok(version.indexes.clone());
    }
    catalogue::read_indexes(shared.handle)?
        .iter()
        .filter(|entry| entry.table == table)
        .map(|entry| {
            let known = version.indexes.iter().chain(&changed.made);
            let known = known.into_iter().find(|index| index.id == entry.id);
            known.cloned().ok_or_else(|| {
                StoreError::new(
                    StoreErrorCode::EngineFailed,
                    format!("the index {} was committed by nobody", entry.name),
                )
            })
        })
        .collect()
}

/// What the open transaction's commit changes about indexes.
pub fn reindexings(shared: &Shared, transaction: &Transaction) -> StoreResult<Vec<Reindexing>> {
    let (mut tables, gated) = {
        let changed = shared.indexes.borrow();
        (changed.tables.clone(), changed.gated)
    };
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    tables.sort_unstable();
    tables.dedup();
    let standing = catalogue::ids(shared.handle)?;
    let mut reindexings = Vec::new();
    for id in tables.into_iter().filter(|id| standing.contains(id)) {
        let table = shared.store.table(id)?;
        let version = transaction.version(&shared.store, &table)?;
        let indexes = visible(shared, &version)?;
        let has = |indexes: &[Arc<Index>], id| indexes.iter().any(|index| index.id == id);
        let has_built = indexes.iter().any(|index| !has(&version.indexes, index.id));
        let has_dropped = version.indexes.iter().any(|index| !has(&indexes, index.id));
        if has_built || has_dropped {
            let claim = Claim {
                table,
                has_built,
                holds_gate: gated == Some(id),
            };
            reindexings.push(Reindexing { claim, indexes });
        }
    }
    Ok(reindexings)
}

/// What the names of the indexes of a table's own UNIQUE constraints begin with; a number is behind it.
pub fn constraint_prefix(table: &str) -> String {
    format!("sqlite_autoindex_{table}_")
}

/// Makes the indexes of a table's own UNIQUE constraints, empty as the table is, in the connection's transaction.
pub fn create_constraints(
    shared: &Shared,
    table: TableId,
    name: &str,
    schema: &TableSchema,
) -> StoreResult<Indexes> {
    let mut indexes = Vec::new();
    for (number, columns) in schema.uniques.iter().enumerate() {
        let entry = IndexEntry {
            id: shared.store.new_table_id(),
            name: format!("{}{}", constraint_prefix(name), number + 1),
            table,
            columns: columns.iter().map(|part| schema.indexed(*part)).collect(),
            is_unique: true,
            is_constraint: true,
        };
        catalogue::insert_index(shared.handle, &entry)?;
        shared.made.borrow_mut().push(entry.id);
        let index = Index::new(&entry, schema)?;
        let built = shared.store.new_index(&entry, |entries| {
            index.bind(entries);
            Ok(())
        })?;
        shared.store.add(built);
        indexes.push(Arc::new(index));
    }
    Ok(indexes.into())
}

/// Drops a table's indexes from the catalogue, in the connection's transaction.
pub fn drop_all(shared: &Shared, table: TableId) -> StoreResult<()> {
    for entry in catalogue::read_indexes(shared.handle)? {
        if entry.table == table {
            catalogue::remove_index(shared.handle, entry.id)?;
            shared.dropped.borrow_mut().push(entry.id);
        }
    }
    Ok(())
}

fn dropped(table: &Table) -> StoreError {
    StoreError::new(
        StoreErrorCode::NotFound,
        format!("table {} has been dropped", table.name()),
    )
}
