//! DATE, TIMESTAMP, DECIMAL and COLLATE: what SQL sees of them, in every place where a value goes.

mod engine;

use std::sync::Arc;

use arrow_array::types::Decimal128Type;
use arrow_array::{
    ArrayRef, Date32Array, Date64Array, Decimal128Array, Int64Array, PrimitiveArray, RecordBatch,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use engine::twins::Twins;
use engine::{Connection, Database};
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

/// A result as text, its columns parted by bars.
fn shown(connection: &Connection, sql: &str) -> Vec<String> {
    let cell = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(value) => value.to_string(),
        Value::Blob(_) => "a blob".to_owned(),
    };
    let line = |row: &Vec<Value>| row.iter().map(cell).collect::<Vec<_>>().join("|");
    connection.rows(sql).iter().map(line).collect()
}

fn to_files(database: &Database) {
    mover::round(&database.store).unwrap();
    for id in database.store.sequencer.published().tables.keys() {
        mover::flush(&database.store.table(*id).unwrap(), Due::Any).unwrap();
    }
}

const COLUMNS: &str =
    "id INTEGER PRIMARY KEY, d DATE DEFAULT '2000-01-01', t TIMESTAMP CHECK (t < '2100-01-01'),
    n DECIMAL(20, 3) DEFAULT 1.5 CHECK (n > -1000 AND n <> '13')";

#[test]
fn they_are_texts_wherever_rows_are() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(&format!("CREATE VIRTUAL TABLE x USING tonbo({COLUMNS})"));
    connection.run(
        "INSERT INTO x VALUES (1, '2024-02-29', '2024-02-29 23:59:59.000001', '12345678901234567.891'),
           (2, '0000-01-01', '0000-01-01', -999), (3, '9999-12-31', NULL, '1e-3');
         INSERT INTO x(id) VALUES (4)",
    );
    let expected = [
        "1|2024-02-29|2024-02-29 23:59:59.000001|12345678901234567.891",
        "2|0000-01-01|0000-01-01 00:00:00|-999.000",
        "3|9999-12-31|NULL|0.001",
        "4|2000-01-01|NULL|1.500",
    ];
    let all = "SELECT * FROM x ORDER BY id";
    connection.run("BEGIN; UPDATE x SET d = d");
    assert_eq!(shown(&connection, all), expected);
    connection.run("COMMIT");
    assert_eq!(shown(&connection, all), expected);
    to_files(&database);
    assert_eq!(shown(&connection, all), expected);
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    assert_eq!(shown(&connection, all), expected);
    assert_eq!(
        shown(
            &connection,
            "SELECT name, type FROM pragma_table_info('x') WHERE name <> 'id'"
        ),
        ["d|DATE TEXT", "t|TIMESTAMP TEXT", "n|DECIMAL TEXT(20,3)"]
    );
    assert_eq!(
        shown(
            &connection,
            "SELECT typeof(d), typeof(t), typeof(n), date(t, '+1 second'), n * 2 FROM x WHERE id = 1"
        ),
        ["text|text|text|2024-03-01|2.4691357802469136e16"]
    );
    connection.run("ALTER TABLE x ADD COLUMN later DECIMAL(5,1) NOT NULL DEFAULT '2.5'; ALTER TABLE x ADD COLUMN day DATE DEFAULT '2020-02-02'");
    connection.run("INSERT INTO x(id, later) VALUES (5, 10)");
    to_files(&database);
    assert_eq!(
        shown(&connection, "SELECT id, later, day FROM x WHERE id > 3"),
        ["4|2.5|2020-02-02", "5|10.0|2020-02-02"]
    );
}

