//! Many connections at once: what they commit together is synced together, and 64 of them read and write without an error but those that ask to
//! try again.

mod engine;
mod random;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use engine::faults::{Fault, FaultyIo, Kind};
use engine::{Connection, Database};
use heddle_store::activity::Activity;
use heddle_store::commit::changes::Changes;
use heddle_store::commit::sequencer::Claim;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{IoErrorCode, MemoryIo, PowerLossIo};
use heddle_store::parameters::Parameters;
use heddle_store::session::{Session, Sink};
use heddle_store::statement::Statement;
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

/// What a Tonbo table and an ordinary one have.
fn in_both(connection: &Connection) -> (Vec<i64>, Vec<i64>) {
    (
        connection.integers("SELECT id FROM t"),
        connection.integers("SELECT n FROM o"),
    )
}

/// Runs a statement on a connection of its own, and fails where that waits for others.
fn run_beside(database: &Database, sql: &str) -> Connection {
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            let connection = database.connect();
            connection.run(sql);
            tell.send(()).unwrap();
        });
        if told.recv_timeout(Duration::from_secs(10)).is_err() {
            // The scope would wait for it as long.
            eprintln!("{sql} waits for a commit that was refused");
            std::process::abort();
        }
    });
    database.connect()
}

/// SQLite has called xSync, and keeps the transaction open where an attached file that others read then refuses its COMMIT: its number was given
/// out, so that all who wrote Tonbo tables waited; and what it wrote from there on was acknowledged, and lost.
#[test]
fn a_commit_that_an_attached_file_refuses_is_rolled_back() {
    for (begin, end) in [
        ("BEGIN", "COMMIT"),
        ("BEGIN IMMEDIATE", "END TRANSACTION"),
        ("SAVEPOINT s", "RELEASE s"),
    ] {
        for writes in [
            "INSERT INTO own.x VALUES (2); INSERT INTO t VALUES (1, 1)",
            "INSERT INTO own.x VALUES (2); INSERT INTO t VALUES (1, 1); INSERT INTO o VALUES (1)",
            // No Tonbo table: the same is told, and so it is the same.
            "INSERT INTO own.x VALUES (2); INSERT INTO o VALUES (1)",
        ] {
            let database = Database::new();
            let (writer, reader) = (database.connect(), database.connect());
            writer.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE o(n)");
            for connection in [&writer, &reader] {
                connection.run("ATTACH 'own.db' AS own; PRAGMA busy_timeout = 20");
            }
            writer.run("CREATE TABLE own.x(a); INSERT INTO own.x VALUES (1)");
            reader.run("BEGIN; SELECT * FROM own.x");
            writer.run(&format!("{begin}; {writes}"));
            let error = writer.fails(end);
            let told = format!("{end} after {writes}: {error:?}");
            assert_eq!(error.code, StoreErrorCode::Conflict, "{told}");
            assert!(error.message.contains("attached file"), "{told}");
            assert!(error.message.contains("rolled back"), "{told}");
            assert!(!writer.0.is_in_transaction(), "{told}");
            let other = run_beside(&database, "INSERT INTO t VALUES (2, 2)");
            writer.run("INSERT INTO t VALUES (7, 7)");
            reader.run("COMMIT");
            for connection in [&writer, &reader, &other] {
                assert_eq!(in_both(connection), (vec![2, 7], vec![]), "{told}");
            }
            assert_eq!(writer.integers("SELECT a FROM own.x"), [1], "{told}");
            // Nobody is in the way any more.
            writer.run(&format!("{begin}; {writes}; {end}"));
            let expected = in_both(&writer);
            drop((writer, reader, other));
            let connection = database.reopen().connect();
            assert_eq!(in_both(&connection), expected, "{told}");
            connection.run("ATTACH 'own.db' AS own");
            assert_eq!(connection.integers("SELECT a FROM own.x"), [1, 2]);
        }
    }
}

