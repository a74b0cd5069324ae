//! Imports, through the engine: what they refuse, and what others see of them meanwhile.

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use engine::{Connection, Database};
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions, Progress};
use heddle_store::value::Value;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(batches: &[RecordBatch]) -> Bytes {
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).unwrap();
    batches
        .iter()
        .for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap().into()
}

fn import(
    connection: &Connection,
    source: Bytes,
    options: ImportOptions,
) -> Result<u64, StoreError> {
    import::run(&connection.0, source, &options, &mut |_| Ok(()))
}

fn numbered(table: &str) -> ImportOptions {
    ImportOptions {
        table: table.into(),
        row_number: Some("id".into()),
        create: true,
        ..ImportOptions::default()
    }
}

#[test]
fn a_parquet_file_becomes_a_table_numbered_by_row() {
    let database = Database::new();
    let connection = database.connect();
    let source = parquet(&[batch(vec![
        (
            "Delay",
            Arc::new(Int64Array::from(vec![Some(5), None, Some(-3)])),
        ),
        ("ratio", Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]))),
        (
            "origin",
            Arc::new(StringArray::from(vec!["ABE", "", "ZRH"])),
        ),
    ])]);
    assert_eq!(
        import(&connection, source.clone(), numbered("flights")).unwrap(),
        3
    );
    let expected = [
        vec![
            Value::Integer(1),
            Value::Integer(5),
            Value::Real(0.5),
            Value::Text("ABE".into()),
        ],
        vec![
            Value::Integer(2),
            Value::Null,
            Value::Real(1.5),
            Value::Text("".into()),
        ],
        vec![
            Value::Integer(3),
            Value::Integer(-3),
            Value::Real(2.5),
            Value::Text("ZRH".into()),
        ],
    ];
    assert_eq!(
        connection.rows("SELECT id, delay, ratio, origin FROM flights"),
        expected
    );
    // A second import of the same rows has the same keys.
    let error = import(&connection, source.clone(), numbered("flights")).unwrap_err();
    assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
    assert_eq!(
        connection.rows("SELECT id, delay, ratio, origin FROM flights"),
        expected
    );
    let few = ImportOptions {
        rows: Some(2),
        ..numbered("first")
    };
    assert_eq!(import(&connection, source, few).unwrap(), 2);
    drop(connection);
    let database = database.reopen();
    assert_eq!(
        database
            .connect()
            .rows("SELECT id, delay, ratio, origin FROM flights"),
        expected
    );
}

#[test]
fn keys_may_come_in_any_order_but_not_twice() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(name TEXT PRIMARY KEY, n INTEGER); INSERT INTO t VALUES ('m', 0)");
    let file = |names: Vec<&str>| {
        let numbers = Int64Array::from_iter_values(1..=names.len() as i64);
        parquet(&[batch(vec![
            ("name", Arc::new(StringArray::from(names))),
            ("n", Arc::new(numbers)),
        ])])
    };
    let plain = || ImportOptions {
        table: "t".into(),
        ..ImportOptions::default()
    };
    import(&connection, file(vec!["z", "a", "p"]), plain()).unwrap();
    assert_eq!(
        connection.integers("SELECT n FROM t ORDER BY name"),
        [2, 0, 3, 1]
    );
    for names in [vec!["b", "b"], vec!["c", "m"]] {
        let error = import(&connection, file(names), plain()).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
    }
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [4]);
    connection.run("INSERT INTO t VALUES ('c', 9)");
}

#[test]
fn damaged_and_foreign_files_are_refused_and_harm_nothing() {
    let database = Database::new();
    let connection = database.connect();
    let good = parquet(&[batch(vec![(
        "n",
        Arc::new(Int64Array::from_iter_values(0..5000)),
    )])]);
    import(&connection, good.clone(), numbered("t")).unwrap();
    let other = parquet(&[batch(vec![("m", Arc::new(Int64Array::from(vec![1])))])]);
    let texts = parquet(&[batch(vec![("n", Arc::new(StringArray::from(vec!["x"])))])]);
    let mut flipped = good.to_vec();
    flipped[good.len() / 3] ^= 0x40;
    let unnumbered = ImportOptions {
        table: "t".into(),
        ..ImportOptions::default()
    };
    for (source, options, part) in [
        (
            good.slice(..good.len() - 100),
            numbered("t"),
            "Parquet file cannot be read",
        ),
        (
            Bytes::from_static(b"PAR1"),
            numbered("t"),
            "Parquet file cannot be read",
        ),
        (
            Bytes::from_static(b"\x89PNG\r\n"),
            numbered("t"),
            "neither a Parquet nor an Arrow file",
        ),
        (
            Bytes::new(),
            numbered("t"),
            "neither a Parquet nor an Arrow file",
        ),
        (
            Bytes::from_static(b"ARROW1\0\0"),
            numbered("t"),
            "Arrow file cannot be read",
        ),
        (other, numbered("t"), "column m is not in table t"),
        (texts, numbered("t"), "column n is Utf8"),
        (good.clone(), unnumbered, "no column id"),
    ] {
        let error = import(&connection, source, options).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
        assert!(error.message.contains(part), "{part}: {error:?}");
        assert_eq!(connection.integers("SELECT count(*) FROM t"), [5000]);
    }
    let missing = ImportOptions {
        table: "nope".into(),
        ..ImportOptions::default()
    };
    assert_eq!(
        import(&connection, good, missing).unwrap_err().code,
        StoreErrorCode::NotFound
    );
    connection.run("INSERT INTO t VALUES (9000, 1)");
}

