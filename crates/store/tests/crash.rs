//! Power loss: whatever was acknowledged is there after it, whatever was not is there whole or not at all. With relaxed durability the last
//! commits may be missing, but what is there is the beginning of the history.
//!
//! The power fails at every call to the files. `HEDDLE_LONG_MINUTES=10` goes on, and loses other writes; `HEDDLE_SEED=7` others.

mod engine;
mod random;
#[path = "crash/statements.rs"]
mod statements;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use engine::Database;
use heddle_store::commit::log::Durability;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{Io, OpenMode, PowerLossIo, SharedIo};
use heddle_store::store::{MAIN_FILE, StoreOptions};

/// Rows of each transaction.
const ROWS: i64 = 3;
/// Transactions of the history; every third also writes an ordinary table.
const TRANSACTIONS: i64 = 18;
/// After this many of them a file is imported.
const IMPORT_AFTER: i64 = 9;
const BATCHES: i64 = 3;
const BATCH_ROWS: i64 = 200;

/// What a history was told to be durable before the power failed.
#[derive(Debug, Default)]
struct Acknowledged {
    tables: bool,
    transactions: i64,
    batches: i64,
    finished: bool,
}

fn file() -> Bytes {
    let schema = Arc::new(Schema::new(vec![Field::new(
        "batch",
        DataType::Int64,
        false,
    )]));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
    for batch in 0..BATCHES {
        let column = Int64Array::from_value(batch, BATCH_ROWS as usize);
        writer
            .write(&RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap())
            .unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().unwrap().into()
}

fn options(durability: Durability) -> StoreOptions {
    StoreOptions {
        durability,
        ..StoreOptions::default()
    }
}

/// Runs the history until it ends or the power fails.
fn run(
    io: &Arc<PowerLossIo>,
    durability: Durability,
    acknowledged: &mut Acknowledged,
) -> Result<(), StoreError> {
    let database = Database::open(io.clone() as SharedIo, &options(durability))?;
    let connection = database.try_connect()?;
    for sql in [
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, commit_number INTEGER)",
        "CREATE VIRTUAL TABLE imported USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER)",
        "CREATE TABLE plain(commit_number INTEGER)",
    ] {
        connection.try_rows(sql)?;
    }
    acknowledged.tables = true;
    for number in 0..TRANSACTIONS {
        let mut sql = String::from("BEGIN;");
        for row in 0..ROWS {
            sql.push_str(&format!(
                "INSERT INTO t VALUES ({}, {number});",
                number * ROWS + row
            ));
        }
        if number % 3 == 2 {
            sql.push_str(&format!("INSERT INTO plain VALUES ({number});"));
        }
        sql.push_str("COMMIT");
        connection.try_rows(&sql)?;
        acknowledged.transactions = number + 1;
        if number == IMPORT_AFTER {
            let options = ImportOptions {
                table: "imported".into(),
                row_number: Some("id".into()),
                ..ImportOptions::default()
            };
            import::run(&connection.0, file(), &options, &mut |progress| {
                acknowledged.batches = progress.rows as i64 / BATCH_ROWS;
                Ok(())
            })?;
        }
        if number % 6 == 5 {
            heddle_store::commit::mover::round(&database.store)?;
        }
    }
    drop(connection);
    database.store.close()?;
    acknowledged.finished = true;
    Ok(())
}

