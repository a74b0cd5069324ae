//! `PRAGMA integrity_check` and `quick_check`: nothing where nothing is wrong, and each kind of damage by table and key.

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Connection, Database, integer};
use heddle_store::collation::Collation;
use heddle_store::commit::mover;
use heddle_store::error::StoreErrorCode;
use heddle_store::io::MemoryIo;
use heddle_store::key::{self, Key};
use heddle_store::store::StoreOptions;
use heddle_store::table::rows::to_batch;
use heddle_store::table::unflushed::Due;
use heddle_store::value::{Row, Value};

fn options() -> StoreOptions {
    StoreOptions {
        moves_in_background: false,
        chunk_rows: 3,
        ..StoreOptions::default()
    }
}

fn found(connection: &Connection, pragma: &str) -> String {
    let rows = connection.rows(&format!("PRAGMA {pragma}"));
    let text = |row: &Vec<Value>| match &row[..] {
        [Value::Text(text)] => text.to_string(),
        other => panic!("{other:?}"),
    };
    rows.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// How often each statement runs beside others that change the schema.
const ROUNDS: usize = 1000;

const MAKE: &str =
    "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT NOT NULL);
     CREATE VIRTUAL TABLE w USING tonbo(k TEXT, j INTEGER, n INTEGER, PRIMARY KEY (k, j));
     CREATE INDEX by_b ON t(b, a); CREATE INDEX by_n ON w(n);
     INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, 'y'), (4, 40, 'z'), (5, NULL, '');
     INSERT INTO w VALUES ('a', 1, 5), ('a', 2, NULL), ('b', 1, 5)";

#[test]
fn nothing_is_wrong_with_what_statements_leave() {
    let database = Database::open(Arc::new(MemoryIo::new()), &options()).unwrap();
    let connection = database.connect();
    connection.run(MAKE);
    let check = |connection: &Connection| {
        assert_eq!(found(connection, "integrity_check"), "ok");
        assert_eq!(found(connection, "quick_check"), "ok");
        assert_eq!(found(connection, "integrity_check(t)"), "ok");
    };
    check(&connection);
    mover::round(&database.store).unwrap();
    check(&connection);
    connection.run(
        "BEGIN; DELETE FROM t WHERE id = 2; UPDATE t SET id = id + 10, b = b || 'q'; INSERT INTO t VALUES (2, 10000, 'x');
         INSERT OR REPLACE INTO t VALUES (7, 40, 'w'); CREATE UNIQUE INDEX u ON t(b, id); UPDATE w SET k = k || 'c', n = n + 1",
    );
    check(&connection);
    connection.run("COMMIT");
    check(&connection);
    for version in database.store.sequencer.published().tables.values() {
        mover::move_table(&database.store, version.table.id).unwrap();
        mover::flush(&version.table, Due::Any).unwrap();
    }
    check(&connection);
    connection.run("DROP INDEX by_b; DELETE FROM w");
    check(&connection);
}

/// What is wrong once a row is put straight into Tonbo, behind the store's back: by the full check, and by the quick one.
fn after(table: &str, key: &Key, row: Option<Row>) -> (String, String) {
    let io = Arc::new(MemoryIo::new());
    let database = Database::open(io.clone(), &options()).unwrap();
    let connection = database.connect();
    connection.run(MAKE);
    mover::round(&database.store).unwrap();
    let id = connection.rows(&format!(
        "SELECT id FROM heddle_tables WHERE name = '{table}' UNION ALL SELECT id FROM heddle_indexes WHERE name = '{table}'"
    ));
    let stored = database.store.table(integer(&id[0][0]) as u64).unwrap();
    let (batch, deletes) = to_batch(&stored.schema, [(key, row.as_ref())].into_iter()).unwrap();
    stored.source.ingest(batch, deletes).unwrap();
    drop((connection, stored));
    database.store.close().unwrap();
    drop(database);
    let connection = Database::open(io, &options()).unwrap().connect();
    (
        found(&connection, "integrity_check"),
        found(&connection, "quick_check"),
    )
}

fn entry_key(columns: &[Value], row_key: &[u8]) -> Key {
    let mut bytes = Vec::new();
    for value in columns {
        key::encode_nullable(value, Collation::Binary, &mut bytes);
    }
    bytes.extend_from_slice(row_key);
    bytes.into()
}

fn number(value: i64) -> Key {
    Key::from(&key::encode_integer(value)[..])
}

