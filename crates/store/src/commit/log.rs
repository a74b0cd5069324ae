//! The logs: where a commit to Tonbo tables is durable until a background thread has moved it into Tonbo.
//!
//! A transaction that wrote only Tonbo tables is a row of the *log file*, a small SQLite database with a connection of its own, so that it
//! waits for no lock of the ordinary tables. One that also wrote ordinary tables is a row of a table of `main`, inside the same SQLite
//! commit. Both tables look alike:
//!
//! | column | meaning |
//! |---|---|
//! | `sequence` | the commit's number |
//! | `changes` | [`Changes::encode`] |
//! | `row_count`, `checksum` | the changed rows, and the CRC-32 of `changes`: damage is noticed, not replayed |
//! | `after_mixed` | in the log file alone: the last mixed commit that was published before this one |
//!
//! # Relaxed durability
//! SQLite then syncs a WAL only before it is copied into its database, so that power loss may take the end of either log, not of both alike.
//! What remains must still be the beginning of the history, so: before a mixed commit, and before the mover writes anything to Tonbo, the
//! WALs are synced ([`sync_wal`]); and rows of the log file whose `after_mixed` the database file does not know are dropped at the next open.
//!
//! # A lost end
//! A WAL that is cut short looks like one that is whole: SQLite takes what is there. So each mixed commit says, in `main`, which row the log file
//! had last by then (`logged` in `heddle_state`). Groups are written one after another, and a cut takes the later ones first: where that row is
//! missing, and `floor` does not say that it was moved, the end is lost, and is told. Behind the last mixed commit nobody notices.
//!
//! # Group commit
//! Who comes to an idle log writes everything that waits in one SQLite commit, with one sync: [`group`](super::group). Source: "group commit"
//! as in DeWitt et al., *Implementation Techniques for Main Memory Database Systems* (1984).
//!
//! # Trimming
//! What has reached Tonbo is deleted, and `floor` in the log file says up to where: a row of either log below it is never replayed, so that
//! the two logs need not be trimmed at once.
//!
//! A bulk import goes past the logs, straight into Tonbo. So before its first batch `table_floors` says of its table up to where Tonbo has
//! everything: older rows of the logs, replayed on top, would undo what was imported.

mod remains;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use super::changes::Changes;
use super::group::Groups;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::statement::{Handle, Statement};
use crate::table::TableId;
use crate::table::version::Sequence;
use crate::value::Value;

pub use remains::Remains;

/// The table of `main` that holds mixed commits.
pub const MAIN_LOG: &str = "main.heddle_log";

/// The table of the log file.
const OWN_LOG: &str = "log";

/// How sure an acknowledged commit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It survives the loss of power.
    #[default]
    Full,
    /// It survives the end of the process. The loss of power may undo the last commits: never a part of one and, of those to Tonbo tables,
    /// never one before another.
    Relaxed,
}

impl Durability {
    /// The value of SQLite's `PRAGMA synchronous`.
    pub fn synchronous(self) -> &'static str {
        match self {
            Durability::Full => "FULL",
            Durability::Relaxed => "NORMAL",
        }
    }
}

const COLUMNS: &str = "(sequence INTEGER PRIMARY KEY, changes BLOB NOT NULL, row_count INTEGER NOT NULL, checksum INTEGER NOT NULL)";

/// A commit's row, ready to be written.
pub struct Record {
    sequence: Sequence,
    /// As it is bound: it may be large, and is copied for nobody.
    changes: Arc<[u8]>,
    row_count: usize,
    after_mixed: Sequence,
}

impl Record {
    /// The record of a commit.
    pub fn new(
        sequence: Sequence,
        changes: &Changes,
        after_mixed: Sequence,
    ) -> StoreResult<Record> {
        Ok(Record {
            sequence,
            after_mixed,
            changes: changes.encode()?.into(),
            row_count: changes.row_count(),
        })
    }

