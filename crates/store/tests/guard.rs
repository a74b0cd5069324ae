//! What a user's statement may not do: lose what stands in `temp`, change what the store's promises stand on, have ordinary tables stand on
//! Tonbo tables, and touch the store's own tables and files.

mod engine;

use engine::{Connection, Database};
use heddle_store::error::StoreErrorCode;
use heddle_store::parameters::Parameters;
use heddle_store::session::Discard;
use heddle_store::value::Value;

fn refused(connection: &Connection, sql: &str, code: StoreErrorCode, words: &str, at: &str) {
    let error = connection.fails(sql);
    assert_eq!(error.code, code, "{sql}: {error:?}");
    assert!(error.message.contains(words), "{sql}: {error:?}");
    let at = sql.find(at).map(|at| at as i32);
    assert_eq!(error.offset, at, "{sql}: {error:?}");
}

/// SQLite forgets all of `temp` when the place of temporary tables changes. Where the store thought that its tables were declared there they
/// were gone from that connection for good: `PRAGMA temp_store = MEMORY` is in most recipes for tuning SQLite.
#[test]
fn where_temporary_tables_are_kept_changes_nothing() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n TEXT); CREATE INDEX t_n ON t(n);
         CREATE VIEW v AS SELECT id FROM t; CREATE TABLE o(id INTEGER PRIMARY KEY);
         CREATE TRIGGER r AFTER INSERT ON o BEGIN INSERT INTO t VALUES (new.id, 'o'); END;
         CREATE TEMP TABLE own(x); INSERT INTO own VALUES (7)",
    );
    let values = ["MEMORY", "FILE", "DEFAULT", "2", "1"];
    for (before, value) in values.iter().enumerate() {
        connection.run(&format!("PRAGMA temp_store = {value}"));
        connection.run("PRAGMA temp_store_directory = 'elsewhere'");
        connection.run("INSERT INTO o DEFAULT VALUES");
        let count = before as i64 + 1;
        for sql in [
            "SELECT count(*) FROM t",
            "SELECT count(*) FROM t WHERE n = 'o'",
            "SELECT count(*) FROM v",
        ] {
            assert_eq!(connection.integers(sql), [count], "{sql} after {value}");
        }
        assert_eq!(connection.integers("SELECT x FROM own"), [7]);
    }
    assert_eq!(connection.integers("PRAGMA temp_store"), [0]);
}

/// They were accepted, and held for the one connection that had run them.
#[test]
fn what_the_stores_promises_stand_on_can_not_be_set() {
    let database = Database::new();
    let connection = database.connect();
    for (sql, words, name) in [
        (
            "SELECT 1; PRAGMA synchronous = OFF",
            "durability",
            "synchronous",
        ),
        (
            "PRAGMA main.Synchronous(NORMAL)",
            "durability",
            "Synchronous",
        ),
        (
            "EXPLAIN PRAGMA synchronous = 0",
            "durability",
            "synchronous",
        ),
        ("PRAGMA journal_mode = DELETE", "durability", "journal_mode"),
        (
            "PRAGMA locking_mode = EXCLUSIVE",
            "BEGIN IMMEDIATE",
            "locking_mode",
        ),
        (
            "PRAGMA hard_heap_limit = 1",
            "memoryBytes",
            "hard_heap_limit",
        ),
        (
            "PRAGMA soft_heap_limit = 1",
            "memoryBytes",
            "soft_heap_limit",
        ),
        (
            "PRAGMA writable_schema = ON",
            "ALTER TABLE",
            "writable_schema",
        ),
        (
            "PRAGMA writable_schema = RESET",
            "ALTER TABLE",
            "writable_schema",
        ),
        (
            "PRAGMA schema_version = 7",
            "user_version",
            "schema_version",
        ),
    ] {
        refused(&connection, sql, StoreErrorCode::Misuse, words, name);
    }
    connection.run("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL; PRAGMA locking_mode = NORMAL; PRAGMA user_version = 3");
    for (sql, value) in [
        ("PRAGMA synchronous", Value::Integer(2)),
        ("PRAGMA journal_mode", Value::Text("wal".into())),
        ("PRAGMA locking_mode", Value::Text("normal".into())),
        ("PRAGMA writable_schema", Value::Integer(0)),
        ("PRAGMA user_version", Value::Integer(3)),
        (
            "SELECT synchronous FROM pragma_synchronous",
            Value::Integer(2),
        ),
    ] {
        assert_eq!(connection.rows(sql), [[value]], "{sql}");
    }
    // A file of the user's own.
    connection.run("ATTACH 'own.db' AS own; PRAGMA own.synchronous = OFF");
    assert_eq!(connection.integers("PRAGMA own.synchronous"), [0]);
    assert_eq!(connection.integers("PRAGMA main.synchronous"), [2]);
    connection.fails("PRAGMA synchronous = OFF");
}

