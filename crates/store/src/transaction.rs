//! A connection's transaction on Tonbo tables: what it sees, what it has written, and its way through the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commit::changes::Changes;
use crate::commit::log::{self, Record};
use crate::commit::sequencer::{Claim, Refusal, Reservation, Snapshot};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::index::Indexes;
use crate::key::Key;
use crate::memory::{MemoryBudget, MemoryShare};
use crate::statement::Handle;
use crate::store::Store;
use crate::table::range::KeyRange;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, Delta, Sequence, TableVersion, deltas_of};
use crate::table::{Table, TableId};
use crate::value::{Row, Value};

/// What a transaction's changes to Tonbo tables may take, in bytes: they are one row of a log, whose size SQLite bounds.
pub const TRANSACTION_SIZE_MAX: usize = 240 << 20;

/// Dropping less than this takes no time to speak of.
const DISCARD_SIZE_MIN: usize = 1 << 20;

/// As many changes that are let go of take no time to speak of.
const DISCARD_ROWS_MIN: usize = 4096;

/// What a change takes beside its key and its texts and bytes: its place in the buffer, and the row's values.
const CHANGE_SIZE: usize = 64;

/// See the module's documentation. Dropping it undoes everything that was not published.
pub struct Transaction {
    snapshot: Snapshot,
    /// By table, its indexes' entries included.
    writes: BTreeMap<TableId, Writes>,
    /// What all `writes` take.
    memory: MemoryShare,
    /// What is taken already for the row that is about to be written.
    room: MemoryShare,
    reserved: Option<Reserved>,
}

/// Changes of a table's rows and of its indexes' entries, by the table that holds them.
type Buffers = BTreeMap<TableId, Changed>;

#[derive(Clone, Default)]
struct Changed {
    rows: Buffer,
    /// The bytes of the rows and what belongs to them.
    size: usize,
}

#[derive(Default)]
struct Writes {
    buffers: Buffers,
    /// The buffers as they were at each open savepoint, by SQLite's number for it, ascending.
    saved: Vec<(i32, Buffers)>,
}

impl Writes {
    fn size(&self) -> usize {
        self.buffers.values().map(|changed| changed.size).sum()
    }
}

/// The bytes that a change takes in memory, about.
pub fn change_size(key: &Key, row: Option<&Row>) -> usize {
    let values = row.map_or(0, |row| {
        size_of_val(&**row) + row.iter().map(Value::heap_size).sum::<usize>()
    });
    CHANGE_SIZE + key.len() + values
}

/// As [`Transaction::row`], of a version of the table.
pub fn row_of(
    version: Arc<TableVersion>,
    key: &Key,
    columns: &[usize],
    absent: Vec<Value>,
) -> StoreResult<Option<Vec<Value>>> {
    let request = Request {
        range: KeyRange::point(key),
        columns: columns.to_vec(),
        absent,
        rows_expected: Some(1),
        ..Request::default()
    };
    let scan = Scan::new(version, Buffer::new(), request)?;
    if scan.is_done() {
        return Ok(None);
    }
    let mut row = vec![Value::Null; columns.iter().max().map_or(0, |last| last + 1)];
    for (place, column) in columns.iter().enumerate() {
        row[*column] = Value::from(scan.cell(place));
    }
    Ok(Some(row))
}

/// A table whose indexes are others from a transaction's commit on.
pub struct Reindexing {
    /// What the commit claims for that.
    pub claim: Claim,
    /// The table's indexes.
    pub indexes: Indexes,
}

/// A transaction between xSync and xCommit.
struct Reserved {
    reservation: Reservation,
    /// What it changes, by table.
    deltas: BTreeMap<TableId, Delta>,
    reindexings: Vec<Reindexing>,
    /// The names of all tables as the transaction leaves them, where it has altered one.
    names: Vec<(TableId, String)>,
    is_mixed: bool,
}

impl Transaction {
    /// A transaction that sees `snapshot`, and takes `memory` for its changes.
    pub fn new(snapshot: Snapshot, memory: &Arc<MemoryBudget>) -> Transaction {
        Transaction {
            snapshot,
            writes: BTreeMap::new(),
            memory: memory.share(),
            room: memory.share(),
            reserved: None,
        }
    }

    /// A table as this transaction sees it. A table that was made since has no rows yet that it could miss.
    pub fn version(&self, store: &Store, table: &Arc<Table>) -> StoreResult<Arc<TableVersion>> {
        let find = |published: &crate::commit::sequencer::Published| {
            published.tables.get(&table.id).cloned()
        };
        find(&self.snapshot.published)
            .or_else(|| find(&store.sequencer.published()))
            .ok_or_else(|| {
                StoreError::new(
                    StoreErrorCode::NotFound,
                    format!("table {} has been dropped", table.name()),
                )
            })
    }

    /// Its own changes to a table.
    pub fn buffer(&self, table: &Table) -> Buffer {
        self.own(table).cloned().unwrap_or_default()
    }