/// Looks at the database after the power came back.
fn check(io: PowerLossIo, durability: Durability, acknowledged: &Acknowledged, cut: u64) {
    let database = Database::open(Arc::new(io), &options(durability)).unwrap();
    let is_full = durability == Durability::Full;
    let connection = database.connect();
    let tables = connection.integers("SELECT count(*) FROM heddle_tables");
    let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'plain'";
    if !(is_full && acknowledged.tables) && connection.integers(made) == [0] {
        assert!(tables[0] <= 2);
        return;
    }
    assert_eq!(tables, [2], "cut after {cut}: {acknowledged:?}");
    let transactions =
        connection.rows("SELECT commit_number, count(*) FROM t GROUP BY 1 ORDER BY 1");
    let survivors = transactions.len() as i64;
    let expected: Vec<Vec<_>> = (0..survivors).map(|number| vec![number, ROWS]).collect();
    let found: Vec<Vec<i64>> = transactions
        .iter()
        .map(|row| row.iter().map(engine::integer).collect())
        .collect();
    assert_eq!(
        found, expected,
        "cut after {cut}: a transaction is there by half, or one is missing: {acknowledged:?}"
    );
    let last = acknowledged.transactions;
    let first = match () {
        () if is_full => last,
        // An import makes durable what came before it.
        () if acknowledged.batches > 0 => IMPORT_AFTER + 1,
        () => 0,
    };
    assert!(
        (first..=last + 1).contains(&survivors),
        "cut after {cut}: {survivors} survive {acknowledged:?}"
    );
    let mixed: Vec<i64> = (0..survivors).filter(|number| number % 3 == 2).collect();
    assert_eq!(
        connection.integers("SELECT commit_number FROM plain ORDER BY 1"),
        mixed,
        "cut after {cut}: {acknowledged:?}"
    );
    let batches =
        connection.integers("SELECT count(*) FROM imported GROUP BY batch ORDER BY batch");
    assert!(
        batches.iter().all(|rows| *rows == BATCH_ROWS),
        "cut after {cut}: {batches:?}"
    );
    let survivors = batches.len() as i64;
    assert!(
        (acknowledged.batches..=acknowledged.batches + 1).contains(&survivors),
        "cut after {cut}: {survivors} batches survive {acknowledged:?}"
    );
    // It goes on.
    connection.run("INSERT INTO t VALUES (1000, 1000)");
    assert_eq!(
        connection.integers("SELECT commit_number FROM t WHERE id = 1000"),
        [1000]
    );
    drop(connection);
    database.store.close().unwrap();
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_and_leaves_nothing_by_half() {
    cut_everywhere(Durability::Full);
}

#[test]
fn with_relaxed_durability_a_power_cut_leaves_the_beginning_of_the_history() {
    cut_everywhere(Durability::Relaxed);
}

fn cut_everywhere(durability: Durability) {
    let whole = Arc::new(PowerLossIo::new());
    let mut acknowledged = Acknowledged::default();
    run(&whole, durability, &mut acknowledged).unwrap();
    assert!(acknowledged.finished && acknowledged.batches == BATCHES);
    let operations = whole.operation_count();
    check(whole.crash(0), durability, &acknowledged, operations);
    let setting = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seed = setting("HEDDLE_SEED").unwrap_or(0);
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    for number in 0.. {
        if number >= operations && Instant::now() >= end {
            break;
        }
        // Again and again in the long form: the background thread makes no two runs quite alike.
        let cut = 1 + number % operations;
        let number = number.wrapping_add(seed);
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(cut);
        let mut acknowledged = Acknowledged::default();
        let outcome = run(&io, durability, &mut acknowledged);
        assert!(outcome.is_err() || acknowledged.finished);
        check(io.crash(number), durability, &acknowledged, cut);
    }
}

/// An import goes past the logs. They kept the table's older commits until everything before them had been moved, and the next open
/// replayed those on top: a row deleted before the import and imported again was gone, though it had been acknowledged and read.
#[test]
fn what_was_imported_is_not_undone_by_older_commits() {
    let io = Arc::new(PowerLossIo::new());
    let options = StoreOptions {
        // Nothing is moved, so nothing leaves the logs.
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE imported USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER);
         INSERT INTO other VALUES (1);
         INSERT INTO imported VALUES (3, -1), (1000, -1);
         DELETE FROM imported WHERE id = 3;",
    );
    let options = ImportOptions {
        table: "imported".into(),
        row_number: Some("id".into()),
        ..ImportOptions::default()
    };
    import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap();
    connection.run("INSERT INTO imported VALUES (2000, -2)");
    for seed in 0..4 {
        let database = Database::on(Arc::new(io.crash(seed)));
        let connection = database.connect();
        let sql = "SELECT id FROM imported WHERE id = 3 OR id > 900 ORDER BY id";
        assert_eq!(connection.integers(sql), [3, 1000, 2000]);
        // The next commit's number is none that counts as moved.
        connection.run("INSERT INTO imported VALUES (3000, -3)");
        drop(connection);
        let database = database.reopen();
        assert_eq!(database.connect().integers(sql), [3, 1000, 2000, 3000]);
    }
}

