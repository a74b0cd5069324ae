//! Many connections at once: what they commit together is synced together, and 64 of them read and write without an error but those that ask to
//! try again.

mod engine;
mod random;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::faults::{FaultyIo, Kind};
use engine::{Connection, Database};
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::PowerLossIo;
use heddle_store::store::StoreOptions;
use random::Random;

/// Group commit, on a disk whose syncs take their time: those who come while one is under way share the next. Whenever the power fails, what was
/// acknowledged by then is there.
#[test]
fn commits_that_come_together_share_a_sync_and_are_all_durable() {
    const THREADS: i64 = 8;
    const COMMITS: i64 = 20;
    let disk = Arc::new(PowerLossIo::new());
    let io = FaultyIo::new(disk.clone());
    let options = StoreOptions {
        // Nothing syncs but commits.
        moves_in_background: false,
        ..StoreOptions::default()
    };
    let database = Database::open(io.clone(), &options).unwrap();
    database
        .connect()
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
    let syncs = || io.counts()[&Kind::Sync];
    let before = syncs();
    io.slow_down(Kind::Sync, Duration::from_millis(3));
    let acknowledged = Mutex::new(BTreeSet::new());
    let is_over = AtomicBool::new(false);
    let check = |seed: u64| {
        // In this order: what is acknowledged later may be on the disk or not.
        let expected = acknowledged.lock().unwrap().clone();
        let left = Database::open(Arc::new(disk.crash(seed)), &options).unwrap();
        let found = left.connect().integers("SELECT id FROM t");
        let found: BTreeSet<i64> = found.into_iter().collect();
        assert!(
            found.is_superset(&expected),
            "seed {seed}: {found:?} of {expected:?}"
        );
    };
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seed = 0;
            while !is_over.load(Ordering::Relaxed) {
                check(seed);
                seed += 1;
            }
            seed
        });
        let committing: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (database, acknowledged) = (&database, &acknowledged);
                scope.spawn(move || {
                    let connection = database.connect();
                    for commit in 0..COMMITS {
                        let id = thread * COMMITS + commit;
                        connection.run(&format!("INSERT INTO t VALUES ({id})"));
                        acknowledged.lock().unwrap().insert(id);
                    }
                })
            })
            .collect();
        for thread in committing {
            thread.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        let crashes = looking.join().unwrap();
        assert!(crashes > 0);
    });
    let commits = (THREADS * COMMITS) as u64;
    let syncs = syncs() - before;
    assert!(syncs < commits / 2, "{syncs} syncs for {commits} commits");
    assert_eq!(acknowledged.lock().unwrap().len() as u64, commits);
    (100..116).for_each(check);
    // One who comes alone syncs alone.
    let connection = database.connect();
    let before = io.counts()[&Kind::Sync];
    for id in 0..3 {
        connection.run(&format!("INSERT INTO t VALUES ({})", 1000 + id));
    }
    assert!(io.counts()[&Kind::Sync] - before >= 3);
}

/// More threads than any machine's processors, each with a connection: they move amounts between accounts of both kinds of table, and whoever
/// looks sees the same sum.
#[test]
fn sixty_four_connections_read_and_write_at_once() {
    const THREADS: i64 = 64;
    const TRANSFERS: i64 = 6;
    const ACCOUNTS: i64 = 200;
    const AMOUNT: i64 = 1000;
    const TOTAL: &str =
        "SELECT (SELECT sum(amount) FROM accounts) + (SELECT sum(amount) FROM purses)";
    let database = Database::new();
    let connection = database.connect();
    connection.run(&format!(
        "CREATE VIRTUAL TABLE accounts USING tonbo(id INTEGER PRIMARY KEY, amount INTEGER); CREATE TABLE purses(id INTEGER PRIMARY KEY, amount INTEGER);
         CREATE VIRTUAL TABLE transfers USING tonbo(id INTEGER PRIMARY KEY, thread INTEGER); CREATE INDEX by_thread ON transfers(thread);
         WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s LIMIT {ACCOUNTS}) INSERT INTO accounts SELECT i, {AMOUNT} FROM s;
         INSERT INTO purses SELECT id, amount FROM accounts"
    ));
    let sum = 2 * ACCOUNTS * AMOUNT;
    let retries = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (database, retries) = (&database, &retries);
            scope.spawn(move || {
                let connection = database.connect();
                let mut random = Random(thread as u64);
                for number in 0..TRANSFERS {
                    // Every fourth one moves between ordinary and Tonbo's rows, whose lock they take turns at.
                    let (source, target) = match random.below(4u64) {
                        0 => ("purses", "accounts"),
                        _ => ("accounts", "accounts"),
                    };
                    let (from, to) = (random.below(ACCOUNTS) + 1, random.below(ACCOUNTS) + 1);
                    let sql = format!(
                        "BEGIN; UPDATE {source} SET amount = amount - 1 WHERE id = {from}; UPDATE {target} SET amount = amount + 1 WHERE id = {to};
                         INSERT INTO transfers VALUES ({}, {thread}); COMMIT",
                        thread * TRANSFERS + number
                    );
                    retries.fetch_add(until_committed(&connection, &sql), Ordering::Relaxed);
                    assert_eq!(connection.integers(TOTAL), [sum]);
                    let own = format!("SELECT count(*) FROM transfers WHERE thread = {thread}");
                    assert_eq!(connection.integers(&own), [number + 1]);
                }
            });
        }
    });
    let check = |connection: &Connection| {
        assert_eq!(connection.integers(TOTAL), [sum]);
        let count = "SELECT count(*) FROM transfers";
        assert_eq!(connection.integers(count), [THREADS * TRANSFERS]);
        let answer = connection.rows("PRAGMA integrity_check");
        assert_eq!(
            answer,
            [vec![heddle_store::value::Value::Text("ok".into())]]
        );
    };
    check(&connection);
    drop(connection);
    check(&database.reopen().connect());
    eprintln!("{} attempts were repeated", retries.into_inner());
}

/// Tries a transaction until it is committed, and returns how often it had to be repeated: where another one wrote its rows first, or has the lock.
fn until_committed(connection: &Connection, sql: &str) -> u64 {
    let asks_to_repeat =
        |error: &StoreError| matches!(error.code, StoreErrorCode::Conflict | StoreErrorCode::Busy);
    (0..)
        .find(|_| match connection.try_rows(sql) {
            Ok(_) => true,
            Err(error) => {
                assert!(asks_to_repeat(&error), "{error:?}");
                connection.0.reset().unwrap();
                false
            }
        })
        .unwrap()
}
