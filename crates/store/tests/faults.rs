//! Faults of the files below: what was acknowledged stays, what was not is there whole or not at all, every error has a code that names the
//! fault, and as soon as the fault is over everything can be used again, without reopening.
//!
//! A history of statements is run again and again, each time with another call to the files failing: once, a few times, or until the fault
//! is lifted. After each statement that fails, the tables are read: they hold what they held before it, or what they hold after it, and from
//! then on they keep to that. Then the fault is lifted – or the power fails as well – and the statement is tried again.
//!
//! `HEDDLE_SEED=7 cargo test -p heddle-store --test faults` runs another sample, `HEDDLE_FAULTS=1000` a larger one, and
//! `HEDDLE_LONG_MINUTES=10` goes on that long, over every call of every kind.

mod engine;
mod random;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use engine::faults::{Fault, FaultyIo, Kind, PANIC_WORDS, copy_of, disk_of};
use engine::{Connection, Database, integer};
use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::io::{IoErrorCode, MemoryIo, PowerLossIo, SharedIo};
use heddle_store::table::unflushed::Due;
use random::Random;

/// Above this a run hangs.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Losses of power, each of which leaves something else of what was not synced.
const CRASHES: u64 = 32;

/// Rows of a batch of the imported file, and their count.
const BATCH_ROWS: i64 = 40;
const BATCHES: i64 = 3;