/// A process that ended between publishing a merge and noting what it had merged left those files for ever, and so did one that ended before
/// it had published what it wrote: nothing named them, and nothing looked for them.
#[test]
fn files_that_nothing_names_are_gone_after_the_next_opening() {
    const ROUNDS: i64 = 5;
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    // Each round writes a file; from the fourth on they are merged. Returns how many operations there were before.
    let merge = |io: &Arc<PowerLossIo>| -> Result<u64, StoreError> {
        let database = Database::open(io.clone(), &options)?;
        let connection = database.try_connect()?;
        connection.try_rows(
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, round INTEGER)",
        )?;
        let mut before = 0;
        for round in 0..ROUNDS {
            if round == 3 {
                before = io.operation_count();
            }
            connection.try_rows(&format!(
                "BEGIN; DELETE FROM t WHERE id = {round}; INSERT OR REPLACE INTO t VALUES ({}, {round}), ({}, {round}); COMMIT",
                round + 1,
                round + 2
            ))?;
            heddle_store::commit::mover::checkpoint(&database.store)?;
        }
        drop(connection);
        database.store.close()?;
        Ok(before)
    };
    let files = |io: &PowerLossIo| -> BTreeSet<String> {
        let all = io.list("tonbo/tables").unwrap();
        let names = all.into_iter().map(|(path, _)| path);
        names.filter(|path| path.ends_with(".parquet")).collect()
    };
    let whole = Arc::new(PowerLossIo::new());
    let before = merge(&whole).unwrap();
    let mut left_over = 0;
    // Each third operation: writing a file takes several, and so does publishing it.
    for cut in (before..=whole.operation_count()).step_by(3) {
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(cut);
        let _ended = merge(&io);
        let io = Arc::new(io.crash(cut));
        let found = files(&io);
        let database = Database::open(io.clone(), &options).unwrap();
        let connection = database.connect();
        let [id] = connection.integers("SELECT id FROM heddle_tables")[..] else {
            panic!("the table is there");
        };
        let named = database.store.table(id as u64).unwrap();
        let named = named.source.live_files().unwrap();
        let kept = files(&io);
        assert_eq!(
            kept.len(),
            named.len(),
            "cut after {cut}: {kept:?} {named:?}"
        );
        for name in named {
            let is_there = kept.iter().any(|path| path.ends_with(&name));
            assert!(is_there, "cut after {cut}: {name} is gone: {kept:?}");
        }
        left_over += found.len() - kept.len();
        let newest = connection.integers("SELECT max(round) FROM t")[0];
        assert!((2..ROUNDS).contains(&newest), "cut after {cut}: {newest}");
        let rows = connection.integers("SELECT id FROM t ORDER BY id");
        assert_eq!(rows, [newest + 1, newest + 2], "cut after {cut}");
        assert_eq!(
            connection.rows("PRAGMA integrity_check"),
            [vec![heddle_store::value::Value::Text("ok".into())]]
        );
        drop(connection);
        database.store.close().unwrap();
    }
    assert!(left_over > 0, "no cut left a file over");
}

