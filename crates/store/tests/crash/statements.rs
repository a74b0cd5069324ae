//! Power loss in the middle of statements that change and remove what is there – rows, keys, indexes, names – of checkpoints, and of files
//! that are written and merged. After it the tables hold what the acknowledged steps of a history made, or one more, and the rest of the
//! history runs on as if nothing had happened.
//!
//! The power fails again while the database is opened after that, in one case of three.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heddle_store::commit::log::Durability;
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{PowerLossIo, SharedIo};
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;

use crate::engine::{Connection, Database, Rows};
use crate::random::Random;

/// Runs at a time: what meets a cut waits before it gives up.
const THREADS: usize = 8;

/// A step of the history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Statements that take effect together, or not at all.
    Sql(&'static str),
    /// A statement that changes nothing.
    Keep(&'static str),
    /// Rows go to Tonbo's log.
    Move,
    /// Rows go to files, which are merged from the fourth on.
    Flush,
}

use Step::*;

const HISTORY: &[Step] = &[
    Sql("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, name TEXT)"),
    Sql("BEGIN; CREATE VIRTUAL TABLE c USING tonbo(k TEXT, id INTEGER, n INTEGER, PRIMARY KEY (k, id)); CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO c VALUES ('a', 1, 1), ('a', 2, 2), ('b', 1, 3), ('c', 1, 4); INSERT INTO p VALUES (1, 1), (2, 2); COMMIT"),
    Sql("WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s WHERE i < 40) INSERT INTO t SELECT i, i * 10, 'row ' || i FROM s"),
    Flush,
    Sql("UPDATE t SET n = n + 1 WHERE id % 3 = 0"),
    Keep("PRAGMA wal_checkpoint(PASSIVE)"),
    Sql("UPDATE t SET id = id + 100 WHERE id <= 5"),
    Flush,
    Sql("DELETE FROM t WHERE id IN (7, 8, 103) OR n > 380"),
    Sql("UPDATE c SET k = k || 'x' WHERE id = 1"),
    Sql("BEGIN; UPDATE t SET id = -id, n = 0 WHERE id BETWEEN 20 AND 25; DELETE FROM c WHERE k = 'bx'; UPDATE p SET n = n + 1; COMMIT"),
    Keep("PRAGMA wal_checkpoint(TRUNCATE)"),
    Sql("CREATE INDEX t_n ON t(n)"),
    Flush,
    Sql("UPDATE t SET n = n * 2 WHERE n > 200"),
    Keep("BEGIN; UPDATE t SET id = id + 1000; DELETE FROM p; ROLLBACK"),
    Sql("DELETE FROM c"),
    Flush,
    Keep("PRAGMA wal_checkpoint(PASSIVE)"),
    Sql("INSERT OR REPLACE INTO t VALUES (9, -9, 'nine'), (50, -50, 'fifty')"),
    Sql("UPDATE OR REPLACE t SET id = id + 1 WHERE id = 11 OR id = 35"),
    Move,
    Sql("BEGIN; UPDATE p SET id = id + 10; UPDATE t SET name = NULL WHERE id > 100; INSERT INTO c VALUES ('d', 4, 4); COMMIT"),
    Sql("ALTER TABLE c RENAME TO renamed"),
    Keep("PRAGMA wal_checkpoint(TRUNCATE)"),
    Sql("UPDATE renamed SET id = 5"),
    Sql("BEGIN; DELETE FROM t WHERE n < 0; DELETE FROM p WHERE id = 11; COMMIT"),
    Flush,
    Sql("DROP INDEX t_n"),
    Sql("DELETE FROM t"),
    Flush,
    Sql("BEGIN; INSERT INTO t VALUES (1, 1, 'again'); UPDATE renamed SET k = 'e', n = n + 1; COMMIT"),
    Keep("PRAGMA wal_checkpoint(PASSIVE)"),
    Sql("UPDATE t SET id = 2 WHERE id = 1"),
];

/// What each of these shows; a table that isn't there shows nothing.
const QUERIES: &[&str] = &[
    "SELECT * FROM t ORDER BY id",
    "SELECT id FROM t WHERE n BETWEEN 0 AND 400 ORDER BY n, id",
    "SELECT * FROM c ORDER BY k, id",
    "SELECT * FROM renamed ORDER BY k, id",
    "SELECT * FROM p ORDER BY id",
    "SELECT name FROM heddle_indexes UNION SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1",
];

type State = BTreeMap<&'static str, Rows>;

fn read(connection: &Connection) -> Result<State, StoreError> {
    let mut state = State::new();
    for sql in QUERIES {
        match connection.try_rows(sql) {
            Ok(rows) => drop(state.insert(sql, rows)),
            Err(error)
                if error.code == StoreErrorCode::SqlError
                    && error.message.starts_with("no such table") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(state)
}

/// The states before each step, and after the last, as ordinary tables have them.
fn expectations() -> Vec<State> {
    let database = Database::new();
    let connection = database.connect();
    let mut states = vec![read(&connection).unwrap()];
    for step in HISTORY {
        if let Sql(sql) = step {
            let sql = sql
                .replace("VIRTUAL TABLE", "TABLE")
                .replace("USING tonbo", "");
            connection.run(&sql);
            assert_ne!(&read(&connection).unwrap(), states.last().unwrap(), "{sql}");
        }
        states.push(read(&connection).unwrap());
    }
    states
}

fn run_step(database: &Database, connection: &Connection, step: Step) -> Result<(), StoreError> {
    match step {
        Sql(sql) | Keep(sql) => connection.try_rows(sql).map(drop),
        Move => mover::round(&database.store),
        Flush => database.try_flush(),
    }
}

/// Runs the history, and closes the database. Notes how many steps were acknowledged.
fn run(
    io: &Arc<PowerLossIo>,
    options: &StoreOptions,
    acknowledged: &mut usize,
) -> Result<(), StoreError> {
    let database = Database::open(io.clone() as SharedIo, options)?;
    let connection = database.try_connect()?;
    for step in HISTORY {
        run_step(&database, &connection, *step)?;
        *acknowledged += 1;
    }
    drop(connection);
    database.store.close()
}

/// Looks at the tables after the power came back, and runs what is left of the history.
fn check(
    io: PowerLossIo,
    options: &StoreOptions,
    states: &[State],
    acknowledged: usize,
    label: &str,
) {
    let database = Database::open(Arc::new(io), options)
        .unwrap_or_else(|error| panic!("{label}, {acknowledged} acknowledged: {error:?}"));
    let connection = database.connect();
    let found = read(&connection).unwrap_or_else(|error| panic!("{label}: {error:?}"));
    let last = (acknowledged + 1).min(HISTORY.len());
    let first = match options.durability {
        Durability::Full => acknowledged,
        Durability::Relaxed => 0,
    };
    let position = (first..=last).rev().find(|at| states[*at] == found);
    let Some(position) = position else {
        let step = HISTORY.get(acknowledged);
        let known = states.iter().position(|state| *state == found);
        panic!(
            "{label}: {acknowledged} acknowledged, then {step:?}: {found:#?} is the state {known:?}"
        );
    };
    check_integrity(&connection, label);
    for (step, after) in HISTORY.iter().zip(&states[1..]).skip(position) {
        run_step(&database, &connection, *step)
            .unwrap_or_else(|error| panic!("{label}, after it {step:?}: {error:?}"));
        let found = read(&connection).unwrap();
        assert_eq!(&found, after, "{label}, after it {step:?}");
    }
    check_integrity(&connection, label);
    drop(connection);
    database.store.close().unwrap();
}

fn check_integrity(connection: &Connection, label: &str) {
    let answer = connection.rows("PRAGMA integrity_check");
    assert_eq!(answer, [vec![Value::Text("ok".into())]], "{label}");
}

fn cut_everywhere(durability: Durability) {
    let states = expectations();
    let options = StoreOptions {
        durability,
        ..StoreOptions::default()
    };
    let whole = Arc::new(PowerLossIo::new());
    let mut acknowledged = 0;
    run(&whole, &options, &mut acknowledged).unwrap();
    assert_eq!(acknowledged, HISTORY.len());
    check(whole.crash(0), &options, &states, acknowledged, "no cut");
    let operations = whole.operation_count();
    let setting = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut random = Random(seed);
    let mut cuts: Vec<u64> = (1..=operations).collect();
    for index in (1..cuts.len()).rev() {
        cuts.swap(index, random.below(index + 1));
    }
    let next = AtomicUsize::new(0);
    let cut_one_after_another = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= cuts.len() && Instant::now() >= end {
                break;
            }
            // Again and again in the long form: the background thread makes no two runs quite alike.
            let cut = cuts[number % cuts.len()];
            let mut label = format!("HEDDLE_SEED={seed}: cut after {cut} of {operations}");
            let random = Random(seed.wrapping_add(number as u64));
            cut_once(cut, random, &options, &states, &mut label);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(cut_one_after_another);
        }
    });
}

