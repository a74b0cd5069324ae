//! Which Tonbo tables and indexes there are, and which views and triggers over them: rows of tables in `main`, so that making and dropping
//! one is part of a transaction.

use std::collections::BTreeSet;

use crate::commit::log;
use crate::error::StoreResult;
use crate::schema::{IndexedColumn, TableSchema, quote_identifier};
use crate::statement::Handle;
use crate::table::TableId;
use crate::value::Value;
use crate::view::View;

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
            self.declared_schema().definition()
        )
    }

    /// The columns that it is declared with. One whose definition is damaged can be named, to be told why it can't be used, and dropped.
    pub fn declared_schema(&self) -> TableSchema {
        self.schema().unwrap_or_else(|_| TableSchema::damaged())
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

/// An index of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The number of the table that holds its entries.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// The number of the table whose rows it finds.
    pub table: TableId,
    /// Its columns.
    pub columns: Vec<IndexedColumn>,
    /// Whether no two rows have the same values in them.
    pub is_unique: bool,
    /// Whether it stands for a UNIQUE of the table's definition, and can't be dropped by itself.
    pub is_constraint: bool,
}

/// Makes the catalogue's tables.
pub fn create_main_tables(main: Handle) -> StoreResult<()> {
    main.execute(
        "CREATE TABLE IF NOT EXISTS main.heddle_tables(
           id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, definition TEXT NOT NULL, layout TEXT);
         CREATE TABLE IF NOT EXISTS main.heddle_indexes(
           id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, table_id INTEGER NOT NULL, columns TEXT NOT NULL,
           is_unique INTEGER NOT NULL, is_constraint INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS main.heddle_views(
           id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, sql TEXT NOT NULL, UNIQUE (name, type))",
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

/// The names of all tables, by their numbers, as the connection's snapshot of `main` has them.
pub fn names(main: Handle) -> StoreResult<Vec<(TableId, String)>> {
    let entries = read(main)?.into_iter();
    Ok(entries.map(|entry| (entry.id, entry.name)).collect())
}

/// How often the tables have changed, as the connection's snapshot of `main` has it.
pub fn changes(main: Handle) -> StoreResult<i64> {
    let found = main
        .statement("SELECT value FROM main.heddle_state WHERE name = 'catalogue'")?
        .first(&[])?;
    match found.as_deref() {
        Some([Value::Integer(changes)]) => Ok(*changes),
        _ => Err(log::lost_state()),
    }
}

/// Counts a change.
fn count(main: Handle) -> StoreResult<()> {
    main.execute("UPDATE main.heddle_state SET value = value + 1 WHERE name = 'catalogue'")
}

/// Adds a table, in the connection's transaction.
pub fn insert(main: Handle, entry: &Entry) -> StoreResult<()> {
    count(main)?;
    main.statement(
        "INSERT INTO main.heddle_tables(id, name, definition, layout) VALUES (?1, ?2, ?3, ?4)",
    )?
    .run(&entry.values())
}

/// Takes the lock of the ordinary tables, or waits for it: what is read from here on stays so until the transaction ends.
pub fn lock(main: Handle) -> StoreResult<()> {
    main.execute("UPDATE main.heddle_tables SET id = id WHERE 0")
}

/// Replaces what is known of a table, in the connection's transaction.
pub fn update(main: Handle, entry: &Entry) -> StoreResult<()> {
    count(main)?;
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
    count(main)?;
    main.statement("DELETE FROM main.heddle_tables WHERE id = ?1")?
        .run(&[Value::Integer(id as i64)])
}

/// All indexes that the connection's snapshot of `main` shows, in the order of their creation.
pub fn read_indexes(main: Handle) -> StoreResult<Vec<IndexEntry>> {
    let mut statement = main.statement(
        "SELECT id, name, table_id, columns, is_unique, is_constraint FROM main.heddle_indexes ORDER BY id",
    )?;
    let mut entries = Vec::new();
    while statement.step()? {
        let values: Vec<Value> = (0..6).map(|column| statement.value(column)).collect();
        if let [
            Value::Integer(id),
            Value::Text(name),
            Value::Integer(table),
            Value::Text(columns),
            Value::Integer(is_unique),
            Value::Integer(is_constraint),
        ] = &values[..]
        {
            entries.push(IndexEntry {
                id: *id as TableId,
                name: name.to_string(),
                table: *table as TableId,
                // What can't be read names no column, so that this index alone is damaged.
                columns: IndexedColumn::parse_list(columns)
                    .unwrap_or_else(|_| vec![IndexedColumn::named(columns)]),
                is_unique: *is_unique != 0,
                is_constraint: *is_constraint != 0,
            });
        }
    }
    Ok(entries)
}

/// Adds an index, in the connection's transaction.
pub fn insert_index(main: Handle, entry: &IndexEntry) -> StoreResult<()> {
    main.statement("INSERT INTO main.heddle_indexes VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .run(&[
            Value::Integer(entry.id as i64),
            Value::Text(entry.name.as_str().into()),
            Value::Integer(entry.table as i64),
            Value::Text(IndexedColumn::list(&entry.columns).into()),
            Value::Integer(entry.is_unique.into()),
            Value::Integer(entry.is_constraint.into()),
        ])
}

/// Removes an index, in the connection's transaction.
pub fn remove_index(main: Handle, id: TableId) -> StoreResult<()> {
    main.statement("DELETE FROM main.heddle_indexes WHERE id = ?1")?
        .run(&[Value::Integer(id as i64)])
}

/// The numbers of all tables and indexes.
pub fn ids(main: Handle) -> StoreResult<BTreeSet<TableId>> {
    let tables = read(main)?.into_iter().map(|entry| entry.id);
    let indexes = read_indexes(main)?.into_iter().map(|entry| entry.id);
    Ok(tables.chain(indexes).collect())
}

/// All views and then all triggers that the connection's snapshot of `main` shows, in the order of their creation.
pub fn read_views(main: Handle) -> StoreResult<Vec<View>> {
    let mut statement =
        main.statement("SELECT id, type, name, sql FROM main.heddle_views ORDER BY type DESC, id")?;
    let mut views = Vec::new();
    while statement.step()? {
        views.extend(View::from_row(&statement));
    }
    Ok(views)
}

/// Adds a view or trigger, in the connection's transaction, and returns its number.
pub fn insert_view(main: Handle, view: &View) -> StoreResult<i64> {
    main.statement("INSERT INTO main.heddle_views(type, name, sql) VALUES (?1, ?2, ?3)")?
        .run(&[
            Value::Text(view.kind.name().into()),
            Value::Text(view.name.as_str().into()),
            Value::Text(view.sql.as_str().into()),
        ])?;
    Ok(main.last_insert_rowid())
}

/// Replaces a view's or trigger's text, in the connection's transaction.
pub fn update_view(main: Handle, view: &View) -> StoreResult<()> {
    main.statement("UPDATE main.heddle_views SET sql = ?2 WHERE id = ?1")?
        .run(&[
            Value::Integer(view.id),
            Value::Text(view.sql.as_str().into()),
        ])
}

/// Removes a view or trigger, in the connection's transaction.
pub fn remove_view(main: Handle, id: i64) -> StoreResult<()> {
    main.statement("DELETE FROM main.heddle_views WHERE id = ?1")?
        .run(&[Value::Integer(id)])
}
