//! Four connections on four threads over one store do what native SQLite does alone.
//!
//! - *Reads*: all four ask the same questions at once, each beginning with another; every answer is native SQLite's.
//! - *Writes*: four writers at once. Each has a table of its own, which any statement may change, and a quarter of the keys of a table that
//!   all of them write. So what one is told does not depend on the others: native SQLite is told the same by one writer after the other, and
//!   has the same tables in the end.
//!
//! The mover works beside them. What is asked follows from the seed; how the threads meet does not.

use std::thread;

use heddle_store::store::StoreOptions;
use heddle_store::table::base::CHUNK_ROWS;

use super::outcome::{Outcome, difference, run_natively, shown};
use super::world::{Engine, Step, World};
use crate::engine::Database;
use crate::generator::table::{Column, Key, Table};
use crate::generator::value::Kind;
use crate::generator::{Statement, select, write};
use crate::random::Random;

/// Connections that run at once, each on a thread of its own.
const THREADS: usize = 4;

/// Queries of a seed, each of which every thread asks, and statements of each writer.
const QUERIES: usize = 60;
const WRITES: usize = 60;

/// Each writer's keys of the table that all of them write.
const KEYS: i64 = 100;

/// A statement, and what native SQLite did.
pub struct Told {
    statement: Statement,
    outcome: Outcome,
}

/// One seed's databases.
pub struct Crowd {
    random: Random,
    pub world: World,
    tables: Vec<Table>,
}

impl Crowd {
    /// Databases with the same tables: one of each writer, one that they share, and an ordinary one.
    pub fn new(seed: u64) -> Result<Crowd, String> {
        let mut random = Random(seed);
        let options = StoreOptions {
            chunk_rows: *random.pick(&[5, 16, CHUNK_ROWS]),
            cache_size: *random.pick(&[4000, 256 << 20]),
            ..StoreOptions::default()
        };
        let mut world = World::with_mover(&options);
        let mut tables: Vec<Table> = (0..THREADS)
            .map(|thread| Table::random(&mut random, &format!("own{thread}")))
            .collect();
        tables.push(shared_table());
        tables.push(Table::ordinary("p"));
        for table in &tables {
            world.apply(&Step::Make(table.clone()))?;
            let rows = 4 + random.below(22);
            world.apply(&Step::Run(write::fill(&mut random, table, rows)))?;
            if random.chance(50) {
                world.apply(&Step::Flush)?;
            }
        }
        let fill = "INSERT OR IGNORE INTO shared WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 3 FROM n WHERE i < 400) \
                    SELECT i, i % 7, 't' || i % 9 FROM n WHERE i < 400; CREATE INDEX by_c2 ON shared(c2)";
        for sql in fill.split("; ") {
            world.apply(&Step::Run(Statement::new(sql)))?;
        }
        Ok(Crowd {
            random,
            world,
            tables,
        })
    }

    /// All threads ask the same; returns how many answers they got.
    pub fn read(&mut self) -> Result<usize, String> {
        let questions: Vec<Told> = (0..QUERIES)
            .map(|_| {
                let statement = select::select(&mut self.random, &self.tables);
                let outcome = run_natively(&self.world.native, &statement);
                Told { statement, outcome }
            })
            .collect();
        let turns: Vec<Vec<&Told>> = (0..THREADS)
            .map(|thread| {
                let first = thread * QUERIES / THREADS;
                let (before, behind) = questions.split_at(first);
                behind.iter().chain(before).collect()
            })
            .collect();
        self.at_once(&turns)?;
        Ok(2 * THREADS * QUERIES)
    }

    /// Each thread writes what is its own; then all tables are compared, also after reopening. Returns how many statements ran.
    pub fn write(&mut self) -> Result<usize, String> {
        let writers: Vec<Vec<Told>> = (0..THREADS).map(|thread| self.plan(thread)).collect();
        let turns: Vec<Vec<&Told>> = writers.iter().map(|told| told.iter().collect()).collect();
        let count: usize = turns.iter().map(Vec::len).sum();
        self.at_once(&turns)?;
        self.compare_tables()?;
        self.world.apply(&Step::Flush)?;
        self.world.apply(&Step::Reopen)?;
        self.compare_tables()?;
        Ok(2 * count)
    }

    /// A writer's statements, as native SQLite runs them before those of the next.
    fn plan(&mut self, thread: usize) -> Vec<Told> {
        let own = &self.tables[thread..=thread];
        let native = &self.world.native;
        let mut told: Vec<Told> = Vec::new();
        let mut savepoints = 0;
        let mut run = |statement: Statement| {
            let outcome = run_natively(native, &statement);
            let is_open = outcome.is_open;
            told.push(Told { statement, outcome });
            is_open
        };
        let mut is_open = false;
        for _ in 0..WRITES {
            let random = &mut self.random;
            let statement = match random.below(100) {
                0..40 => write::write(random, own),
                40..70 => of_shared(random, thread),
                70..76 => select::select(random, own),
                76..80 if !is_open => write::index(random, own),
                _ if !is_open => {
                    Statement::new(*random.pick(&["BEGIN", "BEGIN", "BEGIN IMMEDIATE"]))
                }
                _ => write::transaction(random, true, savepoints),
            };
            let sql = statement.sql.clone();
            is_open = run(statement);
            savepoints = match is_open {
                true => savepoints_after(&sql, savepoints),
                false => 0,
            };
        }
        if is_open {
            run(Statement::new("COMMIT"));
        }
        told
    }

