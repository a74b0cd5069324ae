//! The same statements on Tonbo tables, on ordinary tables of ours, and in native SQLite: the same rows, changes, errors and tables.
//!
//! What a seed makes – tables of every kind of key, rows of odd values, queries and writes – runs on all three, and between the statements
//! the Tonbo tables' changes are moved into Tonbo, flushed, compacted and reopened, with chunks of a few rows and a cache of a few bytes.
//! Nothing runs in the background, so that a seed repeats. What is known to differ, and why, is in `docs/sql.md`; the generator avoids just
//! that.
//!
//! A failure prints its seed and the few steps that it takes. `HEDDLE_SEED=7 cargo test -p heddle-store --test differential` replays it;
//! `HEDDLE_LONG_MINUTES` makes the run longer.

mod engine;
mod generator;
mod random;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Collect, Connection, Database, Rows};
use generator::table::{Column, Key, Table};
use generator::value::Kind;
use generator::{Statement, select, write};
use heddle_store::commit::mover;
use heddle_store::error::StoreErrorCode;
use heddle_store::io::MemoryIo;
use heddle_store::parameters::Parameters;
use heddle_store::statement::kind_of;
use heddle_store::store::StoreOptions;
use heddle_store::table::base::CHUNK_ROWS;
use heddle_store::value::Value;
use random::Random;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Statements of a default run, all seeds together.
const STATEMENTS: u64 = 20_000;

/// How long a failure is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

/// What happens to the databases.
#[derive(Clone, Debug)]
enum Step {
    Make(Table),
    Run(Statement),
    /// Moves the Tonbo tables' changes into Tonbo.
    Move,
    /// Writes Tonbo's rows to files and merges them.
    Flush,
    Reopen,
    /// A canary's: changes the Tonbo table alone.
    Spoil(&'static str),
}

/// What a statement did.
#[derive(Debug)]
struct Outcome {
    result: Result<(Rows, i64), (StoreErrorCode, String)>,
    is_open: bool,
}

/// One of our engines.
struct Engine {
    connection: Option<Connection>,
    database: Option<Database>,
    options: StoreOptions,
}

impl Engine {
    fn new(options: &StoreOptions) -> Engine {
        let mut engine = Engine {
            connection: None,
            database: None,
            options: options.clone(),
        };
        engine.open(Arc::new(MemoryIo::new()));
        engine
    }

    fn open(&mut self, io: heddle_store::io::SharedIo) {
        // The mover's rounds are steps here.
        let options = StoreOptions {
            moves_in_background: false,
            ..self.options.clone()
        };
        let database = Database::open(io, &options).unwrap();
        self.connection = Some(database.connect());
        self.database = Some(database);
    }

    fn reopen(&mut self) {
        self.connection = None;
        if let Some(database) = self.database.take() {
            database.store.close().unwrap();
            let io = database.io.clone();
            drop(database);
            self.open(io);
        }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    fn run(&self, statement: &Statement) -> Outcome {
        let session = &self.connection().0;
        let mut rows = Collect(Vec::new());
        let parameters = Parameters::Positional(statement.parameters.clone());
        let result = session
            .run(&statement.sql, &parameters, &mut rows)
            .map(|outcome| (rows.0, outcome.changes))
            .map_err(|error| (error.code, error.message));
        Outcome {
            result,
            is_open: session.is_in_transaction(),
        }
    }
}

/// The three databases.
struct World {
    tonbo: Engine,
    ordinary: Engine,
    native: rusqlite::Connection,
    tables: Vec<Table>,
}

impl World {
    fn new(options: &StoreOptions) -> World {
        heddle_store::sqlite::initialize().unwrap();
        let native = rusqlite::Connection::open_in_memory().unwrap();
        native
            .execute_batch("PRAGMA recursive_triggers = ON")
            .unwrap();
        World {
            tonbo: Engine::new(options),
            ordinary: Engine::new(&StoreOptions::default()),
            native,
            tables: Vec::new(),
        }
    }

