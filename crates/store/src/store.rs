//! An open database: what all its connections share.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalogue::{self, IndexEntry};
use crate::commit::log::{self, Durability, LogFile};
use crate::commit::mover::{self, Mover};
use crate::commit::sequencer::Sequencer;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::index::Indexes;
use crate::io::SharedIo;
use crate::memory::MemoryBudget;
use crate::own_files::is_no_database;
use crate::recovery::tables::{Means, Slot, first_version, open_entries, open_stored, recover};
use crate::recovery::{Damage, Recovery, Salvage};
use crate::schema::TableSchema;
use crate::sqlite::{self, Vfs};
use crate::statement::Handle;
use crate::table::base::CHUNK_ROWS;
use crate::table::cache::ColumnCache;
use crate::table::unflushed::{Due, UnflushedBudget};
use crate::table::version::{Sequence, TableVersion};
use crate::table::{Table, TableId};
use crate::tonbo::TonboHost;
use crate::transaction::Transaction;

/// The ordinary tables, the catalogue, and the log of mixed commits.
pub const MAIN_FILE: &str = "main.db";

/// The log of commits to Tonbo tables alone.
pub const LOG_FILE: &str = "log.db";

/// The default of [`StoreOptions::memory_size`]: a quarter of what a Wasm memory may grow to.
const MEMORY_SIZE: usize = 1 << 30;

/// Committed rows that wait for the mover may take so much of the memory; then commits wait for it.
const DELTA_SHARE: usize = 4;

/// How often a commit that is durable is tried to be shown, and between two times.
const PUBLISH_ATTEMPTS: u32 = 100;
const PUBLISH_PAUSE: Duration = Duration::from_millis(10);

/// The largest value, row or statement of SQL, in bytes. A transaction's row in the log has to fit too.
const VALUE_SIZE_MAX: c_int = 256 << 20;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The budget of decoded columns, in bytes.
    pub cache_size: usize,
    /// What statements may take for uncommitted rows, sorts and temporary tables, in bytes, all connections together.
    pub memory_size: usize,
    /// How sure an acknowledged commit is.
    pub durability: Durability,
    /// What opening does about damaged files.
    pub recovery: Recovery,
    /// Whether a thread of the store's moves commits into Tonbo. Without one, [`mover::round`] has to be called: tests that replay a
    /// history do that.
    pub moves_in_background: bool,
    /// How many rows a chunk gets when it is cut. Tests ask for small ones, so that small tables have many.
    pub chunk_rows: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            cache_size: 256 << 20,
            memory_size: MEMORY_SIZE,
            durability: Durability::Full,
            recovery: Recovery::Refuse,
            moves_in_background: true,
            chunk_rows: CHUNK_ROWS,
        }
    }
}

/// What all connections of a database share.
pub struct Store {
    /// What the Tonbo tables stand on.
    host: TonboHost,
    /// The order of commits.
    pub sequencer: Arc<Sequencer>,
    /// The log of commits to Tonbo tables alone.
    pub log: LogFile,
    /// Decoded columns.
    pub cache: Arc<ColumnCache>,
    /// What statements take.
    pub memory: Arc<MemoryBudget>,
    /// What rows take that are in no file yet, beside that.
    pub unflushed: Arc<UnflushedBudget>,
    /// The background thread's mailbox.
    pub mover: Mover,
    /// Moves when the catalogue changes: connections look again. SeqCst.
    pub catalogue_version: AtomicU64,
    next_table: AtomicU64,
    tables: Mutex<BTreeMap<TableId, Slot>>,
    /// Commits below this number are in Tonbo, durably. Relaxed: an older value only keeps rows of the logs for longer.
    pub floor: AtomicU64,
    moves_in_background: bool,
    durability: Durability,
    /// What opening it went on without.
    pub damage: Vec<Damage>,
    /// A connection whose WAL is that of the ordinary tables; only with [`Durability::Relaxed`].
    main_wal: Mutex<Option<MainWal>>,
    background: Mutex<Option<heddle_thread::JoinHandle<()>>>,
    /// See [`Store::leave_undecided`].
    undecided: Mutex<Vec<Transaction>>,
    // Last: the connections above are closed before their VFS goes.
    vfs: Vfs,
}