    fn own(&self, table: &Table) -> Option<&Buffer> {
        let changed = self.writes.get(&table.owner)?.buffers.get(&table.id)?;
        Some(&changed.rows)
    }

    /// Whether a row of that key is visible.
    pub fn has_row(&self, store: &Store, table: &Arc<Table>, key: &Key) -> StoreResult<bool> {
        Ok(self.row(store, table, key, &[], Vec::new())?.is_some())
    }

    /// The row of that key, if it is visible: its values in `columns`, and NULL in the others.
    pub fn row(
        &self,
        store: &Store,
        table: &Arc<Table>,
        key: &Key,
        columns: &[usize],
        absent: Vec<Value>,
    ) -> StoreResult<Option<Vec<Value>>> {
        if let Some(row) = self.own(table).and_then(|buffer| buffer.get(key)) {
            return Ok(row.as_ref().map(|row| row.to_vec()));
        }
        self.stored_row(store, table, key, columns, absent)
    }

    /// As [`Transaction::row`], without what this transaction has written.
    pub fn stored_row(
        &self,
        store: &Store,
        table: &Arc<Table>,
        key: &Key,
        columns: &[usize],
        absent: Vec<Value>,
    ) -> StoreResult<Option<Vec<Value>>> {
        row_of(self.version(store, table)?, key, columns, absent)
    }

    /// Takes room for so many bytes more: a row and its entries, all or none.
    ///
    /// # Errors
    /// [`StoreErrorCode::OutOfMemory`] and [`StoreErrorCode::TooBig`].
    pub fn take_room(&mut self, size: usize) -> StoreResult<()> {
        if self.memory.size() + size > TRANSACTION_SIZE_MAX {
            return Err(StoreError::new(
                StoreErrorCode::TooBig,
                format!(
                    "a transaction may change {} MiB of Tonbo tables' rows: commit in smaller steps, or import",
                    TRANSACTION_SIZE_MAX >> 20
                ),
            ));
        }
        Ok(self.room.grow(size.saturating_sub(self.room.size()))?)
    }

    /// Gives back what was not needed of the room.
    pub fn return_room(&mut self) {
        self.room.set(0);
    }

    /// Writes a row, or deletes it. There is room: [`Transaction::take_room`].
    pub fn write(&mut self, table: &Table, key: Key, row: Option<Row>) {
        let size = change_size(&key, row.as_ref());
        let changed = self
            .writes
            .entry(table.owner)
            .or_default()
            .buffers
            .entry(table.id)
            .or_default();
        let replaced = match changed.rows.get(&key) {
            Some(before) => change_size(&key, before.as_ref()),
            None => 0,
        };
        let total = self.memory.size() + size - replaced;
        let more = size.saturating_sub(replaced);
        self.memory.take_from(&mut self.room, more);
        self.memory.set(total);
        changed.size = changed.size + size - replaced;
        changed.rows.insert(key, row);
    }

    /// A savepoint begins for a table. One that SQLite tells of again, as of a table that was declared anew since, began before.
    pub fn save(&mut self, table: TableId, savepoint: i32) {
        let writes = self.writes.entry(table).or_default();
        writes.saved.retain(|(other, _)| *other <= savepoint);
        if writes
            .saved
            .last()
            .is_none_or(|(other, _)| *other != savepoint)
        {
            writes.saved.push((savepoint, writes.buffers.clone()));
        }
    }

    /// The savepoint and those within it end; their writes stay.
    pub fn release(&mut self, table: TableId, savepoint: i32) {
        if let Some(writes) = self.writes.get_mut(&table) {
            writes.saved.retain(|(other, _)| *other < savepoint);
        }
    }

    /// The table's writes since the savepoint are undone; it stays open.
    pub fn roll_back_to(&mut self, store: &Store, table: TableId, savepoint: i32) {
        let Some(writes) = self.writes.get_mut(&table) else {
            return;
        };
        let before = writes.size();
        writes.saved.retain(|(other, _)| *other <= savepoint);
        let buffers = match writes.saved.last() {
            Some((other, buffers)) if *other == savepoint => buffers.clone(),
            // SQLite named a savepoint from before the table's first write.
            _ => Buffers::new(),
        };
        let undone = std::mem::replace(&mut writes.buffers, buffers);
        if before > DISCARD_SIZE_MIN {
            store.discard(Box::new(undone));
        }
        // What was overwritten and stands again may take more than what overwrote it.
        let total = self.memory.size() + writes.size() - before;
        self.memory.set(total);
    }

    /// The tables that it has written.
    pub fn written(&self) -> Vec<TableId> {
        self.writes.keys().copied().collect()
    }

    /// Whether xSync has been called.
    pub fn is_reserved(&self) -> bool {
        self.reserved.is_some()
    }

    /// The number by which xSync has written it to `main`, with what it has written to ordinary tables.
    pub fn in_main(&self) -> Option<Sequence> {
        let reserved = self.reserved.as_ref().filter(|it| it.is_mixed);
        reserved.map(|reserved| reserved.reservation.sequence())
    }

