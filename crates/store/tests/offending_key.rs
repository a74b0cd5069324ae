//! The key that a refused row has: told to who asks the error for it, of every kind of key, and nowhere else.

mod engine;

use bytes::Bytes;
use engine::{Connection, Database};
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::value::Value;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// What an error says of the key.
#[track_caller]
fn check(error: &StoreError, table: &str, columns: &[&str], values: &[Value]) {
    let key = error
        .key
        .as_ref()
        .unwrap_or_else(|| panic!("no key: {error:?}"));
    assert_eq!(key.table, table, "{error:?}");
    assert_eq!(key.columns, columns, "{error:?}");
    assert_eq!(key.values, values, "{error:?}");
}

/// Tables with every kind of key, a row in each, and what a second one violates there.
fn violations() -> Vec<(&'static str, &'static str, Vec<&'static str>, Vec<Value>)> {
    vec![
        (
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)",
            "INSERT INTO t VALUES (-7, 1)",
            vec!["id"],
            vec![Value::Integer(-7)],
        ),
        (
            "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER)",
            "INSERT INTO t(rowid, n) VALUES (9007199254740993, 1)",
            vec!["rowid"],
            vec![Value::Integer(9_007_199_254_740_993)],
        ),
        // As the refused row has it, not as the key's bytes do.
        (
            "CREATE VIRTUAL TABLE t USING tonbo(name TEXT COLLATE NOCASE PRIMARY KEY)",
            "INSERT INTO t VALUES ('Émile \"x\"')",
            vec!["name"],
            vec![text("Émile \"x\"")],
        ),
        (
            "CREATE VIRTUAL TABLE t USING tonbo(a TEXT, n INTEGER, b BLOB, PRIMARY KEY (b, a))",
            "INSERT INTO t VALUES ('', 1, x'00ff00')",
            vec!["b", "a"],
            vec![Value::Blob([0, 255, 0].as_slice().into()), text("")],
        ),
        (
            "CREATE VIRTUAL TABLE t USING tonbo(d DATE, x DECIMAL(9, 2), b BOOLEAN, r REAL, PRIMARY KEY (d, x, b, r))",
            "INSERT INTO t VALUES ('2024-02-29', '1.5', true, 0.25)",
            vec!["d", "x", "b", "r"],
            vec![
                text("2024-02-29"),
                text("1.50"),
                Value::Integer(1),
                Value::Real(0.25),
            ],
        ),
        (
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, \"a \"\"b\" TEXT, c TIMESTAMP, UNIQUE (c, \"a \"\"b\"))",
            "INSERT INTO t(\"a \"\"b\", c) VALUES ('x', '2024-02-29 12:00:00')",
            vec!["c", "a \"b"],
            vec![text("2024-02-29 12:00:00"), text("x")],
        ),
        (
            "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER, s TEXT); CREATE UNIQUE INDEX i ON t(s COLLATE NOCASE, n)",
            "INSERT INTO t VALUES (5, 'Ä b')",
            vec!["s", "n"],
            vec![text("Ä b"), Value::Integer(5)],
        ),
        // Columns that were added and renamed since.
        (
            "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER); ALTER TABLE t ADD COLUMN m TEXT DEFAULT 'old';
             CREATE UNIQUE INDEX i ON t(m, n); ALTER TABLE t RENAME COLUMN n TO number",
            "INSERT INTO t(number) VALUES (5)",
            vec!["m", "number"],
            vec![text("old"), Value::Integer(5)],
        ),
    ]
}

#[test]
fn a_violated_constraint_tells_the_key() {
    for (tables, insert, columns, values) in violations() {
        let database = Database::new();
        let connection = database.connect();
        connection.run(tables);
        connection.run(insert);
        let rows = connection.rows("SELECT * FROM t");
        let refused = |sql: &str| {
            let error = connection.fails(sql);
            assert_eq!(error.code, StoreErrorCode::Constraint, "{sql}");
            check(&error, "t", &columns, &values);
            assert_eq!(connection.rows("SELECT * FROM t"), rows, "{sql}");
        };
        refused(insert);
        database.flush();
        refused(insert);
        refused(&insert.replace("INSERT", "INSERT OR FAIL"));
        // Within a transaction, which stays.
        connection.run("BEGIN");
        refused(insert);
        connection.run("ROLLBACK");
        assert_eq!(
            connection.run(&insert.replace("INSERT", "INSERT OR IGNORE")),
            0,
            "{insert}"
        );
        assert_eq!(
            connection.run(&insert.replace("INSERT", "INSERT OR REPLACE")),
            1,
            "{insert}"
        );
        let found = connection.fails("SELECT nothing FROM t");
        assert!(found.key.is_none(), "{found:?}");
    }
}