#[test]
fn readers_see_whole_acknowledged_batches_and_writers_are_told_to_wait() {
    const BATCHES: i64 = 40;
    const BATCH_ROWS: i64 = 2000;
    let database = Database::new();
    let importer = database.connect();
    importer.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, batch INTEGER)");
    let rows = BATCHES * BATCH_ROWS;
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..rows).map(|row| row / BATCH_ROWS),
    ));
    let source = parquet(&[batch(vec![("batch", column)])]);
    let options = ImportOptions {
        batch_rows: Some(BATCH_ROWS as usize),
        ..numbered("t")
    };
    let (acknowledged, is_done) = (AtomicI64::new(0), AtomicBool::new(false));
    let refusals = AtomicI64::new(0);
    let mut latencies = Vec::new();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let connection = database.connect();
                    let mut latencies = Vec::new();
                    while !is_done.load(Ordering::SeqCst) {
                        let before = acknowledged.load(Ordering::SeqCst);
                        let start = Instant::now();
                        let found = connection.rows("SELECT count(*), count(DISTINCT batch), coalesce(sum(batch), 0) FROM t");
                        latencies.push(start.elapsed());
                        let after = acknowledged.load(Ordering::SeqCst);
                        let values: Vec<i64> = found[0].iter().map(engine::integer).collect();
                        let batches = values[1];
                        assert_eq!(values, [batches * BATCH_ROWS, batches, batches * (batches - 1) / 2 * BATCH_ROWS]);
                        // The next batch is visible a moment before it is acknowledged.
                        assert!((before..=after + 1).contains(&batches), "{before} {batches} {after}");
                    }
                    latencies
                })
            })
            .collect();
        scope.spawn(|| {
            let connection = database.connect();
            while !is_done.load(Ordering::SeqCst) {
                // One transaction: its row is nobody's to see.
                let sql =
                    "BEGIN; INSERT INTO t VALUES (-1, 0); DELETE FROM t WHERE id = -1; COMMIT";
                if let Err(error) = connection.try_rows(sql) {
                    connection.0.reset().unwrap();
                    assert!(
                        [StoreErrorCode::TableBusy, StoreErrorCode::Conflict].contains(&error.code),
                        "{error:?}"
                    );
                    refusals.fetch_add(1, Ordering::SeqCst);
                } else {
                    assert!(
                        acknowledged.load(Ordering::SeqCst) == BATCHES
                            || acknowledged.load(Ordering::SeqCst) == 0
                    );
                }
                std::thread::yield_now();
            }
        });
        let done = import::run(&importer.0, source, &options, &mut |progress: Progress| {
            assert_eq!(progress.rows_total, Some(rows as u64));
            acknowledged.store(progress.rows as i64 / BATCH_ROWS, Ordering::SeqCst);
            Ok(())
        });
        is_done.store(true, Ordering::SeqCst);
        assert_eq!(done.unwrap(), rows as u64);
        for reader in readers {
            latencies.extend(reader.join().unwrap());
        }
    });
    latencies.sort();
    let at = |share: usize| latencies[latencies.len() * share / 100];
    println!(
        "reads beside an import: {}, p50 {:?}, p99 {:?}; writes refused: {refusals:?}",
        latencies.len(),
        at(50),
        at(99)
    );
    importer.run("INSERT INTO t VALUES (-1, 0)");
}

fn csv(table: &str) -> ImportOptions {
    ImportOptions {
        table: table.into(),
        format: Some("csv".into()),
        create: true,
        ..ImportOptions::default()
    }
}

fn shown(connection: &Connection, sql: &str) -> Vec<String> {
    let cell = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(value) => value.to_string(),
        Value::Blob(value) => format!("{} bytes", value.len()),
    };
    let line = |row: &Vec<Value>| row.iter().map(cell).collect::<Vec<_>>().join("|");
    connection.rows(sql).iter().map(line).collect()
}

