//! Expressions: conditions that can be pushed down, that almost can, and that can't.
//!
//! None of them fails at run time, nor depends on the order in which rows are visited: SQL leaves both open.

use heddle_store::value::Value;

use super::table::Table;
use super::value::{self, KINDS, Kind};
use crate::random::Random;

/// A column in scope.
#[derive(Clone, Debug)]
pub struct Column {
    pub sql: String,
    pub kind: Kind,
    pub is_key: bool,
    /// Whether an index may have it.
    pub is_indexable: bool,
    /// Whether texts that are unlike each other can be equal in it.
    pub is_folded: bool,
}

/// What one statement is made with.
pub struct Maker<'a> {
    pub random: &'a mut Random,
    pub tables: &'a [Table],
    pub parameters: Vec<Value>,
    aliases: usize,
}

const COMPARISONS: [&str; 6] = ["=", "<", "<=", ">", ">=", "<>"];

impl<'a> Maker<'a> {
    pub fn new(random: &'a mut Random, tables: &'a [Table]) -> Maker<'a> {
        Maker {
            random,
            tables,
            parameters: Vec::new(),
            aliases: 0,
        }
    }

    /// A name that nothing else has.
    pub fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("q{}", self.aliases)
    }

    pub fn table(&mut self) -> &'a Table {
        let tables = self.tables;
        self.random.pick(tables)
    }

    /// A table's columns under an alias.
    pub fn columns(table: &Table, alias: &str) -> Vec<Column> {
        let keys = table.key_names();
        let indexable = table.names(&table.indexable);
        table
            .all_names()
            .into_iter()
            .map(|name| {
                let declared = table.columns.iter().find(|column| column.name == name);
                Column {
                    sql: format!("{alias}.{name}"),
                    kind: declared.map_or(Kind::Integer, |column| column.kind),
                    is_key: keys.contains(&name),
                    is_indexable: indexable.contains(&name),
                    is_folded: declared.is_some_and(|column| column.is_folded()),
                }
            })
            .collect()
    }

    /// A value as a literal or as a parameter.
    pub fn constant(&mut self, value: &Value) -> String {
        if self.random.chance(25) {
            self.parameters.push(value.clone());
            return format!("?{}", self.parameters.len());
        }
        value::literal(value)
    }

    /// A value that is likely to be of that kind.
    pub fn any(&mut self, kind: Kind) -> String {
        let value = value::any_value(self.random, kind);
        self.constant(&value)
    }

    /// A column, most often of a key or an index.
    pub fn column(&mut self, scope: &[Column]) -> Column {
        let indexable: Vec<&Column> = scope.iter().filter(|column| column.is_indexable).collect();
        if !indexable.is_empty() && self.random.chance(30) {
            return (*self.random.pick(&indexable)).clone();
        }
        let keys: Vec<&Column> = scope.iter().filter(|column| column.is_key).collect();
        if !keys.is_empty() && self.random.chance(60) {
            return (*self.random.pick(&keys)).clone();
        }
        self.random.pick(scope).clone()
    }

    /// A condition over columns in scope.
    pub fn condition(&mut self, scope: &[Column], depth: usize) -> String {
        if depth > 0 {
            match self.random.below(10) {
                0..3 => {
                    let (a, b) = (
                        self.condition(scope, depth - 1),
                        self.condition(scope, depth - 1),
                    );
                    return format!("({a} AND {b})");
                }
                3..5 => {
                    let (a, b) = (
                        self.condition(scope, depth - 1),
                        self.condition(scope, depth - 1),
                    );
                    return format!("({a} OR {b})");
                }
                5 => return format!("NOT ({})", self.condition(scope, depth - 1)),
                _ => {}
            }
        }
        let column = self.column(scope);
        let (name, kind) = (column.sql.clone(), column.kind);
        let comparison = *self.random.pick(&COMPARISONS);
        match self.random.below(36) {
            0..8 => format!("{name} {comparison} {}", self.any(kind)),
            8 => format!("{} {comparison} {name}", self.any(kind)),
            9..12 => {
                let not = if self.random.chance(15) { "NOT " } else { "" };
                format!(
                    "{name} {not}BETWEEN {} AND {}",
                    self.any(kind),
                    self.any(kind)
                )
            }
            12..15 => {
                let count = self.random.below(6);
                let list: Vec<String> = (0..count).map(|_| self.any(kind)).collect();
                let not = if self.random.chance(20) { "NOT " } else { "" };
                format!("{name} {not}IN ({})", list.join(", "))
            }
            15 => {
                let (inner, from) = self.source();
                let wanted = self.wanted(&inner, &column);
                let condition = self.condition(&inner, 0);
                let not = if self.random.chance(25) { "NOT " } else { "" };
                format!("{name} {not}IN (SELECT {wanted} FROM {from} WHERE {condition})")
            }
            16 => {
                let second = self.column(scope);
                let (a, b) = (self.any(kind), self.any(second.kind));
                format!("({name}, {}) {comparison} ({a}, {b})", second.sql)
            }
            17 => {
                let second = self.column(scope);
                let rows: Vec<String> = (0..1 + self.random.below(3))
                    .map(|_| {
                        let (a, b) = (self.any(kind), self.any(second.kind));
                        format!("({a}, {b})")
                    })
                    .collect();
                format!("({name}, {}) IN (VALUES {})", second.sql, rows.join(", "))
            }
            18 => {
                let (inner, from) = self.source();
                let second = self.column(scope);
                let (a, b) = (self.wanted(&inner, &column), self.wanted(&inner, &second));
                format!("({name}, {}) IN (SELECT {a}, {b} FROM {from})", second.sql)
            }
            19..21 => {
                let pattern = *self.random.pick(&[
                    "a%", "A%", "%", "", "k1%", "K_", "%b", "é%", "a\\%%", "1%", "_", "p%0", "a_b%",
                ]);
                let escape = if self.random.chance(30) {
                    " ESCAPE '\\'"
                } else {
                    ""
                };
                let not = if self.random.chance(15) { "NOT " } else { "" };
                let pattern = self.constant(&Value::Text(pattern.into()));
                format!("{name} {not}LIKE {pattern}{escape}")
            }
            21 => {
                let pattern = *self
                    .random
                    .pick(&["a*", "k1*", "*", "?", "[a-k]*", "K?", "p*", "1*", "é*", ""]);
                let pattern = self.constant(&Value::Text(pattern.into()));
                format!("{name} GLOB {pattern}")
            }
            22 => format!(
                "{name} IS {}NULL",
                if self.random.chance(50) { "NOT " } else { "" }
            ),
            23 => {
                let is = *self.random.pick(&[
                    "IS",
                    "IS NOT",
                    "IS DISTINCT FROM",
                    "IS NOT DISTINCT FROM",
                ]);
                format!("{name} {is} {}", self.any(kind))
            }
            24 => {
                let collation = *self.random.pick(&["NOCASE", "RTRIM", "BINARY"]);
                let value = self.any(Kind::Text);
                if self.random.chance(50) {
                    format!("{name} COLLATE {collation} {comparison} {value}")
                } else {
                    format!("{name} {comparison} {value} COLLATE {collation}")
                }
            }
            25 => {
                let other = self.column(scope);
                format!("{name} {comparison} {}", other.sql)
            }
            26 => {
                let (inner, from) = self.source();
                let theirs = self.column_like(&inner, kind);
                let condition = self.condition(&inner, 0);
                let not = if self.random.chance(30) { "NOT " } else { "" };
                format!(
                    "{not}EXISTS (SELECT 1 FROM {from} WHERE {theirs} {comparison} {name} AND {condition})"
                )
            }
            27 => {
                let (inner, from) = self.source();
                let theirs = self.column_like(&inner, kind);
                let aggregate = self.end_or_count(&inner, &theirs);
                format!("{name} {comparison} (SELECT {aggregate}({theirs}) FROM {from})")
            }
            28 => {
                let value = self.any(kind);
                let target = *self
                    .random
                    .pick(&["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC"]);
                format!("{name} {comparison} CAST({value} AS {target})")
            }
            29 => {
                let value = self.any(kind);
                let target = *self
                    .random
                    .pick(&["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC"]);
                format!("CAST({name} AS {target}) {comparison} {value}")
            }
            30 => format!("+{name} {comparison} {}", self.any(kind)),
            31 => format!(
                "({name} {comparison} {}) IS {}",
                self.any(kind),
                self.random.pick(&["TRUE", "NOT TRUE", "NULL"])
            ),
            32 => {
                let scalar = self.scalar(scope, 1);
                format!("{name} {comparison} {scalar}")
            }
            33 | 34 => self.list_beside_null(scope),
            _ => format!("likely({name} {comparison} {})", self.any(kind)),
        }
    }

    /// A list beside a NULL, of two columns that a unique index may have: entries with a NULL have other keys there than those without.
    fn list_beside_null(&mut self, scope: &[Column]) -> String {
        let first = self.column(scope);
        let others: Vec<&Column> = scope
            .iter()
            .filter(|column| column.is_indexable && column.sql != first.sql)
            .collect();
        let second = match others[..] {
            [] => self.column(scope),
            _ => (*self.random.pick(&others)).clone(),
        };
        let null = self.constant(&Value::Null);
        let list: Vec<String> = (0..1 + self.random.below(5))
            .map(|_| self.any(second.kind))
            .collect();
        format!(
            "({} IS {null} AND {} IN ({}))",
            first.sql,
            second.sql,
            list.join(", ")
        )
    }

    /// A table of the database with an alias, and its columns.
    pub fn source(&mut self) -> (Vec<Column>, String) {
        let table = self.table();
        let alias = self.alias();
        (
            Maker::columns(table, &alias),
            format!("{} AS {alias}", table.name),
        )
    }

    /// A column, of that kind if there is one.
    pub fn column_like(&mut self, scope: &[Column], kind: Kind) -> String {
        let fitting: Vec<&Column> = scope.iter().filter(|column| column.kind == kind).collect();
        if fitting.is_empty() || self.random.chance(10) {
            return self.column(scope).sql;
        }
        self.random.pick(&fitting).sql.clone()
    }

    /// An aggregate that gives one value only: of equal texts either can be the least.
    fn end_or_count(&mut self, scope: &[Column], sql: &str) -> &'static str {
        let is_it = |column: &&Column| column.sql == sql;
        match scope.iter().find(is_it) {
            Some(column) if column.is_folded => "count",
            _ => self.random.pick::<&str>(&["min", "max", "count"]),
        }
    }

    /// What a subquery gives for `column IN (…)`: the types of both decide what is equal.
    fn wanted(&mut self, inner: &[Column], column: &Column) -> String {
        match self.random.below(10) {
            0..2 => self.column(inner).sql,
            2 => {
                let (a, b) = (self.column(inner).sql, self.column(inner).sql);
                format!("coalesce({a}, {b})")
            }
            3 => {
                let wanted = self.column_like(inner, column.kind);
                let target = *self
                    .random
                    .pick(&["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC"]);
                format!("CAST({wanted} AS {target})")
            }
            _ => self.column_like(inner, column.kind),
        }
    }

    /// A value made of columns in scope.
    pub fn scalar(&mut self, scope: &[Column], depth: usize) -> String {
        let column = self.column(scope);
        let name = column.sql;
        if depth == 0 {
            return name;
        }
        match self.random.below(14) {
            0..4 => name,
            4 => {
                let operator = *self.random.pick(&["+", "-", "*", "||", "%", "/", "&", "|"]);
                let (a, b) = (self.scalar(scope, depth - 1), self.scalar(scope, depth - 1));
                format!("({a} {operator} {b})")
            }
            5 => format!("typeof({name})"),
            6 => {
                let other = self.any(column.kind);
                format!("coalesce({name}, {other})")
            }
            7 => {
                let condition = self.condition(scope, 0);
                let (a, b) = (self.scalar(scope, depth - 1), self.scalar(scope, depth - 1));
                format!("CASE WHEN {condition} THEN {a} ELSE {b} END")
            }
            8 => format!("length({name})"),
            9 => format!("hex({name})"),
            10 => format!("substr({name}, {}, 2)", self.random.below(4)),
            11 => format!("quote({name})"),
            12 => {
                let (inner, from) = self.source();
                let theirs = self.column_like(&inner, column.kind);
                let result = self.column(&inner).sql;
                let aggregate = self.end_or_count(&inner, &result);
                format!("(SELECT {aggregate}({result}) FROM {from} WHERE {theirs} = {name})")
            }
            _ => {
                let kind = *self.random.pick(&KINDS);
                self.any(kind)
            }
        }
    }

    /// A number that may be summed: small, whole, and so independent of order.
    pub fn summand(&mut self, scope: &[Column]) -> String {
        let column = self.column(scope);
        match column.kind {
            Kind::Integer | Kind::Boolean => format!("({} % 1000)", column.sql),
            _ => format!("length({})", column.sql),
        }
    }
}
