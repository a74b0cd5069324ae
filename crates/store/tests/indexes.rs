//! Secondary indexes and UNIQUE: what SQLite's documentation says of them, on Tonbo tables and on ordinary ones beside them; then what several
//! connections, crashes and imports do to rows and entries.

mod engine;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use engine::faults::{Fault, FaultyIo};
use engine::{Collect, Connection, Database};
use heddle_store::activity::Activity;
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{IoErrorCode, MemoryIo, PowerLossIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::session::Session;
use heddle_store::store::StoreOptions;
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

fn manual() -> StoreOptions {
    StoreOptions {
        moves_in_background: false,
        chunk_rows: 3,
        ..StoreOptions::default()
    }
}

fn integers(values: &[i64]) -> Vec<Vec<Value>> {
    values
        .iter()
        .map(|value| vec![Value::Integer(*value)])
        .collect()
}

/// The same statements on a database with Tonbo tables and on one with ordinary tables.
struct Twins {
    databases: Vec<Option<Database>>,
    connections: Vec<Option<Connection>>,
    /// Moves changes into Tonbo after every statement, and its rows to files.
    moves_always: bool,
}

impl Twins {
    fn new(moves_always: bool) -> Twins {
        let databases = [(); 2].map(|()| {
            let io: SharedIo = Arc::new(MemoryIo::new());
            Database::open(io, &manual()).unwrap()
        });
        Twins {
            connections: databases
                .iter()
                .map(|database| Some(database.connect()))
                .collect(),
            databases: databases.into_iter().map(Some).collect(),
            moves_always,
        }
    }

    fn make(&self, name: &str, columns: &str) {
        let [tonbo, ordinary] = self.pair();
        tonbo.run(&format!(
            "CREATE VIRTUAL TABLE {name} USING tonbo({columns})"
        ));
        ordinary.run(&format!("CREATE TABLE {name}({columns}) STRICT"));
    }

    fn pair(&self) -> [&Connection; 2] {
        [0, 1].map(|position| self.connections[position].as_ref().unwrap())
    }

    fn reopen(&mut self) {
        for position in 0..2 {
            self.connections[position] = None;
            let database = self.databases[position].take().unwrap();
            database.store.close().unwrap();
            let io = database.io.clone();
            drop(database);
            let database = Database::open(io, &manual()).unwrap();
            self.connections[position] = Some(database.connect());
            self.databases[position] = Some(database);
        }
    }

    /// Runs statements one by one; rows, changes and errors must be the same, and so what `content` gives behind each of them.
    fn run(&self, content: &str, statements: &[&str]) {
        for sql in statements {
            let [tonbo, ordinary] = self.pair().map(|connection| outcome(connection, sql));
            assert_eq!(tonbo, ordinary, "{sql}");
            let [tonbo, ordinary] = self.pair().map(|connection| connection.rows(content));
            assert_eq!(tonbo, ordinary, "after {sql}");
            if self.moves_always {
                let store = &self.databases[0].as_ref().unwrap().store;
                mover::round(store).unwrap();
                for version in store.sequencer.published().tables.values() {
                    mover::flush(&version.table, Due::Any).unwrap();
                }
            }
        }
    }
}

type Outcome = Result<(Vec<Vec<Value>>, i64), (StoreErrorCode, Option<i32>, String)>;

fn outcome(connection: &Connection, sql: &str) -> Outcome {
    let mut rows = Collect(Vec::new());
    connection
        .0
        .run(sql, &Parameters::none(), &mut rows)
        .map(|outcome| (rows.0, outcome.changes))
        .map_err(|error| (error.code, error.sqlite_code, error.message))
}

fn twice(test: impl Fn(Twins)) {
    test(Twins::new(false));
    test(Twins::new(true));
}

#[test]
fn unique_columns_refuse_what_other_rows_have() {
    twice(|twins| {
        twins.make(
            "t",
            "id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT, c REAL, UNIQUE (b, c)",
        );
        twins.run(
            "SELECT * FROM t ORDER BY id",
            &[
                "INSERT INTO t VALUES (1, 10, 'x', 1.5), (2, 20, 'x', 2.5)",
                "INSERT INTO t VALUES (3, 10, 'y', 1)",
                "INSERT INTO t VALUES (3, 30, 'x', 1.5)",
                "INSERT INTO t VALUES (3, 30, 'z', 1), (4, 40, 'z', 1)",
                "INSERT INTO t VALUES (1, 20, 'x', 2.5)",
                // NULL is unlike NULL.
                "INSERT INTO t VALUES (5, NULL, 'x', NULL), (6, NULL, 'x', NULL), (7, NULL, NULL, NULL)",
                "UPDATE t SET a = 20 WHERE id = 1",
                "UPDATE t SET a = 10 WHERE id = 1",
                "UPDATE t SET b = 'x', c = 2.5 WHERE id = 5",
                "UPDATE t SET a = NULL WHERE id = 2",
                "UPDATE t SET a = 20 WHERE id = 1",
                "DELETE FROM t WHERE id = 1",
                "INSERT INTO t VALUES (8, 20, 'x', 1.5)",
                // -0.0 is 0.0.
                "INSERT INTO t VALUES (9, 90, 'n', 0.0)",
                "INSERT INTO t VALUES (10, 100, 'n', -0.0)",
                // A row may take its own values, and its key may change.
                "UPDATE t SET id = 80 WHERE id = 8",
                "UPDATE t SET a = a, b = b, c = c",
                "UPDATE t SET id = id + 100",
                "INSERT INTO t VALUES (8, 20, 'q', 1.5)",
            ],
        );
    });
}

#[test]
fn each_way_to_resolve_a_conflict_does_what_it_does_on_ordinary_tables() {
    twice(|mut twins| {
        twins.make(
            "t",
            "id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b INTEGER, c TEXT, UNIQUE (b)",
        );
        let content = "SELECT * FROM t ORDER BY id";
        twins.run(
            content,
            &[
                "INSERT INTO t VALUES (1, 1, 1, 'one'), (2, 2, 2, 'two'), (3, 3, 3, 'three'), (4, 4, 4, 'four')",
                "INSERT OR IGNORE INTO t VALUES (5, 1, 5, 'no'), (6, 6, 6, 'six'), (7, 7, 2, 'no')",
                "INSERT OR FAIL INTO t VALUES (8, 8, 8, 'kept'), (9, 8, 9, 'fails'), (10, 10, 10, 'not reached')",
                "INSERT OR ABORT INTO t VALUES (11, 11, 11, 'undone'), (12, 8, 12, 'fails')",
                // Takes the place of three rows: by key, and by either index.
                "INSERT OR REPLACE INTO t VALUES (1, 2, 3, 'of three')",
                "REPLACE INTO t VALUES (20, 4, 4, 'of one, twice found')",
                "UPDATE OR IGNORE t SET a = 2 WHERE id > 1",
                "UPDATE OR REPLACE t SET a = 2 WHERE id = 6",
                "UPDATE OR FAIL t SET b = 50 WHERE id > 1",
                "BEGIN",
                "INSERT INTO t VALUES (30, 30, 30, 'in it')",
                "INSERT OR ROLLBACK INTO t VALUES (31, 30, 31, 'ends it')",
                "INSERT INTO t VALUES (40, 40, 40, 'x'), (41, 41, 41, 'y'), (42, 42, 42, 'z')",
                // All rows become one, each taking the place of the one before.
                "UPDATE OR REPLACE t SET a = 7",
                // The second of two rows that change their values is gone when its turn comes.
                "DELETE FROM t",
                "INSERT INTO t VALUES (1, 1, NULL, NULL), (2, 2, NULL, NULL)",
                "UPDATE OR REPLACE t SET a = 3 - a",
                "INSERT INTO t VALUES (5, 5, NULL, NULL)",
            ],
        );
        twins.reopen();
        twins.run(
            content,
            &[
                "INSERT INTO t VALUES (6, 5, NULL, NULL)",
                "INSERT OR REPLACE INTO t VALUES (6, 5, NULL, NULL)",
                "INSERT INTO t VALUES (7, 2, NULL, NULL)",
                "INSERT INTO t VALUES (8, 1, NULL, NULL)",
            ],
        );
    });
}

#[test]
fn savepoints_and_rollbacks_take_entries_back_with_their_rows() {
    twice(|twins| {
        twins.make("t", "id INTEGER PRIMARY KEY, a TEXT UNIQUE");
        twins.run(
            "SELECT * FROM t ORDER BY id",
            &[
                "INSERT INTO t VALUES (1, 'one')",
                "BEGIN",
                "INSERT INTO t VALUES (2, 'two')",
                "SAVEPOINT s",
                "DELETE FROM t WHERE id = 1",
                "INSERT INTO t VALUES (3, 'one')",
                "ROLLBACK TO s",
                "INSERT INTO t VALUES (4, 'one')",
                "DELETE FROM t WHERE id = 2",
                "INSERT INTO t VALUES (5, 'two')",
                "RELEASE s",
                "INSERT INTO t VALUES (6, 'two')",
                "ROLLBACK",
                "INSERT INTO t VALUES (2, 'two')",
                "INSERT INTO t VALUES (3, 'two')",
                // A statement that fails half-way leaves nothing.
                "INSERT INTO t VALUES (7, 'seven'), (8, 'eight'), (9, 'one')",
                "INSERT INTO t VALUES (9, 'seven'), (10, 'eight')",
            ],
        );
    });
}

#[test]
fn tables_with_other_keys_have_indexes_too() {
    twice(|twins| {
        let columns =
            "k TEXT NOT NULL, j INTEGER NOT NULL, a BLOB UNIQUE, n INTEGER, PRIMARY KEY (k, j)";
        let [tonbo, ordinary] = twins.pair();
        tonbo.run(&format!(
            "CREATE VIRTUAL TABLE t USING tonbo({columns}); CREATE VIRTUAL TABLE u USING tonbo(x TEXT UNIQUE)"
        ));
        ordinary.run(&format!(
            "CREATE TABLE t({columns}) STRICT, WITHOUT ROWID; CREATE TABLE u(x TEXT UNIQUE) STRICT"
        ));
        twins.run(
            "SELECT k, j, a, n FROM t ORDER BY k, j",
            &[
                "CREATE INDEX by_n ON t(n)",
                "INSERT INTO t VALUES ('a', 1, x'00', 5), ('a', 2, x'0000', 5), ('b', 1, x'', NULL)",
                "INSERT INTO t VALUES ('c', 1, x'00', 1)",
                "INSERT OR REPLACE INTO t VALUES ('a', 1, x'', 7)",
                "UPDATE t SET k = k || 'x', j = j + 1",
                "UPDATE t SET a = x'0000' WHERE n = 7",
                "UPDATE OR REPLACE t SET a = x'0000' WHERE n = 7",
                "SELECT k FROM t WHERE n = 7",
            ],
        );
        twins.run(
            "SELECT rowid, x FROM u ORDER BY rowid",
            &[
                "INSERT INTO u VALUES ('a'), ('b'), (NULL), (NULL)",
                "INSERT INTO u VALUES ('b')",
                "INSERT INTO u(rowid, x) VALUES (1, 'c')",
                "INSERT OR REPLACE INTO u(rowid, x) VALUES (1, 'b')",
                "INSERT INTO u(rowid, x) VALUES (8, 'a')",
                "UPDATE u SET rowid = 77 WHERE x = 'a'",
                "DELETE FROM u WHERE x = 'a'",
                "INSERT INTO u(rowid, x) VALUES (9, 'a')",
            ],
        );
    });
}

#[test]
fn indexes_are_made_and_dropped_as_on_ordinary_tables() {
    twice(|mut twins| {
        twins.make("t", "id INTEGER PRIMARY KEY, a INTEGER, b TEXT");
        let content = "SELECT * FROM t ORDER BY id";
        twins.run(
            content,
            &[
                "INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'x'), (3, 1, 'y'), (4, NULL, 'y'), (5, NULL, 'y')",
                "CREATE UNIQUE INDEX u ON t(a)",
                "CREATE UNIQUE INDEX u ON t(b)",
                "CREATE UNIQUE INDEX u ON t(a, b)",
                "CREATE UNIQUE INDEX u ON t(a, b)",
                "CREATE UNIQUE INDEX IF NOT EXISTS u ON t(a)",
                "CREATE INDEX t ON t(a)",
                "CREATE INDEX i ON t(nope)",
                "INSERT INTO t VALUES (6, 1, 'y')",
                "INSERT INTO t VALUES (6, 3, 'y')",
                "DROP INDEX u",
                "DROP INDEX u",
                "DROP INDEX IF EXISTS u",
                "INSERT INTO t VALUES (7, 3, 'y')",
                "CREATE UNIQUE INDEX main.u ON t(a, b)",
                "DELETE FROM t WHERE id = 7",
                "CREATE UNIQUE INDEX main.u ON t(a, b); INSERT INTO t VALUES (7, 3, 'y')",
            ],
        );
        twins.reopen();
        twins.run(
            content,
            &[
                "INSERT INTO t VALUES (7, 3, 'y')",
                "DROP INDEX u",
                "INSERT INTO t VALUES (7, 3, 'y')",
            ],
        );
        // Within a transaction, with rows of its own, taken back in part.
        twins.run(
            content,
            &[
                "BEGIN",
                "DELETE FROM t WHERE id = 7",
                "SAVEPOINT s",
                "CREATE UNIQUE INDEX u ON t(a, b)",
                "INSERT INTO t VALUES (8, 3, 'y')",
                "INSERT INTO t VALUES (8, 3, 'z')",
                "INSERT INTO t VALUES (9, 3, 'z')",
                "ROLLBACK TO s",
                "INSERT INTO t VALUES (8, 3, 'y')",
                "CREATE UNIQUE INDEX u ON t(a, b)",
                "CREATE UNIQUE INDEX u ON t(id, b)",
                "DELETE FROM t WHERE id = 6",
                "INSERT INTO t VALUES (9, 3, 'y')",
                "DROP INDEX u",
                "INSERT INTO t VALUES (9, 3, 'y')",
                "ROLLBACK TO s",
                "CREATE UNIQUE INDEX u ON t(b, a)",
                "INSERT INTO t VALUES (9, 4, 'y')",
                "COMMIT",
                "INSERT INTO t VALUES (10, 4, 'y')",
                "BEGIN",
                "DROP INDEX u",
                "INSERT INTO t VALUES (10, 4, 'y')",
                "ROLLBACK",
                "INSERT INTO t VALUES (10, 4, 'y')",
                "BEGIN; DROP TABLE t; ROLLBACK",
                "INSERT INTO t VALUES (10, 4, 'y')",
            ],
        );
        twins.reopen();
        twins.run(
            content,
            &[
                "INSERT INTO t VALUES (10, 4, 'y')",
                "INSERT INTO t VALUES (10, 4, 'z')",
            ],
        );
    });
}

#[test]
fn an_index_of_a_table_that_is_dropped_goes_with_it() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b INTEGER); CREATE INDEX i ON t(b);
         INSERT INTO t VALUES (1, 1, 1)",
    );
    assert_eq!(
        connection.rows("SELECT i.name, t.name, i.columns, is_unique FROM heddle_indexes AS i JOIN heddle_tables AS t ON t.id = table_id ORDER BY i.id").len(),
        2
    );
    let error = connection.fails("DROP INDEX sqlite_autoindex_t_1");
    assert!(error.message.contains("cannot be dropped"), "{error:?}");
    for (sql, part) in [
        ("CREATE INDEX j ON t(lower(b))", "an expression"),
        ("CREATE INDEX j ON t(b) WHERE b > 1", "a WHERE"),
        ("CREATE VIRTUAL TABLE z USING tonbo(x)", "unknown type"),
        (
            "CREATE VIRTUAL TABLE i USING tonbo(x TEXT)",
            "there is already an index named i",
        ),
    ] {
        let error = connection.fails(sql);
        assert!(error.message.contains(part), "{sql}: {error:?}");
    }
    connection.run("DROP TABLE t");
    assert_eq!(
        connection.integers("SELECT count(*) FROM heddle_indexes"),
        [0]
    );
    mover::round(&database.store).unwrap();
    assert_eq!(database.store.sequencer.published().tables.len(), 0);
    let left = database.io.list("").unwrap();
    assert!(
        !left.iter().any(|(path, _)| path.contains("tables/")),
        "{left:?}"
    );
    connection.run("CREATE VIRTUAL TABLE i USING tonbo(x INTEGER)");
}

