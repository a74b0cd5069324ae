//! The engine through SQL, natively: several connections, each on a thread of its own where that matters.

mod engine;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine::faults::FaultyIo;
use engine::{Collect, Connection, Database, Rows};
use heddle_store::error::StoreErrorCode;
use heddle_store::io::PowerLossIo;
use heddle_store::parameters::Parameters;
use heddle_store::session::Discard;
use heddle_store::table::Table;
use heddle_store::value::Value;

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[test]
fn a_table_made_on_one_connection_is_seen_by_all_and_after_reopening() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE flights USING tonbo(id INTEGER PRIMARY KEY, origin TEXT, delay INTEGER)");
    b.run("INSERT INTO flights VALUES (2, 'ABE', 5), (1, 'ZRH', NULL), (3, NULL, -7)");
    let expected = [
        vec![Value::Integer(1), text("ZRH"), Value::Null],
        vec![Value::Integer(2), text("ABE"), Value::Integer(5)],
        vec![Value::Integer(3), Value::Null, Value::Integer(-7)],
    ];
    assert_eq!(a.rows("SELECT * FROM flights"), expected);
    drop((a, b));
    let database = database.reopen();
    let c = database.connect();
    assert_eq!(c.rows("SELECT * FROM flights"), expected);
    assert_eq!(
        c.run("UPDATE flights SET delay = delay + 1 WHERE id >= 2"),
        2
    );
    assert_eq!(c.run("DELETE FROM flights WHERE origin = 'ZRH'"), 1);
    drop(c);
    let database = database.reopen();
    let d = database.connect();
    assert_eq!(
        d.integers("SELECT delay FROM flights ORDER BY id DESC"),
        [-6, 6]
    );
    d.run("DROP TABLE flights");
    assert_eq!(
        database.connect().fails("SELECT * FROM flights").code,
        StoreErrorCode::SqlError
    );
}

#[test]
fn every_kind_of_key_orders_bounds_and_refuses_duplicates() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE by_text USING tonbo(name TEXT PRIMARY KEY, n INTEGER);
         CREATE VIRTUAL TABLE by_two USING tonbo(a INTEGER, b TEXT, n INTEGER, PRIMARY KEY (b, a));
         CREATE VIRTUAL TABLE by_real USING tonbo(x REAL PRIMARY KEY, n INTEGER);
         CREATE VIRTUAL TABLE no_key USING tonbo(n INTEGER, t TEXT);
         INSERT INTO by_text VALUES ('b', 2), ('a', 1), ('ab', 3);
         INSERT INTO by_two VALUES (1, 'x', 1), (2, 'x', 2), (1, 'y', 3);
         INSERT INTO by_real VALUES (1.5, 1), (-2, 2), (0, 3);
         INSERT INTO no_key VALUES (7, 'x'), (7, 'x');",
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_text ORDER BY name"),
        [1, 3, 2]
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_text WHERE name >= 'ab' ORDER BY name DESC"),
        [2, 3]
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_two WHERE b = 'x' AND a > 1"),
        [2]
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_two ORDER BY b DESC, a DESC"),
        [3, 2, 1]
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_real ORDER BY x"),
        [2, 3, 1]
    );
    assert_eq!(connection.integers("SELECT rowid FROM no_key"), [1, 2]);
    assert_eq!(connection.run("UPDATE no_key SET n = 8 WHERE rowid = 2"), 1);
    assert_eq!(
        connection.integers("SELECT n FROM no_key ORDER BY rowid DESC"),
        [8, 7]
    );
    for sql in [
        "INSERT INTO by_text VALUES ('a', 9)",
        "INSERT INTO by_two VALUES (1, 'y', 9)",
        "INSERT INTO by_real VALUES (-0.0, 9)",
        "UPDATE by_text SET name = 'b' WHERE name = 'a'",
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, StoreErrorCode::Constraint, "{sql}: {error:?}");
        assert!(
            error.message.contains("UNIQUE constraint failed"),
            "{sql}: {error:?}"
        );
    }
    assert_eq!(
        connection.run("INSERT OR REPLACE INTO by_text VALUES ('a', 9)"),
        1
    );
    assert_eq!(
        connection.run("INSERT OR IGNORE INTO by_text VALUES ('a', 10)"),
        0
    );
    assert_eq!(connection.run("UPDATE by_two SET b = 'z' WHERE n = 1"), 1);
    assert_eq!(
        connection.integers("SELECT n FROM by_two ORDER BY b, a"),
        [2, 3, 1]
    );
    assert_eq!(
        connection.integers("SELECT n FROM by_text WHERE name = 'a'"),
        [9]
    );
}

