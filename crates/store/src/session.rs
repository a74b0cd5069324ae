//! A connection: SQLite's handle, its transaction on Tonbo tables, and the Tonbo tables that it has declared.
//!
//! A session belongs to one thread at a time. It runs every statement of its connection itself, and so knows when a transaction ends, even
//! one that only read: SQLite calls no xCommit for those.

use std::cell::{Cell, RefCell, RefMut};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::ffi;

use crate::activity::{self, Activity};
use crate::alter;
use crate::catalogue;
use crate::commit::log;
use crate::decimal;
use crate::declared::Declared;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::guard::{self, Guard};
use crate::index::statement::{self as index_statement, Changed};
use crate::module;
use crate::names;
use crate::parameters::{Binder, Parameters};
use crate::parents;
use crate::routing::{self, Change};
use crate::savepoints::{self, Savepoints, Verb};
use crate::schema::TableSchema;
use crate::settings::BUSY_TIMEOUT;
use crate::sqlite;
use crate::statement::{Handle, Statement};
use crate::store::{Files, Store};
use crate::table::version::Sequence;
use crate::table::{Table, TableId};
use crate::transaction::Transaction;
use crate::value::Value;
use crate::view::{self, parse::Kind};

/// SQLite's virtual machine instructions between two looks at the interrupt word: some microseconds.
const PROGRESS_INSTRUCTIONS: c_int = 2000;

/// How long a statement waits for the writer of the ordinary tables, in milliseconds.
const BUSY_WAIT_MS: f64 = 5000.0;

/// Between two looks whether a statement that waits for the writer is interrupted.
const BUSY_PATIENCE: Duration = Duration::from_millis(10);

/// How often a statement begins because the schema, or tables that it names, were altered meanwhile.
const ATTEMPTS_MAX: u32 = 10;

/// See the module's documentation.
pub struct Session {
    // Boxed: the module and the progress handler point at it.
    shared: Box<Shared>,
}

/// What the module's callbacks see of their connection.
pub struct Shared {
    /// The database.
    pub store: Arc<Store>,
    /// The connection.
    pub handle: Handle,
    /// How others see what runs here, and interrupt it.
    pub activity: Arc<Activity>,
    /// What users' statements may not do, and what they have set.
    pub guard: Guard,
    /// The transaction on Tonbo tables, once one was read or written.
    transaction: RefCell<Option<Transaction>>,
    /// A transaction whose commit has failed behind xSync, of which only `main` knows whether it stands: the statement's end looks.
    undecided: RefCell<Option<Transaction>>,
    /// Whether the store may still have to settle one of this connection's.
    left_undecided: Cell<bool>,
    /// Whether SQLite has rolled back, while this statement ran, what was written to Tonbo tables.
    was_rolled_back: Cell<bool>,
    /// Whether a statement has begun and not come to its end: it runs, or has panicked.
    has_begun: Cell<bool>,
    /// The catalogue's tables that are declared in `temp`.
    pub declared: Declared,
    /// What the module's xCreate and xDestroy are called for.
    pub purpose: RefCell<Purpose>,
    /// Tables that the open transaction has made and dropped, those of indexes' entries included.
    pub made: RefCell<Vec<TableId>>,
    /// See `made`.
    pub dropped: RefCell<Vec<TableId>>,
    /// Whether the open transaction has altered a table, or made, altered or dropped a view or trigger of the catalogue.
    has_altered: Cell<bool>,
    /// The open savepoints.
    savepoints: RefCell<Savepoints>,
    /// Whether SQLite has let go of a declared table in the open transaction, and so won't tell it what becomes of it.
    has_destroyed: Cell<bool>,
    /// What the open transaction has done to indexes.
    pub indexes: RefCell<Changed>,
    /// What the sequencer knows this transaction by, while one is open.
    entered: Cell<Option<Sequence>>,
    /// Rows that SQLite has counted as changed though no user's statement did.
    uncounted: Cell<i64>,
    last_mixed: RefCell<Option<Statement>>,
    /// The last error about a key that a callback returned: SQLite passes on its code and message alone.
    refused: RefCell<Option<StoreError>>,
    /// When the wait for the writer of the ordinary tables began.
    busy_since_ms: Cell<f64>,
    /// The user's `busy_timeout`, while the connection waits as [`wait_for_writer`] does in its place.
    busy_timeout_ms: Cell<Option<i64>>,
}

