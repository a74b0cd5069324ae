//! A Tonbo table: its schema, its Tonbo, and what all threads share of it.

pub mod base;
pub mod cache;
pub mod chunk;
pub mod gate;
pub mod packed;
pub mod range;
pub mod rows;
pub mod scan;
pub mod source;
pub mod unflushed;
pub mod version;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::memory::{CommonShare, MemoryShare};
use crate::recovery::Recovery;
use crate::recovery::tables::Means;

use crate::schema::TableSchema;
use crate::tonbo::TonboHost;
use crate::transaction::change_size;
use gate::Writers;
use source::Source;
use unflushed::Unflushed;
use version::Delta;

/// A table's number: never used twice in a store, and the name of its directory.
pub type TableId = u64;

/// Where the tables' files are, within Tonbo's.
pub const TABLES: &str = "tables";

/// Which row ids have been used, by open transactions too: numbers are given out once, so that two writers never get the same.
#[derive(Default)]
struct RowIds {
    /// The greatest one that was seen.
    greatest: Option<i64>,
    /// Whether the stored rows have been looked at.
    is_known: bool,
}

/// What all threads share of a table.
pub struct Table {
    /// Its number.
    pub id: TableId,
    /// The table that it belongs to: itself or, where it holds an index's entries, the table whose rows those find.
    pub owner: TableId,
    /// See [`Table::name`].
    name: Mutex<Arc<str>>,
    /// Its key, and what its Tonbo holds. Its columns may have been altered since: those of a statement are its connection's.
    pub schema: TableSchema,
    /// Its Tonbo.
    pub source: Arc<Source>,
    host: TonboHost,
    /// Who may write it.
    pub writers: Writers,
    /// Set when its DROP was committed.
    pub dropped: AtomicBool,
    /// What Tonbo keeps in memory, until the next flush.
    pub unflushed: Unflushed,
    rowids: Mutex<RowIds>,
    /// What the table's delta takes; overwritten changes count until they are moved.
    delta_memory: CommonShare,
    /// Rows went to a file, and whether files are to be merged has not been looked at since. Relaxed: written under the mover's lock.
    pub wants_merge: AtomicBool,
}

impl Table {
    /// The directory of a table's files, within Tonbo's.
    pub fn directory(id: TableId) -> String {
        format!("{TABLES}/{id}")
    }

    /// The table that a path of Tonbo's files belongs to.
    pub fn id_of(path: &str) -> Option<TableId> {
        path.strip_prefix(TABLES)?.split('/').nth(1)?.parse().ok()
    }

    /// Opens a table's files, or creates them.
    pub(crate) fn open(
        means: Means<'_>,
        id: TableId,
        owner: TableId,
        name: &str,
        schema: TableSchema,
        recovery: Recovery,
    ) -> StoreResult<Table> {
        let root = Table::directory(id);
        let source = Source::open(means.host, &root, name, schema.arrow.clone(), recovery)?;
        let unflushed = Unflushed::new(means.unflushed.clone());
        unflushed.note_replayed(source.unflushed());
        Ok(Table {
            id,
            owner,
            name: Mutex::new(name.into()),
            schema,
            source: Arc::new(source),
            host: means.host.clone(),
            writers: Writers::default(),
            dropped: AtomicBool::new(false),
            unflushed,
            rowids: Mutex::default(),
            delta_memory: CommonShare::new(means.memory.share()),
            wants_merge: AtomicBool::new(false),
        })
    }

    /// Its name, as the last commit to its schema has it. A statement's is its connection's.
    pub fn name(&self) -> Arc<str> {
        self.name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A commit has named it `name`.
    pub fn rename(&self, name: &str) {
        let mut known = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if **known != *name {
            *known = name.into();
        }
    }

    /// Has Tonbo take upserts and deletes. Room for them is the caller's.
    pub fn ingest(&self, batch: RecordBatch, deletes: Vec<bool>) -> StoreResult<()> {
        let ingested = self.source.ingest(batch, deletes);
        self.unflushed.note(self.source.unflushed());
        ingested
    }

    /// Has Tonbo write what it keeps in memory to a file.
    pub fn flush(&self) -> StoreResult<()> {
        let flushed = self.source.flush();
        self.unflushed.note(self.source.unflushed());
        flushed?;
        self.wants_merge.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The delta takes over a commit's changes.
    pub fn take_delta_memory(&self, memory: &mut MemoryShare, size: usize) {
        self.delta_memory.take_from(memory, size);
    }

    /// The bytes that the delta takes, about.
    pub fn delta_size(&self) -> usize {
        self.delta_memory.size()
    }

    /// The delta is `delta` from now on. Called under the sequencer's lock, as commits are.
    pub fn note_delta(&self, delta: &Delta) {
        let size = delta
            .iter()
            .map(|(key, change)| change_size(key, change.row.as_ref()));
        self.delta_memory.set(size.sum());
    }

    /// A row id that no other row has; `greatest` finds the greatest one in use where that isn't known yet.
    pub fn next_rowid(
        &self,
        greatest: impl FnOnce() -> StoreResult<Option<i64>>,
    ) -> StoreResult<i64> {
        let mut rowids = self.rowids.lock().unwrap_or_else(PoisonError::into_inner);
        if !rowids.is_known {
            rowids.greatest = rowids.greatest.max(greatest()?);
            rowids.is_known = true;
        }
        let next = rowids.greatest.unwrap_or(0).checked_add(1).ok_or_else(|| {
            StoreError::new(
                StoreErrorCode::NoSpace,
                format!("table {} has used up its row ids", self.name()),
            )
        })?;
        rowids.greatest = Some(next);
        Ok(next)
    }

    /// A row id that was given by a statement.
    pub fn note_rowid(&self, rowid: i64) {
        let mut rowids = self.rowids.lock().unwrap_or_else(PoisonError::into_inner);
        rowids.greatest = rowids.greatest.max(Some(rowid));
    }

    /// A column without rows, by its slot in the Arrow schema.
    pub fn empty_column(&self, slot: usize) -> ArrayRef {
        new_empty_array(self.schema.arrow.field(slot).data_type())
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // The last reader of a dropped table has gone. What can't be removed now is swept at the next open.
        if self.dropped.load(Ordering::SeqCst) {
            let _closed = self.source.close();
            let _removed = self.host.fs.remove_all(&Table::directory(self.id));
        }
    }
}
