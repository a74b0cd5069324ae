//! Indexes of tables that have lost rows or entries: they are built anew from the rows that are left.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tables::{Means, Slot, Stored, first_version, open_entries, shut};
use super::{Damage, Recovery, Salvage};
use crate::catalogue::IndexEntry;
use crate::commit::log::LogFile;
use crate::commit::mover;
use crate::commit::sequencer::Published;
use crate::error::{StoreError, StoreResult};
use crate::index::build;
use crate::table::unflushed::Due;
use crate::table::version::{Buffer, TableVersion};
use crate::table::{Table, TableId};

/// Builds what has to be built. An index that can't be, because it is unique and the rows are not any more, stays shut, and says so.
pub(super) fn rebuild(
    means: Means<'_>,
    salvage: &mut Salvage,
    log: &LogFile,
    indexes: &[IndexEntry],
    published: &mut Published,
    tables: &mut BTreeMap<TableId, Slot>,
) -> StoreResult<()> {
    for entry in indexes {
        if !salvage.has_touched(entry.table) {
            continue;
        }
        let Some(version) = published.tables.get(&entry.table).cloned() else {
            continue;
        };
        let stored = Stored::Entries(entry.clone());
        // Its files are about to go.
        let reason = StoreError::corrupt("this index is being built anew");
        shut(&stored, reason, None, published, tables);
        match build(means, entry, version) {
            Ok(built) => {
                // The rows that it was built from are those of the logs, too. What the logs say of the index itself may lack commits.
                log.set_table_floor(entry.id, published.sequence)?;
                tables.insert(entry.id, Slot::Open(built.table.clone()));
                published.tables.insert(entry.id, Arc::new(built));
            }
            Err(error) => {
                let message = format!(
                    "index {} cannot be built from the rows that are left ({}): until it is dropped the table cannot be written",
                    entry.name, error.message
                );
                salvage.found.push(Damage {
                    file: means.host.fs.host_path(&Table::directory(entry.id)),
                    copy: None,
                    table: Some(entry.name.clone()),
                    rows: None,
                    message: message.clone(),
                });
                shut(
                    &stored,
                    StoreError::corrupt(message),
                    None,
                    published,
                    tables,
                );
            }
        }
    }
    Ok(())
}

fn build(
    means: Means<'_>,
    entry: &IndexEntry,
    version: Arc<TableVersion>,
) -> StoreResult<TableVersion> {
    let index = version
        .indexes
        .iter()
        .find(|index| index.id == entry.id)
        .cloned();
    let index = index.ok_or_else(|| StoreError::corrupt("its columns are not the table's"))?;
    means.host.fs.remove_all(&Table::directory(entry.id))?;
    let entries = Arc::new(open_entries(means, entry, Recovery::Refuse)?);
    let table = version.table.clone();
    build::fill(
        &index,
        &entries,
        (&table.name(), &table.schema),
        version,
        Buffer::default(),
        &|| false,
        &|entries| mover::flush(entries, Due::Full).map(drop),
    )?;
    first_version(&entries, means.cache)
}