#[test]
fn of_two_transactions_that_insert_the_same_unique_value_one_commits() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x TEXT UNIQUE)");
    b.rows("SELECT * FROM t");
    a.run("BEGIN; INSERT INTO t VALUES (1, 'same')");
    b.run("BEGIN; INSERT INTO t VALUES (2, 'same'), (3, NULL)");
    a.run("COMMIT");
    assert_eq!(b.fails("COMMIT").code, StoreErrorCode::Conflict);
    assert_eq!(b.rows("SELECT id FROM t"), integers(&[1]));
    // A row that gives a value up, and one that takes it.
    a.run("BEGIN; UPDATE t SET x = 'other' WHERE id = 1");
    let error = b.fails("INSERT INTO t VALUES (2, 'same')");
    assert_eq!(error.code, StoreErrorCode::Constraint);
    a.run("COMMIT");
    b.run("INSERT INTO t VALUES (2, 'same')");
    // NULLs don't meet.
    a.run("BEGIN; INSERT INTO t VALUES (4, NULL)");
    b.run("BEGIN; INSERT INTO t VALUES (5, NULL)");
    a.run("COMMIT");
    b.run("COMMIT");
    assert_eq!(b.rows("SELECT id FROM t"), integers(&[1, 2, 4, 5]));
}