#[test]
fn the_first_row_that_is_refused_is_told_and_what_is_passed_over_is_not() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER UNIQUE); INSERT INTO t VALUES (1, 10), (2, 20), (3, 30);
         CREATE TABLE ordinary(id INTEGER PRIMARY KEY, n INTEGER UNIQUE); INSERT INTO ordinary VALUES (1, 10)",
    );
    check(
        &connection.fails("INSERT INTO t VALUES (4, 40), (2, 50), (1, 60)"),
        "t",
        &["id"],
        &[Value::Integer(2)],
    );
    check(
        &connection.fails("UPDATE t SET n = 20 WHERE id = 3"),
        "t",
        &["n"],
        &[Value::Integer(20)],
    );
    check(
        &connection.fails("UPDATE t SET id = id + 1"),
        "t",
        &["id"],
        &[Value::Integer(2)],
    );
    connection.run("INSERT OR IGNORE INTO t VALUES (1, 1)");
    // SQLite's own tables: it tells the columns, in the message, and no values.
    let error = connection.fails("INSERT OR FAIL INTO ordinary VALUES (1, 1)");
    assert_eq!(
        error.message, "UNIQUE constraint failed: ordinary.id",
        "{error:?}"
    );
    assert!(error.key.is_none(), "{error:?}");
    assert_eq!(connection.integers("SELECT n FROM t"), [10, 20, 30]);
}

#[test]
fn a_unique_index_that_cannot_be_made_tells_the_values() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, s TEXT); INSERT INTO t VALUES (1, 1, 'A'), (2, 2, 'b'), (3, 1, 'a')",
    );
    let create = "CREATE UNIQUE INDEX i ON t(n, s COLLATE NOCASE)";
    let values = [Value::Integer(1), text("a")];
    check(&connection.fails(create), "t", &["n", "s"], &values);
    connection.run("BEGIN; INSERT INTO t VALUES (4, 2, 'B'); DELETE FROM t WHERE id = 3");
    let own = [Value::Integer(2), text("B")];
    check(&connection.fails(create), "t", &["n", "s"], &own);
    connection.run("ROLLBACK; DELETE FROM t WHERE id = 3");
    connection.run(create);
    assert_eq!(connection.integers("SELECT id FROM t"), [1, 2]);
}

/// Rows far apart, whose entries are written at different times.
#[test]
fn a_unique_index_that_cannot_be_made_tells_the_values_however_many_rows_there_are() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < 10000) INSERT INTO t SELECT k, (k * 7919) % 10007 FROM c",
    );
    database.flush();
    let twice = connection.integers("SELECT n FROM t WHERE id = 17")[0];
    connection.run("BEGIN; UPDATE t SET n = (SELECT n FROM t WHERE id = 17) WHERE id = 9000");
    let create = "CREATE UNIQUE INDEX i ON t(n)";
    let values = [Value::Integer(twice)];
    check(&connection.fails(create), "t", &["n"], &values);
    connection.run("COMMIT");
    check(&connection.fails(create), "t", &["n"], &values);
    connection.run("DELETE FROM t WHERE id = 17");
    connection.run(create);
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [9999]);
}

/// Another connection commits `first` while a transaction that is open already runs `second`.
fn conflict(tables: &str, first: &str, second: &str) -> (Connection, StoreError) {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run(tables);
    b.run("BEGIN; SELECT count(*) FROM t");
    a.run(first);
    let rows = a.rows("SELECT * FROM t");
    b.run(second);
    let error = b.fails("COMMIT");
    assert_eq!(error.code, StoreErrorCode::Conflict, "{second}: {error:?}");
    // SQLite rolls back what can't be committed, and the message says so: there is nothing left to roll back.
    assert!(!b.0.is_in_transaction(), "{second}");
    assert!(
        error.message.contains("this one was rolled back"),
        "{error:?}"
    );
    assert_eq!(b.rows("SELECT * FROM t"), rows, "{second}");
    (b, error)
}

