//! Several connections that make, alter and drop Tonbo tables at once.

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Database;
use engine::faults::copy_of;
use heddle_store::error::StoreErrorCode;
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::store::StoreOptions;

/// A table's creation read the catalogue before it took the lock of `main`: SQLite lets nobody wait who has read, and so whoever came second
/// was told BUSY at once, or that the catalogue's own UNIQUE was broken.
#[test]
fn who_makes_a_table_waits_for_the_others_and_if_not_exists_finds_theirs() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 10;
    let database = Database::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = &database;
            scope.spawn(move || {
                let connection = database.connect();
                for round in 0..ROUNDS {
                    connection.run(&format!(
                        "CREATE VIRTUAL TABLE own_{thread}_{round} USING tonbo(id INTEGER PRIMARY KEY, t TEXT UNIQUE);
                         CREATE VIRTUAL TABLE IF NOT EXISTS shared_{round} USING tonbo(id INTEGER PRIMARY KEY);
                         INSERT INTO shared_{round} VALUES ({thread})"
                    ));
                }
            });
        }
    });
    let connection = database.connect();
    for round in 0..ROUNDS {
        let sql = format!("SELECT id FROM shared_{round}");
        assert_eq!(connection.integers(&sql), [0, 1, 2, 3]);
    }
    let tables = connection.integers("SELECT count(*) FROM heddle_tables");
    assert_eq!(tables, [(ROUNDS * (THREADS + 1)) as i64]);
}

#[test]
fn a_transaction_from_before_finds_a_table_that_another_has_made() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    b.run("BEGIN");
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)");
    let error = b.fails("CREATE VIRTUAL TABLE t USING tonbo(x TEXT)");
    assert_eq!(error.code, StoreErrorCode::SqlError, "{error:?}");
    assert_eq!(error.message, "table t already exists");
    b.run("CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(x TEXT); INSERT INTO t VALUES (2, 2)");
    assert_eq!(b.integers("SELECT n FROM t"), [1, 2]);
    b.run("ROLLBACK");
    assert_eq!(b.integers("SELECT n FROM t"), [1]);
    b.run("BEGIN; CREATE VIRTUAL TABLE IF NOT EXISTS t USING tonbo(x TEXT); INSERT INTO t VALUES (3, 3); COMMIT");
    assert_eq!(a.integers("SELECT id FROM t"), [1, 3]);
}

/// SQLite connects a table before it drops it, and has no connected ones behind an ALTER TABLE. So a connection that had altered one table could
/// not forget another that somebody else had dropped or renamed: each of its statements failed from then on, whatever it was about.
#[test]
fn a_connection_that_has_altered_a_table_forgets_those_that_others_drop_and_rename() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run(
        "CREATE VIRTUAL TABLE own USING tonbo(id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE dropped USING tonbo(id INTEGER PRIMARY KEY);
         CREATE VIRTUAL TABLE renamed USING tonbo(id INTEGER PRIMARY KEY)",
    );
    b.run("ALTER TABLE own ADD COLUMN x INTEGER DEFAULT 7; INSERT INTO own(id) VALUES (1)");
    a.run("DROP TABLE dropped; ALTER TABLE renamed RENAME TO other; INSERT INTO other VALUES (5)");
    assert_eq!(b.integers("SELECT x FROM own"), [7]);
    assert_eq!(b.integers("SELECT id FROM other"), [5]);
    assert_eq!(
        b.fails("SELECT * FROM dropped").message,
        "no such table: dropped"
    );
    assert_eq!(
        b.fails("SELECT * FROM renamed").message,
        "no such table: renamed"
    );
}

/// A transaction has the columns of its BEGIN, and the rows of its first read. A row that came in between was written back without the value of a
/// column that had come in between too: the default stood in its place, and nobody was told.
#[test]
fn a_transaction_does_not_write_rows_back_without_columns_that_it_does_not_know() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)");
    a.run("CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY)");
    b.run("BEGIN");
    a.run("ALTER TABLE t ADD COLUMN x INTEGER DEFAULT 7; INSERT INTO t VALUES (2, 2, 5)");
    for sql in [
        "SELECT * FROM t",
        "UPDATE t SET n = 20 WHERE id = 2",
        "INSERT INTO t VALUES (3, 3)",
        "DELETE FROM t",
        "PRAGMA integrity_check(t)",
    ] {
        let error = b.fails(sql);
        assert_eq!(error.code, StoreErrorCode::Conflict, "{sql}: {error:?}");
    }
    // What is as it was can be used, and what the transaction alters itself.
    b.run("INSERT INTO other VALUES (1)");
    b.run("ALTER TABLE t RENAME COLUMN n TO m; UPDATE t SET m = 20 WHERE id = 2; COMMIT");
    assert_eq!(a.integers("SELECT x FROM t"), [7, 5]);
    assert_eq!(a.integers("SELECT m FROM t"), [1, 20]);

    // Even where it has read `main` before: then it sees what there was.
    a.run("CREATE TABLE plain(x)");
    b.run("BEGIN; SELECT * FROM plain");
    a.run("ALTER TABLE t ADD COLUMN y INTEGER DEFAULT 8; INSERT INTO t VALUES (3, 3, 6, 9)");
    assert_eq!(b.integers("SELECT m FROM t"), [1, 20]);
    b.run("UPDATE t SET m = 30; COMMIT");
    assert_eq!(a.integers("SELECT y FROM t"), [8, 8, 9]);
    assert_eq!(a.integers("SELECT m FROM t"), [30, 30, 3]);
    a.run("ALTER TABLE t DROP COLUMN y");

    for sql in [
        "ALTER TABLE t DROP COLUMN x",
        "ALTER TABLE t RENAME COLUMN m TO n",
        "DROP TABLE t; CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)",
        "ALTER TABLE t RENAME TO u",
        "DROP TABLE u",
    ] {
        b.run("BEGIN; SAVEPOINT s");
        let table = if sql.ends_with('u') && sql.starts_with("DROP") {
            "u"
        } else {
            "t"
        };
        a.run(sql);
        let error = b.fails(&format!("SELECT * FROM {table}"));
        assert_eq!(error.code, StoreErrorCode::Conflict, "{sql}: {error:?}");
        b.run("ROLLBACK TO s; INSERT INTO other VALUES (2); ROLLBACK");
    }
    assert_eq!(b.fails("SELECT * FROM t").message, "no such table: t");
}