#[test]
fn what_would_change_is_refused_and_the_connection_goes_on() {
    let database = Database::new();
    let connection = database.connect();
    connection.run(&format!(
        "CREATE VIRTUAL TABLE x USING tonbo({COLUMNS}); INSERT INTO x(id) VALUES (1)"
    ));
    let before = shown(&connection, "SELECT * FROM x");
    for (column, values) in [
        (
            "d",
            &[
                "'2023-02-29'",
                "'2023-1-1'",
                "'2023-01-01 00:00:00'",
                "19000",
                "1.5",
                "''",
                "'now'",
                "x'00'",
            ][..],
        ),
        (
            "t",
            &[
                "'2023-02-29 10:00'",
                "'10:00'",
                "'2023-01-01 10:00:00.1234567'",
                "1700000000",
                "x'00'",
                "'2023-01-01 25:00'",
            ],
        ),
        (
            "n",
            &[
                "'0.0001'",
                "0.1",
                "'abc'",
                "''",
                "9e99",
                "x'00'",
                "'123456789012345678'",
                "'12,5'",
                "'0x10'",
            ],
        ),
    ] {
        for value in values {
            for sql in [
                format!("UPDATE x SET {column} = {value}"),
                format!("INSERT INTO x(id, {column}) VALUES (2, {value})"),
                format!("INSERT OR IGNORE INTO x(id, {column}) VALUES (2, {value})"),
            ] {
                let error = connection.fails(&sql);
                assert_eq!(error.code, StoreErrorCode::TypeMismatch, "{sql}: {error:?}");
                assert!(error.message.contains(&format!("x.{column}")), "{error:?}");
                assert_eq!(shown(&connection, "SELECT * FROM x"), before);
            }
        }
    }
    for sql in [
        "UPDATE x SET t = '2100-01-01'",
        "UPDATE x SET n = 13",
        "UPDATE x SET n = '13.00'",
        "UPDATE x SET n = -1000",
    ] {
        assert_eq!(
            connection.fails(sql).code,
            StoreErrorCode::Constraint,
            "{sql}"
        );
    }
    connection.run("UPDATE x SET n = '-999.999', t = '2099-12-31 23:59:59+00:00', d = NULL");
    assert_eq!(
        shown(&connection, "SELECT * FROM x"),
        ["1|NULL|2099-12-31 23:59:59|-999.999"]
    );
    for kind in [
        "DECIMAL",
        "NUMERIC",
        "DECIMAL(39)",
        "DECIMAL(5,6)",
        "DECIMAL(5,-1)",
        "DATE(3)",
    ] {
        let sql = format!("CREATE VIRTUAL TABLE y USING tonbo(a {kind})");
        let error = connection.fails(&sql);
        assert!(error.message.contains("unknown type"), "{sql}: {error:?}");
    }
}

