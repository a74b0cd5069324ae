//! Tables that an ordinary table's definition stands on: the parents of its foreign keys, and the table that an FTS5 table takes its content from.
//!
//! SQLite looks for them in the schema of the table that names them, when rows are written. A Tonbo table stands in none of those: each write to
//! the ordinary table, be it of NULL, would fail with `no such table: main.…`. So neither may come to name the other, whichever is made first.

use crate::catalogue;
use crate::declared;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::session::Shared;
use crate::statement::Handle;
use crate::tokens::Tokens;
use crate::value::Value;

/// How a definition names another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// `REFERENCES parent`.
    ForeignKey,
    /// `USING fts5(…, content = parent)`.
    Content,
}

/// A table that a definition names.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    name: String,
    relation: Relation,
    /// The byte that its name begins at.
    at: usize,
}

/// What a statement that makes or alters a table has it stand on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parents {
    parents: Vec<Parent>,
    /// Whether the table is a temporary one.
    is_temporary: bool,
}

impl Parents {
    /// Those of the first statement of a text, where its table is of `main` or `temp`.
    fn of(sql: &str) -> Parents {
        parse(sql).unwrap_or_default()
    }
}

fn parse(sql: &str) -> Option<Parents> {
    let mut tokens = Tokens::new(sql);
    let verb = tokens.next_token()?;
    let mut next = tokens.next_token()?;
    let mut is_temporary = false;
    let mut is_virtual = false;
    if verb.is("CREATE") {
        is_temporary = next.is("TEMP") || next.is("TEMPORARY");
        is_virtual = next.is("VIRTUAL");
        if is_temporary || is_virtual {
            next = tokens.next_token()?;
        }
    } else if !verb.is("ALTER") {
        return None;
    }
    if !next.is("TABLE") {
        return None;
    }
    let named = tokens.named().filter(|named| named.is_ours())?;
    is_temporary |= named.schema.is_some() && named.is_in("temp");
    let relation = match is_virtual {
        true => {
            tokens.expect("USING")?;
            tokens.expect("fts5")?;
            Relation::Content
        }
        false => Relation::ForeignKey,
    };
    let mut parents = Vec::new();
    let mut before = "";
    while let Some(token) = tokens.next_token() {
        let names = match relation {
            Relation::ForeignKey => token.is("REFERENCES"),
            Relation::Content => {
                let begins_an_option = matches!(before, "(" | ",") && token.is("content");
                let is_set = || tokens.peek().is_some_and(|next| next.text == "=");
                begins_an_option && is_set()
            }
        };
        if token.text == ";" {
            break;
        }
        before = token.text;
        if names {
            if relation == Relation::Content {
                tokens.expect("=")?;
            }
            let parent = tokens.next_token()?;
            parents.push(Parent {
                name: parent.unquoted(),
                relation,
                at: parent.start,
            });
        }
    }
    Some(Parents {
        parents,
        is_temporary,
    })
}

/// Whether the first statement of a text has a table stand on others.
pub fn any(sql: &str) -> bool {
    !Parents::of(sql).parents.is_empty()
}

/// Refuses a statement that would have an ordinary table stand on a Tonbo table.
///
/// # Errors
/// [`StoreErrorCode::SqlError`], at the parent's name.
pub fn check(shared: &Shared, sql: &str) -> StoreResult<()> {
    let handle = shared.handle;
    let Parents {
        parents,
        is_temporary,
    } = Parents::of(sql);
    for Parent { name, relation, at } in parents {
        let Some(entry) = catalogue::find(handle, &name)? else {
            continue;
        };
        if is_temporary && declared::is_hidden(handle, &name)? {
            // The user's own temporary table is meant.
            continue;
        }
        let name = entry.name;
        let message = match relation {
            Relation::ForeignKey => {
                format!("a foreign key can't reference the Tonbo table {name}")
            }
            Relation::Content => format!(
                "an FTS5 table can't have the Tonbo table {name} as its content: leave content out, or say content = ''"
            ),
        };
        return Err(StoreError::new(StoreErrorCode::SqlError, message).at(at));
    }
    Ok(())
}

/// Refuses the name of a Tonbo table that an ordinary one stands on already.
///
/// # Errors
/// [`StoreErrorCode::SqlError`].
pub fn check_name(handle: Handle, name: &str) -> StoreResult<()> {
    let mut statement =
        handle.statement("SELECT name, sql FROM main.sqlite_schema WHERE type = 'table'")?;
    while statement.step()? {
        let (Value::Text(child), Value::Text(sql)) = (statement.value(0), statement.value(1))
        else {
            continue;
        };
        let parents = Parents::of(&sql).parents;
        let is_it = |parent: &&Parent| parent.name.eq_ignore_ascii_case(name);
        let relation = match parents.iter().find(is_it) {
            Some(parent) => parent.relation,
            None => continue,
        };
        let message = match relation {
            Relation::ForeignKey => {
                format!("a foreign key of {child} references {name}, which can't be a Tonbo table")
            }
            Relation::Content => {
                format!("{name} is the content of {child}, and can't be a Tonbo table")
            }
        };
        return Err(StoreError::new(StoreErrorCode::SqlError, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        let parents = Parents::of(sql).parents.into_iter();
        parents
            .map(|parent| {
                assert!(sql[parent.at..].contains(&parent.name));
                parent.name
            })
            .collect()
    }

    #[test]
    fn parents_are_found_in_definitions() {
        for (sql, expected) in [
            (
                "CREATE TABLE o(u INTEGER REFERENCES users(id) ON DELETE CASCADE, v, FOREIGN KEY (u, v) REFERENCES \"a b\"); SELECT 1",
                &["users", "a b"][..],
            ),
            (
                "create temp table if not exists o(u references [users])",
                &["users"],
            ),
            ("ALTER TABLE main.o ADD COLUMN r REFERENCES t(id)", &["t"]),
            (
                "CREATE VIRTUAL TABLE f USING fts5(a, content, content = 't', content_rowid = 'id')",
                &["t"],
            ),
            ("CREATE VIRTUAL TABLE f USING fts5(content=t)", &["t"]),
            ("CREATE VIRTUAL TABLE f USING fts5(a, content='')", &[""]),
        ] {
            assert_eq!(names(sql), expected, "{sql}");
        }
        for sql in [
            "CREATE TABLE o(u DEFAULT 'REFERENCES t', \"references\")",
            "CREATE TABLE o(u); CREATE TABLE p(u REFERENCES t)",
            "CREATE TABLE other.o(u REFERENCES t)",
            "CREATE VIRTUAL TABLE f USING fts5(a, content_rowid = 'id')",
            "CREATE VIRTUAL TABLE f USING rtree(id, content)",
            "INSERT INTO o VALUES (1)",
            "",
        ] {
            assert!(!any(sql), "{sql}");
        }
        let is_temporary = |sql| Parents::of(sql).is_temporary;
        assert!(is_temporary("CREATE TABLE temp.o(u REFERENCES t)"));
        assert!(!is_temporary("CREATE TABLE main.o(u REFERENCES t)"));
    }
}