#[test]
fn threads_that_insert_the_same_values_leave_each_once() {
    let database = Database::new();
    database
        .connect()
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER UNIQUE)");
    let inserted: i64 = std::thread::scope(|scope| {
        let insert = |thread: i64| {
            let connection = database.connect();
            let mut inserted = 0;
            for value in 0..200 {
                let sql = format!("INSERT INTO t VALUES ({}, {value})", thread * 1000 + value);
                match connection.try_rows(&sql) {
                    Ok(_) => inserted += 1,
                    Err(error) => assert!(
                        matches!(
                            error.code,
                            StoreErrorCode::Constraint | StoreErrorCode::Conflict
                        ),
                        "{error:?}"
                    ),
                }
            }
            inserted
        };
        let threads: Vec<_> = (0..3)
            .map(|thread| scope.spawn(move || insert(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let connection = database.connect();
    assert_eq!(
        connection.rows("SELECT count(*), count(DISTINCT x) FROM t"),
        [[200, 200].map(Value::Integer)]
    );
    assert_eq!(inserted, 200);
}

#[test]
fn who_writes_beside_a_new_index_commits_before_it_or_not_at_all() {
    let database = Database::new();
    let (a, b, c) = (database.connect(), database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO t VALUES (1, 1)");
    b.rows("SELECT * FROM t");
    // The writer has an older snapshot than the index.
    b.run("BEGIN; INSERT INTO t VALUES (2, 1)");
    a.run("CREATE UNIQUE INDEX u ON t(x)");
    assert_eq!(b.fails("COMMIT").code, StoreErrorCode::Conflict);
    // The writer commits between the index and its commit.
    a.run("DROP INDEX u; BEGIN");
    a.run("CREATE UNIQUE INDEX u ON t(x)");
    b.run("INSERT INTO t VALUES (2, 1)");
    assert_eq!(a.fails("COMMIT").code, StoreErrorCode::Conflict);
    let error = a.fails("CREATE UNIQUE INDEX u ON t(x)");
    assert_eq!(error.code, StoreErrorCode::Constraint, "{error:?}");
    a.run("DELETE FROM t WHERE id = 2");
    a.run("CREATE UNIQUE INDEX u ON t(x)");
    // A transaction that began before, and reads its first Tonbo table later, knows what its snapshot of `main` shows.
    c.run("CREATE TABLE plain(x); BEGIN");
    c.rows("SELECT * FROM plain");
    a.run("DROP INDEX u; INSERT INTO t VALUES (2, 1)");
    let error = c.fails("INSERT INTO t VALUES (3, 1)");
    assert_eq!(error.code, StoreErrorCode::Constraint, "{error:?}");
    c.run("INSERT INTO t VALUES (3, 3)");
    assert_eq!(c.fails("COMMIT").code, StoreErrorCode::Conflict);
    c.run("BEGIN");
    c.rows("SELECT * FROM plain");
    a.run("DELETE FROM t WHERE id = 2; CREATE UNIQUE INDEX u ON t(x)");
    c.run("INSERT INTO t VALUES (3, 1)");
    assert_eq!(c.fails("COMMIT").code, StoreErrorCode::Conflict);
    assert_eq!(a.rows("SELECT id FROM t"), integers(&[1]));
}

/// A statement is planned with the indexes that are published, and may then see a snapshot from before them.
#[test]
fn a_plan_with_an_index_that_the_snapshot_lacks_gives_the_same_rows() {
    let database = Database::open(Arc::new(MemoryIo::new()), &manual()).unwrap();
    let (a, b) = (database.connect(), database.connect());
    a.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER, y TEXT); CREATE TABLE plain(n);
         INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i, i % 9, 'y' || (i % 4) FROM n",
    );
    b.run("BEGIN");
    b.rows("SELECT * FROM plain");
    // What is unique for those who come later, is not for `b`.
    a.run("CREATE INDEX i ON t(y, x); UPDATE t SET x = id; CREATE UNIQUE INDEX u ON t(x)");
    let plan = b.rows("EXPLAIN QUERY PLAN SELECT id FROM t WHERE x = 3");
    assert!(format!("{plan:?}").contains("INDEX u x=?"), "{plan:?}");
    let expected: Vec<i64> = (1..=100).filter(|id| id % 9 == 3).collect();
    assert_eq!(
        b.integers("SELECT id FROM t WHERE x = 3 ORDER BY id"),
        expected
    );
    let mut last: Vec<(i64, i64)> = (1..=100).map(|id| (id % 9, id)).collect();
    last.sort_unstable();
    let last: Vec<i64> = last.into_iter().rev().map(|(_, id)| id).take(15).collect();
    assert_eq!(
        b.integers("SELECT id FROM t ORDER BY x DESC, id DESC LIMIT 15"),
        last
    );
    assert_eq!(
        b.integers("SELECT count(*) FROM t WHERE y IN ('y1', 'y2') AND x > 2"),
        a.integers("SELECT count(*) FROM t WHERE id % 4 IN (1, 2) AND id % 9 > 2")
    );
    b.run("ROLLBACK");
    assert_eq!(b.integers("SELECT id FROM t WHERE x = 3"), [3]);
}

#[test]
fn a_table_whose_index_cannot_be_opened_can_be_read_and_the_index_made_again() {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::open(io.clone(), &manual()).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER); CREATE UNIQUE INDEX i ON t(x);
         INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, i FROM n",
    );
    assert_eq!(connection.integers("SELECT id FROM heddle_indexes"), [2]);
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    io.inject(Fault {
        kind: None,
        path: "tonbo/tables/2/",
        first: 1,
        length: u64::MAX,
        code: IoErrorCode::Other,
        is_torn: true,
        is_panic: false,
    });
    let database = Database::open(io, &manual()).unwrap();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT id FROM t WHERE x = 7"), [7]);
    for sql in [
        "INSERT INTO t VALUES (51, 51)",
        "DELETE FROM t WHERE id = 1",
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, StoreErrorCode::IoError, "{sql}: {error:?}");
    }
    let report = connection.rows("PRAGMA integrity_check");
    assert!(
        format!("{report:?}").contains("table t: the index i cannot be read"),
        "{report:?}"
    );
    connection.run("DROP INDEX i; CREATE UNIQUE INDEX i ON t(x)");
    assert_eq!(
        connection.rows("PRAGMA integrity_check"),
        [[Value::Text("ok".into())]]
    );
    assert_eq!(
        connection.fails("INSERT INTO t VALUES (51, 50)").code,
        StoreErrorCode::Constraint
    );
    connection.run("DELETE FROM t WHERE x = 1");
}

