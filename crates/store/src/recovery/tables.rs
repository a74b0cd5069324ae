//! Opening the catalogue's tables, and replaying the logs over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Recovery, Salvage, commits, indexes as salvaged_indexes, sweep};
use crate::catalogue::{self, IndexEntry};
use crate::commit::log::{self, LogFile};
use crate::commit::sequencer::Published;
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::index::{self, Indexes};
use crate::memory::MemoryBudget;
use crate::schema::TableSchema;
use crate::statement::Handle;
use crate::store::LOG_FILE;
use crate::table::base::Base;
use crate::table::cache::ColumnCache;
use crate::table::unflushed::UnflushedBudget;
use crate::table::version::{Delta, Sequence, TableVersion, add_changes, delta_of};
use crate::table::{TABLES, Table, TableId};
use crate::tonbo::TonboHost;

/// What tables are made of.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) host: &'a TonboHost,
    pub(crate) cache: &'a Arc<ColumnCache>,
    pub(crate) memory: &'a Arc<MemoryBudget>,
    pub(crate) unflushed: &'a Arc<UnflushedBudget>,
}

/// What the catalogue says of a table of Tonbo's.
#[derive(Clone)]
pub(crate) enum Stored {
    /// One with rows, and its indexes.
    Rows(catalogue::Entry, Vec<IndexEntry>),
    /// One with an index's entries.
    Entries(IndexEntry),
}

impl Stored {
    /// The table's name, or the index's.
    pub(crate) fn name(&self) -> &str {
        match self {
            Stored::Rows(entry, _) => &entry.name,
            Stored::Entries(entry) => &entry.name,
        }
    }

    /// The number of its files.
    pub(crate) fn id(&self) -> TableId {
        match self {
            Stored::Rows(entry, _) => entry.id,
            Stored::Entries(entry) => entry.id,
        }
    }

    /// The table itself, or the one that the index is of.
    pub(crate) fn owner(&self) -> TableId {
        match self {
            Stored::Rows(entry, _) => entry.id,
            Stored::Entries(entry) => entry.table,
        }
    }

    /// What its files hold; `None` where its definition is damaged.
    pub(crate) fn schema(&self) -> Option<TableSchema> {
        match self {
            Stored::Rows(entry, _) => entry.schema().ok(),
            Stored::Entries(_) => Some(TableSchema::of_index()),
        }
    }
}

/// A table of the catalogue.
pub(crate) enum Slot {
    /// One that can be used.
    Open(Arc<Table>),
    /// One that can't, for now.
    Shut(Shut),
}

/// A table whose Tonbo could not be opened, or whose rows in the logs do not fit it.
pub(crate) struct Shut {
    pub(crate) entry: Stored,
    pub(crate) reason: StoreError,
    /// What the logs hold for it, for when it can be opened in this session.
    pub(crate) delta: Delta,
    /// The first commit that the logs hold for it: they keep all from there on for a later session. The delta has forgotten changes that others
    /// came over, which are the last ones where those are left out as damaged.
    pub(crate) floor: Option<Sequence>,
}

impl Shut {
    fn new(entry: &Stored, reason: StoreError) -> Shut {
        Shut {
            entry: entry.clone(),
            reason,
            delta: Delta::new(),
            floor: None,
        }
    }

    /// Whether this session may try again to open it. It does not where something is damaged.
    pub(crate) fn may_open(&self) -> bool {
        self.reason.code != StoreErrorCode::Corrupt
    }

    /// Keeps a commit's changes, which come behind all that it has.
    fn keep(&mut self, sequence: Sequence, delta: Delta) {
        self.floor.get_or_insert(sequence);
        if self.may_open() {
            add_changes(&mut self.delta, delta);
        }
    }
}

/// The database as its files tell it.
pub(crate) struct Recovered {
    pub(crate) published: Published,
    pub(crate) tables: BTreeMap<TableId, Slot>,
    /// The number of the next table.
    pub(crate) next_table: TableId,
}

