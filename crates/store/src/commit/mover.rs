//! Moves committed changes from the deltas into Tonbo, and trims the logs behind them.
//!
//! For each table: ingest the delta (one atomic, durable batch), take a snapshot, publish a version whose base shows the batch and whose delta
//! no longer holds it. A crash in between replays rows that Tonbo has already: upserts are idempotent, and the logs are trimmed last.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

// Not std's: its timed waits read a clock that bare Wasm lacks.
use heddle_atomics::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::StoreResult;
use crate::key::Key;
use crate::store::Store;
use crate::table::rows::to_batch;
use crate::table::version::{Sequence, TableVersion};
use crate::table::{Table, TableId};

/// How long commits gather before they are moved.
const GATHER: Duration = Duration::from_millis(50);

/// Rows that Tonbo keeps in memory before they go to a file.
pub const FLUSH_ROWS: usize = 128 * 1024;

/// The mover's mailbox.
#[derive(Default)]
pub struct Mover {
    state: Mutex<State>,
    called: Condvar,
    /// Held while a table's rows are written to Tonbo and its base is replaced: by the mover, or by an import.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    has_work: bool,
    is_closing: bool,
    /// What stopped the last round; the changes stay in the deltas and the logs.
    failure: Option<String>,
}

impl Mover {
    /// There are new commits.
    pub fn call(&self) {
        self.state().has_work = true;
        self.called.notify_one();
    }

    /// Ends [`run`].
    pub fn close(&self) {
        self.state().is_closing = true;
        self.called.notify_one();
    }

    /// Why the last round failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// The right to write a table's rows to Tonbo and replace its base.
    pub fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; false when it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.state();
        while !state.has_work && !state.is_closing {
            state = self
                .called
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closing {
            // Gather: a close is noticed at once, more work only makes the group larger.
            let (next, _) = self
                .called
                .wait_timeout_while(state, GATHER, |state| !state.is_closing)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        state.has_work = false;
        !state.is_closing
    }
}

/// The mover's thread: until [`Mover::close`].
pub fn run(store: &Store) {
    while store.mover.wait() {
        let failure = round(store).err().map(|error| error.message);
        store.mover.state().failure = failure;
    }
}

/// Moves what is committed now.
pub fn round(store: &Store) -> StoreResult<()> {
    let _writing = store.mover.writing();
    let ids: Vec<TableId> = store.sequencer.published().tables.keys().copied().collect();
    // One table's failure does not hold up the others; the logs keep what was not moved.
    let outcomes: Vec<StoreResult<()>> = ids.into_iter().map(|id| move_table(store, id)).collect();
    trim(store)?;
    outcomes.into_iter().collect()
}

/// Moves a table's delta. The caller holds [`Mover::writing`].
pub fn move_table(store: &Store, id: TableId) -> StoreResult<()> {
    let Some(version) = store.sequencer.published().tables.get(&id).cloned() else {
        return Ok(());
    };
    let table = &version.table;
    if !version.delta.is_empty() {
        let changes = version
            .delta
            .iter()
            .map(|(key, change)| (key, change.row.as_ref()));
        let (batch, deletes) = to_batch(&table.schema, changes)?;
        let rows = batch.num_rows();
        table.source.ingest(batch, deletes)?;
        let keys: Vec<Key> = version.delta.keys().cloned().collect();
        let base = std::sync::Arc::new(version.base.after(table.source.snapshot()?, &keys));
        store.sequencer.replace(|published| {
            if let Some(current) = published.tables.get(&id) {
                let next = current.after_move(&version.delta, base.clone());
                published.tables.insert(id, std::sync::Arc::new(next));
            }
        });
        wrote_rows(table, rows)?;
    }
    Ok(())
}

/// Counts rows that went to Tonbo, and has them flushed to a file when they have become many.
pub fn wrote_rows(table: &Table, rows: usize) -> StoreResult<()> {
    table.unflushed_rows.fetch_add(rows, Relaxed);
    flush(table, FLUSH_ROWS)
}

/// Flushes a table's rows to a file and merges its files, if at least `rows` wait for it.
pub fn flush(table: &Table, rows: usize) -> StoreResult<()> {
    if table.unflushed_rows.load(Relaxed) >= rows {
        table.unflushed_rows.store(0, Relaxed);
        table.source.flush()?;
        while table.source.compact()? {}
    }
    Ok(())
}

/// Drops from the logs what no delta holds any more.
fn trim(store: &Store) -> StoreResult<()> {
    let published = store.sequencer.published();
    let oldest =
        |version: &TableVersion| version.delta.values().map(|change| change.sequence).min();
    let floor: Sequence = published
        .tables
        .values()
        .filter_map(|version| oldest(version))
        .min()
        .unwrap_or(published.sequence + 1);
    store.log.trim(floor)?;
    // `main`'s own log is trimmed by the next mixed commit: a write of ours to `main` would make every transaction that has read it and is
    // about to write it begin again.
    store.floor.store(floor, Relaxed);
    Ok(())
}
