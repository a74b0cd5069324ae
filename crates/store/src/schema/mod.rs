//! A Tonbo table's columns: parsed from the arguments of `USING tonbo(…)`, told to SQLite and to Arrow.
//!
//! The arguments are column definitions as in `CREATE TABLE`: a name, a type, and any of `PRIMARY KEY`, `NOT NULL`, `UNIQUE`, `DEFAULT`,
//! `COLLATE` and `CHECK`; or the table constraints `PRIMARY KEY (a, b)`, `UNIQUE (a, b)` and `CHECK (…)`. Types ([`ColumnType`]) follow SQLite's rules of affinity, and are strict as in its STRICT tables:
//! a value that cannot be converted without loss is refused.

pub mod calendar;
mod indexed;
mod layout;
mod parse;
mod types;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::collation::Collation;
use crate::error::{StoreError, StoreErrorCode};
use crate::routing;
use crate::value::{Row, Value};
pub use indexed::{IndexedColumn, KeyPart};
pub use layout::Layout;
use parse::Parsed;
pub use types::ColumnType;

/// The name of the key column in Arrow, and of the hidden key column that SQLite sees where there is no integer key.
pub const KEY_COLUMN: &str = "_key";

/// The name in Arrow of the column that holds the values of columns that were added later.
pub const MORE_COLUMN: &str = "_more";

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, as declared.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether `NULL` is refused. Always so for a key's columns.
    pub not_null: bool,
    /// The collation of a TEXT column.
    pub collation: Collation,
    /// What stands behind DEFAULT: SQL that SQLite evaluates for a row that leaves the column out.
    pub default: Option<String>,
    /// Its place among a row's values, and in Tonbo: see [`Layout`].
    pub slot: usize,
    /// Its value in rows that were written before it was added.
    pub absent: Value,
}

/// A CHECK constraint, of a column or of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The column that it is declared with, which can be dropped with it; `None` for one of the table.
    pub column: Option<usize>,
    /// The name that CONSTRAINT gives it.
    pub name: Option<String>,
    /// What stands between its parentheses.
    pub expression: String,
}

impl Check {
    /// What SQLite calls it in errors: its name or its text; of a text that begins with a quoted name, that name.
    pub fn label(&self) -> String {
        let is_quoted = self.expression.starts_with(['"', '\'', '`', '[']);
        match &self.name {
            Some(name) => name.clone(),
            None if is_quoted => routing::first_name(&self.expression),
            None => self.expression.clone(),
        }
    }

    /// The expression between parentheses.
    pub fn parenthesized(&self) -> String {
        parenthesized(&self.expression)
    }

    /// As it stands in a definition, behind something else.
    fn declaration(&self) -> String {
        let name = self.name.as_ref();
        let name = name.map(|name| format!(" CONSTRAINT {}", quote_identifier(name)));
        format!(
            "{} CHECK {}",
            name.unwrap_or_default(),
            parenthesized(&self.expression)
        )
    }
}

/// An expression between parentheses. A comment at its end must not swallow the closing one.
fn parenthesized(expression: &str) -> String {
    let end = if expression.contains("--") { "\n" } else { "" };
    format!("({expression}{end})")
}

impl Column {
    /// The collation that SQLite compares it with.
    pub fn collation_name(&self) -> &'static str {
        match self.kind {
            ColumnType::Decimal { .. } => "DECIMAL",
            _ => self.collation.name(),
        }
    }

    /// Its constraints but for the key and the CHECKs, as they stand behind its type.
    fn constraints(&self) -> String {
        let not_null = if self.not_null { " NOT NULL" } else { "" };
        let default = self.default.as_ref().map(|sql| format!(" DEFAULT {sql}"));
        format!("{not_null}{}", default.unwrap_or_default())
    }
}

