//! Transactions that rival each other for the values of a UNIQUE index: random histories of four connections, in which the first to commit a
//! value has it, who comes second gets CONFLICT at its commit, and a statement that meets a value which its transaction sees gets CONSTRAINT.
//!
//! `HEDDLE_SEED=7 cargo test -p heddle-store --test rivals` runs other histories, `HEDDLE_LONG_MINUTES=10` more.

mod engine;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use engine::{Connection, Database, integer};
use heddle_store::commit::mover;
use heddle_store::error::StoreErrorCode;
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;
use random::Random;

/// Of the short form.
const HISTORIES: u64 = 6;
const CONNECTIONS: usize = 4;
const OPERATIONS: usize = 4_000;
/// Few, so that connections meet.
const IDS: i64 = 24;
const VALUES: i64 = 30;

/// The values by id. Any number of rows may have none.
type Rows = BTreeMap<i64, Option<i64>>;

/// What a commit wrote.
#[derive(Clone, Default)]
struct Touched {
    ids: BTreeSet<i64>,
    /// The values that came or went.
    values: BTreeSet<i64>,
    /// Rows or values that were written as they were.
    perhaps: bool,
}

struct Transaction {
    /// How many commits it sees.
    at: usize,
    rows: Rows,
    touched: Touched,
}

struct History {
    random: Random,
    database: Database,
    connections: Vec<Connection>,
    transactions: Vec<Option<Transaction>>,
    /// What each commit wrote, and the rows after the last.
    commits: Vec<Touched>,
    rows: Rows,
    conflicts: usize,
    violations: usize,
}

#[test]
fn the_first_to_commit_a_value_has_it() {
    let setting = |name: &str| -> Option<u64> {
        let value = std::env::var(name).ok()?;
        Some(value.parse().expect("a setting is a number"))
    };
    let first = setting("HEDDLE_SEED").unwrap_or(1);
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    for seed in first.. {
        if seed - first >= HISTORIES && Instant::now() >= end {
            break;
        }
        let mut history = History::new(seed);
        for _ in 0..OPERATIONS {
            history.step();
        }
        let (conflicts, violations) = (history.conflicts, history.violations);
        assert!(
            conflicts > 50 && violations > 50,
            "HEDDLE_SEED={seed}: {conflicts} conflicts, {violations} violations"
        );
    }
}