    /// Takes a step, or says what differs.
    fn apply(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Make(table) => {
                let ordinary = table.ordinary_ddl();
                self.tonbo.connection().run(&if table.is_tonbo {
                    table.tonbo_ddl()
                } else {
                    ordinary.clone()
                });
                self.ordinary.connection().run(&ordinary);
                self.native.execute_batch(&ordinary).unwrap();
                self.tables.push(table.clone());
                Ok(())
            }
            Step::Run(statement) => {
                self.compare(statement)?;
                let Some(name) = &statement.writes else {
                    return Ok(());
                };
                let table = self.tables.iter().find(|table| table.name == *name);
                let content = Statement {
                    is_ordered: true,
                    ..Statement::new(table.unwrap().content())
                };
                self.compare(&content)
                    .map_err(|difference| format!("the table afterwards: {difference}"))
            }
            Step::Move => mover::round(&self.tonbo.database.as_ref().unwrap().store)
                .map_err(|error| format!("the mover: {error}")),
            Step::Flush => {
                for table in self.tables.iter().filter(|table| table.is_tonbo) {
                    let found = self.tonbo.connection().0.table(&table.name);
                    if let Some(table) = found.map_err(|error| error.to_string())? {
                        mover::flush(&table, 0).map_err(|error| format!("a flush: {error}"))?;
                    }
                }
                self.check_integrity()
            }
            Step::Reopen => {
                self.tonbo.reopen();
                Ok(())
            }
            Step::Spoil(sql) => {
                self.tonbo.connection().run(sql);
                Ok(())
            }
        }
    }

    /// Rows and indexes agree.
    fn check_integrity(&self) -> Result<(), String> {
        let found = self.tonbo.run(&Statement::new("PRAGMA integrity_check"));
        let is_ok = |(rows, _): &(Rows, i64)| *rows == [[Value::Text("ok".into())]];
        match &found.result {
            Ok(result) if is_ok(result) => Ok(()),
            _ => Err(format!("integrity_check: {}", shown(&found))),
        }
    }

    fn compare(&self, statement: &Statement) -> Result<(), String> {
        let expected = run_natively(&self.native, statement);
        for (name, engine) in [("Tonbo", &self.tonbo), ("ordinary", &self.ordinary)] {
            let found = engine.run(statement);
            if let Some(what) = difference(statement, &expected, &found) {
                return Err(format!(
                    "{what}\n  native: {}\n  {name}: {}",
                    shown(&expected),
                    shown(&found)
                ));
            }
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        !self.native.is_autocommit()
    }
}

fn run_natively(connection: &rusqlite::Connection, statement: &Statement) -> Outcome {
    struct Parameter<'a>(&'a Value);
    impl rusqlite::ToSql for Parameter<'_> {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Ok(ToSqlOutput::Borrowed(match self.0 {
                Value::Null => ValueRef::Null,
                Value::Integer(value) => ValueRef::Integer(*value),
                Value::Real(value) => ValueRef::Real(*value),
                Value::Text(value) => ValueRef::Text(value.as_bytes()),
                Value::Blob(value) => ValueRef::Blob(value),
            }))
        }
    }
    let changes = || {
        // SAFETY: the connection is open.
        unsafe { rusqlite::ffi::sqlite3_total_changes64(connection.handle()) }
    };
    let before = changes();
    let run = || -> rusqlite::Result<Rows> {
        let mut prepared = connection.prepare(&statement.sql)?;
        let columns = prepared.column_count();
        for (position, value) in statement.parameters.iter().enumerate() {
            prepared.raw_bind_parameter(position + 1, Parameter(value))?;
        }
        let mut rows = prepared.raw_query();
        let mut all = Rows::new();
        while let Some(row) = rows.next()? {
            let value = |column: usize| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => Value::Integer(value),
                    ValueRef::Real(value) => Value::Real(value),
                    ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into()),
                    ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
                })
            };
            all.push((0..columns).map(value).collect::<rusqlite::Result<_>>()?);
        }
        Ok(all)
    };
    let result = run().map_err(|error| match &error {
        rusqlite::Error::SqliteFailure(code, _) => (kind_of(code.extended_code), error.to_string()),
        rusqlite::Error::SqlInputError { error: code, .. } => {
            (kind_of(code.extended_code), error.to_string())
        }
        _ => (StoreErrorCode::Misuse, error.to_string()),
    });
    Outcome {
        result: result.map(|rows| (rows, changes() - before)),
        is_open: !connection.is_autocommit(),
    }
}