/// It was told as busy with an attached file, too. And with a `busy_timeout` of the user's it heeded no interrupt, while all who wrote Tonbo tables
/// waited for it.
#[test]
fn a_commit_that_waits_for_an_attached_file_is_interrupted() {
    for timeout_ms in [0, 600_000] {
        let database = Database::new();
        let activity = Arc::new(Activity::default());
        let writer = Session::open(&database.store, activity.clone()).unwrap();
        let (writer, reader) = (Connection(writer), database.connect());
        for connection in [&writer, &reader] {
            connection.run("ATTACH 'own.db' AS own");
        }
        writer.run(
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY);
             CREATE TABLE own.x(a); INSERT INTO own.x VALUES (1)",
        );
        if timeout_ms > 0 {
            writer.run(&format!("PRAGMA busy_timeout = {timeout_ms}"));
        }
        reader.run("BEGIN; SELECT * FROM own.x");
        writer.run("BEGIN; INSERT INTO own.x VALUES (2); INSERT INTO t VALUES (1)");
        activity.begin(1);
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                activity.cancel.store(1, Ordering::Relaxed);
            });
            writer.fails("COMMIT")
        });
        activity.begin(2);
        assert_eq!(error.code, StoreErrorCode::Interrupted, "{error:?}");
        assert!(!error.message.contains("attached"), "{error:?}");
        assert!(!writer.0.is_in_transaction());
        run_beside(&database, "INSERT INTO t VALUES (2)");
        assert_eq!(writer.integers("PRAGMA busy_timeout"), [timeout_ms]);
        assert_eq!(writer.integers("SELECT id FROM t"), [2]);
    }
}

/// All who write Tonbo tables wait for it: so a `busy_timeout` of the user's, of ten minutes here, is cut short.
#[test]
fn a_commit_gives_up_an_attached_file_while_others_wait() {
    let database = Database::new();
    let (writer, reader) = (database.connect(), database.connect());
    for connection in [&writer, &reader] {
        connection.run("ATTACH 'own.db' AS own; PRAGMA busy_timeout = 600000");
    }
    writer.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY);
         CREATE TABLE own.x(a); INSERT INTO own.x VALUES (1)",
    );
    reader.run("BEGIN; SELECT * FROM own.x");
    writer.run("BEGIN; INSERT INTO own.x VALUES (2); INSERT INTO t VALUES (1)");
    let error = writer.fails("COMMIT");
    assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
    assert!(error.message.contains("attached file"), "{error:?}");
    assert_eq!(writer.integers("PRAGMA busy_timeout"), [600_000]);
    run_beside(&database, "INSERT INTO t VALUES (2)");
    assert_eq!(writer.integers("SELECT id FROM t"), [2]);
    assert_eq!(writer.integers("SELECT a FROM own.x"), [1]);
}

/// A statement that is a transaction of its own is rolled back by SQLite.
#[test]
fn a_statement_that_an_attached_file_refuses_leaves_nothing() {
    let database = Database::new();
    let (writer, reader) = (database.connect(), database.connect());
    writer.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
    for connection in [&writer, &reader] {
        connection.run("ATTACH 'own.db' AS own; PRAGMA busy_timeout = 20");
    }
    writer.run(
        "CREATE TABLE own.x(a); INSERT INTO own.x VALUES (1);
         CREATE TEMP TRIGGER both AFTER INSERT ON own.x BEGIN INSERT INTO t VALUES (new.a); END",
    );
    reader.run("BEGIN; SELECT * FROM own.x");
    let error = writer.fails("INSERT INTO own.x VALUES (2)");
    assert_eq!(error.code, StoreErrorCode::Busy, "{error:?}");
    let other = run_beside(&database, "INSERT INTO t VALUES (5)");
    reader.run("COMMIT");
    writer.run("INSERT INTO own.x VALUES (3)");
    assert_eq!(other.integers("SELECT id FROM t"), [3, 5]);
    assert_eq!(writer.integers("SELECT a FROM own.x"), [1, 3]);
}