impl History {
    fn new(seed: u64) -> History {
        let options = StoreOptions {
            moves_in_background: false,
            ..StoreOptions::default()
        };
        let io: heddle_store::io::SharedIo = std::sync::Arc::new(heddle_store::io::MemoryIo::new());
        let database = Database::open(io, &options).unwrap();
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| database.connect()).collect();
        // In every third history the index is made by itself.
        connections[0].run(match seed % 3 {
            0 => "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE UNIQUE INDEX t_n ON t(n)",
            _ => "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER UNIQUE)",
        });
        History {
            random: Random(seed),
            database,
            connections,
            transactions: (0..CONNECTIONS).map(|_| None).collect(),
            commits: Vec::new(),
            rows: Rows::new(),
            conflicts: 0,
            violations: 0,
        }
    }

    fn step(&mut self) {
        let who = self.random.below(CONNECTIONS);
        match (self.random.below(100), self.transactions[who].take()) {
            (0..15, Some(transaction)) => self.commit(who, transaction),
            (15..20, Some(_)) => drop(self.connections[who].run("ROLLBACK")),
            (20..24, before) => {
                self.transactions[who] = before;
                let store = &self.database.store;
                mover::round(store).unwrap();
                if self.random.chance(30) {
                    self.database.flush();
                }
            }
            (_, Some(mut transaction)) => {
                self.write(who, &mut transaction);
                self.transactions[who] = Some(transaction);
            }
            (24..60, None) => {
                self.connections[who].run("BEGIN");
                let transaction = self.begin();
                self.check(who, &transaction.rows);
                self.transactions[who] = Some(transaction);
            }
            (_, None) => {
                let mut transaction = self.begin();
                if self.write(who, &mut transaction) {
                    self.rows = transaction.rows;
                    self.commits.push(transaction.touched);
                }
                let rows = self.rows.clone();
                self.check(who, &rows);
            }
        }
    }

    fn begin(&self) -> Transaction {
        Transaction {
            at: self.commits.len(),
            rows: self.rows.clone(),
            touched: Touched::default(),
        }
    }

    /// Runs a random statement; false where it is refused.
    fn write(&mut self, who: usize, transaction: &mut Transaction) -> bool {
        let id = self.random.below(IDS as u64) as i64;
        let n = (!self.random.chance(10)).then(|| self.random.below(VALUES as u64) as i64);
        let sql_n = n.map_or("NULL".to_owned(), |n| n.to_string());
        let rows = &transaction.rows;
        let holder = rows.iter().find(|(_, own)| n.is_some() && **own == n);
        let holder = holder.map(|(holder, _)| *holder);
        let mut next = rows.clone();
        let (sql, is_refused) = match self.random.below(10) {
            0..4 => {
                next.insert(id, n);
                let is_refused = rows.contains_key(&id) || holder.is_some();
                (format!("INSERT INTO t VALUES ({id}, {sql_n})"), is_refused)
            }
            4 | 5 => {
                holder.map(|holder| next.remove(&holder));
                next.insert(id, n);
                (
                    format!("INSERT OR REPLACE INTO t VALUES ({id}, {sql_n})"),
                    false,
                )
            }
            6..8 => {
                let is_there = next.get_mut(&id).map(|own| *own = n).is_some();
                let is_refused = is_there && holder.is_some_and(|holder| holder != id);
                (
                    format!("UPDATE t SET n = {sql_n} WHERE id = {id}"),
                    is_refused,
                )
            }
            _ => {
                next.remove(&id);
                (format!("DELETE FROM t WHERE id = {id}"), false)
            }
        };
        let outcome = self.connections[who].try_rows(&sql);
        if is_refused {
            let error = outcome.expect_err(&sql);
            assert_eq!(error.code, StoreErrorCode::Constraint, "{sql}: {error:?}");
            self.violations += 1;
            return false;
        }
        outcome.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let touched = &mut transaction.touched;
        for id in rows.keys().chain(next.keys()) {
            let (before, after) = (rows.get(id), next.get(id));
            if before != after {
                touched.ids.insert(*id);
                touched.values.extend(before.copied().flatten());
                touched.values.extend(after.copied().flatten());
            }
        }
        touched.perhaps |= *rows == next && rows.contains_key(&id);
        transaction.rows = next;
        true
    }

    fn commit(&mut self, who: usize, transaction: Transaction) {
        let Transaction { at, rows, touched } = transaction;
        let is_rival = |other: &Touched| {
            !other.ids.is_disjoint(&touched.ids) || !other.values.is_disjoint(&touched.values)
        };
        let since = &self.commits[at..];
        let is_beaten = since.iter().any(is_rival);
        let is_certain = !touched.perhaps && !since.iter().any(|other| other.perhaps);
        match self.connections[who].try_rows("COMMIT") {
            Ok(_) => {
                assert!(
                    !is_beaten,
                    "connection {who} committed what another has written"
                );
                for id in &touched.ids {
                    match rows.get(id) {
                        Some(n) => self.rows.insert(*id, *n),
                        None => self.rows.remove(id),
                    };
                }
                self.commits.push(touched);
            }
            Err(error) => {
                assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
                assert!(
                    is_beaten || !is_certain,
                    "nobody has written what connection {who} has"
                );
                self.conflicts += 1;
            }
        }
        let rows = self.rows.clone();
        self.check(who, &rows);
    }

    /// The table is what it should be, by its rows and by its index, and no value is there twice.
    fn check(&self, who: usize, rows: &Rows) {
        let connection = &self.connections[who];
        let n = |value: &Value| (*value != Value::Null).then(|| integer(value));
        let found: Rows = connection
            .rows("SELECT id, n FROM t")
            .iter()
            .map(|row| (integer(&row[0]), n(&row[1])))
            .collect();
        assert_eq!(found, *rows);
        let mut values: Vec<i64> = rows.values().copied().flatten().collect();
        values.sort_unstable();
        assert!(
            values.windows(2).all(|pair| pair[0] < pair[1]),
            "{values:?}"
        );
        assert_eq!(
            connection.integers("SELECT n FROM t WHERE n >= 0 ORDER BY n"),
            values
        );
    }
}