/// A database file that was put back from an older copy would silently give up what the log file says came after it.
#[test]
fn a_log_file_that_is_newer_than_the_database_file_is_noticed() {
    let io = Arc::new(PowerLossIo::new());
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE plain(n)");
    drop(connection);
    let database = database.reopen();
    drop(database);
    let copy = file_bytes(&*io, MAIN_FILE);
    let database = Database::open(io.clone(), &options(Durability::Full)).unwrap();
    let connection = database.connect();
    connection.run("BEGIN; INSERT INTO t VALUES (1); INSERT INTO plain VALUES (1); COMMIT; INSERT INTO t VALUES (2)");
    // As if the process ended here: nothing is moved, nothing trimmed.
    let crashed = Arc::new(io.crash(0));
    drop((connection, database));
    let wal = format!("{MAIN_FILE}-wal");
    for (name, bytes) in [(MAIN_FILE, &copy[..]), (wal.as_str(), &[])] {
        let id = crashed.open(name, OpenMode::Existing).unwrap();
        crashed.truncate(id, bytes.len() as u64).unwrap();
        crashed.write_at(id, 0, bytes).unwrap();
        crashed.close(id).unwrap();
    }
    let Err(error) = Database::try_on(crashed) else {
        panic!("a commit was lost silently")
    };
    assert_eq!(error.code, StoreErrorCode::Corrupt);
    assert!(
        error.message.contains("older than the log"),
        "{}",
        error.message
    );
}

/// With relaxed durability the files of a dropped table or index were removed while the commit that drops it was not durable yet. Where a loss
/// of power took that back, the table stood again and could not be read: "the files of table t are missing".
#[test]
fn what_a_loss_of_power_brings_back_has_its_files() {
    for sql in ["DROP TABLE t", "DROP INDEX t_n"] {
        let io = Arc::new(PowerLossIo::new());
        let database = Database::open(io.clone(), &options(Durability::Relaxed)).unwrap();
        let connection = database.connect();
        connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n); INSERT INTO t VALUES (1, 2)");
        database.flush();
        connection.run(sql);
        // Its files are gone, so the commit that drops it stays, whatever the seed takes; and what that one has not dropped is whole.
        for seed in 0..16 {
            let found = Database::on(Arc::new(io.crash(seed))).connect();
            let tables = found.integers("SELECT count(*) FROM heddle_tables");
            let kept = i64::from(sql != "DROP TABLE t");
            assert_eq!(tables, [kept], "{sql}");
            if kept == 1 {
                assert_eq!(found.integers("SELECT id FROM t WHERE n = 2"), [1], "{sql}");
                let answer = found.rows("PRAGMA integrity_check");
                let right = heddle_store::value::Value::Text("ok".into());
                assert_eq!(answer, [vec![right]], "{sql}");
            }
        }
    }
}

/// `PRAGMA synchronous = OFF` was accepted, and held for the connection that had run it: what it committed was acknowledged without a sync.
#[test]
fn no_statement_takes_the_syncs_away() {
    let survivors = |is_guarded: bool, seed: u64| {
        let io = Arc::new(PowerLossIo::new());
        let options = StoreOptions {
            moves_in_background: false,
            ..StoreOptions::default()
        };
        let database = Database::open(io.clone(), &options).unwrap();
        let connection = database.connect();
        connection.run(
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE plain(n)",
        );
        if !is_guarded {
            connection.0.lift_guard();
        }
        let pragma = connection.try_rows("PRAGMA synchronous = OFF");
        let code = pragma.map_err(|error| error.code).err();
        assert_eq!(code, is_guarded.then_some(StoreErrorCode::Misuse));
        connection.run("INSERT INTO plain VALUES (1); BEGIN; INSERT INTO t VALUES (1); INSERT INTO plain VALUES (2); COMMIT");
        let database = Database::on(Arc::new(io.crash(seed)));
        let connection = database.connect();
        let rows = "SELECT n FROM plain UNION ALL SELECT id + 10 FROM t";
        connection.integers(rows)
    };
    for seed in 0..8 {
        assert_eq!(survivors(true, seed), [1, 2, 11]);
    }
    // What the guard keeps away.
    assert!((0..8).any(|seed| survivors(false, seed).len() < 3));
}

fn file_bytes(io: &dyn Io, name: &str) -> Vec<u8> {
    let id = io.open(name, OpenMode::Existing).unwrap();
    let mut bytes = vec![0; io.size(id).unwrap() as usize];
    io.read_at(id, 0, &mut bytes).unwrap();
    io.close(id).unwrap();
    bytes
}
