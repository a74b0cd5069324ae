//! SQLite over our files: parallel connections, full disks, loss of power.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use heddle_store::io::{IoErrorCode, MemoryIo, NativeIo, PowerLossIo, SharedIo};
use heddle_store::sqlite::{self, OPEN_FLAGS, Vfs};
use rusqlite::{Connection, ErrorCode};

/// A VFS over `io` under a name of its own.
fn vfs(io: SharedIo) -> Vfs {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sqlite::register_vfs(&name, io).unwrap()
}

fn connect(vfs: &Vfs) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs("main.db", OPEN_FLAGS, vfs.name())?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    Ok(connection)
}

fn integrity(connection: &Connection) -> String {
    connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn the_build_has_what_the_store_promises() {
    let connection = Connection::open_in_memory().unwrap();
    sqlite::initialize().unwrap();
    let text = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(
        text("SELECT json_extract('{\"a\":[1,{\"b\":\"c\"}]}', '$.a[1].b')"),
        "c"
    );
    assert_eq!(text("SELECT printf('%.3f', cos(pi()) + sqrt(2))"), "0.414");
    connection
        .execute_batch("CREATE VIRTUAL TABLE doc USING fts5(body); INSERT INTO doc VALUES ('warp and weft'), ('cloth')")
        .unwrap();
    assert_eq!(
        text("SELECT body FROM doc WHERE doc MATCH 'weft'"),
        "warp and weft"
    );
    assert!(
        connection.prepare("SELECT \"no such column\"").is_err(),
        "double quotes are no strings"
    );
}

#[test]
fn wal_between_threads_shows_no_torn_snapshot() {
    const TRANSACTIONS: i64 = 1000;
    let directory = std::env::temp_dir().join(format!("heddle-sqlite-wal-{}", std::process::id()));
    let stores: [(&str, SharedIo); 2] = [
        ("memory", Arc::new(MemoryIo::new())),
        ("native", Arc::new(NativeIo::open(&directory).unwrap())),
    ];
    for (kind, io) in stores {
        let vfs = vfs(io);
        let connection = connect(&vfs).unwrap();
        // In WAL mode a commit without sync is as atomic; durability is tested below.
        connection
            .execute_batch("PRAGMA synchronous = NORMAL")
            .unwrap();
        connection
            .execute_batch(
                "CREATE TABLE pair (id INTEGER PRIMARY KEY, value INTEGER);
                 INSERT INTO pair VALUES (1, 0), (2, 0);
                 CREATE TABLE history (value INTEGER, filler BLOB)",
            )
            .unwrap();
        let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let reader = connect(&vfs).unwrap();
                    let mut statement = reader
                        .prepare("SELECT min(value), max(value), (SELECT count(*) FROM history) FROM pair")
                        .unwrap();
                    let mut newest = 0;
                    while !done.load(Ordering::Relaxed) {
                        let (low, high, count): (i64, i64, i64) = statement
                            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                            .unwrap();
                        assert!(low == high && high == count, "torn: {low} {high} {count}");
                        assert!(low >= newest, "went back from {newest} to {low}");
                        newest = low;
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let (vfs, done) = (&vfs, &done);
            scope.spawn(move || {
                let writer = connect(vfs).unwrap();
                writer
                    .execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 50")
                    .unwrap();
                for value in 1..=TRANSACTIONS {
                    writer
                        .execute_batch(&format!(
                            "BEGIN IMMEDIATE;
                             UPDATE pair SET value = {value} WHERE id = 1;
                             INSERT INTO history VALUES ({value}, zeroblob(500));
                             UPDATE pair SET value = {value} WHERE id = 2;
                             COMMIT"
                        ))
                        .unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        });
        assert!(
            reads.load(Ordering::Relaxed) > 100,
            "{kind}: the readers hardly ran"
        );
        assert_eq!(integrity(&connection), "ok", "{kind}");
        drop(connection);
        assert_eq!(vfs.open_file_count(), 0, "{kind}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn two_writers_wait_for_each_other() {
    let vfs = vfs(Arc::new(MemoryIo::new()));
    let connection = connect(&vfs).unwrap();
    connection
        .execute_batch("CREATE TABLE counter (value INTEGER); INSERT INTO counter VALUES (0)")
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let writer = connect(&vfs).unwrap();
                for _ in 0..100 {
                    writer
                        .execute_batch(
                            "BEGIN IMMEDIATE; UPDATE counter SET value = value + 1; COMMIT",
                        )
                        .unwrap();
                }
            });
        }
    });
    let value: i64 = connection
        .query_row("SELECT value FROM counter", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, 400);
}

