//! Messages go into logs and to strangers: they name tables, columns, files and row numbers, never what is in the rows.

mod engine;

use std::sync::Arc;

use arrow_array::{ArrayRef, Date64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use bytes::Bytes;
use engine::faults::{copy_of, disk_of};
use engine::{Connection, Database};
use heddle_store::error::StoreError;
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::session::Discard;
use heddle_store::value::Value;

/// What stands in rows and is bound to statements.
const SECRET: &str = "4929-4174-hunter2";
/// The same as a number.
const NUMBER: i64 = 492_941_740_112;

fn check(what: &str, error: &StoreError) {
    let told = format!("{error:?}");
    for part in [
        SECRET,
        "hunter",
        &NUMBER.to_string(),
        &(u64::MAX - NUMBER as u64).to_string(),
    ] {
        assert!(!told.contains(part), "{what}: {told}");
    }
}

fn run(connection: &Connection, sql: &str, values: &[Value]) -> Result<(), StoreError> {
    let parameters = Parameters::Positional(values.to_vec());
    connection.0.run(sql, &parameters, &mut Discard).map(drop)
}

fn secret() -> Value {
    Value::Text(SECRET.into())
}

/// Tables with the secret in them, Tonbo's and ordinary ones.
fn tables(connection: &Connection) {
    let columns = "k TEXT PRIMARY KEY, n INTEGER UNIQUE, r REAL, b BOOLEAN, d DATE, t TIMESTAMP, x DECIMAL(9, 2), s TEXT NOT NULL CHECK (length(s) > 1), u TEXT";
    connection.run(&format!(
        "CREATE VIRTUAL TABLE tonbo_table USING tonbo({columns}); CREATE UNIQUE INDEX by_u ON tonbo_table(u);
         CREATE TABLE ordinary({columns}); CREATE UNIQUE INDEX by_ou ON ordinary(u)"
    ));
    for table in ["tonbo_table", "ordinary"] {
        let sql = format!("INSERT INTO {table}(k, n, s, u) VALUES (?1, ?2, ?1, ?1)");
        run(connection, &sql, &[secret(), Value::Integer(NUMBER)]).unwrap();
    }
}

#[test]
fn errors_of_statements_tell_nothing_of_rows_and_parameters() {
    let database = Database::new();
    let connection = database.connect();
    tables(&connection);
    let secret_with = |value: Value| vec![secret(), value];
    let number = Value::Integer(NUMBER);
    for table in ["tonbo_table", "ordinary"] {
        for (sql, values) in [
            ("INSERT INTO t(k, s) VALUES (?1, ?1)", vec![secret()]),
            (
                "INSERT INTO t(k, n, s) VALUES ('a', ?2, ?1)",
                secret_with(number.clone()),
            ),
            (
                "INSERT INTO t(k, s, u) VALUES ('a', ?1, ?1)",
                vec![secret()],
            ),
            (
                "INSERT INTO t(k, s, u) VALUES (?1, NULL, ?1)",
                vec![secret()],
            ),
            ("UPDATE t SET s = NULL WHERE k = ?1", vec![secret()]),
            ("UPDATE t SET s = '' WHERE k = ?1", vec![secret()]),
            ("SELECT json_extract(s, '$.a') FROM t", Vec::new()),
            (
                "SELECT abs(?2 + 9223372036854775807), ?1 FROM t WHERE abs(-9223372036854775808) = n",
                secret_with(number.clone()),
            ),
            ("SELECT * FROM t WHERE s MATCH ?1", vec![secret()]),
            ("SELECT * FROM t WHERE s REGEXP ?1", vec![secret()]),
            ("SELECT zeroblob(300000000) || s FROM t", Vec::new()),
        ] {
            let sql = sql
                .replace(" t ", &format!(" {table} "))
                .replace(" t(", &format!(" {table}("))
                .replace("FROM t", &format!("FROM {table}"));
            match run(&connection, &sql, &values) {
                Err(error) => check(&sql, &error),
                Ok(()) => panic!("{sql} succeeds"),
            }
        }
    }
    // Strict only where Tonbo keeps the values.
    for column in ["n", "r", "b", "d", "t", "x"] {
        let sql = format!("INSERT INTO tonbo_table(k, s, {column}) VALUES ('z', 'zz', ?1)");
        let error = run(&connection, &sql, &[secret()]).expect_err(&sql);
        check(&sql, &error);
    }
    let error = run(&connection, "SELECT decimal_add(?1, 1)", &[secret()]).unwrap_err();
    check("decimal_add", &error);
    // SQLite's own messages quote what its functions and modules are given.
    connection.run("CREATE VIRTUAL TABLE search USING fts5(s)");
    run(&connection, "INSERT INTO search VALUES (?1)", &[secret()]).unwrap();
    let text = |text: String| vec![Value::Text(text.into())];
    for (sql, values) in [
        ("SELECT json_extract('{}', ?1)", vec![secret()]),
        ("SELECT json_extract('{}', s) FROM tonbo_table", Vec::new()),
        ("SELECT json_set('{}', s, 1) FROM ordinary", Vec::new()),
        ("SELECT * FROM json_each('{}', ?1)", vec![secret()]),
        (
            "SELECT * FROM search WHERE search MATCH ?1",
            text(format!("{SECRET}\"")),
        ),
        (
            "SELECT * FROM search WHERE search MATCH ?1",
            text("hunter2 : x".to_owned()),
        ),
        (
            "SELECT * FROM search WHERE search MATCH ?1",
            text("AND hunter2".to_owned()),
        ),
        ("INSERT INTO search(search) VALUES (?1)", vec![secret()]),
        ("ATTACH ?1 AS other", text(SECRET.repeat(200))),
        ("DETACH ?1", vec![secret()]),
        (
            "SELECT * FROM search WHERE search MATCH 'a' AND rank MATCH ?1",
            vec![secret()],
        ),
        (
            "ATTACH ?1 AS other",
            text(format!("file:other?vfs={SECRET}")),
        ),
        (
            "ATTACH ?1 AS other",
            text(format!("file:other?mode={SECRET}")),
        ),
        (
            "ATTACH ?1 AS other",
            text(format!("file:other?cache={SECRET}")),
        ),
        ("ATTACH ?1 AS other", text(format!("file://{SECRET}/other"))),
        // Of the text itself, a word at most.
        ("SELECT '4929-4174-hunter2 is it", Vec::new()),
        ("SELECT x'4929-4174-hunter2", Vec::new()),
        (
            "SELECT \"s FROM t WHERE s = '4929-4174-hunter2'",
            Vec::new(),
        ),
        (
            "INSERT INTO ordinary VALUES (1) '4929-4174-hunter2'",
            Vec::new(),
        ),
    ] {
        match run(&connection, sql, &values) {
            Err(error) => check(sql, &error),
            Ok(()) => panic!("{sql} succeeds"),
        }
    }
    let error = connection.fails("SELECT json_extract('{}', 'b')");
    assert_eq!(error.message, "bad JSON path: 'b'");
    assert_eq!(connection.integers("SELECT count(*) FROM tonbo_table"), [1]);
}

#[test]
fn conflicts_tell_nothing_of_rows() {
    let database = Database::new();
    let (a, b) = (database.connect(), database.connect());
    tables(&a);
    for connection in [&a, &b] {
        connection.run("BEGIN");
        run(
            connection,
            "UPDATE tonbo_table SET n = n + 1 WHERE k = ?1",
            &[secret()],
        )
        .unwrap();
    }
    a.run("COMMIT");
    check("COMMIT", &b.fails("COMMIT"));
}

#[test]
fn errors_of_imports_name_the_row_and_nothing_in_it() {
    let database = Database::new();
    let connection = database.connect();
    tables(&connection);
    connection.run("CREATE VIRTUAL TABLE numbers USING tonbo(k INTEGER PRIMARY KEY, s TEXT)");
    let secrets = |count: usize| Arc::new(StringArray::from(vec![SECRET; count])) as ArrayRef;
    let numbers = Arc::new(Int64Array::from(vec![NUMBER; 2])) as ArrayRef;
    let nothing = Arc::new(StringArray::from(vec![None::<&str>; 1])) as ArrayRef;
    let too_large = Arc::new(UInt64Array::from(vec![u64::MAX - NUMBER as u64])) as ArrayRef;
    let far_day = Arc::new(Date64Array::from(vec![NUMBER * 1000])) as ArrayRef;
    let number = Arc::new(Int64Array::from(vec![NUMBER])) as ArrayRef;
    let mut errors = 0;
    for (table, columns) in [
        ("tonbo_table", vec![("k", secrets(2)), ("s", secrets(2))]),
        ("tonbo_table", vec![("k", secrets(1)), ("s", nothing)]),
        (
            "tonbo_table",
            vec![("k", secrets(1)), ("s", secrets(1)), ("d", secrets(1))],
        ),
        (
            "tonbo_table",
            vec![("k", secrets(1)), ("s", secrets(1)), ("x", secrets(1))],
        ),
        (
            "tonbo_table",
            vec![("k", secrets(2)), ("n", numbers.clone()), ("s", secrets(2))],
        ),
        ("numbers", vec![("k", secrets(1)), ("s", secrets(1))]),
        ("numbers", vec![("k", numbers), ("s", secrets(2))]),
        // Too large for the column.
        ("numbers", vec![("k", too_large)]),
        (
            "tonbo_table",
            vec![("k", secrets(1)), ("s", secrets(1)), ("d", far_day)],
        ),
        (
            "tonbo_table",
            vec![("k", secrets(1)), ("s", secrets(1)), ("x", number)],
        ),
    ] {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let file = file_of(&RecordBatch::try_from_iter(columns.clone()).unwrap());
        let options = ImportOptions {
            table: table.into(),
            ..ImportOptions::default()
        };
        if let Err(error) = import::run(&connection.0, file, &options, &mut |_| Ok(())) {
            errors += 1;
            check(&format!("{table} {names:?}"), &error);
        }
    }
    assert!(errors >= 8, "{errors}");
    for line in ["d", "x", "n", "r", "b"] {
        let options = ImportOptions {
            table: "tonbo_table".into(),
            format: Some("csv".into()),
            ..ImportOptions::default()
        };
        for text in [
            format!("k,s,{line}\na,bb,{SECRET}"),
            format!("k,s,{line}\na,bb,1,{SECRET}"),
            format!("{SECRET}\na"),
        ] {
            let outcome = import::run(
                &connection.0,
                text.clone().into(),
                &options,
                &mut |_| Ok(()),
            );
            let error = outcome.expect_err(&text);
            // A column's name is none of the rows.
            if !text.starts_with(SECRET) {
                check(&text.replace(SECRET, "…"), &error);
            }
        }
    }
}

fn file_of(batch: &RecordBatch) -> Bytes {
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn what_is_told_of_damage_has_nothing_of_rows() {
    let io: SharedIo = Arc::new(MemoryIo::new());
    let database = Database::on(io.clone());
    let connection = database.connect();
    tables(&connection);
    database.flush();
    run(
        &connection,
        "UPDATE tonbo_table SET s = ?1 || ?1",
        &[secret()],
    )
    .unwrap();
    let files = copy_of(&*io);
    let mut errors = 0;
    for (path, bytes) in &files {
        for at in (0..bytes.len()).step_by(bytes.len() / 12 + 1) {
            let mut damaged = files.clone();
            damaged.get_mut(path).unwrap()[at] ^= 0x21;
            let found = Database::try_on(disk_of(&damaged)).and_then(|database| {
                let connection = database.try_connect()?;
                connection.try_rows("SELECT * FROM tonbo_table")?;
                connection.try_rows("SELECT * FROM ordinary")
            });
            if let Err(error) = found {
                errors += 1;
                check(&format!("{path}, byte {at}"), &error);
            }
        }
    }
    assert!(errors > 10, "{errors}");
}
