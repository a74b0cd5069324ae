//! A column as a key, a UNIQUE or an index names it: with the collation that its texts are ordered by there.

use super::{Column, ColumnType, TableSchema, bad, quote_identifier};
use crate::collation::Collation;
use crate::error::StoreError;
use crate::routing;
use crate::tokens::{Token, Tokens};

/// A column's name and, where one is written behind it, a collation of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedColumn {
    /// The name.
    pub name: String,
    /// What stands behind COLLATE; otherwise it is the column's.
    pub collation: Option<Collation>,
}

/// A column by its position, and the collation that keys have its texts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// The position among the table's columns.
    pub column: usize,
    /// The collation; BINARY of what is no TEXT.
    pub collation: Collation,
}

impl IndexedColumn {
    /// A column without a collation of its own.
    pub fn named(name: &str) -> IndexedColumn {
        IndexedColumn {
            name: name.into(),
            collation: None,
        }
    }

    /// Reads `[COLLATE name] [ASC | DESC]` from the words behind a name, and tells how many they are. The direction means nothing: keys are
    /// read in both.
    pub(crate) fn read<'a>(
        name: String,
        words: impl Iterator<Item = Token<'a>>,
    ) -> Result<(IndexedColumn, usize), StoreError> {
        let mut words = words.peekable();
        let (mut collation, mut count) = (None, 0);
        if words.next_if(|word| word.is("COLLATE")).is_some() {
            let name = words.next().map(|name| name.unquoted());
            collation = Some(Collation::named(&name.unwrap_or_default())?);
            count += 2;
        }
        let direction = words.next_if(|word| word.is("ASC") || word.is("DESC"));
        count += usize::from(direction.is_some());
        Ok((IndexedColumn { name, collation }, count))
    }

    /// The columns of a list without parentheses, as [`IndexedColumn::list`] writes it.
    pub fn parse_list(text: &str) -> Result<Vec<IndexedColumn>, StoreError> {
        let parts = routing::split_arguments(text);
        let parse = |part: &&str| {
            let mut tokens = Tokens::new(part);
            let mut words = std::iter::from_fn(|| tokens.next_token());
            let name = words.next().map(|name| name.unquoted());
            IndexedColumn::read(name.unwrap_or_default(), words).map(|(column, _)| column)
        };
        parts.iter().map(parse).collect()
    }

    /// Columns as SQL.
    pub fn list(columns: &[IndexedColumn]) -> String {
        let columns: Vec<String> = columns.iter().map(IndexedColumn::sql).collect();
        columns.join(", ")
    }

    fn sql(&self) -> String {
        let name = quote_identifier(&self.name);
        match self.collation {
            Some(collation) => format!("{name} COLLATE {}", collation.name()),
            None => name,
        }
    }
}

impl Collation {
    /// The collation of that name, or SQLite's error.
    pub(super) fn named(name: &str) -> Result<Collation, StoreError> {
        Collation::from_name(name).ok_or_else(|| bad(format!("no such collation sequence: {name}")))
    }
}

impl Column {
    /// The collation of its texts where `own` is written behind its name. Values of other types are in one order only.
    pub fn collation_in_keys(&self, own: Option<Collation>) -> Collation {
        match self.kind {
            ColumnType::Text => own.unwrap_or(self.collation),
            _ => Collation::Binary,
        }
    }
}

impl TableSchema {
    /// Finds indexed columns; the first name that is none of the table's.
    pub fn key_parts<'a>(&self, columns: &'a [IndexedColumn]) -> Result<Vec<KeyPart>, &'a str> {
        key_parts(&self.columns, columns)
    }

    /// A part as it is written, without a collation that is the column's.
    pub fn indexed(&self, part: KeyPart) -> IndexedColumn {
        let column = &self.columns[part.column];
        let is_own = part.collation == column.collation;
        IndexedColumn {
            name: column.name.clone(),
            collation: (!is_own).then_some(part.collation),
        }
    }
}

pub(super) fn key_parts<'a>(
    columns: &[Column],
    indexed: &'a [IndexedColumn],
) -> Result<Vec<KeyPart>, &'a str> {
    let find = |indexed: &'a IndexedColumn| {
        let is_it = |column: &Column| column.name.eq_ignore_ascii_case(&indexed.name);
        let column = columns.iter().position(is_it).ok_or(&*indexed.name)?;
        Ok(KeyPart {
            column,
            collation: columns[column].collation_in_keys(indexed.collation),
        })
    };
    indexed.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was_written() {
        let text = r#""a", "b, ""c" COLLATE NOCASE, "d" COLLATE BINARY"#;
        let columns = IndexedColumn::parse_list(text).unwrap();
        let found: Vec<_> = columns.iter().map(|c| (&*c.name, c.collation)).collect();
        let expected = [
            ("a", None),
            ("b, \"c", Some(Collation::NoCase)),
            ("d", Some(Collation::Binary)),
        ];
        assert_eq!(found, expected);
        assert_eq!(IndexedColumn::list(&columns), text);
        let error = IndexedColumn::parse_list("a COLLATE x").unwrap_err();
        assert_eq!(error.message, "no such collation sequence: x");
    }

    #[test]
    fn a_part_has_the_column_s_collation_or_its_own() {
        let schema = TableSchema::parse(&["a TEXT COLLATE NOCASE", "b TEXT", "c INTEGER"]).unwrap();
        let text = "a, a COLLATE BINARY DESC, b, B COLLATE RTRIM, c COLLATE NOCASE";
        let columns = IndexedColumn::parse_list(text).unwrap();
        let parts = schema.key_parts(&columns).unwrap();
        let expected = [
            (0, Collation::NoCase),
            (0, Collation::Binary),
            (1, Collation::Binary),
            (1, Collation::RTrim),
            (2, Collation::Binary),
        ];
        let found: Vec<_> = parts.iter().map(|p| (p.column, p.collation)).collect();
        assert_eq!(found, expected);
        let written: Vec<IndexedColumn> = parts.iter().map(|part| schema.indexed(*part)).collect();
        assert_eq!(
            IndexedColumn::list(&written),
            r#""a", "a" COLLATE BINARY, "b", "b" COLLATE RTRIM, "c""#
        );
        let unknown = IndexedColumn::parse_list("a, nope").unwrap();
        assert_eq!(schema.key_parts(&unknown), Err("nope"));
    }
}