/// What becomes of the files of a table that is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// They go with the table's last reader.
    Removed,
    /// They stay for the next opening, which knows whether the catalogue has the table.
    Kept,
}

/// A table that was made and that snapshots don't see yet. Its files go with it.
pub struct Built(Option<TableVersion>);

impl Drop for Built {
    fn drop(&mut self) {
        if let Some(version) = self.0.take() {
            version.table.dropped.store(true, Ordering::SeqCst);
        }
    }
}

/// A connection that something of the store's works on, closed whatever comes of it.
struct Maintenance(Handle);

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// See [`Store::sync_logs`].
struct MainWal(Handle);

// SAFETY: the handle is only used under the lock of `Store::main_wal`, by one thread at a time.
unsafe impl Send for MainWal {}

impl Drop for MainWal {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Store {
    /// Opens a database, or creates it, and brings back every commit that was acknowledged.
    pub fn open(io: SharedIo, options: &StoreOptions) -> StoreResult<Arc<Store>> {
        let failed = |error: sqlite::SqliteError| {
            StoreError::new(StoreErrorCode::EngineFailed, error.to_string())
        };
        static STORES: AtomicU64 = AtomicU64::new(0);
        let vfs_name = format!("heddle-{}", STORES.fetch_add(1, Ordering::Relaxed));
        let memory = MemoryBudget::new(options.memory_size);
        let unflushed = UnflushedBudget::new(options.memory_size);
        let vfs =
            sqlite::register_vfs_within(&vfs_name, io.clone(), memory.clone(), is_no_database)
                .map_err(failed)?;
        let mut salvage = Salvage::begin(&io, options.recovery)?;
        if options.durability == Durability::Relaxed {
            salvage.note_relaxed()?;
        }
        let maintenance = Maintenance(Handle::open(MAIN_FILE, vfs.name())?);
        let main = maintenance.0;
        configure(main, options.durability)?;
        log::transaction(main, || {
            catalogue::create_main_tables(main)?;
            log::create_main_tables(main)
        })?;
        let log = salvage.open_log(main, vfs.name(), options.durability)?;
        let cache = Arc::new(ColumnCache::new(options.cache_size, options.chunk_rows));
        let host = TonboHost::open(io)?;
        let means = Means {
            host: &host,
            cache: &cache,
            memory: &memory,
            unflushed: &unflushed,
        };
        let recovered = recover(means, main, &log, &mut salvage)?;
        if options.durability == Durability::Full && salvage.was_relaxed() {
            log::sync_wal(main)?;
            log.sync_wal()?;
            salvage.note_synced()?;
        }
        let store = Arc::new(Store {
            host,
            sequencer: Sequencer::new(recovered.published),
            log,
            cache,
            memory,
            unflushed,
            mover: Mover::default(),
            catalogue_version: AtomicU64::new(1),
            next_table: AtomicU64::new(recovered.next_table),
            tables: Mutex::new(recovered.tables),
            floor: AtomicU64::new(0),
            moves_in_background: options.moves_in_background,
            durability: options.durability,
            damage: salvage.found,
            main_wal: Mutex::new(None),
            background: Mutex::new(None),
            undecided: Mutex::default(),
            vfs,
        });
        if options.moves_in_background {
            store.start_mover()?;
        }
        Ok(store)
    }

    fn start_mover(self: &Arc<Self>) -> StoreResult<()> {
        let shared = self.clone();
        let background = heddle_thread::Builder::new()
            .name("heddle store mover".into())
            .spawn(move || mover::run(&shared))
            .map_err(|error| {
                StoreError::new(
                    StoreErrorCode::EngineFailed,
                    format!("no thread for the background: {error}"),
                )
            })?;
        *self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(background);
        self.mover.call();
        Ok(())
    }