/// SQLite commits `main` first. It had the number of a commit that was taken back, since an attached file failed behind it: who read that waited a
/// minute, and was told that the engine had failed.
#[test]
fn a_commit_that_fails_in_an_attached_file_is_whole_in_the_store() {
    for (kind, path) in [
        (Kind::Sync, "own.db-journal"),
        (Kind::Write, "own.db"),
        (Kind::Sync, "own.db"),
        (Kind::Remove, "own.db-journal"),
    ] {
        for first in 1..=3 {
            for (begin, end) in [("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s")] {
                let io = FaultyIo::new(Arc::new(MemoryIo::new()));
                let database = Database::on(io.clone());
                let writer = database.connect();
                writer.run(
                    "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE o(n);
                     ATTACH 'own.db' AS own; CREATE TABLE own.x(a)",
                );
                let all = "INSERT INTO own.x VALUES (1); INSERT INTO t VALUES (1); INSERT INTO o VALUES (1)";
                writer.run(&format!("{begin}; {all}"));
                io.inject(Fault {
                    kind: Some(kind),
                    path,
                    first,
                    length: 1,
                    code: IoErrorCode::NoSpace,
                    is_torn: false,
                    is_panic: false,
                });
                let outcome = writer.try_rows(end);
                let told = format!("{kind:?} {path} {first}, {end}: {outcome:?}");
                assert!(!io.hits().is_empty() || first > 1, "{told}");
                io.lift();
                assert!(!writer.0.is_in_transaction(), "{told}");
                let other = run_beside(
                    &database,
                    "INSERT INTO t VALUES (2); INSERT INTO o VALUES (2)",
                );
                let (in_t, in_o) = in_both(&other);
                assert_eq!(in_t, in_o, "{told}");
                assert!(outcome.is_err() || in_t == [1, 2], "{told}");
                assert_eq!(in_both(&writer), (in_t.clone(), in_o.clone()), "{told}");
                drop((writer, other));
                let connection = database.reopen().connect();
                assert_eq!(in_both(&connection), (in_t, in_o), "{told}");
            }
        }
    }
}

/// Where `main` could not be read then, the number was held until the connection's next statement: all who wrote Tonbo tables waited for it, and for
/// ever where the connection was done. And where it went, a commit was voided that stood.
#[test]
fn a_commit_of_which_nothing_is_known_is_settled_though_its_connection_idles() {
    for is_gone in [false, true] {
        for first in 1..=24 {
            let io = FaultyIo::new(Arc::new(MemoryIo::new()));
            let database = Database::on(io.clone());
            let writer = database.connect();
            writer.run(
                "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE o(n);
                 ATTACH 'own.db' AS own; CREATE TABLE own.x(a); PRAGMA main.cache_size = 0",
            );
            writer.run("BEGIN; INSERT INTO own.x VALUES (1); INSERT INTO t VALUES (1); INSERT INTO o VALUES (1)");
            io.inject(Fault {
                kind: None,
                path: "",
                first,
                length: u64::MAX,
                code: IoErrorCode::Other,
                is_torn: false,
                is_panic: false,
            });
            let outcome = writer.try_rows("COMMIT");
            let told = format!("{first}, {is_gone}: {outcome:?}, {:?}", io.hits());
            let writer = (!is_gone).then_some(writer);
            io.lift();
            let other = run_beside(
                &database,
                "INSERT INTO t VALUES (2); INSERT INTO o VALUES (2)",
            );
            let (in_t, in_o) = in_both(&other);
            assert_eq!(in_t, in_o, "{told}");
            assert!(outcome.is_err() || in_t == [1, 2], "{told}");
            drop((writer, other));
            let connection = database.reopen().connect();
            assert_eq!(in_both(&connection), (in_t, in_o), "{told}");
        }
    }
}

/// An attached file refused a COMMIT on a full disk, which had no room either to take its changes to Tonbo tables back from the log: they were not
/// there, until the next opening.
#[test]
fn a_commit_that_was_taken_back_on_a_full_disk_does_not_come_back() {
    let mut refused = 0;
    for first in 1..=12 {
        let io = FaultyIo::new(Arc::new(MemoryIo::new()));
        let database = Database::on(io.clone());
        let writer = database.connect();
        writer.run(
            "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY);
             ATTACH 'own.db' AS own; CREATE TABLE own.x(a)",
        );
        database.flush();
        writer.run("BEGIN; INSERT INTO own.x VALUES (1); INSERT INTO t VALUES (1)");
        io.inject(Fault {
            kind: Some(Kind::Write),
            path: "",
            first,
            length: u64::MAX,
            code: IoErrorCode::NoSpace,
            is_torn: false,
            is_panic: false,
        });
        let outcome = writer.try_rows("COMMIT");
        let told = format!("{first}: {outcome:?}, {:?}", io.hits());
        refused += u32::from(outcome.is_err());
        io.lift();
        let in_t = writer.integers("SELECT id FROM t");
        assert!(outcome.is_err() || in_t == [1], "{told}");
        drop(writer);
        let connection = database.reopen().connect();
        assert_eq!(connection.integers("SELECT id FROM t"), in_t, "{told}");
    }
    assert!(refused > 1);
}

