//! A database and its connections, for tests of the engine through SQL.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod faults;
pub mod twins;

use std::sync::Arc;

use heddle_store::activity::Activity;
use heddle_store::commit::mover;
use heddle_store::error::StoreError;
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::session::{Discard, Session, Sink};
use heddle_store::statement::Statement;
use heddle_store::store::{Store, StoreOptions};
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

/// A result.
pub type Rows = Vec<Vec<Value>>;

/// A database in memory and its connections.
pub struct Database {
    pub io: SharedIo,
    pub store: Arc<Store>,
}

impl Database {
    pub fn new() -> Database {
        Database::on(Arc::new(MemoryIo::new()))
    }

    pub fn on(io: SharedIo) -> Database {
        Database::try_on(io).unwrap()
    }

    pub fn try_on(io: SharedIo) -> Result<Database, StoreError> {
        Database::open(io, &StoreOptions::default())
    }

    pub fn open(io: SharedIo, options: &StoreOptions) -> Result<Database, StoreError> {
        let store = Store::open(io.clone(), options)?;
        Ok(Database { io, store })
    }

    pub fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    pub fn try_connect(&self) -> Result<Connection, StoreError> {
        Ok(Connection(Session::open(
            &self.store,
            Arc::new(Activity::default()),
        )?))
    }

    /// Moves what is committed into Tonbo, and all of it into files.
    pub fn flush(&self) {
        self.try_flush().unwrap();
    }

    pub fn try_flush(&self) -> Result<(), StoreError> {
        mover::round(&self.store)?;
        let ids: Vec<_> = self
            .store
            .sequencer
            .published()
            .tables
            .keys()
            .copied()
            .collect();
        for id in ids {
            let _writing = self.store.mover.writing();
            mover::write_files(&self.store, id, Due::Any)?;
        }
        Ok(())
    }

    pub fn reopen(self) -> Database {
        self.store.close().unwrap();
        let io = self.io.clone();
        drop(self);
        Database::on(io)
    }
}

/// A connection to a [`Database`].
pub struct Connection(pub Session);

/// Keeps all rows.
pub struct Collect(pub Rows);

impl Sink for Collect {
    fn columns(&mut self, _names: Vec<String>) -> Result<(), StoreError> {
        Ok(())
    }
    fn row(&mut self, statement: &Statement) -> Result<(), StoreError> {
        self.0.push(
            (0..statement.column_count())
                .map(|column| statement.value(column))
                .collect(),
        );
        Ok(())
    }
}

impl Connection {
    pub fn try_rows(&self, sql: &str) -> Result<Rows, StoreError> {
        let mut rows = Collect(Vec::new());
        self.0.run(sql, &Parameters::none(), &mut rows)?;
        Ok(rows.0)
    }

    pub fn rows(&self, sql: &str) -> Rows {
        self.try_rows(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The integers of a result with one column.
    pub fn integers(&self, sql: &str) -> Vec<i64> {
        let one = |row: &Vec<Value>| match row[..] {
            [Value::Integer(value)] => value,
            _ => panic!("{sql}: {row:?}"),
        };
        self.rows(sql).iter().map(one).collect()
    }

    pub fn run(&self, sql: &str) -> i64 {
        self.0
            .run(sql, &Parameters::none(), &mut Discard)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
            .changes
    }

    pub fn fails(&self, sql: &str) -> StoreError {
        self.try_rows(sql).expect_err(sql)
    }
}

/// An integer of a result.
pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(value) => *value,
        other => panic!("not an integer: {other:?}"),
    }
}