    /// Ends the background thread and Tonbo's tasks. What is acknowledged is durable without it.
    pub fn close(&self) -> StoreResult<()> {
        self.mover.close();
        let background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(background) = background {
            background.join().map_err(|_| {
                StoreError::new(
                    StoreErrorCode::EngineFailed,
                    "the background thread panicked",
                )
            })?;
        }
        // Nothing that was acknowledged depends on what follows: what cannot be moved into Tonbo now, on a full disk or in a full memory say, is
        // in the logs and is moved after the next open.
        let _moved = mover::caught("moving commits into tables", || mover::round(self));
        let open = |slot: &Slot| match slot {
            Slot::Open(table) => Some(table.clone()),
            Slot::Shut(_) => None,
        };
        let tables: Vec<_> = self.tables().values().filter_map(open).collect();
        for table in tables {
            let _writing = self.mover.writing();
            let _flushed = mover::caught("writing a file", || {
                mover::flush(&table, Due::Replay).map(drop)
            });
            let _closed = table.source.close();
        }
        Ok(())
    }

    /// How sure an acknowledged commit is.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// A connection's handle, configured.
    pub fn connect(&self) -> StoreResult<Handle> {
        let handle = Handle::open(MAIN_FILE, self.vfs.name())?;
        configure(handle, self.durability).inspect_err(|_| handle.close())?;
        handle.limit_values(VALUE_SIZE_MAX);
        Ok(handle)
    }

    /// Waits while more is committed than the mover can keep up with.
    ///
    /// # Errors
    /// What keeps the mover from its work, or [`StoreErrorCode::Interrupted`].
    pub fn wait_for_mover(&self) -> StoreResult<()> {
        // Without a thread of its own the mover comes when it is called, not while somebody waits.
        if !self.moves_in_background {
            return Ok(());
        }
        let size_max = self.memory.size_max() / DELTA_SHARE;
        // The deltas are a part of what is used: while that is little, the tables need not be asked.
        self.mover
            .wait_while(|| self.memory.used() > size_max && self.delta_size() > size_max)
    }

    /// Drops a value that takes long to drop: elsewhere, if there is a thread for it.
    pub fn discard(&self, value: Box<dyn Send>) {
        if self.moves_in_background {
            self.mover.discard(value);
        }
    }

    /// Flushes a table that nobody else writes to a file, if that is due, and others if all take too much: elsewhere, if there is a thread for
    /// it, so that an interrupt need not wait.
    pub fn flush_if_due(self: &Arc<Self>, table: &Arc<Table>) -> StoreResult<()> {
        if !table.unflushed.is_due(Due::Full) && self.unflushed.has_room(0) {
            return Ok(());
        }
        let (own, table) = (self.clone(), table.clone());
        self.in_background(move || {
            mover::flush(&table, Due::Full)?;
            if !own.unflushed.has_room(0) {
                let _writing = own.mover.writing();
                mover::make_room(&own, 0)?;
            }
            // What is left belongs to indexes that are being built.
            if !own.unflushed.has_room(0) {
                mover::flush(&table, Due::Any)?;
            }
            Ok(())
        })
    }

    /// Moves what is committed into Tonbo, and all rows that it has into files.
    pub fn write_files(self: &Arc<Self>) -> StoreResult<()> {
        let own = self.clone();
        self.in_background(move || mover::checkpoint(&own))
    }

    /// Does something on the background thread, if there is one, so that an interrupt need not wait for it.
    fn in_background(
        &self,
        work: impl FnOnce() -> StoreResult<()> + Send + 'static,
    ) -> StoreResult<()> {
        if self.moves_in_background {
            self.mover.run_errand(work)
        } else {
            work()
        }
    }

