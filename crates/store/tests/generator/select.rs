//! Queries. Where they are ordered they are so wholly, so that the sequence of rows is one.

use super::Statement;
use super::expression::{Column, Maker};
use super::table::{Key, Table};
use super::value::Kind;
use crate::random::Random;

/// Tables that a query reads, and what orders its rows wholly.
struct From {
    sql: String,
    scope: Vec<Column>,
    order: Vec<String>,
}

/// A query over tables.
pub fn select(random: &mut Random, tables: &[Table]) -> Statement {
    let mut maker = Maker::new(random, tables);
    let (sql, is_ordered, is_loose) = match maker.random.below(100) {
        0..40 => plain(&mut maker),
        40..52 => joined(&mut maker),
        52..64 => grouped(&mut maker),
        64..70 => compound(&mut maker),
        70..77 => distinct(&mut maker),
        77..84 => windowed(&mut maker),
        84..89 => counted(&mut maker),
        89..94 => with(&mut maker),
        94..97 => ends(&mut maker),
        _ => recursive(&mut maker),
    };
    Statement {
        parameters: maker.parameters,
        is_ordered,
        is_loose,
        ..Statement::new(sql)
    }
}

/// A query over a large table and small ones, none of which multiplies it.
pub fn select_large(random: &mut Random, tables: &[Table], large: &Table) -> Statement {
    // What a condition asks other tables, row by row, it asks the ordinary one.
    let mut maker = Maker::new(random, &tables[tables.len() - 1..]);
    let from = one(&mut maker, large);
    let condition = range(&mut maker, &from);
    let key = from.order.join(", ");
    let sql = match maker.random.below(6) {
        0 => format!(
            "SELECT count(*), min(big.c0), max(big.c0) FROM {} WHERE {condition}",
            from.sql
        ),
        1 => format!(
            "SELECT * FROM {} WHERE {condition} ORDER BY {key} LIMIT 20 OFFSET {}",
            from.sql,
            maker.random.below(3000)
        ),
        2 => {
            let down: Vec<String> = from
                .order
                .iter()
                .map(|term| format!("{term} DESC"))
                .collect();
            format!(
                "SELECT * FROM {} WHERE {condition} ORDER BY {} LIMIT 50",
                from.sql,
                down.join(", ")
            )
        }
        3 => {
            let small = maker.random.pick(tables);
            let theirs = Maker::columns(small, "s");
            let theirs = maker.column_like(&theirs, Kind::Integer);
            format!(
                "SELECT count(*), sum(big.c0 % 7) FROM {} AS s JOIN {} ON big.c0 = {theirs} WHERE {condition}",
                small.name, from.sql
            )
        }
        4 => format!(
            "SELECT c0 % 5, count(*), sum(c1 % 100) FROM {} WHERE {condition} GROUP BY 1",
            from.sql
        ),
        _ => format!(
            "SELECT sum(c0 % 1000), sum(c1 % 1000), count(c2) FROM {} WHERE {condition}",
            from.sql
        ),
    };
    Statement {
        is_ordered: sql.contains("ORDER BY"),
        parameters: maker.parameters,
        ..Statement::new(sql)
    }
}

fn range(maker: &mut Maker<'_>, from: &From) -> String {
    let bound = |maker: &mut Maker<'_>| maker.random.below(45_000) as i64 - 500;
    let (low, high) = (bound(maker), bound(maker));
    let near = low + maker.random.below(1500) as i64;
    match maker.random.below(7) {
        0 => "true".into(),
        1 => format!("big.c0 >= {low}"),
        2 => format!("big.c0 < {low}"),
        3 => format!("big.c0 BETWEEN {low} AND {near}"),
        4 => format!("big.c0 > {} AND big.c0 <= {}", low.min(high), low.max(high)),
        5 => format!("big.c0 IN ({low}, {near}, {high})"),
        _ => maker.condition(&from.scope, 0),
    }
}

fn one(maker: &mut Maker<'_>, table: &Table) -> From {
    let alias = if table.name == "big" {
        "big".to_owned()
    } else {
        maker.alias()
    };
    let mut scope = Maker::columns(table, &alias);
    if matches!(table.key, Key::Integer(_)) {
        scope.push(Column {
            sql: format!("{alias}.rowid"),
            kind: Kind::Integer,
            is_key: true,
            is_indexable: false,
            is_folded: false,
        });
    }
    From {
        sql: format!("{} AS {alias}", table.name),
        scope,
        order: table
            .key_names()
            .iter()
            .map(|name| format!("{alias}.{name}"))
            .collect(),
    }
}