#[test]
fn rollback_journals_work_as_well() {
    let vfs = vfs(Arc::new(MemoryIo::new()));
    let open = || {
        let connection =
            Connection::open_with_flags_and_vfs("old.db", OPEN_FLAGS, vfs.name()).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = DELETE")
            .unwrap();
        connection
    };
    let connection = open();
    connection
        .execute_batch("CREATE TABLE counter (value INTEGER); INSERT INTO counter VALUES (0)")
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let writer = open();
                for _ in 0..50 {
                    writer
                        .execute_batch(
                            "BEGIN IMMEDIATE; UPDATE counter SET value = value + 1; COMMIT",
                        )
                        .unwrap();
                }
                writer
                    .execute_batch("BEGIN IMMEDIATE; UPDATE counter SET value = -1; ROLLBACK")
                    .unwrap();
            });
        }
    });
    let value: i64 = connection
        .query_row("SELECT value FROM counter", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, 150);
    assert_eq!(integrity(&connection), "ok");
}

/// Writes rows 1, 2, 3 … one transaction each until the disk fails; returns how many commits were acknowledged.
fn write_history(io: &Arc<PowerLossIo>, transactions: i64) -> i64 {
    let vfs = vfs(io.clone());
    let mut acknowledged = 0;
    let outcome = (|| -> rusqlite::Result<()> {
        let connection = connect(&vfs)?;
        connection.execute_batch(
            "PRAGMA wal_autocheckpoint = 8; CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, twin INTEGER, filler BLOB)",
        )?;
        for id in 1..=transactions {
            connection.execute_batch(&format!(
                "BEGIN;
                 INSERT INTO history VALUES ({id}, {id}, randomblob({}));
                 UPDATE history SET twin = {id};
                 COMMIT",
                id * 97 % 5000
            ))?;
            acknowledged = id;
        }
        Ok(())
    })();
    assert!(outcome.is_ok() || io.is_cut(), "{outcome:?}");
    acknowledged
}

