//! Memory and sizes that statements may take, and statements that are to stop: an error each, after which the connection goes on and the data are
//! as they were.

mod engine;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::{Collect, Connection, Database, Rows};
use heddle_store::activity::Activity;
use heddle_store::error::StoreErrorCode;
use heddle_store::io::MemoryIo;
use heddle_store::parameters::Parameters;
use heddle_store::session::Session;
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;

fn database(options: &StoreOptions) -> Database {
    Database::open(Arc::new(MemoryIo::new()), options).unwrap()
}

fn with_memory(memory_size: usize) -> Database {
    database(&StoreOptions {
        memory_size,
        ..StoreOptions::default()
    })
}

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)";

#[test]
fn rows_that_fill_many_chunks_worth_of_memory_are_read_in_pieces() {
    const ROWS: i64 = 3000;
    let options = StoreOptions {
        cache_size: 1 << 20,
        ..StoreOptions::default()
    };
    let database = database(&options);
    let writer = database.connect();
    writer.run(
        "CREATE VIRTUAL TABLE large USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, bytes BLOB)",
    );
    for first in (0..ROWS).step_by(500) {
        writer.run(&format!(
            "WITH RECURSIVE r(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM r LIMIT 500)
             INSERT INTO large SELECT i, i * 7, zeroblob(5000 + i) FROM r"
        ));
    }
    drop(writer);
    heddle_store::commit::mover::round(&database.store).unwrap();
    let reader = database.connect();
    // The small column first: the chunks that it is read in are too large for the other.
    assert_eq!(
        reader.integers("SELECT sum(n) FROM large"),
        [7 * ROWS * (ROWS - 1) / 2]
    );
    let expected = 5000 * ROWS + ROWS * (ROWS - 1) / 2;
    assert_eq!(
        reader.integers("SELECT sum(length(bytes)) FROM large"),
        [expected]
    );
    let upwards: Vec<i64> = (700..ROWS).map(|id| 5000 + id).collect();
    let downwards: Vec<i64> = upwards.iter().rev().copied().collect();
    let lengths = "SELECT length(bytes) FROM large WHERE id >= 700 ORDER BY id";
    assert_eq!(reader.integers(lengths), upwards);
    assert_eq!(reader.integers(&format!("{lengths} DESC")), downwards);
    assert!(database.store.cache.used() <= options.cache_size);
    // Changed rows among them, and row ids that are asked for behind the columns.
    reader.run(
        "UPDATE large SET bytes = x'00' WHERE id % 100 = 1; DELETE FROM large WHERE id % 100 = 2",
    );
    assert_eq!(
        reader.integers("SELECT count(*) FROM large WHERE length(bytes) = 1"),
        [ROWS / 100]
    );
    assert_eq!(
        reader.integers("SELECT sum(rowid) FROM large WHERE length(bytes) > 1"),
        [(0..ROWS)
            .filter(|id| id % 100 > 2 || id % 100 == 0)
            .sum::<i64>()]
    );
}

#[test]
fn a_transaction_that_exceeds_the_memory_fails_and_can_be_committed_in_smaller_steps() {
    let database = with_memory(1 << 20);
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT);
         INSERT INTO t VALUES (0, 'before')",
    );
    let all = format!("{NUMBERS} INSERT INTO t SELECT i, hex(randomblob(50)) FROM n");
    let error = connection.fails(&all);
    assert_eq!(error.code, StoreErrorCode::OutOfMemory);
    assert!(error.message.contains("smaller steps"), "{}", error.message);
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [1]);
    // A statement fails, its transaction goes on.
    connection.run("BEGIN; INSERT INTO t VALUES (-1, 'kept')");
    assert_eq!(connection.fails(&all).code, StoreErrorCode::OutOfMemory);
    connection.run("COMMIT");
    for step in 0..20 {
        connection.run(&format!(
            "{NUMBERS} INSERT INTO t SELECT i, hex(randomblob(50)) FROM n WHERE i > {step} * 1000 AND i <= ({step} + 1) * 1000"
        ));
    }
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [20_002]);
}

#[test]
fn rows_that_are_written_again_and_again_count_once() {
    let database = with_memory(1 << 20);
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT); BEGIN");
    for _ in 0..100 {
        connection.run("INSERT OR REPLACE INTO t VALUES (1, hex(zeroblob(20000)))");
        connection.run(
            "SAVEPOINT s; INSERT INTO t VALUES (2, hex(zeroblob(20000))); ROLLBACK TO s; RELEASE s",
        );
    }
    connection.run("COMMIT");
    assert_eq!(connection.integers("SELECT id FROM t"), [1]);
}

