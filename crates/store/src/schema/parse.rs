//! Column definitions and table constraints, as they stand in `USING tonbo(…)`.
//!
//! What an expression means is SQLite's to say: DEFAULT and CHECK are cut out of the text and kept as they are.

use super::{Check, Column, ColumnType, IndexedColumn, KEY_COLUMN, bad, parenthesized};
use crate::collation::Collation;
use crate::error::StoreError;
use crate::tokens::{Token, Tokens};
use crate::value::Value;

/// What was read so far.
#[derive(Default)]
pub(super) struct Parsed {
    pub columns: Vec<Column>,
    /// The key's columns.
    pub key: Option<Vec<IndexedColumn>>,
    /// Each UNIQUE constraint's columns.
    pub uniques: Vec<Vec<IndexedColumn>>,
    pub checks: Vec<Check>,
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

/// The words that begin a table constraint.
const TABLE_CONSTRAINTS: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

/// The words that stand for a value behind DEFAULT; any other is a text, as SQLite has it.
const VALUES: [&str; 6] = [
    "NULL",
    "TRUE",
    "FALSE",
    "CURRENT_TIME",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
];

impl Parsed {
    /// Reads one argument.
    pub fn add(&mut self, argument: &str) -> Result<(), StoreError> {
        let mut words = Words::new(argument)?;
        let Some(first) = words.peek() else {
            return Err(bad(format!("an empty column definition: {argument:?}")));
        };
        if TABLE_CONSTRAINTS.iter().any(|word| first.is(word)) {
            self.add_table_constraints(&mut words)
        } else {
            self.add_column(&mut words)
        }
    }

    fn add_column(&mut self, words: &mut Words<'_>) -> Result<(), StoreError> {
        let name = words
            .name()
            .ok_or_else(|| bad("a column definition must start with a name".into()))?;
        let kind = column_type(&name, words)?;
        if self
            .columns
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(&name))
        {
            return Err(bad(format!("duplicate column name: {name}")));
        }
        if name.eq_ignore_ascii_case(KEY_COLUMN) {
            return Err(bad(format!(
                "the column name {KEY_COLUMN} is taken by the store"
            )));
        }
        let mut column = Column {
            name,
            kind,
            not_null: false,
            collation: Collation::Binary,
            default: None,
            slot: self.columns.len(),
            absent: Value::Null,
        };
        // As in SQLite, a name holds for all constraints that follow it.
        let mut label = None;
        while let Some(first) = words.peek() {
            if words.take(&["CONSTRAINT"]) {
                label = Some(words.name().ok_or_else(|| not_understood(&column, first))?);
            } else if words.take(&["PRIMARY", "KEY"]) {
                self.set_key(vec![IndexedColumn::named(&column.name)])?;
            } else if words.take(&["NOT", "NULL"]) {
                column.not_null = true;
            } else if words.take(&["NULL"]) {
            } else if words.take(&["DEFAULT"]) {
                let default = words.default().ok_or_else(|| {
                    bad(format!(
                        "column {}: expected a value behind DEFAULT",
                        column.name
                    ))
                })?;
                column.default = Some(default);
            } else if words.take(&["COLLATE"]) {
                let name = words.name().unwrap_or_default();
                column.collation = Collation::named(&name)?;
            } else if words.take(&["CHECK"]) {
                self.add_check(Some(self.columns.len()), &label, words)?;
            } else if words.take(&["UNIQUE"]) {
                self.uniques.push(vec![IndexedColumn::named(&column.name)]);
            } else {
                return Err(not_understood(&column, first));
            }
        }
        self.columns.push(column);
        Ok(())
    }

    fn add_table_constraints(&mut self, words: &mut Words<'_>) -> Result<(), StoreError> {
        let mut label = None;
        while let Some(first) = words.peek() {
            if words.take(&["CONSTRAINT"]) {
                let name = words.name();
                label = Some(name.ok_or_else(|| bad("CONSTRAINT needs a name".into()))?);
            } else if words.take(&["PRIMARY", "KEY"]) {
                let columns = words.indexed_columns()?;
                let expected = || bad("expected PRIMARY KEY (column, …)".into());
                self.set_key(columns.ok_or_else(expected)?)?;
            } else if words.take(&["UNIQUE"]) {
                let columns = words.indexed_columns()?;
                let expected = || bad("expected UNIQUE (column, …)".into());
                self.uniques.push(columns.ok_or_else(expected)?);
            } else if words.take(&["CHECK"]) {
                self.add_check(None, &label, words)?;
            } else {
                return Err(bad(format!(
                    "table constraint not understood: {}",
                    first.text
                )));
            }
        }
        Ok(())
    }

    fn set_key(&mut self, columns: Vec<IndexedColumn>) -> Result<(), StoreError> {
        match self.key.replace(columns) {
            None => Ok(()),
            Some(_) => Err(bad("more than one PRIMARY KEY".into())),
        }
    }

