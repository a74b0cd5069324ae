//! ALTER TABLE, as SQLite's documentation has it (lang_altertable.html): on a Tonbo table and on the same ordinary one.

mod engine;

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch, StringArray};
use engine::twins::Twins;
use engine::{Database, Rows};
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{MemoryIo, PowerLossIo, SharedIo};
use heddle_store::schema::TableSchema;
use heddle_store::store::StoreOptions;
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

const COLUMNS: &str = "id INTEGER PRIMARY KEY, a TEXT, b INTEGER DEFAULT 5 CHECK (b > 0), c REAL NOT NULL DEFAULT 0.5,
    CHECK (t.b < 100 OR a IS NULL)";

fn twins() -> Twins {
    let twins = Twins::new(COLUMNS, "STRICT");
    twins.run("INSERT INTO t(id, a, b) VALUES (1, 'one', 1), (2, 'two', 2), (3, NULL, NULL)");
    twins
}

/// Has the Tonbo table's rows in its files, where the next statement reads them.
fn to_files(twins: &Twins) {
    let (database, _) = twins.tonbo.as_ref().unwrap();
    mover::round(&database.store).unwrap();
    for id in database.store.sequencer.published().tables.keys() {
        mover::flush(&database.store.table(*id).unwrap(), Due::Any).unwrap();
    }
}

#[test]
fn a_table_is_renamed_with_its_checks() {
    let mut twins = twins();
    twins.compare("SELECT 1");
    twins.run("ALTER TABLE t RENAME TO \"new name\"");
    twins.compare("SELECT * FROM \"new name\" ORDER BY id");
    twins.run("INSERT INTO \"new name\"(id) VALUES (4)");
    assert_eq!(
        twins.fails("UPDATE \"new name\" SET b = -1 WHERE id = 1"),
        "CHECK constraint failed: b > 0"
    );
    twins.fails("UPDATE \"new name\" SET b = 100");
    assert_eq!(twins.fails("SELECT * FROM t"), "no such table: t");
    twins.reopen();
    twins.run("INSERT INTO \"new name\"(id) VALUES (5)");
    // The name is free again, and a name that is taken is refused.
    twins.run("CREATE TABLE t(x)");
    let message = twins.fails("ALTER TABLE \"new name\" RENAME TO t");
    assert_eq!(
        message,
        "there is already another table or index with this name: t"
    );
    twins.run("INSERT INTO \"new name\"(id) VALUES (6)");
}

#[test]
fn a_column_is_renamed_wherever_it_is_named() {
    let mut twins = twins();
    twins.run("CREATE TEMP VIEW v AS SELECT b + 1 AS n FROM t WHERE b > 0");
    twins.run("ALTER TABLE t RENAME COLUMN b TO \"the b\"");
    twins.rows("SELECT n FROM v ORDER BY 1");
    twins.rows("SELECT \"the b\" FROM t WHERE \"the b\" > 1");
    assert_eq!(twins.fails("SELECT b FROM t"), "no such column: b");
    twins.fails("UPDATE t SET \"the b\" = 0");
    twins.run("ALTER TABLE t RENAME id TO key");
    twins.run("INSERT INTO t(key, \"the b\") VALUES (10, 10)");
    assert_eq!(
        twins.fails("INSERT INTO t(key) VALUES (10)"),
        "UNIQUE constraint failed: t.key"
    );
    assert_eq!(
        twins.fails("ALTER TABLE t RENAME COLUMN a TO c"),
        "error in table t after rename: duplicate column name: c"
    );
    assert_eq!(
        twins.fails("ALTER TABLE t RENAME COLUMN nope TO d"),
        "no such column: \"nope\""
    );
    twins.fails("ALTER TABLE t RENAME COLUMN a");
    twins.run("DROP VIEW v");
    twins.reopen();
    twins.run("UPDATE t SET a = 'x' WHERE key = 1");
}