/// Settings of a connection stayed with the thread of the pool that had run them: `query_only` made one write in so many fail.
#[test]
fn settings_of_a_connection_are_set_back() {
    let database = Database::new();
    let connection = database.connect();
    let settings = [
        ("analysis_limit", "7"),
        ("automatic_index", "OFF"),
        ("busy_timeout", "1"),
        ("cache_size", "-100"),
        ("cache_spill", "OFF"),
        ("cell_size_check", "ON"),
        ("checkpoint_fullfsync", "ON"),
        ("foreign_keys", "OFF"),
        ("full_column_names", "ON"),
        ("ignore_check_constraints", "ON"),
        ("journal_size_limit", "1000"),
        ("legacy_alter_table", "ON"),
        ("max_page_count", "5000"),
        ("query_only", "ON"),
        ("recursive_triggers", "OFF"),
        ("reverse_unordered_selects", "ON"),
        ("secure_delete", "ON"),
        ("short_column_names", "OFF"),
        ("trusted_schema", "OFF"),
        ("wal_autocheckpoint", "0"),
    ];
    let read = |name: &str| connection.integers(&format!("PRAGMA {name}"));
    let before = settings.map(|(name, _)| read(name));
    for (name, value) in settings {
        connection.run(&format!("PRAGMA {name} = {value}"));
    }
    connection.run("PRAGMA case_sensitive_like = ON");
    assert_eq!(connection.integers("SELECT 'a' LIKE 'A'"), [0]);
    for ((name, _), before) in settings.iter().zip(&before) {
        assert_ne!(&read(name), before, "{name}");
    }
    connection.fails("CREATE TABLE o(x)");
    connection.run("BEGIN");
    connection.0.reset().unwrap();
    connection.0.restore_settings().unwrap();
    for ((name, _), before) in settings.iter().zip(&before) {
        assert_eq!(&read(name), before, "{name}");
    }
    assert_eq!(connection.integers("SELECT 'a' LIKE 'A'"), [1]);
    connection.run("CREATE TABLE o(x)");
}

/// A connection that only reads declares what others make all the same.
#[test]
fn a_connection_that_only_reads_sees_what_others_make() {
    let database = Database::new();
    let (writer, reader) = (database.connect(), database.connect());
    reader.run("PRAGMA query_only = ON");
    writer.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT id FROM t");
    assert_eq!(reader.integers("SELECT id FROM v"), [1]);
    let error = reader.fails("INSERT INTO t VALUES (2)");
    assert_eq!(error.code, StoreErrorCode::PermissionDenied);
    assert_eq!(writer.integers("SELECT id FROM t"), [1]);
}