#[test]
fn a_conflict_tells_the_row_that_both_wrote() {
    let composite = "CREATE VIRTUAL TABLE t USING tonbo(s TEXT COLLATE NOCASE, b BLOB, n INTEGER UNIQUE, PRIMARY KEY (s, b));
         INSERT INTO t VALUES ('One', x'01', 1), ('Two', x'02', 2)";
    let one = [text("One"), Value::Blob([1].as_slice().into())];
    let bump = "UPDATE t SET n = n + 10 WHERE s = 'one'";
    for second in [bump, "DELETE FROM t WHERE s = 'one'", "DELETE FROM t"] {
        let (_, error) = conflict(composite, bump, second);
        check(&error, "t", &["s", "b"], &one);
    }
    let (b, error) = conflict(
        composite,
        "INSERT INTO t VALUES ('three', x'', 3)",
        "INSERT INTO t VALUES ('THREE', x'', 4)",
    );
    let three = [text("THREE"), Value::Blob([].as_slice().into())];
    check(&error, "t", &["s", "b"], &three);
    // The same value of a unique column, in rows of other keys.
    b.run("DELETE FROM t WHERE n = 3");
    let (_, error) = conflict(
        composite,
        "INSERT INTO t VALUES ('four', x'04', 4)",
        "INSERT INTO t VALUES ('five', x'05', 4)",
    );
    check(&error, "t", &["n"], &[Value::Integer(4)]);
    let numbered = "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER); INSERT INTO t VALUES (1), (2)";
    let bump = "UPDATE t SET n = 5 WHERE n = 2";
    let (_, error) = conflict(numbered, bump, "DELETE FROM t WHERE n = 2");
    check(&error, "t", &["rowid"], &[Value::Integer(2)]);
    // Rows that the transaction has inserted and deleted itself: the other's row has the key, and where that is gone, too, an integer's bytes.
    let (_, error) = conflict(
        composite,
        "INSERT INTO t VALUES ('three', x'', 3)",
        "INSERT INTO t VALUES ('THREE', x'', 4); DELETE FROM t WHERE n = 4",
    );
    check(&error, "t", &["s", "b"], &[text("three"), three[1].clone()]);
    let keyed = "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)";
    for delete in ["", "; DELETE FROM t"] {
        let insert = format!("INSERT INTO t(rowid, n) VALUES (-3, 1){delete}");
        let own = "INSERT INTO t(rowid, n) VALUES (-3, 2); DELETE FROM t";
        let (_, error) = conflict(keyed, &insert, own);
        check(&error, "t", &["id"], &[Value::Integer(-3)]);
        let (_, error) = conflict(
            "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER)",
            &insert,
            own,
        );
        check(&error, "t", &["rowid"], &[Value::Integer(-3)]);
    }
    // With an ordinary table in the same commit.
    let (_, error) = conflict(
        "CREATE TABLE o(n); CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)",
        "UPDATE t SET n = 2",
        "UPDATE t SET n = 3; INSERT INTO o VALUES (1)",
    );
    check(&error, "t", &["id"], &[Value::Integer(1)]);
}

#[test]
fn an_import_tells_the_key_that_is_there_twice() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(n INTEGER, s TEXT, day DATE, PRIMARY KEY (s, day)); INSERT INTO t VALUES (1, 'there', '2024-01-01');
         CREATE VIRTUAL TABLE u USING tonbo(id INTEGER PRIMARY KEY, s TEXT); CREATE UNIQUE INDEX i ON u(s); INSERT INTO u VALUES (1, 'there')",
    );
    let import = |table: &str, file: &str| {
        let options = ImportOptions {
            table: table.into(),
            format: Some("csv".into()),
            ..ImportOptions::default()
        };
        let file = Bytes::from(file.to_owned());
        import::run(&connection.0, file, &options, &mut |_| Ok(()))
            .expect_err("a key is there twice")
    };
    let (key, there) = (["s", "day"], [text("there"), text("2024-01-01")]);
    let error = import("t", "s,day,n\nb,2024-01-02,1\nthere,2024-01-01,2\n");
    assert_eq!(error.code, StoreErrorCode::BadImport);
    check(&error, "t", &key, &there);
    let error = import(
        "t",
        "s,day,n\nz,2024-01-02,1\nb,2024-01-03,2\nz,2024-01-02,3\n",
    );
    assert_eq!(error.code, StoreErrorCode::BadImport);
    check(&error, "t", &key, &[text("z"), text("2024-01-02")]);
    let error = import("u", "id,s\n5,new\n6,there\n");
    assert_eq!(error.code, StoreErrorCode::Constraint);
    check(&error, "u", &["s"], &[text("there")]);
    let error = import("u", "id,s\n5,new\n6,other\n7,new\n");
    assert_eq!(error.code, StoreErrorCode::Constraint);
    check(&error, "u", &["s"], &[text("new")]);
    for table in ["t", "u"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(connection.integers(&count), [1]);
    }
    connection.run("INSERT INTO u VALUES (2, 'new')");
}

#[test]
fn what_an_error_says_of_itself_has_nothing_of_the_key() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(s TEXT PRIMARY KEY); INSERT INTO t VALUES ('hunter2')",
    );
    let error = connection.fails("INSERT INTO t VALUES ('hunter2')");
    check(&error, "t", &["s"], &[text("hunter2")]);
    let logged = serialized(&error);
    for said in [format!("{error}"), format!("{error:#?}"), logged] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// What a log would write of it that takes whatever can be serialized.
fn serialized(error: &StoreError) -> String {
    String::from_utf8_lossy(&rmp_serde::to_vec_named(error).unwrap()).into_owned()
}
