//! Tables, declared once for Tonbo and once for SQLite.

use super::value::{self, Kind};
use crate::random::Random;

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    /// What stands behind DEFAULT.
    pub default: Option<String>,
    /// What stands behind COLLATE; of texts alone.
    pub collation: Option<&'static str>,
}

/// How rows are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// One INTEGER column.
    Integer(usize),
    /// Any other columns.
    Columns(Vec<usize>),
    /// Nothing but the row id, which statements give.
    RowId,
}

/// The collations that a text of a key, a UNIQUE or an index can have beside BINARY.
pub const COLLATIONS: [&str; 2] = ["NOCASE", "RTRIM"];

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub key: Key,
    /// The collation that the key has each of its columns in, where it is not the column's.
    pub key_collations: Vec<Option<&'static str>>,
    /// What stands in CHECK constraints.
    pub checks: Vec<String>,
    /// Columns that indexes may have, by position; none of the key.
    pub indexable: Vec<usize>,
    /// Columns that are UNIQUE, each by itself or several together. All of them are indexable.
    pub uniques: Vec<Vec<usize>>,
    /// Whether it is a Tonbo table where there is Tonbo.
    pub is_tonbo: bool,
}

impl Kind {
    fn tonbo(self) -> &'static str {
        match self {
            Kind::Integer => "INTEGER",
            Kind::Real => "REAL",
            Kind::Text => "TEXT",
            Kind::Blob => "BLOB",
            Kind::Boolean => "BOOLEAN",
            Kind::Date => "DATE",
            Kind::Timestamp => "TIMESTAMP",
        }
    }

    fn ordinary(self) -> &'static str {
        match self {
            Kind::Date | Kind::Timestamp => "TEXT",
            kind => kind.tonbo(),
        }
    }
}

impl Column {
    fn constraints(&self) -> String {
        let not_null = if self.not_null { " NOT NULL" } else { "" };
        let default = self.default.as_ref().map(|sql| format!(" DEFAULT {sql}"));
        let collation = self.collation.map(|name| format!(" COLLATE {name}"));
        format!(
            "{not_null}{}{}",
            default.unwrap_or_default(),
            collation.unwrap_or_default()
        )
    }

    /// Whether texts that are unlike each other can be equal in it.
    pub fn is_folded(&self) -> bool {
        self.collation.is_some()
    }
}

impl Table {
    /// A Tonbo table of any shape.
    pub fn random(random: &mut Random, name: &str) -> Table {
        let kind_of_any = |random: &mut Random| {
            *random.pick(&[
                Kind::Integer,
                Kind::Integer,
                Kind::Real,
                Kind::Text,
                Kind::Text,
                Kind::Blob,
                Kind::Boolean,
                Kind::Date,
                Kind::Timestamp,
            ])
        };
        let count = 3 + random.below(3);
        let mut columns: Vec<Column> = (0..count)
            .map(|position| Column {
                name: format!("c{position}"),
                kind: kind_of_any(random),
                not_null: random.chance(20),
                default: None,
                collation: None,
            })
            .collect();
        let key = match random.below(10) {
            0..3 => {
                let position = random.below(2);
                columns[position].kind = Kind::Integer;
                Key::Integer(position)
            }
            3..6 => {
                columns[0].kind = *random.pick(&[
                    Kind::Text,
                    Kind::Text,
                    Kind::Text,
                    Kind::Real,
                    Kind::Blob,
                    Kind::Timestamp,
                ]);
                Key::Columns(vec![0])
            }
            6..9 => {
                let first = random.below(count);
                let second = (first + 1 + random.below(count - 1)) % count;
                let mut positions = vec![first, second];
                if random.chance(25) {
                    positions.extend((0..count).find(|other| !positions.contains(other)));
                }
                Key::Columns(positions)
            }
            _ => Key::RowId,
        };
        for column in &mut columns {
            if column.kind == Kind::Text && random.chance(40) {
                column.collation = Some(*random.pick(&COLLATIONS));
            }
        }
        // Not finer than the column's: rows are ordered by their key's columns, and no two rows may be equal then.
        let collation_of = |random: &mut Random, position: &usize| {
            let Column {
                kind, collation, ..
            } = &columns[*position];
            let is_free = *kind == Kind::Text && collation.is_none() && random.chance(20);
            is_free.then(|| *random.pick(&COLLATIONS))
        };
        let key_collations = Table::positions(&key).iter();
        let key_collations = key_collations.map(|p| collation_of(random, p)).collect();
        for position in Table::positions(&key) {
            columns[*position].not_null = true;
        }
        for column in &mut columns {
            if random.chance(30) {
                let default = value::literal(&value::value(random, column.kind));
                column.default = Some(match random.below(3) {
                    // A literal has its sign, if any, in front.
                    0 => format!("({default})"),
                    _ => default,
                });
            }
        }
        let mut checks = Vec::new();
        while random.chance(25) && checks.len() < 3 {
            let Column { name, kind, .. } = random.pick(&columns);
            let operator = *random.pick(&["<>", "IS NOT"]);
            let refused = value::literal(&value::value(random, *kind));
            checks.push(format!("{name} {operator} {refused}"));
        }
        let mut indexable: Vec<usize> = (0..count)
            .filter(|position| !Table::positions(&key).contains(position))
            .collect();
        while indexable.len() > 2 {
            indexable.remove(random.below(indexable.len()));
        }
        if random.chance(25) {
            indexable.clear();
        }
        let is_wide = |position: &&usize| columns[**position].kind != Kind::Boolean;
        let uniques = match indexable[..] {
            [_, _] if random.chance(25) => vec![indexable.clone()],
            _ if random.chance(30) => indexable
                .iter()
                .filter(is_wide)
                .map(|position| vec![*position])
                .collect(),
            _ => Vec::new(),
        };
        Table {
            name: name.into(),
            columns,
            key,
            key_collations,
            checks,
            indexable,
            uniques,
            is_tonbo: true,
        }
    }

