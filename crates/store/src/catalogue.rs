//! Which Tonbo tables there are: rows of a table in `main`, so that making and dropping one is part of a transaction.

use crate::error::StoreResult;
use crate::statement::Handle;
use crate::table::TableId;
use crate::value::Value;

/// A row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The table's number.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// The arguments of `USING tonbo(…)`, in [`TableSchema::definition`](crate::schema::TableSchema::definition)'s spelling.
    pub definition: String,
}

/// Makes the catalogue's table.
pub fn create_main_tables(main: Handle) -> StoreResult<()> {
    main.execute(
        "CREATE TABLE IF NOT EXISTS main.heddle_tables(
           id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, definition TEXT NOT NULL)",
    )
}

/// All tables that the connection's snapshot of `main` shows.
pub fn read(main: Handle) -> StoreResult<Vec<Entry>> {
    let mut statement =
        main.statement("SELECT id, name, definition FROM main.heddle_tables ORDER BY id")?;
    let mut entries = Vec::new();
    while statement.step()? {
        if let (Value::Integer(id), Value::Text(name), Value::Text(definition)) =
            (statement.value(0), statement.value(1), statement.value(2))
        {
            entries.push(Entry {
                id: id as TableId,
                name: name.to_string(),
                definition: definition.to_string(),
            });
        }
    }
    Ok(entries)
}

/// Adds a table, in the connection's transaction.
pub fn insert(main: Handle, entry: &Entry) -> StoreResult<()> {
    main.statement("INSERT INTO main.heddle_tables VALUES (?1, ?2, ?3)")?
        .run(&[
            Value::Integer(entry.id as i64),
            Value::Text(entry.name.as_str().into()),
            Value::Text(entry.definition.as_str().into()),
        ])
}

/// Removes a table, in the connection's transaction.
pub fn remove(main: Handle, id: TableId) -> StoreResult<()> {
    main.statement("DELETE FROM main.heddle_tables WHERE id = ?1")?
        .run(&[Value::Integer(id as i64)])
}

/// Whether an ordinary table, view or index of that name stands in `main`.
pub fn is_taken(main: Handle, name: &str) -> StoreResult<bool> {
    let found = main
        .statement("SELECT 1 FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE")?
        .first(&[Value::Text(name.into())])?;
    Ok(found.is_some())
}
