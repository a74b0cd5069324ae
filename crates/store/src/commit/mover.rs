//! Moves committed changes from the deltas into Tonbo, and trims the logs behind them.
//!
//! For each table: ingest the delta (one atomic, durable batch), take a snapshot, publish a version whose base shows the batch and whose delta
//! no longer holds it. A crash in between replays rows that Tonbo has already: upserts are idempotent, and the logs are trimmed last.
//!
//! # Errands
//! Between two rounds its thread does what others would be kept too long by: it drops what large undone transactions leave, and writes files for
//! statements, which meanwhile can be interrupted ([`Mover::run_errand`]).
//!
//! # When that fails
//! On a full disk, say: the rows stay in the deltas and the logs, commits go on as far as the logs can be written, and the mover tries again,
//! after longer and longer pauses, until it succeeds – where memory was refused, in smaller pieces each time. [`Mover::failure`] tells why it doesn't.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrow_array::RecordBatch;

use crate::activity::{self, check_interrupt};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::store::Store;
use crate::sync::timed::{Condvar, Mutex, MutexGuard, PoisonError};
use crate::table::rows::to_batch;
use crate::table::unflushed::{Due, size_of};
use crate::table::version::{Delta, Sequence, TableVersion};
use crate::table::{Table, TableId};
use crate::transaction::change_size;

/// How long commits gather before they are moved.
const GATHER: Duration = Duration::from_millis(50);

/// The pauses after rounds that failed double from the first to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Between two looks whether a commit that waits for a round is interrupted.
const PATIENCE: Duration = Duration::from_millis(10);

/// The mover's mailbox.
#[derive(Default)]
pub struct Mover {
    state: Mutex<State>,
    called: Condvar,
    /// Notified when a round has ended.
    ended: Condvar,
    /// Held while a table's rows are written to Tonbo and its base is replaced: by the mover, or by an import.
    writing: Mutex<()>,
}