/// A step of the history.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Statements that take effect together, or not at all. Runs on SQLite alone, too, where it tells what is right.
    Sql(&'static str),
    /// The file into `imported`.
    Import,
    /// The deltas go to Tonbo.
    Move,
    /// All rows go to files, which are merged.
    Flush,
    /// SQLite's own log goes to its file, in this mode.
    Checkpoint(&'static str),
    /// Another connection goes on.
    Connect,
    /// The database is closed and opened again.
    Reopen,
}

use Step::*;

const HISTORY: &[Step] = &[
    Sql("CREATE VIRTUAL TABLE a USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)"),
    Sql(
        "BEGIN; CREATE VIRTUAL TABLE b USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO b VALUES (1, 1); INSERT INTO p VALUES (1, 1); COMMIT",
    ),
    Sql("CREATE VIRTUAL TABLE imported USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)"),
    Sql("BEGIN; INSERT INTO a VALUES (1, 10), (2, 20), (3, 30), (4, 40); COMMIT"),
    Sql("INSERT INTO p VALUES (2, 2), (3, 3)"),
    Move,
    Sql("BEGIN; UPDATE a SET n = n + 1; DELETE FROM a WHERE id = 2; INSERT INTO b VALUES (2, 2), (3, 3); COMMIT"),
    Sql("BEGIN; UPDATE a SET n = n + 1 WHERE id > 2; UPDATE p SET n = n * 10; INSERT INTO b VALUES (4, 4); COMMIT"),
    Flush,
    Import,
    Sql("BEGIN; DELETE FROM b WHERE id = 1; UPDATE b SET n = -n WHERE id = 3; COMMIT"),
    Move,
    Reopen,
    Sql("UPDATE a SET n = n + 100 WHERE id = 1"),
    Connect,
    Sql("BEGIN; INSERT INTO a VALUES (2, 222); DELETE FROM p WHERE id = 1; COMMIT"),
    Checkpoint("TRUNCATE"),
    Flush,
    Sql("DROP TABLE b"),
    Sql("CREATE VIRTUAL TABLE b USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)"),
    Sql("BEGIN; INSERT INTO b VALUES (7, 7); INSERT INTO p VALUES (7, 7); DELETE FROM a WHERE id = 4; COMMIT"),
    Move,
    Flush,
    Reopen,
    Sql("BEGIN; INSERT INTO a VALUES (9, 9); INSERT INTO b VALUES (9, 9); COMMIT"),
    Sql("CREATE INDEX IF NOT EXISTS a_n ON a(n)"),
    Sql("UPDATE a SET id = -id, n = n + 1 WHERE id <> 2"),
    Checkpoint("PASSIVE"),
    Sql("BEGIN; UPDATE p SET id = id + 100; UPDATE b SET id = id + 100; DELETE FROM a WHERE n < 100; COMMIT"),
    Flush,
    Sql("DELETE FROM a"),
];

/// All tables' rows.
type Tables = BTreeMap<String, BTreeMap<i64, i64>>;

fn file() -> Bytes {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
    for batch in 0..BATCHES {
        let column = Int64Array::from_value(batch, BATCH_ROWS as usize);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).unwrap();
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().unwrap().into()
}

/// What the tables hold after each step.
fn expectations() -> Vec<Tables> {
    let reference = rusqlite::Connection::open_in_memory().unwrap();
    let mut all = Vec::new();
    for step in HISTORY {
        match step {
            Sql(sql) => {
                let sql = sql
                    .replace("VIRTUAL TABLE", "TABLE")
                    .replace("USING tonbo", "");
                reference.execute_batch(&sql).unwrap();
            }
            Import => {
                for row in 0..BATCHES * BATCH_ROWS {
                    reference
                        .execute(
                            "INSERT INTO imported VALUES (?1, ?2)",
                            [row + 1, row / BATCH_ROWS],
                        )
                        .unwrap();
                }
            }
            Move | Flush | Checkpoint(_) | Connect | Reopen => {}
        }
        let mut names = reference
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .unwrap();
        let names: Vec<String> = names
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let mut tables = Tables::new();
        for name in names {
            let mut rows = reference
                .prepare(&format!("SELECT id, n FROM {name}"))
                .unwrap();
            let rows = rows
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            tables.insert(name, rows.map(Result::unwrap).collect());
        }
        all.push(tables);
    }
    all
}

fn read(connection: &Connection) -> Result<Tables, StoreError> {
    let mut tables = Tables::new();
    let names = connection.try_rows(
        "SELECT name FROM heddle_tables UNION SELECT name FROM sqlite_schema WHERE name = 'p' ORDER BY 1",
    )?;
    for name in names {
        let [heddle_store::value::Value::Text(name)] = &name[..] else {
            panic!("not a name: {name:?}");
        };
        let rows = connection.try_rows(&format!("SELECT id, n FROM {name}"))?;
        let rows = rows
            .iter()
            .map(|row| (integer(&row[0]), integer(&row[1])))
            .collect();
        tables.insert(name.to_string(), rows);
    }
    Ok(tables)
}

/// The database, its connection, and the files below.
struct Session {
    io: Arc<FaultyIo>,
    disk: Arc<PowerLossIo>,
    database: Option<Database>,
    connection: Option<Connection>,
    /// Batches whose import was acknowledged.
    batches: i64,
}

impl Session {
    fn on(disk: PowerLossIo) -> Session {
        let disk = Arc::new(disk);
        Session {
            io: FaultyIo::new(disk.clone()),
            disk,
            database: None,
            connection: None,
            batches: 0,
        }
    }

    /// The connection, opening what isn't open.
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        let database = match &mut self.database {
            Some(database) => database,
            empty => empty.insert(Database::try_on(self.io.clone() as SharedIo)?),
        };
        match &mut self.connection {
            Some(connection) => Ok(connection),
            empty => Ok(empty.insert(database.try_connect()?)),
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        match self.database.take() {
            Some(database) => database.store.close(),
            None => Ok(()),
        }
    }

    fn run(&mut self, step: Step) -> Result<(), StoreError> {
        as_served(|| self.run_step(step))
    }

    fn run_step(&mut self, step: Step) -> Result<(), StoreError> {
        if matches!(step, Reopen) {
            self.close()?;
        }
        if matches!(step, Connect) {
            self.connection = None;
        }
        let mut batches = 0;
        let connection = self.connection()?;
        let store = connection.0.store().clone();
        match step {
            Sql(sql) => drop(connection.try_rows(sql)?),
            Import => {
                connection.try_rows("DELETE FROM imported")?;
                let options = numbered("imported");
                let outcome = import::run(&connection.0, file(), &options, &mut |progress| {
                    batches = progress.rows as i64 / BATCH_ROWS;
                    Ok(())
                });
                self.batches = batches;
                outcome?;
            }
            Move => mover::round(&store)?,
            Flush => {
                mover::round(&store)?;
                let ids: Vec<_> = store.sequencer.published().tables.keys().copied().collect();
                for id in ids {
                    let _writing = store.mover.writing();
                    mover::write_files(&store, id, Due::Any)?;
                }
            }
            Checkpoint(mode) => {
                connection.try_rows(&format!("PRAGMA wal_checkpoint({mode})"))?;
            }
            Connect | Reopen => {}
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Tables, StoreError> {
        as_served(|| read(self.connection()?))
    }
}

/// What the service makes of a panic that comes through to a request.
fn as_served<T>(body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(StoreError::of_panic("the request", &*payload)))
}

/// Whether these are whole batches of the file, as many as were acknowledged or one more.
fn are_batches(rows: &BTreeMap<i64, i64>, acknowledged: i64) -> bool {
    let count = rows.len() as i64;
    count % BATCH_ROWS == 0
        && (acknowledged..=acknowledged + 1).contains(&(count / BATCH_ROWS))
        && (0..count).all(|row| rows.get(&(row + 1)) == Some(&(row / BATCH_ROWS)))
}

/// How the history meets its fault.
#[derive(Clone, Copy, Debug)]
struct Plan {
    fault: Fault,
    /// How often a step is tried before the fault is lifted.
    patience: u32,
    /// The power fails, too, with this seed.
    crash: Option<u64>,
}

/// Which of the two the tables hold; an import may also have got half-way, by whole batches.
fn side(step: Step, found: &Tables, before: &Tables, after: &Tables, batches: i64) -> Option<bool> {
    if found == after {
        return Some(true);
    }
    if found == before {
        return Some(false);
    }
    let mut others = found.clone();
    let imported = others.insert("imported".into(), before.get("imported")?.clone());
    (matches!(step, Import) && others == *before && are_batches(&imported?, batches))
        .then_some(false)
}

fn run(plan: Plan, expected: &[Tables]) {
    let mut session = Session::on(PowerLossIo::new());
    session.io.inject(plan.fault);
    let nothing = Tables::new();
    let allowed = |error: &StoreError, during: &str| {
        let codes = match plan.fault.is_panic {
            true => [StoreErrorCode::EngineFailed; 2],
            false => [plan.fault.code.into(), StoreErrorCode::IoError],
        };
        assert!(codes.contains(&error.code), "{during}: {error:?}");
        assert!(!error.message.contains(PANIC_WORDS), "{during}: {error:?}");
    };
    for (index, step) in HISTORY.iter().copied().enumerate() {
        let (before, after) = match index {
            0 => (&nothing, &expected[0]),
            _ => (&expected[index - 1], &expected[index]),
        };
        let mut tries = 0;
        loop {
            let outcome = session.run(step);
            tries += 1;
            let during = format!(
                "step {index} {step:?}, try {tries}, after {:?}",
                session.io.hits()
            );
            let Err(error) = outcome else {
                // Acknowledged: a fault that is still there may hide it, and no more than that.
                match session.read() {
                    Ok(found) => assert_eq!(&found, after, "{during}"),
                    Err(error) => {
                        allowed(&error, &during);
                        session.io.lift();
                        assert_eq!(&session.read().expect(&during), after, "{during}");
                    }
                }
                break;
            };
            assert!(
                !session.io.hits().is_empty(),
                "{during}: without a fault: {error:?}"
            );
            allowed(&error, &during);
            let mut seen = None;
            if let Some(connection) = &session.connection
                && let Err(error) = as_served(|| connection.0.reset())
            {
                allowed(&error, &during);
            }
            if let Ok(found) = session.read() {
                seen = side(step, &found, before, after, session.batches);
                assert!(
                    seen.is_some(),
                    "{during}: {error:?} left {found:?}, neither {before:?} nor {after:?}"
                );
            }
            if tries >= plan.patience {
                if let Some(seed) = plan.crash {
                    let disk = session.disk.crash(seed);
                    session.io.lift();
                    drop(session.close());
                    let batches = session.batches;
                    session = Session::on(disk);
                    session.batches = batches;
                    seen = seen.filter(|is_after| *is_after);
                }
                session.io.lift();
                if let Some(connection) = &session.connection {
                    connection.0.reset().expect(&during);
                }
                let found = session.read().unwrap_or_else(|error| {
                    panic!("{during}: the fault is over, and yet {error:?}")
                });
                let now = side(step, &found, before, after, session.batches);
                assert!(
                    now.is_some(),
                    "{during}: {error:?} left {found:?}, neither {before:?} nor {after:?}"
                );
                assert!(
                    seen.is_none() || seen == now,
                    "{during}: seen {seen:?}, now {now:?}"
                );
                seen = now;
            }
            if seen == Some(true) && before != after {
                break;
            }
            assert!(tries < plan.patience + 2, "{during}: still {error:?}");
        }
    }
    session.io.lift();
    let during = format!("at the end, after {:?}", session.io.hits());
    let last = expected.last().unwrap();
    assert_eq!(&session.read().expect(&during), last, "{during}");
    let store = session.connection().unwrap().0.store().clone();
    mover::round(&store).unwrap_or_else(|error| panic!("{during}: {error:?}"));
    assert_eq!(store.figures()["deltaRows"], 0.0, "{during}");
    drop(store);
    session.close().expect(&during);
    assert_eq!(&session.read().expect(&during), last, "{during}, reopened");
    session.close().expect(&during);
}

/// Runs `body` on a thread of its own and complains where it doesn't end, or where any thread panicked that no fault had told to.
fn watched<T: Send + 'static>(label: String, body: impl FnOnce() -> T + Send + 'static) -> T {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_asked_for =
                (info.payload_as_str()).is_some_and(|words| words.starts_with(PANIC_WORDS));
            if !is_asked_for {
                PANICS.fetch_add(1, Ordering::SeqCst);
                others(info);
            }
        }));
    });
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(RUN_MAX) {
        Ok(value) => {
            assert_eq!(
                PANICS.load(Ordering::SeqCst),
                0,
                "{label}: a thread panicked"
            );
            value
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{label}: hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            drop(thread.join());
            panic!("{label}: failed");
        }
    }
}