#[test]
fn a_column_is_dropped_and_the_others_keep_their_values() {
    for in_files in [false, true] {
        let mut twins = twins();
        if in_files {
            to_files(&twins);
        }
        twins.run("ALTER TABLE t DROP COLUMN c");
        twins.run("INSERT INTO t(id, a, b) VALUES (4, 'four', 4)");
        twins.run("UPDATE t SET a = a || '!' WHERE id < 3");
        twins.fails("UPDATE t SET c = 1");
        for sql in [
            "ALTER TABLE t DROP COLUMN id",
            "ALTER TABLE t DROP COLUMN b",
            "ALTER TABLE t DROP nope",
        ] {
            twins.fails(sql);
            twins.run("UPDATE t SET b = b + 1 WHERE id = 1");
        }
        twins.reopen();
        if in_files {
            to_files(&twins);
        }
        twins.rows("SELECT * FROM t WHERE b IN (4, 5)");
        // The name can be had again, for another column.
        twins.run("ALTER TABLE t ADD COLUMN c TEXT");
        twins.run("INSERT INTO t VALUES (5, 'five', 5, 'c')");
        twins.reopen();
    }
    let twins = Twins::new("id INTEGER PRIMARY KEY", "STRICT");
    assert_eq!(
        twins.fails("ALTER TABLE t DROP COLUMN id"),
        "cannot drop PRIMARY KEY column: \"id\""
    );
}

#[test]
fn the_last_column_and_those_of_composite_keys_stay() {
    let twins = Twins::new(
        "a TEXT, b INTEGER, c TEXT, PRIMARY KEY (b, a)",
        "STRICT, WITHOUT ROWID",
    );
    twins.run("INSERT INTO t VALUES ('a', 1, 'x'), ('b', 2, 'y')");
    twins.fails("ALTER TABLE t DROP COLUMN a");
    twins.run("ALTER TABLE t DROP COLUMN c");
    twins.run("INSERT INTO t VALUES ('c', 0)");
    twins.fails("INSERT INTO t VALUES ('c', 0)");
    twins.rows("SELECT b, a FROM t WHERE b > 0 ORDER BY b");
    let twins = Twins::new("a INTEGER", "STRICT");
    assert_eq!(
        twins.fails("ALTER TABLE t DROP a"),
        "cannot drop column \"a\": no other columns exist"
    );
    twins.run("INSERT INTO t VALUES (1)");
}

#[test]
fn a_column_is_added_and_older_rows_have_its_default() {
    for in_files in [false, true] {
        let mut twins = twins();
        if in_files {
            to_files(&twins);
        }
        twins.run("ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'it''s'");
        twins.run("ALTER TABLE t ADD e INTEGER NOT NULL DEFAULT -7 CHECK (e < 10)");
        twins.run("ALTER TABLE t ADD COLUMN f BLOB");
        twins.run("ALTER TABLE t ADD COLUMN g REAL DEFAULT 1.5");
        twins.rows("SELECT g, d, id, e FROM t WHERE e = -7 AND d = 'it''s' ORDER BY g, id");
        twins.run("INSERT INTO t(id, d, f, g) VALUES (4, NULL, x'00ff', NULL)");
        twins.run("UPDATE t SET e = id, f = CAST(d AS BLOB) WHERE id < 3");
        assert_eq!(
            twins.fails("UPDATE t SET e = 10 WHERE id = 3"),
            "CHECK constraint failed: e < 10"
        );
        twins.fails("UPDATE t SET e = NULL");
        twins.reopen();
        to_files(&twins);
        twins.rows("SELECT sum(e), count(d), total(g), max(f) FROM t");
        twins.run("ALTER TABLE t DROP COLUMN e");
        twins.run("ALTER TABLE t ADD COLUMN h INTEGER DEFAULT 8");
        twins.run("INSERT INTO t(id) VALUES (20)");
        twins.run("DELETE FROM t WHERE id = 1");
        twins.run("ALTER TABLE t RENAME COLUMN h TO i");
        twins.rows("SELECT i, f FROM t WHERE i = 8 ORDER BY id DESC");
        twins.reopen();
        to_files(&twins);
        twins.reopen();
    }
}