/// What differs, if anything does.
fn difference(statement: &Statement, expected: &Outcome, found: &Outcome) -> Option<&'static str> {
    if expected.is_open != found.is_open {
        return Some("a transaction is open in one of them");
    }
    match (&expected.result, &found.result) {
        (Ok((rows, changes)), Ok((other_rows, other_changes))) => {
            if changes != other_changes {
                return Some("another number of changes");
            }
            let is_same = canonical(statement, rows) == canonical(statement, other_rows);
            (!is_same).then_some("other rows")
        }
        (Err((code, _)), Err((other, _))) => {
            let is_value = |code: &StoreErrorCode| {
                matches!(
                    code,
                    StoreErrorCode::Constraint | StoreErrorCode::TypeMismatch
                )
            };
            let is_same = code == other
                || statement.may_fail_in_several_ways && is_value(code) && is_value(other);
            (!is_same).then_some("another error")
        }
        (Ok(_), Err(_)) => Some("an error"),
        (Err(_), Ok(_)) => Some("no error"),
    }
}

/// Rows as texts that are equal where the rows are the same; sorted where their order is left open.
fn canonical(statement: &Statement, rows: &Rows) -> Vec<String> {
    let cell = |value: &Value| match value {
        Value::Real(real) if statement.is_loose && real.fract() == 0.0 && real.abs() < 1e15 => {
            format!("{}", *real as i64)
        }
        Value::Integer(value) => format!("{value}"),
        // Bit by bit, so that -0.0 is told from 0.0.
        Value::Real(real) => format!("{real:e} {:x}", real.to_bits()),
        other => format!("{other:?}"),
    };
    let mut texts: Vec<String> = rows
        .iter()
        .map(|row| row.iter().map(cell).collect::<Vec<_>>().join("\u{1f}"))
        .collect();
    if !statement.is_ordered {
        texts.sort();
    }
    texts
}

fn shown(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok((rows, changes)) => {
            let mut text = format!("{} rows, {changes} changes:", rows.len());
            for row in rows.iter().take(40) {
                let cells: Vec<String> = row.iter().map(generator::value::literal).collect();
                let _ = write!(text, "\n    {}", cells.join(", "));
            }
            text
        }
        Err((code, message)) => format!("{code:?}: {message}"),
    }
}

/// How one seed's databases are opened, and its steps so far.
struct Episode {
    options: StoreOptions,
    steps: Vec<Step>,
    world: World,
    statements: u64,
    failure: Option<String>,
}

impl Episode {
    fn new(options: StoreOptions) -> Episode {
        Episode {
            world: World::new(&options),
            options,
            steps: Vec::new(),
            statements: 0,
            failure: None,
        }
    }

    fn step(&mut self, step: Step) -> bool {
        if self.failure.is_none() {
            self.statements += u64::from(matches!(step, Step::Run(_)));
            self.failure = self.world.apply(&step).err();
            self.steps.push(step);
        }
        self.failure.is_none()
    }
}

/// Runs what a seed makes; returns how many statements that were.
fn run_seed(seed: u64, stop: &AtomicBool) -> Result<u64, String> {
    let mut random = Random(seed);
    let options = StoreOptions {
        chunk_rows: *random.pick(&[1, 2, 3, 5, 8, 16, CHUNK_ROWS]),
        cache_size: *random.pick(&[0, 4000, 256 << 20]),
        ..StoreOptions::default()
    };
    // Without a cache each row of a join would be read from Tonbo by itself.
    let options = StoreOptions {
        chunk_rows: if options.cache_size == 0 {
            options.chunk_rows.max(5)
        } else {
            options.chunk_rows
        },
        ..options
    };
    let is_large = random.chance(2);
    let options = if is_large {
        StoreOptions {
            chunk_rows: CHUNK_ROWS,
            cache_size: *random.pick(&[600_000, 256 << 20]),
            ..options
        }
    } else {
        options
    };
    let mut episode = Episode::new(options);
    let tables = populate(&mut episode, &mut random);
    if is_large {
        large_steps(&mut episode, &mut random, &tables, stop);
    } else {
        small_steps(&mut episode, &mut random, &tables, stop);
    }
    match episode.failure.take() {
        None => Ok(episode.statements),
        Some(failure) => Err(report(seed, episode, failure)),
    }
}

fn populate(episode: &mut Episode, random: &mut Random) -> Vec<Table> {
    let count = 2 + random.below(2);
    let mut tables: Vec<Table> = (0..count)
        .map(|number| Table::random(random, &format!("t{number}")))
        .collect();
    tables.push(Table::ordinary("p"));
    for table in &tables {
        let rows = 4 + random.below(22);
        let moved = random.chance(60);
        let _ = episode.step(Step::Make(table.clone()))
            && episode.step(Step::Run(write::fill(random, table, rows)))
            && (!moved || episode.step(Step::Move));
    }
    tables
}