/// Every comparison gives what it gives without a key to look in.
#[test]
fn keys_of_these_types_are_searched_and_ordered_as_their_texts() {
    let database = Database::new();
    let connection = database.connect();
    for (kind, values, literals) in [
        (
            "DATE",
            &[
                "2024-02-29",
                "2024-03-01",
                "1969-12-31",
                "0001-01-01",
                "2024-12-31",
            ][..],
            &[
                "'2024-02-29'",
                "'2024-03'",
                "'2024'",
                "'2024-02-29 00:00:00'",
                "'x'",
                "''",
                "2024",
                "1.5",
                "x'32'",
                "NULL",
                "date('2024-02-28', '+1 day')",
            ][..],
        ),
        (
            "TIMESTAMP",
            &[
                "2024-02-29 00:00:00",
                "2024-02-29 12:00:00.500",
                "2024-02-29 12:00:00.500001",
                "1969-12-31 23:59:59",
                "2024-03-01 00:00:00",
            ],
            &[
                "'2024-02-29'",
                "'2024-02-29 12:00:00.5'",
                "'2024-02-29 12:00:00.500'",
                "'2024-02-29T12:00:00'",
                "'2024-03-01 00:00:00'",
                "'1970'",
                "7",
                "NULL",
            ],
        ),
        (
            "DECIMAL(12,2)",
            &[
                "-100.00",
                "-9.99",
                "0.00",
                "2.00",
                "10.00",
                "10.50",
                "9999999999.99",
            ],
            &[
                "10",
                "10.5",
                "'10.500'",
                "'1e1'",
                "'10.501'",
                "-9.99",
                "2",
                "'-0'",
                "'x'",
                "1e300",
                "'99999999999999'",
                "x'31'",
                "NULL",
                "0.1",
                "''",
            ],
        ),
    ] {
        connection.run(&format!(
            "DROP TABLE IF EXISTS k; DROP TABLE IF EXISTS p; DROP TABLE IF EXISTS c; DROP TABLE IF EXISTS i;
             CREATE VIRTUAL TABLE k USING tonbo(v {kind} PRIMARY KEY, n INTEGER);
             CREATE VIRTUAL TABLE c USING tonbo(v {kind}, n INTEGER, PRIMARY KEY (n, v));
             CREATE VIRTUAL TABLE i USING tonbo(n INTEGER PRIMARY KEY, v {kind});
             CREATE INDEX by_v ON i(v);
             CREATE VIRTUAL TABLE p USING tonbo(n INTEGER PRIMARY KEY, v {kind})"
        ));
        for (n, value) in values.iter().enumerate() {
            connection.run(&format!(
                "INSERT INTO k VALUES ('{value}', {n}); INSERT INTO p VALUES ({n}, '{value}'); INSERT INTO i VALUES ({n}, '{value}'); INSERT INTO c VALUES ('{value}', 1)"
            ));
        }
        let error = connection.fails(&format!("INSERT INTO k VALUES ('{}', 99)", values[0]));
        assert_eq!(error.code, StoreErrorCode::Constraint);
        for round in 0..2 {
            for operator in ["=", "<", "<=", ">", ">=", "<>", "IS"] {
                for literal in literals {
                    let of = |table: &str, more: &str| {
                        let sql = format!(
                            "SELECT v FROM {table} WHERE {more} v {operator} {literal} ORDER BY v"
                        );
                        shown(&connection, &sql)
                    };
                    let expected = of("p", "");
                    assert_eq!(of("k", ""), expected, "{kind} {operator} {literal}");
                    assert_eq!(of("i", ""), expected, "{kind} {operator} {literal}");
                    assert_eq!(
                        of("c", "n = 1 AND "),
                        expected,
                        "{kind} {operator} {literal}"
                    );
                }
            }
            let list = literals.join(", ");
            let sql =
                |table: &str| format!("SELECT v FROM {table} WHERE v IN ({list}) ORDER BY v DESC");
            assert_eq!(shown(&connection, &sql("k")), shown(&connection, &sql("p")));
            assert_eq!(shown(&connection, &sql("i")), shown(&connection, &sql("p")));
            let join = |a: &str, b: &str| {
                format!("SELECT count(*) FROM {a} AS a JOIN {b} AS b ON a.v = b.v")
            };
            let expected = [values.len().to_string()];
            for (a, b) in [("k", "p"), ("p", "k"), ("p", "p"), ("k", "c")] {
                assert_eq!(
                    shown(&connection, &join(a, b)),
                    expected,
                    "{kind}: {a}, {b}"
                );
            }
            if round == 0 {
                to_files(&database);
            }
        }
        let plan = shown(
            &connection,
            &format!(
                "EXPLAIN QUERY PLAN SELECT * FROM k WHERE v >= '{}' ORDER BY v",
                values[0]
            ),
        );
        assert!(plan[0].contains("v>=? ORDER BY key"), "{plan:?}");
        let ordered = shown(&connection, "SELECT v FROM k ORDER BY v");
        let by_value = shown(&connection, "SELECT v FROM p ORDER BY v");
        assert_eq!(ordered, by_value);
        assert_eq!(shown(&connection, "PRAGMA integrity_check"), ["ok"]);
        connection.run(&format!(
            "DELETE FROM k WHERE v = '{}'; UPDATE k SET n = 7 WHERE v = '{}'",
            values[0], values[1]
        ));
        assert_eq!(
            shown(&connection, "SELECT count(*), sum(n = 7) FROM k"),
            [format!("{}|1", values.len() - 1)]
        );
    }
}

