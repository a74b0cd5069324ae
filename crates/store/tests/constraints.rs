//! DEFAULT and CHECK, as SQLite's documentation has them (lang_createtable.html): on a Tonbo table and on the same ordinary one.

mod engine;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use engine::Database;
use engine::twins::Twins;
use heddle_store::error::StoreErrorCode;
use heddle_store::import::{self, ImportOptions};
use heddle_store::value::Value;

const DEFAULTS: &str = "id INTEGER PRIMARY KEY, a INTEGER DEFAULT 5, b TEXT DEFAULT 'it''s', c REAL DEFAULT -1.5e-3,
    d BLOB DEFAULT x'00ff', e INTEGER DEFAULT (2 + 3 * 4), f TEXT NOT NULL DEFAULT abc, g INTEGER DEFAULT true,
    h INTEGER DEFAULT +7, i TEXT DEFAULT NULL, j REAL DEFAULT .5, k INTEGER DEFAULT 0x1F, l TEXT DEFAULT \"two words\",
    m TEXT DEFAULT ('a, b' || ')' || upper('x') /* , ) */ -- end
    )";

#[test]
fn a_column_that_is_left_out_gets_its_default_and_an_explicit_null_stays() {
    let mut twins = Twins::new(DEFAULTS, "STRICT");
    twins.run("INSERT INTO t DEFAULT VALUES");
    twins.run("INSERT INTO t(id) VALUES (10), (11)");
    twins.run("INSERT INTO t(a, f, id) VALUES (NULL, 'f', 12)");
    twins.run("INSERT INTO t(id, b) SELECT id + 100, NULL FROM t");
    twins.run("INSERT INTO t(id, a, b, c, d, e, f) VALUES (20, NULL, NULL, NULL, NULL, NULL, '')");
    twins.run("UPDATE t SET a = NULL, b = 'x' WHERE id = 10");
    let rows = twins.rows("SELECT a, b, c, d, e, f, g FROM t WHERE id = 11");
    assert_eq!(rows[0][0], Value::Integer(5));
    assert_eq!(rows[0][1], Value::Text("it's".into()));
    twins.rows("SELECT name, dflt_value IS NULL FROM pragma_table_info('t') WHERE name < 'f'");
    twins.reopen();
    twins.run("INSERT INTO t(id) VALUES (30)");
}

#[test]
fn returning_shows_the_defaults() {
    let twins = Twins::new(DEFAULTS, "STRICT");
    let rows = twins.rows("INSERT INTO t(id) VALUES (1), (2) RETURNING id, a, b, e, m");
    assert_eq!(rows[1][4], Value::Text("a, b)X".into()));
}

/// Every row gets a value of its own, and the time of its statement.
#[test]
fn expressions_are_evaluated_for_each_row() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, r INTEGER DEFAULT (random()), at TEXT DEFAULT CURRENT_TIMESTAMP,
           day TEXT DEFAULT CURRENT_DATE, time TEXT DEFAULT current_time)",
    );
    connection.run("INSERT INTO t(id) VALUES (1), (2), (3)");
    connection.run("INSERT INTO t(id) SELECT id + 10 FROM t");
    assert_eq!(connection.integers("SELECT count(DISTINCT r) FROM t"), [6]);
    assert_eq!(
        connection.integers(
            "SELECT count(*) FROM t WHERE at = datetime(at) AND day = date(at) AND time = time(at)"
        ),
        [6]
    );
    assert_eq!(
        connection.integers(
            "SELECT count(*) FROM t WHERE at BETWEEN datetime('now', '-1 hour') AND datetime('now')"
        ),
        [6]
    );
}

#[test]
fn or_replace_puts_the_default_where_null_is_refused() {
    let twins = Twins::new(
        "id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'd', b INTEGER NOT NULL",
        "STRICT",
    );
    twins.run("INSERT OR REPLACE INTO t VALUES (1, NULL, 1)");
    assert_eq!(
        twins.fails("INSERT INTO t VALUES (2, NULL, 1)"),
        "NOT NULL constraint failed: t.a"
    );
    assert_eq!(
        twins.fails("INSERT OR REPLACE INTO t VALUES (2, NULL, NULL)"),
        "NOT NULL constraint failed: t.b"
    );
    twins.run("UPDATE OR REPLACE t SET a = NULL");
    twins.run("INSERT OR IGNORE INTO t VALUES (3, NULL, 1), (4, 'x', 1)");
    twins.fails("INSERT OR FAIL INTO t VALUES (5, 'x', 1), (6, NULL, 1)");
}

