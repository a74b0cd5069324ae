//! What the model knows of transactions.
//!
//! - `main` is read at the commit that was last when the transaction first touched anything. The Tonbo tables are read at the last commit
//!   when it first touched one of them – but a commit that also wrote `main`, or altered a table, is seen in both or in neither.
//! - The first to commit a row wins; who comes second learns it at its own commit and is rolled back.
//! - `main` has one writer at a time, and only who has read its last state may become it.
//! - The tables have the names and columns of the BEGIN, but for what the transaction itself alters. One that is another in the transaction's `main` is refused with CONFLICT; one that
//!   was dropped before the transaction read a Tonbo table, with an error of its own. One that was dropped later can be read and written, but
//!   not committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use heddle_store::error::StoreErrorCode;

use super::canary::Canary;
use super::history::History;
use super::state::{Schema, Schemas, State, TableName};

/// Commits to `main` after which a transaction that has read nothing but `main` can't read a Tonbo table any more, as the engine has it.
const MIXED_PAST_MAX: usize = 64;

/// A commit, and all rows after it.
pub struct Commit {
    pub state: State,
    pub written: BTreeSet<(TableName, u16)>,
    pub is_mixed: bool,
    pub imported: Option<TableName>,
}

#[derive(Default)]
pub struct Transaction {
    /// Whether it began with `SAVEPOINT` and ends with its `RELEASE`.
    pub is_savepoint: bool,
    /// The tables as they were when it began, and as it knows them.
    pub begun: Schemas,
    pub declared: Schemas,
    /// The tables that it has altered itself.
    pub altered: BTreeSet<TableName>,
    /// What it sees, its own writes included.
    pub view: State,
    /// The commits whose state it reads, by their positions.
    pub main_at: Option<usize>,
    pub tonbo_at: Option<usize>,
    /// How often `main` had changed when it was first read: surely, and perhaps.
    pub main_surely: u64,
    pub main_perhaps: u64,
    pub written: BTreeSet<(TableName, u16)>,
    pub holds_lock: bool,
    /// Whether it has changed the ordinary table: surely, and perhaps.
    pub changed_surely: bool,
    pub changed_perhaps: bool,
    pub savepoints: Vec<Savepoint>,
}

pub struct Savepoint {
    pub view: State,
    /// Whether `main` had been read.
    pub saw_main: bool,
    pub written: BTreeSet<(TableName, u16)>,
    pub changed_surely: bool,
    pub declared: Schemas,
    pub altered: BTreeSet<TableName>,
}

/// Whether a first write to `main` succeeds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MainWrite {
    Succeeds,
    Fails,
    /// Depends on whether a savepoint that was rolled back counts as a change.
    Either,
}

impl History {
    pub fn begin(&mut self, who: usize) {
        let mut transaction = self.fresh();
        let is_immediate = self.random.chance(25);
        if !is_immediate {
            transaction.is_savepoint = self.random.chance(20);
            let sql = if transaction.is_savepoint {
                "SAVEPOINT outermost"
            } else {
                "BEGIN"
            };
            self.expect_done(who, sql, 0);
        } else if self.lock.is_some() {
            self.expect_error(who, "BEGIN IMMEDIATE", &[StoreErrorCode::Busy]);
            return;
        } else {
            self.expect_done(who, "BEGIN IMMEDIATE", 0);
            self.touch_main(&mut transaction);
            transaction.holds_lock = true;
            self.lock = Some(who);
        }
        self.links[who].transaction = Some(transaction);
    }

    pub fn end(&mut self, who: usize, commits: bool) {
        let Some(transaction) = self.links[who].transaction.take() else {
            return;
        };
        let commit_sql = if transaction.is_savepoint {
            "RELEASE outermost"
        } else {
            "COMMIT"
        };
        if !commits {
            self.expect_done(who, "ROLLBACK", 0);
            self.unlock(who);
        } else if self.is_refused(&transaction) {
            self.expect_error(who, commit_sql, &[StoreErrorCode::Conflict]);
            // SQLite undoes everything, and yet leaves an outermost savepoint open whose release failed: the session ends that, too.
            self.unlock(who);
        } else {
            let is_lost =
                self.canary == Some(Canary::LostCommit) && !transaction.written.is_empty();
            let sql = if is_lost { "ROLLBACK" } else { commit_sql };
            if is_lost {
                self.canary = None;
            }
            self.expect_done(who, sql, 0);
            self.commit(who, transaction);
        }
        assert!(
            !self.links[who].connection.0.is_in_transaction(),
            "the transaction is over"
        );
    }

