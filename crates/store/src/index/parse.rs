//! `CREATE INDEX` and `DROP INDEX`, read so far as a Tonbo table's need it: SQLite refuses indexes on virtual tables.

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::schema::IndexedColumn;
use crate::tokens::{Named, Token, Tokens, place_of_named};

/// What a statement about an index begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum IndexStatement {
    /// `CREATE [UNIQUE] INDEX [IF NOT EXISTS] name ON table`, and the rest.
    Create(Creation),
    /// `DROP INDEX [IF EXISTS] name`.
    Drop {
        /// The index.
        name: String,
        /// The byte behind the name.
        end: usize,
    },
}

/// The creation of an index.
#[derive(Debug, PartialEq, Eq)]
pub struct Creation {
    /// Its name.
    pub name: String,
    /// Its table's.
    pub table: String,
    /// Whether it is unique.
    pub is_unique: bool,
    /// Whether it does nothing where the name is taken.
    pub if_not_exists: bool,
    /// The byte behind the table's name.
    end: usize,
}

/// What `sql` begins with, if that is about an index of `main` or of no named schema.
pub fn parse(sql: &str) -> Option<IndexStatement> {
    let mut tokens = Tokens::new(sql);
    let verb = tokens.next_token()?;
    if verb.is("DROP") {
        tokens.expect("INDEX")?;
        let named = tokens.named().filter(Named::is_ours)?;
        return Some(IndexStatement::Drop {
            name: named.name,
            end: named.end,
        });
    }
    if !verb.is("CREATE") {
        return None;
    }
    let mut kind = tokens.next_token()?;
    let is_unique = kind.is("UNIQUE");
    if is_unique {
        kind = tokens.next_token()?;
    }
    if !kind.is("INDEX") {
        return None;
    }
    let named = tokens.named().filter(Named::is_ours)?;
    tokens.expect("ON")?;
    let table = tokens.next_token()?;
    Some(IndexStatement::Create(Creation {
        name: named.name,
        table: table.unquoted(),
        is_unique,
        if_not_exists: named.has_if,
        end: tokens.position(),
    }))
}

/// The byte behind the statement whose last word ends at `end`.
pub fn end_of(sql: &str, end: usize) -> StoreResult<usize> {
    match Tokens::new(&sql[end..]).next_token() {
        None => Ok(sql.len()),
        Some(token) if token.text == ";" => Ok(end + token.start + 1),
        Some(token) => Err(unexpected(end, token)),
    }
}

impl Creation {
    /// An error about the columns, at the one that it names.
    pub fn at_named(&self, error: StoreError, sql: &str) -> StoreError {
        match place_of_named(&error.message, sql, self.end) {
            Some(at) => error.at(at),
            None => error,
        }
    }

    /// The columns, and the byte behind the statement.
    pub fn columns(&self, sql: &str) -> StoreResult<(Vec<IndexedColumn>, usize)> {
        let mut tokens = Tokens::new(&sql[self.end..]);
        let wrong = |token| unexpected(self.end, token);
        let open = next(&mut tokens)?;
        if open.text != "(" {
            return Err(wrong(open));
        }
        let mut columns = Vec::new();
        loop {
            let name = next(&mut tokens)?;
            if !is_name(name) {
                return Err(wrong(name));
            }
            let mut ahead = tokens;
            let words = std::iter::from_fn(|| ahead.next_token());
            let (column, count) = IndexedColumn::read(name.unquoted(), words)?;
            columns.push(column);
            for _ in 0..count {
                next(&mut tokens)?;
            }
            let token = next(&mut tokens)?;
            match token.text {
                "," => {}
                ")" => break,
                "(" => return Err(refused("an expression", self.end + token.start)),
                _ => return Err(wrong(token)),
            }
        }
        let at = self.end + tokens.position();
        if let Some(token) = Tokens::new(&sql[at..]).next_token()
            && token.is("WHERE")
        {
            return Err(refused("a WHERE", at + token.start));
        }
        Ok((columns, end_of(sql, at)?))
    }
}

fn next<'a>(tokens: &mut Tokens<'a>) -> StoreResult<Token<'a>> {
    let message = "incomplete input: CREATE INDEX";
    let incomplete = || StoreError::new(StoreErrorCode::SqlError, message);
    tokens.next_token().ok_or_else(incomplete)
}

fn is_name(token: Token<'_>) -> bool {
    token
        .text
        .starts_with(|first: char| first.is_alphabetic() || "_\"'`[".contains(first))
}

fn refused(what: &str, at: usize) -> StoreError {
    let message = format!("an index of a Tonbo table cannot have {what}");
    StoreError::new(StoreErrorCode::SqlError, message).at(at)
}

fn unexpected(base: usize, token: Token<'_>) -> StoreError {
    let message = format!("near \"{}\": syntax error", token.text);
    StoreError::new(StoreErrorCode::SqlError, message).at(base + token.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(sql: &str) -> Result<(Vec<IndexedColumn>, usize), String> {
        match parse(sql) {
            Some(IndexStatement::Create(creation)) => {
                creation.columns(sql).map_err(|error| error.message)
            }
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn a_creation_is_read_to_its_end() {
        let sql = "create unique index if not exists main.\"i 1\" ON [a b] (x, \"y\"\"z\" DESC, w COLLATE nocase ASC) ; SELECT 1";
        let Some(IndexStatement::Create(creation)) = parse(sql) else {
            panic!("{sql}");
        };
        assert_eq!(
            (creation.name.as_str(), creation.table.as_str()),
            ("i 1", "a b")
        );
        assert!(creation.is_unique && creation.if_not_exists);
        let (columns, end) = creation.columns(sql).unwrap();
        assert_eq!(
            IndexedColumn::list(&columns),
            r#""x", "y""z", "w" COLLATE NOCASE"#
        );
        assert_eq!(&sql[end..], " SELECT 1");
    }

    #[test]
    fn what_an_index_cannot_have_is_named() {
        for (sql, part) in [
            ("CREATE INDEX i ON t(lower(x))", "an expression"),
            (
                "CREATE INDEX i ON t(x COLLATE other)",
                "no such collation sequence: other",
            ),
            ("CREATE INDEX i ON t(x) WHERE x > 1", "a WHERE"),
            ("CREATE INDEX i ON t(x", "incomplete input"),
            ("CREATE INDEX i ON t()", "near \")\""),
            ("CREATE INDEX i ON t(1)", "near \"1\""),
            ("CREATE INDEX i ON t(x) y", "near \"y\""),
            ("CREATE INDEX i ON t x", "near \"x\""),
        ] {
            let error = columns(sql).unwrap_err();
            assert!(error.contains(part), "{sql}: {error}");
        }
    }

    #[test]
    fn a_removal_is_read_and_others_are_not() {
        assert_eq!(
            parse("DROP INDEX IF EXISTS temp.i;"),
            Some(IndexStatement::Drop {
                name: "i".into(),
                end: 27
            })
        );
        for sql in [
            "CREATE INDEX other.i ON t(x)",
            "DROP INDEX other.i",
            "DROP TABLE i",
            "CREATE TABLE t(x)",
            "",
        ] {
            assert_eq!(parse(sql), None, "{sql}");
        }
    }
}