/// As above, with what the transaction itself does to the table, and takes back.
#[test]
fn a_transaction_uses_what_it_has_altered_itself() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)");
    b.run("BEGIN");
    a.run("CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY)");
    b.run("SAVEPOINT s; ALTER TABLE t ADD COLUMN x INTEGER DEFAULT 7; UPDATE t SET n = 2");
    assert_eq!(b.integers("SELECT x + n FROM t"), [9]);
    b.run("ROLLBACK TO s; UPDATE t SET n = 3");
    assert_eq!(b.integers("SELECT n FROM t"), [3]);
    b.run("CREATE VIRTUAL TABLE own USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO own VALUES (1); COMMIT");
    assert_eq!(a.integers("SELECT n FROM t JOIN own ON own.id = t.id"), [3]);
    b.run("BEGIN");
    a.run("DROP TABLE own; CREATE VIRTUAL TABLE own USING tonbo(id INTEGER PRIMARY KEY)");
    // Another table has the name by now.
    assert_eq!(b.fails("DROP TABLE own").code, StoreErrorCode::Conflict);
    b.run("ROLLBACK; DROP TABLE own");
}

/// Statements that are transactions of their own begin again by themselves where a table was altered between their start and their snapshot.
#[test]
fn statements_beside_alterations_neither_fail_nor_lose_a_value() {
    const ROUNDS: i64 = 60;
    let database = Database::new();
    database.connect().run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (0, 0)",
    );
    let is_over = AtomicBool::new(false);
    let mut lost = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let connection = database.connect();
                // Relaxed: a hint.
                while !is_over.load(Ordering::Relaxed) {
                    match connection
                        .try_rows("UPDATE t SET n = n + 1 WHERE id = (SELECT max(id) FROM t)")
                    {
                        Ok(_) => {}
                        // Another writer of the row has come first.
                        Err(error) => assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}"),
                    }
                    connection.rows("SELECT count(*) FROM t WHERE n >= 0");
                }
            });
        }
        let connection = database.connect();
        for round in 1..=ROUNDS {
            connection.run(&format!(
                "ALTER TABLE t ADD COLUMN x{round} INTEGER DEFAULT -1;
                 INSERT INTO t(id, n, x{round}) VALUES ({round}, 0, {round})"
            ));
            if round > 5 {
                let gone = round - 5;
                let value =
                    connection.integers(&format!("SELECT x{gone} FROM t WHERE id = {gone}"));
                if value != [gone] {
                    lost.push((gone, value));
                }
                connection.run(&format!("ALTER TABLE t DROP COLUMN x{gone}"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(lost, [], "the values of columns that came with their rows");
}

/// A connection kept the tables that it had declared, and with them the files of one that another had dropped, until its next statement: for good,
/// where it had none.
#[test]
fn an_idle_connection_keeps_no_files_of_a_dropped_table() {
    let io: SharedIo = Arc::new(MemoryIo::new());
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    let (a, idle, reader) = (database.connect(), database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n); INSERT INTO t VALUES (1, 1)");
    database.flush();
    let is_of_table = |path: &String| path.starts_with("tonbo/tables/");
    let files = || copy_of(&*io).into_keys().filter(is_of_table).count();
    for connection in [&idle, &reader] {
        assert_eq!(connection.integers("SELECT id FROM t WHERE n = 1"), [1]);
    }
    reader.run("BEGIN");
    assert_eq!(reader.integers("SELECT n FROM t"), [1]);
    assert!(files() > 0);
    a.run("DROP TABLE t");
    // Who reads it still has it.
    assert_eq!(reader.integers("SELECT id FROM t WHERE n = 1"), [1]);
    assert!(files() > 0);
    reader.run("COMMIT");
    assert_eq!(files(), 0);
    let error = idle.fails("SELECT id FROM t");
    assert_eq!(error.message, "no such table: t");
    idle.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (2)",
    );
    assert_eq!(reader.integers("SELECT id FROM t"), [2]);
}