#[test]
fn values_are_strict_and_an_error_leaves_everything_as_it_was() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, i INTEGER, r REAL, x TEXT, b BLOB, f BOOLEAN);
         INSERT INTO t VALUES (1, '12', 3, 4.5, x'00ff', 1), (9223372036854775807, -9223372036854775808, 1e300, '', x'', 0);",
    );
    assert_eq!(
        connection.rows("SELECT i, r, x, b, f FROM t WHERE id = 1"),
        [vec![
            Value::Integer(12),
            Value::Real(3.0),
            text("4.5"),
            Value::Blob(vec![0, 255].into()),
            Value::Integer(1)
        ]]
    );
    for (sql, code, part) in [
        (
            "INSERT INTO t(id, i) VALUES (3, 'x')",
            StoreErrorCode::TypeMismatch,
            "TEXT value in INTEGER column t.i",
        ),
        (
            "INSERT INTO t(id, i) VALUES (3, 1.5)",
            StoreErrorCode::TypeMismatch,
            "t.i",
        ),
        (
            "INSERT INTO t(id, b) VALUES (3, 'x')",
            StoreErrorCode::TypeMismatch,
            "t.b",
        ),
        (
            "INSERT INTO t(id, f) VALUES (3, 2)",
            StoreErrorCode::TypeMismatch,
            "t.f",
        ),
        (
            "UPDATE t SET id = NULL WHERE id = 1",
            StoreErrorCode::TypeMismatch,
            "t.id names the row and is an integer",
        ),
        (
            "INSERT INTO t(id) VALUES (3), (1)",
            StoreErrorCode::Constraint,
            "UNIQUE constraint failed: t.id",
        ),
        (
            "SELECT nope FROM t",
            StoreErrorCode::SqlError,
            "no such column: nope",
        ),
        ("SELEC 1", StoreErrorCode::SqlError, "syntax error"),
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, code, "{sql}: {error:?}");
        assert!(error.message.contains(part), "{sql}: {error:?}");
        assert_eq!(
            connection.integers("SELECT count(*) FROM t"),
            [2],
            "after {sql}"
        );
    }
    assert_eq!(connection.fails("SELECT 1; SELECT nope").offset, Some(17));
    for (sql, part) in [
        (
            "SELECT 1; CREATE VIRTUAL TABLE w USING tonbo(a TEXT PRIMARY KEY, ß BLOB, c GEOMETRY)",
            "c GEOMETRY",
        ),
        (
            "CREATE VIRTUAL TABLE w USING tonbo(a TEXT, b TEXT REFERENCES t(id))",
            "b TEXT REF",
        ),
        (
            "CREATE VIRTUAL TABLE w USING tonbo(a TEXT, a DECIMAL(5, 2))",
            "a DECIMAL",
        ),
        (
            "CREATE VIRTUAL TABLE w USING tonbo(a TEXT, FOREIGN KEY (a) REFERENCES t(id))",
            "FOREIGN",
        ),
        ("CREATE INDEX i ON t(n, lower(n))", "(n))"),
        ("CREATE INDEX i ON t(n) WHERE n > 1", "WHERE"),
    ] {
        let error = connection.fails(sql);
        assert_eq!(
            error.offset,
            sql.find(part).map(|at| at as i32),
            "{sql}: {error:?}"
        );
        assert_eq!(
            connection.integers("SELECT count(*) FROM t"),
            [2],
            "after {sql}"
        );
    }
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let database = Database::new();
    let (writer, reader) = (database.connect(), database.connect());
    writer.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         CREATE TABLE plain(n INTEGER);
         INSERT INTO t VALUES (1, 1);",
    );
    writer.run("BEGIN; INSERT INTO t VALUES (2, 2); UPDATE t SET n = 10 WHERE id = 1; INSERT INTO plain VALUES (1);");
    assert_eq!(writer.integers("SELECT n FROM t"), [10, 2]);
    assert_eq!(reader.integers("SELECT n FROM t"), [1]);
    reader.run("BEGIN");
    assert_eq!(reader.integers("SELECT count(*) FROM plain"), [0]);
    writer.run("SAVEPOINT s; DELETE FROM t; INSERT INTO t VALUES (7, 7); ROLLBACK TO s; COMMIT");
    // The reader's snapshot of the ordinary tables is older than the commit; so must be that of the Tonbo tables.
    assert_eq!(reader.integers("SELECT n FROM t"), [1]);
    reader.run("COMMIT");
    assert_eq!(reader.integers("SELECT n FROM t"), [10, 2]);
    assert_eq!(reader.integers("SELECT count(*) FROM plain"), [1]);
    writer.run("BEGIN; DELETE FROM t; ROLLBACK");
    assert_eq!(reader.integers("SELECT n FROM t"), [10, 2]);
    drop((writer, reader));
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT n FROM t"), [10, 2]);
}

