//! Changes of the schema: outside of a transaction and, but for DROP and CREATE, within one, while others hold snapshots and open transactions.

use std::collections::BTreeSet;
use std::sync::Arc;

use heddle_store::error::StoreErrorCode;

use super::canary::Canary;
use super::history::History;
use super::state::{CHECKED_MAX, Extra, Schema, TableName};
use super::transaction::{Commit, MainWrite, Transaction};

/// A table has no more added columns than this.
const EXTRAS_MAX: usize = 4;

impl History {
    pub fn change_schema(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        match self.random.below(20) {
            0..7 => self.reindex(who, table),
            7 | 8 => self.make_unique(who, table),
            9..13 => self.add_column(who, table),
            19 => self.make_again(who, table),
            kind => {
                let mut schema = Schema::clone(&self.schema(who, table));
                let sql = match kind {
                    13 | 14 => self.drop_column(&mut schema),
                    15 | 16 => self.rename_column(&mut schema),
                    _ => Some(self.rename(&mut schema)),
                };
                if let Some(sql) = sql {
                    self.alters(who, &sql, table, schema);
                }
            }
        }
    }

    /// Makes a table's index, or drops it.
    fn reindex(&mut self, who: usize, table: TableName) {
        let name = self.schema(who, table).name.clone();
        let has_index = self.indexed.contains(&table);
        // An index keeps its name whatever the table is called.
        let index = match table {
            TableName::Warp => "by_content_of_warp",
            _ => "by_content_of_weft",
        };
        let sql = if has_index {
            format!("DROP INDEX {index}")
        } else {
            let columns = *self.random.pick(&["n", "t, n"]);
            format!("CREATE INDEX {index} ON {name}({columns})")
        };
        if !self.changes(who, &sql) {
            return;
        }
        if !self.indexed.remove(&table) {
            self.indexed.insert(table);
        }
        self.claimed(table);
    }

    /// Makes a UNIQUE index, and drops it again; or is refused because of the rows.
    fn make_unique(&mut self, who: usize, table: TableName) {
        let name = self.schema(who, table).name.clone();
        let rows = self.last().rows(table).values();
        let mut numbers: Vec<i64> = rows.filter_map(|row| row.n).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        let sql = format!("CREATE UNIQUE INDEX only_n ON {name}(n)");
        if numbers.len() < count {
            self.expect_error(who, &sql, &[StoreErrorCode::Constraint]);
        } else if self.changes(who, &sql) {
            self.claimed(table);
            self.expect_done(who, "DROP INDEX only_n", 0);
            self.claimed(table);
        }
    }

    fn add_column(&mut self, who: usize, table: TableName) {
        let mut schema = Schema::clone(&self.schema(who, table));
        let is_wrong =
            self.canary == Some(Canary::WrongDefault) && !self.last().rows(table).is_empty();
        let Some(extra) = self.new_column(&schema) else {
            return;
        };
        let wrong = |default: i64| default / 2 - 1;
        let told = if is_wrong {
            extra.default.map(wrong)
        } else {
            extra.default
        };
        let is_wrong = told != extra.default;
        let sql = schema.sql_of_adding(&Extra {
            default: told,
            ..extra.clone()
        });
        schema.extras.push(extra);
        if self.alters(who, &sql, table, schema) && is_wrong {
            self.canary = None;
        }
    }

    fn new_column(&mut self, schema: &Schema) -> Option<Extra> {
        if schema.extras.len() == EXTRAS_MAX {
            return None;
        }
        self.extras += 1;
        Some(Extra {
            id: self.extras,
            name: format!("x{}", self.extras),
            default: (!self.random.chance(30)).then(|| self.random.below(CHECKED_MAX)),
            is_checked: self.random.chance(50),
        })
    }

    fn drop_column(&mut self, schema: &mut Schema) -> Option<String> {
        if schema.extras.is_empty() {
            return None;
        }
        let at = self.random.below(schema.extras.len());
        let extra = schema.extras.remove(at);
        Some(format!(
            "ALTER TABLE {} DROP COLUMN {}",
            schema.name, extra.name
        ))
    }

    fn rename_column(&mut self, schema: &mut Schema) -> Option<String> {
        if schema.extras.is_empty() {
            return None;
        }
        let at = self.random.below(schema.extras.len());
        let extra = &mut schema.extras[at];
        let before =
            std::mem::replace(&mut extra.name, format!("y{}_{}", extra.id, self.operation));
        Some(format!(
            "ALTER TABLE {} RENAME COLUMN {before} TO {}",
            schema.name, extra.name
        ))
    }

    fn rename(&mut self, schema: &mut Schema) -> String {
        let before = std::mem::replace(&mut schema.name, format!("table_{}", self.operation));
        format!("ALTER TABLE {before} RENAME TO {}", schema.name)
    }

