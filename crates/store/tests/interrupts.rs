//! Statements of every kind, and imports, interrupted at moments spread over their whole run: each stops, is undone, and the connection goes on.
//!
//! Between an interrupt and the return lie at most [`WORK_MAX`] of the SQL thread's work: its processor's time, so that other load doesn't count.
//! Where that can't be read it is not asserted. Small tables say little of it: `HEDDLE_INTERRUPT_ROWS` takes larger ones, and so does
//! `HEDDLE_LONG_MINUTES`. `HEDDLE_INTERRUPT_ROWS=400000 cargo test --release -p heddle-store --test interrupts -- --nocapture`

mod engine;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{Collect, Connection, Database, Rows};
use heddle_store::activity::Activity;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::import::{self, ImportOptions};
use heddle_store::parameters::Parameters;
use heddle_store::session::Session;

/// How often each statement is interrupted.
const TRIALS: u32 = 8;

/// The most work between an interrupt and the return.
const WORK_MAX: Duration = Duration::from_millis(50);

/// Statements that only read, and those whose effects must be gone.
const STATEMENTS: &[&str] = &[
    "SELECT sum(n), max(text) FROM t",
    "SELECT count(*) FROM t WHERE text LIKE '%77%'",
    "SELECT text, n FROM t ORDER BY n, text",
    "SELECT n % 1000, count(*), sum(n) FROM t GROUP BY 1",
    "SELECT count(DISTINCT text) FROM t",
    "SELECT count(*) FROM t a JOIN t b ON b.id = a.n",
    "INSERT INTO t SELECT id + 10000000, n, text FROM t",
    "UPDATE t SET n = n + 1",
    "DELETE FROM t",
    "CREATE INDEX by_n ON t(n)",
    "PRAGMA integrity_check",
    "PRAGMA wal_checkpoint(FULL)",
];

fn rows_of_the_table() -> i64 {
    let is_long = std::env::var("HEDDLE_LONG_MINUTES").is_ok();
    std::env::var("HEDDLE_INTERRUPT_ROWS").map_or(if is_long { 200_000 } else { 10_000 }, |rows| {
        rows.parse().unwrap()
    })
}

/// Processor time of a thread, readable by others.
#[cfg(target_os = "linux")]
mod work {
    use std::time::Duration;

    #[derive(Clone, Copy)]
    pub struct Clock(libc::clockid_t);

    impl Clock {
        pub fn of_this_thread() -> Clock {
            let mut id = 0;
            // SAFETY: the thread exists: it is this one.
            let code = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut id) };
            assert_eq!(code, 0);
            Clock(id)
        }

        pub fn now(self) -> Duration {
            let mut time = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // SAFETY: `time` is there to be written.
            let code = unsafe { libc::clock_gettime(self.0, &raw mut time) };
            assert_eq!(code, 0);
            Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
        }
    }
}

/// Where a thread's processor time can't be read, the clock's does.
#[cfg(not(target_os = "linux"))]
mod work {
    use std::time::{Duration, Instant};

    #[derive(Clone, Copy)]
    pub struct Clock(Instant);

    impl Clock {
        pub fn of_this_thread() -> Clock {
            Clock(Instant::now())
        }

        pub fn now(self) -> Duration {
            self.0.elapsed()
        }
    }
}

/// What came of a statement that was to be interrupted.
enum Outcome {
    /// It had ended before.
    Ended,
    /// The work behind the interrupt.
    Interrupted(Duration),
}