    pub fn savepoint(&mut self, who: usize) {
        let Some(mut transaction) = self.links[who].transaction.take() else {
            return;
        };
        let open = transaction.savepoints.len();
        if open == 0 || self.random.chance(45) {
            self.expect_done(who, &format!("SAVEPOINT s{open}"), 0);
            transaction.savepoints.push(Savepoint {
                view: transaction.view.clone(),
                saw_main: transaction.main_at.is_some(),
                written: transaction.written.clone(),
                changed_surely: transaction.changed_surely,
                declared: transaction.declared.clone(),
                altered: transaction.altered.clone(),
            });
        } else {
            let index = self.random.below(open as u64) as usize;
            if self.random.chance(50) {
                self.expect_done(who, &format!("RELEASE s{index}"), 0);
                transaction.savepoints.truncate(index);
            } else {
                self.expect_done(who, &format!("ROLLBACK TO s{index}"), 0);
                transaction.savepoints.truncate(index + 1);
                let saved = &transaction.savepoints[index];
                let view = self.view_at(&transaction, saved);
                transaction.written = saved.written.clone();
                transaction.changed_surely = saved.changed_surely;
                transaction.declared = saved.declared.clone();
                transaction.altered = saved.altered.clone();
                transaction.view = view;
            }
        }
        self.links[who].transaction = Some(transaction);
    }

    /// What a transaction sees once its writes since a savepoint are undone. What it read first since then, it goes on reading.
    pub fn view_at(&self, transaction: &Transaction, saved: &Savepoint) -> State {
        let mut view = State::default();
        if saved.saw_main {
            view.plain = saved.view.plain.clone();
        } else if let Some(at) = transaction.main_at {
            view.plain = self.commits[at].state.plain.clone();
        }
        if let Some(at) = transaction.tonbo_at {
            for table in TableName::TONBO {
                let mut rows = self.commits[at].state.rows(table).clone();
                for (_, key) in saved.written.iter().filter(|(other, _)| *other == table) {
                    match saved.view.rows(table).get(key) {
                        Some(row) => rows.insert(*key, row.clone()),
                        None => rows.remove(key),
                    };
                }
                *view.rows_mut(table) = rows;
            }
        }
        view
    }

    /// Whether its commit is refused, because others have written or dropped what it has written.
    fn is_refused(&self, transaction: &Transaction) -> bool {
        let Some(at) = transaction.tonbo_at else {
            return false;
        };
        let is_dropped = |table: TableName| {
            table != TableName::Plain
                && self.last().schemas[&table].generation != transaction.declared[&table].generation
        };
        let mut written = transaction.written.clone();
        written.retain(|(table, _)| !is_dropped(*table));
        let is_any_dropped = written.len() < transaction.written.len();
        let is_overtaken = self.commits[at + 1..].iter().any(|commit| {
            let is_imported = |(table, _): &(TableName, u16)| commit.imported == Some(*table);
            !commit.written.is_disjoint(&written) || written.iter().any(is_imported)
        });
        is_any_dropped || is_overtaken
    }

    /// Why a Tonbo table that the transaction has touched can't be used, if so.
    pub fn refusal(&self, transaction: &Transaction, table: TableName) -> Option<StoreErrorCode> {
        let begun = &transaction.begun[&table];
        let schema_at = |at: Option<usize>| at.map(|at| &self.commits[at].state.schemas[&table]);
        if table == TableName::Plain {
            return None;
        }
        let is_altered =
            !transaction.altered.contains(&table) && schema_at(transaction.main_at) != Some(begun);
        let is_dropped = schema_at(transaction.tonbo_at).map(|schema| schema.generation)
            != Some(begun.generation);
        (is_altered || is_dropped).then_some(StoreErrorCode::Conflict)
    }