fn entry(row_key: &Key) -> Option<Row> {
    Some(Row::from([Value::Blob(row_key.clone())]))
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[test]
fn an_entry_that_is_missing_is_named() {
    let unique = entry_key(&[Value::Integer(20)], &[]);
    let (full, quick) = after("sqlite_autoindex_t_1", &unique, None);
    assert_eq!(
        full,
        "table t: the index sqlite_autoindex_t_1 has no entry for row 2"
    );
    assert_eq!(quick, "ok");
    let of_null = entry_key(&[text("y"), Value::Null], &number(3));
    let (full, _) = after("by_b", &of_null, None);
    assert_eq!(full, "table t: the index by_b has no entry for row 3");
    let mut row_key = Vec::new();
    key::encode(&text("b"), Collation::Binary, &mut row_key);
    key::encode(&Value::Integer(1), Collation::Binary, &mut row_key);
    let (full, _) = after("by_n", &entry_key(&[Value::Integer(5)], &row_key), None);
    assert_eq!(
        full,
        "table w: the index by_n has no entry for the row with the key x'6200008000000000000001'"
    );
}

#[test]
fn an_entry_that_does_not_match_its_row_is_named() {
    let (full, quick) = after(
        "by_b",
        &entry_key(&[text("q"), Value::Null], &number(9)),
        entry(&number(9)),
    );
    assert_eq!(
        full,
        "table t: the index by_b has an entry for row 9, which is not there"
    );
    assert_eq!(quick, "ok");
    let (full, _) = after(
        "by_b",
        &entry_key(&[text("q"), Value::Null], &number(3)),
        entry(&number(3)),
    );
    assert_eq!(
        full,
        "table t: the index by_b has an entry for row 3 that does not match it"
    );
    let (full, _) = after(
        "sqlite_autoindex_t_1",
        &entry_key(&[Value::Integer(20)], &[]),
        entry(&number(4)),
    );
    let expected = "table t: the index sqlite_autoindex_t_1 has another row's entry for row 2\n\
                    table t: the index sqlite_autoindex_t_1 has an entry for row 4 that does not match it";
    assert_eq!(full, expected);
}

#[test]
fn a_row_that_its_table_forbids_is_named_by_the_quick_check_too() {
    let row = |values: [Value; 3]| Some(Row::from(values));
    let (full, quick) = after(
        "t",
        &number(4),
        row([Value::Integer(4), Value::Integer(40), Value::Null]),
    );
    assert_eq!(quick, "table t: row 4 has NULL in b, which is NOT NULL");
    assert!(full.starts_with(&quick), "{full}");
    assert!(
        full.contains("the index by_b has no entry for row 4"),
        "{full}"
    );
    let (_, quick) = after(
        "t",
        &number(6),
        row([Value::Integer(8), Value::Null, text("")]),
    );
    assert_eq!(
        quick,
        "table t: row 6 stands under a key that is not its columns'"
    );
    let (_, quick) = after(
        "w",
        &number(6),
        row([text("z"), Value::Integer(1), Value::Null]),
    );
    assert_eq!(
        quick,
        "table w: the row with the key x'8000000000000006' stands under a key that is not its columns'"
    );
}

#[test]
fn many_faults_are_counted_and_a_new_index_mends_them() {
    let io = Arc::new(MemoryIo::new());
    let database = Database::open(io.clone(), &options()).unwrap();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, a INTEGER); CREATE INDEX i ON t(a);
         INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, i FROM n",
    );
    mover::round(&database.store).unwrap();
    let ids = connection.integers("SELECT id FROM heddle_indexes");
    let stored = database.store.table(ids[0] as u64).unwrap();
    let keys: Vec<Key> = (1..=50)
        .map(|row| entry_key(&[Value::Integer(row)], &number(row)))
        .collect();
    let changes = keys.iter().map(|key| (key, None));
    let (batch, deletes) = to_batch(&stored.schema, changes).unwrap();
    stored.source.ingest(batch, deletes).unwrap();
    drop((connection, stored));
    database.store.close().unwrap();
    drop(database);
    let connection = Database::open(io, &options()).unwrap().connect();
    let text = found(&connection, "integrity_check");
    assert_eq!(text.lines().count(), 21, "{text}");
    assert!(text.ends_with("table t: 30 more faults"), "{text}");
    // An index is mended by making it again.
    connection.run("DROP INDEX i; CREATE INDEX i ON t(a)");
    assert_eq!(found(&connection, "integrity_check"), "ok");
}

#[test]
fn what_is_read_is_right_beside_others_that_change_the_schema() {
    let database = Database::open(Arc::new(MemoryIo::new()), &options()).unwrap();
    database.connect().run(MAKE);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (database, is_over) = (&database, &is_over);
            scope.spawn(move || {
                let connection = database.connect();
                // Relaxed: it may come late.
                while !is_over.load(Ordering::Relaxed) {
                    let change = format!(
                        "CREATE TABLE o{number}(x UNIQUE, y); CREATE INDEX oi{number} ON o{number}(y); CREATE VIEW w{number} AS SELECT x FROM o{number}; CREATE TRIGGER g{number} AFTER INSERT ON o{number} BEGIN SELECT 1; END; DROP VIEW w{number}; DROP TABLE o{number};
                         CREATE VIRTUAL TABLE v{number} USING tonbo(a INTEGER, b TEXT); CREATE INDEX vi{number} ON v{number}(b);
                         INSERT INTO v{number} VALUES (1, 'x'); ALTER TABLE v{number} ADD COLUMN c INTEGER; DROP TABLE v{number}"
                    );
                    if let Err(error) = connection.try_rows(&change) {
                        assert!(matches!(error.code, StoreErrorCode::Busy | StoreErrorCode::Conflict | StoreErrorCode::TableBusy), "{error:?}");
                        connection.run(&format!("DROP TABLE IF EXISTS o{number}; DROP TABLE IF EXISTS v{number}"));
                    }
                }
            });
        }
        let connection = database.connect();
        let count = "SELECT count(*) FROM t JOIN w ON w.n = t.id";
        let statements = [
            ("PRAGMA integrity_check", text("ok")),
            (count, Value::Integer(2)),
            (&format!("BEGIN; {count}; COMMIT"), Value::Integer(2)),
        ];
        let wrong = statements
            .iter()
            .cycle()
            .take(3 * ROUNDS)
            .find_map(|(sql, right)| {
                let outcome = connection.try_rows(sql);
                let is_right = matches!(&outcome, Ok(rows) if *rows == [[right.clone()]]);
                (!is_right).then_some((sql, outcome))
            });
        is_over.store(true, Ordering::Relaxed);
        assert!(wrong.is_none(), "{wrong:?}");
    });
}
