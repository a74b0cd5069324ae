//! One random history, run on the store and on the model together.
//!
//! # What the model knows of transactions
//! - `main` is read at the commit that was last when the transaction first touched anything. The Tonbo tables are read at the last commit
//!   when it first touched one of them – but a commit that also wrote `main` is seen in both or in neither.
//! - The first to commit a row wins; who comes second learns it at its own commit and is rolled back.
//! - `main` has one writer at a time, and only who has read its last state may become it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{PowerLossIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;

use super::state::TableName::{Plain, Warp, Weft};
use super::state::{KEYS, Row, State, TableName, literal, whole_row};
use crate::engine::{Collect, Connection, Database};
use crate::random::Random;

/// Commits to `main` after which a transaction that has read nothing but `main` can't read a Tonbo table any more, as the engine has it.
const MIXED_PAST_MAX: usize = 64;

/// Faults that the harness puts in the store's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// A commit that is acknowledged is rolled back.
    LostCommit,
    /// A row changes that nobody wrote.
    StrayWrite,
    /// A transaction's snapshot moves while it is open.
    MovedSnapshot,
    /// What a loss of power leaves is older than what was acknowledged.
    LostDurability,
}

impl Canary {
    pub const ALL: [Canary; 4] = [
        Canary::LostCommit,
        Canary::StrayWrite,
        Canary::MovedSnapshot,
        Canary::LostDurability,
    ];
}

/// A commit, and all rows after it.
struct Commit {
    state: State,
    written: BTreeSet<(TableName, u16)>,
    is_mixed: bool,
    imported: Option<TableName>,
}

#[derive(Default)]
struct Transaction {
    /// Whether it began with `SAVEPOINT` and ends with its `RELEASE`.
    is_savepoint: bool,
    /// What it sees, its own writes included.
    view: State,
    /// The commits whose state it reads, by their positions.
    main_at: Option<usize>,
    tonbo_at: Option<usize>,
    /// How often `main` had changed when it was first read: surely, and perhaps.
    main_surely: u64,
    main_perhaps: u64,
    written: BTreeSet<(TableName, u16)>,
    holds_lock: bool,
    /// Whether it has changed the ordinary table: surely, and perhaps.
    changed_surely: bool,
    changed_perhaps: bool,
    savepoints: Vec<Savepoint>,
}

struct Savepoint {
    view: State,
    /// Whether `main` had been read.
    saw_main: bool,
    written: BTreeSet<(TableName, u16)>,
    changed_surely: bool,
}

struct Link {
    connection: Connection,
    transaction: Option<Transaction>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnConflict {
    Abort,
    Ignore,
    Replace,
}

enum Write {
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

/// Whether a first write to `main` succeeds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MainWrite {
    Succeeds,
    Fails,
    /// Depends on whether a savepoint that was rolled back counts as a change.
    Either,
}

pub struct History {
    random: Random,
    /// In one history of five so small that columns are decoded again all the time.
    cache_size: usize,
    /// Few, so that nobody else has a snapshot open now and then, or some.
    connections: usize,
    io: Arc<PowerLossIo>,
    database: Option<Database>,
    links: Vec<Link>,
    commits: Vec<Commit>,
    main_surely: u64,
    main_perhaps: u64,
    /// Who may write `main`.
    lock: Option<usize>,
    /// The Tonbo tables that have an index now.
    indexed: BTreeSet<TableName>,
    /// How many operations have begun.
    pub operation: u64,
    log: VecDeque<String>,
    pub canary: Option<Canary>,
    /// What a loss of power some time ago would have left.
    stale: Option<PowerLossIo>,
}

impl History {
    pub fn new(seed: u64) -> History {
        let mut history = History {
            random: Random(seed),
            cache_size: if seed.is_multiple_of(5) {
                4 << 10
            } else {
                1 << 20
            },
            connections: if seed.is_multiple_of(3) { 2 } else { 4 },
            io: Arc::new(PowerLossIo::new()),
            database: None,
            links: Vec::new(),
            commits: vec![Commit {
                state: State::default(),
                written: BTreeSet::new(),
                is_mixed: false,
                imported: None,
            }],
            main_surely: 0,
            main_perhaps: 0,
            lock: None,
            indexed: BTreeSet::new(),
            operation: 0,
            log: VecDeque::new(),
            canary: None,
            stale: None,
        };
        history.open();
        for table in TableName::ALL {
            history.links[0].connection.run(table.create());
        }
        history
    }

