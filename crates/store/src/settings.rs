//! Settings: what a user's `PRAGMA name = value` may change, and for how long.
//!
//! | kind | what becomes of it |
//! |---|---|
//! | [`FIXED`] | the store's promises stand on them: setting another value than the one in force is refused |
//! | [`IGNORED`] | SQLite would forget all that stands in `temp`: nothing is done |
//! | [`OF_CONNECTION`] | SQLite keeps them for one connection: they are noted, and [`Settings::restore`] sets them back |
//! | others | are values in the file (`user_version`), do something once (`wal_checkpoint`), or have no effect here (`mmap_size`) |
//!
//! Reading any of them is free. A database that the user has attached is the user's: what holds for a file may be set there.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::commit::log::Durability;
use crate::error::StoreResult;
use crate::statement::Handle;
use crate::value::Value;

/// A setting that stays as it is.
struct Fixed {
    name: &'static str,
    /// Whether it holds for one file.
    is_of_file: bool,
    /// The spellings of the value in force.
    in_force: fn(Durability) -> &'static [&'static str],
    /// What to do instead.
    instead: &'static str,
}

const FIXED: [Fixed; 7] = [
    Fixed {
        name: "synchronous",
        is_of_file: true,
        in_force: |durability| match durability {
            Durability::Full => &["full", "2"],
            Durability::Relaxed => &["normal", "1"],
        },
        instead: "the option durability of open() says how sure a commit is",
    },
    Fixed {
        name: "journal_mode",
        is_of_file: true,
        in_force: |_| &["wal"],
        instead: "all connections write one WAL; the option durability of open() says how sure a commit is",
    },
    Fixed {
        name: "locking_mode",
        is_of_file: true,
        in_force: |_| &["normal"],
        instead: "the database is shared by all its connections; BEGIN IMMEDIATE keeps other writers of ordinary tables away",
    },
    Fixed {
        name: "hard_heap_limit",
        is_of_file: false,
        in_force: |_| &[],
        instead: MEMORY,
    },
    Fixed {
        name: "soft_heap_limit",
        is_of_file: false,
        in_force: |_| &[],
        instead: MEMORY,
    },
    Fixed {
        name: "writable_schema",
        is_of_file: false,
        in_force: |_| &["off", "0", "false", "no"],
        instead: "ALTER TABLE changes a table",
    },
    Fixed {
        name: "schema_version",
        is_of_file: true,
        in_force: |_| &[],
        instead: "SQLite counts it; user_version is free",
    },
];

const MEMORY: &str = "the options memoryBytes and cacheBytes of open() bound the memory";

/// Settings that move what stands in `temp`, and so would lose it: the Tonbo tables' declarations among it.
const IGNORED: [&str; 2] = ["temp_store", "temp_store_directory"];

/// Settings of one connection, and what they are when it is opened.
const OF_CONNECTION: [(&str, &str); 25] = [
    ("analysis_limit", "0"),
    ("automatic_index", "ON"),
    ("busy_timeout", ""),
    ("cache_size", "-2000"),
    ("cache_spill", "1"),
    ("case_sensitive_like", "OFF"),
    ("cell_size_check", "OFF"),
    ("checkpoint_fullfsync", "OFF"),
    ("count_changes", "OFF"),
    ("defer_foreign_keys", "OFF"),
    ("empty_result_callbacks", "OFF"),
    ("foreign_keys", "ON"),
    ("full_column_names", "OFF"),
    ("ignore_check_constraints", "OFF"),
    ("journal_size_limit", "-1"),
    ("legacy_alter_table", "OFF"),
    ("max_page_count", "4294967294"),
    ("query_only", "OFF"),
    ("recursive_triggers", "ON"),
    ("reverse_unordered_selects", "OFF"),
    ("secure_delete", "OFF"),
    ("short_column_names", "ON"),
    ("threads", "0"),
    ("trusted_schema", "ON"),
    ("wal_autocheckpoint", "1000"),
];

/// Set back by the session: the wait for a lock is its busy handler.
pub const BUSY_TIMEOUT: &str = "busy_timeout";

/// What becomes of a PRAGMA.
#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It runs.
    Allowed,
    /// It does nothing.
    Ignored,
    /// It is refused, in these words.
    Refused(String),
}

/// The settings of a connection that statements have changed.
#[derive(Debug, Default)]
pub struct Settings {
    changed: RefCell<BTreeSet<usize>>,
}

