//! ALTER TABLE of Tonbo tables: no row is touched, for a column keeps its slot ([`Layout`](crate::schema::Layout)).
//!
//! What a statement does to the definition, and what it refuses, is SQLite's: for its duration an ordinary table stands in the Tonbo table's
//! place in `temp`, is altered, and its text becomes the new definition. Views in `temp` are rewritten with it. All of it is one savepoint of
//! the user's transaction, the catalogue included.

use crate::catalogue::{self, Entry, IndexEntry};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::guard;
use crate::index::statement::{constraint_prefix, enlist};
use crate::module::rules::Rules;
use crate::names;
use crate::parents;
use crate::routing::{self, Alteration, Change};
use crate::schema::{IndexedColumn, TableSchema, quote_identifier};
use crate::session::{Purpose, Shared};
use crate::statement::Handle;
use crate::tokens::place_of_named;
use crate::value::Value;
use crate::view;

/// Alters a table of the catalogue. `sql` is the user's statement.
pub fn table(
    shared: &Shared,
    entry: &Entry,
    alteration: &Alteration,
    sql: &str,
) -> StoreResult<()> {
    // Before the commit, which the savepoint's release is perhaps.
    shared.note_altered(entry.id);
    let outcome = shared.in_savepoint(|| {
        shared.unnoticed(|| within_savepoint(shared, entry, alteration, sql))?;
        view::follow(shared)?;
        match alteration.change {
            Change::Rename(_) => view::adopt(shared),
            _ => Ok(()),
        }
    });
    shared.note_altered(entry.id);
    // SQLite knows no place of what it refuses here.
    outcome.map_err(|error| match error {
        StoreError {
            code: StoreErrorCode::SqlError,
            offset: None,
            ..
        } => match place_of_named(&error.message, sql, alteration.table.end) {
            Some(at) => error.at(at),
            None => error,
        },
        _ => error,
    })
}

fn within_savepoint(
    shared: &Shared,
    entry: &Entry,
    alteration: &Alteration,
    sql: &str,
) -> StoreResult<()> {
    let handle = shared.handle;
    // Before anything is read, so that this connection can become the writer of `main`; then as the table is now, whoever altered it before.
    catalogue::lock(handle)?;
    view::refresh(shared)?;
    let named = catalogue::find(handle, &entry.name)?;
    let entry = &named.filter(|now| now.id == entry.id).ok_or_else(|| {
        let message = format!("no such table: {}", entry.name);
        StoreError::of_sqlite(message)
    })?;
    let schema = entry.schema()?;
    if let Change::Rename(name) = &alteration.change {
        guard::check_name(name)?;
        names::check_rename(handle, name)?;
        parents::check_name(handle, name)?;
    }
    let forget = format!(
        "DROP TABLE IF EXISTS temp.{}",
        quote_identifier(&entry.name)
    );
    shared.with_purpose(Purpose::Forget, || handle.execute(&forget))?;
    let (name, altered) = altered_by_sqlite(handle, entry, &schema, alteration, sql)?;
    let mut altered = keep_slots(altered, &schema, &alteration.change)?;
    if alteration.change == Change::AddColumn {
        let absent = Rules::check_added(handle, &name, &altered)?;
        if let Some(added) = altered.columns.last_mut() {
            added.absent = absent;
        }
    }
    rename_in_indexes(handle, entry, &schema, (&name, &altered))?;
    let entry = Entry {
        id: entry.id,
        definition: altered.definition(),
        layout: Some(altered.layout_text()),
        name,
    };
    catalogue::update(handle, &entry)?;
    let declaration = entry.declaration();
    let id = entry.id;
    shared.with_purpose(Purpose::Declare(entry), || handle.execute(&declaration))?;
    // SQLite tells a table of the savepoints that began before it was declared only once another has begun.
    handle.execute("SAVEPOINT heddle_declared; RELEASE heddle_declared")?;
    enlist(shared, id)
}

