//! What Tonbo keeps in memory and in its log until it is written to files: bounded in rows and in bytes, over many sessions, and in time before the
//! next write.

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use engine::{Connection, Database};
use heddle_store::commit::mover;
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::key::{Key, encode_integer};
use heddle_store::store::StoreOptions;
use heddle_store::table::Table;
use heddle_store::table::rows::to_batch;
use heddle_store::table::unflushed::{REPLAY_ROWS, REPLAY_SIZE, size_of};
use heddle_store::value::{Row, Value};
use parquet::arrow::ArrowWriter;

/// Each session's rows.
const SESSION_ROWS: i64 = 50;

/// A database without a thread of its own: what a session leaves is told by how it ends alone.
fn open(io: &SharedIo) -> Database {
    let options = StoreOptions {
        moves_in_background: false,
        ..StoreOptions::default()
    };
    Database::open(io.clone(), &options).unwrap()
}

fn table(database: &Database) -> Arc<Table> {
    let published = database.store.sequencer.published();
    published.tables.values().next().unwrap().table.clone()
}

fn log_size(database: &Database) -> u64 {
    let files = database.io.list("").unwrap();
    let logs = files.iter().filter(|(path, _)| path.ends_with(".tonwal"));
    logs.map(|(_, size)| size).sum()
}

/// A session counted its own rows alone. Each left fewer than a close writes to a file, and replayed what all those before had left: Tonbo's log,
/// its memory, and the time of opening grew without end.
#[test]
fn many_short_sessions_leave_a_bounded_log() {
    const SESSIONS: i64 = 200;
    let io: SharedIo = Arc::new(MemoryIo::new());
    let database = open(&io);
    database
        .connect()
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT)");
    database.store.close().unwrap();
    drop(database);
    for session in 0..SESSIONS {
        let database = open(&io);
        let replayed = table(&database).unflushed.rows();
        assert!(
            replayed <= REPLAY_ROWS + SESSION_ROWS as usize,
            "session {session} replayed {replayed} rows"
        );
        let size = log_size(&database);
        assert!(size < REPLAY_SIZE as u64 / 4, "session {session}: {size}");
        // As the mover does first.
        mover::round(&database.store).unwrap();
        database.connect().run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n LIMIT {SESSION_ROWS})
             INSERT INTO t SELECT i, 'text of ' || i FROM n",
            session * SESSION_ROWS
        ));
        // Every other one ends as a process does that is killed, with its rows in Tonbo's log.
        mover::round(&database.store).unwrap();
        if session % 2 == 0 {
            database.store.close().unwrap();
        }
    }
    let database = open(&io);
    assert_eq!(
        database
            .connect()
            .integers("SELECT count(*) FROM t WHERE text = 'text of ' || id"),
        [SESSIONS * SESSION_ROWS]
    );
}

/// As above, with none that closes: only openings can write what was left to a file.
#[test]
fn sessions_that_are_killed_leave_a_bounded_log() {
    let io: SharedIo = Arc::new(MemoryIo::new());
    for session in 0..4 {
        let database = open(&io);
        let connection = database.connect();
        if session == 0 {
            connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT)");
        } else {
            assert_eq!(table(&database).unflushed.rows(), REPLAY_ROWS);
            mover::round(&database.store).unwrap();
            assert_eq!(table(&database).unflushed.rows(), 0);
        }
        connection.run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n LIMIT {REPLAY_ROWS})
             INSERT INTO t SELECT i, 'text' FROM n",
            session * REPLAY_ROWS
        ));
        mover::round(&database.store).unwrap();
    }
}

#[test]
fn what_a_batch_takes_is_known_before_it_is_written() {
    let database = open(&(Arc::new(MemoryIo::new()) as SharedIo));
    database
        .connect()
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, text TEXT, number REAL)");
    let table = table(&database);
    let rows: Vec<(Key, Option<Row>)> = (0..500)
        .map(|id| {
            let text = Value::Text("x".repeat(id as usize).into());
            let row: Row = vec![Value::Integer(id), text, Value::Real(0.5)].into();
            (
                Key::from(&encode_integer(id)[..]),
                (id % 7 > 0).then_some(row),
            )
        })
        .collect();
    let changes = rows.iter().map(|(key, row)| (key, row.as_ref()));
    let (batch, deletes) = to_batch(&table.schema, changes).unwrap();
    let expected = size_of(&batch);
    table.ingest(batch, deletes).unwrap();
    let size = table.unflushed.size();
    assert_eq!(table.unflushed.rows(), rows.len());
    assert!(
        size <= expected && size > expected / 10 * 9,
        "{size}, {expected}"
    );
    assert_eq!(database.store.unflushed.size(), size);
    table.flush().unwrap();
    assert_eq!(database.store.unflushed.size(), 0);
}

