//! Statements that write, and what they do to a table's rows.

use heddle_store::error::StoreErrorCode;

use super::history::History;
use super::state::TableName::{Plain, Warp};
use super::state::{CHECKED_MAX, Extra, KEYS, Row, Rows, Schema, TableName, literal};
use super::transaction::{MainWrite, Transaction};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    Abort,
    Ignore,
    Replace,
}

pub enum Write {
    Insert(OnConflict, Vec<(u16, Row)>),
    /// Adds to `n`.
    Add {
        first: u16,
        last: u16,
        by: i64,
    },
    /// Sets `t` where `n` is even.
    SetText {
        first: u16,
        last: u16,
        text: String,
    },
    /// Sets a column that was added.
    SetExtra {
        first: u16,
        last: u16,
        column: Extra,
        value: i64,
    },
    Move {
        from: u16,
        to: u16,
    },
    Delete {
        first: u16,
        last: u16,
        /// Only rows with `n` at least this.
        least: Option<i64>,
    },
    /// `INSERT OR REPLACE … SELECT` from the ordinary table, whose keys are those of `warp`.
    CopyPlain {
        first: u16,
        last: u16,
    },
}

impl Write {
    pub fn sql(&self, table: TableName, schema: &Schema) -> String {
        let name = &schema.name;
        match self {
            Write::Insert(conflict, rows) => {
                let or = match conflict {
                    OnConflict::Abort => "",
                    OnConflict::Ignore => " OR IGNORE",
                    OnConflict::Replace => " OR REPLACE",
                };
                let values: Vec<String> = rows
                    .iter()
                    .map(|(key, row)| {
                        let [n, t] = row.values();
                        let (n, t) = (literal(&n), literal(&t));
                        format!("({}, {n}, {t})", table.key_sql(*key))
                    })
                    .collect();
                format!(
                    "INSERT{or} INTO {name}({}, n, t) VALUES {}",
                    table.key_columns(),
                    values.join(", ")
                )
            }
            Write::Add { first, last, by } => {
                let range = table.between(*first, *last);
                format!("UPDATE {name} SET n = n + {by} WHERE {range}")
            }
            Write::SetText { first, last, text } => {
                let range = table.between(*first, *last);
                format!("UPDATE {name} SET t = '{text}' WHERE {range} AND n % 2 = 0")
            }
            Write::SetExtra {
                first,
                last,
                column,
                value,
            } => {
                let range = table.between(*first, *last);
                format!("UPDATE {name} SET {} = {value} WHERE {range}", column.name)
            }
            Write::Move { from, to } => {
                let to = table.key_values(*to);
                let sets: Vec<String> = table
                    .key_columns()
                    .split(", ")
                    .zip(&to)
                    .map(|(column, value)| format!("{column} = {}", literal(value)))
                    .collect();
                format!(
                    "UPDATE {name} SET {} WHERE {}",
                    sets.join(", "),
                    table.is_key(*from)
                )
            }
            Write::Delete { first, last, least } => {
                let range = table.between(*first, *last);
                let least = least.map_or(String::new(), |least| format!(" AND n >= {least}"));
                format!("DELETE FROM {name} WHERE {range}{least}")
            }
            Write::CopyPlain { first, last } => {
                let range = Plain.between(*first, *last);
                format!(
                    "INSERT OR REPLACE INTO {name}(id, n, t) SELECT id, n + 1, t FROM plain WHERE {range}"
                )
            }
        }
    }

    /// Whether it copies no row, so that it does not look at its table.
    fn is_empty_copy(&self, plain: &Rows) -> bool {
        match self {
            Write::CopyPlain { first, last } => plain.range(*first..=*last).next().is_none(),
            _ => false,
        }
    }

    /// Changes a table's rows; the count of changes and the keys written, or `None` where a key comes twice or a CHECK does not hold. `plain` holds the ordinary
    /// table.
    pub fn apply(&self, rows: &mut Rows, plain: &Rows) -> Option<(i64, Vec<u16>)> {
        let range = |rows: &Rows, first: u16, last: u16| -> Vec<(u16, Row)> {
            rows.range(first..=last)
                .map(|(key, row)| (*key, row.clone()))
                .collect()
        };
        let mut keys = Vec::new();
        let mut changes = 0;
        match self {
            Write::Insert(conflict, new) => {
                for (key, row) in new {
                    if rows.contains_key(key) {
                        match conflict {
                            OnConflict::Abort => return None,
                            OnConflict::Ignore => continue,
                            OnConflict::Replace => {}
                        }
                    }
                    rows.insert(*key, row.clone());
                    keys.push(*key);
                    changes += 1;
                }
            }
            Write::Add { first, last, by } => {
                for (key, mut row) in range(rows, *first, *last) {
                    row.n = row.n.map(|n| n + by);
                    rows.insert(key, row);
                    keys.push(key);
                    changes += 1;
                }
            }
            Write::SetText { first, last, text } => {
                for (key, mut row) in range(rows, *first, *last) {
                    if row.n.is_some_and(|n| n % 2 == 0) {
                        row.t = Some(text.clone());
                        rows.insert(key, row);
                        keys.push(key);
                        changes += 1;
                    }
                }
            }
            Write::SetExtra {
                first,
                last,
                column,
                value,
            } => {
                for (key, mut row) in range(rows, *first, *last) {
                    if column.is_checked && *value >= CHECKED_MAX {
                        return None;
                    }
                    row.extras.insert(column.id, Some(*value));
                    rows.insert(key, row);
                    keys.push(key);
                    changes += 1;
                }
            }
            Write::Move { from, to } => {
                let Some(row) = rows.get(from).cloned() else {
                    return Some((0, keys));
                };
                if from != to && rows.contains_key(to) {
                    return None;
                }
                rows.remove(from);
                rows.insert(*to, row);
                keys.extend([*from, *to]);
                changes = 1;
            }
            Write::Delete { first, last, least } => {
                for (key, row) in range(rows, *first, *last) {
                    if least.is_none_or(|least| row.n.is_some_and(|n| n >= least)) {
                        rows.remove(&key);
                        keys.push(key);
                        changes += 1;
                    }
                }
            }
            Write::CopyPlain { first, last } => {
                for (key, mut row) in range(plain, *first, *last) {
                    row.n = row.n.map(|n| n + 1);
                    rows.insert(key, row);
                    keys.push(key);
                    changes += 1;
                }
            }
        }
        Some((changes, keys))
    }
}

