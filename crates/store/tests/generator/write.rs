//! Writes, and what goes around them.
//!
//! Where a statement can stop half-way (OR FAIL, key changes) the order in which rows are visited decides what is left. It is the order of the
//! key on both sides as long as the condition asks for nothing else: so it is kept simple there.

use heddle_store::value::Value;

use super::Statement;
use super::expression::Maker;
use super::table::{COLLATIONS, Column, Key, Table};
use super::value::{self, KINDS, Kind};
use crate::random::Random;

const CONFLICTS: [&str; 6] = ["", "", "OR IGNORE ", "OR REPLACE ", "OR ABORT ", "OR FAIL "];

/// Rows for a table that has none, as one statement. Rows with a key that was there are passed over.
pub fn fill(random: &mut Random, table: &Table, count: usize) -> Statement {
    let mut maker = Maker::new(random, &[]);
    let rows = rows(&mut maker, table, count, false, &[]);
    Statement {
        writes: Some(table.name.clone()),
        parameters: maker.parameters,
        ..Statement::new(format!(
            "INSERT OR IGNORE INTO {}({}) VALUES {rows}",
            table.name,
            table.all_names().join(", ")
        ))
    }
}

/// A statement that writes one of the tables.
pub fn write(random: &mut Random, tables: &[Table]) -> Statement {
    let mut maker = Maker::new(random, tables);
    let table = maker.table();
    let mut in_several_ways = false;
    let sql = match maker.random.below(100) {
        0..30 => insert(&mut maker, table, &mut in_several_ways),
        30..38 => insert_select(&mut maker, table),
        38..62 => update(&mut maker, table, &mut in_several_ways),
        62..72 => shift(&mut maker, table),
        72..78 => update_from(&mut maker, table),
        _ => delete(&mut maker, table),
    };
    Statement {
        writes: Some(table.name.clone()),
        parameters: maker.parameters,
        may_fail_in_several_ways: in_several_ways,
        ..Statement::new(sql)
    }
}

/// A statement about transactions; `is_open` says whether one is, `savepoints` how many.
pub fn transaction(random: &mut Random, is_open: bool, savepoints: usize) -> Statement {
    Statement::new(match random.below(10) {
        _ if !is_open => (*random.pick(&["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s0"])).to_owned(),
        0..4 if savepoints < 4 => format!("SAVEPOINT s{savepoints}"),
        4 | 5 if savepoints > 0 => format!("ROLLBACK TO s{}", random.below(savepoints)),
        6 | 7 if savepoints > 0 => format!("RELEASE s{}", random.below(savepoints)),
        8 => "ROLLBACK".to_owned(),
        _ => "COMMIT".to_owned(),
    })
}

/// Makes or drops an index.
pub fn index(random: &mut Random, tables: &[Table]) -> Statement {
    let table = random.pick(tables);
    let name = format!("i{}_{}", random.below(3), table.name);
    if table.indexable.is_empty() || random.chance(30) {
        let if_exists = if random.chance(60) { "IF EXISTS " } else { "" };
        return Statement::new(format!("DROP INDEX {if_exists}{name}"));
    }
    let first = *random.pick(&table.indexable);
    let mut columns = table.names(&[first]);
    if random.chance(40) {
        let others = table
            .columns
            .iter()
            .map(|column| column.name.clone())
            .filter(|name| *name != columns[0]);
        let others: Vec<String> = others.collect();
        columns.push(random.pick(&others).clone());
    }
    for name in &mut columns {
        let declared = table.columns.iter().find(|column| column.name == *name);
        if declared.is_some_and(|column| column.kind == Kind::Text) && random.chance(40) {
            let collation = *random.pick(&[COLLATIONS[0], COLLATIONS[1], "BINARY"]);
            name.push_str(&format!(" COLLATE {collation}"));
        }
        if random.chance(20) {
            name.push_str(" DESC");
        }
    }
    let unique = if random.chance(25) { "UNIQUE " } else { "" };
    let if_not_exists = if random.chance(60) {
        "IF NOT EXISTS "
    } else {
        ""
    };
    Statement::new(format!(
        "CREATE {unique}INDEX {if_not_exists}{name} ON {}({})",
        table.name,
        columns.join(", ")
    ))
}