    /// Runs statements on as many threads as there are lists of them: on Tonbo tables, then on ordinary ones.
    fn at_once(&self, turns: &[Vec<&Told>]) -> Result<(), String> {
        for (name, engine) in [
            ("Tonbo", &self.world.tonbo),
            ("ordinary", &self.world.ordinary),
        ] {
            let is_ordinary = name == "ordinary";
            let database = engine.database();
            let outcomes: Vec<Result<(), String>> = thread::scope(|scope| {
                let threads: Vec<_> = turns
                    .iter()
                    .map(|turn| scope.spawn(move || run_turn(database, turn, is_ordinary)))
                    .collect();
                let threads = threads.into_iter();
                threads
                    .map(|thread| thread.join().unwrap_or_else(|_| Err("a panic".into())))
                    .collect()
            });
            for (thread, outcome) in outcomes.into_iter().enumerate() {
                outcome.map_err(|wrong| format!("thread {thread} on {name} tables: {wrong}"))?;
            }
        }
        Ok(())
    }

    fn compare_tables(&self) -> Result<(), String> {
        for table in &self.tables {
            let content = Statement {
                is_ordered: true,
                ..Statement::new(table.content())
            };
            self.world
                .compare(&content)
                .map_err(|wrong| format!("{} in the end: {wrong}", table.name))?;
        }
        self.world.check_integrity()
    }
}

/// A table of which each writer has some keys.
fn shared_table() -> Table {
    let column = |name: &str, kind| Column {
        name: name.into(),
        kind,
        not_null: false,
        default: None,
        collation: None,
    };
    Table {
        name: "shared".into(),
        columns: vec![
            Column {
                not_null: true,
                ..column("c0", Kind::Integer)
            },
            column("c1", Kind::Integer),
            column("c2", Kind::Text),
        ],
        key: Key::Integer(0),
        key_collations: vec![None],
        checks: Vec::new(),
        indexable: vec![2],
        uniques: Vec::new(),
        is_tonbo: true,
    }
}

/// A statement about a writer's keys of the table that all of them write.
fn of_shared(random: &mut Random, thread: usize) -> Statement {
    let least = thread as i64 * KEYS;
    let key = |random: &mut Random| least + random.below(KEYS);
    let (first, other) = (key(random), key(random));
    let last = (first + random.below(12i64)).min(least + KEYS - 1);
    let range = format!("c0 BETWEEN {first} AND {last}");
    let own = format!("c0 BETWEEN {least} AND {}", least + KEYS - 1);
    let word = format!("t{}", random.below(9));
    let conflict = *random.pick(&["", "OR IGNORE ", "OR REPLACE "]);
    let sql = match random.below(10) {
        0..3 => format!(
            "INSERT {conflict}INTO shared VALUES ({first}, 0, '{word}'), ({other}, NULL, '{word}')"
        ),
        3 | 4 => format!("UPDATE shared SET c1 = c1 + 1, c2 = '{word}' WHERE {range}"),
        5 => format!("UPDATE shared SET c2 = 't0' WHERE c2 = '{word}' AND {own}"),
        6 => format!("UPDATE {conflict}shared SET c0 = {other} WHERE c0 = {first}"),
        7 => format!("DELETE FROM shared WHERE {range}"),
        8 => format!("SELECT * FROM shared WHERE c2 = '{word}' AND {own} ORDER BY c0"),
        _ => format!("SELECT count(*), sum(c1), max(c2) FROM shared WHERE {own}"),
    };
    Statement {
        is_ordered: true,
        ..Statement::new(sql)
    }
}

/// How many savepoints are open behind a statement that left the transaction open.
fn savepoints_after(sql: &str, before: usize) -> usize {
    let number = |prefix: &str| sql.strip_prefix(prefix)?.parse::<usize>().ok();
    let kept = number("SAVEPOINT s").or_else(|| number("ROLLBACK TO s"));
    kept.map(|number| number + 1)
        .or_else(|| number("RELEASE s"))
        .unwrap_or(before)
}

/// One thread's statements, on a connection of its own.
fn run_turn(database: &Database, turn: &[&Told], is_ordinary: bool) -> Result<(), String> {
    let connection = database.connect();
    // Whoever writes ordinary tables waits for the others, however slow the machine is.
    connection.run("PRAGMA busy_timeout = 60000");
    for (position, told) in turn.iter().enumerate() {
        let mut statement = told.statement.clone();
        if is_ordinary && statement.sql == "BEGIN" {
            // Else a transaction that has read could find that another has written since.
            statement.sql = "BEGIN IMMEDIATE".into();
        }
        let found = Engine::run_on(&connection, &statement);
        if let Some(what) = difference(&statement, &told.outcome, &found) {
            let before = turn[..position].iter().map(|told| &told.statement);
            let before: Vec<String> = before
                .map(|statement| format!("{};  -- {:?}", statement.sql, statement.parameters))
                .collect();
            return Err(format!(
                "{}\n{}\n{:?}\n{what}\n  native: {}\n  here: {}",
                before.join("\n"),
                statement.sql,
                statement.parameters,
                shown(&told.outcome),
                shown(&found)
            ));
        }
    }
    Ok(())
}

/// Runs what a seed makes; returns how many statements our engines ran.
pub fn run_seed(seed: u64) -> Result<usize, String> {
    let mut crowd = Crowd::new(seed)?;
    let count = crowd.read()? + crowd.write()?;
    Ok(count + crowd.read()?)
}