/// Runs something that another thread interrupts after `delay`.
fn interrupt_after(
    database: &Database,
    what: &str,
    delay: Duration,
    body: impl FnOnce(&Connection) -> Result<(), StoreError>,
) -> Outcome {
    let activity = Arc::new(Activity::default());
    let connection = Connection(Session::open(&database.store, activity.clone()).unwrap());
    let clock = work::Clock::of_this_thread();
    activity.begin(1);
    let outcome = std::thread::scope(|scope| {
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let other = activity.clone();
        let interrupter = scope.spawn(move || {
            // Also where the statement has ended and hung up: the interrupt then comes to nothing.
            let _ = end.recv_timeout(delay);
            other.cancel.store(1, Ordering::Relaxed);
            // Behind the interrupt: where this thread is held up in between, less work is seen, never work that nobody was to stop.
            clock.now()
        });
        let outcome = body(&connection);
        let after = clock.now();
        drop(ended);
        let before = interrupter.join().unwrap();
        match outcome {
            Ok(()) => Outcome::Ended,
            Err(error) => {
                assert_eq!(error.code, StoreErrorCode::Interrupted, "{what}: {error:?}");
                Outcome::Interrupted(after.saturating_sub(before))
            }
        }
    });
    activity.end();
    assert_eq!(connection.integers("SELECT 1"), [1]);
    outcome
}

/// Prints what lay between interrupts and returns, and asserts that it was little.
fn judge(what: &str, mut works: Vec<Duration>) {
    works.sort();
    let Some(longest) = works.last() else { return };
    let median = works[works.len() / 2];
    println!(
        "{:8.1} {:8.1}  {} stopped  {what}",
        longest.as_secs_f64() * 1000.0,
        median.as_secs_f64() * 1000.0,
        works.len(),
    );
    if cfg!(target_os = "linux") {
        assert!(*longest <= WORK_MAX, "{what}: {longest:?} of work");
    }
}

fn filled(rows: i64) -> Database {
    let database = Database::new();
    let connection = database.connect();
    connection
        .run("CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, text TEXT)");
    for first in (0..rows).step_by(100_000) {
        let count = (rows - first).min(100_000);
        connection.run(&format!(
            "WITH RECURSIVE r(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM r LIMIT {count})
             INSERT INTO t SELECT i, (i * 7919) % {rows}, printf('row %d of many', i) FROM r"
        ));
    }
    drop(connection);
    database.flush();
    database
}

const FINGERPRINT: &str =
    "SELECT count(*) + coalesce(sum(id) + sum(n) + sum(length(text)), 0) FROM t";

#[test]
fn statements_stop_wherever_they_are_interrupted() {
    let rows = rows_of_the_table();
    let mut stopped = 0;
    println!("{rows} rows; work between interrupt and return, ms: longest of {TRIALS}, median");
    for sql in STATEMENTS {
        let mut database = filled(rows);
        let before = database.connect().integers(FINGERPRINT);
        let start = Instant::now();
        database.connect().rows(sql);
        let whole = start.elapsed();
        if database.connect().integers(FINGERPRINT) != before || sql.starts_with("CREATE") {
            database = filled(rows);
        }
        let mut works = Vec::new();
        for trial in 0..TRIALS {
            let delay = whole * (2 * trial + 1) / (2 * TRIALS);
            let outcome = interrupt_after(&database, sql, delay, |connection| {
                let mut rows = Collect(Rows::new());
                connection.0.run(sql, &Parameters::none(), &mut rows)?;
                Ok(())
            });
            match outcome {
                Outcome::Interrupted(work) => {
                    works.push(work);
                    assert_eq!(database.connect().integers(FINGERPRINT), before, "{sql}");
                }
                Outcome::Ended => database = filled(rows),
            }
        }
        stopped += works.len();
        judge(sql, works);
    }
    // A machine's hiccup may let one end before its time, not most of them.
    assert!(stopped > STATEMENTS.len(), "only {stopped} were stopped");
}

