//! `CREATE VIEW` and `CREATE TRIGGER`, read as far as it takes to know which tables they name.

use crate::tokens::{Named, Token, Tokens};

/// A view or a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A view.
    View,
    /// A trigger.
    Trigger,
}

impl Kind {
    /// As `sqlite_schema` has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::View => "view",
            Kind::Trigger => "trigger",
        }
    }

    fn of(token: Token<'_>) -> Option<Kind> {
        [Kind::View, Kind::Trigger]
            .into_iter()
            .find(|kind| token.is(kind.name()))
    }
}

/// A table or view that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The schema, where one is named.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

/// The creation of a view or trigger that is not temporary.
#[derive(Debug, PartialEq, Eq)]
pub struct Creation {
    /// Which of them.
    pub kind: Kind,
    /// Its name.
    pub named: Named,
    /// What a trigger is on.
    pub target: Option<Reference>,
    /// The tables and views that it reads and writes, and names of other kinds perhaps: those of common table expressions are not told apart.
    pub references: Vec<Reference>,
}

/// What the first statement of `sql` makes in `main`, if that is a view or a trigger.
pub fn creation(sql: &str) -> Option<Creation> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("CREATE")?;
    let kind = Kind::of(tokens.next_token()?)?;
    let named = tokens.named().filter(|named| named.is_in("main"))?;
    let target = match kind {
        Kind::View => None,
        Kind::Trigger => {
            while !tokens.next_token()?.is("ON") {}
            let first = tokens.next_token()?;
            Some(reference(&mut tokens, first)?)
        }
    };
    Some(Creation {
        kind,
        named,
        target,
        references: references(tokens),
    })
}

/// The view or trigger of `main` that the first statement of `sql` drops.
pub fn removal(sql: &str) -> Option<(Kind, Named)> {
    let mut tokens = Tokens::new(sql);
    tokens.expect("DROP")?;
    let kind = Kind::of(tokens.next_token()?)?;
    let named = tokens.named()?;
    (named.schema.is_some() && named.is_in("main")).then_some((kind, named))
}

/// What `DROP …` or `ALTER TABLE …` is about; tables and indexes pass for views.
pub fn target(sql: &str) -> Option<(Kind, Named)> {
    let mut tokens = Tokens::new(sql);
    let verb = tokens.next_token()?;
    if !verb.is("DROP") && !verb.is("ALTER") {
        return None;
    }
    let kind = Kind::of(tokens.next_token()?).unwrap_or(Kind::View);
    Some((kind, tokens.named()?))
}

/// What stands between two parentheses.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Whether a comma leads to another table.
    in_from: bool,
}

/// Where a table may stand next.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Nothing,
    Table,
    /// Behind IN: not behind a parenthesis too.
    Set,
}

/// What stands in the place of a table, up to the end of the statement.
fn references(mut tokens: Tokens<'_>) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut levels = vec![Level::default()];
    let mut expected = Expected::Nothing;
    let mut is_distinct = false;
    let mut in_body = false;
    while let Some(token) = tokens.next_token() {
        let follows_distinct = std::mem::replace(&mut is_distinct, token.is("DISTINCT"));
        let Some(level) = levels.last_mut() else {
            break;
        };
        if token.text == "(" {
            let in_from = expected == Expected::Table;
            levels.push(Level { in_from });
            if !in_from {
                expected = Expected::Nothing;
            }
        } else if token.text == ")" {
            levels.pop();
            expected = Expected::Nothing;
        } else if token.text == ";" {
            let is_end = tokens.peek().is_none_or(|next| next.is("END"));
            if !in_body || is_end {
                break;
            }
            *level = Level::default();
            expected = Expected::Nothing;
        } else if token.text == "," {
            expected = match level.in_from {
                true => Expected::Table,
                false => Expected::Nothing,
            };
        } else if token.is("FROM") && !follows_distinct {
            level.in_from = true;
            expected = Expected::Table;
        } else if token.is("JOIN") || token.is("INTO") || token.is("UPDATE") {
            expected = Expected::Table;
        } else if token.is("IN") {
            expected = Expected::Set;
        } else if token.is("OR") && expected == Expected::Table {
            // UPDATE OR IGNORE t
            tokens.next_token();
        } else if is_clause(token) {
            in_body |= token.is("BEGIN");
            level.in_from = false;
            expected = Expected::Nothing;
        } else if expected != Expected::Nothing {
            expected = Expected::Nothing;
            found.extend(reference(&mut tokens, token));
        }
    }
    found
}