#[test]
fn two_uncommitted_writers_go_on_together_and_only_overlapping_ones_conflict() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 0), (2, 0)");
    a.run("BEGIN; UPDATE t SET n = 1 WHERE id = 1");
    b.run("BEGIN; UPDATE t SET n = 1 WHERE id = 2");
    a.run("COMMIT");
    b.run("COMMIT");
    assert_eq!(a.integers("SELECT n FROM t"), [1, 1]);
    a.run("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
    b.run("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1");
    a.run("COMMIT");
    let error = b.fails("COMMIT");
    assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
    b.0.reset().unwrap();
    b.run("BEGIN; UPDATE t SET n = n + 1 WHERE id = 1; COMMIT");
    assert_eq!(b.integers("SELECT n FROM t"), [3, 1]);
}

/// Commits of thousands of rows are kept book of otherwise than those of a few.
#[test]
fn large_commits_conflict_with_what_they_overlap() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
           WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 6000) INSERT INTO t SELECT i, 0 FROM r");
    let sum = || a.integers("SELECT sum(n) FROM t");
    for (first, second, overlap) in [
        ("id <= 3000", "id > 3000", false),
        ("id <= 3000", "id >= 3000", true),
        ("id <= 3000", "id = 3000", true),
        ("id = 3000", "id <= 3000", true),
        ("id <= 3000", "id = 3001", false),
        ("id = 3001", "id <= 3000", false),
    ] {
        let before = sum()[0];
        a.run(&format!("BEGIN; UPDATE t SET n = n + 1 WHERE {first}"));
        b.run(&format!("BEGIN; UPDATE t SET n = n + 1 WHERE {second}"));
        let [own, theirs] = [&a, &b].map(|connection| connection.integers("SELECT changes()")[0]);
        a.run("COMMIT");
        if overlap {
            assert_eq!(b.fails("COMMIT").code, StoreErrorCode::Conflict);
            b.0.reset().unwrap();
            assert_eq!(sum(), [before + own], "{first}, {second}");
            // A reservation that was voided is no commit.
            b.run(&format!("UPDATE t SET n = n + 1 WHERE {second}"));
        } else {
            b.run("COMMIT");
        }
        assert_eq!(sum(), [before + own + theirs], "{first}, {second}");
    }
}