    /// The last operations.
    pub fn tail(&self) -> String {
        Vec::from_iter(self.log.iter().cloned()).join("\n")
    }

    pub fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            self.operation += 1;
            self.step();
        }
        self.reopen();
        for table in TableName::ALL {
            self.read_all(0, table);
        }
    }

    fn step(&mut self) {
        let who = self.random.below(self.connections as u64) as usize;
        self.release_canary(who);
        let is_inside = self.links[who].transaction.is_some();
        match self.random.below(1000) {
            0..60 if is_inside => self.end(who, true),
            60..90 if is_inside => self.end(who, false),
            90..170 if is_inside => self.savepoint(who),
            0..150 if !is_inside => self.begin(who),
            150..167 if !is_inside => self.import(who),
            167..170 if !is_inside => self.reindex(who),
            170..185 => self.maintain(),
            185..188 => self.reopen(),
            188..191 => self.lose_power(),
            191..600 => self.write(who),
            _ => self.read(who),
        }
    }

    // Opening and closing.

    fn open(&mut self) {
        let options = StoreOptions {
            cache_size: self.cache_size,
            moves_in_background: false,
            ..StoreOptions::default()
        };
        let io: SharedIo = self.io.clone();
        let database = Database::open(io, &options).unwrap();
        self.links = (0..self.connections)
            .map(|_| {
                let connection = database.connect();
                // One thread runs all connections: nobody would let a lock go while another waits for it.
                connection.run("PRAGMA busy_timeout = 0");
                Link {
                    connection,
                    transaction: None,
                }
            })
            .collect();
        self.database = Some(database);
        self.lock = None;
    }

    fn reopen(&mut self) {
        self.note("reopen".into());
        self.links.clear();
        if let Some(database) = self.database.take() {
            database.store.close().unwrap();
        }
        self.open();
    }

    fn lose_power(&mut self) {
        self.note("lose power".into());
        let survivor = self.io.crash(self.random.next());
        let survivor = match self.stale.take() {
            Some(stale) if self.canary == Some(Canary::LostDurability) => stale,
            _ => survivor,
        };
        self.links.clear();
        self.database = None;
        self.io = Arc::new(survivor);
        self.open();
        for table in TableName::ALL {
            self.read_all(0, table);
        }
    }

    /// Makes a table's index, or drops it.
    fn reindex(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        let name = table.sql();
        let has_index = self.indexed.contains(&table);
        let sql = if has_index {
            format!("DROP INDEX by_content_of_{name}")
        } else {
            let columns = *self.random.pick(&["n", "t, n"]);
            format!("CREATE INDEX by_content_of_{name} ON {name}({columns})")
        };
        if self.lock.is_some() {
            self.expect_error(who, &sql, &[StoreErrorCode::Busy]);
            return;
        }
        self.expect_done(who, &sql, 0);
        if !self.indexed.remove(&table) {
            self.indexed.insert(table);
        }
        // Who has an older snapshot does not know it: for them it is as if every row had been written.
        self.main_surely += 1;
        self.main_perhaps += 1;
        self.commits.push(Commit {
            state: self.last().clone(),
            written: BTreeSet::new(),
            is_mixed: true,
            imported: Some(table),
        });
    }

    fn maintain(&mut self) {
        let store = &self.database.as_ref().unwrap().store;
        mover::round(store).unwrap();
        let mut text = String::from("move");
        if self.random.chance(40) {
            let published = store.sequencer.published();
            let index = self.random.below(published.tables.len() as u64) as usize;
            let (id, version) = published.tables.iter().nth(index).unwrap();
            let _writing = store.mover.writing();
            mover::write_files(store, *id, 0).unwrap();
            text = format!("move, flush {}", version.table.name);
        }
        self.note(text);
    }

    // Transactions.

    fn begin(&mut self, who: usize) {
        let mut transaction = Transaction::default();
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

    fn end(&mut self, who: usize, commits: bool) {
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
        } else if self.is_overtaken(&transaction) {
            self.expect_error(who, commit_sql, &[StoreErrorCode::Conflict]);
            if transaction.is_savepoint {
                // SQLite undoes everything, and yet leaves an outermost savepoint open whose release failed.
                self.expect_done(who, "ROLLBACK", 0);
            }
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

    fn savepoint(&mut self, who: usize) {
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
                let (written, changed_surely) = (saved.written.clone(), saved.changed_surely);
                transaction.view = self.view_at(&transaction, saved);
                transaction.written = written;
                transaction.changed_surely = changed_surely;
            }
        }
        self.links[who].transaction = Some(transaction);
    }

    /// What a transaction sees once its writes since a savepoint are undone. What it read first since then, it goes on reading.
    fn view_at(&self, transaction: &Transaction, saved: &Savepoint) -> State {
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

    fn is_overtaken(&self, transaction: &Transaction) -> bool {
        let Some(at) = transaction.tonbo_at else {
            return false;
        };
        self.commits[at + 1..].iter().any(|commit| {
            let is_imported = |(table, _): &(TableName, u16)| commit.imported == Some(*table);
            !commit.written.is_disjoint(&transaction.written)
                || transaction.written.iter().any(is_imported)
        })
    }

    fn commit(&mut self, who: usize, transaction: Transaction) {
        let is_mixed = transaction.holds_lock && !transaction.written.is_empty();
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

    fn unlock(&mut self, who: usize) {
        if self.lock == Some(who) {
            self.lock = None;
        }
    }

    fn last(&self) -> &State {
        &self.commits[self.commits.len() - 1].state
    }

    fn touch_main(&self, transaction: &mut Transaction) {
        if transaction.main_at.is_none() {
            transaction.main_at = Some(self.commits.len() - 1);
            transaction.main_surely = self.main_surely;
            transaction.main_perhaps = self.main_perhaps;
            transaction.view.plain = self.last().plain.clone();
        }
    }

    /// False where the transaction began too long ago to read its first Tonbo table now.
    fn touch_tonbo(&self, transaction: &mut Transaction) -> bool {
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
    fn inside(&mut self, who: usize, run: impl FnOnce(&mut Self, &mut Transaction, bool) -> bool) {
        match self.links[who].transaction.take() {
            Some(mut transaction) => {
                run(self, &mut transaction, true);
                self.links[who].transaction = Some(transaction);
            }
            None => {
                let mut transaction = Transaction::default();
                if run(self, &mut transaction, false) {
                    self.commit(who, transaction);
                } else {
                    self.unlock(who);
                }
            }
        }
    }

    // Writing.

    fn write(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::ALL);
        let write = self.random_write(table);
        let sql = write.sql(table);
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
            }
            let outcome = history.statement(who, &sql);
            if may_fail
                && let Err(error) = &outcome
                && error.code == StoreErrorCode::Conflict
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

    fn main_write(&self, who: usize, transaction: &Transaction) -> MainWrite {
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

    fn random_row(&mut self) -> Row {
        let n = (!self.random.chance(10)).then(|| self.random.below(200) as i64 - 100);
        let t = (!self.random.chance(10)).then(|| format!("t{}", self.random.below(9)));
        Row { n, t }
    }

    fn random_key(&mut self) -> u16 {
        self.random.below(u64::from(KEYS)) as u16
    }

    fn random_range(&mut self) -> (u16, u16) {
        let first = self.random_key();
        let width = if self.random.chance(10) { KEYS } else { 8 };
        let last = (first + self.random.below(u64::from(width)) as u16).min(KEYS - 1);
        (first, last)
    }

    fn random_write(&mut self, table: TableName) -> Write {
        let (first, last) = self.random_range();
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

    /// Imports a file of some new rows, now and then with one that is there already.
    fn import(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::TONBO);
        let mut keys: Vec<u16> = (0..12).map(|_| self.random_key()).collect();
        if !self.random.chance(20) {
            keys.retain(|key| !self.last().rows(table).contains_key(key));
        }
        keys.sort_unstable();
        keys.dedup();
        let rows: Vec<(u16, Row)> = keys
            .into_iter()
            .map(|key| (key, self.random_row()))
            .collect();
        let batch_rows = 1 + self.random.below(6) as usize;
        let options = ImportOptions {
            table: table.sql().into(),
            batch_rows: Some(batch_rows),
            ..ImportOptions::default()
        };
        let mut is_refused = false;
        for batch in rows.chunks(batch_rows) {
            let mut state = self.last().clone();
            let target = state.rows_mut(table);
            if batch.iter().any(|(key, _)| target.contains_key(key)) {
                is_refused = true;
                break;
            }
            target.extend(batch.iter().cloned());
            self.commits.push(Commit {
                state,
                written: BTreeSet::new(),
                is_mixed: false,
                imported: Some(table),
            });
        }
        let file = arrow_file(table, &rows);
        let outcome = import::run(
            &self.links[who].connection.0,
            file.into(),
            &options,
            &mut |_| Ok(()),
        );
        self.note(format!(
            "[{who}] import {} rows into {}: {outcome:?}",
            rows.len(),
            table.sql()
        ));
        match outcome {
            Ok(count) => {
                assert!(!is_refused, "a duplicate was imported");
                assert_eq!(count, rows.len() as u64);
            }
            Err(error) => {
                assert!(is_refused, "{error:?}");
                assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
            }
        }
    }

    // Reading.

    fn read_all(&mut self, who: usize, table: TableName) {
        let sql = format!(
            "SELECT * FROM {} ORDER BY {}",
            table.sql(),
            table.key_columns()
        );
        self.expect_rows(who, &sql, &[table], |state| {
            let rows = state.rows(table).iter();
            rows.map(|(key, row)| whole_row(table, *key, row)).collect()
        });
    }

    fn read(&mut self, who: usize) {
        let table = *self.random.pick(&TableName::ALL);
        let (name, key_columns) = (table.sql(), table.key_columns());
        let (first, last) = self.random_range();
        let whole = move |(key, row): (&u16, &Row)| whole_row(table, *key, row);
        if self.random.chance(2) {
            let table = *self.random.pick(&TableName::TONBO);
            let sql = format!("PRAGMA integrity_check({})", table.sql());
            self.expect_rows(who, &sql, &[table], |_| {
                vec![vec![Value::Text("ok".into())]]
            });
            return;
        }
        match self.random.below(13) {
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
                let list: Vec<String> = keys.iter().map(|key| table.key_sql(*key)).collect();
                let sql = format!(
                    "SELECT n, t FROM {} WHERE id IN ({}) ORDER BY id",
                    table.sql(),
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
                let sql = "SELECT warp.n, plain.t FROM warp JOIN plain ON plain.id = warp.id ORDER BY warp.id";
                self.expect_rows(who, sql, &[Plain, Warp], |state| {
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
                let sql = format!("SELECT * FROM weft WHERE k = '{word}' ORDER BY j DESC");
                self.expect_rows(who, &sql, &[Weft], |state| {
                    let rows = state.weft.range(at * 30..(at + 1) * 30).rev();
                    rows.map(|(key, row)| whole_row(Weft, *key, row)).collect()
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

    fn expect_rows(
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
            let (rows, _) = history
                .statement(who, sql)
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert_eq!(rows, expected(&transaction.view), "[{who}] {sql}");
            true
        });
    }

    // Talking to the store.

    fn statement(&mut self, who: usize, sql: &str) -> Result<(Vec<Vec<Value>>, i64), StoreError> {
        let mut rows = Collect(Vec::new());
        let outcome = self.links[who]
            .connection
            .0
            .run(sql, &Parameters::none(), &mut rows);
        let said = match &outcome {
            Ok(outcome) => format!("{} rows, {} changes", rows.0.len(), outcome.changes),
            Err(error) => format!("{:?}: {}", error.code, error.message),
        };
        self.note(format!("[{who}] {sql} → {said}"));
        outcome.map(|outcome| (rows.0, outcome.changes))
    }

    fn expect_done(&mut self, who: usize, sql: &str, changes: i64) {
        let (_, counted) = self
            .statement(who, sql)
            .unwrap_or_else(|error| panic!("[{who}] {sql}: {error:?}"));
        assert_eq!(counted, changes, "changes of {sql}");
    }

    fn expect_error(&mut self, who: usize, sql: &str, codes: &[StoreErrorCode]) {
        match self.statement(who, sql) {
            Ok(_) => panic!("[{who}] {sql}: succeeded instead of {codes:?}"),
            Err(error) => assert!(codes.contains(&error.code), "[{who}] {sql}: {error:?}"),
        }
    }

    fn note(&mut self, line: String) {
        if self.log.len() == 150 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{}: {line}", self.operation));
    }

    fn release_canary(&mut self, who: usize) {
        if self.operation < 200 {
            return;
        }
        match self.canary {
            Some(Canary::StrayWrite) => {
                let link = &self.links[who];
                if link.transaction.is_none() {
                    link.connection
                        .run("INSERT OR REPLACE INTO warp VALUES (33, 424242, 'nobody')");
                    self.canary = None;
                }
            }
            Some(Canary::MovedSnapshot) => {
                let link = &self.links[who];
                if let Some(transaction) = &link.transaction
                    && transaction.savepoints.is_empty()
                    && transaction.written.is_empty()
                    && !transaction.holds_lock
                    && self.is_behind(transaction)
                {
                    link.connection.run("ROLLBACK; BEGIN");
                    self.canary = None;
                }
            }
            Some(Canary::LostDurability) => {
                if self.stale.is_none() {
                    self.stale = Some(self.io.crash(0));
                }
            }
            Some(Canary::LostCommit) | None => {}
        }
    }

    /// Whether a new snapshot would see other rows than the transaction's.
    fn is_behind(&self, transaction: &Transaction) -> bool {
        transaction
            .tonbo_at
            .is_some_and(|at| self.commits[at].state.warp != self.last().warp)
    }
}

impl Write {
    fn sql(&self, table: TableName) -> String {
        let name = table.sql();
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
                format!("INSERT{or} INTO {name} VALUES {}", values.join(", "))
            }
            Write::Add { first, last, by } => {
                let range = table.between(*first, *last);
                format!("UPDATE {name} SET n = n + {by} WHERE {range}")
            }
            Write::SetText { first, last, text } => {
                let range = table.between(*first, *last);
                format!("UPDATE {name} SET t = '{text}' WHERE {range} AND n % 2 = 0")
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
                    "INSERT OR REPLACE INTO {name} SELECT id, n + 1, t FROM plain WHERE {range}"
                )
            }
        }
    }

    /// Changes a table's rows; the count of changes and the keys written, or `None` where a key comes twice. `plain` holds the ordinary
    /// table.
    fn apply(
        &self,
        rows: &mut super::state::Rows,
        plain: &super::state::Rows,
    ) -> Option<(i64, Vec<u16>)> {
        let range = |rows: &super::state::Rows, first: u16, last: u16| -> Vec<(u16, Row)> {
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

/// The rows as a file to import.
fn arrow_file(table: TableName, rows: &[(u16, Row)]) -> Vec<u8> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (index, name) in table.key_columns().split(", ").enumerate() {
        let values: Vec<Value> = rows
            .iter()
            .map(|(key, _)| table.key_values(*key).swap_remove(index))
            .collect();
        let texts = values.iter().map(|value| match value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        });
        let integers = values.iter().map(|value| match value {
            Value::Integer(value) => Some(*value),
            _ => None,
        });
        let column: ArrayRef = if name == "k" {
            Arc::new(StringArray::from_iter(texts))
        } else {
            Arc::new(Int64Array::from_iter(integers))
        };
        columns.push((name.to_owned(), column));
    }
    let n = Int64Array::from_iter(rows.iter().map(|(_, row)| row.n));
    let t = StringArray::from_iter(rows.iter().map(|(_, row)| row.t.clone()));
    columns.push(("n".into(), Arc::new(n)));
    columns.push(("t".into(), Arc::new(t)));
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}