/// Such a table was made, and then no row could be inserted into it, not even NULL, or deleted: `no such table: main.users`.
#[test]
fn no_ordinary_table_comes_to_stand_on_a_tonbo_table() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE Users USING tonbo(id INTEGER PRIMARY KEY);
         CREATE TABLE o(id INTEGER PRIMARY KEY); INSERT INTO o VALUES (1); CREATE TABLE parent(id INTEGER PRIMARY KEY)",
    );
    let key = "a foreign key can't reference the Tonbo table Users";
    for (sql, words, at) in [
        ("CREATE TABLE p(u REFERENCES users(id))", key, "users"),
        (
            "SELECT 1; CREATE TABLE p(u, v REFERENCES o, FOREIGN KEY (u) REFERENCES \"USERS\")",
            key,
            "\"USERS",
        ),
        ("CREATE TEMP TABLE p(u REFERENCES users(id))", key, "users"),
        (
            "ALTER TABLE o ADD COLUMN r REFERENCES users(id)",
            key,
            "users",
        ),
        (
            "CREATE VIRTUAL TABLE f USING fts5(a, content='users')",
            "as its content",
            "'users'",
        ),
    ] {
        refused(&connection, sql, StoreErrorCode::SqlError, words, at);
        assert!(!connection.0.is_in_transaction());
        connection.run("INSERT INTO o DEFAULT VALUES; DELETE FROM o WHERE id > 1");
        assert_eq!(connection.integers("SELECT * FROM o"), [1]);
    }
    let made = "SELECT count(*) FROM sqlite_schema WHERE name IN ('p', 'f')";
    assert_eq!(connection.integers(made), [0]);
    // Other parents are as good as before, in transactions, too, and with views that alterations are followed by.
    connection.run(
        "CREATE VIEW v AS SELECT id FROM users;
         ALTER TABLE o ADD COLUMN r REFERENCES parent(id); BEGIN; CREATE TABLE q(u REFERENCES later(id), v REFERENCES parent); COMMIT",
    );
    refused(
        &connection,
        "ALTER TABLE o ADD COLUMN s REFERENCES users(id)",
        StoreErrorCode::SqlError,
        key,
        "users",
    );
    connection.fails("INSERT INTO o(r) VALUES (7)");
    connection.run("CREATE VIRTUAL TABLE f USING fts5(a, content='later text')");
    // The other way round.
    for sql in [
        "CREATE VIRTUAL TABLE later USING tonbo(id INTEGER PRIMARY KEY)",
        "ALTER TABLE users RENAME TO later",
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, StoreErrorCode::SqlError);
        let words = "a foreign key of q references later";
        assert!(error.message.contains(words), "{error:?}");
    }
    let error = connection.fails("CREATE VIRTUAL TABLE \"Later Text\" USING tonbo(a TEXT)");
    assert!(error.message.contains("the content of f"), "{error:?}");
    connection.run("CREATE TABLE later(id INTEGER PRIMARY KEY); INSERT INTO later VALUES (1); INSERT INTO q VALUES (1, NULL), (NULL, NULL); DELETE FROM q; INSERT INTO users VALUES (1)");
}