/// The memory that the databases below may take: the rows that wait for files get a quarter of it.
const MEMORY_SIZE: usize = 16 << 20;

/// Each row's text, and how many rows: several times what may wait.
const TEXT_SIZE: usize = 64 << 10;
const ROWS: i64 = 200;

/// Runs `work`, and looks all the time how many bytes of rows wait for files. Returns the most.
fn greatest_size(database: &Database, work: impl FnOnce(&Connection)) -> usize {
    let (is_done, greatest) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                greatest.fetch_max(database.store.unflushed.size(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        // The watcher ends whatever comes of the work.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            work(&database.connect());
            mover::round(&database.store).unwrap();
        }));
        is_done.store(true, Ordering::SeqCst);
        outcome.unwrap();
    });
    greatest.into_inner()
}

/// As a file: numbers, and texts of which few are unlike each other, so that the file is small.
fn file() -> Bytes {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let texts = (0..ROWS).map(|id| format!("{}", id % 10).repeat(TEXT_SIZE));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

/// Only rows were counted, 131,072 a table: rows of 64 KiB filled the whole memory before they were written to any file.
#[test]
fn large_rows_are_written_to_files_before_they_fill_the_memory() {
    let options = StoreOptions {
        memory_size: MEMORY_SIZE,
        ..StoreOptions::default()
    };
    let database = Database::open(Arc::new(MemoryIo::new()), &options).unwrap();
    let budget = database.store.unflushed.clone();
    // A row in two forms, and the piece of an index that is being built.
    let size_max = budget.size_max() + (2 << 20);
    assert!(size_max < ROWS as usize * TEXT_SIZE / 2);
    let declared = "(id INTEGER PRIMARY KEY, text TEXT)";
    let holds = |what: &str, work: &dyn Fn(&Connection)| {
        let greatest = greatest_size(&database, work);
        assert!(greatest <= size_max, "{what}: {greatest} of {size_max}");
        assert!(greatest > 0, "{what}: nothing waited");
    };
    holds("INSERT", &|connection| {
        connection.run(&format!("CREATE VIRTUAL TABLE t USING tonbo{declared}"));
        for first in (0..ROWS).step_by(20) {
            connection.run(&format!(
                "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n LIMIT 20)
                 INSERT INTO t SELECT i, hex(zeroblob({TEXT_SIZE} / 2)) FROM n"
            ));
        }
    });
    holds("UPDATE", &|connection| {
        for first in (0..ROWS).step_by(20) {
            connection.run(&format!(
                "UPDATE t SET text = replace(text, '0', id % 10) WHERE id >= {first} AND id < {first} + 20"
            ));
        }
    });
    holds("import", &|connection| {
        let options = ImportOptions {
            table: "imported".into(),
            ..ImportOptions::default()
        };
        connection.run(&format!(
            "CREATE VIRTUAL TABLE imported USING tonbo{declared}"
        ));
        let rows = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap();
        assert_eq!(rows, ROWS as u64);
    });
    holds("CREATE INDEX", &|connection| {
        connection.run("CREATE INDEX t_text ON t(text)");
    });
    holds("import with an index", &|connection| {
        connection.run(&format!(
            "CREATE VIRTUAL TABLE indexed USING tonbo{declared}; CREATE INDEX indexed_text ON indexed(text)"
        ));
        let options = ImportOptions {
            table: "indexed".into(),
            ..ImportOptions::default()
        };
        import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap();
    });
    let check = |database: &Database| {
        let connection = database.connect();
        for table in ["t", "imported", "indexed"] {
            let right = format!(
                "SELECT count(*) FROM {table} WHERE length(text) = {TEXT_SIZE} AND text = replace(hex(zeroblob({TEXT_SIZE} / 2)), '0', id % 10)"
            );
            assert_eq!(connection.integers(&right), [ROWS], "{table}");
        }
        for table in ["t", "indexed"] {
            let found = format!("SELECT count(*) FROM {table} WHERE text >= '3' AND text < '4'");
            assert_eq!(connection.integers(&found), [ROWS / 10], "{table}");
        }
    };
    check(&database);
    let database = database.reopen();
    check(&database);
}