/// Opens the catalogue's tables and replays both logs over them, in the order of the commits.
pub(crate) fn recover(
    means: Means<'_>,
    main: Handle,
    log: &LogFile,
    salvage: &mut Salvage,
) -> StoreResult<Recovered> {
    let host = means.host;
    let entries = catalogue::read(main)?;
    let indexes = catalogue::read_indexes(main)?;
    let known = catalogue::ids(main)?;
    let mut next_table = 1 + known.last().copied().unwrap_or_default();
    let paths = host.fs.paths(TABLES)?;
    let on_disk: BTreeSet<TableId> = paths.iter().filter_map(|path| Table::id_of(path)).collect();
    for id in on_disk {
        next_table = next_table.max(id + 1);
        if !known.contains(&id) {
            salvage.keep_unknown(means, id)?;
            // Nobody needs its files: what can't be removed now is swept at the next open.
            let _removed = host.fs.remove_all(&Table::directory(id));
        }
    }
    let mut tables = BTreeMap::new();
    let mut published = Published::default();
    let rows = entries.into_iter().map(|entry| {
        let own = indexes.iter().filter(|index| index.table == entry.id);
        let own = own.cloned().collect();
        (entry.id, Stored::Rows(entry, own))
    });
    let stored: BTreeMap<TableId, Stored> = rows
        .chain(
            indexes
                .iter()
                .map(|index| (index.id, Stored::Entries(index.clone()))),
        )
        .collect();
    for (&id, entry) in &stored {
        let slot = match salvage.open_stored(means, entry) {
            Ok(version) => {
                let table = version.table.clone();
                published.tables.insert(id, Arc::new(version));
                // Where damage is looked for, what seems to be left over may be what is missed.
                if !salvage.is_on() {
                    sweep::unnamed_files(&host.fs, &table, &paths);
                }
                Slot::Open(table)
            }
            // The other tables can be used.
            Err(reason) => Slot::Shut(Shut::new(entry, reason)),
        };
        tables.insert(id, slot);
    }
    (published.mixed, _) = log::last_mixed(&mut log::last_mixed_statement(main)?)?;
    if salvage.was_relaxed() {
        log.drop_orphans(published.mixed)?;
    } else if log.has_orphans(published.mixed)? {
        let message = "the database file is older than the log file: it has lost commits, or was put back from a copy";
        salvage.meet(LOG_FILE, StoreError::corrupt(message))?;
        log.adopt_orphans(published.mixed)?;
    }
    let logged = log::logged(main)?;
    if log.has_lost(logged)? {
        salvage.meet_lost_end()?;
        // What is missing has been told.
        log::transaction(main, || log::set_logged(main, 0))?;
    }
    let floor = log.floor()?;
    let mut commits = commits::read(main, log, floor, salvage)?;
    published.sequence = published.mixed.max(floor.saturating_sub(1));
    let table_floors = log.table_floors()?;
    for table_floor in table_floors.values() {
        // A later commit must not get a number that would count as moved.
        published.sequence = published.sequence.max(*table_floor);
    }
    for commit in &mut commits {
        let sequence = commit.sequence;
        published.sequence = published.sequence.max(sequence);
        let mut misfits = Vec::new();
        for (id, buffer) in &commit.changes.tables {
            next_table = next_table.max(id.saturating_add(1));
            if table_floors.get(id).is_some_and(|moved| sequence <= *moved) {
                continue;
            }
            let delta = delta_of(sequence, buffer)?;
            let layout = match (published.tables.get(id), tables.get(id)) {
                (Some(version), _) => Some(version.table.schema.layout.clone()),
                (None, Some(Slot::Shut(shut))) => shut.entry.schema().map(|schema| schema.layout),
                (None, _) => None,
            };
            let mut rows = buffer.values().flatten();
            if layout.is_some_and(|layout| !rows.all(|row| layout.takes(row.len()))) {
                misfits.push((*id, delta.len()));
            } else if let Some(version) = published.tables.get(id) {
                let next = Arc::new(version.with_changes(delta));
                published.tables.insert(*id, next);
            } else if let Some(Slot::Shut(shut)) = tables.get_mut(id) {
                shut.keep(sequence, delta);
            }
        }
        for (id, row_count) in misfits {
            let Some(entry) = stored.get(&id) else {
                continue;
            };
            let error = commit.misfit(entry);
            // The indexes of a table that can't be opened could not follow.
            if salvage.is_on() && published.tables.contains_key(&entry.owner()) {
                salvage.leave_out(commit.file, entry, row_count, error)?;
                commit.leave_out(id);
            } else {
                let reason = salvage.advise(error);
                shut(entry, reason, Some(sequence), &mut published, &mut tables);
            }
        }
    }
    salvaged_indexes::rebuild(means, salvage, log, &indexes, &mut published, &mut tables)?;
    // Not before: where this opening ends in between, the next has to see that the indexes may differ.
    commits::write_mended(main, log, &commits)?;
    for version in published.tables.values() {
        for index in version.indexes.iter() {
            if let Some(Slot::Open(table)) = tables.get(&index.id) {
                index.bind(table);
            }
        }
    }
    for version in published.tables.values() {
        version.table.note_delta(&version.delta);
    }
    Ok(Recovered {
        published,
        tables,
        next_table,
    })
}