/// A row deleted from `heddle_tables` was a table that was gone after the next opening; without `heddle_state` no statement worked.
#[test]
fn the_stores_own_tables_are_only_read() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n TEXT); CREATE TABLE o(x);
         CREATE VIEW v AS SELECT id FROM t; INSERT INTO t VALUES (1, 'a')",
    );
    let reserved = "object name reserved for internal use: heddle_mine";
    for (sql, words, at) in [
        (
            "DELETE FROM heddle_tables",
            "table heddle_tables may not be modified",
            "heddle_tables",
        ),
        (
            "SELECT 1; UPDATE main.HEDDLE_state SET value = 0",
            "table heddle_state may not be modified",
            "HEDDLE_state",
        ),
        (
            "INSERT INTO heddle_log VALUES (5, x'', 0, 0)",
            "table heddle_log may not be modified",
            "heddle_log",
        ),
        (
            "REPLACE INTO heddle_views VALUES (3, 'view', 'w', 'SELECT 1')",
            "may not be modified",
            "heddle_views",
        ),
        (
            "DROP TABLE heddle_state",
            "table heddle_state may not be dropped",
            "heddle_state",
        ),
        (
            "DROP VIEW temp.heddle_declared",
            "table heddle_declared may not be dropped",
            "heddle_declared",
        ),
        (
            "ALTER TABLE heddle_tables RENAME TO other",
            "table heddle_tables may not be altered",
            "heddle_tables",
        ),
        (
            "ALTER TABLE heddle_tables ADD COLUMN x",
            "table heddle_tables may not be altered",
            "heddle_tables",
        ),
        (
            "CREATE INDEX i ON heddle_tables(name)",
            "table heddle_tables may not be indexed",
            "heddle_tables",
        ),
        (
            "CREATE TRIGGER r AFTER INSERT ON heddle_views BEGIN SELECT 1; END",
            "cannot create trigger on system table",
            "heddle_views",
        ),
        ("CREATE TABLE heddle_mine(x)", reserved, "heddle_mine"),
        ("CREATE TEMP TABLE heddle_mine(x)", reserved, "heddle_mine"),
        (
            "CREATE VIEW heddle_mine AS SELECT 1",
            reserved,
            "heddle_mine",
        ),
        (
            "CREATE VIEW heddle_mine AS SELECT id FROM t",
            reserved,
            "heddle_mine",
        ),
        (
            "CREATE TRIGGER heddle_mine AFTER INSERT ON o BEGIN SELECT 1; END",
            reserved,
            "heddle_mine",
        ),
        ("CREATE INDEX heddle_mine ON o(x)", reserved, "heddle_mine"),
        ("CREATE INDEX heddle_mine ON t(n)", reserved, ""),
        (
            "CREATE VIRTUAL TABLE heddle_mine USING tonbo(x TEXT)",
            reserved,
            "heddle_mine",
        ),
        (
            "CREATE VIRTUAL TABLE heddle_mine USING fts5(x)",
            reserved,
            "heddle_mine",
        ),
    ] {
        let error = connection.fails(sql);
        assert_eq!(error.code, StoreErrorCode::SqlError, "{sql}: {error:?}");
        assert!(error.message.contains(words), "{sql}: {error:?}");
        if !at.is_empty() {
            let at = sql.find(at).map(|at| at as i32);
            assert_eq!(error.offset, at, "{sql}: {error:?}");
        }
    }
    for sql in [
        "ALTER TABLE o RENAME TO heddle_mine",
        "ALTER TABLE t RENAME TO heddle_mine",
    ] {
        let error = connection.fails(sql);
        assert!(error.message.contains(reserved), "{sql}: {error:?}");
    }
    // By way of a trigger.
    connection.run("CREATE TRIGGER r AFTER INSERT ON o BEGIN DELETE FROM heddle_tables; END");
    let error = connection.fails("INSERT INTO o VALUES (1)");
    assert!(error.message.contains("may not be modified"), "{error:?}");
    connection.run("DROP TRIGGER r; INSERT INTO o VALUES (1)");
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT id FROM v"), [1]);
    let names = "SELECT count(*) FROM heddle_tables, heddle_views";
    assert_eq!(connection.integers(names), [1]);
}

