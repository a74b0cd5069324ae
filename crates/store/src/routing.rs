//! Finds `CREATE VIRTUAL TABLE … USING tonbo(…)` in SQL text, so that the table is declared in `temp`.
//!
//! A write to a virtual table in `main` takes the only writer lock of the database file; in `temp` every connection writes for itself. So
//! the statement `CREATE VIRTUAL TABLE flights …` runs as `CREATE VIRTUAL TABLE temp.flights …`, and the table's definition becomes a row of
//! the catalogue.

use crate::tokens::{Named, Token, Tokens};

/// A statement that was routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The text to run instead.
    pub sql: String,
    /// Where the texts part, as a byte offset that both have in common.
    pub at: usize,
    /// The bytes that were put in, less those that were taken out.
    pub growth: isize,
}

impl Routed {
    /// `sql`, with what `named` names put into `temp`.
    pub fn to_temp(sql: &str, named: &Named) -> Routed {
        let routed = format!("{}temp.{}", &sql[..named.start], &sql[named.name_start..]);
        Routed {
            growth: routed.len() as isize - sql.len() as isize,
            sql: routed,
            at: named.start,
        }
    }

    /// Where in the user's text a byte of the routed one stands.
    pub fn in_source(&self, offset: usize) -> usize {
        if offset > self.at {
            offset.saturating_add_signed(-self.growth).max(self.at)
        } else {
            offset
        }
    }
}

/// The text to run instead of `sql`, if it starts with the creation of a Tonbo table.
pub fn route(sql: &str) -> Option<Routed> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("CREATE")?;
    tokens.expect("VIRTUAL")?;
    tokens.expect("TABLE")?;
    let named = tokens.named()?;
    tokens.expect("USING")?;
    let module = tokens.next_token()?.unquoted();
    let is_tonbo = module.eq_ignore_ascii_case("tonbo") && named.is_ours();
    is_tonbo.then(|| Routed::to_temp(sql, &named))
}

/// Where `sql`, the creation of a Tonbo table, says `temp`: such a table is there for all, and would not be temporary.
pub fn names_temp(sql: &str) -> Option<usize> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("CREATE")?;
    tokens.expect("VIRTUAL")?;
    tokens.expect("TABLE")?;
    let named = tokens.named()?;
    let is_temp = named.schema.is_some() && named.is_in("temp");
    (is_temp && route(sql).is_some()).then_some(named.start)
}

/// The name of the table that `sql` starts to make in `main`: `CREATE TABLE …` or `CREATE VIRTUAL TABLE …`, but for those that name
/// another schema or are temporary.
pub fn creation(sql: &str) -> Option<Named> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("CREATE")?;
    if tokens.peek()?.is("VIRTUAL") {
        tokens.next_token()?;
    }
    tokens.expect("TABLE")?;
    tokens.named().filter(|named| named.is_in("main"))
}

/// Whether `sql` starts with a statement that begins or ends a transaction or a savepoint.
pub fn is_about_transactions(sql: &str) -> bool {
    const VERBS: [&str; 6] = ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    let first = Tokens::new(sql).next_token();
    first.is_some_and(|token| VERBS.iter().any(|verb| token.is(verb)))
}

/// Whether `sql` starts with a statement that may end a transaction by its commit.
pub fn may_commit(sql: &str) -> bool {
    const VERBS: [&str; 3] = ["COMMIT", "END", "RELEASE"];
    let first = Tokens::new(sql).next_token();
    first.is_some_and(|token| VERBS.iter().any(|verb| token.is(verb)))
}

/// Whether `sql` starts with a statement that attaches a database.
pub fn attaches(sql: &str) -> bool {
    let first = Tokens::new(sql).next_token();
    first.is_some_and(|token| token.is("ATTACH"))
}

/// Whether `sql` starts with a statement that writes a database anew, or into another file.
pub fn vacuums(sql: &str) -> bool {
    let first = Tokens::new(sql).next_token();
    first.is_some_and(|token| token.is("VACUUM"))
}

/// Whether `sql` starts with a statement that drops something.
pub fn drops(sql: &str) -> bool {
    let first = Tokens::new(sql).next_token();
    first.is_some_and(|token| token.is("DROP"))
}

/// Whether `sql` starts with a statement that drops or alters something.
pub fn drops_or_alters(sql: &str) -> bool {
    let first = Tokens::new(sql).next_token();
    drops(sql) || first.is_some_and(|token| token.is("ALTER"))
}