#[test]
fn decimal_functions_are_exact() {
    let connection = Database::new().connect();
    for (sql, expected) in [
        ("decimal_add('0.1', '0.2')", "0.3"),
        (
            "decimal_add('99999999999999999999999999999999999999', 1)",
            "100000000000000000000000000000000000000",
        ),
        ("decimal_sub('1.00', '2.5')", "-1.50"),
        ("decimal_sub(0.3, 0.1)", "0.2"),
        ("decimal_mul('1.50', '2.0')", "3.0"),
        (
            "decimal_mul('-12345678901234567890', '98765432109876543210')",
            "-1219326311370217952237463801111263526900",
        ),
        ("decimal_cmp('10', '9.99')", "1"),
        ("decimal_cmp('1.0', '1.00')", "0"),
        ("decimal_cmp(-2, -1)", "-1"),
        ("decimal_add(NULL, '1')", "NULL"),
        ("'10' COLLATE DECIMAL > '9'", "1"),
        ("'x' COLLATE DECIMAL > '9e99'", "1"),
        (
            "(SELECT decimal_sum(column1) FROM (VALUES ('0.1'), ('0.2'), (NULL), (3)))",
            "3.3",
        ),
        ("(SELECT decimal_sum(1) WHERE 0)", "NULL"),
        (
            "(SELECT group_concat(s) FROM (SELECT decimal_sum(column1) OVER (ORDER BY column1 ROWS 1 PRECEDING) AS s FROM (VALUES (1), (2), (3))))",
            "1,3,5",
        ),
    ] {
        assert_eq!(
            shown(&connection, &format!("SELECT {sql}")),
            [expected],
            "{sql}"
        );
    }
    for sql in [
        "decimal_add('x', 1)",
        "decimal_cmp('', 1)",
        "decimal_sum('1e')",
        "decimal_mul(x'ff', 1)",
    ] {
        let error = connection.fails(&format!("SELECT {sql}"));
        assert_eq!(error.message, "not a decimal number", "{sql}");
    }
    connection.rows("SELECT 1");
}

#[test]
fn a_collation_of_a_column_holds_as_in_sqlite() {
    let mut twins = Twins::new(
        "id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE NOT NULL DEFAULT 'Abc' CHECK (a <> 'no'), b TEXT COLLATE RTRIM, c TEXT COLLATE BINARY",
        "STRICT",
    );
    twins.run("INSERT INTO t(id, b, c) VALUES (1, 'x  ', 'C'), (2, 'x', 'c')");
    twins.run("INSERT INTO t VALUES (3, 'aBC', 'y', 'c '), (4, 'B', 'Y', NULL)");
    twins.fails("INSERT INTO t VALUES (5, 'NO', 'y', 'c')");
    for sql in [
        "SELECT id FROM t WHERE a = 'ABC' ORDER BY id",
        "SELECT id FROM t WHERE b = 'x ' ORDER BY id",
        "SELECT id FROM t WHERE c = 'c' ORDER BY id",
        "SELECT id FROM t WHERE a = 'ABC' COLLATE BINARY ORDER BY id",
        "SELECT count(DISTINCT a), count(DISTINCT b), count(DISTINCT c), max(a) FROM t",
        "SELECT id FROM t ORDER BY a DESC, id",
        "SELECT count(*) FROM t AS x JOIN t AS y ON x.a = y.a",
        "SELECT a, count(*) FROM t GROUP BY a ORDER BY min(id)",
        "SELECT id FROM t WHERE a IN ('abc', 'b') ORDER BY id",
    ] {
        twins.rows(sql);
    }
    twins.run("ALTER TABLE t RENAME COLUMN a TO z");
    twins.run("ALTER TABLE t ADD COLUMN e TEXT COLLATE NOCASE DEFAULT 'E'");
    twins.rows("SELECT id FROM t WHERE e = 'e' AND z >= 'ABC' ORDER BY id");
    twins.reopen();
    twins.rows("SELECT id FROM t WHERE z < 'b' ORDER BY id");
    let connection = twins.tonbo();
    for (columns, part) in [
        (
            "a TEXT, PRIMARY KEY (a COLLATE nope)",
            "no such collation sequence: nope",
        ),
        ("a TEXT COLLATE nope", "no such collation sequence: nope"),
        ("a INTEGER COLLATE NOCASE", "only TEXT columns"),
    ] {
        let error = connection.fails(&format!("CREATE VIRTUAL TABLE u USING tonbo({columns})"));
        assert!(error.message.contains(part), "{columns}: {error:?}");
    }
}

fn import_into(
    connection: &Connection,
    table: &str,
    columns: Vec<(&str, ArrayRef)>,
) -> Result<u64, StoreError> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let options = ImportOptions {
        table: table.into(),
        create: true,
        row_number: Some("id".into()),
        ..ImportOptions::default()
    };
    let source = writer.into_inner().unwrap().into();
    import::run(&connection.0, source, &options, &mut |_| Ok(()))
}

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    let array: PrimitiveArray<Decimal128Type> = Decimal128Array::from(values);
    Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
}