    /// As [`Transaction::in_main`]: whether it stands there, as `main`, outside of a transaction, tells.
    pub fn is_in_main(&self, main: Handle) -> StoreResult<bool> {
        match self.in_main() {
            Some(sequence) => log::is_in_main(main, sequence),
            None => Ok(false),
        }
    }

    /// Whether all with smaller numbers are settled.
    pub fn is_next(&self) -> bool {
        let mut reserved = self.reserved.iter();
        reserved.all(|reserved| reserved.reservation.is_next())
    }

    /// xSync: checks the transaction against all others, reserves its number, makes it durable. Only the first call does anything. One that has
    /// altered a table, and then has the `names` of all as it leaves them, gets a number though it writes no row: who has the table as it was
    /// must not see rows that come behind.
    pub fn sync(
        &mut self,
        store: &Arc<Store>,
        main: Handle,
        reindexings: Vec<Reindexing>,
        names: Option<Vec<(TableId, String)>>,
    ) -> Result<(), Refusal> {
        if self.reserved.is_some() {
            return Ok(());
        }
        let written = self
            .writes
            .values()
            .flat_map(|writes| &writes.buffers)
            .filter(|(_, changed)| !changed.rows.is_empty());
        let changes = Changes {
            tables: written
                .map(|(id, changed)| (*id, changed.rows.clone()))
                .collect(),
        };
        let is_mixed = main.writes_main();
        let is_altering = names.is_some() && is_mixed;
        if changes.tables.is_empty() && reindexings.is_empty() && !is_altering {
            return Ok(());
        }
        store.wait_for_mover()?;
        let claims = reindexings.iter().map(|reindexing| &reindexing.claim);
        let reservation = store.sequencer.reserve(&self.snapshot, &changes, claims)?;
        let sequence = reservation.sequence();
        let deltas = deltas_of(sequence, &changes.tables)?;
        let record = Record::new(sequence, &changes, reservation.after_mixed())?;
        if is_mixed {
            // In this order: the log file must have lost, durably, what is dropped from `main`'s log, or it would be replayed alone; and what
            // `main` says of the log file's end must be true whenever it says it.
            let floor = store.floor.load(Ordering::Relaxed);
            let logged = store.log.sync()?;
            log::write_to_main(main, &record, floor, logged)?;
        } else {
            store.log.append(record)?;
        }
        self.reserved = Some(Reserved {
            reservation,
            deltas,
            reindexings,
            names: names.unwrap_or_default(),
            is_mixed,
        });
        Ok(())
    }

    /// xCommit: makes the transaction visible. Nothing in here can fail but for want of memory: that is a panic, nothing has happened then, and it is
    /// to be called again ([`Store::publish`]).
    pub fn publish(&mut self, store: &Store) {
        let Some(Reserved {
            reservation,
            deltas,
            reindexings,
            names,
            is_mixed,
        }) = &mut self.reserved
        else {
            return;
        };
        let (writes, memory) = (&self.writes, &mut self.memory);
        reservation.publish(*is_mixed, |published| {
            for (id, name) in &*names {
                if let Some(version) = published.tables.get(id) {
                    version.table.rename(name);
                }
            }
            for (id, delta) in &*deltas {
                if let Some(version) = published.tables.get(id) {
                    let size = writes
                        .get(&version.table.owner)
                        .and_then(|writes| writes.buffers.get(id))
                        .map_or(0, |changed| changed.size);
                    let next = Arc::new(version.with_changes(delta.clone()));
                    next.table.take_delta_memory(memory, size);
                    published.tables.insert(*id, next);
                }
            }
            for Reindexing { claim, indexes } in &*reindexings {
                if let Some(version) = published.tables.get(&claim.table.id) {
                    let next = TableVersion {
                        indexes: indexes.clone(),
                        ..TableVersion::clone(version)
                    };
                    published.tables.insert(claim.table.id, Arc::new(next));
                }
            }
        });
        self.reserved = None;
        store.mover.call();
    }

    /// xRollback: takes back what xSync made durable in the log file.
    pub fn roll_back(mut self, store: &Store) -> StoreResult<()> {
        match self.reserved.take() {
            Some(reserved) if !reserved.is_mixed => {
                let removed = store.log.remove(reserved.reservation.sequence());
                // Nobody may write anything else for long.
                removed.inspect_err(|_| store.mover.call())?;
            }
            _ => {}
        }
        self.end(store);
        Ok(())
    }

    /// Undoes everything that was not published. What takes long to let go of, the background does.
    pub fn end(mut self, store: &Store) {
        let size: usize = self.writes.values().map(Writes::size).sum();
        if size > DISCARD_SIZE_MIN {
            store.discard(Box::new(std::mem::take(&mut self.writes)));
        }
        // Others have gone on since, perhaps: then nobody else has the changes that were moved into Tonbo meanwhile.
        let mut versions = self.snapshot.published.tables.values();
        if versions.any(|version| version.delta.len() > DISCARD_ROWS_MIN) {
            store.discard(Box::new(self.snapshot.published.clone()));
        }
    }
}