/// The greatest row id was looked for in the transaction's own snapshot, once: rows that others had committed since, under numbers of their
/// own, were met by later numbers, and an INSERT without a number failed with a UNIQUE constraint.
#[test]
fn numbers_that_tables_give_are_above_all_that_others_have_taken() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x TEXT); CREATE VIRTUAL TABLE u USING tonbo(x TEXT)");
    for (table, id) in [("t", "id"), ("u", "rowid")] {
        a.run(&format!(
            "INSERT INTO {table}(x) VALUES ('first'); BEGIN; SELECT * FROM {table}"
        ));
        b.run(&format!("INSERT INTO {table}({id}, x) VALUES (3, 'committed'); BEGIN; INSERT INTO {table}({id}, x) VALUES (7, 'open')"));
        a.run(&format!(
            "INSERT INTO {table}(x) VALUES ('second'), ('third'); COMMIT"
        ));
        b.run("COMMIT");
        assert_eq!(
            a.integers(&format!("SELECT {id} FROM {table} ORDER BY {id}")),
            [1, 3, 7, 8, 9],
            "{table}"
        );
    }
}

/// A transaction that had read a Tonbo table, and so `main`, met another writer of the ordinary tables: SQLite answers BUSY at once, since
/// waiting cannot help, and the user was told "database is locked" with nothing to do about it.
#[test]
fn a_reader_that_cannot_become_the_writer_is_told_to_try_again() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE plain(n)");
    a.run("BEGIN IMMEDIATE; INSERT INTO plain VALUES (1)");
    b.run("BEGIN; INSERT INTO t VALUES (1)");
    assert_eq!(
        b.fails("INSERT INTO plain VALUES (2)").code,
        StoreErrorCode::Conflict
    );
    a.run("COMMIT");
    b.run("ROLLBACK; BEGIN; INSERT INTO t VALUES (1); INSERT INTO plain VALUES (2); COMMIT");
    assert_eq!(a.integers("SELECT n FROM plain ORDER BY n"), [1, 2]);
}

#[test]
fn a_statement_that_fails_within_a_transaction_leaves_no_trace() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)");
    connection.run("BEGIN; INSERT INTO t VALUES (1, 1), (5, 5)");
    let error = connection.fails("INSERT INTO t VALUES (2, 2), (3, 3), (5, 6)");
    assert_eq!(error.code, StoreErrorCode::Constraint);
    let error = connection.fails("UPDATE t SET id = id + 4");
    assert_eq!(
        error.code,
        StoreErrorCode::Constraint,
        "1 would become 5 while 5 is there: {error:?}"
    );
    assert_eq!(connection.integers("SELECT id FROM t"), [1, 5]);
    connection.run("SAVEPOINT a; DELETE FROM t; SAVEPOINT b; INSERT INTO t VALUES (7, 7); RELEASE b; ROLLBACK TO a; RELEASE a; COMMIT");
    assert_eq!(connection.integers("SELECT id FROM t"), [1, 5]);
}

#[test]
fn names_collide_with_ordinary_tables_and_the_build_has_what_it_should() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE TABLE plain(x); CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('warp and weft')");
    let error = connection.fails("CREATE VIRTUAL TABLE plain USING tonbo(id INTEGER PRIMARY KEY)");
    assert!(error.message.contains("already exists"), "{error:?}");
    connection.run("CREATE VIRTUAL TABLE columnar USING tonbo(id INTEGER PRIMARY KEY)");
    for sql in [
        "CREATE TABLE columnar(x)",
        "CREATE VIEW main.columnar AS SELECT 1",
        "CREATE VIRTUAL TABLE columnar USING tonbo(id INTEGER)",
    ] {
        let error = connection.fails(sql);
        assert!(
            error.message.contains("columnar already exists"),
            "{sql}: {error:?}"
        );
    }
    connection.run("CREATE TABLE IF NOT EXISTS columnar(x)");
    assert_eq!(connection.integers("SELECT id FROM columnar"), [0; 0]);
    let error = connection.fails("CREATE VIRTUAL TABLE t USING tonbo(id UUID)");
    assert!(error.message.contains("unknown type"), "{error:?}");
    assert_eq!(
        connection.integers("SELECT count(*) FROM words WHERE words MATCH 'weft'"),
        [1]
    );
    assert_eq!(
        connection.integers("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]')"),
        [2]
    );
    assert_eq!(
        connection.rows("SELECT floor(sqrt(17))"),
        [vec![Value::Real(4.0)]]
    );
}