/// How a row is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// One INTEGER column, which is SQLite's rowid too.
    Integer(usize),
    /// Any other column or columns, in the order of the key.
    Columns(Vec<usize>),
    /// No key was declared: rows get an integer of the store's choice, which is SQLite's rowid.
    RowId,
}

/// A table's columns and key.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// The declared columns, in order.
    pub columns: Vec<Column>,
    /// The key.
    pub key: KeyKind,
    /// The collation of each of the key's columns.
    key_collations: Vec<Collation>,
    /// The columns of each UNIQUE constraint, but for those that say what the key says. The catalogue's indexes keep them, so that only the
    /// table's creation looks here.
    pub uniques: Vec<Vec<KeyPart>>,
    /// The CHECK constraints, in the order in which they were declared.
    pub checks: Vec<Check>,
    /// Where the columns are.
    pub layout: Layout,
    /// The same for Tonbo: the key column, then the stored ones under their slots' names (`c0`, `c1` …), so that no
    /// declared name can clash, then the one for those that are added later.
    pub arrow: SchemaRef,
}

impl TableSchema {
    /// The byte of a `CREATE VIRTUAL TABLE …` at which the first definition stands that cannot be understood, if there is one.
    pub fn wrong_definition(sql: &str) -> Option<usize> {
        let mut parsed = Parsed::default();
        routing::split_arguments(routing::in_parentheses(sql))
            .into_iter()
            .find(|definition| parsed.add(definition).is_err())
            // A part of the text.
            .map(|wrong| wrong.as_ptr().addr() - sql.as_ptr().addr())
    }