#[test]
fn files_with_dates_timestamps_and_decimals_are_imported_without_loss() {
    let database = Database::new();
    let connection = database.connect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "d",
            Arc::new(Date32Array::from(vec![Some(19782), None, Some(-1)])),
        ),
        (
            "s",
            Arc::new(TimestampSecondArray::from(vec![Some(0), Some(-1), None])),
        ),
        (
            "ms",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(1),
                None,
                Some(1_709_164_800_000),
            ])),
        ),
        (
            "ns",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(1000), Some(-1000), None])
                    .with_timezone("+02:00"),
            ),
        ),
        ("n", decimals(vec![Some(12345), Some(-1), None], 20, 3)),
    ];
    connection.run(
        "CREATE VIRTUAL TABLE made USING tonbo(id INTEGER PRIMARY KEY, d DATE, s TIMESTAMP, ms TIMESTAMP, ns TIMESTAMP, n DECIMAL(20, 3))",
    );
    assert_eq!(
        import_into(&connection, "made", columns.clone()).unwrap(),
        3
    );
    let expected = [
        "1|2024-02-29|1970-01-01 00:00:00|1970-01-01 00:00:00.001|1970-01-01 00:00:00.000001|12.345",
        "2|NULL|1969-12-31 23:59:59|NULL|1969-12-31 23:59:59.999999|-0.001",
        "3|1969-12-31|NULL|2024-02-29 00:00:00|NULL|NULL",
    ];
    assert_eq!(shown(&connection, "SELECT * FROM made"), expected);
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    assert_eq!(shown(&connection, "SELECT * FROM made"), expected);

    // A table that the import makes, and one that has INTEGER columns, gets times in the file's unit; one of another DECIMAL what fits.
    import_into(&connection, "new", columns.clone()).unwrap();
    assert_eq!(
        shown(&connection, "SELECT * FROM new WHERE id = 1"),
        ["1|19782|0|1|1000|12.345"]
    );
    assert_eq!(
        shown(
            &connection,
            "SELECT type FROM pragma_table_info('new') WHERE name = 'n'"
        ),
        ["DECIMAL TEXT(20,3)"]
    );
    connection.run("CREATE VIRTUAL TABLE own USING tonbo(id INTEGER PRIMARY KEY, d INTEGER, s INTEGER, ms INTEGER, ns TIMESTAMP, n DECIMAL(38, 5))");
    import_into(&connection, "own", columns).unwrap();
    assert_eq!(
        shown(&connection, "SELECT * FROM own WHERE id = 1"),
        ["1|19782|0|1|1970-01-01 00:00:00.000001|12.34500"]
    );

    connection.run("CREATE VIRTUAL TABLE narrow USING tonbo(id INTEGER PRIMARY KEY, d DATE, t TIMESTAMP, n DECIMAL(5, 2) CHECK (n < 100))");
    for (column, array, message) in [
        (
            "d",
            Arc::new(Date32Array::from(vec![0, 3_000_000])) as ArrayRef,
            "row 2: column d: the value is no DATE",
        ),
        (
            "t",
            Arc::new(TimestampNanosecondArray::from(vec![0, 1, 2])),
            "row 2: column t: the value is no TIMESTAMP",
        ),
        (
            "t",
            Arc::new(TimestampSecondArray::from(vec![i64::MAX])),
            "row 1: column t: the value is no TIMESTAMP",
        ),
        (
            "n",
            decimals(vec![Some(0), Some(10), Some(1)], 5, 3),
            "row 3: column n: the value is no DECIMAL(5,2)",
        ),
        (
            "n",
            decimals(vec![Some(10000)], 5, 2),
            "row 1: CHECK constraint failed: n < 100",
        ),
        (
            "n",
            Arc::new(Int64Array::from(vec![1, 1000])),
            "row 2: column n: the value is no DECIMAL(5,2)",
        ),
    ] {
        let error = import_into(&connection, "narrow", vec![(column, array)]).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::BadImport);
        assert_eq!(error.message, message);
        assert_eq!(connection.integers("SELECT count(*) FROM narrow"), [0]);
    }
    let whole_days: ArrayRef = Arc::new(Date64Array::from(vec![86_400_000]));
    import_into(&connection, "narrow", vec![("d", whole_days)]).unwrap();
    assert_eq!(shown(&connection, "SELECT d FROM narrow"), ["1970-01-02"]);
}