fn small_steps(episode: &mut Episode, random: &mut Random, tables: &[Table], stop: &AtomicBool) {
    let mut savepoints = 0;
    // Relaxed: a hint.
    for _ in 0..250 {
        let step = match random.below(100) {
            0..71 => Step::Run(select::select(random, tables)),
            71..74 => Step::Run(write::index(random, tables)),
            74..88 => Step::Run(write::write(random, tables)),
            88..94 => {
                let statement = write::transaction(random, episode.world.is_open(), savepoints);
                Step::Run(statement)
            }
            94..97 => Step::Move,
            97 | 98 => Step::Flush,
            _ if episode.world.is_open() => Step::Move,
            _ => Step::Reopen,
        };
        let words = match &step {
            Step::Run(statement) => statement.sql.clone(),
            _ => String::new(),
        };
        if stop.load(Ordering::Relaxed) || !episode.step(step) {
            return;
        }
        // Releasing or rolling back to one ends those within it.
        if let Some(number) = words.strip_prefix("SAVEPOINT s") {
            savepoints = number.parse::<usize>().unwrap() + 1;
        } else if let Some(number) = words.strip_prefix("RELEASE s") {
            savepoints = number.parse().unwrap();
        } else if let Some(number) = words.strip_prefix("ROLLBACK TO s") {
            savepoints = number.parse::<usize>().unwrap() + 1;
        }
        if !episode.world.is_open() {
            savepoints = 0;
        }
    }
}

/// A table of more than one chunk of the usual size.
fn large_steps(episode: &mut Episode, random: &mut Random, tables: &[Table], stop: &AtomicBool) {
    let column = |name: &str, kind, not_null| Column {
        name: name.into(),
        kind,
        not_null,
        default: None,
    };
    let key = if random.chance(50) {
        Key::Integer(0)
    } else {
        Key::Columns(vec![0, 1])
    };
    let big = Table {
        name: "big".into(),
        columns: vec![
            column("c0", Kind::Integer, true),
            column("c1", Kind::Integer, true),
            column("c2", Kind::Text, false),
        ],
        key,
        checks: Vec::new(),
        indexable: vec![2],
        uniques: Vec::new(),
        is_tonbo: true,
    };
    let fill = "INSERT INTO big WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
                SELECT i, (i * 7919) % 10007, 'row ' || (i % 97) FROM n";
    let run = |sql: String| Step::Run(Statement::new(sql));
    let is_filled = episode.step(Step::Make(big.clone())) && episode.step(run(fill.into()));
    if !is_filled {
        return;
    }
    for _ in 0..80 {
        let from = random.below(41_000);
        let to = from + random.below(200);
        let step = match random.below(100) {
            0..76 => Step::Run(select::select_large(random, tables, &big)),
            76..82 => run(format!(
                "UPDATE big SET c1 = c1 + 1 WHERE c0 BETWEEN {from} AND {to}"
            )),
            82..86 => run(format!("DELETE FROM big WHERE c0 BETWEEN {from} AND {to}")),
            86..90 => run(format!(
                "INSERT OR REPLACE INTO big SELECT c0 + {}, c1, c2 FROM big WHERE c0 >= {from} AND c0 < {to}",
                random.below(100)
            )),
            90..94 => Step::Move,
            94..97 => Step::Flush,
            _ => Step::Reopen,
        };
        // Relaxed: a hint.
        if stop.load(Ordering::Relaxed) || !episode.step(step) {
            return;
        }
    }
    let content = Statement {
        is_ordered: true,
        ..Statement::new(big.content())
    };
    episode.step(Step::Run(content));
}

/// What failed, with as few steps before it as were found.
fn report(seed: u64, episode: Episode, failure: String) -> String {
    let Episode { options, steps, .. } = episode;
    let (steps, failure) = shrink(&options, steps, failure);
    let mut text = format!("HEDDLE_SEED={seed} fails; {options:?}\n");
    for step in &steps {
        let _ = match step {
            Step::Make(table) if table.is_tonbo => {
                writeln!(text, "{};  -- {}", table.tonbo_ddl(), table.ordinary_ddl())
            }
            Step::Make(table) => writeln!(text, "{};", table.ordinary_ddl()),
            Step::Run(statement) => {
                writeln!(text, "{};  -- {:?}", statement.sql, statement.parameters)
            }
            other => writeln!(text, "-- {other:?}"),
        };
    }
    text + &failure
}

