//! The table's parts, and a stand-in for what holds them together.

#[path = "../../src/table/base.rs"]
pub mod base;
#[path = "../../src/table/cache.rs"]
pub mod cache;
#[path = "../../src/table/chunk.rs"]
pub mod chunk;
#[path = "../../src/table/gate.rs"]
pub mod gate;
#[path = "../../src/table/scan.rs"]
pub mod scan;
#[path = "source.rs"]
pub mod source;
#[path = "../../src/table/unflushed.rs"]
pub mod unflushed;
#[path = "../../src/table/version.rs"]
pub mod version;

pub use heddle_store::table::{TableId, packed, range, rows};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};

use crate::error::StoreResult;
use crate::memory::{CommonShare, MemoryBudget, MemoryShare};
use crate::schema::TableSchema;
use crate::transaction::change_size;
use gate::Writers;
use source::Source;
use unflushed::{Unflushed, UnflushedBudget};
use version::Delta;

/// A table without files. What threads meet in are the store's own parts of it.
pub struct Table {
    pub id: TableId,
    pub owner: TableId,
    pub schema: TableSchema,
    pub source: Arc<Source>,
    pub writers: Writers,
    // Relaxed in the store, hints: no points at which another thread may go on.
    pub unflushed: Unflushed,
    pub wants_merge: AtomicBool,
    delta_memory: CommonShare,
}

impl Table {
    pub fn new(id: TableId, schema: TableSchema, memory: &Arc<MemoryBudget>) -> Arc<Table> {
        Arc::new(Table {
            id,
            owner: id,
            source: Source::new(schema.arrow.clone()),
            schema,
            writers: Writers::default(),
            unflushed: Unflushed::new(UnflushedBudget::new(memory.size_max())),
            wants_merge: AtomicBool::new(false),
            delta_memory: CommonShare::new(memory.share()),
        })
    }

    pub fn name(&self) -> String {
        format!("t{}", self.id)
    }

    pub fn rename(&self, _name: &str) {}

    pub fn ingest(&self, batch: RecordBatch, deletes: Vec<bool>) -> StoreResult<()> {
        self.source.ingest(batch, deletes)
    }

    pub fn flush(&self) -> StoreResult<()> {
        self.source.flush()?;
        self.wants_merge.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub fn empty_column(&self, slot: usize) -> ArrayRef {
        new_empty_array(self.schema.arrow.field(slot).data_type())
    }

    pub fn take_delta_memory(&self, memory: &mut MemoryShare, size: usize) {
        self.delta_memory.take_from(memory, size);
    }

    pub fn delta_size(&self) -> usize {
        self.delta_memory.size()
    }

    pub fn note_delta(&self, delta: &Delta) {
        let size = delta
            .iter()
            .map(|(key, change)| change_size(key, change.row.as_ref()));
        self.delta_memory.set(size.sum());
    }
}
