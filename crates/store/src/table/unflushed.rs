//! Rows that are in Tonbo's memory and its log, and in no file yet.
//!
//! They cost memory until they are flushed, and time when the database is opened: Tonbo replays them. How many there are Tonbo tells, after
//! each write, each flush, and opening; each version of a row counts, and each delete.
//!
//! # Bounds
//! | of | flushed from on | why |
//! |---|---|---|
//! | a table | [`FLUSH_ROWS`], or a quarter of the budget below | a flush costs by the row, and a file has to pay for itself |
//! | all tables together | [`BUDGET_SHARE`] of the statements' memory, from [`BUDGET_SIZE_MIN`] to [`BUDGET_SIZE_MAX`]: the largest tables first, *before* a write exceeds it | they share one memory |
//! | a table that is closed, or was opened | [`REPLAY_ROWS`] or [`REPLAY_SIZE`] | what a session leaves, each later one replays |
//!
//! Where memory is refused to the mover, the budget is halved, again and again: what it writes at once is a part of it, and what was refused once would
//! be refused for ever.
//!
//! A write comes in pieces of at most a quarter of the budget, so that the second bound is exceeded by one row, and by the piece of an index
//! that is being built, at most. A flush copies the table's rows: once into order, and once compressed, by the row group. Readers of an older
//! snapshot keep the rows as they were in memory for as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use arrow_array::{Array, RecordBatch};

/// Rows of a table from which on they go to a file.
pub const FLUSH_ROWS: usize = 128 * 1024;

/// The part of the statements' memory that all tables may take beside it.
pub const BUDGET_SHARE: usize = 4;

/// What they may take however little that is: files of a few rows would cost more than they free.
pub const BUDGET_SIZE_MIN: usize = 4 << 20;

/// What they may take however much that is: a flush brings a table's rows together, and a column holds less than 2 GiB.
pub const BUDGET_SIZE_MAX: usize = 1 << 30;

/// A table may have a part of the budget, and a write at once.
const TABLE_SHARE: usize = 4;

/// What Tonbo counts of an entry beside its key.
const ENTRY_SIZE: usize = 192;

/// Rows of a table, and their bytes, that a session leaves to the next at most.
pub const REPLAY_ROWS: usize = 4096;
/// See [`REPLAY_ROWS`].
pub const REPLAY_SIZE: usize = 4 << 20;

/// What all tables of a store may take, and take. Relaxed throughout, here and below: figures that publish nothing; a table's are written by
/// whoever writes the table.
#[derive(Debug)]
pub struct UnflushedBudget {
    size_max: usize,
    size: AtomicUsize,
    /// How often the budget was halved.
    halvings: AtomicU32,
}

impl UnflushedBudget {
    /// That of a store whose statements may take `memory_size` bytes.
    pub fn new(memory_size: usize) -> Arc<UnflushedBudget> {
        Arc::new(UnflushedBudget {
            size_max: (memory_size / BUDGET_SHARE).clamp(BUDGET_SIZE_MIN, BUDGET_SIZE_MAX),
            size: AtomicUsize::new(0),
            halvings: AtomicU32::new(0),
        })
    }

    /// There is less memory than was thought.
    pub fn halve(&self) {
        if self.size_max() > BUDGET_SIZE_MIN {
            self.halvings.fetch_add(1, Relaxed);
        }
    }

    /// The bytes that all tables' rows take, about.
    pub fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// The bytes that they may take.
    pub fn size_max(&self) -> usize {
        let halved = self.size_max.checked_shr(self.halvings.load(Relaxed));
        halved.unwrap_or(0).max(BUDGET_SIZE_MIN)
    }

    /// The bytes from which on a table goes to a file, and those that are written at once.
    pub fn table_size_max(&self) -> usize {
        self.size_max() / TABLE_SHARE
    }

    /// Whether so many more bytes may come.
    pub fn has_room(&self, size: usize) -> bool {
        self.size().saturating_add(size) <= self.size_max()
    }
}

/// The bytes that a batch's values take, whatever larger buffers they lie in.
pub fn values_size(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns
        .map(|column| {
            let size = column.to_data().get_slice_memory_size();
            size.unwrap_or_else(|_| column.get_array_memory_size())
        })
        .sum()
}

/// The bytes that a batch of Tonbo's schema will take, as Tonbo counts them, about: with an entry for each row that repeats its key.
pub fn size_of(batch: &RecordBatch) -> usize {
    let key = batch.column(0).to_data().get_slice_memory_size();
    values_size(batch) + key.unwrap_or_default() + batch.num_rows() * ENTRY_SIZE
}

/// When rows are due to go to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// When there are many.
    Full,
    /// When the next opening would feel them.
    Replay,
    /// When there are any.
    Any,
}

/// A table's part.
#[derive(Debug)]
pub struct Unflushed {
    budget: Arc<UnflushedBudget>,
    rows: AtomicUsize,
    size: AtomicUsize,
    /// Opening has replayed so much that the next one shall not.
    was_replayed: AtomicBool,
}

impl Unflushed {
    /// That of a table which has none.
    pub fn new(budget: Arc<UnflushedBudget>) -> Unflushed {
        Unflushed {
            budget,
            rows: AtomicUsize::new(0),
            size: AtomicUsize::new(0),
            was_replayed: AtomicBool::new(false),
        }
    }

    /// What Tonbo tells, of rows and of their bytes.
    pub fn note(&self, (rows, size): (usize, usize)) {
        self.rows.store(rows, Relaxed);
        let before = self.size.swap(size, Relaxed);
        self.budget.size.fetch_add(size, Relaxed);
        self.budget.size.fetch_sub(before, Relaxed);
        if rows == 0 {
            self.was_replayed.store(false, Relaxed);
        }
    }

    /// As [`Unflushed::note`] for a table that was opened: what is there is from before.
    pub fn note_replayed(&self, unflushed: (usize, usize)) {
        self.note(unflushed);
        self.was_replayed.store(self.is_due(Due::Replay), Relaxed);
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows.load(Relaxed)
    }

    /// How many bytes, about.
    pub fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Whether they are to go to a file.
    pub fn is_due(&self, due: Due) -> bool {
        let (rows, size) = match due {
            Due::Full => (FLUSH_ROWS, self.budget.table_size_max()),
            Due::Replay => (REPLAY_ROWS, REPLAY_SIZE),
            Due::Any => (1, 1),
        };
        self.was_replayed.load(Relaxed) || self.rows() >= rows || self.size() >= size
    }
}

impl Drop for Unflushed {
    fn drop(&mut self) {
        self.note((0, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_halved_down_to_the_least() {
        let budget = UnflushedBudget::new(16 * BUDGET_SHARE * BUDGET_SIZE_MIN);
        assert_eq!(budget.size_max(), 16 * BUDGET_SIZE_MIN);
        let mut seen = Vec::new();
        for _ in 0..100 {
            budget.halve();
            seen.push(budget.size_max() / BUDGET_SIZE_MIN);
        }
        assert_eq!(seen[..4], [8, 4, 2, 1]);
        assert!(seen[4..].iter().all(|size| *size == 1));
        assert!(budget.has_room(BUDGET_SIZE_MIN));
        assert!(!budget.has_room(BUDGET_SIZE_MIN + 1));
    }
}