/// Has nobody use a table, which is damaged, in this session. The logs keep what they hold for it: what was replayed already, and from the commit
/// `sequence` on.
pub(super) fn shut(
    entry: &Stored,
    reason: StoreError,
    sequence: Option<Sequence>,
    published: &mut Published,
    tables: &mut BTreeMap<TableId, Slot>,
) {
    let id = entry.id();
    let replayed = match (published.tables.remove(&id), tables.remove(&id)) {
        (Some(version), _) => {
            let _closed = version.table.source.close();
            version.oldest_change()
        }
        (None, Some(Slot::Shut(shut))) => shut.floor,
        (None, _) => None,
    };
    let shut = Shut {
        floor: replayed.or(sequence),
        ..Shut::new(entry, reason)
    };
    tables.insert(id, Slot::Shut(shut));
}

/// Opens a table of the catalogue.
pub(crate) fn open_stored(
    means: Means<'_>,
    stored: &Stored,
    recovery: Recovery,
) -> StoreResult<TableVersion> {
    let id = stored.id();
    // Tonbo would make a new, empty database where its files are gone.
    if !means.host.fs.has_objects(&Table::directory(id)) {
        let what = match stored {
            Stored::Rows(..) => "table",
            Stored::Entries(_) => "index",
        };
        return Err(StoreError::corrupt(format!(
            "the files of {what} {} are missing",
            stored.name()
        )));
    }
    match stored {
        Stored::Rows(entry, indexes) => {
            let schema = entry.schema()?;
            let indexes = index::of_table(indexes, id, &schema)?;
            let table = Table::open(means, id, id, &entry.name, schema, recovery)?;
            Ok(TableVersion {
                indexes,
                ..first_version(&Arc::new(table), means.cache)?
            })
        }
        Stored::Entries(entry) => {
            let table = open_entries(means, entry, recovery)?;
            first_version(&Arc::new(table), means.cache)
        }
    }
}

/// Opens, or creates, the table of an index's entries.
pub(crate) fn open_entries(
    means: Means<'_>,
    entry: &IndexEntry,
    recovery: Recovery,
) -> StoreResult<Table> {
    let schema = TableSchema::of_index();
    Table::open(means, entry.id, entry.table, &entry.name, schema, recovery)
}

/// A table as Tonbo has it.
pub(crate) fn first_version(
    table: &Arc<Table>,
    cache: &Arc<ColumnCache>,
) -> StoreResult<TableVersion> {
    let slots = table.schema.arrow.fields().len();
    let base = Base::new(table.source.snapshot()?, slots, cache.clone());
    Ok(TableVersion {
        table: table.clone(),
        base: Arc::new(base),
        delta: Delta::new(),
        indexes: Indexes::default(),
    })
}