    /// A transaction that begins now.
    fn fresh(&self) -> Transaction {
        Transaction {
            begun: self.last().schemas.clone(),
            declared: self.last().schemas.clone(),
            ..Transaction::default()
        }
    }

    /// A table as a connection knows it now.
    pub fn schema(&self, who: usize, table: TableName) -> Arc<Schema> {
        match &self.links[who].transaction {
            Some(transaction) => transaction.declared[&table].clone(),
            None => self.last().schemas[&table].clone(),
        }
    }

    /// Whether a table that a connection's transaction knows is gone.
    pub fn is_dropped(&self, who: usize, table: TableName) -> bool {
        self.schema(who, table).generation != self.last().schemas[&table].generation
    }

    pub fn commit(&mut self, who: usize, transaction: Transaction) {
        let is_mixed = transaction.holds_lock && !transaction.written.is_empty()
            || !transaction.altered.is_empty();
        self.main_surely += u64::from(is_mixed || transaction.changed_surely);
        self.main_perhaps += u64::from(is_mixed || transaction.changed_perhaps);
        if transaction.holds_lock || !transaction.written.is_empty() {
            let mut state = self.last().clone();
            for (table, key) in &transaction.written {
                match transaction.view.rows(*table).get(key) {
                    Some(row) => state.rows_mut(*table).insert(*key, row.clone()),
                    None => state.rows_mut(*table).remove(key),
                };
            }
            for table in transaction.altered {
                state
                    .schemas
                    .insert(table, transaction.declared[&table].clone());
            }
            if transaction.holds_lock {
                state.plain = transaction.view.plain;
            }
            self.commits.push(Commit {
                state,
                written: transaction.written,
                is_mixed,
                imported: None,
            });
        }
        self.unlock(who);
    }

    pub fn unlock(&mut self, who: usize) {
        if self.lock == Some(who) {
            self.lock = None;
        }
    }

    pub fn last(&self) -> &State {
        &self.commits[self.commits.len() - 1].state
    }

    pub fn touch_main(&self, transaction: &mut Transaction) {
        if transaction.main_at.is_none() {
            transaction.main_at = Some(self.commits.len() - 1);
            transaction.main_surely = self.main_surely;
            transaction.main_perhaps = self.main_perhaps;
            transaction.view.plain = self.last().plain.clone();
        }
    }

    /// False where the transaction began too long ago to read its first Tonbo table now.
    pub fn touch_tonbo(&self, transaction: &mut Transaction) -> bool {
        self.touch_main(transaction);
        let Some(main_at) = transaction.main_at else {
            return false;
        };
        if transaction.tonbo_at.is_none() {
            let since = &self.commits[main_at + 1..];
            let mixed = since.iter().filter(|commit| commit.is_mixed).count();
            if mixed > MIXED_PAST_MAX {
                return false;
            }
            let at = match since.iter().position(|commit| commit.is_mixed) {
                Some(position) => main_at + position,
                None => self.commits.len() - 1,
            };
            transaction.tonbo_at = Some(at);
            let state = &self.commits[at].state;
            transaction.view.warp = state.warp.clone();
            transaction.view.weft = state.weft.clone();
        }
        true
    }

    /// Runs something inside the connection's transaction or, where it has none, in one of its own; `run` says whether it succeeded.
    pub fn inside(
        &mut self,
        who: usize,
        run: impl FnOnce(&mut Self, &mut Transaction, bool) -> bool,
    ) {
        match self.links[who].transaction.take() {
            Some(mut transaction) => {
                run(self, &mut transaction, true);
                self.links[who].transaction = Some(transaction);
            }
            None => {
                let mut transaction = self.fresh();
                if run(self, &mut transaction, false) {
                    self.commit(who, transaction);
                } else {
                    self.unlock(who);
                }
            }
        }
    }
}