/// The table's name and columns as the statement leaves them, by what SQLite makes of an ordinary table.
fn altered_by_sqlite(
    handle: Handle,
    entry: &Entry,
    schema: &TableSchema,
    alteration: &Alteration,
    sql: &str,
) -> StoreResult<(String, TableSchema)> {
    let indexes = own_indexes(handle, entry)?;
    let (constraints, indexes): (Vec<_>, Vec<_>) = indexes.iter().partition(|i| i.is_constraint);
    let uniques: Vec<&[IndexedColumn]> =
        constraints.iter().map(|index| &index.columns[..]).collect();
    handle.execute(&schema.ordinary("temp", &entry.name, &uniques))?;
    for index in indexes {
        handle.execute(&format!(
            "CREATE INDEX temp.{} ON {}({})",
            quote_identifier(&index.name),
            quote_identifier(&entry.name),
            IndexedColumn::list(&index.columns)
        ))?;
    }
    if alteration.change == Change::AddColumn {
        // A column whose default is refused for a table with rows is refused for every table: others may be writing some.
        without_checks(handle, || {
            let zeros = vec!["0"; schema.columns.len()].join(", ");
            let table = quote_identifier(&entry.name);
            handle.execute(&format!("INSERT INTO temp.{table} VALUES ({zeros})"))?;
            handle.execute(sql)
        })?;
    } else {
        handle.execute(sql)?;
    }
    let name = match &alteration.change {
        Change::Rename(name) => name.clone(),
        _ => entry.name.clone(),
    };
    let text = handle
        .statement(
            "SELECT sql FROM temp.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        )?
        .first(&[Value::Text(name.as_str().into())])?;
    let Some([Value::Text(text)]) = text.as_deref() else {
        let message = format!("table {name} has no definition");
        return Err(StoreError::new(StoreErrorCode::EngineFailed, message));
    };
    let altered = TableSchema::parse(&routing::split_arguments(routing::in_parentheses(text)))?;
    handle.execute(&format!("DROP TABLE temp.{}", quote_identifier(&name)))?;
    Ok((name, altered))
}

/// Gives an altered table's columns the slots that they had, and an added one a new slot.
fn keep_slots(
    mut altered: TableSchema,
    before: &TableSchema,
    change: &Change,
) -> StoreResult<TableSchema> {
    let places = before.columns.iter();
    let mut places: Vec<_> = places.map(|c| (c.slot, c.absent.clone())).collect();
    let mut layout = before.layout.clone();
    match change {
        Change::DropColumn(name) => {
            let is_it = |name_of: &String| name_of.eq_ignore_ascii_case(name);
            if let Some(at) = before.columns.iter().position(|c| is_it(&c.name)) {
                places.remove(at);
            }
        }
        Change::AddColumn => {
            let Some(added) = &mut layout.added else {
                let message = "this table was made before columns could be added: make a new one, and INSERT … SELECT";
                return Err(StoreError::new(StoreErrorCode::Misuse, message));
            };
            *added += 1;
            places.push((layout.slots() - 1, Value::Null));
        }
        _ => {}
    }
    altered.place(layout, places)?;
    Ok(altered)
}

fn own_indexes(handle: Handle, entry: &Entry) -> StoreResult<Vec<IndexEntry>> {
    let mut indexes = catalogue::read_indexes(handle)?;
    indexes.retain(|index| index.table == entry.id);
    Ok(indexes)
}

/// The catalogue's indexes name columns, and those of UNIQUE constraints are named like their table: the table's get the names that these have
/// now.
fn rename_in_indexes(
    handle: Handle,
    entry: &Entry,
    before: &TableSchema,
    (table, altered): (&str, &TableSchema),
) -> StoreResult<()> {
    for mut index in own_indexes(handle, entry)? {
        if index.is_constraint
            && let Some((_, number)) = index.name.rsplit_once('_')
        {
            index.name = constraint_prefix(table) + number;
        }
        for IndexedColumn { name, .. } in &mut index.columns {
            let column = before
                .columns
                .iter()
                .find(|c| c.name.eq_ignore_ascii_case(name));
            if let Some(renamed) = column.and_then(|column| altered.at_slot(column.slot)) {
                name.clone_from(&renamed.name);
            }
        }
        catalogue::remove_index(handle, index.id)?;
        catalogue::insert_index(handle, &index)?;
    }
    Ok(())
}

/// Runs with CHECK constraints ignored.
fn without_checks(handle: Handle, run: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    let before = handle
        .statement("PRAGMA ignore_check_constraints")?
        .first(&[])?;
    handle.execute("PRAGMA ignore_check_constraints = ON")?;
    let outcome = run();
    if before.as_deref() != Some(&[Value::Integer(1)]) {
        handle.execute("PRAGMA ignore_check_constraints = OFF")?;
    }
    outcome
}