/// Leaves out steps as long as the last one still fails.
fn shrink(
    options: &StoreOptions,
    mut steps: Vec<Step>,
    mut failure: String,
) -> (Vec<Step>, String) {
    let start = Instant::now();
    let replay = |steps: &[Step]| -> Option<String> {
        let (last, before) = steps.split_last()?;
        let mut world = World::new(options);
        for step in before {
            world.apply(step).ok()?;
        }
        world.apply(last).err()
    };
    // Queries change nothing.
    let writes: Vec<Step> = {
        let count = steps.len();
        let is_kept = |(position, step): &(usize, Step)| {
            *position + 1 == count
                || !matches!(step, Step::Run(statement) if statement.writes.is_none() && (statement.sql.starts_with("SELECT") || statement.sql.starts_with("WITH")))
        };
        steps
            .iter()
            .cloned()
            .enumerate()
            .filter(is_kept)
            .map(|(_, step)| step)
            .collect()
    };
    if let Some(found) = replay(&writes) {
        (steps, failure) = (writes, found);
    }
    let mut size = steps.len() / 2;
    while size > 0 && start.elapsed() < SHRINKING {
        let mut at = 0;
        while at + size < steps.len() && start.elapsed() < SHRINKING {
            let mut fewer = steps.clone();
            fewer.drain(at..at + size);
            // A table that is missing fails on its own.
            let makes = |steps: &[Step]| {
                steps
                    .iter()
                    .filter(|step| matches!(step, Step::Make(_)))
                    .count()
            };
            let shrunk = (makes(&fewer) == makes(&steps))
                .then(|| replay(&fewer))
                .flatten();
            match shrunk {
                Some(found) => (steps, failure) = (fewer, found),
                None => at += size,
            }
        }
        size /= 2;
    }
    (steps, failure)
}

/// The canary: a comparison that finds nothing wrong would pass with everything wrong.
#[test]
fn a_difference_is_found_and_told_with_few_steps() {
    let mut random = Random(7);
    let mut episode = Episode::new(StoreOptions::default());
    let tables = populate(&mut episode, &mut random);
    let run = |sql: &str, writes: bool| {
        Step::Run(Statement {
            writes: writes.then(|| "p".to_owned()),
            ..Statement::new(sql)
        })
    };
    small_steps(&mut episode, &mut random, &tables, &AtomicBool::new(false));
    assert_eq!(episode.failure, None);
    if episode.world.is_open() {
        episode.step(run("ROLLBACK", false));
    }
    episode.step(run(
        "INSERT OR REPLACE INTO p VALUES (1000, 'here', 1, NULL)",
        true,
    ));
    episode.step(Step::Spoil("DELETE FROM p WHERE c0 = 1000"));
    episode.step(run("SELECT c1 FROM p WHERE c0 = 1000", false));
    let failure = episode.failure.take().unwrap();
    assert!(failure.starts_with("other rows"), "{failure}");
    let (steps, failure) = shrink(&episode.options, episode.steps, failure);
    assert!(failure.starts_with("other rows"), "{failure}");
    let others = steps.iter().filter(|step| !matches!(step, Step::Make(_)));
    assert_eq!(
        others.count(),
        3,
        "the row, its loss, and the query: {steps:?}"
    );
}

/// What the seeds make, on two threads, until there are statements enough.
#[test]
fn generated_statements_do_the_same_on_tonbo_tables_and_in_sqlite() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<f64>().ok();
    let base: u64 = std::env::var("HEDDLE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let long = number("HEDDLE_LONG_MINUTES").map(|minutes| Duration::from_secs_f64(60.0 * minutes));
    let start = Instant::now();
    let (next, statements, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let is_enough = || match long {
        Some(time) => start.elapsed() >= time,
        // Relaxed, here and below: counts of their own, read for certain after the threads have been joined.
        None => statements.load(Ordering::Relaxed) >= STATEMENTS,
    };
    let work = || {
        while !is_enough() && !stop.load(Ordering::Relaxed) {
            let seed = base.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
            match std::panic::catch_unwind(|| run_seed(seed, &stop)) {
                Ok(Ok(count)) => {
                    statements.fetch_add(count, Ordering::Relaxed);
                }
                Ok(Err(failure)) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some(failure);
                }
                Err(_) => {
                    stop.store(true, Ordering::Relaxed);
                    return Some(format!("HEDDLE_SEED={seed} panics"));
                }
            }
        }
        None
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!(
        "{} statements of {} seeds in {:?}",
        statements.load(Ordering::Relaxed),
        next.load(Ordering::Relaxed),
        start.elapsed()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
