//! Which files of the store's directory are its own.
//!
//! A user may ATTACH files beside them, and VACUUM INTO one. A database in the place of a WAL, of the mark of relaxed durability or among the
//! tables' files is damage, or is lost.
//!
//! | file | what |
//! |---|---|
//! | `main.db`, `log.db` | the ordinary tables and the catalogue; the log of commits |
//! | `main.db-…`, `log.db-…` | what SQLite puts beside them: WALs, journals |
//! | `tonbo/…` | the tables' files |
//! | `damaged/…` | copies of damaged files |
//! | `relaxed` | see [`Durability::Relaxed`](crate::commit::log::Durability::Relaxed) |
//! | `heddle.lock`, `lock` | what holds the directory, natively and in browsers |

use crate::io::{BROWSER_LOCK, NATIVE_LOCK};
use crate::recovery::{COPIES, RELAXED_FILE};
use crate::store::{LOG_FILE, MAIN_FILE};
use crate::tonbo::ROOT;

/// Whether a path below the store's root is, or would be on some host, one of its own files, or below one of its directories. Hosts may take
/// capitals for small letters, and leave out dots and spaces at the end of a name.
pub fn is_own(path: &str) -> bool {
    let name = path.split('/').next().unwrap_or_default();
    let name = name.trim_end_matches(['.', ' ']);
    // There and back: some letters have a capital that is another one's, too.
    let name = name.to_uppercase().to_lowercase();
    let is_beside = |file: &str| {
        let rest = name.strip_prefix(file);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    [MAIN_FILE, LOG_FILE].into_iter().any(is_beside)
        || [ROOT, COPIES, RELAXED_FILE, NATIVE_LOCK, BROWSER_LOCK].contains(&&*name)
}

/// Whether nobody opens a database by that name. Those that the store has itself are told apart when they are attached.
pub fn is_no_database(path: &str) -> bool {
    is_own(path) && ![MAIN_FILE, LOG_FILE].contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_are_told_from_a_users() {
        for own in [
            "main.db",
            "main.db-wal",
            "Main.DB-journal",
            "log.db-mj0000000091",
            "LOG.DB.",
            "main.db . ",
            "tonbo",
            "tonbo/tables/1/x",
            "Tonbo./x",
            "damaged/1/main.db",
            "relaxed",
            "RELAXED",
            "lock",
            "loc\u{212a}",
            "heddle.lock",
        ] {
            assert!(is_own(own), "{own}");
        }
        for users in [
            "own.db",
            "main.db.copy",
            "main",
            "my/main.db",
            "my/tonbo/x",
            "tonbo.db",
            "relaxed.db",
            "lock-wal",
            "tables/1/x",
            "backup main.db",
        ] {
            assert!(!is_own(users), "{users}");
        }
        assert!(!is_no_database(MAIN_FILE) && !is_no_database(LOG_FILE));
        assert!(is_no_database("Main.db") && is_no_database("log.db-wal"));
    }
}