#[test]
fn the_building_of_an_index_can_be_interrupted() {
    let database = Database::new();
    database.connect().run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER);
         INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i, i FROM n",
    );
    let activity = Arc::new(Activity::default());
    let connection = Connection(Session::open(&database.store, activity.clone()).unwrap());
    connection.rows("SELECT count(*) FROM t");
    for (begin, end) in [
        ("", ""),
        ("BEGIN; INSERT INTO t VALUES (3000, 1)", "COMMIT"),
    ] {
        connection.run(begin);
        activity.begin(7);
        activity.cancel.store(7, Ordering::Relaxed);
        let error = connection.fails("CREATE INDEX i ON t(x)");
        assert_eq!(error.code, StoreErrorCode::Interrupted, "{error:?}");
        activity.end();
        connection.run(end);
        assert_eq!(
            connection.integers("SELECT count(*) FROM heddle_indexes"),
            [0]
        );
    }
    connection.run("CREATE INDEX i ON t(x)");
    assert_eq!(
        connection.integers("SELECT id FROM t WHERE x = 1 ORDER BY id"),
        [1, 3000]
    );
    let error = connection.fails("CREATE INDEX sqlite_i ON t(x)");
    assert!(error.message.contains("reserved"), "{error:?}");
}

#[test]
fn writers_beside_indexes_that_come_and_go_leave_rows_and_entries_in_agreement() {
    let database = Database::new();
    let setup = database.connect();
    setup.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER)");
    std::thread::scope(|scope| {
        for thread in 0..2i64 {
            let database = &database;
            scope.spawn(move || {
                let connection = database.connect();
                for round in 0..150i64 {
                    let id = thread * 10_000 + round;
                    let sql = format!("INSERT INTO t VALUES ({id}, {})", id % 7);
                    while let Err(error) = connection.try_rows(&sql) {
                        assert!(
                            matches!(
                                error.code,
                                StoreErrorCode::Conflict | StoreErrorCode::TableBusy
                            ),
                            "{error:?}"
                        );
                    }
                }
            });
        }
        let database = &database;
        scope.spawn(move || {
            let connection = database.connect();
            for _ in 0..20 {
                for sql in ["CREATE INDEX i ON t(x)", "DROP INDEX i"] {
                    while let Err(error) = connection.try_rows(sql) {
                        assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
                    }
                }
            }
            connection.run("CREATE INDEX i ON t(x)");
        });
    });
    assert_eq!(setup.integers("SELECT count(*) FROM t"), [300]);
    let published = database.store.sequencer.published();
    let entries = published
        .tables
        .values()
        .find(|version| version.table.schema.is_index())
        .unwrap();
    let mut scan = heddle_store::table::scan::Scan::new(
        entries.clone(),
        heddle_store::table::version::Buffer::new(),
        heddle_store::table::scan::Request::default(),
    )
    .unwrap();
    let mut count = 0;
    while !scan.is_done() {
        count += 1;
        scan.advance().unwrap();
    }
    assert_eq!(count, 300);
}

