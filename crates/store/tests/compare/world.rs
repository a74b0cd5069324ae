//! The three databases, and the steps that all of them take.

use std::sync::Arc;

use heddle_store::commit::mover;
use heddle_store::io::{MemoryIo, SharedIo};
use heddle_store::parameters::Parameters;
use heddle_store::store::StoreOptions;
use heddle_store::table::unflushed::Due;
use heddle_store::value::Value;

use super::outcome::{Outcome, difference, run_natively, shown};
use crate::engine::{Collect, Connection, Database, Rows};
use crate::generator::Statement;
use crate::generator::table::Table;

/// What happens to the databases.
#[derive(Clone, Debug)]
pub enum Step {
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

/// One of our engines.
pub struct Engine {
    connection: Option<Connection>,
    database: Option<Database>,
    options: StoreOptions,
}

impl Engine {
    pub fn new(options: &StoreOptions) -> Engine {
        let mut engine = Engine {
            connection: None,
            database: None,
            options: options.clone(),
        };
        engine.open(Arc::new(MemoryIo::new()));
        engine
    }

    pub fn open(&mut self, io: SharedIo) {
        let database = Database::open(io, &self.options).unwrap();
        self.connection = Some(database.connect());
        self.database = Some(database);
    }

    pub fn reopen(&mut self) {
        self.connection = None;
        if let Some(database) = self.database.take() {
            database.store.close().unwrap();
            let io = database.io.clone();
            drop(database);
            self.open(io);
        }
    }

    pub fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    pub fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    pub fn run(&self, statement: &Statement) -> Outcome {
        Engine::run_on(self.connection(), statement)
    }

    pub fn run_on(connection: &Connection, statement: &Statement) -> Outcome {
        let session = &connection.0;
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
pub struct World {
    pub tonbo: Engine,
    pub ordinary: Engine,
    pub native: rusqlite::Connection,
    pub tables: Vec<Table>,
}

impl World {
    /// Databases in which the mover's rounds are steps, so that a seed repeats.
    pub fn new(options: &StoreOptions) -> World {
        World::with_mover(&StoreOptions {
            moves_in_background: false,
            ..options.clone()
        })
    }

    /// Databases with what the options say.
    pub fn with_mover(options: &StoreOptions) -> World {
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
    pub fn apply(&mut self, step: &Step) -> Result<(), String> {
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
            Step::Move => mover::round(&self.tonbo.database().store)
                .map_err(|error| format!("the mover: {error}")),
            Step::Flush => {
                for table in self.tables.iter().filter(|table| table.is_tonbo) {
                    let found = self.tonbo.connection().0.table(&table.name);
                    if let Some(table) = found.map_err(|error| error.to_string())? {
                        let _writing = self.tonbo.database().store.mover.writing();
                        mover::flush(&table, Due::Any)
                            .map_err(|error| format!("a flush: {error}"))?;
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
    pub fn check_integrity(&self) -> Result<(), String> {
        let found = self.tonbo.run(&Statement::new("PRAGMA integrity_check"));
        let is_ok = |(rows, _): &(Rows, i64)| *rows == [[Value::Text("ok".into())]];
        match &found.result {
            Ok(result) if is_ok(result) => Ok(()),
            _ => Err(format!("integrity_check: {}", shown(&found))),
        }
    }

    pub fn compare(&self, statement: &Statement) -> Result<(), String> {
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

    pub fn is_open(&self) -> bool {
        !self.native.is_autocommit()
    }
}