#[test]
fn creating_and_dropping_tables_is_part_of_a_transaction() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("BEGIN; CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_eq!(b.fails("SELECT * FROM t").code, StoreErrorCode::SqlError);
    a.run("ROLLBACK");
    assert_eq!(a.fails("SELECT * FROM t").code, StoreErrorCode::SqlError);
    a.run("BEGIN; CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 2); COMMIT");
    assert_eq!(b.integers("SELECT n FROM t"), [2]);
    a.run("CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(id INTEGER PRIMARY KEY)");
    b.run("BEGIN; DROP TABLE t; ROLLBACK");
    assert_eq!(b.integers("SELECT n FROM t"), [2]);
    a.run("DROP TABLE t; CREATE VIRTUAL TABLE t USING tonbo(x TEXT PRIMARY KEY)");
    assert_eq!(b.integers("SELECT count(*) FROM t"), [0]);
}

#[test]
fn named_and_positional_parameters_are_bound() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x TEXT)");
    let positional = |values: Vec<Value>| Parameters::Positional(values);
    let sql = "INSERT INTO t VALUES (?, ?); INSERT INTO t VALUES (?, ?)";
    let values = vec![
        Value::Integer(1),
        text("a"),
        Value::Integer(i64::MAX),
        Value::Null,
    ];
    connection
        .0
        .run(sql, &positional(values.clone()), &mut Discard)
        .unwrap();
    let few = connection
        .0
        .run(sql, &positional(values[..3].to_vec()), &mut Discard)
        .unwrap_err();
    assert_eq!(
        few.code,
        StoreErrorCode::Constraint,
        "the first statement runs before the second misses its parameter: {few:?}"
    );
    let many = connection
        .0
        .run("SELECT ?", &positional(values), &mut Discard)
        .unwrap_err();
    assert_eq!(many.code, StoreErrorCode::Misuse);
    let named = Parameters::Named(BTreeMap::from([("id".to_owned(), Value::Integer(1))]));
    let mut rows = Collect(Vec::new());
    connection
        .0
        .run("SELECT x FROM t WHERE id = :id", &named, &mut rows)
        .unwrap();
    assert_eq!(rows.0, [vec![text("a")]]);
    assert_eq!(
        connection
            .0
            .run("SELECT $other", &named, &mut Discard)
            .unwrap_err()
            .code,
        StoreErrorCode::Misuse
    );
}

#[test]
fn many_threads_write_and_read_one_table() {
    const THREADS: i64 = 4;
    const COMMITS: i64 = 50;
    let database = Database::new();
    database.connect().run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, thread INTEGER); CREATE VIRTUAL TABLE sums USING tonbo(thread INTEGER PRIMARY KEY, n INTEGER)");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = &database;
            scope.spawn(move || {
                let connection = database.connect();
                connection.run(&format!("INSERT INTO sums VALUES ({thread}, 0)"));
                for commit in 0..COMMITS {
                    let id = commit * THREADS + thread;
                    connection.run(&format!(
                        "BEGIN; INSERT INTO t VALUES ({id}, {thread}); UPDATE sums SET n = n + 1 WHERE thread = {thread}; COMMIT"
                    ));
                    // Both tables are of one moment.
                    let differing = connection.rows(
                        "SELECT thread, n FROM sums EXCEPT SELECT s.thread, (SELECT count(*) FROM t WHERE t.thread = s.thread) FROM sums s",
                    );
                    assert_eq!(differing, Rows::new());
                }
            });
        }
    });
    let check = |connection: &Connection| {
        assert_eq!(
            connection.integers("SELECT count(*) FROM t"),
            [THREADS * COMMITS]
        );
        assert_eq!(
            connection.integers("SELECT n FROM sums"),
            [COMMITS; THREADS as usize]
        );
    };
    check(&database.connect());
    check(&database.reopen().connect());
}

