//! Inputs that nobody would write: a typed error or an answer, never a panic, and the connection goes on.

mod engine;
#[path = "fuzz/mod.rs"]
mod machine;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use bytes::Bytes;
use engine::faults::{copy_of, disk_of};
use engine::{Connection, Database, Rows};
use heddle_channel::bytes::{Options, channel};
use heddle_store::activity::Activity;
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::MemoryIo;
use heddle_store::service::{IN_MEMORY, PIECE, Server};
use heddle_store::session::Session;
use heddle_store::store::StoreOptions;
use heddle_store::value::Value;
use machine::{fuzz, mutate_bytes, mutate_words};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

fn batch() -> RecordBatch {
    let integers: Vec<Option<i64>> = (0..300).map(|n| (n % 7 != 0).then_some(n * n)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(integers))),
        ("small", Arc::new(Int32Array::from_iter_values(0..300))),
        (
            "x",
            Arc::new(Float64Array::from_iter_values((0..300).map(f64::from))),
        ),
        (
            "text",
            Arc::new(StringArray::from_iter_values(
                (0..300).map(|n| format!("é {}", n % 11)),
            )),
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from_iter_values(
                (0..300u32).map(u32::to_le_bytes),
            )),
        ),
        (
            "yes",
            Arc::new(BooleanArray::from_iter((0..300).map(|n| Some(n % 2 == 0)))),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The same rows as Parquet in several encodings, and as both of Arrow's formats; some as CSV.
fn files() -> Vec<Vec<u8>> {
    let batch = batch();
    let plain = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_max_row_group_size(100);
    let delta = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_column_encoding("n".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding("text".into(), Encoding::DELTA_BYTE_ARRAY);
    let packed = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut files: Vec<Vec<u8>> = [plain, delta, packed]
        .into_iter()
        .map(|properties| {
            let mut writer = parquet::arrow::ArrowWriter::try_new(
                Vec::new(),
                batch.schema(),
                Some(properties.build()),
            )
            .unwrap();
            writer.write(&batch).unwrap();
            writer.into_inner().unwrap()
        })
        .collect();
    let mut file = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    file.write(&batch).unwrap();
    files.push(file.into_inner().unwrap());
    let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    stream.write(&batch).unwrap();
    files.push(stream.into_inner().unwrap());
    files.push(CSV.to_vec());
    files
}

const CSV: &[u8] = b"n,x,text,yes,day\r\n1,0.5,\"a, \"\"b\"\"\nc\",true,2024-02-29\r\n,,,,\r\n-7,1e3,\xc3\xa9 4,FALSE,never\r\n";

/// An error that says that the engine itself is at fault.
fn is_defect(error: &StoreError) -> bool {
    matches!(
        error.code,
        StoreErrorCode::EngineFailed | StoreErrorCode::Corrupt
    )
}

#[test]
fn a_file_to_import_may_be_anything() {
    let database = Database::new();
    let connection = database.connect();
    let mut tables = 0;
    fuzz("imports", &files(), mutate_bytes, |input| {
        tables += 1;
        let is_told = [&b"PAR1"[..], b"ARROW1", &[0xFF; 4]]
            .iter()
            .any(|start| input.starts_with(start));
        let options = ImportOptions {
            table: format!("t{tables}"),
            format: (!is_told).then(|| "csv".into()),
            row_number: Some("id".into()),
            create: true,
            batch_rows: Some(128),
            ..ImportOptions::default()
        };
        let mut acknowledged = 0;
        let source = Bytes::copy_from_slice(input);
        let outcome = import::run(&connection.0, source, &options, &mut |progress| {
            acknowledged = progress.rows;
            Ok(())
        });
        match outcome {
            Err(error) if is_defect(&error) => return Err(format!("{error:?}")),
            Err(_) | Ok(_) => {}
        }
        let name = &options.table;
        match connection.try_rows(&format!("SELECT count(*), sum(length(text)) FROM {name}")) {
            Ok(rows) if engine::integer(&rows[0][0]) as u64 != acknowledged => {
                return Err(format!("{rows:?} of {acknowledged} acknowledged rows"));
            }
            // Its columns may be others, or the table was never made.
            Ok(_)
            | Err(StoreError {
                code: StoreErrorCode::SqlError,
                ..
            }) => {}
            Err(error) => return Err(format!("{error:?}")),
        }
        let dropped = connection.try_rows(&format!("DROP TABLE IF EXISTS {name}"));
        dropped.map(drop).map_err(|error| format!("{error:?}"))
    });
}

const STATEMENTS: &[&str] = &[
    "SELECT id, name, price FROM items WHERE id BETWEEN 3 AND 90 AND name LIKE 'item 1%' ORDER BY id DESC LIMIT 5 OFFSET 2",
    "SELECT a.id, b.k FROM items a JOIN pairs b ON a.id = b.n WHERE b.k IN ('x', 'y') GROUP BY b.k HAVING count(*) > 1",
    "INSERT INTO items(id, name, price) VALUES (1000, 'new', 1.5), (1001, NULL, -0.0) ON CONFLICT DO NOTHING",
    "INSERT OR REPLACE INTO pairs VALUES ('x', 5, x'00ff'), ('z', -9223372036854775808, NULL)",
    "UPDATE items SET price = price * 2, name = upper(name) WHERE id IN (SELECT n FROM pairs) OR id = 7",
    "UPDATE OR IGNORE items SET id = id + 1 WHERE id > 50",
    "DELETE FROM pairs WHERE k >= 'a' AND k < 'm' AND n = 3",
    "BEGIN; SAVEPOINT s; DELETE FROM items WHERE id % 2; ROLLBACK TO s; RELEASE s; COMMIT",
    "CREATE VIRTUAL TABLE IF NOT EXISTS fresh USING tonbo(a INTEGER, \"b c\" TEXT NOT NULL, c BLOB, d BOOLEAN, PRIMARY KEY (a, \"b c\"))",
    "CREATE VIRTUAL TABLE main.other USING TONBO(create_sql = 'create table t(id bigint primary key, x double)', path = 'p')",
    "DROP TABLE IF EXISTS fresh",
    "CREATE TABLE ordinary(id INTEGER PRIMARY KEY, t TEXT UNIQUE) STRICT",
    "CREATE TEMP VIEW seen AS SELECT * FROM items WHERE rowid = 3",
    "CREATE TEMP TRIGGER fired AFTER INSERT ON ordinary BEGIN INSERT INTO pairs VALUES (new.t, new.id, NULL); END",
    "CREATE VIEW shown AS SELECT id, name FROM items; CREATE TRIGGER shown_insert INSTEAD OF INSERT ON shown BEGIN INSERT INTO items(id, name) VALUES (new.id, new.name); END",
    "CREATE TRIGGER noted AFTER DELETE ON ordinary BEGIN DELETE FROM pairs WHERE n = old.id; END",
    "SAVEPOINT s; INSERT INTO items(id) VALUES (2000); DROP TABLE items; ROLLBACK TO s; DROP VIEW IF EXISTS shown; RELEASE s",
    "EXPLAIN QUERY PLAN SELECT * FROM items NATURAL JOIN pairs",
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 50) INSERT INTO items SELECT i + 5000, hex(i), i FROM n",
    "PRAGMA integrity_check",
    "PRAGMA table_xinfo(items)",
    "ALTER TABLE ordinary ADD COLUMN more DEFAULT 7",
    "ATTACH 'more.db' AS more; CREATE TABLE more.t(x); DETACH more",
    "SELECT json_group_array(json_object('id', id, 'price', price)) FROM items WHERE price >= ?1 AND name GLOB :name",
    "VACUUM; ANALYZE; REINDEX",
];

const WORDS: &[&str] = &[
    "items",
    "pairs",
    "id",
    "rowid",
    "_key",
    "name",
    "price",
    "k",
    "n",
    "main",
    "temp",
    "heddle_tables",
    "sqlite_schema",
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "NULL",
    "NOT",
    "IS",
    "IN",
    "LIKE",
    "GLOB",
    "BETWEEN",
    "AND",
    "OR",
    "ORDER",
    "BY",
    "LIMIT",
    "DISTINCT",
    "UNION",
    "EXCEPT",
    "JOIN",
    "LEFT",
    "USING",
    "tonbo",
    "VIRTUAL",
    "TABLE",
    "PRIMARY",
    "KEY",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "NOCASE",
    "RETURNING",
    "ROLLBACK",
    "COMMIT",
    "BEGIN",
    "IMMEDIATE",
    "SAVEPOINT",
    "RELEASE",
    "(",
    ")",
    ",",
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    "*",
    "?",
    ":x",
    "@y",
    "$z",
    ".",
    "=",
    "<",
    ">=",
    "||",
    "-",
    "9223372036854775807",
    "-9223372036854775808",
    "1e999",
    "0x7f",
    "x'00'",
    "''",
    "'é'",
    "\u{0}",
    "\u{feff}",
    "\u{10FFFF}",
    "zeroblob(10)",
    "random()",
];

fn prepare(connection: &Connection) {
    connection.run(
        "CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY, name TEXT, price REAL);
         CREATE VIRTUAL TABLE pairs USING tonbo(k TEXT, n INTEGER, b BLOB, PRIMARY KEY (k, n));
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 100) INSERT INTO items SELECT i, 'item ' || i, i / 4.0 FROM n;
         INSERT INTO pairs VALUES ('x', 1, NULL), ('x', 2, x'01'), ('y', 3, x''), ('', 0, NULL)",
    );
}