#[test]
fn what_sqlite_refuses_to_add_is_refused_in_its_words() {
    let twins = twins();
    for (column, message) in [
        (
            "d INTEGER NOT NULL",
            "Cannot add a NOT NULL column with default value NULL",
        ),
        (
            "d INTEGER DEFAULT (random())",
            "Cannot add a column with non-constant default",
        ),
        (
            "d TEXT DEFAULT CURRENT_TIME",
            "Cannot add a column with non-constant default",
        ),
        ("d INTEGER PRIMARY KEY", "Cannot add a PRIMARY KEY column"),
        ("d INTEGER UNIQUE", "Cannot add a UNIQUE column"),
        ("a INTEGER", "duplicate column name: a"),
        (
            "d INTEGER DEFAULT 0 CHECK (d > 0)",
            "CHECK constraint failed",
        ),
    ] {
        let sql = format!("ALTER TABLE t ADD COLUMN {column}");
        let tonbo = twins.tonbo().fails(&sql);
        assert!(
            tonbo.message.starts_with(message),
            "{column}: {}",
            tonbo.message
        );
        let ordinary = twins.fails_ordinary(&sql);
        assert!(
            ordinary.message.starts_with(message),
            "{column}: {}",
            ordinary.message
        );
        twins.run("UPDATE t SET b = b + 1 WHERE id = 1");
    }
    for (column, code) in [
        // These have to look at every row.
        (
            "d INTEGER DEFAULT 1 CHECK (d < b)",
            StoreErrorCode::SqlError,
        ),
        ("d INTEGER DEFAULT 'x'", StoreErrorCode::TypeMismatch),
        (
            "d INTEGER GENERATED ALWAYS AS (b)",
            StoreErrorCode::SqlError,
        ),
        ("d UUID", StoreErrorCode::SqlError),
    ] {
        let error = twins
            .tonbo()
            .fails(&format!("ALTER TABLE t ADD COLUMN {column}"));
        assert_eq!(error.code, code, "{column}: {error:?}");
        twins.run("UPDATE t SET b = b + 1 WHERE id = 1");
    }
    let error = twins
        .tonbo()
        .fails("ALTER TABLE t ADD CONSTRAINT x CHECK (b < 50)");
    assert_eq!(error.code, StoreErrorCode::SqlError);
    twins.run("UPDATE t SET b = 99 WHERE id = 1");
}

#[test]
fn constraints_can_be_dropped() {
    let mut twins = Twins::new(
        "id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER, CONSTRAINT small CHECK (b < 10)",
        "STRICT",
    );
    twins.run("INSERT INTO t VALUES (1, 'a', 1)");
    twins.run("ALTER TABLE t DROP CONSTRAINT small");
    twins.run("INSERT INTO t VALUES (2, 'b', 20)");
    twins.fails("INSERT INTO t VALUES (3, NULL, 1)");
    twins.run("ALTER TABLE t ALTER COLUMN a DROP NOT NULL");
    twins.run("INSERT INTO t VALUES (3, NULL, 1)");
    twins.fails("ALTER TABLE t DROP CONSTRAINT small");
    twins.reopen();
    twins.run("INSERT INTO t VALUES (4, NULL, 100)");
}

#[test]
fn rollback_and_savepoints_undo_it() {
    let mut twins = twins();
    twins.run("BEGIN");
    twins.run("INSERT INTO t(id) VALUES (10)");
    twins.run("ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 3");
    twins.run("INSERT INTO t(id, d) VALUES (11, 4)");
    twins.run("ALTER TABLE t DROP COLUMN c");
    twins.run("ROLLBACK");
    twins.run("INSERT INTO t(id, a) VALUES (12, 'a')");

    twins.run("BEGIN");
    twins.run("INSERT INTO t(id) VALUES (20)");
    twins.run("SAVEPOINT s");
    twins.run("INSERT INTO t(id) VALUES (21)");
    twins.run("ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 3");
    twins.run("INSERT INTO t(id, d) VALUES (22, 4)");
    twins.fails("INSERT INTO t(id, d) VALUES (23, 4), (22, 5)");
    twins.run("ROLLBACK TO s");
    twins.run("INSERT INTO t(id, a) VALUES (24, 'x')");
    twins.run("ALTER TABLE t RENAME COLUMN a TO z");
    twins.run("RELEASE s");
    twins.run("UPDATE t SET z = 'y' WHERE id = 24");
    twins.run("COMMIT");
    twins.reopen();

    twins.run("BEGIN");
    twins.run("INSERT INTO t(id) VALUES (30)");
    twins.run("SAVEPOINT s");
    twins.run("ALTER TABLE t DROP COLUMN c");
    twins.run("DELETE FROM t WHERE id < 20");
    twins.run("ROLLBACK TO s");
    twins.run("COMMIT");
    twins.run("BEGIN");
    twins.compare("SELECT 1");
    twins.run("ALTER TABLE t RENAME TO u");
    twins.run("INSERT INTO u(id) VALUES (40)");
    twins.run("ROLLBACK");
    twins.compare("SELECT * FROM t ORDER BY id");
    twins.reopen();
}