/// A transaction over both kinds of table writes a row of its own to the database file, and so does a table's declaration. SQLite
/// counts those like any others: `COMMIT` changed two rows, and the last row id was the log's.
#[test]
fn what_the_store_writes_for_itself_is_not_counted() {
    let database = Database::new();
    let connection = database.connect();
    let run = |sql: &str| {
        connection
            .0
            .run(sql, &Parameters::none(), &mut Discard)
            .unwrap()
    };
    assert_eq!(
        run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)").changes,
        0
    );
    run("CREATE TABLE plain(id INTEGER PRIMARY KEY)");
    for first in [10, 20] {
        let sql = format!(
            "BEGIN; INSERT INTO t VALUES ({first}); INSERT INTO plain VALUES ({first}), ({}); COMMIT",
            first + 5
        );
        let outcome = run(&sql);
        assert_eq!((outcome.changes, outcome.last_insert_rowid), (3, first + 5));
    }
    assert_eq!(connection.integers("SELECT last_insert_rowid()"), [25]);
    assert_eq!(run("DROP TABLE t").changes, 0);
}

/// A transaction that has read only ordinary tables reads the Tonbo tables as they were then, which is no snapshot in use until it
/// does. Meanwhile the record of who wrote which row last was cleared, and the transaction overwrote a newer commit.
#[test]
fn a_transaction_that_reads_its_first_tonbo_table_late_overwrites_nobody() {
    let database = Database::new();
    let (late, other) = (database.connect(), database.connect());
    other.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         CREATE TABLE plain(id INTEGER PRIMARY KEY);
         INSERT INTO t VALUES (1, 0), (2, 0);",
    );
    late.run("BEGIN");
    assert_eq!(late.integers("SELECT count(*) FROM plain"), [0]);
    other.run("BEGIN; INSERT INTO plain VALUES (1); UPDATE t SET n = 7 WHERE id = 1; COMMIT");
    // Its own snapshot ends as well, and leaves no other in use.
    assert_eq!(other.integers("SELECT n FROM t"), [7, 0]);
    assert_eq!(late.integers("SELECT n FROM t"), [0, 0]);
    late.run("UPDATE t SET n = n + 1");
    assert_eq!(late.fails("COMMIT").code, StoreErrorCode::Conflict);
    assert_eq!(other.integers("SELECT n FROM t"), [7, 0]);
}

/// Updated rows left their old versions behind, deleted rows their deletes, for as long as there were few files; and some of both for
/// ever.
#[test]
fn updates_and_deletes_give_their_space_back() {
    let database = Database::new();
    let connection = database.connect();
    let size = || -> u64 {
        let files = database.io.list("").unwrap();
        let rows = files.iter().filter(|(path, _)| path.contains("/sst/"));
        rows.map(|(_, size)| size).sum()
    };
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, x BLOB);
         WITH RECURSIVE s(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM s LIMIT 1000)
         INSERT INTO t SELECT id, 0, randomblob(200) FROM s",
    );
    database.flush();
    let live = size();
    for round in 1..=40 {
        connection.run("UPDATE t SET n = n + 1, x = randomblob(200)");
        database.flush();
        assert!(size() < 8 * live, "round {round}: {} of {live}", size());
    }
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE n = 40"),
        [1000]
    );
    connection.run("DELETE FROM t WHERE id > 10");
    database.flush();
    connection.run("DELETE FROM t");
    database.flush();
    database.flush();
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [0]);
    assert_eq!(size(), 0);
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT count(*) FROM t"), [0]);
}