/// An import into a table whose key counts the rows.
fn numbered(table: &str) -> ImportOptions {
    ImportOptions {
        table: table.into(),
        row_number: Some("id".into()),
        ..ImportOptions::default()
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn any_call_may_fail() {
    sample(false, 120);
}

/// A bug of ours that panics is an error of the statement that met it, `ENGINE_FAILED`, and of no other.
#[test]
fn any_call_may_panic() {
    sample(true, 60);
}

/// The task that writes a table's log ended with a panic below it: the table took no more rows until the database was opened again, and commits
/// gathered in the logs until they were refused too.
#[test]
fn a_table_takes_rows_again_after_a_panic_below_its_log() {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (0, 0)");
    mover::round(&database.store).unwrap();
    let (mut expected, mut id) = (vec![0], 0);
    for kind in [Kind::Write, Kind::Sync] {
        for length in [1, u64::MAX] {
            io.inject(Fault {
                length,
                is_panic: true,
                ..lasting(Some(kind), "tonbo/", IoErrorCode::Other)
            });
            id += 1;
            connection.run(&format!("INSERT INTO t VALUES ({id}, {id})"));
            expected.push(id);
            wait_until("the panic", || !io.hits().is_empty());
            if length > 1 {
                wait_until("a failed round", || database.store.mover.failures() >= 2);
                let failure = database.store.mover.failure().unwrap();
                assert_eq!(failure.code, StoreErrorCode::EngineFailed, "{failure:?}");
                assert!(!failure.message.contains(PANIC_WORDS), "{failure:?}");
            }
            // Others don't notice …
            id += 1;
            connection.run(&format!("INSERT INTO t VALUES ({id}, {id})"));
            expected.push(id);
            assert_eq!(connection.integers("SELECT n FROM t"), expected);
            io.lift();
            // … and it is over with the fault.
            wait_until("the move", || database.store.figures()["deltaRows"] == 0.0);
            wait_until("the note", || database.store.mover.failure().is_none());
            assert_eq!(connection.integers("SELECT n FROM t"), expected);
        }
    }
    // An import, whose rows are in no log but this one.
    let options = numbered("imported");
    connection.run("CREATE VIRTUAL TABLE imported USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)");
    io.inject(Fault {
        is_panic: true,
        ..lasting(Some(Kind::Sync), "wal", IoErrorCode::Other)
    });
    let error = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.code, StoreErrorCode::EngineFailed, "{error:?}");
    io.lift();
    assert_eq!(connection.integers("SELECT count(*) FROM imported"), [0]);
    let rows = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap();
    drop(connection);
    let database = database.reopen();
    let connection = database.connect();
    assert_eq!(connection.integers("SELECT n FROM t"), expected);
    assert_eq!(
        connection.integers("SELECT count(*) FROM imported"),
        [rows as i64]
    );
}

/// A panic of Parquet's reader is damage: of a file that contradicts itself, it makes nothing else. One of ours in the files below it must not
/// pass for that. It doesn't get there, because fusio-parquet reads in tasks of their own, which catch it.
#[test]
fn a_panic_below_the_reader_of_a_file_is_no_damage() {
    const QUERIES: [&str; 3] = [
        "SELECT sum(n) FROM t",
        "SELECT n FROM t WHERE id = 70",
        "SELECT id FROM t WHERE n BETWEEN 20 AND 30",
    ];
    let disk: SharedIo = Arc::new(MemoryIo::new());
    let database = Database::on(disk.clone());
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX t_n ON t(n);
         WITH RECURSIVE c(k) AS (VALUES (1) UNION ALL SELECT k + 1 FROM c WHERE k < 100) INSERT INTO t SELECT k, k FROM c",
    );
    database.flush();
    connection.run("DELETE FROM t WHERE id % 7 = 0; UPDATE t SET n = -n WHERE id % 5 = 0");
    database.flush();
    let expected = QUERIES.map(|query| connection.rows(query));
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    let mut told = BTreeMap::<Kind, u32>::new();
    for kind in [Kind::Open, Kind::Size, Kind::Read] {
        for first in 1.. {
            // What one opening has read is kept: each call has its own.
            let io = FaultyIo::new(disk_of(&copy_of(&*disk)));
            let database = Database::on(io.clone());
            let connection = database.connect();
            io.inject(Fault {
                first,
                length: 1,
                is_panic: true,
                ..lasting(Some(kind), ".parquet", IoErrorCode::Other)
            });
            for (query, rows) in QUERIES.iter().zip(&expected) {
                match as_served(|| connection.try_rows(query)) {
                    Ok(found) => assert_eq!(&found, rows, "{kind:?} {first}: {query}"),
                    Err(error) => {
                        let label = format!("{kind:?} {first}: {query}: {error:?}");
                        assert_eq!(error.code, StoreErrorCode::EngineFailed, "{label}");
                        assert!(!error.message.contains(PANIC_WORDS), "{label}");
                        connection.0.reset().unwrap();
                        *told.entry(kind).or_default() += 1;
                        // It was but one call.
                        assert_eq!(&connection.rows(query), rows, "{label}");
                    }
                }
            }
            if io.hits().is_empty() {
                break;
            }
        }
    }
    assert!(told[&Kind::Open] > 1 && told[&Kind::Read] > 5, "{told:?}");
}