/// Interrupts requests that take too long: some mutations make endless ones.
struct Watchdog {
    activity: Arc<Activity>,
    request: AtomicU64,
    is_over: AtomicBool,
}

#[test]
fn a_statement_may_be_anything() {
    const STATEMENTS_OF_A_DATABASE: u64 = 100;
    const PATIENCE: Duration = Duration::from_millis(300);
    let watchdog = Arc::new(Watchdog {
        activity: Arc::default(),
        request: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let other = watchdog.clone();
    let watching = std::thread::spawn(move || {
        while !other.is_over.load(Ordering::Relaxed) {
            let request = other.request.load(Ordering::Relaxed);
            std::thread::sleep(PATIENCE);
            if other.request.load(Ordering::Relaxed) == request {
                other
                    .activity
                    .cancel
                    .store(request as u32, Ordering::Relaxed);
            }
        }
    });
    let options = StoreOptions {
        memory_size: 16 << 20,
        chunk_rows: 16,
        ..StoreOptions::default()
    };
    let fresh = || {
        let database = Database::open(Arc::new(MemoryIo::new()), &options).unwrap();
        let session = Session::open(&database.store, watchdog.activity.clone()).unwrap();
        let connection = Connection(session);
        prepare(&connection);
        (connection, database)
    };
    let mut current = fresh();
    let seeds: Vec<Vec<u8>> = STATEMENTS
        .iter()
        .map(|sql| sql.as_bytes().to_vec())
        .collect();
    let mutate =
        |random: &mut random::Random, seeds: &[Vec<u8>]| mutate_words(random, seeds, WORDS);
    fuzz("statements", &seeds, mutate, |input| {
        let request = watchdog.request.fetch_add(1, Ordering::Relaxed) + 1;
        if request.is_multiple_of(STATEMENTS_OF_A_DATABASE) {
            current = fresh();
        }
        let (connection, _) = &current;
        watchdog.activity.begin(request as u32);
        let outcome = connection.try_rows(&String::from_utf8_lossy(input));
        watchdog.activity.end();
        if let Err(error) = outcome
            && is_defect(&error)
        {
            return Err(format!("{error:?}"));
        }
        connection
            .0
            .reset()
            .map_err(|error| format!("ROLLBACK: {error:?}"))?;
        match connection.try_rows("SELECT 1") {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        }
    });
    watchdog.is_over.store(true, Ordering::Relaxed);
    watching.join().unwrap();
}

const DEFINITIONS: &[&str] = &[
    "\"id\" INTEGER NOT NULL, \"name\" TEXT, PRIMARY KEY (\"id\")",
    "\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" BLOB, PRIMARY KEY (\"b\", \"a\")",
    "\"x\" REAL, \"yes\" BOOLEAN",
];

/// The catalogue's rows are ordinary ones: somebody may have written them by hand, with another program.
#[test]
fn a_definition_in_the_catalogue_may_be_anything() {
    let io = Arc::new(MemoryIo::new());
    let database = Database::on(io.clone());
    prepare(&database.connect());
    database.store.close().unwrap();
    drop(database);
    let files = copy_of(&*io);
    let seeds: Vec<Vec<u8>> = DEFINITIONS
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    let mutate =
        |random: &mut random::Random, seeds: &[Vec<u8>]| mutate_words(random, seeds, WORDS);
    fuzz("definitions", &seeds, mutate, |input| {
        let told = |error: StoreError| format!("{error:?}");
        let io = disk_of(&files);
        let database = Database::on(io.clone());
        let connection = database.connect();
        let text = String::from_utf8_lossy(input).replace(['\'', '\0'], "");
        connection.0.lift_guard();
        connection.run(&format!(
            "UPDATE heddle_tables SET definition = '{text}' WHERE name = 'items'"
        ));
        drop(connection);
        drop(database);
        // The table answers or says why it can't; the other one is none the worse.
        let database = Database::try_on(io).map_err(told)?;
        let connection = database.try_connect().map_err(told)?;
        let pairs = connection
            .try_rows("SELECT count(*) FROM pairs")
            .map_err(told)?;
        if engine::integer(&pairs[0][0]) != 4 {
            return Err(format!("{pairs:?}"));
        }
        match connection.try_rows("SELECT * FROM items") {
            Err(error) if error.code == StoreErrorCode::EngineFailed => Err(told(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    });
}

/// Of all rows of the catalogue, and of the others that the store keeps beside the user's.
const ROWS: &[&str] = &[
    "UPDATE heddle_tables SET id = 7 WHERE name = 'items'",
    "UPDATE heddle_tables SET name = 'twins', layout = '1' WHERE id = 1",
    "UPDATE heddle_tables SET layout = NULL",
    "INSERT INTO heddle_tables VALUES (9, 'ghost', '\"a\" INTEGER', NULL)",
    "DELETE FROM heddle_tables WHERE name = 'pairs'",
    "UPDATE heddle_indexes SET columns = 'price', is_unique = 1 WHERE name = 'by_name'",
    "UPDATE heddle_indexes SET table_id = 2, id = 77, is_constraint = -1",
    "INSERT INTO heddle_indexes VALUES (8, 'more', 1, 'name', 0, 0)",
    "UPDATE heddle_views SET sql = 'CREATE VIEW shown AS SELECT * FROM items', type = 'trigger'",
    "INSERT INTO heddle_views VALUES (3, 'view', 'other', 'SELECT 1')",
    "UPDATE heddle_state SET value = value + 5 WHERE name = 'mixed'",
    "UPDATE heddle_state SET name = 'x' WHERE name = 'catalogue'",
    "DELETE FROM heddle_state",
    "UPDATE heddle_log SET changes = x'00', checksum = 0, row_count = 5",
    "INSERT INTO heddle_log VALUES (5, x'', 0, 0)",
];

/// As above: each row, each column.
#[test]
fn a_row_of_the_catalogue_may_be_anything() {
    let io = Arc::new(MemoryIo::new());
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    let connection = database.connect();
    prepare(&connection);
    connection.run(
        "CREATE INDEX by_name ON items(name); CREATE VIEW shown AS SELECT id, k FROM items, pairs; CREATE TABLE ordinary(id INTEGER PRIMARY KEY);
         BEGIN; INSERT INTO ordinary VALUES (1); INSERT INTO items VALUES (1000, 'mixed', 0); COMMIT",
    );
    drop(connection);
    drop(database);
    let files = copy_of(&*io);
    let seeds: Vec<Vec<u8>> = ROWS.iter().map(|sql| sql.as_bytes().to_vec()).collect();
    let mutate =
        |random: &mut random::Random, seeds: &[Vec<u8>]| mutate_words(random, seeds, WORDS);
    let mut refused = 0;
    fuzz("catalogue", &seeds, mutate, |input| {
        let told = |error: StoreError| format!("{error:?}");
        let io = disk_of(&files);
        let database = Database::open(io.clone(), &options).map_err(told)?;
        let connection = database.connect();
        connection.0.lift_guard();
        // Some are no statements; they are tried elsewhere.
        let _written = connection.try_rows(&String::from_utf8_lossy(input));
        connection.0.reset().map_err(told)?;
        drop(connection);
        drop(database);
        let answers = Database::open(io, &options).and_then(|database| {
            let connection = database.try_connect()?;
            for sql in [
                "SELECT * FROM pairs",
                "SELECT * FROM items WHERE name > 'item 5'",
                "SELECT * FROM items",
                "SELECT * FROM shown",
                "INSERT INTO items VALUES (3000, 'new', 1)",
                "DROP TABLE items",
            ] {
                match connection.try_rows(sql) {
                    Err(error) if error.code == StoreErrorCode::EngineFailed => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(())
        });
        match answers {
            Err(error) if error.code == StoreErrorCode::EngineFailed => Err(told(error)),
            Err(_) => {
                refused += 1;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    });
    eprintln!("{refused} of them keep the database from opening");
}

/// A frame of a WAL of SQLite's, and what stands before the first.
const FRAME_SIZE: usize = 24 + PAGE_SIZE;
const WAL_HEADER_SIZE: usize = 32;
const PAGE_SIZE: usize = 4096;

/// A commit's rows, as it left them.
struct Commit {
    rows: Rows,
    is_in_log: bool,
}

/// What some of the commits make, one after the other.
fn state_of<'a>(commits: impl Iterator<Item = &'a Commit>) -> Rows {
    let mut state: BTreeMap<(i64, i64), Vec<Value>> = BTreeMap::new();
    for row in commits.flat_map(|commit| &commit.rows) {
        state.insert(
            (engine::integer(&row[0]), engine::integer(&row[1])),
            row.clone(),
        );
    }
    state.into_values().collect()
}

/// SQLite's files cut anywhere, or with frames and pages missing, twice, at another's place, or from an earlier state of the file: what is there
/// is what was committed up to some moment, or an error tells of it. The log of commits to Tonbo tables alone may end before the database file
/// does: nothing in either tells how long it was.
#[test]
fn sqlites_files_may_be_pieced_together() {
    const QUERY: &str = "SELECT 1, id, n FROM t UNION ALL SELECT 2, id, n FROM p";
    let io = Arc::new(MemoryIo::new());
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER)");
    connection.run("PRAGMA wal_checkpoint(TRUNCATE)");
    let (mut commits, mut disks) = (Vec::new(), vec![copy_of(&*io)]);
    let mut before = connection.rows(QUERY);
    for step in 0..16 {
        connection.run(&match step % 4 {
            0 => format!("INSERT INTO t VALUES ({step}, 0)"),
            1 => "UPDATE t SET n = n + 1".to_owned(),
            2 => format!("INSERT INTO p VALUES ({step}, 0)"),
            _ => format!("BEGIN; INSERT INTO t VALUES ({step}, 0); INSERT INTO p VALUES ({step}, 0); UPDATE p SET n = n + 1; COMMIT"),
        });
        let after = connection.rows(QUERY);
        let changed = after.iter().filter(|row| !before.contains(row));
        commits.push(Commit {
            rows: changed.cloned().collect(),
            is_in_log: step % 4 < 2,
        });
        before = after;
        disks.push(copy_of(&*io));
    }
    let mut states: Vec<Rows> = (0..=commits.len())
        .map(|count| state_of(commits[..count].iter()))
        .collect();
    assert_eq!(states.last(), Some(&before));
    let logged = commits.iter().filter(|commit| commit.is_in_log).count();
    states.extend((0..logged).map(|kept| {
        let mut number = 0;
        state_of(commits.iter().filter(move |commit| {
            number += usize::from(commit.is_in_log);
            !commit.is_in_log || number <= kept
        }))
    }));
    let last = disks.last().unwrap().clone();
    drop(connection);
    drop(database);
    let paths = ["main.db-wal", "log.db-wal", "main.db", "log.db"];
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| [&[number as u8][..], &last[*path]].concat())
        .collect();
    let mutate = |random: &mut random::Random, seeds: &[Vec<u8>]| {
        let number = random.below(paths.len());
        let mut body = seeds[number][1..].to_vec();
        let (start, size) = match paths[number].ends_with("-wal") {
            true => (WAL_HEADER_SIZE, FRAME_SIZE),
            false => (0, PAGE_SIZE),
        };
        for _ in 0..=random.below(2u64) {
            let count = body.len().saturating_sub(start) / size;
            if count == 0 {
                break;
            }
            let at = |index: usize| start + index * size..start + (index + 1) * size;
            let (one, other) = (random.below(count), random.below(count));
            match random.below(7u64) {
                0 => body.truncate(at(one).start),
                1 => body.truncate(random.below(body.len())),
                2 => {
                    let copy = body[at(one)].to_vec();
                    let place = at(other).start;
                    body.splice(place..place, copy);
                }
                3 => {
                    let copy = body[at(one)].to_vec();
                    body.extend(copy);
                }
                4 => {
                    let (first, second) = (body[at(one)].to_vec(), body[at(other)].to_vec());
                    body[at(one)].copy_from_slice(&second);
                    body[at(other)].copy_from_slice(&first);
                }
                5 => {
                    body.drain(at(one));
                }
                // An earlier state of a page, with its own sum, is one of those of docs/tonbo.md that nobody notices.
                _ if start == 0 => body.extend_from_slice(&[0; PAGE_SIZE]),
                _ => {
                    let earlier = &disks[random.below(disks.len())][paths[number]];
                    if let Some(frame) = earlier.get(at(one)) {
                        body[at(one)].copy_from_slice(frame);
                    }
                }
            }
        }
        [vec![number as u8], body].concat()
    };
    fuzz("sqlite files", &seeds, mutate, |input| {
        let (number, body) = input.split_first().ok_or("no file is named")?;
        let path = paths[usize::from(*number) % paths.len()];
        let mut files = last.clone();
        files.insert(path.to_owned(), body.to_vec());
        let outcome = Database::open(disk_of(&files), &options)
            .and_then(|database| database.try_connect()?.try_rows(QUERY));
        match outcome {
            Ok(rows) if states.contains(&rows) => Ok(()),
            Ok(rows) => Err(format!("{path}: {rows:?}")),
            Err(error) if error.code == StoreErrorCode::EngineFailed => {
                Err(format!("{path}: {error:?}"))
            }
            Err(_) => Ok(()),
        }
    });
}

/// A request as the main thread sends it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a, P> {
    id: u32,
    op: &'a str,
    location: &'a str,
    sql: &'a str,
    params: P,
    batch_rows: Option<f64>,
}

/// The last response to one.
#[derive(Deserialize)]
struct Response {
    id: u32,
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    message: Option<String>,
}

fn request(id: u32, op: &str, sql: &str, params: impl Serialize) -> Vec<u8> {
    let request = Request {
        id,
        op,
        location: IN_MEMORY,
        sql,
        params,
        batch_rows: Some(64.0),
    };
    rmp_serde::to_vec_named(&request).unwrap()
}

/// Requests reach the decoder of messages, what is bound to statements, and the operations. Those that name addresses and places are not
/// among them: the main thread may have any directory opened, and what it gives back it had.
#[test]
fn a_request_may_be_anything() {
    const UNTRIED: [&[u8]; 5] = [b"open", b"close", b"alloc", b"free", b"import"];
    const LAST: u32 = u32::MAX;
    let (asking, requests) = channel(Options::default());
    let (responses, answering) = channel(Options::default());
    let serving = std::thread::spawn(move || {
        Server::new(Arc::default(), Arc::default(), requests, responses).run();
    });
    // Sends a message and one behind it, and returns the errors until that is answered.
    let ask = |message: &[u8]| {
        asking.send(message).unwrap();
        asking
            .send(&request(LAST, "query", "SELECT 1", ()))
            .unwrap();
        let mut errors = Vec::new();
        loop {
            let response: Response = rmp_serde::from_slice(&answering.recv().unwrap()).unwrap();
            match (response.id, &response.kind[..]) {
                (LAST, "done") => return errors,
                (_, "error") => errors.push((response.code.unwrap(), response.message.unwrap())),
                _ => {}
            }
        }
    };
    assert!(ask(&request(1, "open", "", ())).is_empty());
    let tables = "CREATE VIRTUAL TABLE t USING tonbo(i INTEGER PRIMARY KEY, x REAL, s TEXT, b BLOB, d DATE, n DECIMAL(9, 2)); CREATE TABLE o(i, x, s, b)";
    assert!(ask(&request(2, "query", tables, ())).is_empty());
    let values = || {
        vec![
            Value::Integer(-129),
            Value::Real(0.5),
            Value::Text("é text".into()),
            Value::Blob([0, 255, 7].as_slice().into()),
            Value::Null,
            Value::Integer(i64::MIN),
        ]
    };
    let named = || {
        let names = ["i", ":x", "@s", "$b", "d", "n"];
        let pairs = names.into_iter().map(str::to_owned).zip(values());
        pairs.collect::<BTreeMap<String, Value>>()
    };
    let insert = "INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?, ?, ?)";
    let seeds = [
        request(3, "query", insert, values()),
        request(
            4,
            "query",
            "INSERT INTO o VALUES (?, ?, ?, ?)",
            values()[..4].to_vec(),
        ),
        request(5, "query", "INSERT INTO o VALUES (:i, :x, @s, $b)", named()),
        request(6, "query", "SELECT ?, ?, typeof(?), ?, ?, ?", values()),
        request(
            7,
            "query",
            "SELECT * FROM t WHERE i = ?1 OR s LIKE ?3 OR b = ?4",
            values(),
        ),
        request(
            8,
            "query",
            "SELECT 1; DELETE FROM o WHERE i = ?",
            [Value::Integer(1)],
        ),
        request(9, "reset", "", ()),
        request(10, "stats", "", ()),
        request(11, "attach", "", ()),
    ];
    let mut answered = 0;
    fuzz("requests", &seeds, mutate_bytes, |input| {
        let has = |part: &[u8]| input.windows(part.len()).any(|window| window == part);
        // A piece is one of several.
        if UNTRIED.iter().any(|op| has(op)) || input.first() == Some(&PIECE) {
            return Ok(());
        }
        let errors = ask(input);
        answered += u64::from(errors.is_empty());
        match errors
            .iter()
            .find(|(code, _)| matches!(&code[..], "ENGINE_FAILED" | "CORRUPT"))
        {
            Some(defect) => Err(format!("{defect:?}")),
            None => Ok(()),
        }
    });
    // They are not all refused at the door.
    assert!(answered > 50, "{answered}");
    asking.close();
    serving.join().unwrap();
}

/// Whatever happens to the files of a database: the rows that were there, or an error. SQLite's own WALs are not among them: see docs/tonbo.md,
/// "Damage that nobody notices".
#[test]
fn a_stored_file_may_be_anything() {
    let io = Arc::new(MemoryIo::new());
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    let connection = database.connect();
    prepare(&connection);
    database.flush();
    connection.run("DELETE FROM items WHERE id % 10 = 0; UPDATE pairs SET b = x'77'");
    database.flush();
    connection.run("INSERT INTO items VALUES (2000, 'late', 0)");
    mover::round(&database.store).unwrap();
    connection.run("INSERT INTO items VALUES (2001, 'later', 0)");
    const QUERY: &str = "SELECT id, name, price FROM items UNION ALL SELECT n, k, b FROM pairs";
    let expected = connection.rows(QUERY);
    drop(connection);
    drop(database);
    let files = copy_of(&*io);
    let paths: Vec<&String> = files
        .keys()
        .filter(|path| !path.ends_with("-wal"))
        .collect();
    // The input is the path's number, and behind it the file.
    let seeds: Vec<Vec<u8>> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| [&[number as u8][..], &files[*path]].concat())
        .collect();
    let mutate = |random: &mut random::Random, seeds: &[Vec<u8>]| {
        let number = random.below(seeds.len());
        let bodies: Vec<Vec<u8>> = vec![seeds[number][1..].to_vec()];
        let mut body = mutate_bytes(random, &bodies);
        if paths[number].ends_with(".tonwal") {
            // The last frame of Tonbo's log can't be told from a torn one.
            let kept = body.len().saturating_sub(64);
            let from = bodies[0].len().saturating_sub(64);
            body.truncate(kept);
            body.extend_from_slice(&bodies[0][from..]);
        }
        [vec![number as u8], body].concat()
    };
    fuzz("stored files", &seeds, mutate, |input| {
        let (number, body) = input.split_first().ok_or("no file is named")?;
        let path = paths[usize::from(*number) % paths.len()];
        let mut files = files.clone();
        files.insert(path.clone(), body.to_vec());
        let outcome = Database::try_on(disk_of(&files)).and_then(|database| {
            let rows = database.try_connect()?.try_rows(QUERY);
            drop(database.store.close());
            rows
        });
        match outcome {
            Ok(rows) if rows == expected => Ok(()),
            Ok(rows) => Err(format!(
                "{path}: {} rows instead of {}",
                rows.len(),
                expected.len()
            )),
            Err(error) if error.code == StoreErrorCode::EngineFailed => {
                Err(format!("{path}: {error:?}"))
            }
            Err(_) => Ok(()),
        }
    });
}