impl Settings {
    /// Rules on `PRAGMA schema.name = value`, and notes what will have to be set back.
    pub fn rule(
        &self,
        durability: Durability,
        schema: Option<&str>,
        name: &str,
        value: Option<&str>,
    ) -> Ruling {
        let Some(value) = value else {
            return Ruling::Allowed;
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if IGNORED.iter().any(|ignored| is(ignored)) {
            return Ruling::Ignored;
        }
        if let Some(fixed) = FIXED.iter().find(|fixed| is(fixed.name)) {
            let mut in_force = (fixed.in_force)(durability).iter();
            let is_attached = fixed.is_of_file && schema.is_some_and(|schema| !is_own(schema));
            if is_attached || in_force.any(|spelling| value.eq_ignore_ascii_case(spelling)) {
                return Ruling::Allowed;
            }
            let Fixed { name, instead, .. } = fixed;
            return Ruling::Refused(format!("PRAGMA {name} can't be set: {instead}"));
        }
        if let Some(at) = OF_CONNECTION.iter().position(|(setting, _)| is(setting)) {
            self.changed.borrow_mut().insert(at);
        }
        Ruling::Allowed
    }

    /// Sets back what was changed, outside of a transaction: some can't be set inside of one. `busy` does so for [`BUSY_TIMEOUT`].
    ///
    /// # Errors
    /// SQLite's; what is left is set back by the next call.
    pub fn restore(&self, handle: Handle, busy: impl Fn()) -> StoreResult<()> {
        while let Some(at) = self.first_changed() {
            match OF_CONNECTION[at] {
                (BUSY_TIMEOUT, _) => busy(),
                (name, value) => handle.execute(&format!("PRAGMA {name} = {value}"))?,
            }
            self.changed.borrow_mut().remove(&at);
        }
        Ok(())
    }

    /// Whether a statement has set one of the connection's.
    pub fn has_set(&self, name: &str) -> bool {
        let changed = self.changed.borrow();
        changed.iter().any(|at| OF_CONNECTION[*at].0 == name)
    }

    fn first_changed(&self) -> Option<usize> {
        self.changed.borrow().first().copied()
    }
}

/// Runs what writes to `temp` for the engine, though the user has set `query_only`.
pub fn despite_query_only<R>(
    handle: Handle,
    run: impl FnOnce() -> StoreResult<R>,
) -> StoreResult<R> {
    let only = handle.statement("PRAGMA query_only")?.first(&[])?;
    if only.as_deref() != Some(&[Value::Integer(1)]) {
        return run();
    }
    handle.execute("PRAGMA query_only = OFF")?;
    let outcome = run();
    handle.execute("PRAGMA query_only = ON")?;
    outcome
}

/// Whether a schema is one of the store's, not one that the user has attached.
pub fn is_own(schema: &str) -> bool {
    ["main", "temp"]
        .iter()
        .any(|own| schema.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(schema: Option<&str>, name: &str, value: &str) -> Ruling {
        Settings::default().rule(Durability::Full, schema, name, Some(value))
    }

    #[test]
    fn what_is_in_force_may_be_set_again() {
        for (name, value) in [
            ("synchronous", "FULL"),
            ("SYNCHRONOUS", "2"),
            ("journal_mode", "wal"),
            ("locking_mode", "Normal"),
            ("writable_schema", "0"),
        ] {
            assert_eq!(rule(None, name, value), Ruling::Allowed, "{name} = {value}");
        }
        let relaxed = |value| {
            let settings = Settings::default();
            settings.rule(Durability::Relaxed, None, "synchronous", Some(value))
        };
        assert_eq!(relaxed("normal"), Ruling::Allowed);
        assert!(matches!(relaxed("off"), Ruling::Refused(_)));
        assert!(matches!(relaxed("full"), Ruling::Refused(_)));
    }

    #[test]
    fn an_attached_file_is_the_users() {
        assert_eq!(rule(Some("other"), "synchronous", "off"), Ruling::Allowed);
        for schema in ["main", "MAIN", "temp"] {
            let ruling = rule(Some(schema), "synchronous", "off");
            assert!(matches!(ruling, Ruling::Refused(_)), "{schema}");
        }
        let ruling = rule(Some("other"), "hard_heap_limit", "1");
        assert!(matches!(ruling, Ruling::Refused(_)));
    }
}
