//! A connection's transaction on Tonbo tables: what it sees, what it has written, and its way through the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commit::changes::Changes;
use crate::commit::log::{self, Record};
use crate::commit::sequencer::{Reservation, Snapshot};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::key::Key;
use crate::memory::MemoryShare;
use crate::statement::Handle;
use crate::store::Store;
use crate::table::range::KeyRange;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::table::{Table, TableId};
use crate::value::{Row, Value};

/// What a transaction's changes to Tonbo tables may take, in bytes: they are one row of a log, whose size SQLite bounds.
pub const TRANSACTION_SIZE_MAX: usize = 240 << 20;

/// What a change takes beside its key and its texts and bytes: its place in the buffer, and the row's values.
const CHANGE_SIZE: usize = 64;

/// See the module's documentation. Dropping it undoes everything that was not published.
pub struct Transaction {
    snapshot: Snapshot,
    writes: BTreeMap<TableId, Writes>,
    /// What all `writes` take.
    memory: MemoryShare,
    reserved: Option<Reserved>,
}

#[derive(Default)]
struct Writes {
    buffer: Buffer,
    /// The bytes of the buffer's changes.
    size: usize,
    /// Buffer and size as they were at each open savepoint, by SQLite's number for it, ascending.
    saved: Vec<(i32, Buffer, usize)>,
}

/// The bytes that a change takes in memory, about.
pub fn change_size(key: &Key, row: Option<&Row>) -> usize {
    let values = row.map_or(0, |row| {
        size_of_val(&**row) + row.iter().map(Value::heap_size).sum::<usize>()
    });
    CHANGE_SIZE + key.len() + values
}

/// A transaction between xSync and xCommit.
struct Reserved {
    reservation: Reservation,
    changes: Changes,
    is_mixed: bool,
}