/// The log's last sync failed, so CREATE failed and took the table's files with it; then the power failed, and the log had the commit after
/// all. The database could not be opened any more: "the files of table t are missing".
#[test]
fn a_table_whose_creation_failed_half_way_may_stand_after_a_loss_of_power() {
    let mut standing = 0;
    for seed in 0..CRASHES {
        let disk = Arc::new(PowerLossIo::new());
        let io = FaultyIo::new(disk.clone());
        let database = Database::on(io.clone());
        let connection = database.connect();
        connection.run("CREATE VIRTUAL TABLE first USING tonbo(id INTEGER PRIMARY KEY)");
        io.inject(lasting(Some(Kind::Sync), "main.db-wal", IoErrorCode::Other));
        let error = connection.fails("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY)");
        assert_eq!(error.code, StoreErrorCode::IoError, "{error:?}");
        let disk = disk.crash(seed);
        drop(connection);
        io.lift();
        drop(database.store.close());
        let connection = Database::on(Arc::new(disk)).connect();
        if connection.try_rows("INSERT INTO t VALUES (1)").is_ok() {
            standing += 1;
        } else {
            connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
        }
        assert_eq!(connection.integers("SELECT id FROM t"), [1]);
        connection.run("INSERT INTO first VALUES (1)");
    }
    assert!((1..CRASHES).contains(&standing), "{standing} of {CRASHES}");
}