#[test]
fn other_connections_see_it_once_it_is_committed() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x TEXT, y INTEGER); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)");
    let old = b.rows("SELECT * FROM t");
    b.run("BEGIN");
    assert_eq!(b.rows("SELECT * FROM t"), old);
    a.run("ALTER TABLE t DROP COLUMN x; ALTER TABLE t ADD COLUMN z TEXT NOT NULL DEFAULT 'z'; ALTER TABLE t RENAME COLUMN y TO w");
    a.run("INSERT INTO t VALUES (3, 3, 'c')");
    // A transaction that has begun before keeps what it sees, and can write.
    assert_eq!(b.rows("SELECT * FROM t"), old);
    b.run("INSERT INTO t VALUES (4, 'd', 4); UPDATE t SET y = 20 WHERE id = 2");
    assert_eq!(b.integers("SELECT y FROM t"), [1, 20, 4]);
    b.run("COMMIT");
    let expected: Rows = [(1, 1, "z"), (2, 20, "z"), (3, 3, "c"), (4, 4, "z")]
        .map(|(id, w, z)| vec![Value::Integer(id), Value::Integer(w), Value::Text(z.into())])
        .into();
    for connection in [&a, &b, &database.connect()] {
        assert_eq!(connection.rows("SELECT id, w, z FROM t"), expected);
        assert_eq!(connection.rows("SELECT * FROM t"), expected);
    }
    assert_eq!(b.fails("SELECT x FROM t").message, "no such column: x");
    b.run("ALTER TABLE t RENAME TO u");
    assert_eq!(a.rows("SELECT * FROM u"), expected);
    assert_eq!(a.fails("SELECT * FROM t").message, "no such table: t");
    a.run("DROP TABLE u; CREATE VIRTUAL TABLE t USING tonbo(n INTEGER)");
    b.run("INSERT INTO t VALUES (1)");
}

/// Each reads the definition that it changes under the lock of the one that it writes.
#[test]
fn connections_that_alter_one_table_at_once_lose_nothing() {
    const COLUMNS: i64 = 8;
    let database = Database::new();
    database
        .connect()
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
    std::thread::scope(|scope| {
        for thread in 0..3i64 {
            let database = &database;
            scope.spawn(move || {
                let connection = database.connect();
                for number in 0..COLUMNS {
                    let default = thread * 100 + number;
                    connection.run(&format!(
                        "INSERT INTO t(id) VALUES ({});
                         ALTER TABLE t ADD COLUMN c{thread}_{number} INTEGER DEFAULT {default}",
                        default * 2
                    ));
                }
            });
        }
    });
    let connection = database.connect();
    connection.run("INSERT INTO t(id) VALUES (-1)");
    for thread in 0..3 {
        for number in 0..COLUMNS {
            let default = thread * 100 + number;
            assert_eq!(
                connection.integers(&format!("SELECT DISTINCT c{thread}_{number} FROM t")),
                [default]
            );
        }
    }
    let rows = connection.integers("SELECT count(*) FROM t");
    assert_eq!(rows, [3 * COLUMNS + 1]);
}

#[test]
fn an_altered_table_can_be_imported_into() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x TEXT, y INTEGER); INSERT INTO t VALUES (1, 'a', 1);
         ALTER TABLE t ADD COLUMN z TEXT DEFAULT 'old'; ALTER TABLE t ADD COLUMN n INTEGER DEFAULT 9; ALTER TABLE t DROP COLUMN x",
    );
    let batch = RecordBatch::try_from_iter([
        ("z", Arc::new(StringArray::from(vec![Some("b"), None])) as _),
        ("id", Arc::new(Int64Array::from(vec![2, 3])) as _),
    ])
    .unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let options = ImportOptions {
        table: "t".into(),
        ..ImportOptions::default()
    };
    let source = writer.into_inner().unwrap().into();
    import::run(&connection.0, source, &options, &mut |_| Ok(())).unwrap();
    let expected = "1|1|old|9, 2||b|9, 3|||9";
    let sql =
        "SELECT group_concat(concat_ws('|', id, ifnull(y, ''), ifnull(z, ''), n), ', ') FROM t";
    assert_eq!(connection.rows(sql), [[Value::Text(expected.into())]]);
    drop(connection);
    let database = database.reopen();
    assert_eq!(
        database.connect().rows(sql),
        [[Value::Text(expected.into())]]
    );
}