impl Transaction {
    /// A transaction that sees `snapshot`, and keeps its changes in `memory`.
    pub fn new(snapshot: Snapshot, memory: MemoryShare) -> Transaction {
        Transaction {
            snapshot,
            writes: BTreeMap::new(),
            memory,
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
                    format!("table {} has been dropped", table.name),
                )
            })
    }

    /// Its own changes to a table.
    pub fn buffer(&self, table: TableId) -> Buffer {
        self.writes
            .get(&table)
            .map(|writes| writes.buffer.clone())
            .unwrap_or_default()
    }

    /// Whether a row of that key is visible.
    pub fn has_row(&self, store: &Store, table: &Arc<Table>, key: &Key) -> StoreResult<bool> {
        if let Some(row) = self
            .writes
            .get(&table.id)
            .and_then(|writes| writes.buffer.get(key))
        {
            return Ok(row.is_some());
        }
        let request = Request {
            range: KeyRange::point(key),
            rows_expected: Some(1),
            ..Request::default()
        };
        Ok(!Scan::new(self.version(store, table)?, Buffer::new(), request)?.is_done())
    }

    /// Writes a row, or deletes it.
    ///
    /// # Errors
    /// [`StoreErrorCode::OutOfMemory`] and [`StoreErrorCode::TooBig`]: nothing is written then.
    pub fn write(&mut self, table: TableId, key: Key, row: Option<Row>) -> StoreResult<()> {
        let size = change_size(&key, row.as_ref());
        let writes = self.writes.entry(table).or_default();
        let replaced = match writes.buffer.get(&key) {
            Some(before) => change_size(&key, before.as_ref()),
            None => 0,
        };
        if (self.memory.size() + size).saturating_sub(replaced) > TRANSACTION_SIZE_MAX {
            return Err(StoreError::new(
                StoreErrorCode::TooBig,
                format!(
                    "a transaction may change {} MiB of Tonbo tables' rows: commit in smaller steps, or import",
                    TRANSACTION_SIZE_MAX >> 20
                ),
            ));
        }
        self.memory.grow(size)?;
        self.memory.shrink(replaced);
        writes.size = writes.size + size - replaced;
        writes.buffer.insert(key, row);
        Ok(())
    }

    /// A savepoint begins for a table.
    pub fn save(&mut self, table: TableId, savepoint: i32) {
        let writes = self.writes.entry(table).or_default();
        writes.saved.retain(|(other, ..)| *other < savepoint);
        writes
            .saved
            .push((savepoint, writes.buffer.clone(), writes.size));
    }

    /// The savepoint and those within it end; their writes stay.
    pub fn release(&mut self, table: TableId, savepoint: i32) {
        if let Some(writes) = self.writes.get_mut(&table) {
            writes.saved.retain(|(other, ..)| *other < savepoint);
        }
    }

    /// The table's writes since the savepoint are undone; it stays open.
    pub fn roll_back_to(&mut self, table: TableId, savepoint: i32) {
        let Some(writes) = self.writes.get_mut(&table) else {
            return;
        };
        writes.saved.retain(|(other, ..)| *other <= savepoint);
        let (buffer, size) = match writes.saved.last() {
            Some((other, buffer, size)) if *other == savepoint => (buffer.clone(), *size),
            // SQLite named a savepoint from before the table's first write.
            _ => (Buffer::new(), 0),
        };
        let before = std::mem::replace(&mut writes.size, size);
        writes.buffer = buffer;
        // What was overwritten and stands again may take more than what overwrote it.
        let total = self.memory.size() + size - before;
        self.memory.set(total);
    }

    /// xSync: checks the transaction against all others, reserves its number, makes it durable. Only the first call does anything.
    pub fn sync(&mut self, store: &Arc<Store>, main: Handle) -> StoreResult<()> {
        if self.reserved.is_some() {
            return Ok(());
        }
        let written = self
            .writes
            .iter()
            .filter(|(_, writes)| !writes.buffer.is_empty());
        let changes = Changes {
            tables: written
                .map(|(id, writes)| (*id, writes.buffer.clone()))
                .collect(),
        };
        if changes.tables.is_empty() {
            return Ok(());
        }
        store.wait_for_mover()?;
        let is_mixed = main.writes_main();
        let reservation = store.sequencer.reserve(&self.snapshot, &changes)?;
        let record = Record::new(reservation.sequence(), &changes, reservation.after_mixed())?;
        if is_mixed {
            // In this order: the log file must have lost, durably, what is dropped from `main`'s log, or it would be replayed alone.
            let floor = store.floor.load(Ordering::Relaxed);
            store.log.sync()?;
            log::write_to_main(main, &record, floor)?;
        } else {
            store.log.append(record)?;
        }
        self.reserved = Some(Reserved {
            reservation,
            changes,
            is_mixed,
        });
        Ok(())
    }

    /// xCommit: makes the transaction visible. SQLite ignores what xCommit returns, so nothing in here can fail.
    pub fn publish(mut self, store: &Store) {
        let Some(Reserved {
            reservation,
            changes,
            is_mixed,
        }) = self.reserved.take()
        else {
            return;
        };
        let sequence = reservation.sequence();
        let (writes, memory) = (&self.writes, &mut self.memory);
        reservation.publish(is_mixed, |published| {
            for (id, buffer) in &changes.tables {
                if let Some(version) = published.tables.get(id) {
                    let size = writes.get(id).map_or(0, |writes| writes.size);
                    version.table.take_delta_memory(memory, size);
                    let next = Arc::new(version.with_changes(sequence, buffer));
                    published.tables.insert(*id, next);
                }
            }
        });
        store.mover.call();
    }

    /// xRollback: takes back what xSync made durable.
    pub fn roll_back(mut self, store: &Store) -> StoreResult<()> {
        match self.reserved.take() {
            Some(reserved) if !reserved.is_mixed => {
                store.log.remove(reserved.reservation.sequence())
            }
            _ => Ok(()),
        }
    }
}
