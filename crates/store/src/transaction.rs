//! A connection's transaction on Tonbo tables: what it sees, what it has written, and its way through the commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::commit::changes::Changes;
use crate::commit::log::{self, Record};
use crate::commit::sequencer::Claim;
use crate::commit::sequencer::{Reservation, Snapshot};
use crate::error::StoreResult;
use crate::index::Indexes;
use crate::key::Key;
use crate::statement::Handle;
use crate::store::Store;
use crate::table::range::KeyRange;
use crate::table::scan::{Request, Scan};
use crate::table::version::{Buffer, TableVersion};
use crate::table::{Table, TableId};
use crate::value::{Row, Value};

/// See the module's documentation. Dropping it undoes everything that was not published.
pub struct Transaction {
    snapshot: Snapshot,
    /// By table, its indexes' entries included.
    writes: BTreeMap<TableId, Writes>,
    reserved: Option<Reserved>,
}

/// Changes of a table's rows and of its indexes' entries, by the table that holds them.
type Buffers = BTreeMap<TableId, Buffer>;

#[derive(Default)]
struct Writes {
    buffers: Buffers,
    /// The buffers as they were at each open savepoint, by SQLite's number for it, ascending.
    saved: Vec<(i32, Buffers)>,
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
    changes: Changes,
    reindexings: Vec<Reindexing>,
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
    pub fn buffer(&self, table: &Table) -> Buffer {
        self.own(table).cloned().unwrap_or_default()
    }

    fn own(&self, table: &Table) -> Option<&Buffer> {
        self.writes.get(&table.owner)?.buffers.get(&table.id)
    }

    /// Whether a row of that key is visible.
    pub fn has_row(&self, store: &Store, table: &Arc<Table>, key: &Key) -> StoreResult<bool> {
        Ok(self.row(store, table, key, &[])?.is_some())
    }

    /// The row of that key, if it is visible: its values in `columns`, and NULL in the others.
    pub fn row(
        &self,
        store: &Store,
        table: &Arc<Table>,
        key: &Key,
        columns: &[usize],
    ) -> StoreResult<Option<Vec<Value>>> {
        if let Some(row) = self.own(table).and_then(|buffer| buffer.get(key)) {
            return Ok(row.as_ref().map(|row| row.to_vec()));
        }
        let request = Request {
            range: KeyRange::point(key),
            columns: columns.to_vec(),
            rows_expected: Some(1),
            ..Request::default()
        };
        let scan = Scan::new(self.version(store, table)?, Buffer::new(), request)?;
        if scan.is_done() {
            return Ok(None);
        }
        let mut row = vec![Value::Null; table.schema.columns.len()];
        for (place, column) in columns.iter().enumerate() {
            row[*column] = Value::from(scan.cell(place));
        }
        Ok(Some(row))
    }

    /// Writes a row, or deletes it.
    pub fn write(&mut self, table: &Table, key: Key, row: Option<Row>) {
        self.writes
            .entry(table.owner)
            .or_default()
            .buffers
            .entry(table.id)
            .or_default()
            .insert(key, row);
    }

    /// A savepoint begins for a table.
    pub fn save(&mut self, table: TableId, savepoint: i32) {
        let writes = self.writes.entry(table).or_default();
        writes.saved.retain(|(other, _)| *other < savepoint);
        writes.saved.push((savepoint, writes.buffers.clone()));
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
            Some((other, buffers)) if *other == savepoint => writes.buffers = buffers.clone(),
            // SQLite named a savepoint from before the table's first write.
            _ => writes.buffers = Buffers::new(),
        }
    }

    /// Whether xSync has been called.
    pub fn is_reserved(&self) -> bool {
        self.reserved.is_some()
    }

    /// xSync: checks the transaction against all others, reserves its number, makes it durable. Only the first call does anything.
    pub fn sync(
        &mut self,
        store: &Arc<Store>,
        main: Handle,
        reindexings: Vec<Reindexing>,
    ) -> StoreResult<()> {
        if self.reserved.is_some() {
            return Ok(());
        }
        let written = self
            .writes
            .values()
            .flat_map(|writes| &writes.buffers)
            .filter(|(_, buffer)| !buffer.is_empty());
        let changes = Changes {
            tables: written.map(|(id, buffer)| (*id, buffer.clone())).collect(),
        };
        if changes.tables.is_empty() && reindexings.is_empty() {
            return Ok(());
        }
        let is_mixed = main.writes_main();
        let claims = reindexings.iter().map(|reindexing| &reindexing.claim);
        let reservation = store.sequencer.reserve(&self.snapshot, &changes, claims)?;
        let record = Record::new(reservation.sequence(), &changes)?;
        if is_mixed {
            log::write_to_main(main, &record, store.floor.load(Ordering::Relaxed))?;
        } else {
            store.log.append(record)?;
        }
        self.reserved = Some(Reserved {
            reservation,
            changes,
            reindexings,
            is_mixed,
        });
        Ok(())
    }

    /// xCommit: makes the transaction visible. SQLite ignores what xCommit returns, so nothing in here can fail.
    pub fn publish(mut self, store: &Store) {
        let Some(Reserved {
            reservation,
            changes,
            reindexings,
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
            for Reindexing { claim, indexes } in reindexings {
                if let Some(version) = published.tables.get(&claim.table.id) {
                    let next = TableVersion {
                        indexes,
                        ..TableVersion::clone(version)
                    };
                    published.tables.insert(claim.table.id, Arc::new(next));
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
