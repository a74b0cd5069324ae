//! A connection's transaction on Tonbo tables: what it sees, what it has written, and its way through the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commit::changes::Changes;
use crate::commit::log::{self, Record};
use crate::commit::sequencer::{Reservation, Snapshot};
use crate::error::StoreResult;
use crate::key::Key;
use crate::statement::Handle;
use crate::store::Store;
use crate::table::range::KeyRange;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::table::{Table, TableId};
use crate::value::Row;

/// See the module's documentation. Dropping it undoes everything that was not published.
pub struct Transaction {
    snapshot: Snapshot,
    writes: BTreeMap<TableId, Writes>,
    reserved: Option<Reserved>,
}

#[derive(Default)]
struct Writes {
    buffer: Buffer,
    /// The buffer as it was at each open savepoint, by SQLite's number for it, ascending.
    saved: Vec<(i32, Buffer)>,
}

/// A transaction between xSync and xCommit.
struct Reserved {
    reservation: Reservation,
    changes: Changes,
    is_mixed: bool,
}

impl Transaction {
    /// A transaction that sees `snapshot`.
    pub fn new(snapshot: Snapshot) -> Transaction {
        Transaction {
            snapshot,
            writes: BTreeMap::new(),
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
                crate::error::StoreError::new(
                    crate::error::StoreErrorCode::NotFound,
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
    pub fn write(&mut self, table: TableId, key: Key, row: Option<Row>) {
        self.writes
            .entry(table)
            .or_default()
            .buffer
            .insert(key, row);
    }

    /// A savepoint begins for a table.
    pub fn save(&mut self, table: TableId, savepoint: i32) {
        let writes = self.writes.entry(table).or_default();
        writes.saved.retain(|(other, _)| *other < savepoint);
        writes.saved.push((savepoint, writes.buffer.clone()));
    }

    /// The savepoint and those within it end; their writes stay.
    pub fn release(&mut self, table: TableId, savepoint: i32) {
        if let Some(writes) = self.writes.get_mut(&table) {
            writes.saved.retain(|(other, _)| *other < savepoint);
        }
    }

    /// The table's writes since the savepoint are undone; it stays open.
    pub fn roll_back_to(&mut self, table: TableId, savepoint: i32) {
        let Some(writes) = self.writes.get_mut(&table) else {
            return;
        };
        writes.saved.retain(|(other, _)| *other <= savepoint);
        match writes.saved.last() {
            Some((other, buffer)) if *other == savepoint => writes.buffer = buffer.clone(),
            // SQLite named a savepoint from before the table's first write.
            _ => writes.buffer = Buffer::new(),
        }
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
        let is_mixed = main.writes_main();
        let reservation = store.sequencer.reserve(&self.snapshot, &changes)?;
        let record = Record::new(reservation.sequence(), &changes)?;
        if is_mixed {
            log::write_to_main(main, &record, store.floor.load(Ordering::Relaxed))?;
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
        reservation.publish(is_mixed, |published| {
            for (id, buffer) in &changes.tables {
                if let Some(version) = published.tables.get(id) {
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