/// Runs the history with faults at calls that chance chooses, `count` of them unless the environment says otherwise.
fn sample(is_panic: bool, count: u64) {
    let expected = Arc::new(expectations());
    let never = Fault {
        kind: None,
        path: "",
        first: u64::MAX,
        length: 0,
        code: IoErrorCode::Other,
        is_torn: false,
        is_panic: false,
    };
    // How many calls of each kind there are. The background makes no two runs quite alike.
    let mut session = Session::on(PowerLossIo::new());
    for (step, after) in HISTORY.iter().zip(&*expected) {
        session.run(*step).unwrap();
        assert_eq!(&session.read().unwrap(), after, "{step:?}");
    }
    session.close().unwrap();
    let counts = session.io.counts();
    let mut calls: Vec<(Kind, u64)> = counts
        .iter()
        .flat_map(|(kind, count)| (1..=*count).map(|number| (*kind, number)))
        .collect();
    let seed = setting("HEDDLE_SEED").unwrap_or(1);
    let mut random = Random(seed);
    for index in (1..calls.len()).rev() {
        calls.swap(index, random.below(index as u64 + 1) as usize);
    }
    let minutes = setting("HEDDLE_LONG_MINUTES").unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let runs = setting("HEDDLE_FAULTS").unwrap_or(count) as usize;
    let mut done = 0;
    for (kind, first) in calls.iter().copied().cycle() {
        if done >= runs && Instant::now() >= end {
            break;
        }
        let code = match (kind, random.below(3)) {
            (Kind::Write | Kind::Truncate | Kind::Open | Kind::Sync, 0 | 1) => IoErrorCode::NoSpace,
            _ => IoErrorCode::Other,
        };
        let length = [1, 4, u64::MAX][random.below(3) as usize];
        let plan = Plan {
            fault: Fault {
                kind: (random.below(4) > 0 || length == 1).then_some(kind),
                first,
                length,
                code,
                is_torn: random.below(2) == 0,
                is_panic,
                ..never
            },
            patience: 1 + random.below(3) as u32,
            crash: (random.below(3) == 0).then(|| random.below(1 << 32)),
        };
        let expected = expected.clone();
        watched(
            format!("HEDDLE_SEED={seed}, run {done}: {plan:?}"),
            move || {
                run(plan, &expected);
            },
        );
        done += 1;
    }
    eprintln!("{done} runs of {} calls: {counts:?}", calls.len());
}