#[test]
fn a_csv_file_makes_a_table_of_what_all_its_texts_are() {
    let database = Database::new();
    let connection = database.connect();
    let mut text = String::from(
        "\u{feff}n, ratio,yes,name,day,nothing\r\n1,0.5,true,\"a, \"\"b\"\"\nc\",2024-02-29,\r\n,,,,,\r\n",
    );
    for row in 0..2000 {
        text.push_str(&format!("{row},{row},FALSE,row {row},2024-01-01,\r\n"));
    }
    text.push_str("-7,1e3,false,last,no day,");
    let options = ImportOptions {
        row_number: Some("id".into()),
        batch_rows: Some(300),
        ..csv("t")
    };
    assert_eq!(import(&connection, text.into(), options).unwrap(), 2003);
    assert_eq!(
        shown(
            &connection,
            "SELECT * FROM t WHERE id < 3 OR id > 2002 ORDER BY id"
        ),
        [
            "1|1|0.5|1|a, \"b\"\nc|2024-02-29|NULL",
            "2|NULL|NULL|NULL|NULL|NULL|NULL",
            "2003|-7|1000.0|0|last|no day|NULL",
        ]
    );
    assert_eq!(
        shown(
            &connection,
            "SELECT group_concat(type, ' ') FROM pragma_table_info('t')"
        ),
        ["INTEGER INTEGER REAL BOOLEAN TEXT TEXT TEXT"]
    );
}

#[test]
fn the_texts_of_a_csv_file_are_what_the_tables_columns_take() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(k TEXT PRIMARY KEY, n INTEGER, r REAL, b BOOLEAN, d DATE, t TIMESTAMP, x DECIMAL(9, 2), extra INTEGER DEFAULT 5)",
    );
    let text = "K,n,r,b,d,t,x\n007,-9223372036854775808,-0.0,TRUE,2024-02-29,2024-02-29 12:30:00.5,1234567.89\nb,1,2,0,,,\n";
    assert_eq!(import(&connection, text.into(), csv("t")).unwrap(), 2);
    assert_eq!(
        shown(&connection, "SELECT * FROM t"),
        [
            "007|-9223372036854775808|0.0|1|2024-02-29|2024-02-29 12:30:00.500|1234567.89|5",
            "b|1|2.0|0|NULL|NULL|NULL|5",
        ]
    );
    for (text, message) in [
        (
            "k,n\nc,1\nd,1.5",
            "row 2: column n: the value is no INTEGER",
        ),
        (
            "k,n\nc,9223372036854775808",
            "row 1: column n: the value is no INTEGER",
        ),
        ("k,r\nc,NaN", "row 1: column r: the value is no REAL"),
        ("k,b\nc,yes", "row 1: column b: the value is no BOOLEAN"),
        ("k,d\nc,2023-02-29", "row 1: column d: the value is no DATE"),
        (
            "k,x\nc,0.001",
            "row 1: column x: the value is no DECIMAL(9,2)",
        ),
        (
            "k,n\nc,1,2",
            "the CSV file cannot be read: incorrect number of fields for line 2, expected 2 got 3",
        ),
        (
            "k,n\nc",
            "the CSV file cannot be read: incorrect number of fields for line 2, expected 2 got 1",
        ),
        ("k,other\nc,1", "the file's column other is not in table t"),
        ("k,K\nc,1", "the CSV file has two columns K"),
        ("k,\nc,1", "column 2 of the CSV file has no name"),
        (
            "",
            "the CSV file is empty: its first line names the columns",
        ),
    ] {
        let error = import(&connection, text.into(), csv("t")).expect_err(text);
        assert_eq!(error.code, StoreErrorCode::BadImport, "{text}: {error:?}");
        assert_eq!(error.message, message, "{text}");
    }
    let error = import(
        &connection,
        Bytes::from_static(b"k,n\n\xff\xfe,1"),
        csv("t"),
    )
    .unwrap_err();
    assert_eq!(error.code, StoreErrorCode::BadImport, "{error:?}");
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [2]);
}

#[test]
fn a_file_s_texts_are_keys_as_the_table_s_collation_has_them() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(name TEXT COLLATE NOCASE PRIMARY KEY, code TEXT, UNIQUE (code COLLATE RTRIM))",
    );
    let into_t = || ImportOptions {
        table: "t".into(),
        ..ImportOptions::default()
    };
    let file = |names: Vec<&str>, codes: Vec<&str>| {
        parquet(&[batch(vec![
            ("name", Arc::new(StringArray::from(names))),
            ("code", Arc::new(StringArray::from(codes))),
        ])])
    };
    let source = file(
        vec!["weft", "Warp", "_", "HEDDLE"],
        vec!["d", "c  ", "b", ""],
    );
    assert_eq!(import(&connection, source, into_t()).unwrap(), 4);
    for (names, codes, part) in [
        (vec!["x", "X"], vec!["1", "2"], "the same key"),
        (vec!["WARP"], vec!["1"], "with the key of row 1"),
        (vec!["x", "y"], vec!["1", "1 "], "t.code"),
        (vec!["x"], vec!["c"], "t.code"),
    ] {
        let error = import(&connection, file(names.clone(), codes), into_t()).unwrap_err();
        assert!(error.message.contains(part), "{names:?}: {}", error.message);
    }
    assert_eq!(
        shown(&connection, "SELECT name, code FROM t ORDER BY name"),
        ["_|b", "HEDDLE|", "Warp|c  ", "weft|d"]
    );
    assert_eq!(
        shown(&connection, "SELECT name FROM t WHERE name = 'heddle'"),
        ["HEDDLE"]
    );
    assert_eq!(shown(&connection, "PRAGMA integrity_check"), ["ok"]);
}
