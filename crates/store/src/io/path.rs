//! Which strings are paths below the store's root.

use super::{IoError, IoErrorCode, IoResult};

/// Refuses what could leave the root or mean two things on two hosts: an empty path or segment, `.` and `..`, a
/// backslash, a colon, a NUL.
pub(super) fn check(operation: &'static str, path: &str) -> IoResult<()> {
    let fits = path.split('/').all(|segment| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && !segment.contains(['\\', ':', '\0'])
    });
    if fits {
        return Ok(());
    }
    Err(IoError::new(
        IoErrorCode::Other,
        operation,
        path,
        "not a path below the store's root",
    ))
}

/// Whether `path` is a file somewhere below `directory`; everything is below the empty directory.
pub(crate) fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    directory.is_empty()
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for good in ["main.db", "tables/1/sst/00.parquet", "a-b_c.d"] {
            assert!(check("open", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            ".",
            "a/../b",
            "..",
            "c:\\x",
            "a\0b",
        ] {
            assert!(check("open", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn below_means_a_whole_segment() {
        assert!(is_below("a/b/c", "a/b"));
        assert!(is_below("a/b/c", "a/"));
        assert!(is_below("a", ""));
        assert!(!is_below("ab/c", "a"));
        assert!(!is_below("a", "a"));
    }
}
