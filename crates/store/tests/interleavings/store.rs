//! A stand-in for an open database: what holds the store's parts together.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::commit::log::LogFile;
use crate::commit::mover::Mover;
use crate::commit::sequencer::{Published, Sequencer};
use crate::error::StoreResult;
use crate::index::Indexes;
use crate::memory::MemoryBudget;
use crate::schema::TableSchema;
use crate::statement::Main;
use crate::table::base::Base;
use crate::table::cache::ColumnCache;
use crate::table::unflushed::UnflushedBudget;
use crate::table::version::{Delta, Sequence, TableVersion};
use crate::table::{Table, TableId};

/// How large things are.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub cache: usize,
    pub chunk_rows: usize,
    pub memory: usize,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            cache: 1 << 20,
            chunk_rows: 4,
            memory: 1 << 20,
        }
    }
}

pub struct Store {
    pub sequencer: Arc<Sequencer>,
    pub log: LogFile,
    pub cache: Arc<ColumnCache>,
    pub memory: Arc<MemoryBudget>,
    pub unflushed: Arc<UnflushedBudget>,
    pub mover: Mover,
    /// Relaxed in the store, a hint: no point at which another thread may go on.
    pub floor: AtomicU64,
    pub main: Arc<Main>,
    pub tables: Vec<Arc<Table>>,
}

impl Store {
    /// A database with so many tables of two numbers, the first of them the key.
    pub fn new(tables: usize, sizes: Sizes) -> Arc<Store> {
        let memory = MemoryBudget::new(sizes.memory);
        let cache = Arc::new(ColumnCache::new(sizes.cache, sizes.chunk_rows));
        let schema = TableSchema::parse(&["id INTEGER PRIMARY KEY", "n INTEGER"]).unwrap();
        let tables: Vec<_> = (1..=tables as TableId)
            .map(|id| Table::new(id, schema.clone(), &memory))
            .collect();
        let published = Published {
            tables: tables
                .iter()
                .map(|table| (table.id, Arc::new(first_version(table, &cache))))
                .collect(),
            ..Published::default()
        };
        Arc::new(Store {
            sequencer: Sequencer::new(published),
            log: LogFile::new(),
            cache,
            unflushed: UnflushedBudget::new(memory.size_max()),
            memory,
            mover: Mover::default(),
            floor: AtomicU64::new(0),
            main: Arc::default(),
            tables,
        })
    }

    /// As the store's: the deltas may have a quarter of the memory.
    pub fn wait_for_mover(&self) -> StoreResult<()> {
        let size_max = self.memory.size_max() / 4;
        let delta_size = || {
            self.tables
                .iter()
                .map(|table| table.delta_size())
                .sum::<usize>()
        };
        self.mover
            .wait_while(|| self.memory.used() > size_max && delta_size() > size_max)
    }

    pub fn discard(&self, value: Box<dyn Send>) {
        self.mover.discard(value);
    }

    pub fn sync_logs(&self) -> StoreResult<()> {
        self.log.sync().map(drop)
    }

    pub fn oldest_shut_change(&self) -> Option<Sequence> {
        None
    }

    /// Here no session leaves a transaction undecided.
    pub fn decide(&self) -> StoreResult<()> {
        Ok(())
    }
}

fn first_version(table: &Arc<Table>, cache: &Arc<ColumnCache>) -> TableVersion {
    let slots = table.schema.arrow.fields().len();
    let snapshot = table.source.snapshot().unwrap();
    TableVersion {
        table: table.clone(),
        base: Arc::new(Base::new(snapshot, slots, cache.clone())),
        delta: Delta::new(),
        indexes: Indexes::default(),
    }
}