    fn values(&self) -> [Value; 4] {
        [
            Value::Integer(self.sequence as i64),
            Value::Blob(self.changes.clone()),
            Value::Integer(self.row_count as i64),
            Value::Integer(crc32fast::hash(&self.changes).into()),
        ]
    }
}

/// Makes the tables of `main` that mixed commits need.
pub fn create_main_tables(main: Handle) -> StoreResult<()> {
    main.execute(&format!(
        "CREATE TABLE IF NOT EXISTS {MAIN_LOG}{COLUMNS};
         CREATE TABLE IF NOT EXISTS main.heddle_state(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
         INSERT OR IGNORE INTO main.heddle_state VALUES ('mixed', 0), ('catalogue', 0), ('logged', 0);"
    ))
}

/// Writes a mixed commit's row within the transaction that is open on `main`, and drops those below `floor`, which are in Tonbo. `logged` is
/// what [`LogFile::sync`] returned.
pub fn write_to_main(
    main: Handle,
    record: &Record,
    floor: Sequence,
    logged: Option<Sequence>,
) -> StoreResult<()> {
    trim(main, MAIN_LOG, floor)?;
    main.statement(&format!("INSERT INTO {MAIN_LOG} VALUES (?1, ?2, ?3, ?4)"))?
        .run(&record.values())?;
    if let Some(logged) = logged {
        set_logged(main, logged)?;
    }
    main.statement("UPDATE main.heddle_state SET value = ?1 WHERE name = 'mixed'")?
        .run(&[Value::Integer(record.sequence as i64)])
}

/// Notes what the log file has, durably, as the last thing: 0 where that is not known.
pub fn set_logged(main: Handle, logged: Sequence) -> StoreResult<()> {
    main.statement("UPDATE main.heddle_state SET value = ?1 WHERE name = 'logged'")?
        .run(&[Value::Integer(logged as i64)])
}

/// What [`set_logged`] noted last.
pub fn logged(main: Handle) -> StoreResult<Sequence> {
    match main
        .statement("SELECT value FROM main.heddle_state WHERE name = 'logged'")?
        .first(&[])?
        .as_deref()
    {
        Some([Value::Integer(logged)]) => Ok(*logged as Sequence),
        _ => Err(lost_state()),
    }
}

/// Whether the connection's snapshot of `main` shows this mixed commit.
pub fn is_in_main(main: Handle, sequence: Sequence) -> StoreResult<bool> {
    let found = main
        .statement(&format!("SELECT 1 FROM {MAIN_LOG} WHERE sequence = ?1"))?
        .first(&[Value::Integer(sequence as i64)])?;
    Ok(found.is_some())
}

/// The last mixed commit that the connection's snapshot of `main` shows, and how often the catalogue had changed by then; opens that snapshot
/// where there is none.
pub fn last_mixed(statement: &mut Statement) -> StoreResult<(Sequence, i64)> {
    match statement.first(&[])?.as_deref() {
        Some([Value::Integer(sequence), Value::Integer(changes)]) => {
            Ok((*sequence as Sequence, *changes))
        }
        _ => Err(lost_state()),
    }
}

/// The statement for [`last_mixed`].
pub fn last_mixed_statement(main: Handle) -> StoreResult<Statement> {
    main.statement(
        "SELECT mixed.value, catalogue.value FROM main.heddle_state AS mixed, main.heddle_state AS catalogue
         WHERE mixed.name = 'mixed' AND catalogue.name = 'catalogue'",
    )
}

/// A row of `main` is missing that every commit needs.
pub fn lost_state() -> StoreError {
    StoreError::corrupt("the table heddle_state of the database file has lost its row")
}

/// The rows of a log from `floor` on, each verified: its number, and the commit or what is wrong with it.
pub fn read(
    handle: Handle,
    table: &str,
    floor: Sequence,
) -> StoreResult<Vec<(Sequence, StoreResult<Changes>)>> {
    let mut statement =
        handle.statement(&format!("SELECT sequence, changes, row_count, checksum FROM {table} WHERE sequence >= ?1 ORDER BY sequence"))?;
    statement.bind(1, &Value::Integer(floor as i64))?;
    let mut rows = Vec::new();
    while statement.step()? {
        let values: Vec<Value> = (0..4).map(|column| statement.value(column)).collect();
        let Value::Integer(sequence) = values[0] else {
            return Err(StoreError::corrupt(format!(
                "a row of {table} has no number"
            )));
        };
        rows.push((sequence as Sequence, parse_row(&values)));
    }
    Ok(rows)
}

/// The commit that a row of a log tells of, verified.
fn parse_row(values: &[Value]) -> StoreResult<Changes> {
    let [
        Value::Integer(sequence),
        Value::Blob(bytes),
        Value::Integer(row_count),
        Value::Integer(checksum),
        ..,
    ] = values
    else {
        return Err(StoreError::corrupt("a row of the log has other types"));
    };
    let damaged = |what: &str| StoreError::corrupt(format!("commit {sequence} is damaged: {what}"));
    if i64::from(crc32fast::hash(bytes)) != *checksum {
        return Err(damaged("its checksum differs"));
    }
    let changes = Changes::decode(bytes).map_err(|error| damaged(&error.message))?;
    match changes.row_count() as i64 == *row_count {
        true => Ok(changes),
        false => Err(damaged("its row count differs")),
    }
}

/// Has a commit be another, durably as a commit is.
pub fn rewrite(
    handle: Handle,
    table: &str,
    sequence: Sequence,
    changes: &Changes,
) -> StoreResult<()> {
    let record = Record::new(sequence, changes, 0)?;
    handle
        .statement(&format!(
            "UPDATE {table} SET changes = ?2, row_count = ?3, checksum = ?4 WHERE sequence = ?1"
        ))?
        .run(&record.values())
}

/// Deletes a table's rows of commits below `floor`.
fn trim(handle: Handle, table: &str, floor: Sequence) -> StoreResult<()> {
    handle
        .statement(&format!("DELETE FROM {table} WHERE sequence < ?1"))?
        .run(&[Value::Integer(floor as i64)])
}

/// The log file.
pub struct LogFile {
    durability: Durability,
    /// A commit of the last group that was written, or 0. Relaxed: written under the connection's lock, and read by who only says what was
    /// written at least.
    last: AtomicU64,
    groups: Groups<Record>,
    /// Commits whose rows could not be taken back yet: they are before anything is written behind them.
    voided: Mutex<Vec<Sequence>>,
    connection: Mutex<LogConnection>,
}

struct LogConnection(Handle);

// SAFETY: the handle is only used under `LogFile::connection`'s lock, by one thread at a time.
unsafe impl Send for LogConnection {}

impl LogFile {
    /// Opens the log file, or creates it.
    pub fn open(path: &str, vfs: &str, durability: Durability) -> StoreResult<LogFile> {
        let handle = Handle::open(path, vfs)?;
        let synchronous = durability.synchronous();
        let prepared = handle.execute(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 1000;
             CREATE TABLE IF NOT EXISTS log{COLUMNS};
             CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             INSERT OR IGNORE INTO state VALUES ('floor', 0);
             CREATE TABLE IF NOT EXISTS table_floors(id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);"
        ));
        if let Err(error) = prepared.and_then(|()| add_after_mixed(handle)) {
            handle.close();
            return Err(error);
        }
        Ok(LogFile {
            durability,
            last: AtomicU64::new(0),
            groups: Groups::new(),
            voided: Mutex::default(),
            connection: Mutex::new(LogConnection(handle)),
        })
    }

    /// Commits below this number are in Tonbo.
    pub fn floor(&self) -> StoreResult<Sequence> {
        match self
            .connection()
            .0
            .statement("SELECT value FROM state WHERE name = 'floor'")?
            .first(&[])?
            .as_deref()
        {
            Some([Value::Integer(floor)]) => Ok(*floor as Sequence),
            _ => Err(StoreError::corrupt("the log file has lost its floor")),
        }
    }

    /// Deletes what the loss of power has left behind of commits that came after a mixed one which it took: `mixed` is the last that is
    /// there.
    pub fn drop_orphans(&self, mixed: Sequence) -> StoreResult<()> {
        self.connection()
            .0
            .statement("DELETE FROM log WHERE after_mixed > ?1")?
            .run(&[Value::Integer(mixed as i64)])
    }

    /// Has commits count that came after a mixed one which is not there.
    pub fn adopt_orphans(&self, mixed: Sequence) -> StoreResult<()> {
        self.connection()
            .0
            .statement("UPDATE log SET after_mixed = ?1 WHERE after_mixed > ?1")?
            .run(&[Value::Integer(mixed as i64)])
    }

    /// Whether commits are there that came after a mixed one which is not.
    pub fn has_orphans(&self, mixed: Sequence) -> StoreResult<bool> {
        let connection = self.connection();
        let found = connection
            .0
            .statement("SELECT 1 FROM log WHERE after_mixed > ?1")?
            .first(&[Value::Integer(mixed as i64)])?;
        Ok(found.is_some())
    }

    /// Returns when every record that was appended survives the loss of power, and none is there that was to be removed; a commit of the last
    /// group of them, if this process has written one.
    pub fn sync(&self) -> StoreResult<Option<Sequence>> {
        if !self.voided().is_empty() {
            self.in_transaction(|_| Ok(()))?;
        }
        let last = self.last.load(Ordering::Relaxed);
        if self.durability == Durability::Relaxed {
            self.sync_wal()?;
        }
        Ok((last != 0).then_some(last))
    }

    /// Whether the file has lost its end: neither has it the row of `logged`, which was the last at some time, nor is that commit in Tonbo.
    pub fn has_lost(&self, logged: Sequence) -> StoreResult<bool> {
        if logged == 0 || self.floor()? > logged {
            return Ok(false);
        }
        let connection = self.connection();
        let found = connection
            .0
            .statement("SELECT 1 FROM log WHERE sequence = ?1")?
            .first(&[Value::Integer(logged as i64)])?;
        Ok(found.is_none())
    }

    /// Makes what is in the log survive the loss of power, whatever it was written with.
    pub fn sync_wal(&self) -> StoreResult<()> {
        sync_wal(self.connection().0)
    }

    /// Tables of which Tonbo has every commit up to a number, that number included, whatever `floor` says.
    pub fn table_floors(&self) -> StoreResult<BTreeMap<TableId, Sequence>> {
        let connection = self.connection();
        let mut statement = connection
            .0
            .statement("SELECT id, sequence FROM table_floors")?;
        let mut floors = BTreeMap::new();
        while statement.step()? {
            if let (Value::Integer(id), Value::Integer(sequence)) =
                (statement.value(0), statement.value(1))
            {
                floors.insert(id as TableId, sequence as Sequence);
            }
        }
        Ok(floors)
    }

    /// Notes, durably, that Tonbo has every commit to a table up to `sequence`.
    pub fn set_table_floor(&self, table: TableId, sequence: Sequence) -> StoreResult<()> {
        self.connection()
            .0
            .statement("INSERT OR REPLACE INTO table_floors VALUES (?1, ?2)")?
            .run(&[
                Value::Integer(table as i64),
                Value::Integer(sequence as i64),
            ])
    }

    /// As [`read`].
    pub fn read(&self, floor: Sequence) -> StoreResult<Vec<(Sequence, StoreResult<Changes>)>> {
        read(self.connection().0, OWN_LOG, floor)
    }

    /// As [`rewrite`].
    pub fn rewrite(&self, sequence: Sequence, changes: &Changes) -> StoreResult<()> {
        rewrite(self.connection().0, OWN_LOG, sequence, changes)
    }

    /// Returns when the record is durable, or failed: then it is not in the log.
    pub fn append(&self, record: Record) -> StoreResult<()> {
        self.groups.append(record, |group| self.write(group))
    }

    /// Takes back a record that was appended, durably. Its row stays, empty: `main` may say that it is there. Where this fails, whatever is
    /// written next does it before.
    pub fn remove(&self, sequence: Sequence) -> StoreResult<()> {
        self.voided().push(sequence);
        self.in_transaction(|_| Ok(()))
    }

    fn voided(&self) -> MutexGuard<'_, Vec<Sequence>> {
        self.voided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`transaction`], behind what is still to be taken back.
    fn in_transaction(&self, body: impl FnOnce(Handle) -> StoreResult<()>) -> StoreResult<()> {
        let connection = self.connection();
        let voided = self.voided().clone();
        transaction(connection.0, || {
            for sequence in &voided {
                rewrite(connection.0, OWN_LOG, *sequence, &Changes::default())?;
            }
            body(connection.0)
        })?;
        self.voided().retain(|sequence| !voided.contains(sequence));
        Ok(())
    }

    /// Forgets the commits below `floor`: they are in Tonbo.
    pub fn trim(&self, floor: Sequence) -> StoreResult<()> {
        self.in_transaction(|log| {
            trim(log, OWN_LOG, floor)?;
            trim(log, "table_floors", floor)?;
            log.statement("UPDATE state SET value = ?1 WHERE name = 'floor'")?
                .run(&[Value::Integer(floor as i64)])
        })
    }

    fn write(&self, group: &[Record]) -> StoreResult<()> {
        self.in_transaction(|log| {
            let mut statement = log.statement(
                "INSERT INTO log(sequence, changes, row_count, checksum, after_mixed) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            group.iter().try_for_each(|record| {
                statement.bind(5, &Value::Integer(record.after_mixed as i64))?;
                statement.run(&record.values())
            })
        })?;
        if let Some(record) = group.last() {
            self.last.store(record.sequence, Ordering::Relaxed);
        }
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, LogConnection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.connection().0.close();
    }
}