#[test]
fn a_loss_of_power_leaves_rows_and_entries_in_agreement() {
    let io = Arc::new(PowerLossIo::new());
    let database = Database::open(io.clone(), &manual()).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER UNIQUE, y TEXT);
         INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'); CREATE INDEX i ON t(y)",
    );
    mover::round(&database.store).unwrap();
    connection.run("UPDATE t SET x = x + 10; INSERT INTO t VALUES (3, 3, 'c')");
    for seed in 0..8 {
        let survivor: SharedIo = Arc::new(io.crash(seed));
        let database = Database::open(survivor, &manual()).unwrap();
        let connection = database.connect();
        assert_eq!(connection.integers("SELECT x FROM t"), [11, 12, 3]);
        for taken in [11, 12, 3] {
            let error = connection.fails(&format!("INSERT INTO t VALUES (9, {taken}, '')"));
            assert_eq!(error.code, StoreErrorCode::Constraint);
        }
        connection.run("INSERT INTO t VALUES (4, 1, 'd'), (5, 2, 'e')");
    }
}

fn arrow(ids: &[i64], x: &[Option<i64>], y: &[&str]) -> bytes::Bytes {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(ids.to_vec()))),
        ("x", Arc::new(Int64Array::from(x.to_vec()))),
        ("y", Arc::new(StringArray::from(y.to_vec()))),
    ];
    let columns = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap().into()
}