#[test]
fn a_loss_of_power_leaves_exactly_the_acknowledged_commits() {
    const TRANSACTIONS: i64 = 20;
    let whole = Arc::new(PowerLossIo::new());
    assert_eq!(write_history(&whole, TRANSACTIONS), TRANSACTIONS);
    let operation_count = whole.operation_count();
    assert!(operation_count > 100, "{operation_count}");
    for cut in 0..operation_count {
        let io = Arc::new(PowerLossIo::new());
        io.cut_after(cut);
        io.set_removals_may_return(cut % 2 == 0);
        let acknowledged = write_history(&io, TRANSACTIONS);
        for seed in [cut, cut + 1_000_000] {
            let vfs = vfs(Arc::new(io.crash(seed)));
            let connection = connect(&vfs).unwrap();
            assert_eq!(integrity(&connection), "ok", "cut after {cut}, seed {seed}");
            let exists: bool = connection
                .query_row(
                    "SELECT count(*) FROM sqlite_schema WHERE name = 'history'",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            if !exists {
                assert_eq!(
                    acknowledged, 0,
                    "cut after {cut}, seed {seed}: the table is gone"
                );
                continue;
            }
            let (count, low, high): (i64, Option<i64>, Option<i64>) = connection
                .query_row(
                    "SELECT count(*), min(twin), max(twin) FROM history",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap();
            // The commit that was cut may have become durable before it could be acknowledged.
            assert!(
                count == acknowledged || count == acknowledged + 1,
                "cut after {cut}, seed {seed}: {count} rows, {acknowledged} acknowledged"
            );
            assert!(
                low == high && low.unwrap_or(0) == count,
                "cut after {cut}, seed {seed}: half a transaction"
            );
        }
    }
}

#[test]
fn a_failed_call_loses_no_acknowledged_commit() {
    const TRANSACTIONS: i64 = 12;
    let whole = Arc::new(PowerLossIo::new());
    write_history(&whole, TRANSACTIONS);
    for number in 1..whole.operation_count() {
        let io = Arc::new(PowerLossIo::new());
        io.fail_at(number, IoErrorCode::Other);
        let vfs = vfs(io.clone());
        let Ok(connection) = connect(&vfs) else {
            continue;
        };
        let create = "CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, filler BLOB)";
        if connection.execute_batch(create).is_err() {
            connection.execute_batch(create).unwrap();
        }
        let mut acknowledged = Vec::new();
        for id in 1..=TRANSACTIONS {
            if connection
                .execute("INSERT INTO history VALUES (?, zeroblob(3000))", [id])
                .is_ok()
            {
                acknowledged.push(id);
            } else {
                assert!(sqlite::take_io_error().is_some(), "the cause is told");
            }
        }
        assert!(
            acknowledged.len() as i64 >= TRANSACTIONS - 1,
            "one failure, one victim at most: {acknowledged:?}"
        );
        let mut statement = connection
            .prepare("SELECT id FROM history ORDER BY id")
            .unwrap();
        let ids: Vec<i64> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(
            acknowledged.iter().all(|id| ids.contains(id)),
            "operation {number}: {acknowledged:?} vs {ids:?}"
        );
        drop(statement);
        assert_eq!(integrity(&connection), "ok", "operation {number}");
    }
}

#[test]
fn a_full_disk_is_told_and_the_database_stays_usable() {
    let io = Arc::new(PowerLossIo::new());
    let vfs = vfs(io.clone());
    let connection = connect(&vfs).unwrap();
    connection
        .execute_batch("CREATE TABLE filler (id INTEGER PRIMARY KEY, bytes BLOB)")
        .unwrap();
    connection
        .execute("INSERT INTO filler VALUES (1, zeroblob(1000))", [])
        .unwrap();
    io.set_capacity(Some(200_000));
    let mut acknowledged = 1;
    let error = loop {
        match connection.execute("INSERT INTO filler (bytes) VALUES (zeroblob(10000))", []) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull),
        "{error}"
    );
    assert_eq!(sqlite::take_io_error().unwrap().code, IoErrorCode::NoSpace);
    let count = |connection: &Connection| -> i64 {
        connection
            .query_row("SELECT count(*) FROM filler", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&connection), acknowledged);
    io.set_capacity(None);
    connection
        .execute("INSERT INTO filler (bytes) VALUES (zeroblob(10000))", [])
        .unwrap();
    assert_eq!(count(&connection), acknowledged + 1);
    assert_eq!(integrity(&connection), "ok");
}

#[test]
fn a_full_disk_under_one_connection_stops_no_other() {
    let io = Arc::new(PowerLossIo::new());
    let vfs = vfs(io.clone());
    let (one, two) = (connect(&vfs).unwrap(), connect(&vfs).unwrap());
    one.execute_batch("CREATE TABLE filler (id INTEGER PRIMARY KEY, bytes BLOB)")
        .unwrap();
    two.busy_timeout(Duration::ZERO).unwrap();
    io.set_capacity(Some(100_000));
    let mut id = 0;
    // In turn inside BEGIN … COMMIT, where it is the COMMIT that fails, and without.
    for round in 0..4 {
        let error = loop {
            id += 1;
            let insert = format!("INSERT INTO filler VALUES ({id}, zeroblob(9000))");
            let sql = if round % 2 == 0 {
                format!("BEGIN IMMEDIATE; {insert}; COMMIT")
            } else {
                insert
            };
            if let Err(error) = one.execute_batch(&sql) {
                break error;
            }
        };
        assert_eq!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull),
            "{error}"
        );
        if !one.is_autocommit() {
            one.execute_batch("ROLLBACK").unwrap();
        }
        let error = two
            .execute_batch("INSERT INTO filler (bytes) VALUES (zeroblob(90000))")
            .unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull),
            "not locked: {error}"
        );
        io.set_capacity(Some(300_000 * (round + 1)));
        two.execute(
            "INSERT INTO filler (id, bytes) VALUES (?, zeroblob(10))",
            [-id],
        )
        .unwrap();
    }
    assert_eq!(integrity(&two), "ok");
}

#[test]
fn attached_paths_stay_inside_the_store() {
    let vfs = vfs(Arc::new(MemoryIo::new()));
    let connection = connect(&vfs).unwrap();
    for path in ["/etc/passwd", "../outside.db", "a/../../outside.db"] {
        let error = connection.execute("ATTACH ? AS other", [path]).unwrap_err();
        assert_eq!(
            error.sqlite_error_code(),
            Some(ErrorCode::CannotOpen),
            "{path}: {error}"
        );
    }
    connection
        .execute_batch("ATTACH 'beside.db' AS other; CREATE TABLE other.t (x)")
        .unwrap();
}

#[test]
fn large_sorts_need_no_file() {
    let io = Arc::new(PowerLossIo::new());
    let vfs = vfs(io.clone());
    let connection = connect(&vfs).unwrap();
    let before = io.operation_count();
    let first: String = connection
        .query_row(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             SELECT hex(i * 7919 % 50021) || '-' || printf('%0200d', i) AS text FROM n ORDER BY text LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!(first.starts_with('3'), "{first}");
    assert_eq!(io.operation_count(), before);
}

#[test]
fn a_name_is_registered_once_and_free_after_the_drop() {
    let io: SharedIo = Arc::new(MemoryIo::new());
    let first = sqlite::register_vfs("once", io.clone()).unwrap();
    assert!(sqlite::register_vfs("once", io.clone()).is_err());
    // A connection outlives the registration.
    let connection = connect(&first).unwrap();
    drop(first);
    connection
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    let second = sqlite::register_vfs("once", io).unwrap();
    drop(connection);
    let value: i64 = connect(&second)
        .unwrap()
        .query_row("SELECT x FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(value, 1);
}