/// SQLite puts a database into whatever file it is told to: a WAL that was just emptied, the mark of relaxed durability, the tables' directory.
#[test]
fn no_database_takes_the_place_of_a_file_of_the_store() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE o(n); INSERT INTO o VALUES (1)",
    );
    database.flush();
    connection.run("PRAGMA wal_checkpoint(TRUNCATE)");
    let files = |prefix: &str| database.io.list(prefix).unwrap();
    let before = files("");
    for file in [
        "main.db-wal",
        "main.db-journal",
        "main.db-shm",
        "MAIN.DB",
        "Main.db-wal",
        "main.db-wal.",
        "log.db-wal",
        "Log.DB",
        "tonbo",
        "tonbo/x",
        "tonbo/tables/1/x",
        "TONBO/tables/1/wal/x",
        "damaged",
        "damaged/1/x",
        "relaxed",
        "lock",
        "heddle.lock",
        "file:main.db-wal",
        "file:main.db%2Dwal?mode=rwc",
        "file:tonbo/x?cache=shared#y",
    ] {
        let parameters = Parameters::Positional(vec![Value::Text(file.into())]);
        for sql in ["ATTACH ? AS own", "VACUUM INTO ?", "VACUUM main INTO ?"] {
            let outcome = connection.0.run(sql, &parameters, &mut Discard);
            let error = outcome.expect_err(file);
            assert_eq!(
                error.code,
                StoreErrorCode::Misuse,
                "{sql} {file}: {error:?}"
            );
            assert!(error.message.contains("file of the store"), "{error:?}");
        }
        let quoted = format!("'{file}'");
        for sql in ["ATTACH", "VACUUM INTO", "BEGIN; SELECT * FROM t; ATTACH"] {
            let end = if sql.ends_with("ATTACH") {
                " AS own"
            } else {
                ""
            };
            let error = connection.fails(&format!("{sql} {quoted}{end}"));
            assert_eq!(
                error.code,
                StoreErrorCode::Misuse,
                "{sql} {file}: {error:?}"
            );
            connection.0.reset().unwrap();
        }
    }
    // What the files refuse themselves, whatever it would mean.
    for file in [
        "./main.db-wal",
        "x/../main.db-wal",
        "tonbo//x",
        "/main.db-wal",
        "file:///main.db-wal",
        "file:./main.db-wal",
    ] {
        connection.fails(&format!("ATTACH '{file}' AS own"));
        connection.fails(&format!("VACUUM INTO '{file}'"));
    }
    for file in ["main.db", "log.db"] {
        let error = connection.fails(&format!("VACUUM INTO '{file}'"));
        assert!(error.message.contains("already exists"), "{error:?}");
    }
    assert_eq!(files(""), before);
    // A user's own, beside them.
    connection.run(
        "VACUUM INTO 'main.db.copy'; ATTACH 'main.db.copy' AS copy; ATTACH 'file:my/lock' AS own; CREATE TABLE own.x(n); DETACH own",
    );
    assert_eq!(connection.integers("SELECT n FROM copy.o"), [1]);
    drop(connection);
    let connection = database.reopen().connect();
    assert_eq!(connection.integers("SELECT id FROM t"), [1]);
}

#[test]
fn the_stores_own_files_are_not_attached() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)",
    );
    for file in ["log.db", "main.db"] {
        for begin in ["", "BEGIN; SELECT * FROM t; "] {
            let error = connection.fails(&format!("{begin}ATTACH '{file}' AS own"));
            assert_eq!(error.code, StoreErrorCode::Misuse, "{error:?}");
            assert!(error.message.contains(file), "{error:?}");
            assert!(
                connection
                    .fails("SELECT * FROM own.state")
                    .message
                    .contains("no such table")
            );
            connection.0.reset().unwrap();
        }
        let parameters = Parameters::Positional(vec![Value::Text(file.into())]);
        let outcome = connection
            .0
            .run("ATTACH ? AS own", &parameters, &mut Discard);
        assert_eq!(
            outcome.map_err(|error| error.code),
            Err(StoreErrorCode::Misuse)
        );
    }
    connection.run("ATTACH 'other.db' AS own; CREATE TABLE own.heddle_mine(x); INSERT INTO own.heddle_mine VALUES (1); DROP TABLE own.heddle_mine; DETACH own");
    assert_eq!(connection.integers("SELECT id FROM t"), [1]);
}

/// It made a table that was there for all, for good.
#[test]
fn no_tonbo_table_is_temporary() {
    let database = Database::new();
    let connection = database.connect();
    refused(
        &connection,
        "SELECT 1; CREATE VIRTUAL TABLE temp.z USING tonbo(id INTEGER)",
        StoreErrorCode::Misuse,
        "name none",
        "temp",
    );
    connection.run("CREATE VIRTUAL TABLE main.z USING tonbo(id INTEGER)");
    assert_eq!(connection.integers("SELECT count(*) FROM z"), [0]);
}