/// Rows between parentheses, without the columns `left_out`.
fn rows(
    maker: &mut Maker<'_>,
    table: &Table,
    count: usize,
    with_parameters: bool,
    left_out: &[String],
) -> String {
    let rows: Vec<String> = (0..count)
        .map(|_| {
            let mut cells: Vec<String> = Vec::new();
            if table.key == Key::RowId {
                let rowid = value::value(maker.random, Kind::Integer);
                cells.push(value::literal(&rowid));
            }
            for (position, column) in table.columns.iter().enumerate() {
                if left_out.contains(&column.name) {
                    continue;
                }
                let is_key = table.key_positions().contains(&position);
                let is_untyped = !table.is_tonbo && column.kind == Kind::Real;
                let cell = match maker.random.below(100) {
                    10..70 if is_untyped => {
                        let kind = *maker.random.pick(&KINDS);
                        value::value(maker.random, kind)
                    }
                    0..10 if !column.not_null && !is_key => Value::Null,
                    10..16 if !is_key => value::convertible(maker.random, column.kind),
                    _ => value::value(maker.random, column.kind),
                };
                // The ordinary table takes what its columns' types make of it.
                cells.push(if with_parameters {
                    maker.constant(&cell)
                } else {
                    value::literal(&cell)
                });
            }
            format!("({})", cells.join(", "))
        })
        .collect();
    rows.join(", ")
}

fn insert(maker: &mut Maker<'_>, table: &Table, in_several_ways: &mut bool) -> String {
    let names = table.all_names().join(", ");
    if maker.random.chance(8) && table.is_tonbo {
        // One row with a value that its column refuses, or without one that it needs.
        let position = maker.random.below(table.columns.len());
        let column = &table.columns[position];
        let refused =
            if column.not_null && table.key != Key::Integer(position) && maker.random.chance(50) {
                Value::Null
            } else {
                value::refused(maker.random, column.kind)
            };
        let cells: Vec<String> = table
            .all_names()
            .iter()
            .map(|name| {
                let own = table.columns.iter().find(|column| column.name == *name);
                let kind = own.map_or(Kind::Integer, |column| column.kind);
                let cell = if *name == column.name {
                    refused.clone()
                } else {
                    value::value(maker.random, kind)
                };
                maker.constant(&cell)
            })
            .collect();
        *in_several_ways = true;
        return format!(
            "INSERT INTO {}({names}) VALUES ({})",
            table.name,
            cells.join(", ")
        );
    }
    let conflict = *maker.random.pick(&CONFLICTS);
    let conflict = if maker.random.chance(5) {
        "OR ROLLBACK "
    } else {
        conflict
    };
    let count = 1 + maker.random.below(5);
    // What is left out gets its default or NULL.
    let left_out: Vec<String> = if maker.random.chance(30) {
        let may_be = |position: usize, column: &Column| {
            let is_key = table.key_positions().contains(&position);
            !is_key && (column.default.is_some() || !column.not_null)
        };
        let columns = table.columns.iter().enumerate();
        columns
            .filter(|(position, column)| may_be(*position, column) && maker.random.chance(50))
            .map(|(_, column)| column.name.clone())
            .collect()
    } else {
        Vec::new()
    };
    let mut names = table.all_names();
    names.retain(|name| !left_out.contains(name));
    let rows = rows(maker, table, count, true, &left_out);
    let returning = returning(maker, table);
    format!(
        "INSERT {conflict}INTO {}({}) VALUES {rows}{returning}",
        table.name,
        names.join(", ")
    )
}

/// What an INSERT tells of its rows, if anything.
fn returning(maker: &mut Maker<'_>, table: &Table) -> String {
    match maker.random.below(4) {
        0 => format!(" RETURNING {}", table.all_names().join(", ")),
        1 => {
            let scope = Maker::columns(table, &table.name);
            format!(" RETURNING {}, 1", maker.column(&scope).sql)
        }
        _ => String::new(),
    }
}