/// What the module's xCreate and xDestroy are called for.
#[derive(Clone, Debug, Default)]
pub enum Purpose {
    /// A user's statement: the catalogue changes.
    #[default]
    Statement,
    /// A user's `CREATE VIRTUAL TABLE IF NOT EXISTS`.
    StatementIfNotExists,
    /// A table of the catalogue is declared here.
    Declare(catalogue::Entry),
    /// A table that left the catalogue is forgotten here.
    Forget,
}

/// What a call has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows inserted, updated and deleted.
    pub changes: i64,
    /// The row id of the connection's last insert.
    pub last_insert_rowid: i64,
}

/// Where a statement's rows go.
pub trait Sink {
    /// The names of the columns, once before the rows; not called for statements that return none.
    fn columns(&mut self, names: Vec<String>) -> StoreResult<()>;
    /// A row.
    fn row(&mut self, statement: &Statement) -> StoreResult<()>;
}

/// A sink that drops rows.
pub struct Discard;

impl Sink for Discard {
    fn columns(&mut self, _names: Vec<String>) -> StoreResult<()> {
        Ok(())
    }
    fn row(&mut self, _statement: &Statement) -> StoreResult<()> {
        Ok(())
    }
}

impl Session {
    /// A new connection to a database.
    pub fn open(store: &Arc<Store>, activity: Arc<Activity>) -> StoreResult<Session> {
        let handle = store.connect()?;
        let shared = Box::new(Shared {
            store: store.clone(),
            handle,
            activity,
            guard: Guard::new(store.durability()),
            transaction: RefCell::new(None),
            undecided: RefCell::new(None),
            left_undecided: Cell::new(false),
            was_rolled_back: Cell::new(false),
            has_begun: Cell::new(false),
            declared: Declared::default(),
            purpose: RefCell::new(Purpose::Statement),
            made: RefCell::new(Vec::new()),
            dropped: RefCell::new(Vec::new()),
            has_altered: Cell::new(false),
            savepoints: RefCell::default(),
            has_destroyed: Cell::new(false),
            indexes: RefCell::default(),
            entered: Cell::new(None),
            uncounted: Cell::new(0),
            last_mixed: RefCell::new(None),
            refused: RefCell::new(None),
            busy_since_ms: Cell::new(0.0),
            busy_timeout_ms: Cell::new(None),
        });
        let session = Session { shared };
        decimal::register(handle)?;
        module::register(&session.shared)?;
        let pointer: *const Shared = &raw const *session.shared;
        // SAFETY: the handler is called only while the connection is open, and `shared` outlives it.
        unsafe {
            ffi::sqlite3_progress_handler(
                handle.raw(),
                PROGRESS_INSTRUCTIONS,
                Some(look_up),
                pointer.cast_mut().cast(),
            )
        };
        session.shared.wait_when_busy();
        Guard::register(&session.shared)?;
        session.shared.declared.mistrust();
        session.shared.declared.refresh(&session.shared)?;
        Ok(session)
    }

    /// The database.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Runs one or more statements. Positional parameters are used up from the first statement to the last.
    pub fn run(
        &self,
        sql: &str,
        parameters: &Parameters,
        sink: &mut dyn Sink,
    ) -> StoreResult<Outcome> {
        activity::while_running(&self.shared.activity, || {
            self.run_all(sql, parameters, sink)
        })
    }

    fn run_all(
        &self,
        sql: &str,
        parameters: &Parameters,
        sink: &mut dyn Sink,
    ) -> StoreResult<Outcome> {
        let shared = &*self.shared;
        if let Some(offset) = sql.find('\0') {
            // SQLite takes it for the end of the text, and would silently leave out what follows.
            let mut error =
                StoreError::new(StoreErrorCode::SqlError, "a NUL character in the SQL text");
            error.offset = i32::try_from(offset).ok();
            return Err(error);
        }
        let before = shared.changes();
        let mut binder = Binder::new(parameters);
        let mut at = 0;
        while at < sql.len() {
            let outcome = shared.run_next(&sql[at..], &mut binder, sink);
            let length = outcome.map_err(|mut error| {
                error.offset = error.offset.map(|offset| offset + at as i32);
                error
            })?;
            at += length;
        }
        Ok(Outcome {
            changes: shared.changes() - before,
            last_insert_rowid: shared.handle.last_insert_rowid(),
        })
    }