    /// Parses the arguments of `USING tonbo(…)`, each a column definition or table constraints.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<TableSchema, StoreError> {
        let mut parsed = Parsed::default();
        for argument in arguments {
            parsed.add(argument.as_ref())?;
        }
        let Parsed {
            columns,
            key,
            uniques,
            checks,
        } = parsed;
        if columns.is_empty() {
            return Err(bad("USING tonbo(…) needs at least one column".into()));
        }
        let find = |what: &str, named: &[IndexedColumn]| {
            indexed::key_parts(&columns, named)
                .map_err(|name| bad(format!("{what} names an unknown column: {name}")))
        };
        let key = key.map(|named| find("PRIMARY KEY", &named)).transpose()?;
        let mut unlike: Vec<Vec<KeyPart>> = Vec::new();
        for named in uniques {
            let parts = find("UNIQUE", &named)?;
            if key.as_ref() != Some(&parts) && !unlike.contains(&parts) {
                unlike.push(parts);
            }
        }
        for column in &columns {
            if column.collation != Collation::Binary && column.kind != ColumnType::Text {
                let message = format!("column {}: only TEXT columns have a collation", column.name);
                return Err(bad(message));
            }
        }
        let mut schema = TableSchema::new(columns, key, checks);
        schema.uniques = unlike;
        Ok(schema)
    }

    /// The schema of an index's entries: their keys are the index's own affair, and each holds the key of its row.
    pub fn of_index() -> TableSchema {
        let row = Column {
            name: "row".into(),
            kind: ColumnType::Blob,
            not_null: true,
            collation: Collation::Binary,
            default: None,
            slot: 0,
            absent: Value::Null,
        };
        let mut schema = TableSchema::new(vec![row], Some(Vec::new()), Vec::new());
        schema.layout.added = None;
        schema.arrow = arrow(&schema.layout);
        schema
    }

    /// What stands for a schema that can't be read.
    pub fn damaged() -> TableSchema {
        let mut parsed = Parsed::default();
        let _infallible = parsed.add("damaged TEXT");
        TableSchema::new(parsed.columns, None, Vec::new())
    }

    /// Whether this is [`TableSchema::of_index`].
    pub fn is_index(&self) -> bool {
        self.key == KeyKind::Columns(Vec::new())
    }

    fn new(mut columns: Vec<Column>, key: Option<Vec<KeyPart>>, checks: Vec<Check>) -> TableSchema {
        let key_collations = key.iter().flatten().map(|part| part.collation).collect();
        let key = match key {
            None => KeyKind::RowId,
            Some(parts) => {
                let positions: Vec<usize> = parts.iter().map(|part| part.column).collect();
                for position in &positions {
                    columns[*position].not_null = true;
                }
                match positions[..] {
                    [only] if columns[only].kind == ColumnType::Integer => KeyKind::Integer(only),
                    _ => KeyKind::Columns(positions),
                }
            }
        };
        let layout = Layout::new(&columns);
        TableSchema {
            columns,
            key,
            key_collations,
            uniques: Vec::new(),
            checks,
            arrow: arrow(&layout),
            layout,
        }
    }

    /// The schema of a table in the catalogue: its definition and, unless it was made before there was one, its layout.
    pub fn of_catalogue(definition: &str, layout: Option<&str>) -> Result<TableSchema, StoreError> {
        let mut schema = TableSchema::parse(&routing::split_arguments(definition))?;
        schema.layout = match layout {
            Some(text) => Layout::read(text, &mut schema.columns)?,
            None => Layout {
                added: None,
                ..schema.layout
            },
        };
        schema.arrow = arrow(&schema.layout);
        Ok(schema)
    }

    /// Gives the columns of a table that has been altered their slots, and their values in older rows.
    pub fn place(&mut self, layout: Layout, places: Vec<(usize, Value)>) -> Result<(), StoreError> {
        if places.len() != self.columns.len() {
            return Err(bad("the columns are not those that were altered".into()));
        }
        for (column, (slot, absent)) in self.columns.iter_mut().zip(places) {
            column.slot = slot;
            column.absent = absent;
        }
        self.arrow = arrow(&layout);
        self.layout = layout;
        Ok(())
    }

    /// The statement that makes the same table as an ordinary one. A definition does not tell its UNIQUE constraints.
    pub fn ordinary(&self, place: &str, name: &str, uniques: &[&[IndexedColumn]]) -> String {
        let definition = self.definition_with(uniques);
        format!(
            "CREATE TABLE {place}.{}({definition}){}",
            quote_identifier(name),
            if self.has_rowid() {
                ""
            } else {
                " WITHOUT ROWID"
            }
        )
    }

    /// The column of a slot.
    pub fn at_slot(&self, slot: usize) -> Option<&Column> {
        self.columns.iter().find(|column| column.slot == slot)
    }

    /// The layout as the catalogue keeps it.
    pub fn layout_text(&self) -> String {
        self.layout.write(&self.columns)
    }

    /// A row's values by their slots.
    pub fn by_slots(&self, row: Vec<Value>) -> Row {
        if self.layout.slots() == self.columns.len() {
            return row.into();
        }
        let mut slots = vec![Value::Null; self.layout.slots()];
        for (column, value) in self.columns.iter().zip(row) {
            slots[column.slot] = value;
        }
        slots.into()
    }

    /// The positions of the key's columns; empty where rows are numbered by the store.
    pub fn key_columns(&self) -> &[usize] {
        match &self.key {
            KeyKind::Integer(position) => std::slice::from_ref(position),
            KeyKind::Columns(positions) => positions,
            KeyKind::RowId => &[],
        }
    }

    /// The key's columns with their collations; empty where rows are numbered by the store.
    pub fn key_order(&self) -> impl Iterator<Item = KeyPart> {
        let columns = self.key_columns().iter().zip(&self.key_collations);
        columns.map(|(column, collation)| KeyPart {
            column: *column,
            collation: *collation,
        })
    }

    /// Whether SQLite addresses rows by an integer.
    pub fn has_rowid(&self) -> bool {
        !matches!(self.key, KeyKind::Columns(_))
    }

    /// The statement for `sqlite3_declare_vtab`.
    pub fn declaration(&self) -> String {
        let mut sql = String::from("CREATE TABLE x(");
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                sql.push_str(", ");
            }
            sql.push_str(&quote_identifier(&column.name));
            sql.push(' ');
            sql.push_str(&column.kind.declared_name());
            sql.push_str(&column.constraints());
            if column.collation_name() != "BINARY" {
                sql.push_str(" COLLATE ");
                sql.push_str(column.collation_name());
            }
        }
        if self.has_rowid() {
            sql.push(')');
        } else {
            sql.push_str(&format!(
                ", {KEY_COLUMN} BLOB HIDDEN NOT NULL PRIMARY KEY) WITHOUT ROWID"
            ));
        }
        sql
    }

    fn checks_of(&self, column: Option<usize>) -> impl Iterator<Item = String> {
        let own = self.checks.iter();
        own.filter(move |check| check.column == column)
            .map(Check::declaration)
    }

    /// The arguments of `USING tonbo(…)` that mean this schema, in one spelling.
    pub fn definition(&self) -> String {
        self.definition_with(&[])
    }

    /// The same with UNIQUE constraints of these columns.
    fn definition_with(&self, uniques: &[&[IndexedColumn]]) -> String {
        // With a collation of its own a column can be named by a constraint of the table only.
        let alone = |unique: &&[IndexedColumn]| match *unique {
            [only] if only.collation.is_none() => Some(only.name.clone()),
            _ => None,
        };
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| {
                let mut sql = format!(
                    "{} {}{}",
                    quote_identifier(&column.name),
                    column.kind.sql_name(),
                    column.constraints()
                );
                if column.collation != Collation::Binary {
                    sql.push_str(" COLLATE ");
                    sql.push_str(column.collation.name());
                }
                sql.extend(self.checks_of(Some(position)));
                if uniques
                    .iter()
                    .filter_map(alone)
                    .any(|name| name == column.name)
                {
                    sql.push_str(" UNIQUE");
                }
                sql
            })
            .collect();
        let key: Vec<IndexedColumn> = self.key_order().map(|part| self.indexed(part)).collect();
        if !key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", IndexedColumn::list(&key)));
        }
        parts.extend(
            self.checks_of(None)
                .map(|check| check.trim_start().to_owned()),
        );
        for columns in uniques.iter().filter(|columns| alone(columns).is_none()) {
            parts.push(format!("UNIQUE ({})", IndexedColumn::list(columns)));
        }
        parts.join(", ")
    }
}