/// Whether a word ends a FROM, and can't be a table's name.
fn is_clause(token: Token<'_>) -> bool {
    const CLAUSES: [&str; 15] = [
        "SELECT",
        "VALUES",
        "WITH",
        "WHERE",
        "GROUP",
        "HAVING",
        "WINDOW",
        "ORDER",
        "LIMIT",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "SET",
        "BEGIN",
        "RETURNING",
    ];
    CLAUSES.iter().any(|clause| token.is(clause))
}

fn reference(tokens: &mut Tokens<'_>, first: Token<'_>) -> Option<Reference> {
    let is_qualified = tokens.peek().is_some_and(|token| token.text == ".");
    if !is_qualified {
        return Some(Reference {
            schema: None,
            name: first.unquoted(),
        });
    }
    tokens.next_token()?;
    Some(Reference {
        schema: Some(first.unquoted()),
        name: tokens.next_token()?.unquoted(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        let creation = creation(sql).unwrap_or_else(|| panic!("{sql}"));
        let text = |reference: &Reference| match &reference.schema {
            Some(schema) => format!("{schema}.{}", reference.name),
            None => reference.name.clone(),
        };
        creation.references.iter().map(text).collect()
    }

    #[test]
    fn the_tables_of_a_view_are_found() {
        for (sql, expected) in [
            ("CREATE VIEW v AS SELECT 1", ""),
            (
                "CREATE VIEW IF NOT EXISTS main.v(a, b) AS SELECT x, y FROM t; SELECT * FROM other",
                "t",
            ),
            (
                "create view v as select a, (select max(b) from \"t 1\", t2 where c, d in t3) from main.t4 as x, t5 left join [t6] using (a, b), t7 order by a, b",
                "t 1 t2 t3 main.t4 t5 t6 t7",
            ),
            (
                "CREATE VIEW v AS SELECT a FROM (t1 JOIN t2 ON t1.a IS DISTINCT FROM t2.b), (SELECT b, c FROM t3) AS s, t4 UNION SELECT a, b FROM t5 WHERE a IN (b, c) LIMIT 1, 2",
                "t1 t2 t3 t4 t5",
            ),
            (
                "CREATE VIEW v AS WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c, t) SELECT f(x, y) OVER (PARTITION BY a, b ORDER BY c, d) FROM c",
                "c t c",
            ),
            (
                "CREATE VIEW v AS SELECT * FROM json_each('[1]'), t",
                "json_each t",
            ),
        ] {
            assert_eq!(names(sql).join(" "), expected, "{sql}");
        }
    }

    #[test]
    fn the_tables_of_a_trigger_are_found() {
        let sql = "CREATE TRIGGER tr AFTER UPDATE OF a, b ON main.o WHEN new.a IN (SELECT x FROM t0) BEGIN
            INSERT OR IGNORE INTO t1(a, b) SELECT c, d FROM t2, t3 ON CONFLICT (a) DO UPDATE SET a = 1;
            UPDATE OR REPLACE t4 SET a = 1, b = CASE WHEN a THEN 1 END FROM t5 WHERE c;
            DELETE FROM t6 WHERE a IN t7;
            REPLACE INTO t8 VALUES (1, 2), (3, 4); SELECT a, b; END; SELECT * FROM other";
        assert_eq!(names(sql).join(" "), "t0 t1 t2 t3 t4 t5 t6 t7 t8");
        let creation = creation(sql).unwrap();
        assert_eq!(creation.kind, Kind::Trigger);
        assert_eq!(
            creation.target,
            Some(Reference {
                schema: Some("main".into()),
                name: "o".into()
            })
        );
    }

    #[test]
    fn what_is_temporary_or_elsewhere_is_the_users_own() {
        for sql in [
            "CREATE TEMP VIEW v AS SELECT * FROM t",
            "CREATE VIEW temp.v AS SELECT * FROM t",
            "CREATE VIEW other.v AS SELECT * FROM t",
            "CREATE TABLE v AS SELECT * FROM t",
            "CREATE TRIGGER tr",
        ] {
            assert_eq!(creation(sql), None, "{sql}");
        }
        assert!(removal("DROP VIEW IF EXISTS main.v").is_some());
        assert!(removal("DROP VIEW v").is_none());
        assert!(removal("DROP TRIGGER temp.v").is_none());
    }
}