/// What takes minutes over some long values, in few instructions of SQLite's or in one.
const LONG_WORK: &[&str] = &[
    "SELECT instr(printf('%.4000000c', 'a'), printf('%.2000000c', 'a') || 'b')",
    "SELECT instr(CAST(printf('%.4000000c', 'a') AS BLOB), CAST(printf('%.2000000c', 'a') || 'b' AS BLOB))",
    "SELECT replace(printf('%.4000000c', 'a'), printf('%.2000000c', 'a') || 'b', 'c')",
    "SELECT ltrim(printf('%.4000000c', 'a'), printf('%.1000000c', 'b') || 'a')",
    "SELECT rtrim(printf('%.4000000c', 'a'), printf('%.1000000c', 'b') || 'a')",
    "SELECT unhex(printf('%.4000000c', ' '), printf('%.1000000c', 'b') || ' ')",
    "SELECT printf('%.20000000c', 'a') LIKE '%' || printf('%.1900c', 'a') || 'b'",
    "SELECT printf('%.20000000c', 'a') LIKE '%' || printf('%.1900c', 'a') || '!b' ESCAPE '!'",
    "SELECT printf('%.20000000c', 'ä') LIKE '%' || printf('%.900c', 'ä') || 'b'",
    "SELECT printf('%.20000000c', 'a') GLOB '*' || printf('%.1900c', 'a') || 'b'",
    "SELECT printf('%.20000000c', 'a') GLOB '*[a]' || printf('%.1900c', 'a') || 'b'",
    "SELECT json_patch(json_group_object('a' || i, 1), json_group_object('b' || i, 1)) FROM r WHERE i <= 300000",
    "SELECT sum(length(hex(zeroblob(i)))) FROM r WHERE i BETWEEN 4000000 AND 4002000",
    "SELECT count(max(randomblob(4000000), i)) FROM r WHERE i <= 2000",
    "INSERT INTO long_ordinary SELECT i, zeroblob(4000000) FROM r WHERE i <= 2000",
    "SELECT max(x) FROM long, r WHERE i <= 2000",
    "SELECT max(x) FROM long_ordinary, r WHERE i <= 2000",
    "SELECT count(json_error_position(list || i)) FROM document, r",
    "SELECT count(json_valid(text || i)) FROM document, r",
    "SELECT count(*) FROM document, r, json_each(list || substr(' ', 1, i))",
    "SELECT count(fullkey) FROM document, r, json_tree(binary, '$[9999999]')",
    "SELECT count(json(binary)) FROM document, r",
    "SELECT count(json_pretty(binary)) FROM document, r",
    "SELECT count(json_valid(binary, 8)) FROM document, r",
    "SELECT count(json_array_length(binary)) FROM document, r",
    "SELECT count(jsonb_array(json(binary))) FROM document, r",
    "SELECT count(json_extract(binary, '$[9000000]', '$[9000001]', '$[#-2]', '$[#-1]')) FROM document, r",
    "SELECT count(jsonb_remove(binary, '$[0]', '$[0]', '$[9000000]', '$[#-1]', '$[#-1]')) FROM document, r",
    "SELECT count(jsonb_set(binary, '$[0]', 'a', '$[1]', 'b', '$[#]', 'c', '$[#-1]', 'd')) FROM document, r",
    "SELECT count(text ->> '$') FROM document, r",
    "SELECT count(json_array(quotes, quotes, quotes, quotes, i)) FROM document, r",
    "SELECT count(json_array(words, words, words, words, words, words, i)) FROM document, r",
    "SELECT count(quote(quotes || i)) FROM document, r",
    "SELECT count(unistr_quote(text || i)) FROM document, r",
    "SELECT count(quote(CAST(quotes || i AS BLOB))) FROM document, r",
    "SELECT count(printf('%q%w%j%q%w%j%d', quotes, quotes, quotes, quotes, quotes, quotes, i)) FROM document, r",
    "SELECT count(unistr(codes || i)) FROM document, r",
    "INSERT INTO found SELECT words, words, words FROM document, r",
];