#[test]
fn a_check_refuses_what_is_false_and_keeps_what_is_null() {
    let twins = Twins::new(
        "id INTEGER PRIMARY KEY, a INTEGER CHECK (a > 0), b TEXT CONSTRAINT short CHECK(length(b) < 5) CHECK ( b <> 'no' ),
         c REAL, CONSTRAINT \"in order\" CHECK (a < c), CHECK (typeof(c) = 'real' OR c IS NULL), CHECK (t.id < 1000)",
        "STRICT",
    );
    twins.run("INSERT INTO t VALUES (1, 1, 'x', 2)");
    twins.run("INSERT INTO t VALUES (2, NULL, NULL, NULL), (3, '4', 5, '6.5')");
    assert_eq!(
        twins.fails("INSERT INTO t VALUES (4, 0, 'x', 2)"),
        "CHECK constraint failed: a > 0"
    );
    assert_eq!(
        twins.fails("INSERT INTO t VALUES (4, 1, 'xxxxx', 2)"),
        "CHECK constraint failed: short"
    );
    // As in SQLite, the name holds for the constraints behind it too.
    twins.fails("INSERT INTO t VALUES (4, 1, 'no', 2)");
    assert_eq!(
        twins.fails("INSERT INTO t VALUES (4, 3, 'x', 2)"),
        "CHECK constraint failed: in order"
    );
    twins.fails("INSERT INTO t VALUES (4, 5, 'x', 2), (5, 1, 'x', 2)");
    twins.fails("INSERT INTO t VALUES (1000, 1, 'x', 2)");
    twins.fails("UPDATE t SET a = 100 WHERE id = 1");
    twins.fails("UPDATE t SET a = a - 1");
    twins.run("UPDATE t SET a = 1.0, b = 'yes' WHERE id = 1");
    // NOT NULL, types and the key are looked at in SQLite's order.
    twins.fails("INSERT INTO t VALUES (1, 0, 'x', 2)");
    twins.fails("INSERT INTO t VALUES (1, 1, 'x', 2)");
}

#[test]
fn conflict_clauses_treat_a_failed_check_as_sqlite_does() {
    for clause in ["IGNORE", "ABORT", "REPLACE", "FAIL", "ROLLBACK"] {
        let twins = Twins::new("id INTEGER PRIMARY KEY, a INTEGER CHECK (a > 0)", "STRICT");
        twins.run("INSERT INTO t VALUES (1, 1)");
        twins.run("BEGIN");
        twins.run("INSERT INTO t VALUES (2, 2)");
        let sql = format!("INSERT OR {clause} INTO t VALUES (3, 3), (4, -4), (5, 5)");
        if clause == "IGNORE" {
            assert_eq!(twins.run(&sql), 2);
        } else {
            assert_eq!(twins.fails(&sql), "CHECK constraint failed: a > 0");
        }
        let update = format!("UPDATE OR {clause} t SET a = a - 2");
        if clause == "IGNORE" {
            twins.run(&update);
        } else {
            twins.fails(&update);
        }
        if clause != "ROLLBACK" {
            twins.run("COMMIT");
        }
        twins.run("INSERT INTO t VALUES (9, 9)");
    }
}

#[test]
fn a_check_sees_every_kind_of_key() {
    let twins = Twins::new(
        "a TEXT, b INTEGER, n INTEGER CHECK (n > b AND a <> 'x'), PRIMARY KEY (a, b)",
        "STRICT, WITHOUT ROWID",
    );
    twins.run("INSERT INTO t VALUES ('a', 1, 2), ('a', 2, 3)");
    twins.fails("INSERT INTO t VALUES ('a', 3, 3)");
    twins.fails("UPDATE t SET a = 'x'");
    twins.fails("UPDATE t SET b = b + 1 WHERE b = 2");
    let twins = Twins::new("n INTEGER CHECK (rowid < 10 AND _rowid_ <> n)", "STRICT");
    twins.run("INSERT INTO t(rowid, n) VALUES (1, 3), (9, 4)");
    twins.fails("INSERT INTO t(n) VALUES (5)");
    twins.fails("INSERT INTO t(rowid, n) VALUES (7, 7)");
    twins.fails("UPDATE t SET rowid = 11 WHERE n = 3");
}

