//! The savepoints of a connection, by the numbers that SQLite has for them.
//!
//! SQLite tells virtual tables which savepoint ends or is rolled back to, but none that was dropped since that savepoint began, though the
//! rollback brings it back. So the session follows the statements about savepoints itself.

use crate::tokens::Tokens;

/// A statement about a savepoint, and the savepoint's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `SAVEPOINT name`.
    Begin(String),
    /// `RELEASE [SAVEPOINT] name`.
    Release(String),
    /// `ROLLBACK [TRANSACTION [name]] TO [SAVEPOINT] name`.
    RollBackTo(String),
}

/// What the first statement of a text does to savepoints.
pub fn parse(sql: &str) -> Option<Verb> {
    let mut tokens = Tokens::new(sql);
    let verb = tokens.next_token()?;
    let named = |mut tokens: Tokens<'_>| {
        let mut name = tokens.next_token()?;
        if name.is("SAVEPOINT") {
            name = tokens.next_token()?;
        }
        Some(name.unquoted())
    };
    if verb.is("SAVEPOINT") {
        return Some(Verb::Begin(tokens.next_token()?.unquoted()));
    }
    if verb.is("RELEASE") {
        return named(tokens).map(Verb::Release);
    }
    if !verb.is("ROLLBACK") {
        return None;
    }
    let mut next = tokens.next_token()?;
    if next.is("TRANSACTION") {
        next = tokens.next_token()?;
        if !next.is("TO") {
            next = tokens.next_token()?;
        }
    }
    next.is("TO").then(|| named(tokens))?.map(Verb::RollBackTo)
}

/// The open savepoints of a connection.
#[derive(Debug, Default)]
pub struct Savepoints {
    names: Vec<String>,
    /// Whether the first of them began the transaction: it has no number of SQLite's.
    begins_transaction: bool,
}

impl Savepoints {
    /// Follows a statement that has run; `was_autocommit` tells whether no transaction was open before. The number of its savepoint.
    pub fn follow(&mut self, verb: &Verb, was_autocommit: bool) -> Option<i32> {
        let last = |names: &[String], name: &String| {
            let is_it = |other: &String| other.eq_ignore_ascii_case(name);
            names.iter().rposition(is_it)
        };
        let position = match verb {
            Verb::Begin(name) => {
                if was_autocommit {
                    self.clear();
                    self.begins_transaction = true;
                }
                self.names.push(name.clone());
                self.names.len() - 1
            }
            Verb::Release(name) => {
                let position = last(&self.names, name)?;
                self.names.truncate(position);
                position
            }
            Verb::RollBackTo(name) => {
                let position = last(&self.names, name)?;
                self.names.truncate(position + 1);
                position
            }
        };
        let number = i32::try_from(position).ok()?;
        Some(number - i32::from(self.begins_transaction))
    }

    /// The transaction has ended.
    pub fn clear(&mut self) {
        self.names.clear();
        self.begins_transaction = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_savepoints_are_told_from_others() {
        let name = || "a b".to_owned();
        for (sql, expected) in [
            ("SAVEPOINT \"a b\"", Some(Verb::Begin(name()))),
            ("release [a b];", Some(Verb::Release(name()))),
            ("RELEASE SAVEPOINT `a b`", Some(Verb::Release(name()))),
            ("ROLLBACK TO 'a b'", Some(Verb::RollBackTo(name()))),
            (
                "rollback /* x */ transaction to savepoint \"a b\"",
                Some(Verb::RollBackTo(name())),
            ),
            (
                "ROLLBACK TRANSACTION x TO \"a b\"",
                Some(Verb::RollBackTo(name())),
            ),
            ("ROLLBACK", None),
            ("ROLLBACK; SAVEPOINT s", None),
            ("ROLLBACK TRANSACTION", None),
            ("EXPLAIN SAVEPOINT s", None),
            ("COMMIT", None),
        ] {
            assert_eq!(parse(sql), expected, "{sql}");
        }
    }

    #[test]
    fn numbers_are_sqlites() {
        let of = |name: &str| name.to_owned();
        let mut savepoints = Savepoints::default();
        assert_eq!(savepoints.follow(&Verb::Begin(of("a")), true), Some(-1));
        assert_eq!(savepoints.follow(&Verb::Begin(of("b")), false), Some(0));
        assert_eq!(savepoints.follow(&Verb::Begin(of("A")), false), Some(1));
        assert_eq!(
            savepoints.follow(&Verb::RollBackTo(of("B")), false),
            Some(0)
        );
        assert_eq!(
            savepoints.follow(&Verb::RollBackTo(of("a")), false),
            Some(-1)
        );
        assert_eq!(savepoints.follow(&Verb::Release(of("b")), false), None);
        savepoints.clear();
        assert_eq!(savepoints.follow(&Verb::Begin(of("c")), false), Some(0));
        assert_eq!(savepoints.follow(&Verb::Begin(of("c")), false), Some(1));
        assert_eq!(savepoints.follow(&Verb::Release(of("c")), false), Some(1));
        assert_eq!(savepoints.follow(&Verb::Release(of("c")), false), Some(0));
    }
}