fn insert_select(maker: &mut Maker<'_>, table: &Table) -> String {
    // From itself, with keys moved; or from another table, keys made of its keys.
    let conflict = *maker.random.pick(&CONFLICTS);
    let (scope, from) = {
        let alias = maker.alias();
        (
            Maker::columns(table, &alias),
            format!("{} AS {alias}", table.name),
        )
    };
    let condition = maker.condition(&scope, 1);
    let order: Vec<String> = scope
        .iter()
        .filter(|column| column.is_key)
        .map(|column| column.sql.clone())
        .collect();
    let cells: Vec<String> = scope
        .iter()
        .map(|column| {
            if column.is_key {
                moved(maker, &column.sql, column.kind)
            } else {
                column.sql.clone()
            }
        })
        .collect();
    format!(
        "INSERT {conflict}INTO {}({}) SELECT {} FROM {from} WHERE {condition} ORDER BY {} LIMIT {}{}",
        table.name,
        table.all_names().join(", "),
        cells.join(", "),
        order.join(", "),
        1 + maker.random.below(12),
        returning(maker, table),
    )
}

/// Another key of the same kind.
fn moved(maker: &mut Maker<'_>, name: &str, kind: Kind) -> String {
    match kind {
        Kind::Integer => format!(
            "{name} % 50 {} {}",
            maker.random.pick(&["+", "-"]),
            maker.random.below(4)
        ),
        Kind::Real => format!(
            "max(min({name}, 100.0), -100.0) + {}.5",
            maker.random.below(3)
        ),
        Kind::Text => format!(
            "{}({name}) || '{}'",
            maker.random.pick(&["upper", "lower", "trim"]),
            maker.random.pick(&["", "b", "1"])
        ),
        Kind::Blob => format!("CAST(CAST({name} AS BLOB) AS BLOB)"),
        Kind::Boolean => format!("1 - {name}"),
        Kind::Date => format!("date({name}, '+{} days')", maker.random.below(3)),
        Kind::Timestamp => format!("datetime({name}, '+{} hours')", maker.random.below(3)),
    }
}

/// A condition that leaves the rows in the key's order: one range of the key, or none.
fn simple(maker: &mut Maker<'_>, table: &Table) -> String {
    let scope = Maker::columns(table, &table.name);
    let keys: Vec<_> = scope.iter().filter(|column| column.is_key).collect();
    let key = keys[0];
    let comparison = *maker.random.pick(&["<", "<=", ">", ">=", "="]);
    match maker.random.below(3) {
        0 => String::new(),
        1 => {
            let value = maker.any(key.kind);
            format!(" WHERE {} {comparison} {value}", key.sql)
        }
        _ => {
            let column = maker.random.pick(&scope).clone();
            let value = maker.any(column.kind);
            format!(" WHERE +{} {comparison} {value}", column.sql)
        }
    }
}

/// Which rows an UPDATE visits, where it decides in what order: many in the order of the key, or one. SQLite goes along any index that has all
/// it needs; where the key is no row id, NOT INDEXED does not keep it from that. Where the key has a column DESC, an ordinary table has it so.
fn visited(maker: &mut Maker<'_>, table: &Table, is_one: bool) -> (&'static str, String) {
    let has_rowid = !matches!(table.key, Key::Columns(_));
    let is_down = table.key_collations.iter().any(Option::is_some);
    if !is_one && (has_rowid || table.indexable.is_empty() && !is_down) {
        let hint = if has_rowid { " NOT INDEXED" } else { "" };
        return (hint, simple(maker, table));
    }
    let keys = table.key_names().join(", ");
    let condition = format!(
        " WHERE ({keys}) = (SELECT {keys} FROM {} ORDER BY {keys} LIMIT 1 OFFSET {})",
        table.name,
        maker.random.below(12)
    );
    ("", condition)
}

fn update(maker: &mut Maker<'_>, table: &Table, in_several_ways: &mut bool) -> String {
    let others: Vec<&super::table::Column> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(position, _)| !table.key_positions().contains(position))
        .map(|(_, column)| column)
        .collect();
    let scope = Maker::columns(table, &table.name);
    let depth = maker.random.below(2);
    let parameters = maker.parameters.len();
    let condition = maker.condition(&scope, depth);
    if others.is_empty() {
        return format!("DELETE FROM {} WHERE {condition}", table.name);
    }
    let column = *maker.random.pick(&others);
    let is_indexable = table.names(&table.indexable).contains(&column.name);
    // Of rows that may meet, the order in which they are visited decides.
    let (conflict, (hint, condition)) = if is_indexable {
        maker.parameters.truncate(parameters);
        (*maker.random.pick(&CONFLICTS), visited(maker, table, false))
    } else {
        ("", ("", format!(" WHERE {condition}")))
    };
    let value = match maker.random.below(10) {
        0 if !column.not_null => "NULL".to_owned(),
        1 if table.is_tonbo && column.kind != Kind::Boolean => {
            *in_several_ways = true;
            let refused = value::refused(maker.random, column.kind);
            value::literal(&refused)
        }
        2 => {
            let cell = value::convertible(maker.random, column.kind);
            maker.constant(&cell)
        }
        3 => maker_same_kind(maker, table, column.kind, &column.name),
        4 | 5 if is_indexable => moved(maker, &column.name, column.kind),
        _ => {
            let cell = value::value(maker.random, column.kind);
            maker.constant(&cell)
        }
    };
    format!(
        "UPDATE {conflict}{}{hint} SET {} = {value}{condition}",
        table.name, column.name
    )
}

