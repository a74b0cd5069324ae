//! Files of a table that nothing reads any more.
//!
//! Tonbo writes a file of rows before a version of its manifest names it, and notes what a merge has made superfluous after the version
//! without it is published. A process that ends in between leaves files that no later version names and no note will remove. They are looked
//! for when the database is opened: nobody has a snapshot of an older version then, nothing is being written, and the manifest has been read
//! without damage.

use std::collections::BTreeSet;

use crate::table::Table;
use crate::tonbo::fs::TonboFs;

/// Below a table's directory, where Tonbo has its files of rows and deletes, by level.
const DIRECTORY: &str = "sst";

/// How the name of each of them ends.
const EXTENSION: &str = ".parquet";

/// Removes the files of rows, among `paths`, that the table's newest version does not name. Nothing depends on it: what can't be removed now is
/// left to the next opening.
pub(super) fn unnamed_files(fs: &TonboFs, table: &Table, paths: &[String]) {
    let Some(named) = table.source.live_files() else {
        return;
    };
    let named: BTreeSet<&str> = named.iter().map(|path| within_levels(path)).collect();
    let directory = format!("{}/{DIRECTORY}/", Table::directory(table.id));
    let is_unnamed = |path: &&String| {
        path.starts_with(&directory)
            && path.ends_with(EXTENSION)
            && !named.contains(within_levels(path))
    };
    for path in paths.iter().filter(is_unnamed) {
        let _removed = fs.remove_path(path);
    }
}

/// A path from its level on, `L1/7.parquet`: a manifest may name files from there or from the root.
fn within_levels(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/');
    let before = slashes.nth(1).map_or(0, |(at, _)| at + 1);
    &path[before..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_level_and_its_name() {
        for path in [
            "L1/7.parquet",
            "sst/L1/7.parquet",
            "tables/4/sst/L1/7.parquet",
        ] {
            assert_eq!(within_levels(path), "L1/7.parquet");
        }
        assert_eq!(within_levels("7.parquet"), "7.parquet");
    }
}