    fn add_check(
        &mut self,
        column: Option<usize>,
        label: &Option<String>,
        words: &mut Words<'_>,
    ) -> Result<(), StoreError> {
        let expression = words
            .parenthesized()
            .ok_or_else(|| bad("expected CHECK (expression)".into()))?;
        self.checks.push(Check {
            column,
            name: label.clone(),
            expression: expression.to_owned(),
        });
        Ok(())
    }
}

fn not_understood(column: &Column, token: Token<'_>) -> StoreError {
    bad(format!(
        "column {}: not understood: {}",
        column.name, token.text
    ))
}

fn column_type(name: &str, words: &mut Words<'_>) -> Result<ColumnType, StoreError> {
    let mut declared: Vec<String> = Vec::new();
    while let Some(token) = words.peek() {
        if CONSTRAINTS.iter().any(|word| token.is(word)) {
            break;
        }
        words.at += 1;
        declared.push(token.unquoted());
    }
    ColumnType::from_declared(&declared.join(" ")).ok_or_else(|| {
        bad(format!(
            "column {name}: unknown type {:?}; a Tonbo table's columns are INTEGER, REAL, TEXT, BLOB, BOOLEAN, DATE, TIMESTAMP or DECIMAL(p, s)",
            declared.join(" ")
        ))
    })
}

/// An argument's tokens, and how many were read.
struct Words<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Result<Words<'a>, StoreError> {
        let mut source = Tokens::new(text);
        let tokens: Vec<Token<'a>> = std::iter::from_fn(|| source.next_token()).collect();
        match tokens.iter().find(|token| !is_terminated(token.text)) {
            Some(_) => Err(bad(format!("an unterminated name in: {text}"))),
            None => Ok(Words {
                text,
                tokens,
                at: 0,
            }),
        }
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Reads these words, if they are next.
    fn take(&mut self, words: &[&str]) -> bool {
        let rest = &self.tokens[self.at..];
        let found = rest.len() >= words.len() && rest.iter().zip(words).all(|(t, w)| t.is(w));
        if found {
            self.at += words.len();
        }
        found
    }

    fn name(&mut self) -> Option<String> {
        let token = self.peek().filter(|token| is_name(*token))?;
        self.at += 1;
        Some(token.unquoted())
    }

    /// `(a, b COLLATE NOCASE)`; `None` where something else stands there.
    fn indexed_columns(&mut self) -> Result<Option<Vec<IndexedColumn>>, StoreError> {
        let mut columns = Vec::new();
        let mut before = "(";
        while self.take(&[before]) {
            let Some(name) = self.name() else {
                return Ok(None);
            };
            let words = self.tokens[self.at..].iter().copied();
            let (column, count) = IndexedColumn::read(name, words)?;
            self.at += count;
            columns.push(column);
            before = ",";
        }
        Ok((before == "," && self.take(&[")"])).then_some(columns))
    }

    /// What stands between parentheses, as written.
    fn parenthesized(&mut self) -> Option<&'a str> {
        let open = self.peek().filter(|token| token.is("("))?;
        let mut depth = 0usize;
        while let Some(token) = self.next() {
            match token.text {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(self.text[open.start + 1..token.start].trim());
            }
        }
        None
    }

    /// A literal, a number with a sign, a word or an expression between parentheses, as SQLite takes them behind DEFAULT.
    fn default(&mut self) -> Option<String> {
        if let Some(expression) = self.parenthesized() {
            return Some(parenthesized(expression));
        }
        let first = self.next()?;
        if first.is("+") || first.is("-") {
            return Some(format!("{}{}", first.text, self.value()?));
        }
        self.at -= 1;
        self.value()
    }

    fn value(&mut self) -> Option<String> {
        let first = self.next()?;
        let is_blob = first.is("x")
            && self
                .peek()
                .is_some_and(|next| next.text.starts_with('\'') && next.start == first.start + 1);
        if is_blob {
            return Some(format!("x{}", self.next()?.text));
        }
        // `.5` is a number, too.
        if first.is(".") {
            return Some(format!(".{}", self.next()?.text));
        }
        let is_value = first
            .text
            .starts_with(|c: char| c == '\'' || c.is_ascii_digit())
            || VALUES.iter().any(|word| first.is(word));
        match is_value {
            true => Some(first.text.to_owned()),
            false if is_name(first) => Some(format!("'{}'", first.unquoted().replace('\'', "''"))),
            false => None,
        }
    }
}

/// Whether a token can be a name: a word or anything between quotes.
fn is_name(token: Token<'_>) -> bool {
    token
        .text
        .starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '"' | '\'' | '`' | '['))
}

fn is_terminated(token: &str) -> bool {
    let close = match token.chars().next() {
        Some('[') => ']',
        Some(quote @ ('"' | '\'' | '`')) => quote,
        _ => return true,
    };
    token.len() > 1 && token.ends_with(close)
}