fn arrow(layout: &Layout) -> SchemaRef {
    let mut fields = vec![Field::new(KEY_COLUMN, DataType::Binary, false)];
    let stored = layout.stored.iter().enumerate();
    fields.extend(stored.map(|(slot, kind)| Field::new(format!("c{slot}"), kind.arrow(), true)));
    if layout.added.is_some() {
        fields.push(Field::new(MORE_COLUMN, DataType::Binary, true));
    }
    Arc::new(Schema::new(fields))
}

/// An identifier between double quotes.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn bad(message: String) -> StoreError {
    StoreError::new(StoreErrorCode::SqlError, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_primary_key_is_the_rowid() {
        let schema = TableSchema::parse(&[
            "id INTEGER PRIMARY KEY",
            "name VARCHAR(20) NOT NULL",
            "\"a b\" double",
        ])
        .unwrap();
        assert_eq!(schema.key, KeyKind::Integer(0));
        assert_eq!(
            schema.declaration(),
            "CREATE TABLE x(\"id\" INTEGER NOT NULL, \"name\" TEXT NOT NULL, \"a b\" REAL)"
        );
    }

    #[test]
    fn a_composite_key_is_hidden_from_sqlite_as_bytes() {
        let schema =
            TableSchema::parse(&["a TEXT", "b INTEGER", "c BLOB", "PRIMARY KEY (b, a)"]).unwrap();
        assert_eq!(schema.key, KeyKind::Columns(vec![1, 0]));
        assert!(
            schema
                .declaration()
                .ends_with("_key BLOB HIDDEN NOT NULL PRIMARY KEY) WITHOUT ROWID")
        );
    }

    #[test]
    fn a_definition_means_what_it_was_made_from() {
        let first =
            TableSchema::parse(&["[id] int", "\"x\"\"y\" text not null", "PRIMARY KEY(id)"])
                .unwrap();
        // The arguments of a virtual table arrive split at their commas, except within parentheses.
        let parts = [
            "\"id\" INTEGER NOT NULL",
            "\"x\"\"y\" TEXT NOT NULL",
            "PRIMARY KEY (\"id\")",
        ];
        assert_eq!(first.definition(), parts.join(", "));
        let second = TableSchema::parse(&parts).unwrap();
        assert_eq!((first.columns, first.key), (second.columns, second.key));
    }

    #[test]
    fn unique_columns_are_noted_once_and_not_where_the_key_says_it() {
        let schema = TableSchema::parse(&[
            "id INTEGER PRIMARY KEY UNIQUE",
            "a TEXT UNIQUE NOT NULL",
            "b INTEGER",
            "UNIQUE (b, a)",
            "UNIQUE(A)",
            "UNIQUE(id)",
        ])
        .unwrap();
        let columns = |parts: &Vec<KeyPart>| parts.iter().map(|part| part.column).collect();
        let uniques: Vec<Vec<usize>> = schema.uniques.iter().map(columns).collect();
        assert_eq!(uniques, [vec![1], vec![2, 1]]);
        assert!(!schema.definition().contains("UNIQUE"));
    }

    #[test]
    fn keys_and_unique_columns_have_collations() {
        let arguments = [
            "a TEXT COLLATE NOCASE UNIQUE",
            "b TEXT",
            "PRIMARY KEY (b COLLATE RTRIM DESC, a ASC)",
            "UNIQUE (a COLLATE NOCASE)",
            "UNIQUE (a COLLATE binary, b)",
        ];
        let schema = TableSchema::parse(&arguments).unwrap();
        let order = |parts: &[KeyPart]| -> Vec<_> {
            parts.iter().map(|p| (p.column, p.collation)).collect()
        };
        let key: Vec<KeyPart> = schema.key_order().collect();
        assert_eq!(order(&key), [(1, Collation::RTrim), (0, Collation::NoCase)]);
        let uniques: Vec<_> = schema.uniques.iter().map(|parts| order(parts)).collect();
        let expected = [
            vec![(0, Collation::NoCase)],
            vec![(0, Collation::Binary), (1, Collation::Binary)],
        ];
        assert_eq!(uniques, expected);
        let definition = schema.definition();
        assert!(
            definition.ends_with("PRIMARY KEY (\"b\" COLLATE RTRIM, \"a\")"),
            "{definition}"
        );
        let again = TableSchema::parse(&routing::split_arguments(&definition)).unwrap();
        assert_eq!(again.key_order().collect::<Vec<_>>(), key);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (arguments, part) in [
            (vec!["id UUID PRIMARY KEY"], "unknown type \"UUID\""),
            (vec!["id INTEGER", "ID TEXT"], "duplicate column name: ID"),
            (
                vec!["id INTEGER", "PRIMARY KEY (nope)"],
                "unknown column: nope",
            ),
            (
                vec!["a INTEGER PRIMARY KEY", "b INTEGER PRIMARY KEY"],
                "more than one PRIMARY KEY",
            ),
            (
                vec!["a INTEGER UNIQUE ON CONFLICT REPLACE"],
                "not understood",
            ),
            (vec!["a INTEGER", "UNIQUE (b)"], "unknown column: b"),
            (vec!["a INTEGER", "UNIQUE a"], "expected UNIQUE (column, …)"),
            (vec![""], "empty column definition"),
        ] {
            let error = TableSchema::parse(&arguments).unwrap_err();
            assert!(
                error.message.contains(part),
                "{arguments:?}: {}",
                error.message
            );
        }
    }
}