/// A reader's rows, until there is no memory for one.
struct Panicking;

impl Sink for Panicking {
    fn columns(&mut self, _names: Vec<String>) -> Result<(), StoreError> {
        Ok(())
    }
    fn row(&mut self, _statement: &Statement) -> Result<(), StoreError> {
        panic!("no memory")
    }
}

/// What a statement saw that had panicked behind SQLite's back was what the next one of its connection saw, whatever others had committed.
#[test]
fn a_panic_ends_what_its_statement_saw() {
    let database = Database::new();
    let (reader, writer) = (database.connect(), database.connect());
    writer.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)",
    );
    let read = || {
        reader
            .0
            .run("SELECT id FROM t", &Parameters::none(), &mut Panicking)
    };
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    writer.run("INSERT INTO t VALUES (2)");
    assert_eq!(reader.integers("SELECT id FROM t"), [1, 2]);
    reader.run("UPDATE t SET id = id + 10");
    assert_eq!(writer.integers("SELECT id FROM t"), [11, 12]);
}

/// Claims of which one is met with a panic, as where memory is refused.
fn claims_until(claims: &[Claim], left: i32) -> impl Iterator<Item = &Claim> + Clone {
    let left = Rc::new(Cell::new(left));
    claims.iter().inspect(move |_| {
        left.set(left.get() - 1);
        assert!(left.get() >= 0, "no memory");
    })
}

/// A panic behind a number left it given out, and all who committed to Tonbo tables waited for it.
#[test]
fn a_number_that_was_given_out_in_vain_is_waited_for_by_nobody() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
    let sequencer = &database.store.sequencer;
    let claims = [Claim {
        table: connection.0.table("t").unwrap().unwrap(),
        has_built: false,
        holds_gate: false,
    }];
    let mut refused = 0;
    for left in 0.. {
        let snapshot = sequencer.snapshot(sequencer.published().mixed).unwrap();
        let reserve = || {
            let claims = claims_until(&claims, left);
            sequencer.reserve(&snapshot, &Changes::default(), claims)
        };
        let outcome = catch_unwind(AssertUnwindSafe(reserve));
        let is_over = outcome.is_ok();
        drop(outcome);
        run_beside(&database, &format!("INSERT INTO t VALUES ({left})"));
        if is_over {
            break;
        }
        refused += 1;
    }
    assert!(refused > 1, "one before the number, and one behind it");
}

/// A commit that was durable and got no memory to be shown was acknowledged, seen by nobody, and then trimmed from the logs.
#[test]
fn a_commit_that_could_not_be_shown_is_shown_when_it_can() {
    let database = Database::new();
    let sequencer = &database.store.sequencer;
    for is_mixed in [false, true] {
        let before = sequencer.published();
        let mut reservation = sequencer.reserve_import();
        let sequence = reservation.sequence();
        let refused = catch_unwind(AssertUnwindSafe(|| {
            reservation.publish(is_mixed, |published| {
                published.tables.clear();
                panic!("no memory")
            });
        }));
        assert!(refused.is_err());
        assert!(Arc::ptr_eq(&before, &sequencer.published()));
        assert!(reservation.is_next(), "its number was taken back");
        reservation.publish(is_mixed, |_| {});
        assert_eq!(sequencer.published().sequence, sequence);
    }
}

/// A value that the background drops, and for which there is no memory.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("no memory")
    }
}