    /// Alters a table within an open transaction, which sees it so from then on; the others do once it has committed.
    pub fn alter_inside(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        let Some(mut schema) = self.schema_to_alter(who, table) else {
            return;
        };
        let sql = match self.random.below(8) {
            0..4 => self.new_column(&schema).map(|extra| {
                let sql = schema.sql_of_adding(&extra);
                schema.extras.push(extra);
                sql
            }),
            4 | 5 => self.drop_column(&mut schema),
            6 => self.rename_column(&mut schema),
            _ => Some(self.rename(&mut schema)),
        };
        if let Some(sql) = sql
            && let Some(mut transaction) = self.links[who].transaction.take()
        {
            self.alter_in(who, &mut transaction, &sql, table, schema);
            self.links[who].transaction = Some(transaction);
        }
    }

    /// The table as an ALTER within the open transaction finds it: as it is in the transaction's `main`. `None` where it has another name
    /// than at the BEGIN, or is another.
    fn schema_to_alter(&self, who: usize, table: TableName) -> Option<Schema> {
        let transaction = self.links[who].transaction.as_ref()?;
        let declared = &transaction.declared[&table];
        if transaction.altered.contains(&table) {
            return Some(Schema::clone(declared));
        }
        let state = match transaction.main_at {
            Some(at) => &self.commits[at].state,
            None => self.last(),
        };
        let found = &state.schemas[&table];
        let is_same = found.name == declared.name && found.generation == declared.generation;
        is_same.then(|| Schema::clone(found))
    }

    fn alter_in(
        &mut self,
        who: usize,
        transaction: &mut Transaction,
        sql: &str,
        table: TableName,
        schema: Schema,
    ) {
        let write = self.main_write(who, transaction);
        if write == MainWrite::Fails {
            self.expect_error(who, sql, &[StoreErrorCode::Conflict]);
            return;
        }
        if !self.touch_tonbo(transaction) {
            self.expect_error(who, sql, &[StoreErrorCode::Conflict]);
            return;
        }
        match self.statement(who, sql) {
            Err(error) if write == MainWrite::Either => {
                assert_eq!(error.code, StoreErrorCode::Conflict, "{sql}: {error:?}");
                return;
            }
            outcome => drop(outcome.unwrap_or_else(|error| panic!("[{who}] {sql}: {error:?}"))),
        }
        transaction.holds_lock = true;
        transaction.changed_surely = true;
        transaction.changed_perhaps = true;
        self.lock = Some(who);
        transaction.declared.insert(table, Arc::new(schema));
        transaction.altered.insert(table);
    }

    /// Drops a table, and makes one of the same name.
    fn make_again(&mut self, who: usize, table: TableName) {
        let mut schema = Schema::clone(&self.schema(who, table));
        if !self.changes(who, &format!("DROP TABLE {}", schema.name)) {
            return;
        }
        self.expect_done(who, &table.create(&schema.name), 0);
        self.indexed.remove(&table);
        schema.generation += 1;
        schema.extras.clear();
        let mut state = self.last().clone();
        state.schemas.insert(table, Arc::new(schema));
        state.rows_mut(table).clear();
        self.changed(Commit {
            state,
            written: BTreeSet::new(),
            is_mixed: false,
            imported: None,
        });
    }

    /// Runs a statement that needs the lock of the ordinary tables, and says whether it could have it.
    fn changes(&mut self, who: usize, sql: &str) -> bool {
        if self.lock.is_some() {
            self.expect_error(who, sql, &[StoreErrorCode::Busy]);
            return false;
        }
        self.expect_done(who, sql, 0);
        true
    }

    /// Runs an ALTER TABLE that leaves a table as `schema` says.
    fn alters(&mut self, who: usize, sql: &str, table: TableName, schema: Schema) -> bool {
        if self.canary == Some(Canary::LostAlteration) && self.lock.is_none() {
            self.canary = None;
            self.note(format!("[{who}] {sql} is lost"));
        } else if !self.changes(who, sql) {
            return false;
        }
        let mut state = self.last().clone();
        state.schemas.insert(table, Arc::new(schema));
        self.changed(Commit {
            state,
            written: BTreeSet::new(),
            is_mixed: true,
            imported: None,
        });
        true
    }

    /// A table has other indexes: for who has an older snapshot it is as if every row had been written.
    fn claimed(&mut self, table: TableName) {
        self.changed(Commit {
            state: self.last().clone(),
            written: BTreeSet::new(),
            is_mixed: true,
            imported: Some(table),
        });
    }

    fn changed(&mut self, commit: Commit) {
        self.main_surely += 1;
        self.main_perhaps += 1;
        self.commits.push(commit);
    }
}
