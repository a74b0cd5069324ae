//! A Tonbo table's columns: parsed from the arguments of `USING tonbo(…)`, told to SQLite and to Arrow.
//!
//! The arguments are column definitions as in `CREATE TABLE`: a name, a type, and any of `PRIMARY KEY`, `NOT NULL`,
//! `UNIQUE`; or a table constraint `PRIMARY KEY (a, b)` or `UNIQUE (a, b)`. Types follow SQLite's rules of affinity, and are strict as in its STRICT tables:
//! a value that cannot be converted without loss is refused.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{StoreError, StoreErrorCode};

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
    /// The same for Tonbo: the key column, then the declared ones under their positions' names (`c0`, `c1` …), so that no
    /// declared name can clash.
    pub arrow: SchemaRef,
}

impl TableSchema {
    /// Parses the arguments of `USING tonbo(…)`, each a column definition or a table constraint.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<TableSchema, StoreError> {
        let mut columns: Vec<Column> = Vec::new();
        let mut key: Option<Vec<usize>> = None;
        let mut constraint: Option<Vec<String>> = None;
        let mut uniques: Vec<Vec<String>> = Vec::new();
        for argument in arguments {
            let tokens = tokenize(argument.as_ref())?;
            let Some(first) = tokens.first() else {
                return Err(bad(format!(
                    "an empty column definition: {:?}",
                    argument.as_ref()
                )));
            };
            if first.is_word("PRIMARY") {
                if constraint.replace(parse_key_constraint(&tokens)?).is_some() {
                    return Err(bad("more than one PRIMARY KEY".into()));
                }
                continue;
            }
            if first.is_word("UNIQUE") {
                uniques.push(parse_unique_constraint(&tokens)?);
                continue;
            }
            let (column, is_key, is_unique) = parse_column(&tokens)?;
            if columns
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&column.name))
            {
                return Err(bad(format!("duplicate column name: {}", column.name)));
            }
            if column.name.eq_ignore_ascii_case(KEY_COLUMN) {
                return Err(bad(format!(
                    "the column name {KEY_COLUMN} is taken by the store"
                )));
            }
            if is_key && key.replace(vec![columns.len()]).is_some() {
                return Err(bad("more than one PRIMARY KEY".into()));
            }
            if is_unique {
                uniques.push(vec![column.name.clone()]);
            }
            columns.push(column);
        }
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
        if let Some(names) = constraint {
            let positions = find("PRIMARY KEY", &names)?;
            if key.replace(positions).is_some() {
                return Err(bad("more than one PRIMARY KEY".into()));
            }
        }
        let mut schema_uniques: Vec<Vec<usize>> = Vec::new();
        for names in uniques {
            let positions = find("UNIQUE", &names)?;
            if key.as_ref() != Some(&positions) && !schema_uniques.contains(&positions) {
                schema_uniques.push(positions);
            }
        }
        let mut schema = TableSchema::new(columns, key);
        schema.uniques = schema_uniques;
        Ok(schema)
    }

    /// The schema of an index's entries: their keys are the index's own affair, and each holds the key of its row.
    pub fn of_index() -> TableSchema {
        let row = Column {
            name: "row".into(),
            kind: ColumnType::Blob,
            not_null: true,
        };
        TableSchema::new(vec![row], Some(Vec::new()))
    }

    /// Whether this is [`TableSchema::of_index`].
    pub fn is_index(&self) -> bool {
        self.key == KeyKind::Columns(Vec::new())
    }

    fn new(mut columns: Vec<Column>, key: Option<Vec<usize>>) -> TableSchema {
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
            if column.not_null {
                sql.push_str(" NOT NULL");
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

    /// The arguments of `USING tonbo(…)` that mean this schema, in one spelling.
    pub fn definition(&self) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let not_null = if column.not_null { " NOT NULL" } else { "" };
                format!(
                    "{} {}{not_null}",
                    quote_identifier(&column.name),
                    column.kind.sql_name()
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

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A bare word, as written.
    Word(String),
    /// A quoted identifier, without its quotes.
    Quoted(String),
    /// One of `(`, `)`, `,` and the like.
    Mark(char),
}

impl Token {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }

    fn identifier(&self) -> Option<String> {
        match self {
            Token::Word(word) | Token::Quoted(word) => Some(word.clone()),
            Token::Mark(_) => None,
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>, StoreError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            _ if first.is_whitespace() => {}
            '"' | '`' | '[' | '\'' => {
                let close = if first == '[' { ']' } else { first };
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some(next)
                            if next == close && close != ']' && rest.peek() == Some(&close) =>
                        {
                            rest.next();
                            name.push(close);
                        }
                        Some(next) if next == close => break,
                        Some(next) => name.push(next),
                        None => return Err(bad(format!("an unterminated name in: {text}"))),
                    }
                }
                tokens.push(Token::Quoted(name));
            }
            _ if first.is_alphanumeric() || first == '_' || first == '$' => {
                let mut word = String::from(first);
                while let Some(next) =
                    rest.next_if(|c| c.is_alphanumeric() || *c == '_' || *c == '$')
                {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            mark => tokens.push(Token::Mark(mark)),
        }
    }
    Ok(tokens)
}

fn parse_key_constraint(tokens: &[Token]) -> Result<Vec<String>, StoreError> {
    match tokens {
        [_, key, names @ ..] if key.is_word("KEY") => parse_names("PRIMARY KEY", names),
        _ => Err(bad("expected PRIMARY KEY (column, …)".into())),
    }
}

fn parse_unique_constraint(tokens: &[Token]) -> Result<Vec<String>, StoreError> {
    parse_names("UNIQUE", &tokens[1..])
}

/// Names between parentheses, behind `what`.
fn parse_names(what: &str, tokens: &[Token]) -> Result<Vec<String>, StoreError> {
    let malformed = || bad(format!("expected {what} (column, …)"));
    let [Token::Mark('('), names @ .., Token::Mark(')')] = tokens else {
        return Err(malformed());
    };
    if names.is_empty() {
        return Err(malformed());
    }
    names
        .split(|token| *token == Token::Mark(','))
        .map(|part| match part {
            [one] => one.identifier().ok_or_else(malformed),
            _ => Err(malformed()),
        })
        .collect()
}

/// The words that end a column's type. Not all of them are understood behind it.
const CONSTRAINTS: [&str; 11] = [
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "CONSTRAINT",
    "GENERATED",
    "AS",
];

/// A column, whether it is the key, and whether its values are unlike each other.
fn parse_column(tokens: &[Token]) -> Result<(Column, bool, bool), StoreError> {
    let name = tokens[0]
        .identifier()
        .ok_or_else(|| bad("a column definition must start with a name".into()))?;
    let is_constraint = |token: &Token| CONSTRAINTS.iter().any(|word| token.is_word(word));
    let type_end = tokens[1..]
        .iter()
        .position(is_constraint)
        .map_or(tokens.len(), |found| found + 1);
    // `VARCHAR(20)`: lengths are accepted and, as in SQLite, mean nothing.
    let declared: Vec<String> = tokens[1..type_end]
        .iter()
        .filter_map(Token::identifier)
        .collect();
    let kind = ColumnType::from_declared(&declared.join(" ")).ok_or_else(|| {
        bad(format!(
            "column {name}: unknown type {:?}; a Tonbo table's columns are INTEGER, REAL, TEXT, BLOB or BOOLEAN",
            declared.join(" ")
        ))
    })?;
    let (mut not_null, mut is_key, mut is_unique) = (false, false, false);
    let mut rest = &tokens[type_end..];
    while let [first, ..] = rest {
        rest = match rest {
            [a, b, tail @ ..] if a.is_word("PRIMARY") && b.is_word("KEY") => {
                is_key = true;
                tail
            }
            [a, b, tail @ ..] if a.is_word("NOT") && b.is_word("NULL") => {
                not_null = true;
                tail
            }
            [a, tail @ ..] if a.is_word("NULL") => tail,
            [a, tail @ ..] if a.is_word("UNIQUE") => {
                is_unique = true;
                tail
            }
            _ => return Err(bad(format!("column {name}: not understood: {first:?}"))),
        };
    }
    Ok((
        Column {
            name,
            kind,
            not_null,
        },
        is_key,
        is_unique,
    ))
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