fn import(connection: &Connection, source: bytes::Bytes) -> Result<u64, StoreError> {
    let options = ImportOptions {
        table: "t".into(),
        batch_rows: Some(2),
        ..ImportOptions::default()
    };
    import::run(&connection.0, source, &options, &mut |_| Ok(()))
}

#[test]
fn an_import_writes_entries_with_its_rows_and_refuses_what_unique_forbids() {
    let io = Arc::new(PowerLossIo::new());
    let database = Database::open(io.clone(), &manual()).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER UNIQUE, y TEXT); CREATE INDEX i ON t(y);
         INSERT INTO t VALUES (1, 1, 'a')",
    );
    let rows = arrow(
        &[3, 2, 5, 4],
        &[Some(3), Some(2), None, None],
        &["b", "a", "b", "c"],
    );
    assert_eq!(import(&connection, rows).unwrap(), 4);
    // The second batch has a value of the table's, then one twice; nothing of it is there.
    for x in [[6, 7, 1, 8], [6, 7, 8, 8]] {
        let rows = arrow(&[6, 7, 8, 9], &x.map(Some), &["", "", "", ""]);
        let error = import(&connection, rows).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::Constraint, "{error:?}");
        assert_eq!(error.message, "UNIQUE constraint failed: t.x");
        assert_eq!(
            connection.integers("SELECT id FROM t"),
            [1, 2, 3, 4, 5, 6, 7]
        );
        connection.run("DELETE FROM t WHERE id > 5");
    }
    let survivor: SharedIo = Arc::new(io.crash(1));
    for connection in [connection, Database::on(survivor).connect()] {
        assert_eq!(connection.integers("SELECT id FROM t"), [1, 2, 3, 4, 5]);
        let error = connection.fails("INSERT INTO t VALUES (10, 2, '')");
        assert_eq!(error.code, StoreErrorCode::Constraint);
        connection.run("INSERT INTO t VALUES (10, 7, '')");
    }
}