    /// Returns when every commit that was acknowledged survives the loss of power.
    pub fn sync_logs(&self) -> StoreResult<()> {
        if self.durability == Durability::Full {
            return Ok(());
        }
        let mut main_wal = self.main_wal.lock().unwrap_or_else(PoisonError::into_inner);
        let main = match &*main_wal {
            Some(MainWal(main)) => *main,
            None => {
                let main = MainWal(self.connect()?);
                // Opens the WAL: one that is not open would pass for synced.
                main.0.execute("SELECT 1 FROM main.sqlite_schema")?;
                main_wal.insert(main).0
            }
        };
        log::sync_wal(main)?;
        self.log.sync().map(drop)
    }

    /// Shows a transaction that is durable to others, and ends it. Where there is no memory for that, it is tried again for a while: the commit can't be
    /// taken back, and nobody would know of it. Then the engine ends, and the next one finds the commit in the logs.
    pub fn publish(&self, mut transaction: Transaction) {
        let mut attempts = 1;
        while catch_unwind(AssertUnwindSafe(|| transaction.publish(self))).is_err() {
            if attempts == PUBLISH_ATTEMPTS {
                std::process::abort();
            }
            attempts += 1;
            heddle_thread::sleep(PUBLISH_PAUSE);
        }
        transaction.end(self);
    }

    /// Ends a transaction of which [`Transaction::is_in_main`] has told.
    pub fn settle(&self, transaction: Transaction, is_in_main: bool) {
        match is_in_main {
            true => self.publish(transaction),
            false => transaction.end(self),
        }
    }

    /// Takes a mixed commit of which only `main` knows whether it stands, where that could not be read: the mover's rounds try again, for all who
    /// commit wait for its number.
    pub fn leave_undecided(&self, transaction: Transaction) {
        self.undecided().push(transaction);
        self.mover.call();
    }

    /// Settles what [`Store::leave_undecided`] took. Nothing in here waits for other numbers: one of them may be about to be left, too.
    pub fn decide(&self) -> StoreResult<()> {
        let mut undecided = self.undecided();
        while let Some(at) = undecided.iter().position(Transaction::is_next) {
            let main = Maintenance(self.connect()?);
            let is_in_main = undecided[at].is_in_main(main.0)?;
            self.settle(undecided.swap_remove(at), is_in_main);
        }
        match undecided.is_empty() {
            true => Ok(()),
            false => Err(StoreError::new(
                StoreErrorCode::Busy,
                "commits wait for one that is not settled yet",
            )),
        }
    }

    fn undecided(&self) -> MutexGuard<'_, Vec<Transaction>> {
        self.undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn delta_size(&self) -> usize {
        self.sequencer
            .published()
            .tables
            .values()
            .map(|version| version.table.delta_size())
            .sum()
    }

    /// A number for a new table.
    pub fn new_table_id(&self) -> TableId {
        self.next_table.fetch_add(1, Ordering::Relaxed)
    }

    /// The table of that number, or why it can't be used. One that could not be opened is tried again, unless its files are damaged.
    pub fn table(&self, id: TableId) -> StoreResult<Arc<Table>> {
        let mut tables = self.tables();
        let slot = tables.get_mut(&id).ok_or_else(|| {
            StoreError::new(StoreErrorCode::NotFound, "this table has been dropped")
        })?;
        let shut = match slot {
            Slot::Open(table) => return Ok(table.clone()),
            Slot::Shut(shut) if !shut.may_open() => return Err(shut.reason.clone()),
            Slot::Shut(shut) => shut,
        };
        let mut version = open_stored(self.means(), &shut.entry, Recovery::Refuse)
            .inspect_err(|error| shut.reason = error.clone())?;
        version.delta = std::mem::take(&mut shut.delta);
        version.table.note_delta(&version.delta);
        let table = version.table.clone();
        self.sequencer.replace(|published| {
            published.tables.insert(id, Arc::new(version));
        });
        *slot = Slot::Open(table.clone());
        drop(tables);
        self.mover.call();
        Ok(table)
    }

