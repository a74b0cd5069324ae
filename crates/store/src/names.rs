//! Names that are taken: tables, views and indexes share them, whether they are ordinary or catalogued.

use crate::error::{StoreError, StoreResult};
use crate::statement::Handle;
use crate::value::Value;

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A table.
    Table,
    /// A view.
    View,
    /// An index.
    Index,
}

/// What has that name, without regard to case.
pub fn holder(main: Handle, name: &str) -> StoreResult<Option<Holder>> {
    let found = main
        .statement(
            "SELECT type FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'
             UNION ALL SELECT 'table' FROM main.heddle_tables WHERE name = ?1
             UNION ALL SELECT 'index' FROM main.heddle_indexes WHERE name = ?1
             UNION ALL SELECT type FROM main.heddle_views WHERE name = ?1 AND type = 'view'",
        )?
        .first(&[Value::Text(name.into())])?;
    let Some([Value::Text(kind)]) = found.as_deref() else {
        return Ok(None);
    };
    Ok(Some(match &**kind {
        "view" => Holder::View,
        "index" => Holder::Index,
        _ => Holder::Table,
    }))
}

/// Whether a table or view may be made of that name: `false` where `IF NOT EXISTS` has nothing to do.
///
/// # Errors
/// SQLite's own words for a name that is taken.
pub fn is_free(main: Handle, name: &str, if_not_exists: bool) -> StoreResult<bool> {
    match holder(main, name)? {
        None => Ok(true),
        Some(Holder::Index) => Err(StoreError::of_sqlite(format!(
            "there is already an index named {name}"
        ))),
        Some(_) if if_not_exists => Ok(false),
        Some(holder) => Err(exists(holder, name)),
    }
}

/// As [`is_free`], for an index.
///
/// # Errors
/// As [`is_free`].
pub fn is_free_for_index(main: Handle, name: &str, if_not_exists: bool) -> StoreResult<bool> {
    match holder(main, name)? {
        None => Ok(true),
        Some(Holder::Index) if if_not_exists => Ok(false),
        Some(Holder::Index) => Err(exists(Holder::Index, name)),
        Some(_) => Err(StoreError::of_sqlite(format!(
            "there is already a table named {name}"
        ))),
    }
}

/// Refuses to rename a table to a name that is taken.
///
/// # Errors
/// In SQLite's words.
pub fn check_rename(main: Handle, name: &str) -> StoreResult<()> {
    match holder(main, name)? {
        None => Ok(()),
        Some(_) => Err(StoreError::of_sqlite(format!(
            "there is already another table or index with this name: {name}"
        ))),
    }
}

fn exists(holder: Holder, name: &str) -> StoreError {
    let kind = match holder {
        Holder::Table => "table",
        Holder::View => "view",
        Holder::Index => "index",
    };
    StoreError::of_sqlite(format!("{kind} {name} already exists"))
}