    /// An ordinary table everywhere, without types for some columns.
    pub fn ordinary(name: &str) -> Table {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
            not_null: false,
            default: None,
            collation: None,
        };
        Table {
            name: name.into(),
            columns: vec![
                column("c0", Kind::Integer),
                column("c1", Kind::Text),
                column("c2", Kind::Real),
                column("c3", Kind::Blob),
            ],
            key: Key::Integer(0),
            key_collations: vec![None],
            checks: Vec::new(),
            indexable: vec![1],
            uniques: Vec::new(),
            is_tonbo: false,
        }
    }

    fn positions(key: &Key) -> &[usize] {
        match key {
            Key::Integer(position) => std::slice::from_ref(position),
            Key::Columns(positions) => positions,
            Key::RowId => &[],
        }
    }

    /// The key's columns, as positions.
    pub fn key_positions(&self) -> &[usize] {
        Table::positions(&self.key)
    }

    /// The names of what orders rows wholly.
    pub fn key_names(&self) -> Vec<String> {
        match &self.key {
            Key::RowId => vec!["rowid".into()],
            _ => self
                .key_positions()
                .iter()
                .map(|position| self.columns[*position].name.clone())
                .collect(),
        }
    }

    /// All columns, and the row id where it is the key.
    pub fn all_names(&self) -> Vec<String> {
        let rowid = (self.key == Key::RowId).then(|| "rowid".to_owned());
        rowid
            .into_iter()
            .chain(self.columns.iter().map(|column| column.name.clone()))
            .collect()
    }

    /// The statement that makes it in Tonbo.
    pub fn tonbo_ddl(&self) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let (name, kind) = (&column.name, column.kind.tonbo());
                format!("{name} {kind}{}", column.constraints())
            })
            .collect();
        if self.key != Key::RowId {
            parts.push(self.key_part());
        }
        parts.extend(self.checks.iter().map(|check| format!("CHECK ({check})")));
        parts.extend(self.unique_parts());
        format!(
            "CREATE VIRTUAL TABLE {} USING tonbo({})",
            self.name,
            parts.join(", ")
        )
    }

    /// The statement that makes its twin in SQLite: STRICT types; WITHOUT ROWID where Tonbo has no row id either.
    pub fn ordinary_ddl(&self) -> String {
        if !self.is_tonbo {
            return format!(
                "CREATE TABLE {}(c0 INTEGER PRIMARY KEY, c1 TEXT, c2, c3 BLOB)",
                self.name
            );
        }
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let (name, constraints) = (&column.name, column.constraints());
                match column.kind {
                    Kind::Boolean => {
                        format!("{name} INTEGER{constraints} CHECK ({name} IN (0, 1))")
                    }
                    kind => format!("{name} {}{constraints}", kind.ordinary()),
                }
            })
            .collect();
        if self.key != Key::RowId {
            parts.push(self.key_part());
        }
        parts.extend(self.checks.iter().map(|check| format!("CHECK ({check})")));
        parts.extend(self.unique_parts());
        let without = if matches!(self.key, Key::Columns(_)) {
            ", WITHOUT ROWID"
        } else {
            ""
        };
        format!(
            "CREATE TABLE {}({}) STRICT{without}",
            self.name,
            parts.join(", ")
        )
    }

    fn key_part(&self) -> String {
        let columns: Vec<String> = self
            .key_names()
            .iter()
            .zip(&self.key_collations)
            .map(|(name, collation)| match collation {
                Some(collation) => format!("{name} COLLATE {collation} DESC"),
                None => name.clone(),
            })
            .collect();
        format!("PRIMARY KEY ({})", columns.join(", "))
    }

    fn unique_parts(&self) -> impl Iterator<Item = String> {
        self.uniques
            .iter()
            .map(|positions| format!("UNIQUE ({})", self.names(positions).join(", ")))
    }

    /// The names of columns.
    pub fn names(&self, positions: &[usize]) -> Vec<String> {
        positions
            .iter()
            .map(|position| self.columns[*position].name.clone())
            .collect()
    }

    /// The query for all that it holds, in order.
    pub fn content(&self) -> String {
        format!(
            "SELECT {} FROM {} ORDER BY {}",
            self.all_names().join(", "),
            self.name,
            self.key_names().join(", ")
        )
    }
}