#[test]
fn sorts_and_temporary_tables_take_no_more_than_the_memory() {
    let database = with_memory(512 << 10);
    let connection = database.connect();
    for statement in [
        // Beyond SQLite's own cache a sort goes to temporary files.
        format!(
            "{NUMBERS} SELECT count(*) FROM (SELECT i, randomblob(500) AS b FROM n ORDER BY b)"
        ),
        format!("CREATE TEMP TABLE filled AS {NUMBERS} SELECT i, randomblob(500) FROM n"),
    ] {
        let error = connection.fails(&statement);
        assert_eq!(error.code, StoreErrorCode::OutOfMemory, "{statement}");
    }
    assert_eq!(
        connection.integers("SELECT count(*) FROM sqlite_temp_schema WHERE name = 'filled'"),
        [0]
    );
    assert_eq!(connection.integers("SELECT 1"), [1]);
    drop(connection);
    assert_eq!(database.store.memory.used(), 0);
}

#[test]
fn values_beyond_the_limit_are_refused() {
    let database = Database::new();
    let connection = database.connect();
    let error = connection.fails("SELECT length(zeroblob(300000000) || 'x')");
    assert_eq!(error.code, StoreErrorCode::TooBig);
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, b BLOB)");
    let error = connection.fails("INSERT INTO t VALUES (1, zeroblob(252000000))");
    assert_eq!(error.code, StoreErrorCode::TooBig);
    assert!(error.message.contains("240 MiB"), "{}", error.message);
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [0]);
}

/// SQLite matches a pattern by a function that calls itself at each `%`: a long one ran into the end of a worker's stack, which is a trap.
#[test]
fn patterns_have_a_length_that_every_stack_bears() {
    let database = Database::new();
    let connection = database.connect();
    for (operator, any) in [("LIKE", "%a"), ("GLOB", "*a")] {
        let matched = |count: usize| {
            let (text, pattern) = ("a".repeat(count), any.repeat(count));
            connection.try_rows(&format!("SELECT '{text}' {operator} '{pattern}'"))
        };
        assert_eq!(matched(1000).unwrap(), [[Value::Integer(1)]]);
        let error = matched(1001).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::SqlError, "{error:?}");
    }
}

#[test]
fn commits_wait_for_the_mover_where_they_outrun_it() {
    let database = with_memory(256 << 10);
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT)");
    for id in 0..100 {
        connection.run(&format!(
            "INSERT INTO t VALUES ({id}, hex(randomblob(10000)))"
        ));
    }
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [100]);
}

/// A connection whose statement another thread interrupts as soon as it runs.
fn interrupted(database: &Database, sql: &str) -> StoreErrorCode {
    let activity = Arc::new(Activity::default());
    let session = Session::open(&database.store, activity.clone()).unwrap();
    let connection = Connection(session);
    activity.begin(1);
    let code = std::thread::scope(|scope| {
        let other = activity.clone();
        scope.spawn(move || {
            while other.statements.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            other.cancel.store(1, Ordering::Relaxed);
        });
        let mut rows = Collect(Rows::new());
        let outcome = connection.0.run(sql, &Parameters::none(), &mut rows);
        outcome.expect_err(sql).code
    });
    activity.end();
    assert_eq!(connection.integers("SELECT 1"), [1]);
    code
}

#[test]
fn a_statement_that_waits_for_the_writer_can_be_interrupted() {
    let database = Database::new();
    let holder = database.connect();
    holder.run("CREATE TABLE ordinary(n); BEGIN IMMEDIATE; INSERT INTO ordinary VALUES (1)");
    let code = interrupted(&database, "INSERT INTO ordinary VALUES (2)");
    assert_eq!(code, StoreErrorCode::Interrupted);
    holder.run("COMMIT");
    assert_eq!(holder.integers("SELECT n FROM ordinary"), [1]);
}

#[test]
fn a_long_statement_is_interrupted_and_undone() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)");
    connection.run(&format!("{NUMBERS} INSERT INTO t SELECT i, i FROM n"));
    for sql in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO t SELECT 1000000 + i, i FROM n",
        "SELECT count(*) FROM t a, t b, t c",
        "UPDATE t SET n = (SELECT count(*) FROM t a, t b)",
    ] {
        assert_eq!(
            interrupted(&database, sql),
            StoreErrorCode::Interrupted,
            "{sql}"
        );
    }
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE n = id"),
        [20_000]
    );
}