fn where_clause(maker: &mut Maker<'_>, scope: &[Column]) -> String {
    if maker.random.chance(12) {
        return String::new();
    }
    let depth = maker.random.below(3);
    format!(" WHERE {}", maker.condition(scope, depth))
}

fn results(maker: &mut Maker<'_>, scope: &[Column]) -> String {
    if maker.random.chance(25) {
        let all: Vec<String> = scope.iter().map(|column| column.sql.clone()).collect();
        return all.join(", ");
    }
    let count = 1 + maker.random.below(3);
    let parts: Vec<String> = (0..count).map(|_| maker.scalar(scope, 2)).collect();
    parts.join(", ")
}

/// A whole order: by the key, up or down or mixed, or by something else first.
fn order(maker: &mut Maker<'_>, from: &From) -> String {
    let mut terms = Vec::new();
    if maker.random.chance(25) {
        let column = maker.column(&from.scope).sql;
        let collation = match maker.random.below(10) {
            0 => " COLLATE NOCASE",
            1 => " COLLATE RTRIM",
            _ => "",
        };
        let direction = *maker
            .random
            .pick(&["", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"]);
        terms.push(format!("{column}{collation}{direction}"));
    }
    let style = maker.random.below(5);
    for term in &from.order {
        let is_down = match style {
            0 | 1 => false,
            2 | 3 => true,
            _ => maker.random.chance(50),
        };
        terms.push(format!("{term}{}", if is_down { " DESC" } else { "" }));
    }
    format!(" ORDER BY {}", terms.join(", "))
}

fn limit(maker: &mut Maker<'_>) -> String {
    if maker.random.chance(55) {
        return String::new();
    }
    let count = match maker.random.below(12) {
        0 => "0".into(),
        1 => "-1".into(),
        2 => "(SELECT 1 + 2)".into(),
        3 => "9223372036854775807".into(),
        4 => "2 * 3".into(),
        _ => {
            let count = maker.random.below(12) as i64;
            maker.constant(&heddle_store::value::Value::Integer(count))
        }
    };
    match maker.random.below(6) {
        0 | 1 => {
            let offset = maker.random.below(9) as i64 - 1;
            let offset = maker.constant(&heddle_store::value::Value::Integer(offset));
            format!(" LIMIT {count} OFFSET {offset}")
        }
        2 => format!(" LIMIT {}, {count}", maker.random.below(4)),
        _ => format!(" LIMIT {count}"),
    }
}

fn ordered_tail(maker: &mut Maker<'_>, from: &From) -> (String, bool) {
    if maker.random.chance(45) {
        return (String::new(), false);
    }
    let order = order(maker, from);
    (format!("{order}{}", limit(maker)), true)
}

fn plain(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let table = maker.table();
    let from = one(maker, table);
    let results = results(maker, &from.scope);
    let condition = where_clause(maker, &from.scope);
    let (tail, is_ordered) = ordered_tail(maker, &from);
    (
        format!("SELECT {results} FROM {}{condition}{tail}", from.sql),
        is_ordered,
        false,
    )
}

fn join(maker: &mut Maker<'_>) -> From {
    let table = maker.table();
    let mut from = one(maker, table);
    let count = 1 + usize::from(maker.random.chance(15));
    for _ in 0..count {
        let table = maker.table();
        let next = one(maker, table);
        let kind = *maker.random.pick(&[
            "JOIN",
            "JOIN",
            "LEFT JOIN",
            "LEFT JOIN",
            "CROSS JOIN",
            "RIGHT JOIN",
            "FULL JOIN",
        ]);
        let own = maker.column(&from.scope);
        let theirs = maker.column_like(&next.scope, own.kind);
        let operator = *maker.random.pick(&["=", "=", "=", "=", ">=", "<", "IS"]);
        let mut on = format!("{} {operator} {theirs}", own.sql);
        if maker.random.chance(30) {
            let both: Vec<Column> = from.scope.iter().chain(&next.scope).cloned().collect();
            let parameters = maker.parameters.len();
            let condition = maker.condition(&both, 0);
            // SQLite itself (3.54) loses rows without a partner where the ON of an outer join has a LIKE or GLOB on an INTEGER PRIMARY KEY.
            let is_pattern = condition.contains("LIKE") || condition.contains("GLOB");
            if is_pattern && !matches!(kind, "JOIN" | "CROSS JOIN") {
                maker.parameters.truncate(parameters);
            } else {
                on = format!("{on} AND {condition}");
            }
        }
        from.sql = format!("{} {kind} {} ON {on}", from.sql, next.sql);
        from.scope.extend(next.scope);
        from.order.extend(next.order);
    }
    from
}

fn joined(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let from = join(maker);
    let results = results(maker, &from.scope);
    let condition = where_clause(maker, &from.scope);
    let (tail, is_ordered) = ordered_tail(maker, &from);
    (
        format!("SELECT {results} FROM {}{condition}{tail}", from.sql),
        is_ordered,
        false,
    )
}

fn aggregate(maker: &mut Maker<'_>, from: &From) -> String {
    let column = maker.column(&from.scope).sql;
    match maker.random.below(9) {
        0 => "count(*)".into(),
        1 => format!("count({column})"),
        2 => format!("count(DISTINCT {column})"),
        3 => format!("min({column})"),
        4 => format!("max({column})"),
        5 => format!("sum({})", maker.summand(&from.scope)),
        6 => format!("avg({})", maker.summand(&from.scope)),
        7 => {
            let condition = maker.condition(&from.scope, 0);
            format!("count(*) FILTER (WHERE {condition})")
        }
        _ => format!(
            "group_concat(quote({column}), ';' ORDER BY {})",
            from.order.join(", ")
        ),
    }
}

fn grouped(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let from = if maker.random.chance(25) {
        join(maker)
    } else {
        let table = maker.table();
        one(maker, table)
    };
    let condition = where_clause(maker, &from.scope);
    let aggregates: Vec<String> = (0..1 + maker.random.below(3))
        .map(|_| aggregate(maker, &from))
        .collect();
    let aggregates = aggregates.join(", ");
    if maker.random.chance(40) {
        return (
            format!("SELECT {aggregates} FROM {}{condition}", from.sql),
            true,
            true,
        );
    }
    let group: Vec<String> = (0..1 + maker.random.below(2))
        .map(|_| maker.column(&from.scope).sql)
        .collect();
    let having = if maker.random.chance(25) {
        format!(" HAVING {} > 1", "count(*)")
    } else {
        String::new()
    };
    let group = group.join(", ");
    let is_ordered = maker.random.chance(50);
    let order = if is_ordered {
        let direction = if maker.random.chance(40) { " DESC" } else { "" };
        let terms: Vec<String> = group
            .split(", ")
            .map(|term| format!("{term}{direction}"))
            .collect();
        format!(" ORDER BY {}{}", terms.join(", "), limit(maker))
    } else {
        String::new()
    };
    (
        format!(
            "SELECT {group}, {aggregates} FROM {}{condition} GROUP BY {group}{having}{order}",
            from.sql
        ),
        is_ordered,
        true,
    )
}

fn compound(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let mut parts = Vec::new();
    for _ in 0..2 + usize::from(maker.random.chance(20)) {
        let table = maker.table();
        let from = one(maker, table);
        let (a, b) = (maker.column(&from.scope).sql, maker.column(&from.scope).sql);
        let condition = where_clause(maker, &from.scope);
        parts.push(format!("SELECT {a}, {b} FROM {}{condition}", from.sql));
    }
    let operator = *maker
        .random
        .pick(&[" UNION ALL ", " UNION ", " INTERSECT ", " EXCEPT "]);
    let is_ordered = maker.random.chance(40);
    let order = if is_ordered { " ORDER BY 1, 2" } else { "" };
    let tail = if is_ordered {
        limit(maker)
    } else {
        String::new()
    };
    (
        format!("{}{order}{tail}", parts.join(operator)),
        is_ordered,
        true,
    )
}

fn distinct(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let from = if maker.random.chance(25) {
        join(maker)
    } else {
        let table = maker.table();
        one(maker, table)
    };
    let columns: Vec<String> = (0..1 + maker.random.below(2))
        .map(|_| maker.column(&from.scope).sql)
        .collect();
    let condition = where_clause(maker, &from.scope);
    let is_ordered = maker.random.chance(50);
    let tail = if is_ordered {
        let direction = if maker.random.chance(50) { " DESC" } else { "" };
        let terms: Vec<String> = columns
            .iter()
            .map(|term| format!("{term}{direction}"))
            .collect();
        format!(" ORDER BY {}{}", terms.join(", "), limit(maker))
    } else {
        String::new()
    };
    (
        format!(
            "SELECT DISTINCT {} FROM {}{condition}{tail}",
            columns.join(", "),
            from.sql
        ),
        is_ordered,
        true,
    )
}

fn windowed(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let table = maker.table();
    let from = one(maker, table);
    let column = maker.column(&from.scope).sql;
    let key = from.order.join(", ");
    let down: Vec<String> = from
        .order
        .iter()
        .map(|term| format!("{term} DESC"))
        .collect();
    let by = if maker.random.chance(40) {
        down.join(", ")
    } else {
        key
    };
    let partition = if maker.random.chance(50) {
        format!("PARTITION BY {} ", maker.column(&from.scope).sql)
    } else {
        String::new()
    };
    let summand = maker.summand(&from.scope);
    let frame = *maker.random.pick(&[
        "",
        " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
        " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES",
    ]);
    let function = match maker.random.below(8) {
        0 => "row_number()".into(),
        1 => "rank()".into(),
        2 => format!("lag({column}, 1, 'none')"),
        3 => format!("lead({column}, 2)"),
        4 => format!("first_value({column})"),
        5 => format!("last_value({column})"),
        6 => "ntile(3)".into(),
        _ => format!("sum({summand})"),
    };
    let condition = where_clause(maker, &from.scope);
    let (tail, is_ordered) = ordered_tail(maker, &from);
    (
        format!(
            "SELECT {column}, {function} OVER ({partition}ORDER BY {by}{frame}) FROM {}{condition}{tail}",
            from.sql
        ),
        is_ordered,
        false,
    )
}

/// How many rows a limit leaves, whichever they are.
fn counted(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let from = if maker.random.chance(40) {
        join(maker)
    } else {
        let table = maker.table();
        one(maker, table)
    };
    let condition = where_clause(maker, &from.scope);
    let order = if maker.random.chance(50) {
        order(maker, &from)
    } else {
        String::new()
    };
    let limit = limit(maker);
    (
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM {}{condition}{order}{limit})",
            from.sql
        ),
        true,
        false,
    )
}