    /// The connection, for statements of the engine's own.
    pub(crate) fn handle(&self) -> Handle {
        self.shared.handle
    }

    /// The Tonbo table of that name, without regard to case, if there is one.
    pub fn table(&self, name: &str) -> StoreResult<Option<Arc<Table>>> {
        let entry = catalogue::find(self.shared.handle, name)?;
        entry
            .map(|entry| self.shared.store.table(entry.id))
            .transpose()
    }

    /// What the catalogue says of the Tonbo table of that name.
    pub(crate) fn entry(&self, name: &str) -> StoreResult<Option<catalogue::Entry>> {
        catalogue::find(self.shared.handle, name)
    }

    /// What others see of what runs here, and interrupt it by.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.shared.activity
    }

    /// Whether an explicit transaction is open.
    pub fn is_in_transaction(&self) -> bool {
        !self.shared.handle.is_autocommit()
    }

    /// Gives the connection the settings back that it was opened with, behind [`Session::reset`].
    pub fn restore_settings(&self) -> StoreResult<()> {
        let shared = &*self.shared;
        let busy = || shared.wait_when_busy();
        shared.guard.settings.restore(shared.handle, busy)
    }

    /// Has users' statements write the store's own tables, too: tests look at what comes of that.
    pub fn lift_guard(&self) {
        self.shared.guard.lift();
    }

    /// Rolls back what is open.
    pub fn reset(&self) -> StoreResult<()> {
        self.shared.roll_back()?;
        self.shared.end_statement(None);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A failure to roll back leaves nothing behind that was acknowledged.
        let _rolled_back = self.reset();
        self.shared.last_mixed.replace(None);
        self.shared.handle.close();
    }
}

impl Shared {
    /// Has this connection wait for locks as [`wait_for_writer`] does.
    fn wait_when_busy(&self) {
        let pointer: *const Shared = self;
        // SAFETY: the handler is called only while the connection is open, and `self` outlives it, as the session sees to it.
        unsafe {
            ffi::sqlite3_busy_handler(
                self.handle.raw(),
                Some(wait_for_writer),
                pointer.cast_mut().cast(),
            )
        };
    }

    /// xSync is about to give the transaction a number, for which others wait as long as this one waits for an attached file: where the user has
    /// set a `busy_timeout`, SQLite's own wait would have no bound, and heed no interrupt.
    pub fn bound_wait(&self) -> StoreResult<()> {
        if !self.guard.settings.has_set(BUSY_TIMEOUT) || self.handle.attached().is_empty() {
            return Ok(());
        }
        let mut statement = self.handle.statement("PRAGMA busy_timeout")?;
        if let Some([Value::Integer(timeout_ms)]) = statement.first(&[])?.as_deref() {
            self.busy_timeout_ms.set(Some(*timeout_ms));
            self.wait_when_busy();
        }
        Ok(())
    }

    /// Gives the user back the wait that [`Shared::bound_wait`] has replaced.
    fn unbind_wait(&self) {
        if let Some(timeout_ms) = self.busy_timeout_ms.take() {
            let timeout_ms = c_int::try_from(timeout_ms).unwrap_or(c_int::MAX);
            // SAFETY: the connection is open.
            unsafe { ffi::sqlite3_busy_timeout(self.handle.raw(), timeout_ms) };
        }
    }