/// The calls of one kind on certain paths fail until the fault is lifted.
fn lasting(kind: Option<Kind>, path: &'static str, code: IoErrorCode) -> Fault {
    Fault {
        kind,
        path,
        first: 1,
        length: u64::MAX,
        code,
        is_torn: true,
        is_panic: false,
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waiting for: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A full disk failed one write of Tonbo's log. Its writer ended with that, and every later write to the table was refused until the next
/// opening; the mover looked at it again only with the next commit.
#[test]
fn the_mover_goes_on_by_itself_after_a_full_disk() {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1)");
    mover::round(&database.store).unwrap();
    io.inject(lasting(Some(Kind::Write), "tonbo/", IoErrorCode::NoSpace));
    connection.run("INSERT INTO t VALUES (2, 2); UPDATE t SET n = 10 WHERE id = 1");
    wait_until("a failed round", || database.store.mover.failures() >= 2);
    let failure = database.store.mover.failure().unwrap();
    assert_eq!(failure.code, StoreErrorCode::NoSpace, "{failure:?}");
    assert!(database.store.figures()["moverFailures"] >= 2.0);
    assert!(database.store.figures()["deltaRows"] > 0.0);
    connection.run("INSERT INTO t VALUES (3, 3)");
    assert_eq!(connection.integers("SELECT n FROM t"), [10, 2, 3]);
    io.lift();
    wait_until("the move", || database.store.figures()["deltaRows"] == 0.0);
    wait_until("the note", || database.store.mover.failure().is_none());
    assert_eq!(connection.integers("SELECT n FROM t"), [10, 2, 3]);
    drop(connection);
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT n FROM t"), [10, 2, 3]);
}

/// As above, for an import: its writes to Tonbo are the only ones, no log of SQLite has its rows.
#[test]
fn an_import_can_be_repeated_after_a_full_disk() {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)");
    let options = numbered("t");
    for kind in [Kind::Write, Kind::Sync] {
        io.inject(lasting(Some(kind), "wal", IoErrorCode::NoSpace));
        let error = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.code, StoreErrorCode::NoSpace, "{error:?}");
        assert_eq!(connection.integers("SELECT count(*) FROM t"), [0]);
        io.lift();
    }
    connection.run("INSERT INTO t VALUES (5, 55)");
    connection.run("DELETE FROM t");
    let rows = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap();
    assert_eq!(rows as i64, BATCHES * BATCH_ROWS);
    drop(connection);
    let database = database.reopen();
    assert_eq!(
        database.connect().integers("SELECT count(*) FROM t"),
        [BATCHES * BATCH_ROWS]
    );
}