impl History {
    pub fn write(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::ALL);
        let schema = self.schema(who, table);
        let write = self.random_write(table, &schema);
        let sql = write.sql(table, &schema);
        let is_dropped = self.is_dropped(who, table);
        self.inside(who, |history, transaction, is_explicit| {
            let is_plain = table == Plain;
            let mut may_fail = false;
            if is_plain {
                match history.main_write(who, transaction) {
                    MainWrite::Succeeds => {}
                    MainWrite::Either => may_fail = true,
                    MainWrite::Fails => {
                        let code = if is_explicit {
                            StoreErrorCode::Conflict
                        } else {
                            StoreErrorCode::Busy
                        };
                        history.expect_error(who, &sql, &[code]);
                        return false;
                    }
                }
            } else if !history.touch_tonbo(transaction) {
                history.expect_error(who, &sql, &[StoreErrorCode::Conflict]);
                return false;
            } else if let Some(code) = history.refusal(transaction, table)
                && !write.is_empty_copy(&transaction.view.plain)
            {
                history.expect_error(who, &sql, &[code]);
                return false;
            }
            let outcome = history.statement(who, &sql);
            if may_fail
                && let Err(error) = &outcome
                && error.code == StoreErrorCode::Conflict
            {
                return false;
            }
            // An index that was dropped with its table can't be written any more.
            if is_dropped
                && let Err(error) = &outcome
                && error.code == StoreErrorCode::SqlError
            {
                return false;
            }
            if is_plain {
                history.touch_main(transaction);
                transaction.holds_lock = true;
                transaction.changed_perhaps = true;
                history.lock = Some(who);
            }
            let source = transaction.view.plain.clone();
            let mut rows = transaction.view.rows(table).clone();
            match write.apply(&mut rows, &source) {
                Some((changes, keys)) => {
                    let (_, counted) = outcome.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                    assert_eq!(counted, changes, "changes of {sql}");
                    if is_plain {
                        // SQLite writes no page where the bytes stay the same.
                        transaction.changed_surely |= rows != source;
                    } else {
                        transaction
                            .written
                            .extend(keys.into_iter().map(|key| (table, key)));
                    }
                    *transaction.view.rows_mut(table) = rows;
                    true
                }
                None => {
                    let error = outcome.expect_err(&sql);
                    assert_eq!(error.code, StoreErrorCode::Constraint, "{sql}: {error:?}");
                    false
                }
            }
        });
    }

    pub fn main_write(&self, who: usize, transaction: &Transaction) -> MainWrite {
        if transaction.holds_lock {
            MainWrite::Succeeds
        } else if self.lock.is_some_and(|other| other != who) {
            MainWrite::Fails
        } else if transaction.main_at.is_none() {
            MainWrite::Succeeds
        } else if self.main_surely > transaction.main_surely {
            MainWrite::Fails
        } else if self.main_perhaps > transaction.main_perhaps {
            MainWrite::Either
        } else {
            MainWrite::Succeeds
        }
    }

    pub fn random_row(&mut self) -> Row {
        let n = (!self.random.chance(10)).then(|| self.random.below(200) as i64 - 100);
        let t = (!self.random.chance(10)).then(|| format!("t{}", self.random.below(9)));
        Row::new(n, t)
    }

    pub fn random_key(&mut self) -> u16 {
        self.random.below(u64::from(KEYS)) as u16
    }

    pub fn random_range(&mut self) -> (u16, u16) {
        let first = self.random_key();
        let width = if self.random.chance(10) { KEYS } else { 8 };
        let last = (first + self.random.below(u64::from(width)) as u16).min(KEYS - 1);
        (first, last)
    }

    pub fn random_write(&mut self, table: TableName, schema: &Schema) -> Write {
        let (first, last) = self.random_range();
        if !schema.extras.is_empty() && self.random.chance(25) {
            return Write::SetExtra {
                first,
                last,
                column: self.random.pick(&schema.extras).clone(),
                value: self.random.below(CHECKED_MAX * 5 / 4),
            };
        }
        match self.random.below(100) {
            0..45 => {
                let conflict = match self.random.below(10) {
                    0..4 => OnConflict::Abort,
                    4..6 => OnConflict::Ignore,
                    _ => OnConflict::Replace,
                };
                let count = 1 + self.random.below(5);
                let rows = (0..count)
                    .map(|_| (self.random_key(), self.random_row()))
                    .collect();
                Write::Insert(conflict, rows)
            }
            45..60 => Write::Add {
                first,
                last,
                by: 1 + self.random.below(5) as i64,
            },
            60..70 => Write::SetText {
                first,
                last,
                text: format!("u{}", self.random.below(9)),
            },
            70..80 => Write::Move {
                from: first,
                to: self.random_key(),
            },
            80..92 if table == Warp => Write::CopyPlain { first, last },
            _ => Write::Delete {
                first,
                last,
                least: self.random.chance(50).then_some(0),
            },
        }
    }
}