/// JSON of ten million numbers, and a long text of each kind.
const DOCUMENTS: &[&str] = &[
    r#"CREATE TABLE document AS SELECT
        '[' || replace(printf('%.10000000c', '1'), '1', '1,') || '1]' AS list,
        jsonb('[' || replace(printf('%.10000000c', '1'), '1', '1,') || '1]') AS binary,
        '"' || replace(printf('%.6000000c', 'n'), 'n', '\n') || '"' AS text,
        printf('%.3500000c', '"') || printf('%.1500000c', '''') AS quotes,
        replace(printf('%.5000000c', 'a'), 'a', '\u00e4') AS codes,
        replace(printf('%.1000000c', 'a'), 'a', 'many words ') AS words"#,
    "CREATE VIRTUAL TABLE found USING fts5(a, b, c)",
];

/// SQLite looks between its instructions, and counts those: one function over long values took minutes, and a thousand instructions over a few
/// megabytes each took seconds.
#[test]
fn work_on_long_values_stops_wherever_it_is_interrupted() {
    let database = Database::new();
    let connection = database.connect();
    connection.run("CREATE VIRTUAL TABLE long USING tonbo(id INTEGER PRIMARY KEY, x BLOB)");
    connection.run("CREATE TABLE long_ordinary(id INTEGER PRIMARY KEY, x BLOB)");
    for table in ["long", "long_ordinary"] {
        connection.run(&format!(
            "INSERT INTO {table} VALUES (-1, zeroblob(4000000)), (-2, zeroblob(4000000))"
        ));
    }
    for sql in DOCUMENTS {
        connection.run(sql);
    }
    let in_a_row: Vec<_> = (0..1000)
        .map(|n| format!("length(hex(zeroblob({})))", 2_000_000 + n))
        .collect();
    let in_a_row = format!("SELECT {}", in_a_row.join(", "));
    println!("work between interrupt and return, ms: longest, median");
    for sql in LONG_WORK.iter().copied().chain([&*in_a_row]) {
        let what = &sql[..sql.len().min(90)];
        let sql = format!(
            "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r LIMIT 4100000) {sql}"
        );
        let works = [100, 300, 500].map(|delay| {
            let outcome = interrupt_after(
                &database,
                what,
                Duration::from_millis(delay),
                |connection| {
                    let mut rows = Collect(Rows::new());
                    connection.0.run(&sql, &Parameters::none(), &mut rows)?;
                    Ok(())
                },
            );
            match outcome {
                Outcome::Interrupted(work) => work,
                Outcome::Ended => panic!("{what}: has ended, which should take minutes"),
            }
        });
        judge(what, works.to_vec());
        for (table, rows) in [("long", 2), ("long_ordinary", 2), ("found", 0)] {
            let count = connection.integers(&format!("SELECT count(*) FROM {table}"));
            assert_eq!(count, [rows], "{what}");
        }
    }
}

/// An import looked for an interrupt between two batches alone: the types of a long CSV file were found, and the file read again, whatever its
/// caller had said meanwhile.
#[test]
fn imports_stop_wherever_they_are_interrupted() {
    /// The default.
    const BATCH_ROWS: i64 = 65_536;
    let rows = 2 * rows_of_the_table();
    let text: String = (0..rows)
        .map(|row| format!("{row},{},row {row} of many\n", row * 7919 % rows))
        .collect();
    let file = Bytes::from(format!("id,n,text\n{text}"));
    let options = ImportOptions {
        table: "imported".into(),
        format: Some("csv".into()),
        row_number: Some("number".into()),
        create: true,
        ..ImportOptions::default()
    };
    let import = |connection: &Connection| {
        import::run(&connection.0, file.clone(), &options, &mut |_| Ok(())).map(drop)
    };
    let start = Instant::now();
    import(&Database::new().connect()).unwrap();
    let whole = start.elapsed();
    let (mut works, mut before_any_row) = (Vec::new(), 0);
    for trial in 0..2 * TRIALS {
        let database = Database::new();
        let delay = whole * (2 * trial + 1) / (4 * TRIALS);
        match interrupt_after(&database, "an import", delay, import) {
            Outcome::Interrupted(work) => works.push(work),
            Outcome::Ended => continue,
        }
        // What was acknowledged stays: whole batches.
        let connection = database.connect();
        let is_made = "SELECT count(*) FROM heddle_tables";
        let count = match connection.integers(is_made)[..] {
            [1] => connection.integers("SELECT count(*) FROM imported")[0],
            _ => 0,
        };
        assert!(count % BATCH_ROWS == 0 || count == rows, "{count}");
        before_any_row += usize::from(count == 0);
        connection.run("DROP TABLE IF EXISTS imported");
        import(&connection).unwrap();
        assert_eq!(connection.integers("SELECT count(*) FROM imported"), [rows]);
    }
    assert!(works.len() > 2, "only {} were stopped", works.len());
    println!("{before_any_row} before the first batch");
    judge("an import", works);
}