    /// The oldest commit in the logs for a table that could not be opened.
    pub fn oldest_shut_change(&self) -> Option<Sequence> {
        let oldest = |slot: &Slot| match slot {
            Slot::Open(_) => None,
            Slot::Shut(shut) => shut.floor,
        };
        self.tables().values().filter_map(oldest).min()
    }

    /// Makes a new, empty table's files and lets snapshots see it. The catalogue is the caller's.
    pub fn create_table(
        &self,
        id: TableId,
        name: &str,
        schema: TableSchema,
        indexes: Indexes,
    ) -> StoreResult<Arc<Table>> {
        let table = Table::open(self.means(), id, id, name, schema, Recovery::Refuse)?;
        let table = Arc::new(table);
        let version = TableVersion {
            indexes,
            ..first_version(&table, &self.cache)?
        };
        self.add(Built(Some(version)));
        Ok(table)
    }

    /// Makes the files for an index's entries, which `fill` writes. The catalogue is the caller's.
    pub fn new_index(
        &self,
        entry: &IndexEntry,
        fill: impl FnOnce(&Arc<Table>) -> StoreResult<()>,
    ) -> StoreResult<Built> {
        let table = Arc::new(open_entries(self.means(), entry, Recovery::Refuse)?);
        let version = fill(&table).and_then(|()| first_version(&table, &self.cache));
        if version.is_err() {
            table.dropped.store(true, Ordering::SeqCst);
            // Closing it and removing its files takes longer than an interrupt may.
            self.discard(Box::new(table));
        }
        Ok(Built(Some(version?)))
    }

    /// Lets snapshots see what was made.
    pub fn add(&self, mut built: Built) {
        if let Some(version) = built.0.take() {
            let table = version.table.clone();
            let id = table.id;
            self.tables().insert(id, Slot::Open(table));
            self.sequencer.replace(|published| {
                published.tables.insert(id, Arc::new(version));
            });
        }
    }

    /// Forgets a table that was dropped, or whose creation was rolled back.
    pub fn forget_table(&self, id: TableId, files: Files) {
        let removed = self.tables().remove(&id);
        if let Some(Slot::Open(table)) = &removed
            && files == Files::Removed
        {
            table.dropped.store(true, Ordering::SeqCst);
        }
        self.sequencer.replace(|published| {
            published.tables.remove(&id);
        });
        // Last: where nobody reads the table any more its files go here, not under the sequencer's lock.
        drop(removed);
    }

    /// Figures for display: bytes, rows and counts.
    pub fn figures(&self) -> BTreeMap<&'static str, f64> {
        let (hits, misses) = self.cache.hits_and_misses();
        let published = self.sequencer.published();
        let delta_rows: usize = published
            .tables
            .values()
            .map(|version| version.delta.len())
            .sum();
        BTreeMap::from([
            ("cacheBytes", self.cache.used() as f64),
            ("cacheBytesMax", self.cache.budget() as f64),
            ("cacheHits", hits as f64),
            ("cacheMisses", misses as f64),
            ("deltaRows", delta_rows as f64),
            ("memoryBytes", self.memory.used() as f64),
            ("memoryBytesMax", self.memory.size_max() as f64),
            ("moverFailures", self.mover.failures().into()),
            ("sequence", published.sequence as f64),
            (
                "tables",
                published
                    .tables
                    .values()
                    .filter(|version| !version.table.schema.is_index())
                    .count() as f64,
            ),
        ])
    }

    fn means(&self) -> Means<'_> {
        Means {
            host: &self.host,
            cache: &self.cache,
            memory: &self.memory,
            unflushed: &self.unflushed,
        }
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<TableId, Slot>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn configure(handle: Handle, durability: Durability) -> StoreResult<()> {
    handle.execute(&format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {};
         PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;",
        durability.synchronous()
    ))
}