fn with(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let table = maker.table();
    let from = one(maker, table);
    let condition = where_clause(maker, &from.scope);
    let keys = from.order.join(" AS k, ");
    let key = keys.split(" AS k").next().unwrap_or_default().to_owned();
    let value = maker.scalar(&from.scope, 1);
    let materialized = *maker
        .random
        .pick(&["", " MATERIALIZED", " NOT MATERIALIZED"]);
    let other = maker.table();
    let second = one(maker, other);
    let own = maker.column(&second.scope).sql;
    (
        format!(
            "WITH w(k, v) AS{materialized} (SELECT {key}, {value} FROM {}{condition}) SELECT w.k, w.v, {own} FROM w JOIN {} ON w.k = {own}",
            from.sql, second.sql
        ),
        false,
        false,
    )
}

/// The least and the greatest, for which SQLite takes one row from an end.
fn ends(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let table = maker.table();
    let from = one(maker, table);
    let end = *maker.random.pick(&["min", "max"]);
    let key = maker.random.pick(&from.order).clone();
    let condition = where_clause(maker, &from.scope);
    (
        format!("SELECT {end}({key}) FROM {}{condition}", from.sql),
        true,
        true,
    )
}

/// Looks a table up by key, row after row.
fn recursive(maker: &mut Maker<'_>) -> (String, bool, bool) {
    let table = maker.table();
    let from = one(maker, table);
    let own = maker.column_like(&from.scope, Kind::Integer);
    let value = maker.scalar(&from.scope, 1);
    let bound = 2 + maker.random.below(8);
    let kind = if table.key == Key::RowId {
        "LEFT JOIN"
    } else {
        "JOIN"
    };
    (
        format!(
            "WITH RECURSIVE n(i) AS (VALUES (-2) UNION ALL SELECT i + 1 FROM n WHERE i < {bound}) SELECT n.i, {value} FROM n {kind} {} ON {own} = n.i",
            from.sql
        ),
        false,
        false,
    )
}
