//! A Tonbo table's columns: parsed from the arguments of `USING tonbo(…)`, told to SQLite and to Arrow.
//!
//! The arguments are column definitions as in `CREATE TABLE`: a name, a type, and any of `PRIMARY KEY`, `NOT NULL`, `UNIQUE`, `DEFAULT` and
//! `CHECK`; or the table constraints `PRIMARY KEY (a, b)`, `UNIQUE (a, b)` and `CHECK (…)`. Types follow SQLite's rules of affinity, and are strict as in its STRICT tables:
//! a value that cannot be converted without loss is refused.

mod parse;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{StoreError, StoreErrorCode};
use parse::Parsed;

/// The name of the key column in Arrow, and of the hidden key column that SQLite sees where there is no integer key.
pub const KEY_COLUMN: &str = "_key";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Real,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Blob,
    /// 0 or 1, kept as a bit.
    Boolean,
}

impl ColumnType {
    /// The type that a declared type name means, by SQLite's rules of affinity; `None` where they say NUMERIC.
    fn from_declared(declared: &str) -> Option<ColumnType> {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Some(ColumnType::Integer)
        } else if has("CHAR") || has("CLOB") || has("TEXT") || has("STRING") {
            Some(ColumnType::Text)
        } else if has("BLOB") || has("BINARY") {
            Some(ColumnType::Blob)
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Some(ColumnType::Real)
        } else if has("BOOL") {
            Some(ColumnType::Boolean)
        } else {
            None
        }
    }

    /// The name that SQLite is told.
    pub fn sql_name(self) -> &'static str {
        match self {
            ColumnType::Integer => "INTEGER",
            ColumnType::Real => "REAL",
            ColumnType::Text => "TEXT",
            ColumnType::Blob => "BLOB",
            ColumnType::Boolean => "BOOLEAN",
        }
    }

    /// The Arrow type of its column.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Integer => DataType::Int64,
            ColumnType::Real => DataType::Float64,
            ColumnType::Text => DataType::Utf8,
            ColumnType::Blob => DataType::Binary,
            ColumnType::Boolean => DataType::Boolean,
        }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as declared.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether `NULL` is refused. Always so for a key's columns.
    pub not_null: bool,
    /// What stands behind DEFAULT: SQL that SQLite evaluates for a row that leaves the column out.
    pub default: Option<String>,
}

/// A CHECK constraint, of a column or of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name that CONSTRAINT gives it.
    pub name: Option<String>,
    /// What stands between its parentheses.
    pub expression: String,
}

impl Check {
    /// What SQLite calls it in errors.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.expression)
    }

    /// The expression between parentheses. A comment at its end must not swallow the closing one.
    pub fn parenthesized(&self) -> String {
        let end = if self.expression.contains("--") {
            "\n"
        } else {
            ""
        };
        format!("({}{end})", self.expression)
    }
}

impl Column {
    /// Its constraints but for the key, as they stand behind its type.
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
    /// The columns of each UNIQUE constraint, but for those that say what the key says. The catalogue's indexes keep them, so that only the
    /// table's creation looks here.
    pub uniques: Vec<Vec<usize>>,
    /// The CHECK constraints, in the order in which they were declared.
    pub checks: Vec<Check>,
    /// The same for Tonbo: the key column, then the declared ones under their positions' names (`c0`, `c1` …), so that no
    /// declared name can clash.
    pub arrow: SchemaRef,
}

impl TableSchema {
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
        let find = |what: &str, names: &[String]| {
            let find = |name: &String| {
                columns
                    .iter()
                    .position(|column| column.name.eq_ignore_ascii_case(name))
                    .ok_or_else(|| bad(format!("{what} names an unknown column: {name}")))
            };
            names.iter().map(find).collect::<Result<Vec<_>, _>>()
        };
        let key = key.map(|names| find("PRIMARY KEY", &names)).transpose()?;
        let mut unlike: Vec<Vec<usize>> = Vec::new();
        for names in uniques {
            let positions = find("UNIQUE", &names)?;
            if key.as_ref() != Some(&positions) && !unlike.contains(&positions) {
                unlike.push(positions);
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
            default: None,
        };
        TableSchema::new(vec![row], Some(Vec::new()), Vec::new())
    }

    /// Whether this is [`TableSchema::of_index`].
    pub fn is_index(&self) -> bool {
        self.key == KeyKind::Columns(Vec::new())
    }

    fn new(mut columns: Vec<Column>, key: Option<Vec<usize>>, checks: Vec<Check>) -> TableSchema {
        let key = match key {
            None => KeyKind::RowId,
            Some(positions) => {
                for position in &positions {
                    columns[*position].not_null = true;
                }
                match positions[..] {
                    [only] if columns[only].kind == ColumnType::Integer => KeyKind::Integer(only),
                    _ => KeyKind::Columns(positions),
                }
            }
        };
        let mut fields = vec![Field::new(KEY_COLUMN, DataType::Binary, false)];
        fields.extend(columns.iter().enumerate().map(|(position, column)| {
            Field::new(format!("c{position}"), column.kind.arrow(), true)
        }));
        TableSchema {
            columns,
            key,
            uniques: Vec::new(),
            checks,
            arrow: Arc::new(Schema::new(fields)),
        }
    }

    /// The positions of the key's columns; empty where rows are numbered by the store.
    pub fn key_columns(&self) -> &[usize] {
        match &self.key {
            KeyKind::Integer(position) => std::slice::from_ref(position),
            KeyKind::Columns(positions) => positions,
            KeyKind::RowId => &[],
        }
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
            sql.push_str(column.kind.sql_name());
            sql.push_str(&column.constraints());
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

    /// The arguments of `USING tonbo(…)` that mean this schema, in one spelling.
    pub fn definition(&self) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                format!(
                    "{} {}{}",
                    quote_identifier(&column.name),
                    column.kind.sql_name(),
                    column.constraints()
                )
            })
            .collect();
        let key: Vec<String> = self
            .key_columns()
            .iter()
            .map(|p| quote_identifier(&self.columns[*p].name))
            .collect();
        if !key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        parts.extend(self.checks.iter().map(|check| {
            let name = check
                .name
                .as_ref()
                .map(|name| format!("CONSTRAINT {} ", quote_identifier(name)));
            format!(
                "{}CHECK {}",
                name.unwrap_or_default(),
                check.parenthesized()
            )
        }));
        parts.join(", ")
    }
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
        assert_eq!(schema.uniques, [vec![1], vec![2, 1]]);
        assert!(!schema.definition().contains("UNIQUE"));
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
