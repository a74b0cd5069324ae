//! A module for the tests of the I/O thread: what TypeScript calls on threads of the runtime, over the host's files.
//!
//! Each function panics where something is wrong, which reaches the test through `join`.
#![cfg(target_arch = "wasm32")]

#[path = "../tests/behaviour/mod.rs"]
mod behaviour;

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heddle_store::io::{HostIo, Io, OpenMode, SharedIo};
use heddle_store::sqlite::{self, OPEN_FLAGS, Vfs};
use heddle_thread::time::now_ms;
use rusqlite::Connection;

static VFS: OnceLock<Vfs> = OnceLock::new();
static WRITER_IS_DONE: AtomicBool = AtomicBool::new(false);

fn connect() -> Connection {
    let vfs = VFS.get_or_init(|| {
        let io: SharedIo = std::sync::Arc::new(HostIo::new());
        sqlite::register_vfs("host", io).unwrap()
    });
    let connection =
        Connection::open_with_flags_and_vfs("main.db", OPEN_FLAGS, vfs.name()).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        .unwrap();
    connection
}

/// Runs the behaviour of that number on an empty directory; false where there are no more.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_behaviour(number: u32) -> bool {
    let Some((name, behaviour)) = behaviour::ALL.get(number as usize) else {
        return false;
    };
    let io = HostIo::new();
    behaviour::clear(&io);
    if let Err(payload) = std::panic::catch_unwind(|| behaviour(&HostIo::new())) {
        eprintln!("{name} failed");
        std::panic::resume_unwind(payload);
    }
    behaviour::clear(&io);
    true
}

/// Creates the tables; the count of rows that were there already.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_prepare() -> u32 {
    let connection = connect();
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS pair (id INTEGER PRIMARY KEY, value INTEGER);
             INSERT OR IGNORE INTO pair VALUES (1, 0), (2, 0);
             CREATE TABLE IF NOT EXISTS history (value INTEGER, filler BLOB)",
        )
        .unwrap();
    connection
        .query_row("SELECT count(*) FROM history", [], |row| row.get(0))
        .unwrap()
}

/// Writes transactions that keep both pairs and the history equal.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_write(transactions: u32) {
    WRITER_IS_DONE.store(false, Ordering::Release);
    let writer = connect();
    writer
        .execute_batch("PRAGMA wal_autocheckpoint = 50")
        .unwrap();
    for _ in 0..transactions {
        writer
            .execute_batch(
                "BEGIN IMMEDIATE;
                 UPDATE pair SET value = value + 1 WHERE id = 1;
                 INSERT INTO history SELECT value, zeroblob(500) FROM pair WHERE id = 1;
                 UPDATE pair SET value = value + 1 WHERE id = 2;
                 COMMIT",
            )
            .unwrap();
    }
    WRITER_IS_DONE.store(true, Ordering::Release);
}

/// Reads until the writer is done, and at least a little; the count of snapshots, none of which was torn.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_read() -> u32 {
    let reader = connect();
    let mut statement = reader
        .prepare("SELECT min(value), max(value), (SELECT count(*) FROM history) FROM pair")
        .unwrap();
    let (mut count, mut newest) = (0, 0);
    while count < 20 || !WRITER_IS_DONE.load(Ordering::Acquire) {
        let (low, high, rows): (i64, i64, i64) = statement
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert!(low == high && high == rows, "torn: {low} {high} {rows}");
        assert!(low >= newest, "went back from {newest} to {low}");
        newest = low;
        count += 1;
    }
    count
}

/// Checks the database file, and that FTS5, JSON and the mathematical functions are there.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_check() {
    let connection = connect();
    let text = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(
        text("SELECT json_extract('{\"a\":[1,{\"b\":\"c\"}]}', '$.a[1].b')"),
        "c"
    );
    assert_eq!(
        text(
            "SELECT printf('%.6f', cos(pi()) + sqrt(2) + log2(10) + acosh(2) + atanh(0.5) + pow(2, 0.5))"
        ),
        "7.016619"
    );
    assert_eq!(
        text("SELECT (date('now') > '2020-01-01') || length(hex(randomblob(8)))"),
        "116"
    );
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE temp.doc USING fts5(body);
             INSERT INTO temp.doc VALUES ('warp and weft'), ('cloth')",
        )
        .unwrap();
    assert_eq!(
        text("SELECT body FROM temp.doc WHERE doc MATCH 'weft'"),
        "warp and weft"
    );
}

/// Microseconds for one operation: 0 a call without work (size), 1 reading 4 KiB, 2 writing 4 KiB, 3 writing 4 KiB and syncing.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn testing_measure(kind: u32, count: u32) -> f64 {
    let io = HostIo::new();
    let file = io.open("measure", OpenMode::OrCreate).unwrap();
    let mut page = vec![7; 4096];
    io.write_at(file, 0, &page).unwrap();
    let start = now_ms();
    for _ in 0..count {
        match kind {
            0 => drop(black_box(io.size(file).unwrap())),
            1 => drop(black_box(io.read_at(file, 0, &mut page).unwrap())),
            _ => io.write_at(file, 0, &page).unwrap(),
        }
        if kind == 3 {
            io.sync(file).unwrap();
        }
    }
    let elapsed_ms = now_ms() - start;
    io.close(file).unwrap();
    elapsed_ms * 1000.0 / f64::from(count)
}