/// Whether `sql` starts with a checkpoint of the database that is to leave nothing in the logs: any but a PASSIVE one.
pub fn is_full_checkpoint(sql: &str) -> bool {
    let mut tokens = Tokens::new(sql);
    let mode = tokens.expect("PRAGMA").and_then(|()| {
        let named = tokens.named().filter(|named| named.is_in("main"))?;
        let is_checkpoint = named.name.eq_ignore_ascii_case("wal_checkpoint");
        let is_set = is_checkpoint && matches!(tokens.next_token()?.text, "(" | "=");
        is_set.then_some(tokens.next_token()?.unquoted())
    });
    const MODES: [&str; 3] = ["FULL", "RESTART", "TRUNCATE"];
    mode.is_some_and(|mode| MODES.iter().any(|full| mode.eq_ignore_ascii_case(full)))
}

/// An ALTER TABLE.
#[derive(Debug, PartialEq, Eq)]
pub struct Alteration {
    /// The table's name.
    pub table: Named,
    /// What is asked for.
    pub change: Change,
    /// The statement's length, its semicolon included.
    pub length: usize,
}

/// What an ALTER TABLE asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// The table gets this name.
    Rename(String),
    /// A column gets another name.
    RenameColumn,
    /// The column of that name goes.
    DropColumn(String),
    /// A column comes.
    AddColumn,
    /// A constraint goes.
    Loosen,
}

/// The change of a table that `sql` starts with. What would have to look at every row (ADD CONSTRAINT, SET NOT NULL) is not among them.
pub fn alteration(sql: &str) -> Option<Alteration> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("ALTER")?;
    tokens.expect("TABLE")?;
    let table = tokens.named().filter(|named| !named.has_if)?;
    let verb = tokens.next_token()?;
    let next = tokens.next_token()?;
    let change = if verb.is("RENAME") && next.is("TO") {
        Change::Rename(tokens.next_token()?.unquoted())
    } else if verb.is("RENAME") {
        Change::RenameColumn
    } else if verb.is("DROP") && next.is("CONSTRAINT") {
        Change::Loosen
    } else if verb.is("DROP") && next.is("COLUMN") {
        Change::DropColumn(tokens.next_token()?.unquoted())
    } else if verb.is("DROP") {
        Change::DropColumn(next.unquoted())
    } else if verb.is("ADD") && !next.is("CONSTRAINT") && !next.is("CHECK") {
        Change::AddColumn
    } else if verb.is("ALTER") {
        let column = if next.is("COLUMN") {
            tokens.next_token()?
        } else {
            next
        };
        let drops = tokens.next_token()?.is("DROP");
        if column.text == ";" || !drops {
            return None;
        }
        Change::Loosen
    } else {
        return None;
    };
    let length = loop {
        match tokens.next_token() {
            Some(token) if token.text == ";" => break tokens.position(),
            Some(_) => {}
            None => break sql.len(),
        }
    };
    Some(Alteration {
        table,
        change,
        length,
    })
}

/// The name that a text begins with, without its quotes.
pub fn first_name(text: &str) -> String {
    let mut tokens = Tokens::new(text);
    tokens
        .next_token()
        .map_or_else(String::new, |token| token.unquoted())
}

/// What stands between the outer parentheses of a CREATE TABLE.
pub fn in_parentheses(sql: &str) -> &str {
    let mut tokens = Tokens::new(sql);
    let mut marks =
        std::iter::from_fn(|| tokens.next_token()).filter(|t| t.text == "(" || t.text == ")");
    match (marks.next(), marks.last()) {
        (Some(open), Some(close)) => &sql[open.start + 1..close.start],
        _ => "",
    }
}

/// Whether a text holds no statement: only space, comments and semicolons.
pub fn is_blank(sql: &str) -> bool {
    let mut tokens = Tokens::new(sql);
    std::iter::from_fn(|| tokens.next_token()).all(|token| token.text == ";")
}

