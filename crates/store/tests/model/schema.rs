//! Changes of the schema: by one connection, outside of a transaction, while others hold snapshots and open transactions.

use std::collections::BTreeSet;
use std::sync::Arc;

use heddle_store::error::StoreErrorCode;

use super::canary::Canary;
use super::history::History;
use super::state::{CHECKED_MAX, Extra, Schema, TableName};
use super::transaction::Commit;

/// A table has no more added columns than this.
const EXTRAS_MAX: usize = 4;

impl History {
    pub fn change_schema(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        match self.random.below(20) {
            0..7 => self.reindex(who, table),
            7 | 8 => self.make_unique(who, table),
            9..13 => self.add_column(who, table),
            13 | 14 => self.drop_column(who, table),
            15 | 16 => self.rename_column(who, table),
            17 | 18 => self.rename(who, table),
            _ => self.make_again(who, table),
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
        if schema.extras.len() == EXTRAS_MAX {
            return;
        }
        self.extras += 1;
        let default = (!self.random.chance(30)).then(|| self.random.below(CHECKED_MAX));
        let extra = Extra {
            id: self.extras,
            name: format!("x{}", self.extras),
            default,
            is_checked: self.random.chance(50),
        };
        let is_wrong = self.canary == Some(Canary::WrongDefault)
            && default.is_some()
            && !self.last().rows(table).is_empty();
        let told = default.map(|default| if is_wrong { default / 2 - 1 } else { default });
        let default = told.map_or(String::new(), |default| format!(" DEFAULT {default}"));
        let check = match extra.is_checked {
            true => format!(" CHECK ({} < {CHECKED_MAX})", extra.name),
            false => String::new(),
        };
        let sql = format!(
            "ALTER TABLE {} ADD COLUMN {} INTEGER{default}{check}",
            schema.name, extra.name
        );
        schema.extras.push(extra);
        if self.alters(who, &sql, table, schema) && is_wrong {
            self.canary = None;
        }
    }

    fn drop_column(&mut self, who: usize, table: TableName) {
        let mut schema = Schema::clone(&self.schema(who, table));
        if schema.extras.is_empty() {
            return;
        }
        let at = self.random.below(schema.extras.len());
        let extra = schema.extras.remove(at);
        let sql = format!("ALTER TABLE {} DROP COLUMN {}", schema.name, extra.name);
        self.alters(who, &sql, table, schema);
    }

    fn rename_column(&mut self, who: usize, table: TableName) {
        let mut schema = Schema::clone(&self.schema(who, table));
        if schema.extras.is_empty() {
            return;
        }
        let at = self.random.below(schema.extras.len());
        let extra = &mut schema.extras[at];
        let before =
            std::mem::replace(&mut extra.name, format!("y{}_{}", extra.id, self.operation));
        let sql = format!(
            "ALTER TABLE {} RENAME COLUMN {before} TO {}",
            schema.name, extra.name
        );
        self.alters(who, &sql, table, schema);
    }

    fn rename(&mut self, who: usize, table: TableName) {
        let mut schema = Schema::clone(&self.schema(who, table));
        let before = std::mem::replace(&mut schema.name, format!("table_{}", self.operation));
        let sql = format!("ALTER TABLE {before} RENAME TO {}", schema.name);
        self.alters(who, &sql, table, schema);
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