#[test]
fn what_sqlite_refuses_in_an_expression_is_refused_in_its_words() {
    let twins = Twins::empty("sqlite_schema");
    for (columns, message) in [
        ("a INTEGER CHECK (nope > 0)", "no such column: nope"),
        (
            "a INTEGER CHECK (a > (SELECT 1))",
            "subqueries prohibited in CHECK constraints",
        ),
        (
            "a INTEGER CHECK (a > ?1)",
            "parameters prohibited in CHECK constraints",
        ),
        (
            "a INTEGER CHECK (a > count(*))",
            "misuse of aggregate function count()",
        ),
        ("a INTEGER CHECK (nope(a))", "no such function: nope"),
        ("a INTEGER CHECK (a >)", "near \")\": syntax error"),
        (
            "a INTEGER DEFAULT (b), b INTEGER",
            "default value of column [a] is not constant",
        ),
        (
            "a INTEGER DEFAULT (SELECT 1)",
            "near \"SELECT\": syntax error",
        ),
        (
            "a INTEGER DEFAULT (?1)",
            "default value of column [a] is not constant",
        ),
    ] {
        let tonbo = twins
            .tonbo()
            .fails(&format!("CREATE VIRTUAL TABLE t USING tonbo({columns})"));
        let ordinary = twins.fails_ordinary(&format!("CREATE TABLE t({columns})"));
        assert_eq!(tonbo.code, StoreErrorCode::SqlError, "{columns}");
        assert_eq!(tonbo.message, ordinary.message, "{columns}");
        assert_eq!(tonbo.message, message, "{columns}");
    }
    // Nothing is left of them.
    twins.tonbo().run(
        "CREATE VIRTUAL TABLE t USING tonbo(a INTEGER CHECK (a > 0)); INSERT INTO t VALUES (1)",
    );
    assert_eq!(twins.tonbo().integers("SELECT a FROM t"), [1]);
}

#[test]
fn constraints_hold_on_every_connection_and_after_reopening() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER DEFAULT 7 CONSTRAINT positive CHECK (n > 0 -- so\n))");
    b.run("INSERT INTO t(id) VALUES (1)");
    let error = b.fails("INSERT INTO t VALUES (2, 0)");
    assert_eq!(error.code, StoreErrorCode::Constraint);
    assert_eq!(error.sqlite_code, Some(275));
    drop((a, b));
    let database = database.reopen();
    let c = database.connect();
    c.run("INSERT INTO t(id) VALUES (2)");
    assert_eq!(
        c.fails("UPDATE t SET n = -1").message,
        "CHECK constraint failed: positive"
    );
    assert_eq!(c.integers("SELECT n FROM t"), [7, 7]);
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> bytes::Bytes {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn an_import_keeps_the_constraints_and_fills_in_defaults() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n <> 13), s TEXT NOT NULL DEFAULT 'none',
           r INTEGER DEFAULT (abs(random() % 1000)), CHECK (s <> 'bad'))",
    );
    let options = || ImportOptions {
        table: "t".into(),
        batch_rows: Some(4),
        ..ImportOptions::default()
    };
    let ids = |first: i64, count: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((first..first + count).rev()))
    };
    let run = |columns| import::run(&connection.0, parquet(columns), &options(), &mut |_| Ok(()));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    assert_eq!(run(vec![("id", ids(1, 10)), ("n", numbers)]).unwrap(), 10);
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE s = 'none' AND r BETWEEN 0 AND 999"),
        [10]
    );
    assert!(connection.integers("SELECT count(DISTINCT r) FROM t")[0] > 1);

    // The seventh row stands in the second batch: the first stays, the second is not there by half.
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(7..17));
    let error = run(vec![("id", ids(101, 10)), ("n", numbers)]).unwrap_err();
    assert_eq!(error.code, StoreErrorCode::BadImport);
    assert_eq!(error.sqlite_code, Some(275));
    assert_eq!(error.message, "row 7: CHECK constraint failed: n <> 13");
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE id > 100"),
        [4]
    );

    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let error = run(vec![("id", ids(201, 2)), ("n", nulls)]).unwrap_err();
    assert_eq!(error.code, StoreErrorCode::BadImport);
    assert_eq!(error.message, "row 2: NOT NULL constraint failed: t.n");
    let words: ArrayRef = Arc::new(StringArray::from(vec!["good", "bad"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let error = run(vec![("id", ids(301, 2)), ("n", numbers), ("s", words)]).unwrap_err();
    assert_eq!(error.message, "row 2: CHECK constraint failed: s <> 'bad'");
    assert_eq!(
        connection.integers("SELECT count(*) FROM t WHERE id > 200"),
        [0]
    );
    connection.run("INSERT INTO t(n) VALUES (1)");
    drop(connection);
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT count(*) FROM t"), [15]);
}