/// What was noted when the table's files were opened told of a name, and of columns, that nobody knew any more.
#[test]
fn errors_name_a_renamed_table_and_its_columns_as_they_are_now() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO t VALUES (1, 1), (2, 1)");
    a.run("ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME COLUMN x TO y");
    let conflict = || {
        b.run("BEGIN; SELECT * FROM u; UPDATE u SET y = 5 WHERE id = 1");
        a.run("UPDATE u SET y = 1 WHERE id = 1");
        b.fails("COMMIT").message
    };
    let told = "another transaction has written a row that this one writes in u: this one was rolled back, try again";
    assert_eq!(conflict(), told);
    a.run("BEGIN; ALTER TABLE u RENAME TO never; INSERT INTO never VALUES (3, 3); ROLLBACK");
    assert_eq!(conflict(), told);

    let violation = |sql: &str, name: &str| {
        let error = a.fails(sql);
        assert_eq!(
            error.message,
            format!("UNIQUE constraint failed: {name}.y"),
            "{sql}"
        );
        let key = error.key.unwrap();
        assert_eq!(
            (&key.table[..], &key.columns[..]),
            (name, &["y".into()][..])
        );
    };
    violation("CREATE UNIQUE INDEX by_y ON u(y)", "u");
    a.run("BEGIN; ALTER TABLE u RENAME TO v");
    violation("CREATE UNIQUE INDEX by_y ON v(y)", "v");
    a.run("ROLLBACK; UPDATE u SET y = 2 WHERE id = 2; CREATE UNIQUE INDEX by_y ON u(y)");

    let import = |text: &'static str| {
        let options = ImportOptions {
            table: "U".into(),
            format: Some("csv".into()),
            ..ImportOptions::default()
        };
        let error = import::run(&a.0, text.into(), &options, &mut |_| Ok(())).unwrap_err();
        let key = error
            .key
            .map(|key| format!("{}({})", key.table, key.columns.join(",")));
        (error.message, key.unwrap_or_default())
    };
    let known = "the table u has a row with the key of row 1 of a batch already";
    assert_eq!(import("id,y\n2,9\n"), (known.into(), "u(id)".into()));
    let twice = "UNIQUE constraint failed: u.y";
    assert_eq!(import("id,y\n9,2\n"), (twice.into(), "u(y)".into()));
    let strange = "the file's column x is not in table u";
    assert_eq!(import("id,x\n9,2\n"), (strange.into(), String::new()));
    let database = {
        drop((a, b));
        database.reopen()
    };
    let connection = database.connect();
    connection.run("ALTER TABLE u RENAME TO w");
    let gate = database
        .store
        .table(connection.integers("SELECT id FROM heddle_tables")[0] as u64);
    assert_eq!(&*gate.unwrap().name(), "w");
}

#[test]
fn indexes_follow_their_columns() {
    let mut twins = Twins::new(
        "id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER, c INTEGER, UNIQUE (b, c)",
        "STRICT",
    );
    twins.run("INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'y', 1, 2)");
    twins.run("CREATE INDEX by_c ON t(c)");
    for sql in [
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t DROP COLUMN c",
    ] {
        // The words depend on whether the definition has the names between quotes.
        assert_eq!(
            twins.tonbo().fails(sql).code,
            twins.fails_ordinary(sql).code
        );
        twins.run("UPDATE t SET c = c WHERE id = 1");
    }
    twins.run("ALTER TABLE t RENAME COLUMN a TO z");
    twins.run("ALTER TABLE t ADD COLUMN d INTEGER DEFAULT 7");
    twins.run("CREATE INDEX by_d ON t(d)");
    twins.run("INSERT INTO t VALUES (3, 'z', 2, 2, 8)");
    assert_eq!(
        twins.fails("INSERT INTO t(id, z) VALUES (4, 'x')"),
        "UNIQUE constraint failed: t.z"
    );
    assert_eq!(
        twins.fails("UPDATE t SET c = 1 WHERE id = 2"),
        "UNIQUE constraint failed: t.b, t.c"
    );
    twins.fails("CREATE UNIQUE INDEX only_d ON t(d)");
    twins.run("UPDATE t SET d = id WHERE id < 3");
    twins.run("CREATE UNIQUE INDEX only_d ON t(d)");
    twins.fails("UPDATE t SET d = 1");
    twins.fails("INSERT INTO t(id, d) VALUES (9, 8)");
    twins.run("INSERT INTO t(id) VALUES (10)");
    twins.reopen();
    twins.fails("INSERT INTO t(id) VALUES (11)");
    twins.run("INSERT OR REPLACE INTO t(id, d, z) VALUES (12, 7, 'x')");
    assert_eq!(
        twins.rows("PRAGMA integrity_check"),
        [[Value::Text("ok".into())]]
    );
    twins.rows("SELECT id, d FROM t WHERE d > 6 ORDER BY d, id");
    twins.run("DROP INDEX by_d; DROP INDEX only_d");
    twins.run("ALTER TABLE t DROP COLUMN d");
    twins.compare("SELECT 1");
    twins.run("ALTER TABLE t RENAME TO u");
    twins.compare("SELECT * FROM u ORDER BY id");
    twins.fails("INSERT INTO u(id, z) VALUES (20, 'z')");
    twins.reopen();
    twins.fails("INSERT INTO u(id, z) VALUES (20, 'z')");
    twins.run("DELETE FROM u WHERE z = 'z'");
    twins.run("INSERT INTO u(id, z) VALUES (20, 'z')");
}