    /// The open transaction, beginning one where there is none: `main`'s snapshot and the Tonbo tables' are taken together.
    pub fn transaction(&self) -> StoreResult<RefMut<'_, Transaction>> {
        let mut transaction = self.transaction.borrow_mut();
        if transaction.is_none() {
            let mut statement = self.last_mixed.borrow_mut();
            let statement = match &mut *statement {
                Some(statement) => statement,
                empty => empty.insert(log::last_mixed_statement(self.handle)?),
            };
            let mut changes = 0;
            let snapshot = self.store.sequencer.snapshot_of(|| {
                let (mixed, counted) = log::last_mixed(statement)?;
                changes = counted;
                Ok(mixed)
            })?;
            self.declared.note_snapshot(self, changes)?;
            *transaction = Some(Transaction::new(snapshot, &self.store.memory));
        }
        RefMut::filter_map(transaction, Option::as_mut).map_err(|_| {
            StoreError::new(StoreErrorCode::EngineFailed, "a transaction has vanished")
        })
    }

    /// The open transaction, if there is one.
    pub fn open_transaction(&self) -> RefMut<'_, Option<Transaction>> {
        self.transaction.borrow_mut()
    }

    /// Whether whatever runs here should stop.
    pub fn is_interrupted(&self) -> bool {
        self.activity.is_interrupted()
    }

    /// Runs statements of our own inside a user's: what they change is neither counted nor the last row inserted.
    pub fn unnoticed<R>(&self, run: impl FnOnce() -> R) -> R {
        let (before, rowid) = (self.handle.total_changes(), self.handle.last_insert_rowid());
        let uncounted = self.uncounted.get();
        let result = run();
        // What `run` has noted itself, as by a commit inside of it, is among these.
        let own = self.handle.total_changes() - before;
        self.uncounted.set(uncounted + own);
        self.handle.set_last_insert_rowid(rowid);
        result
    }

    /// Runs statements of our own that make or drop a table for another reason than a user's wish.
    pub fn with_purpose<R>(&self, purpose: Purpose, run: impl FnOnce() -> R) -> R {
        self.purpose.replace(purpose);
        let result = run();
        self.purpose.replace(Purpose::Statement);
        result
    }

    /// A table was altered, or almost: once the transaction has ended, every connection declares it as the catalogue has it then.
    pub fn note_altered(&self, id: TableId) {
        self.declared.forget(id);
        self.has_altered.set(true);
    }

    /// The views and triggers of the catalogue are others once the transaction is committed.
    pub fn note_views(&self) {
        self.has_altered.set(true);
    }

    /// The next statement looks at the catalogue again.
    pub fn forget_catalogue_version(&self) {
        self.declared.mistrust();
    }

    /// SQLite lets go of a declared table: it is dropped, or declared anew.
    pub fn note_destroyed(&self) {
        self.has_destroyed.set(true);
    }

    /// What SQLite has let go of until now is of no interest any more.
    pub fn forget_destroyed(&self) {
        self.has_destroyed.set(false);
    }

    /// xRollback: lets go of the transaction.
    pub fn take_rolled_back(&self) -> StoreResult<()> {
        self.was_rolled_back.set(true);
        match self.transaction.take() {
            Some(transaction) if transaction.in_main().is_some() => {
                self.undecided.replace(Some(transaction));
                Ok(())
            }
            Some(transaction) => transaction.roll_back(&self.store),
            None => Ok(()),
        }
    }

    /// Settles what [`Shared::take_rolled_back`] could not. A commit to several files is one to each of them, and `main` is the first: where an
    /// attached one fails behind it, the commit stands in `main`, and so do its changes to Tonbo tables, which are told there. Where `main` can't be
    /// read now, the store goes on asking: all others wait, and this connection may idle, or go.
    fn decide(&self) {
        let Some(transaction) = self.undecided.take() else {
            return;
        };
        match transaction.is_in_main(self.handle) {
            Ok(is_in_main) => self.store.settle(transaction, is_in_main),
            Err(_) => {
                self.left_undecided.set(true);
                self.store.leave_undecided(transaction);
            }
        }
    }

    /// Has a commit settled that was left to the store before this connection goes on: a transaction that is tried again would meet it.
    fn await_decision(&self) -> StoreResult<()> {
        if !self.left_undecided.get() {
            return Ok(());
        }
        match self.store.decide() {
            // It waits for others' numbers.
            Err(error) if error.code == StoreErrorCode::Busy => return Ok(()),
            outcome => outcome?,
        }
        self.left_undecided.set(false);
        Ok(())
    }

    /// Rolls back the transaction that is open, if one is.
    fn roll_back(&self) -> StoreResult<()> {
        match self.handle.is_autocommit() {
            true => Ok(()),
            false => self.handle.execute("ROLLBACK"),
        }
    }

    /// Rolls back a transaction that SQLite has kept open though its commit was refused behind xSync, as an attached file that others read refuses
    /// it: all who commit to Tonbo tables wait for its number, and it can't go on, for what it has written is logged.
    fn end_refused(&self) -> StoreResult<()> {
        let transaction = self.transaction.borrow();
        let is_reserved = transaction.as_ref().is_some_and(Transaction::is_reserved);
        drop(transaction);
        match is_reserved {
            true => self.roll_back(),
            false => Ok(()),
        }
    }

    /// Runs `body` as a savepoint of the open transaction, or a transaction of its own: all of it is done, or nothing.
    pub fn in_savepoint<R>(&self, body: impl FnOnce() -> StoreResult<R>) -> StoreResult<R> {
        let name = || "heddle".to_owned();
        let run = |sql: &str, verb: Verb| {
            let was_autocommit = self.handle.is_autocommit();
            self.handle.execute(sql)?;
            self.follow_savepoint(&verb, was_autocommit)
        };
        let is_alone = self.handle.is_autocommit();
        run("SAVEPOINT heddle", Verb::Begin(name()))?;
        let rest = || {
            let done = body()?;
            run("RELEASE heddle", Verb::Release(name()))?;
            Ok(done)
        };
        // What left the savepoint open, by a panic say, would have what comes later in it, acknowledged and never committed.
        let outcome = catch_unwind(AssertUnwindSafe(rest)).unwrap_or_else(|payload| {
            Err(StoreError::of_panic("a part of a statement", &*payload))
        });
        if outcome.is_err() {
            // Where it fails, it is tried again behind the statement.
            let _ended = self.end_refused();
        }
        if outcome.is_err() && !self.handle.is_autocommit() {
            // The first error is the one to tell.
            let _undone = run("ROLLBACK TO heddle", Verb::RollBackTo(name()))
                .and_then(|()| run("RELEASE heddle", Verb::Release(name())));
            if is_alone {
                let _ended = self.roll_back();
            }
        }
        outcome
    }

    /// A statement about a savepoint has run. Tables that SQLite has let go of are not told by it: what they have written since the savepoint
    /// is undone here, and those that stand again take part in the commit again.
    fn follow_savepoint(&self, verb: &Verb, was_autocommit: bool) -> StoreResult<()> {
        let number = self.savepoints.borrow_mut().follow(verb, was_autocommit);
        let (Some(number), true) = (number, self.has_destroyed.get()) else {
            return Ok(());
        };
        let written = match &mut *self.transaction.borrow_mut() {
            Some(transaction) => {
                let written = transaction.written();
                for table in &written {
                    match verb {
                        Verb::Begin(_) => {}
                        Verb::Release(_) => transaction.release(*table, number),
                        Verb::RollBackTo(_) => {
                            transaction.roll_back_to(&self.store, *table, number)
                        }
                    }
                }
                written
            }
            None => return Ok(()),
        };
        if matches!(verb, Verb::RollBackTo(_)) {
            for table in written {
                self.unnoticed(|| index_statement::enlist(self, table))?;
            }
        }
        Ok(())
    }

    /// A callback returns an error about a key.
    pub fn note_refused(&self, error: StoreError) {
        self.refused.replace(Some(error));
    }

    /// A statement's error, with the key that it is about where a callback has noted it. What the callback refused may have been passed over, and
    /// the statement have failed for another reason: then the words differ.
    fn with_key(&self, mut error: StoreError) -> StoreError {
        let refused = self.refused.take();
        if let Some(refused) = refused
            && error.key.is_none()
            && (error.code, &error.message) == (refused.code, &refused.message)
        {
            error.key = refused.key;
        }
        error
    }

    /// Whether the open transaction has altered a table.
    pub fn has_altered(&self) -> bool {
        self.has_altered.get()
    }

    /// SQLite is about to count a row that nothing was done with.
    pub fn uncount(&self) {
        self.uncounted.set(self.uncounted.get() + 1);
    }

    /// Rows that users' statements have inserted, updated and deleted.
    fn changes(&self) -> i64 {
        self.handle.total_changes() - self.uncounted.get()
    }

    fn begin_statement(&self, sql: &str) -> StoreResult<()> {
        if self.has_begun.get() {
            // The one before has panicked. What it saw is not what this one sees.
            self.end_statement(None);
        }
        self.has_begun.set(true);
        self.was_rolled_back.set(false);
        // What the end of the statement before should have done, where that has failed.
        self.end_refused()?;
        self.decide();
        self.await_decision()?;
        if self.entered.get().is_none() {
            self.entered.set(Some(self.store.sequencer.enter()));
        }
        if self.handle.is_autocommit() {
            self.declared.refresh(self)?;
        } else if self.declared.is_behind(self) && !routing::is_about_transactions(sql) {
            // Of ordinary tables that the transaction writes no trigger may be missing. Whatever is wrong with the catalogue, it can be ended.
            view::refresh(self)?;
        }
        Ok(())
    }

    /// A transaction that has read cannot wait for the writer of the ordinary tables, as SQLite has it: it may never become one itself. What
    /// helps is to begin again.
    fn retryable(&self, mut error: StoreError) -> StoreError {
        if error.code == StoreErrorCode::Busy && self.is_interrupted() {
            error.code = StoreErrorCode::Interrupted;
        } else if error.code == StoreErrorCode::Busy && !self.handle.is_autocommit() {
            let who = match self.handle.attached().is_empty() {
                true => "another connection writes the ordinary tables",
                false => "another connection writes the ordinary tables, or has an attached file",
            };
            error.code = StoreErrorCode::Conflict;
            error.message = format!("{}: {who}; roll back and try again", error.message);
        }
        error
    }

    /// Ends the transaction that a refused COMMIT, or RELEASE of the savepoint that began it, leaves open: SQLite keeps it where an attached file
    /// that others read is busy; and without its changes, in the savepoint, where it has rolled back. `error` tells.
    fn end_uncommitted(&self, sql: &str, error: StoreError) -> StoreError {
        let is_busy = error.sqlite_code == Some(ffi::SQLITE_BUSY);
        let is_left = is_busy || self.was_rolled_back.get();
        if !routing::may_commit(sql) || self.handle.is_autocommit() || !is_left {
            return self.retryable(error);
        }
        let told = error.message.clone();
        let mut error = self.retryable(error);
        // Where it fails, it is tried again behind the statement, or the transaction is seen to be open.
        if self.roll_back().is_ok() && is_busy && error.code == StoreErrorCode::Conflict {
            let who = match self.handle.attached().is_empty() {
                true => told.as_str(),
                false => {
                    "another connection reads or writes an attached file that this transaction has written"
                }
            };
            error.message = format!("{who}: it was rolled back, try again");
        }
        error
    }

    /// Runs the first statement of a text and returns the length of its part. One that SQLite could not prepare because the schema changed begins
    /// again, and so does one that is a transaction of its own where a table that it names was altered since it began.
    fn run_next(
        &self,
        sql: &str,
        binder: &mut Binder<'_>,
        sink: &mut dyn Sink,
    ) -> StoreResult<usize> {
        let used = binder.used();
        let mut attempts = 1;
        self.refused.take();
        loop {
            let mut has_told = false;
            let begun = self.begin_statement(sql);
            let is_alone = self.handle.is_autocommit();
            let outcome = begun.and_then(|()| self.run_first(sql, binder, sink, &mut has_told));
            let outcome = outcome.map_err(|error| self.with_key(self.end_uncommitted(sql, error)));
            self.end_statement(outcome.as_ref().err());
            let has_refused = self.declared.has_refused();
            let is_outdated = outcome.as_ref().is_err_and(|error| {
                // SQLite prepares a statement anew once where the schema has changed, and gives up where it changes again meanwhile.
                let has_not_begun = error.sqlite_code == Some(ffi::SQLITE_SCHEMA);
                has_not_begun || (has_refused && is_alone)
            });
            if !is_outdated || has_told || attempts == ATTEMPTS_MAX {
                return outcome;
            }
            attempts += 1;
            self.declared.mistrust();
            binder.rewind(used);
        }
    }

    /// Runs the first statement of a text and returns the length of its part. `has_told` becomes whether the sink has got anything.
    fn run_first(
        &self,
        sql: &str,
        binder: &mut Binder<'_>,
        sink: &mut dyn Sink,
        has_told: &mut bool,
    ) -> StoreResult<usize> {
        if let Some(length) = index_statement::run(self, sql)? {
            if routing::is_blank(&sql[length..]) {
                binder.finish()?;
            }
            // Relaxed: a figure for display.
            self.activity.statements.fetch_add(1, Ordering::Relaxed);
            return Ok(length);
        }
        if let Some(alteration) = routing::alteration(sql)
            && alteration.table.is_in("temp")
            && let Some(entry) = catalogue::find(self.handle, &alteration.table.name)?
        {
            let length = alteration.length;
            if routing::is_blank(&sql[length..]) {
                binder.finish()?;
            }
            alter::table(self, &entry, &alteration, &sql[..length])?;
            // Relaxed: a figure for display.
            self.activity.statements.fetch_add(1, Ordering::Relaxed);
            return Ok(length);
        }
        let made = view::route(self, sql)?;
        let tonbo = routing::route(sql);
        let is_tonbo = tonbo.is_some();
        let routed = match &made {
            Some((_, routed)) => Some(routed.clone()),
            None => tonbo.or(view::route_removal(self, sql)?),
        };
        let text = routed.as_ref().map_or(sql, |routed| routed.sql.as_str());
        let in_source = |offset: usize| match &routed {
            Some(routed) => routed.in_source(offset),
            None => offset,
        };
        if let Some(at) = routing::names_temp(sql) {
            return Err(module::not_in("temp").at(at));
        }
        let prepared = self.guard.prepare(self.handle, text);
        let (statement, length) = prepared.map_err(|mut error| {
            error.offset = error.offset.map(|offset| in_source(offset as usize) as i32);
            error
        })?;
        let length = in_source(length);
        let Some(mut statement) = statement else {
            return Ok(length);
        };
        if made.is_none() && !self.is_free(sql)? {
            return Ok(length);
        }
        binder.bind(&mut statement)?;
        if routing::is_blank(&sql[length..]) {
            binder.finish()?;
        }
        // Relaxed: a figure for display.
        self.activity.statements.fetch_add(1, Ordering::Relaxed);
        if let Some((creation, _)) = &made {
            view::create(self, creation, &mut statement)?;
            return Ok(length);
        }
        let purpose = match routing::creation(sql) {
            Some(named) if named.has_if => Purpose::StatementIfNotExists,
            _ => Purpose::Statement,
        };
        let has_parents = parents::any(sql);
        let mut run = || {
            if has_parents {
                parents::check(self, sql)?;
            }
            self.with_purpose(purpose.clone(), || {
                // One that only reads is told of when it has its snapshot, for it may have to begin again.
                let mut has_row = statement.is_read_only() && statement.step()?;
                if statement.column_count() > 0 {
                    *has_told = true;
                    sink.columns(statement.column_names())?;
                }
                if !statement.is_read_only() {
                    has_row = statement.step()?;
                }
                while has_row {
                    sink.row(&statement)?;
                    has_row = statement.step()?;
                }
                Ok(())
            })
        };
        let is_own = view::is_own(self, sql)?;
        if !is_own && routing::drops_or_alters(sql) && view::any(self.handle)? {
            view::followed(self, run)?;
        } else if is_tonbo {
            let mut create = || {
                run().map_err(|error| {
                    let is_told = error.code != StoreErrorCode::SqlError || error.offset.is_some();
                    match TableSchema::wrong_definition(sql) {
                        Some(offset) if !is_told => error.at(offset),
                        _ => error,
                    }
                })
            };
            match view::any_in_main(self.handle)? {
                true => self.in_savepoint(|| {
                    create()?;
                    view::adopt(self)
                })?,
                false => create()?,
            }
        } else if has_parents {
            self.in_savepoint(|| {
                // From here on no parent becomes a Tonbo table.
                catalogue::lock(self.handle)?;
                run()
            })?;
        } else if let Some(verb) = savepoints::parse(sql) {
            let was_autocommit = self.handle.is_autocommit();
            run()?;
            self.follow_savepoint(&verb, was_autocommit)?;
        } else {
            if routing::is_full_checkpoint(sql) && self.handle.is_autocommit() {
                self.store.write_files()?;
            }
            let attaches = routing::attaches(sql);
            run().map_err(|error| match attaches || routing::vacuums(sql) {
                true => guard::of_attached(error),
                false => error,
            })?;
            if attaches {
                guard::check_attached(self.handle)?;
            }
        }
        if is_own || routing::drops(sql) {
            // Something of the user's in `temp` may no longer stand before what the catalogue has.
            self.forget_catalogue_version();
        }
        Ok(length)
    }

    /// Whether what a statement makes or renames in `main` may have its name, as far as the catalogue is concerned; `false` where
    /// `IF NOT EXISTS` has nothing to do. What stands in `temp` by that name would hide it.
    fn is_free(&self, sql: &str) -> StoreResult<bool> {
        if let Some(named) = routing::creation(sql) {
            let is_tonbo = named.has_if && routing::route(sql).is_some();
            let is_there = || -> StoreResult<bool> {
                Ok(is_tonbo && catalogue::find(self.handle, &named.name)?.is_some())
            };
            // What is there is perhaps not declared here yet: that is what the statement does then. Another connection may make it between two looks.
            return Ok(is_there()?
                || names::is_free(self.handle, &named.name, named.has_if)?
                || is_there()?);
        }
        if let Some(alteration) = routing::alteration(sql)
            && let Change::Rename(name) = &alteration.change
            && alteration.table.is_ours()
        {
            guard::check_name(name)?;
            let table = &alteration.table;
            if !table.is_in("main") {
                return Ok(true);
            }
            let is_own =
                table.schema.is_none() && view::is_in_temp(self.handle, Kind::View, &table.name)?;
            if !is_own {
                names::check_rename(self.handle, name)?;
            }
        }
        match view::parse::creation(sql) {
            Some(creation) => view::is_free_in_main(self.handle, &creation),
            None => Ok(true),
        }
    }

    /// Lets go of a transaction that has ended, by `error` if it was by one, and tells others of tables that it made or dropped. The
    /// transaction's outcome stands: nothing in here may turn it into an error.
    fn end_statement(&self, error: Option<&StoreError>) {
        self.has_begun.set(false);
        // Where it fails, the next statement is told.
        if self.end_refused().is_ok() {
            self.decide();
        }
        self.unbind_wait();
        if !self.handle.is_autocommit() {
            return;
        }
        if let Some(transaction) = self.transaction.take() {
            transaction.end(&self.store);
        }
        self.savepoints.borrow_mut().clear();
        self.has_destroyed.set(false);
        self.declared.end();
        if let Some(mixed) = self.entered.take() {
            self.store.sequencer.leave(mixed);
        }
        self.indexes.take();
        let (made, dropped) = (self.made.take(), self.dropped.take());
        let has_altered = self.has_altered.take();
        if made.is_empty() && dropped.is_empty() && !has_altered {
            return;
        }
        // Which of them stand now depends on whether the transaction was committed, which the catalogue tells.
        match catalogue::ids(self.handle) {
            Ok(standing) => {
                // A commit whose last sync failed is taken back now, and may yet stand after a loss of power: with it the tables it made.
                let files = match error.is_some_and(StoreError::is_of_the_host) {
                    true => Files::Kept,
                    false => Files::Removed,
                };
                for id in made.iter().filter(|id| !standing.contains(id)) {
                    self.store.forget_table(*id, files);
                }
                let gone = || dropped.iter().filter(|id| !standing.contains(id));
                // With relaxed durability a loss of power may take the commit back: the table would stand again, without its files.
                let files = match gone().next().is_none() || self.store.sync_logs().is_ok() {
                    true => Files::Removed,
                    false => Files::Kept,
                };
                for id in gone() {
                    self.store.forget_table(*id, files);
                }
            }
            Err(_) => {
                // It can't be read now: asked again behind the next statement.
                self.made.replace(made);
                self.dropped.replace(dropped);
            }
        }
        self.store.catalogue_version.fetch_add(1, Ordering::SeqCst);
    }
}

/// The busy handler: 0 gives up. SQLite's own would not look whether the statement is interrupted.
unsafe extern "C" fn wait_for_writer(shared: *mut c_void, attempts: c_int) -> c_int {
    // SAFETY: `Session::open` passed a `Shared` that lives as long as the connection.
    let shared = unsafe { &*shared.cast::<Shared>() };
    let now_ms = heddle_thread::time::now_ms();
    if attempts == 0 {
        shared.busy_since_ms.set(now_ms);
    }
    let patience_ms = match shared.busy_timeout_ms.get() {
        Some(timeout_ms) => BUSY_WAIT_MS.min(timeout_ms as f64),
        None => BUSY_WAIT_MS,
    };
    if shared.is_interrupted() || now_ms - shared.busy_since_ms.get() >= patience_ms {
        return 0;
    }
    sqlite::wait_for_lock(BUSY_PATIENCE);
    1
}

/// The progress handler: anything but 0 interrupts the statement.
unsafe extern "C" fn look_up(shared: *mut c_void) -> c_int {
    // SAFETY: `Session::open` passed a `Shared` that lives as long as the connection.
    let shared = unsafe { &*shared.cast::<Shared>() };
    shared.is_interrupted().into()
}