/// Log files of before have no column for it: their rows are durable whatever came before them.
fn add_after_mixed(log: Handle) -> StoreResult<()> {
    let has_column = log
        .statement("SELECT 1 FROM pragma_table_info('log') WHERE name = 'after_mixed'")?
        .first(&[])?;
    match has_column {
        Some(_) => Ok(()),
        None => log.execute("ALTER TABLE log ADD COLUMN after_mixed INTEGER NOT NULL DEFAULT 0"),
    }
}

/// Syncs a database's WAL: commits that are in it survive the loss of power from then on.
pub fn sync_wal(handle: Handle) -> StoreResult<()> {
    let mut file: *mut ffi::sqlite3_file = std::ptr::null_mut();
    // SAFETY: the connection is open; the operation writes a pointer to the WAL's file, which lives as long as the connection uses it, and
    // that is while nobody else calls the connection.
    let code = unsafe {
        let code = ffi::sqlite3_file_control(
            handle.raw(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_JOURNAL_POINTER,
            (&raw mut file).cast(),
        );
        match file.as_ref().and_then(|file| file.pMethods.as_ref()) {
            // Without methods the WAL is not open: nothing has been written through this connection yet, nor read.
            None => code,
            Some(methods) => methods
                .xSync
                .map_or(code, |sync| sync(file, ffi::SQLITE_SYNC_NORMAL)),
        }
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(handle.error(code)),
    }
}

/// Runs `body` as one write transaction: all of it is durable, or none.
pub fn transaction(handle: Handle, body: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    if !handle.is_autocommit() {
        // The last one could not even be rolled back.
        handle.execute("ROLLBACK")?;
    }
    handle.execute("BEGIN IMMEDIATE")?;
    let outcome = body().and_then(|()| handle.execute("COMMIT"));
    if let Err(error) = outcome {
        if !handle.is_autocommit() {
            handle.execute("ROLLBACK").map_err(|second| {
                StoreError::new(
                    StoreErrorCode::EngineFailed,
                    format!(
                        "{}; and the rollback failed: {}",
                        error.message, second.message
                    ),
                )
            })?;
        }
        return Err(error);
    }
    Ok(())
}
