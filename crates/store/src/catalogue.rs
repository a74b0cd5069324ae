//! Which Tonbo tables there are: rows of a table in `main`, so that making and dropping one is part of a transaction.

use crate::error::StoreResult;
use crate::schema::{TableSchema, quote_identifier};
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
    /// Where its columns are, as [`TableSchema::layout_text`] tells; `None` for a table that was made before this was kept.
    pub layout: Option<String>,
}

impl Entry {
    /// The table's columns and key.
    pub fn schema(&self) -> StoreResult<TableSchema> {
        TableSchema::of_catalogue(&self.definition, self.layout.as_deref())
    }

    /// The statement that declares it in `temp`, in place of what is declared there by its name.
    pub fn declaration(&self) -> String {
        let name = quote_identifier(&self.name);
        format!(
            "DROP TABLE IF EXISTS temp.{name}; CREATE VIRTUAL TABLE temp.{name} USING tonbo({})",
            self.definition
        )
    }

    fn values(&self) -> [Value; 4] {
        let text = |text: &str| Value::Text(text.into());
        [
            Value::Integer(self.id as i64),
            text(&self.name),
            text(&self.definition),
            self.layout.as_deref().map_or(Value::Null, text),
        ]
    }
}

/// Makes the catalogue's table.
pub fn create_main_tables(main: Handle) -> StoreResult<()> {
    main.execute(
        "CREATE TABLE IF NOT EXISTS main.heddle_tables(
           id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, definition TEXT NOT NULL, layout TEXT)",
    )?;
    let has_layout = main
        .statement(
            "SELECT 1 FROM pragma_table_info('heddle_tables', 'main') WHERE name = 'layout'",
        )?
        .first(&[])?;
    match has_layout {
        Some(_) => Ok(()),
        None => main.execute("ALTER TABLE main.heddle_tables ADD COLUMN layout TEXT"),
    }
}

/// All tables that the connection's snapshot of `main` shows.
pub fn read(main: Handle) -> StoreResult<Vec<Entry>> {
    let mut statement =
        main.statement("SELECT id, name, definition, layout FROM main.heddle_tables ORDER BY id")?;
    let mut entries = Vec::new();
    while statement.step()? {
        if let (Value::Integer(id), Value::Text(name), Value::Text(definition)) =
            (statement.value(0), statement.value(1), statement.value(2))
        {
            entries.push(Entry {
                id: id as TableId,
                name: name.to_string(),
                definition: definition.to_string(),
                layout: match statement.value(3) {
                    Value::Text(layout) => Some(layout.to_string()),
                    _ => None,
                },
            });
        }
    }
    Ok(entries)
}

/// Adds a table, in the connection's transaction.
pub fn insert(main: Handle, entry: &Entry) -> StoreResult<()> {
    main.statement(
        "INSERT INTO main.heddle_tables(id, name, definition, layout) VALUES (?1, ?2, ?3, ?4)",
    )?
    .run(&entry.values())
}

/// Replaces what is known of a table, in the connection's transaction.
pub fn update(main: Handle, entry: &Entry) -> StoreResult<()> {
    main.statement(
        "UPDATE main.heddle_tables SET name = ?2, definition = ?3, layout = ?4 WHERE id = ?1",
    )?
    .run(&entry.values())
}

/// The table of that name, without regard to case.
pub fn find(main: Handle, name: &str) -> StoreResult<Option<Entry>> {
    let mut entries = read(main)?;
    entries.retain(|entry| entry.name.eq_ignore_ascii_case(name));
    Ok(entries.pop())
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