/// As above, beside a reader and a writer who never pause: what they still see is kept, and no more than that.
#[test]
fn space_is_given_back_under_load() {
    const ROUNDS: u32 = 40;
    let database = Database::new();
    let size = || -> u64 {
        let files = database.io.list("").unwrap();
        let rows = files.iter().filter(|(path, _)| path.contains("/sst/"));
        rows.map(|(_, size)| size).sum()
    };
    database.connect().run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, x BLOB);
         WITH RECURSIVE s(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM s LIMIT 1000)
         INSERT INTO t SELECT id, 0, randomblob(200) FROM s",
    );
    database.flush();
    let live = size();
    let (is_over, updates) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let connection = database.connect();
            while !is_over.load(Ordering::Relaxed) {
                connection.run("UPDATE t SET n = n + 1, x = randomblob(200)");
                updates.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let connection = database.connect();
            while !is_over.load(Ordering::Relaxed) {
                // One snapshot: each row was written as often as every other.
                let sql = "SELECT max(n) - min(n) FROM t UNION ALL SELECT count(*) - 1000 FROM t";
                assert_eq!(connection.integers(sql), [0, 0]);
            }
        });
        for round in 1..=ROUNDS {
            let before = updates.load(Ordering::Relaxed);
            while updates.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
            database.flush();
            // Without any of it given back there would be one for each round.
            assert!(size() < 24 * live, "round {round}: {} of {live}", size());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    database.flush();
    assert!(size() < 8 * live, "{} of {live}", size());
}

/// DROP TABLE frees the space of its files with the last transaction that reads them, which sees every row until then: with the next statement of
/// its connection, which forgets the table by it.
#[test]
fn a_dropped_tables_files_go_with_its_last_reader() {
    let database = Database::new();
    let (reader, other) = (database.connect(), database.connect());
    other.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n);
         CREATE VIRTUAL TABLE stays USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO stays VALUES (1);
         WITH RECURSIVE s(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM s LIMIT 1000) INSERT INTO t SELECT id, id % 7 FROM s",
    );
    database.flush();
    let table = reader.0.table("t").unwrap().unwrap();
    let directory = format!("/{}/", Table::directory(table.id));
    drop(table);
    let files = || -> usize {
        let files = database.io.list("").unwrap();
        files
            .iter()
            .filter(|(path, _)| path.contains(&directory))
            .count()
    };
    assert!(files() > 0);
    reader.run("BEGIN");
    assert_eq!(reader.integers("SELECT count(*) FROM t WHERE id < 10"), [9]);
    other.run("DROP TABLE t");
    assert_eq!(
        other.fails("SELECT * FROM t").code,
        StoreErrorCode::SqlError
    );
    database.flush();
    assert!(files() > 0);
    // By its rows, in files that it has not read yet, and by its index.
    assert_eq!(reader.integers("SELECT sum(id) FROM t"), [500_500]);
    assert_eq!(reader.integers("SELECT count(*) FROM t WHERE n = 3"), [143]);
    reader.run("COMMIT");
    assert_eq!(
        reader.fails("SELECT * FROM t").code,
        StoreErrorCode::SqlError
    );
    let start = Instant::now();
    while files() > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{} files",
            files()
        );
        std::thread::yield_now();
    }
    assert_eq!(reader.integers("SELECT id FROM stays"), [1]);
}