/// Splits a list of arguments at its outer commas.
pub fn split_arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next_token() {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push(text[start..token.start].trim());
                start = token.start + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// The column definitions among the arguments that SQLite passes to `xCreate`. TonboLite's form, `create_sql = 'create table t(…)'`, is
/// understood too; its `path` has no meaning here, since a store has one place for all.
pub fn column_definitions(arguments: &[String]) -> Vec<String> {
    let option = |argument: &String| {
        let (name, value) = argument.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        ["create_sql", "path", "fs", "table_name"]
            .contains(&name.as_str())
            .then(|| (name, value.trim().to_owned()))
    };
    let options: Vec<_> = arguments.iter().filter_map(option).collect();
    match options.iter().find(|(name, _)| name == "create_sql") {
        Some((_, value)) => {
            let statement = Token {
                text: value,
                start: 0,
            }
            .unquoted();
            match (statement.find('('), statement.rfind(')')) {
                (Some(open), Some(close)) if open < close => {
                    let definitions = split_arguments(&statement[open + 1..close]);
                    definitions.into_iter().map(str::to_owned).collect()
                }
                _ => Vec::new(),
            }
        }
        None => arguments.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_creation_of_a_tonbo_table_goes_to_temp() {
        for (sql, expected) in [
            (
                "CREATE VIRTUAL TABLE f USING tonbo(id INTEGER)",
                "CREATE VIRTUAL TABLE temp.f USING tonbo(id INTEGER)",
            ),
            (
                " -- c\ncreate /* x */ virtual table if not exists \"a b\" using TONBO(x)",
                " -- c\ncreate /* x */ virtual table if not exists temp.\"a b\" using TONBO(x)",
            ),
            (
                "CREATE VIRTUAL TABLE main.f USING tonbo(id); SELECT 1",
                "CREATE VIRTUAL TABLE temp.f USING tonbo(id); SELECT 1",
            ),
        ] {
            let routed = route(sql).unwrap();
            assert_eq!(routed.sql, expected);
            assert_eq!(
                routed.sql.len() as isize,
                sql.len() as isize + routed.growth
            );
            assert_eq!(routed.sql[..routed.at], sql[..routed.at]);
        }
    }

    #[test]
    fn a_checkpoint_is_full_unless_it_is_passive() {
        for sql in [
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "pragma main.wal_checkpoint = full; SELECT 1",
            "PRAGMA wal_checkpoint('restart')",
        ] {
            assert!(is_full_checkpoint(sql), "{sql}");
        }
        for sql in [
            "PRAGMA wal_checkpoint",
            "PRAGMA wal_checkpoint(PASSIVE)",
            "PRAGMA wal_autocheckpoint(1000)",
            "PRAGMA other.wal_checkpoint(FULL)",
            "SELECT 'wal_checkpoint(FULL)'",
        ] {
            assert!(!is_full_checkpoint(sql), "{sql}");
        }
    }

    #[test]
    fn other_statements_stay_as_they_are() {
        for sql in [
            "",
            "SELECT 1",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "CREATE TABLE tonbo(x)",
            "CREATE VIRTUAL TABLE other.f USING tonbo(x)",
            "--",
        ] {
            assert_eq!(route(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_would_stand_in_main_is_named() {
        let made = |sql: &str| creation(sql).map(|named| (named.name, named.has_if));
        assert_eq!(made("CREATE TABLE t(a)"), Some(("t".into(), false)));
        assert_eq!(
            made("create table if not exists main.\"a b\" as select 1"),
            Some(("a b".into(), true))
        );
        assert_eq!(
            made("CREATE VIRTUAL TABLE w USING fts5(x)"),
            Some(("w".into(), false))
        );
        for sql in [
            "CREATE TEMP TABLE t(a)",
            "CREATE TABLE temp.t(a)",
            "CREATE INDEX t ON u(a)",
            "CREATE VIEW t AS SELECT 1",
            "SELECT 1",
        ] {
            assert_eq!(made(sql), None, "{sql}");
        }
    }

    #[test]
    fn alterations_are_told_by_what_they_change() {
        let of = |sql: &str| {
            let alteration = alteration(sql)?;
            Some((alteration.table.name, alteration.change, alteration.length))
        };
        let table = || "a b".to_owned();
        for (sql, change) in [
            (
                r#"ALTER TABLE "a b" RENAME TO [c]"#,
                Change::Rename("c".into()),
            ),
            (
                "alter table temp.[a b] rename x to y;",
                Change::RenameColumn,
            ),
            (
                "ALTER TABLE `a b` DROP COLUMN x",
                Change::DropColumn("x".into()),
            ),
            (
                "ALTER TABLE `a b` /* ; */ DROP x;",
                Change::DropColumn("x".into()),
            ),
            (
                "ALTER TABLE `a b` ADD x TEXT DEFAULT ';'",
                Change::AddColumn,
            ),
            ("ALTER TABLE `a b` DROP CONSTRAINT x", Change::Loosen),
            ("ALTER TABLE `a b` ALTER x DROP NOT NULL", Change::Loosen),
        ] {
            assert_eq!(of(sql), Some((table(), change, sql.len())), "{sql}");
        }
        for sql in [
            "ALTER TABLE t ADD CHECK (x > 0)",
            "ALTER TABLE t ALTER x SET NOT NULL",
            "ALTER TABLE t",
            "SELECT 1",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
        assert_eq!(
            in_parentheses("CREATE TABLE \"(\"(a, b (1)) STRICT"),
            "a, b (1)"
        );
    }

    #[test]
    fn arguments_are_split_at_outer_commas() {
        assert_eq!(
            split_arguments("a INT, \"b,c\" TEXT, PRIMARY KEY (a, b)"),
            ["a INT", "\"b,c\" TEXT", "PRIMARY KEY (a, b)"]
        );
    }

    #[test]
    fn tonbolites_syntax_is_understood() {
        let arguments = [
            "create_sql ='create table tonbo(id bigint primary key, name varchar)'".to_owned(),
            "path = 'db_path/test'".to_owned(),
        ];
        assert_eq!(
            column_definitions(&arguments),
            ["id bigint primary key", "name varchar"]
        );
    }
}
