//! One seed's databases and the steps that it makes.

use std::sync::atomic::{AtomicBool, Ordering};

use heddle_store::store::StoreOptions;
use heddle_store::table::base::CHUNK_ROWS;

use super::shrink::report;
use super::world::{Step, World};
use crate::generator::table::{Column, Key, Table};
use crate::generator::value::Kind;
use crate::generator::{Statement, select, write};
use crate::random::Random;

/// How one seed's databases are opened, and its steps so far.
pub struct Episode {
    pub options: StoreOptions,
    pub steps: Vec<Step>,
    pub world: World,
    statements: u64,
    pub failure: Option<String>,
}

impl Episode {
    pub fn new(options: StoreOptions) -> Episode {
        Episode {
            world: World::new(&options),
            options,
            steps: Vec::new(),
            statements: 0,
            failure: None,
        }
    }

    pub fn step(&mut self, step: Step) -> bool {
        if self.failure.is_none() {
            self.statements += u64::from(matches!(step, Step::Run(_)));
            self.failure = self.world.apply(&step).err();
            self.steps.push(step);
        }
        self.failure.is_none()
    }
}

/// Runs what a seed makes; returns how many statements that were.
pub fn run_seed(seed: u64, stop: &AtomicBool) -> Result<u64, String> {
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

pub fn populate(episode: &mut Episode, random: &mut Random) -> Vec<Table> {
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

pub fn small_steps(
    episode: &mut Episode,
    random: &mut Random,
    tables: &[Table],
    stop: &AtomicBool,
) {
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
pub fn large_steps(
    episode: &mut Episode,
    random: &mut Random,
    tables: &[Table],
    stop: &AtomicBool,
) {
    let column = |name: &str, kind, not_null| Column {
        name: name.into(),
        kind,
        not_null,
        default: None,
        collation: None,
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
        key_collations: vec![None, None],
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