/// A table of a database that was written before layouts were kept: its Tonbo has no room for added columns.
#[test]
fn a_table_from_before_there_were_layouts_opens_and_can_lose_columns() {
    let database = Database::new();
    let connection = database.connect();
    let definition = "\"id\" INTEGER NOT NULL, \"x\" TEXT, PRIMARY KEY (\"id\")";
    let schema = TableSchema::of_catalogue(definition, None).unwrap();
    let id = database.store.new_table_id();
    database
        .store
        .create_table(id, "old", schema, [].into())
        .unwrap();
    connection.0.lift_guard();
    connection.run(&format!(
        "ALTER TABLE heddle_tables DROP COLUMN layout; INSERT INTO heddle_tables VALUES ({id}, 'old', '{definition}')"
    ));
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    connection.run("INSERT INTO old VALUES (1, 'a'), (2, 'b'); CREATE VIRTUAL TABLE new USING tonbo(n INTEGER)");
    let error = connection.fails("ALTER TABLE old ADD COLUMN y TEXT");
    assert_eq!(error.code, StoreErrorCode::Misuse);
    connection.run("ALTER TABLE old RENAME COLUMN x TO z; ALTER TABLE new ADD COLUMN m TEXT");
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT id FROM old WHERE z = 'b'"), [2]);
    connection.run("ALTER TABLE old DROP COLUMN z; INSERT INTO old VALUES (3)");
    drop(connection);
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT * FROM old"), [1, 2, 3]);
}

/// Changes of a history, each behind an INSERT, and the columns that are there behind them.
const HISTORY: [(&str, &str); 6] = [
    ("SELECT 1", "id, a, b"),
    (
        "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 7",
        "id, a, b, c",
    ),
    ("ALTER TABLE t DROP COLUMN a", "id, b, c"),
    ("ALTER TABLE t RENAME COLUMN b TO a", "id, a, c"),
    (
        "BEGIN; ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'd'; UPDATE t SET c = c + 1; COMMIT",
        "id, a, c, d",
    ),
    ("ALTER TABLE t DROP COLUMN c", "id, a, d"),
];

fn run_history(io: SharedIo, done: &mut usize) -> Result<(), StoreError> {
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io, &options)?;
    let connection = database.try_connect()?;
    connection.try_rows(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)",
    )?;
    *done = 1;
    for (number, (sql, _)) in HISTORY.iter().enumerate() {
        connection.try_rows(sql)?;
        *done += 1;
        connection.try_rows(&format!("INSERT INTO t(id) VALUES ({number})"))?;
        *done += 1;
        if number % 2 == 1 {
            mover::round(&database.store)?;
        }
    }
    drop(connection);
    database.store.close()
}