/// The background's thread ended with a panic in what it dropped for others, or in what told of a panic: whoever had something written to files
/// waited for ever from then on, and in the end whoever committed.
#[test]
fn the_background_goes_on_after_a_panic() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
    database.store.discard(Box::new(PanicsWhenDropped));
    std::thread::sleep(Duration::from_millis(300));
    run_beside(
        &database,
        "INSERT INTO t VALUES (1); PRAGMA wal_checkpoint(FULL)",
    );
    assert_eq!(database.store.figures()["deltaRows"], 0.0);
    // What was sent together with it may be lost, and is told then.
    for id in 2..10 {
        database.store.discard(Box::new(PanicsWhenDropped));
        let written = std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let store = &database.store;
            scope.spawn(move || tell.send(store.write_files()).unwrap());
            told.recv_timeout(Duration::from_secs(10))
                .unwrap_or_else(|_| {
                    // The scope would wait for it as long.
                    eprintln!("who has files written waits for a thread that has ended");
                    std::process::abort();
                })
        });
        if let Err(error) = written {
            assert_eq!(error.code, StoreErrorCode::EngineFailed, "{error:?}");
        }
        connection.run(&format!("INSERT INTO t VALUES ({id})"));
    }
    drop(connection);
    let connection = database.reopen().connect();
    assert_eq!(connection.integers("SELECT count(*) FROM t"), [9]);
}

/// SQLite rolls back what fails at a COMMIT. Behind a RELEASE it left a transaction open without its changes, in which later ones were never
/// committed though each RELEASE of a savepoint by the same name was acknowledged.
#[test]
fn a_transaction_that_comes_second_is_over() {
    for (begin, end) in [("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s")] {
        for others in ["INSERT INTO t VALUES (1, 1)", "DROP TABLE t"] {
            let database = Database::new();
            let (a, b) = (database.connect(), database.connect());
            a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE o(n)");
            b.run(&format!("{begin}; INSERT INTO t VALUES (1, 2)"));
            a.run(others);
            let error = b.fails(end);
            let told = format!("{others}, {end}: {error:?}");
            assert_eq!(error.code, StoreErrorCode::Conflict, "{told}");
            assert!(error.message.contains("rolled back"), "{told}");
            assert!(!b.0.is_in_transaction(), "{told}");
            assert!(
                b.fails("ROLLBACK")
                    .message
                    .contains("no transaction is active")
            );
            b.run("SAVEPOINT s; INSERT INTO o VALUES (5); RELEASE s");
            assert_eq!(a.integers("SELECT n FROM o"), [5], "{told}");
        }
    }
}

/// What Tonbo tables were is kept for the last 64 commits that wrote both kinds. A transaction asks for it when it reads its first one.
#[test]
fn a_transaction_reads_its_first_tonbo_table_within_64_commits_to_both_kinds() {
    let database = Database::new();
    let (a, b, c) = (database.connect(), database.connect(), database.connect());
    a.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE o(n INTEGER)");
    let commit = |count: i64| {
        for _ in 0..count {
            a.run("BEGIN; INSERT INTO o VALUES (1); INSERT INTO t(id) VALUES (NULL); COMMIT");
        }
    };
    let in_t = |connection: &Connection| connection.integers("SELECT count(*) FROM t");
    for reader in [&b, &c] {
        reader.run("BEGIN; SELECT count(*) FROM o");
    }
    commit(64);
    assert_eq!(in_t(&b), [0]);
    commit(1);
    let error = c.fails("SELECT count(*) FROM t");
    assert_eq!(error.code, StoreErrorCode::Conflict, "{error:?}");
    let told = "began too many commits ago to read its first Tonbo table now: roll back";
    assert!(error.message.contains(told), "{error:?}");
    // It may go on with the ordinary ones, and is ended as any other.
    assert_eq!(c.integers("SELECT count(*) FROM o"), [0]);
    c.run("ROLLBACK");
    assert_eq!(in_t(&c), [65]);
    // Who has read one keeps what it sees.
    commit(70);
    assert_eq!(
        (in_t(&b), b.integers("SELECT count(*) FROM o")),
        (vec![0], vec![0])
    );
    b.run("COMMIT");
    assert_eq!(in_t(&b), [135]);
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