/// Work for the mover's thread between two rounds.
type Errand = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    has_work: bool,
    is_closing: bool,
    errands: Vec<Errand>,
    /// What stopped the last round; the changes stay in the deltas and the logs.
    failure: Option<StoreError>,
    /// How many rounds have failed since the last one that succeeded.
    failures: u32,
    /// How many rounds have ended, modulo 2^32.
    rounds: u32,
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

    /// Drops a value that takes long to drop, soon, on the mover's thread.
    pub fn discard(&self, value: Box<dyn Send>) {
        self.send(Box::new(move || drop(value)));
    }

    /// Has the mover's thread do something and waits for it. An interrupt ends the waiting, not the work.
    ///
    /// # Errors
    /// The work's own, or [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted); [`StoreErrorCode::EngineFailed`] where it
    /// got lost.
    pub fn run_errand(
        &self,
        work: impl FnOnce() -> StoreResult<()> + Send + 'static,
    ) -> StoreResult<()> {
        let answer = Arc::new((Mutex::new(None), Condvar::new()));
        let (outcome, given) = &*answer;
        let theirs = answer.clone();
        self.send(Box::new(move || {
            let found = caught("working in the background", work);
            *theirs.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            theirs.1.notify_one();
        }));
        loop {
            let own = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut own, _) = given
                .wait_timeout_while(own, PATIENCE, |own| own.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(outcome) = own.take() {
                return outcome;
            }
            if Arc::strong_count(&answer) == 1 {
                // A panic beside it has taken it along.
                let message = "work in the background has ended without an answer";
                return Err(StoreError::new(StoreErrorCode::EngineFailed, message));
            }
            drop(own);
            check_interrupt()?;
        }
    }

    /// Errands that come too late for the mover's thread are done at once.
    fn send(&self, errand: Errand) {
        let mut state = self.state();
        if state.is_closing {
            drop(state);
            errand();
        } else {
            state.errands.push(errand);
            self.called.notify_one();
        }
    }

    /// Waits while the mover is behind.
    ///
    /// # Errors
    /// What keeps the mover from its work, or [`StoreErrorCode::Interrupted`](crate::error::StoreErrorCode::Interrupted).
    pub fn wait_while(&self, is_behind: impl Fn() -> bool) -> StoreResult<()> {
        while is_behind() {
            // Counted before the look that decides: a round that ends in between is not waited for.
            let rounds = self.state().rounds;
            if !is_behind() {
                break;
            }
            if let Some(mut failure) = self.failure() {
                failure.message = format!(
                    "so much is committed already that cannot be moved into the tables: {}",
                    failure.message
                );
                return Err(failure);
            }
            check_interrupt()?;
            let _waited = self
                .ended
                .wait_timeout_while(self.state(), PATIENCE, |state| state.rounds == rounds)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Why the last round failed, if it did.
    pub fn failure(&self) -> Option<StoreError> {
        self.state().failure.clone()
    }

    /// How many rounds have failed since the last one that succeeded.
    pub fn failures(&self) -> u32 {
        self.state().failures
    }

    /// The right to write a table's rows to Tonbo and replace its base.
    pub fn writing(&self) -> MutexGuard<'_, ()> {
        activity::while_waiting(|| self.writing.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; false when it is time to end.
    fn wait(&self) -> bool {
        let mut state = self.state();
        let pause = match state.failures {
            0 => GATHER,
            failures => RETRY_MIN
                .saturating_mul(1 << (failures - 1).min(16))
                .min(RETRY_MAX),
        };
        loop {
            // Also where there is work at once, or rounds fail: errands must not gather meanwhile.
            let errands = std::mem::take(&mut state.errands);
            if !errands.is_empty() {
                drop(state);
                errands.into_iter().for_each(|errand| errand());
                state = self.state();
                continue;
            }
            if state.has_work || state.is_closing || state.failures > 0 {
                break;
            }
            state = self
                .called
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closing {
            // Gather: a close is noticed at once, more work only makes the group larger.
            let (next, _) = self
                .called
                .wait_timeout_while(state, pause, |state| !state.is_closing)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        state.has_work = false;
        !state.is_closing
    }

    fn note(&self, outcome: StoreResult<()>) {
        let mut state = self.state();
        state.failure = outcome.err();
        state.failures = match state.failure {
            None => 0,
            Some(_) => state.failures.saturating_add(1),
        };
        state.rounds = state.rounds.wrapping_add(1);
        drop(state);
        self.ended.notify_all();
    }
}

/// The mover's thread: until [`Mover::close`].
pub fn run(store: &Store) {
    // Without it, a panic would end the thread – what an errand drops may panic, or the telling of a panic, for want of memory – and commits would
    // gather, and wait, for ever.
    while catch_unwind(AssertUnwindSafe(|| run_rounds(store))).is_err() {
        // What the round has left is not forgotten.
        store.mover.call();
    }
}

fn run_rounds(store: &Store) {
    while store.mover.wait() {
        let outcome = caught("moving commits into tables", || round(store));
        if let Err(error) = &outcome
            && matches!(
                error.code,
                StoreErrorCode::OutOfMemory | StoreErrorCode::EngineFailed
            )
        {
            store.unflushed.halve();
        }
        store.mover.note(outcome);
    }
    // None comes behind these.
    let errands = std::mem::take(&mut store.mover.state().errands);
    errands.into_iter().for_each(|errand| errand());
}

/// A panic as an error: `what` panicked.
pub fn caught(what: &str, work: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(StoreError::of_panic(what, &*payload)))
}

/// Moves what is committed now, and writes tables to files of which many rows wait for that.
pub fn round(store: &Store) -> StoreResult<()> {
    move_all(store, Due::Full)
}

/// Moves what is committed now, and writes all rows to files.
pub fn checkpoint(store: &Store) -> StoreResult<()> {
    move_all(store, Due::Any)
}

fn move_all(store: &Store, due: Due) -> StoreResult<()> {
    let decided = store.decide();
    let _writing = store.mover.writing();
    let ids: Vec<TableId> = store.sequencer.published().tables.keys().copied().collect();
    // One table's failure does not hold up the others; the logs keep what was not moved.
    let outcomes: Vec<StoreResult<()>> = ids.iter().map(|id| move_table(store, *id)).collect();
    trim(store)?;
    // What is moved is durable: files are written and merged after the logs are trimmed, and tried again if that fails.
    let flushed: Vec<_> = ids.iter().map(|id| write_files(store, *id, due)).collect();
    let outcomes = outcomes.into_iter().chain(flushed);
    outcomes.chain([decided]).collect()
}

/// As [`flush`], and lets go of the files and the memory that the table's base has kept from before. The caller holds [`Mover::writing`].
pub fn write_files(store: &Store, id: TableId, due: Due) -> StoreResult<()> {
    let Some(version) = store.sequencer.published().tables.get(&id).cloned() else {
        return Ok(());
    };
    let table = version.table.clone();
    if !flush(&table, due)? {
        return Ok(());
    }
    // The rows are the same, but for those of a move that failed half-way: they are in the delta still.
    let keys: Vec<Key> = version.delta.keys().cloned().collect();
    let base = std::sync::Arc::new(version.base.after(table.source.snapshot()?, &keys));
    drop(version);
    store.sequencer.replace(|published| {
        if let Some(current) = published.tables.get(&id) {
            let next = TableVersion {
                base,
                ..TableVersion::clone(current)
            };
            published.tables.insert(id, std::sync::Arc::new(next));
        }
    });
    // Nothing is left to merge: this removes the files.
    while table.source.compact()? {}
    Ok(())
}

/// Moves a table's delta. The caller holds [`Mover::writing`].
pub fn move_table(store: &Store, id: TableId) -> StoreResult<()> {
    let Some(version) = store.sequencer.published().tables.get(&id).cloned() else {
        return Ok(());
    };
    let (table, delta) = (version.table.clone(), version.delta.clone());
    if delta.is_empty() {
        return Ok(());
    }
    // A base that is kept meanwhile would keep in memory what is flushed.
    drop(version);
    // What Tonbo has is durable: neither may an earlier commit be lost then, nor another table's part of the same one.
    store.sync_logs()?;
    ingest_delta(store, &table, &delta)?;
    let Some(version) = store.sequencer.published().tables.get(&id).cloned() else {
        return Ok(());
    };
    let keys: Vec<Key> = delta.keys().cloned().collect();
    let base = Arc::new(version.base.after(table.source.snapshot()?, &keys));
    drop(version);
    store.sequencer.replace(|published| {
        if let Some(current) = published.tables.get(&id) {
            let next = current.after_move(&delta, base.clone());
            table.note_delta(&next.delta);
            published.tables.insert(id, Arc::new(next));
        }
    });
    Ok(())
}

/// Writes a delta to Tonbo, in pieces for which there is room. Those of a move that fails between them are in the delta and the logs still,
/// and written again.
fn ingest_delta(store: &Store, table: &Table, delta: &Delta) -> StoreResult<()> {
    let size_max = store.unflushed.table_size_max();
    let mut rest = delta.iter().peekable();
    while rest.peek().is_some() {
        let mut size = 0;
        let piece: Vec<_> = std::iter::from_fn(|| {
            rest.next_if(|(key, change)| {
                let is_first = size == 0;
                size += change_size(key, change.row.as_ref());
                is_first || size <= size_max
            })
        })
        .collect();
        let changes = piece.iter();
        let changes = changes.map(|(key, change)| (*key, change.row.as_ref()));
        let (batch, deletes) = to_batch(&table.schema, changes)?;
        ingest(store, table, batch, deletes)?;
    }
    Ok(())
}

/// Writes upserts and deletes to Tonbo, behind making room for them. The caller holds [`Mover::writing`].
pub fn ingest(
    store: &Store,
    table: &Table,
    batch: RecordBatch,
    deletes: Vec<bool>,
) -> StoreResult<()> {
    make_room(store, size_of(&batch))?;
    table.ingest(batch, deletes)
}

/// Writes tables to files, the largest first, until there is room in memory for so many bytes of rows more. The caller holds
/// [`Mover::writing`].
pub fn make_room(store: &Store, size: usize) -> StoreResult<()> {
    if store.unflushed.has_room(size) {
        return Ok(());
    }
    let published = store.sequencer.published();
    let tables = published.tables.values();
    let mut sizes: Vec<(usize, TableId)> = tables
        .map(|version| (version.table.unflushed.size(), version.table.id))
        .filter(|(size, _)| *size > 0)
        .collect();
    drop(published);
    sizes.sort_unstable();
    while !store.unflushed.has_room(size)
        && let Some((_, largest)) = sizes.pop()
    {
        write_files(store, largest, Due::Any)?;
    }
    Ok(())
}

/// Flushes a table's rows to a file and merges its files, if that is due or failed before. Returns whether it did. The caller holds
/// [`Mover::writing`].
pub fn flush(table: &Table, due: Due) -> StoreResult<bool> {
    if table.unflushed.is_due(due) {
        table.flush()?;
    }
    let wants_merge = table.wants_merge.load(Relaxed);
    if wants_merge {
        while table.source.compact()? {}
        table.wants_merge.store(false, Relaxed);
    }
    Ok(wants_merge)
}

/// Drops from the logs what no delta holds any more.
fn trim(store: &Store) -> StoreResult<()> {
    // Asked first: a table that is opened meanwhile is among the published ones by then.
    let shut = store.oldest_shut_change();
    let published = store.sequencer.published();
    let floor: Sequence = published
        .tables
        .values()
        .filter_map(|version| version.oldest_change())
        .chain(shut)
        .min()
        .unwrap_or(published.sequence + 1);
    store.log.trim(floor)?;
    // `main`'s own log is trimmed by the next mixed commit: a write of ours to `main` would make every transaction that has read it and is
    // about to write it begin again.
    store.floor.store(floor, Relaxed);
    Ok(())
}
