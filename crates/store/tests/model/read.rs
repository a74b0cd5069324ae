//! Reads by every access path.

use heddle_store::error::StoreErrorCode;
use heddle_store::value::Value;

use super::history::History;
use super::state::TableName::{Plain, Warp, Weft};
use super::state::{CHECKED_MAX, Row, State, TableName, whole_row};

impl History {
    pub fn read_all(&mut self, who: usize, table: TableName) {
        let schema = self.schema(who, table);
        let (name, key_columns) = (&schema.name, table.key_columns());
        let sql = format!("SELECT * FROM {name} ORDER BY {key_columns}");
        self.expect_rows(who, &sql, &[table], |state| {
            let rows = state.rows(table).iter();
            rows.map(|(key, row)| whole_row(table, &schema, *key, row))
                .collect()
        });
    }

    pub fn read(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::ALL);
        let schema = self.schema(who, table);
        let (name, key_columns) = (&schema.name, table.key_columns());
        let (first, last) = self.random_range();
        let whole = |(key, row): (&u16, &Row)| whole_row(table, &schema, *key, row);
        if self.random.chance(2) {
            let table = *self.random.pick(&TableName::TONBO);
            if self.is_dropped(who, table) {
                // Its indexes are gone.
                return;
            }
            let sql = format!("PRAGMA integrity_check({})", self.schema(who, table).name);
            self.expect_rows(who, &sql, &[table], |_| {
                vec![vec![Value::Text("ok".into())]]
            });
            return;
        }
        match self.random.below(14) {
            0 => self.read_all(who, table),
            1 => {
                // Not 0: SQLite then opens no cursor, so the transaction has not read the table.
                let (limit, offset) = (1 + self.random.below(20), self.random.below(10));
                let order = table.key_columns_descending();
                let sql =
                    format!("SELECT * FROM {name} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).iter().rev();
                    rows.skip(offset as usize)
                        .take(limit as usize)
                        .map(whole)
                        .collect()
                });
            }
            2 => {
                let sql = format!("SELECT n, t FROM {name} WHERE {}", table.is_key(first));
                self.expect_rows(who, &sql, &[table], |state| {
                    let row = state.rows(table).get(&first);
                    row.map(|row| row.values().to_vec()).into_iter().collect()
                });
            }
            3 => {
                let range = table.between(first, last);
                let sql = format!("SELECT * FROM {name} WHERE {range} ORDER BY {key_columns}");
                self.expect_rows(who, &sql, &[table], |state| {
                    state.rows(table).range(first..=last).map(whole).collect()
                });
            }
            4 => {
                let sql = format!("SELECT count(*), sum(n), min(n), max(t) FROM {name}");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = || state.rows(table).values();
                    let numbers = || rows().filter_map(|row| row.n);
                    let sum = numbers().next().map(|_| numbers().sum());
                    let text = rows().filter_map(|row| row.t.clone()).max();
                    vec![vec![
                        Value::Integer(rows().count() as i64),
                        sum.map_or(Value::Null, Value::Integer),
                        numbers().min().map_or(Value::Null, Value::Integer),
                        text.map_or(Value::Null, |text| Value::Text(text.into())),
                    ]]
                });
            }
            5 => {
                let least = self.random.below(200) as i64 - 100;
                let sql = format!("SELECT * FROM {name} WHERE n >= {least} ORDER BY {key_columns}");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).iter();
                    rows.filter(|(_, row)| row.n.is_some_and(|n| n >= least))
                        .map(whole)
                        .collect()
                });
            }
            6 => {
                let table = *self.random.pick(&[Warp, Plain]);
                let mut keys: Vec<u16> = (0..6).map(|_| self.random_key()).collect();
                let list: Vec<String> = keys.iter().map(|key| table.sought_sql(*key)).collect();
                let sql = format!(
                    "SELECT n, t FROM {} WHERE id IN ({}) ORDER BY id",
                    self.schema(who, table).name,
                    list.join(", ")
                );
                keys.sort_unstable();
                keys.dedup();
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = keys.iter().filter_map(|key| state.rows(table).get(key));
                    rows.map(|row| row.values().to_vec()).collect()
                });
            }
            7 => {
                let warp = &self.schema(who, Warp).name;
                let sql = format!(
                    "SELECT warp.n, plain.t FROM {warp} AS warp JOIN plain ON plain.id = warp.id ORDER BY warp.id"
                );
                self.expect_rows(who, &sql, &[Plain, Warp], |state| {
                    let pairs = state
                        .warp
                        .iter()
                        .filter_map(|(key, row)| state.plain.get(key).map(|other| (row, other)));
                    pairs
                        .map(|(row, other)| {
                            let ([n, _], [_, t]) = (row.values(), other.values());
                            vec![n, t]
                        })
                        .collect()
                });
            }
            8 => {
                let (at, word) = *self
                    .random
                    .pick(&[(0u16, ""), (1, "a"), (2, "ab"), (3, "b")]);
                let schema = self.schema(who, Weft);
                let weft = &schema.name;
                let sql = format!("SELECT * FROM {weft} WHERE k = '{word}' ORDER BY j DESC");
                self.expect_rows(who, &sql, &[Weft], |state| {
                    let rows = state.weft.range(at * 30..(at + 1) * 30).rev();
                    rows.map(|(key, row)| whole_row(Weft, &schema, *key, row))
                        .collect()
                });
            }
            9 => {
                let n = self.random.below(200) as i64 - 100;
                let sql = format!("SELECT * FROM {name} WHERE n = {n} ORDER BY {key_columns}");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).iter();
                    rows.filter(|(_, row)| row.n == Some(n))
                        .map(whole)
                        .collect()
                });
            }
            10 => {
                let first = self.random.below(200) as i64 - 100;
                let last = first + self.random.below(60) as i64;
                let sql = format!(
                    "SELECT n FROM {name} WHERE n BETWEEN {first} AND {last} ORDER BY n DESC LIMIT 7"
                );
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).values().filter_map(|row| row.n);
                    let mut found: Vec<i64> = rows.filter(|n| (first..=last).contains(n)).collect();
                    found.sort_unstable_by(|a, b| b.cmp(a));
                    found.truncate(7);
                    found.into_iter().map(|n| vec![Value::Integer(n)]).collect()
                });
            }
            11 => {
                let sql = format!("SELECT count(*) FROM {name} WHERE n IS NULL");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).values();
                    let count = rows.filter(|row| row.n.is_none()).count();
                    vec![vec![Value::Integer(count as i64)]]
                });
            }
            12 if !schema.extras.is_empty() => {
                let column = self.random.pick(&schema.extras).clone();
                let (least, extra) = (self.random.below(CHECKED_MAX), &column.name);
                let sql = format!(
                    "SELECT {extra} FROM {name} WHERE {extra} >= {least} ORDER BY {key_columns}"
                );
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).values();
                    let values = rows.filter_map(|row| row.extra(&column));
                    let found = values.filter(|value| *value >= least);
                    found.map(|value| vec![Value::Integer(value)]).collect()
                });
            }
            _ => {
                let text = format!("t{}", self.random.below(9));
                let sql = format!("SELECT * FROM {name} WHERE t = '{text}' ORDER BY {key_columns}");
                self.expect_rows(who, &sql, &[table], |state| {
                    let rows = state.rows(table).iter();
                    rows.filter(|(_, row)| row.t.as_deref() == Some(text.as_str()))
                        .map(whole)
                        .collect()
                });
            }
        }
    }

    pub fn expect_rows(
        &mut self,
        who: usize,
        sql: &str,
        tables: &[TableName],
        expected: impl FnOnce(&State) -> Vec<Vec<Value>>,
    ) {
        self.inside(who, |history, transaction, _| {
            history.touch_main(transaction);
            if tables.iter().any(|table| *table != Plain) && !history.touch_tonbo(transaction) {
                history.expect_error(who, sql, &[StoreErrorCode::Conflict]);
                return false;
            }
            let refused = tables
                .iter()
                .filter_map(|table| history.refusal(transaction, *table));
            let refused: Vec<StoreErrorCode> = refused.collect();
            if !refused.is_empty() {
                history.expect_error(who, sql, &refused);
                return false;
            }
            let (rows, _) = history
                .statement(who, sql)
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert_eq!(rows, expected(&transaction.view), "[{who}] {sql}");
            true
        });
    }
}