/// An import's batch that was refused stood in Tonbo's log all the same when only its sync had failed: it came back with the next opening,
/// over what had been committed since.
#[test]
fn a_refused_batch_does_not_come_back() {
    let io = FaultyIo::new(Arc::new(MemoryIo::new()));
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER)");
    let options = numbered("t");
    io.inject(lasting(Some(Kind::Sync), "wal", IoErrorCode::Other));
    let error = import::run(&connection.0, file(), &options, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.code, StoreErrorCode::IoError, "{error:?}");
    io.lift();
    connection.run("INSERT INTO t VALUES (1000, 1)");
    mover::round(&database.store).unwrap();
    drop(connection);
    let database = database.reopen();
    assert_eq!(database.connect().integers("SELECT id FROM t"), [1000]);
}

/// A table whose Tonbo could not be read when the database was opened was left out – and so were its rows in the logs when those were
/// trimmed: commits that had been acknowledged were gone.
#[test]
fn a_table_that_could_not_be_opened_keeps_its_commits_and_is_opened_later() {
    let disk = Arc::new(MemoryIo::new());
    let io = FaultyIo::new(disk);
    let database = Database::on(io.clone());
    let connection = database.connect();
    connection.run(
        "CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER); CREATE VIRTUAL TABLE other USING tonbo(id INTEGER PRIMARY KEY);
         CREATE TABLE plain(n INTEGER); INSERT INTO t VALUES (1, 1)",
    );
    mover::round(&database.store).unwrap();
    // Nothing reaches Tonbo, so the next commits are in the logs when the database is closed.
    io.inject(lasting(Some(Kind::Write), "tonbo/", IoErrorCode::NoSpace));
    connection.run("INSERT INTO t VALUES (2, 2); BEGIN; INSERT INTO t VALUES (3, 3); INSERT INTO plain VALUES (1); COMMIT");
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    io.inject(lasting(None, "tonbo/tables/1/", IoErrorCode::Other));
    let database = Database::on(io.clone());
    let connection = database.connect();
    let error = connection.fails("SELECT * FROM t");
    assert_eq!(error.code, StoreErrorCode::IoError, "{error:?}");
    connection.run("INSERT INTO other VALUES (1); BEGIN; INSERT INTO other VALUES (2); INSERT INTO plain VALUES (2); COMMIT");
    mover::round(&database.store).unwrap();
    io.lift();
    // In this session …
    assert_eq!(connection.integers("SELECT n FROM t"), [1, 2, 3]);
    // … and if it is never opened in one.
    io.inject(lasting(Some(Kind::Write), "tonbo/", IoErrorCode::NoSpace));
    connection.run("UPDATE t SET n = n + 1");
    drop(connection);
    database.store.close().unwrap();
    drop(database);
    io.inject(lasting(None, "tonbo/tables/1/", IoErrorCode::Other));
    let database = Database::on(io.clone());
    database.connect().run("INSERT INTO other VALUES (3)");
    mover::round(&database.store).unwrap();
    database.store.close().unwrap();
    drop(database);
    io.lift();
    let database = Database::on(io);
    assert_eq!(database.connect().integers("SELECT n FROM t"), [2, 3, 4]);
}