fn cut_once(
    cut: u64,
    mut random: Random,
    options: &StoreOptions,
    states: &[State],
    label: &mut String,
) {
    let crash = random.next();
    let io = Arc::new(PowerLossIo::new());
    io.set_removals_may_return(random.chance(50));
    io.cut_after(cut);
    let mut acknowledged = 0;
    let outcome = run(&io, options, &mut acknowledged);
    assert!(
        outcome.is_err() || acknowledged == HISTORY.len(),
        "{label}: {outcome:?}"
    );
    let mut io = io.crash(crash);
    if random.chance(33) {
        let second = 1 + random.below(30u64);
        label.push_str(&format!(", and after {second} of the next opening"));
        let opened = Arc::new(io);
        opened.cut_after(second);
        // It may have come through.
        let outcome = Database::open(opened.clone(), options);
        drop(outcome.map(|database| database.store.close()));
        io = opened.crash(crash);
    }
    check(io, options, states, acknowledged, label);
}

#[test]
fn changes_checkpoints_and_merges_that_are_cut_leave_what_was_acknowledged() {
    cut_everywhere(Durability::Full);
}

#[test]
fn changes_with_relaxed_durability_that_are_cut_leave_the_beginning_of_the_history() {
    cut_everywhere(Durability::Relaxed);
}