fn maker_same_kind(maker: &mut Maker<'_>, table: &Table, kind: Kind, otherwise: &str) -> String {
    let fitting: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.kind == kind && column.not_null)
        .map(|column| column.name.clone())
        .collect();
    if fitting.is_empty() {
        return otherwise.to_owned();
    }
    maker.random.pick(&fitting).clone()
}

/// Changes keys, of many rows at once; with OR REPLACE of one, since a row may else take the place of one that is still to be visited, where
/// virtual tables differ.
fn shift(maker: &mut Maker<'_>, table: &Table) -> String {
    let conflict = *maker.random.pick(&CONFLICTS);
    let names = table.key_names();
    let name = maker.random.pick(&names).clone();
    let kind = table
        .columns
        .iter()
        .find(|column| column.name == name)
        .map_or(Kind::Integer, |column| column.kind);
    let value = if maker.random.chance(30) {
        let cell = value::value(maker.random, kind);
        maker.constant(&cell)
    } else {
        moved(maker, &name, kind)
    };
    let (hint, condition) = visited(maker, table, conflict == "OR REPLACE ");
    format!(
        "UPDATE {conflict}{}{hint} SET {name} = {value}{condition}",
        table.name
    )
}

/// Updates by another table that has one row for each key at most, or by any of its rows.
fn update_from(maker: &mut Maker<'_>, table: &Table) -> String {
    let tables = maker.tables;
    let sources: Vec<&Table> = tables
        .iter()
        .filter(|other| matches!(other.key, Key::Integer(_)) && other.name != table.name)
        .collect();
    let target = table
        .columns
        .iter()
        .enumerate()
        .find(|(position, column)| {
            !table.key_positions().contains(position)
                && !table.indexable.contains(position)
                && column.kind == Kind::Integer
        })
        .map(|(_, column)| column.name.clone());
    let own = table
        .columns
        .iter()
        .find(|column| column.kind == Kind::Integer && Some(&column.name) != target.as_ref());
    let (Some(target), Some(own), false) = (target, own, sources.is_empty()) else {
        return delete(maker, table);
    };
    let source = *maker.random.pick(&sources);
    if maker.random.chance(40) {
        // Of several rows that one meets, any may be the one: whichever it is, the row is changed once, and to the same.
        let scope = Maker::columns(source, "s");
        let theirs = maker.column_like(&scope, Kind::Integer);
        let comparison = *maker.random.pick(&["=", "<", ">=", "<>"]);
        return format!(
            "UPDATE {} SET {target} = {} FROM {} AS s WHERE {theirs} {comparison} {}.{}",
            table.name,
            maker.random.below(20),
            source.name,
            table.name,
            own.name
        );
    }
    let key = &source.key_names()[0];
    format!(
        "UPDATE {} SET {target} = s.{key} % 100 FROM {} AS s WHERE s.{key} = {}.{}",
        table.name, source.name, table.name, own.name
    )
}

fn delete(maker: &mut Maker<'_>, table: &Table) -> String {
    if maker.random.chance(2) {
        return format!("DELETE FROM {}", table.name);
    }
    let scope = Maker::columns(table, &table.name);
    let condition = maker.condition(&scope, 1);
    // Tables are to keep some rows.
    let key = &table.key_names()[0];
    let (sign, bound) = (maker.random.pick(&["<", ">"]), maker.random.below(3));
    let half = match bound {
        0 => format!(" AND length(CAST({key} AS TEXT)) {sign} 1"),
        _ => String::new(),
    };
    format!("DELETE FROM {} WHERE ({condition}){half}", table.name)
}