#[test]
fn a_power_cut_leaves_it_done_or_not_done() {
    // What the table is after each step.
    let mut states: Vec<(String, Rows)> = Vec::new();
    let oracle = rusqlite::Connection::open_in_memory().unwrap();
    let content = |oracle: &rusqlite::Connection, columns: &str| {
        let sql = format!("SELECT {columns} FROM t ORDER BY id");
        let mut statement = oracle.prepare(&sql).unwrap();
        let count = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..count)
                .map(|column| {
                    Ok(match row.get::<_, rusqlite::types::Value>(column)? {
                        rusqlite::types::Value::Integer(value) => Value::Integer(value),
                        rusqlite::types::Value::Text(value) => Value::Text(value.into()),
                        _ => Value::Null,
                    })
                })
                .collect()
        });
        rows.unwrap().collect::<Result<Rows, _>>().unwrap()
    };
    oracle
        .execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
        .unwrap();
    states.push((HISTORY[0].1.into(), Vec::new()));
    for (number, (sql, columns)) in HISTORY.iter().enumerate() {
        oracle.execute_batch(sql).unwrap();
        states.push(((*columns).into(), content(&oracle, columns)));
        oracle
            .execute_batch(&format!("INSERT INTO t(id) VALUES ({number})"))
            .unwrap();
        states.push(((*columns).into(), content(&oracle, columns)));
    }

    let whole = Arc::new(PowerLossIo::new());
    let mut done = 0;
    run_history(whole.clone(), &mut done).unwrap();
    assert_eq!(done, states.len());
    let operations = whole.operation_count();
    let cuts = 60;
    for number in 0..cuts {
        let cut = 1 + number * operations / cuts;
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(cut);
        let mut done = 0;
        let _outcome = run_history(io.clone(), &mut done);
        let database = Database::on(Arc::new(io.crash(number)));
        let connection = database.connect();
        if done == 0 {
            continue;
        }
        let found = connection.rows("SELECT * FROM t ORDER BY id");
        let names = connection.rows("SELECT group_concat(name, ', ') FROM pragma_table_info('t')");
        let is = |state: Option<&(String, Rows)>| {
            state.is_some_and(|(columns, rows)| {
                names == [[Value::Text(columns.as_str().into())]] && found == *rows
            })
        };
        assert!(
            is(states.get(done - 1)) || is(states.get(done)),
            "cut after {cut}, {done} steps were acknowledged: {names:?} {found:?}"
        );
        connection.run(
            "ALTER TABLE t ADD COLUMN after INTEGER DEFAULT 1; INSERT INTO t(id) VALUES (100)",
        );
        assert_eq!(
            connection.integers("SELECT after FROM t WHERE id = 100"),
            [1]
        );
    }
}

/// Every call to the files fails once; whatever the statement says, the table goes on.
#[test]
fn a_failing_call_leaves_the_table_usable() {
    use engine::faults::{Fault, FaultyIo};
    for first in 1..40 {
        let io = FaultyIo::new(Arc::new(MemoryIo::new()));
        let database = Database::on(io.clone());
        let connection = database.connect();
        connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a')");
        io.inject(Fault {
            kind: None,
            path: "main.db",
            first,
            length: 1,
            code: heddle_store::io::IoErrorCode::NoSpace,
            is_torn: false,
            is_panic: false,
        });
        let outcome = connection.try_rows("ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 3");
        io.lift();
        let columns = connection.integers("SELECT count(*) FROM pragma_table_info('t')");
        assert_eq!(
            columns,
            [if outcome.is_ok() { 3 } else { 2 }],
            "call {first}: {outcome:?}"
        );
        connection.run("INSERT INTO t(id, a) VALUES (2, 'b')");
        assert_eq!(connection.integers("SELECT id FROM t"), [1, 2]);
    }
}

/// SQLite knows no place of what it refuses in ALTER TABLE, nor was one told of an index's columns.
#[test]
fn what_is_refused_is_pointed_at() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a TEXT, b TEXT)");
    for (sql, place) in [
        ("ALTER TABLE t RENAME COLUMN nope TO d", "nope"),
        ("ALTER TABLE t DROP COLUMN \"no pe\"", "\"no pe\""),
        ("ALTER TABLE t RENAME COLUMN a TO b", "b"),
        ("ALTER TABLE t ADD COLUMN b TEXT", "b TEXT"),
        ("ALTER TABLE t DROP COLUMN id", "id"),
        ("CREATE INDEX i ON t(a, nope DESC)", "nope"),
        ("SELECT 1; CREATE UNIQUE INDEX i ON t(Nope)", "Nope"),
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, StoreErrorCode::SqlError, "{sql}: {error:?}");
        let at = error.offset.map(|at| &sql[at as usize..]);
        assert!(
            at.is_some_and(|at| at.starts_with(place)),
            "{sql}: {error:?}"
        );
        // It is no less usable for it.
        connection.run("INSERT OR REPLACE INTO t VALUES (1, 'a', 'b')");
    }
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [1]);
}
