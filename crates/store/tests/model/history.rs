//! One random history, run on the store and on the model together.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use heddle_store::commit::mover;
use heddle_store::error::{StoreError, StoreErrorCode};
use heddle_store::io::{PowerLossIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::store::StoreOptions;
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

use super::canary::Canary;
use super::state::{State, TableName};
use super::transaction::{Commit, Transaction};
use crate::engine::{Collect, Connection, Database};
use crate::random::Random;

pub struct Link {
    pub connection: Connection,
    pub transaction: Option<Transaction>,
}

pub struct History {
    pub random: Random,
    /// In one history of five so small that columns are decoded again all the time.
    pub cache_size: usize,
    /// Few, so that nobody else has a snapshot open now and then, or some.
    pub connections: usize,
    pub io: Arc<PowerLossIo>,
    pub database: Option<Database>,
    pub links: Vec<Link>,
    pub commits: Vec<Commit>,
    pub main_surely: u64,
    pub main_perhaps: u64,
    /// Who may write `main`.
    pub lock: Option<usize>,
    /// The Tonbo tables that have an index now.
    pub indexed: BTreeSet<TableName>,
    /// How many columns were added.
    pub extras: u64,
    /// How many operations have begun.
    pub operation: u64,
    pub log: VecDeque<String>,
    pub canary: Option<Canary>,
    /// What a loss of power some time ago would have left.
    pub stale: Option<PowerLossIo>,
}

impl History {
    pub fn new(seed: u64) -> History {
        let mut history = History {
            random: Random(seed),
            cache_size: if seed.is_multiple_of(5) {
                4 << 10
            } else {
                1 << 20
            },
            connections: if seed.is_multiple_of(3) { 2 } else { 4 },
            io: Arc::new(PowerLossIo::new()),
            database: None,
            links: Vec::new(),
            commits: vec![Commit {
                state: State::default(),
                written: BTreeSet::new(),
                is_mixed: false,
                imported: None,
            }],
            main_surely: 0,
            main_perhaps: 0,
            lock: None,
            indexed: BTreeSet::new(),
            extras: 0,
            operation: 0,
            log: VecDeque::new(),
            canary: None,
            stale: None,
        };
        history.open();
        for table in TableName::ALL {
            let name = &history.schema(0, table).name;
            history.links[0].connection.run(&table.create(name));
        }
        history
    }

    /// The last operations.
    pub fn tail(&self) -> String {
        Vec::from_iter(self.log.iter().cloned()).join("\n")
    }

    pub fn run(&mut self, operations: u64) {
        for _ in 0..operations {
            self.operation += 1;
            self.step();
        }
        self.reopen();
        for table in TableName::ALL {
            self.read_all(0, table);
        }
    }

    fn step(&mut self) {
        let who = self.random.below(self.connections as u64) as usize;
        self.release_canary(who);
        let is_inside = self.links[who].transaction.is_some();
        match self.random.below(1000) {
            0..60 if is_inside => self.end(who, true),
            60..90 if is_inside => self.end(who, false),
            90..170 if is_inside => self.savepoint(who),
            0..150 if !is_inside => self.begin(who),
            150..164 if !is_inside => self.import(who),
            164..170 if !is_inside => self.change_schema(who),
            170..180 if is_inside => self.alter_inside(who),
            170..185 => self.maintain(),
            185..188 => self.reopen(),
            188..191 => self.lose_power(),
            191..600 => self.write(who),
            _ => self.read(who),
        }
    }

    // Opening and closing.

    pub fn open(&mut self) {
        let options = StoreOptions {
            cache_size: self.cache_size,
            moves_in_background: false,
            ..StoreOptions::default()
        };
        let io: SharedIo = self.io.clone();
        let database = Database::open(io, &options).unwrap();
        self.links = (0..self.connections)
            .map(|_| {
                let connection = database.connect();
                // One thread runs all connections: nobody would let a lock go while another waits for it.
                connection.run("PRAGMA busy_timeout = 0");
                Link {
                    connection,
                    transaction: None,
                }
            })
            .collect();
        self.database = Some(database);
        self.lock = None;
    }

    pub fn reopen(&mut self) {
        self.note("reopen".into());
        self.links.clear();
        if let Some(database) = self.database.take() {
            database.store.close().unwrap();
        }
        self.open();
    }

    pub fn lose_power(&mut self) {
        self.note("lose power".into());
        let survivor = self.io.crash(self.random.next());
        let survivor = match self.stale.take() {
            Some(stale) if self.canary == Some(Canary::LostDurability) => stale,
            _ => survivor,
        };
        self.links.clear();
        self.database = None;
        self.io = Arc::new(survivor);
        self.open();
        for table in TableName::ALL {
            self.read_all(0, table);
        }
    }

    pub fn maintain(&mut self) {
        let store = &self.database.as_ref().unwrap().store;
        mover::round(store).unwrap();
        let mut text = String::from("move");
        if self.random.chance(40) {
            let published = store.sequencer.published();
            let index = self.random.below(published.tables.len() as u64) as usize;
            let (id, version) = published.tables.iter().nth(index).unwrap();
            let _writing = store.mover.writing();
            mover::write_files(store, *id, Due::Any).unwrap();
            text = format!("move, flush {}", version.table.name());
        }
        self.note(text);
    }

    // Talking to the store.

    pub fn statement(
        &mut self,
        who: usize,
        sql: &str,
    ) -> Result<(Vec<Vec<Value>>, i64), StoreError> {
        let mut rows = Collect(Vec::new());
        let outcome = self.links[who]
            .connection
            .0
            .run(sql, &Parameters::none(), &mut rows);
        let said = match &outcome {
            Ok(outcome) => format!("{} rows, {} changes", rows.0.len(), outcome.changes),
            Err(error) => format!("{:?}: {}", error.code, error.message),
        };
        self.note(format!("[{who}] {sql} → {said}"));
        outcome.map(|outcome| (rows.0, outcome.changes))
    }

    pub fn expect_done(&mut self, who: usize, sql: &str, changes: i64) {
        let (_, counted) = self
            .statement(who, sql)
            .unwrap_or_else(|error| panic!("[{who}] {sql}: {error:?}"));
        assert_eq!(counted, changes, "changes of {sql}");
    }

    pub fn expect_error(&mut self, who: usize, sql: &str, codes: &[StoreErrorCode]) {
        match self.statement(who, sql) {
            Ok(_) => panic!("[{who}] {sql}: succeeded instead of {codes:?}"),
            Err(error) => assert!(codes.contains(&error.code), "[{who}] {sql}: {error:?}"),
        }
    }

    pub fn note(&mut self, line: String) {
        if self.log.len() == 150 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{}: {line}", self.operation));
    }
}