/// What SQLite's checkpoint is to ordinary tables, it is to these: nothing is left in the logs.
#[test]
fn a_full_checkpoint_writes_rows_to_files() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n); INSERT INTO t VALUES (1, 10), (2, 20)",
    );
    let files = || -> usize {
        let files = database.io.list("").unwrap();
        let is_of_rows = |path: &str| path.contains("/sst/") && path.ends_with(".parquet");
        files.iter().filter(|(path, _)| is_of_rows(path)).count()
    };
    connection.run("PRAGMA wal_checkpoint");
    assert_eq!(files(), 0);
    connection.run("BEGIN; SELECT * FROM t");
    connection.fails("PRAGMA wal_checkpoint(TRUNCATE)");
    connection.run("COMMIT");
    assert_eq!(files(), 0);
    let rows = connection.rows("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(rows, [[const { Value::Integer(0) }; 3]]);
    // One of the rows, one of the index's entries.
    assert_eq!(files(), 2);
    assert!(database.store.log.read(0).unwrap().is_empty());
    assert_eq!(connection.integers("SELECT id FROM t WHERE n > 10"), [2]);
}

/// Until it had been read to its end, a table counted as a million rows, whatever it held: right after opening, a join began with whichever table
/// the statement named first.
#[test]
fn a_join_begins_with_the_smaller_table_right_after_opening() {
    let mut database = Database::new();
    database.connect().run(
        "CREATE VIRTUAL TABLE large USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         CREATE VIRTUAL TABLE small USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i LIMIT 3000) INSERT INTO large SELECT i, i FROM i;
         INSERT INTO small SELECT id, n FROM large WHERE id % 300 = 0",
    );
    for is_in_files in [false, true] {
        if is_in_files {
            database.flush();
        }
        database = database.reopen();
        let connection = database.connect();
        for tables in ["large JOIN small", "small JOIN large"] {
            let sql = format!("SELECT count(*) FROM {tables} USING (id)");
            let plan = connection.rows(&format!("EXPLAIN QUERY PLAN {sql}"));
            let Value::Text(outer) = &plan[0][3] else {
                panic!("{plan:?}")
            };
            assert!(outer.starts_with("SCAN small"), "{is_in_files}: {plan:?}");
        }
    }
    let sql = "SELECT count(*) FROM large JOIN small USING (id)";
    assert_eq!(database.connect().integers(sql), [10]);
}

/// A scan reads the columns that it was asked for, and none of the others.
#[test]
fn a_scan_reads_the_columns_that_it_needs() {
    const COLUMNS: i64 = 12;
    const ROWS: i64 = 3000;
    const SIZE: i64 = 200;
    let disk = Arc::new(PowerLossIo::new());
    let database = Database::on(disk.clone());
    let connection = database.connect();
    let names: Vec<String> = (0..COLUMNS).map(|number| format!("c{number}")).collect();
    let blobs = vec![format!("randomblob({SIZE})"); COLUMNS as usize];
    connection.run(&format!(
        "CREATE VIRTUAL TABLE wide USING tonbo(id INTEGER PRIMARY KEY, {} BLOB);
         WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s LIMIT {ROWS}) INSERT INTO wide SELECT i, {} FROM s",
        names.join(" BLOB, "),
        blobs.join(", ")
    ));
    database.flush();
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    // Opened anew each time: nothing is in the cache.
    let bytes_of = |sql: &str| {
        let io = FaultyIo::new(Arc::new(disk.crash(0)));
        let database = Database::on(io.clone());
        let connection = database.connect();
        let opened = io.bytes_read(".parquet");
        let answer = connection.integers(sql);
        (io.bytes_read(".parquet") - opened, answer)
    };
    let lengths: Vec<String> = names.iter().map(|name| format!("length({name})")).collect();
    let (all, answer) = bytes_of(&format!("SELECT sum({}) FROM wide", lengths.join(" + ")));
    assert_eq!(answer, [COLUMNS * ROWS * SIZE]);
    let (one, answer) = bytes_of("SELECT sum(length(c5)) FROM wide");
    assert_eq!(answer, [ROWS * SIZE]);
    let column = (ROWS * SIZE) as u64;
    assert!(all > column * COLUMNS as u64, "{all} bytes for all");
    assert!(
        one > column && one < 2 * column,
        "{one} bytes for one column of {column}"
    );
}
