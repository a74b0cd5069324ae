//! What is done about damaged files when a database is opened: nothing but an error, or whatever can be saved without them.
//!
//! | damaged | [`Recovery::Refuse`] | [`Recovery::Salvage`] |
//! |---|---|---|
//! | SQLite's WALs | `CORRUPT` | commits from the damaged one on are left out; indexes are built anew |
//! | the end of the log file's WAL, before a commit to ordinary tables, too | `CORRUPT` | what it had is left out; indexes are built anew |
//! | the log file | `CORRUPT` | damaged commits are left out; where it can't be read at all, it begins anew; indexes are built anew |
//! | commits in the log of the ordinary tables | `CORRUPT` | they are left out; indexes are built anew |
//! | a table's rows in a commit of either log, which do not fit it | `CORRUPT` for that table | they are left out, and the commit's other tables are not; indexes are built anew |
//! | Tonbo's log of a table | `CORRUPT` for that table | damaged commits are left out; indexes are built anew |
//! | a table's rows or deletes | `CORRUPT` for statements that read them | those of damaged pages are left out; indexes are built anew |
//! | anything else | `CORRUPT` | `CORRUPT` |
//!
//! What is left out may bring older versions of rows back, and rows that were deleted: nothing else would be right either. So each
//! [`Damage`] is told, and of each file that is changed a copy is kept as it was.

mod commits;
mod indexes;
mod pages;
mod sweep;
pub(crate) mod tables;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::tables::{Means, Stored, open_stored};
use crate::commit::log::{self, Durability, LogFile, Remains};
use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::io::{OpenMode, SharedIo};
use crate::sqlite::{find_wal_damage, unix_ms};
use crate::statement::Handle;
use crate::store::{LOG_FILE, MAIN_FILE};
use crate::table::version::TableVersion;
use crate::table::{Table, TableId};

/// Below it are the copies of damaged files, in a directory for each opening.
pub(crate) const COPIES: &str = "damaged";

/// While it exists, a loss of power may leave anything of the WALs: see [`Durability::Relaxed`](crate::commit::log::Durability::Relaxed).
pub(crate) const RELAXED_FILE: &str = "relaxed";

/// Bytes that are copied at once.
const COPY_SIZE: usize = 1 << 20;

/// What opening does about damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// Tell it and change nothing.
    #[default]
    Refuse,
    /// Open with what can be read.
    Salvage,
}

/// Something that [`Recovery::Salvage`] went on without.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Damage {
    /// The file, within the database's directory.
    pub file: String,
    /// Where the file is kept as it was, within the database's directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copy: Option<String>,
    /// The table, or index, that it concerns; none where that can't be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<String>,
    /// How many versions of rows, or deletes, were lost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<u64>,
    /// What was wrong, and what was left out.
    pub message: String,
}

/// An opening's dealings with damage.
pub(crate) struct Salvage {
    io: SharedIo,
    recovery: Recovery,
    copies: String,
    was_relaxed: bool,
    /// What was found.
    pub(crate) found: Vec<Damage>,
    /// Tables some of whose rows or entries are lost.
    tables: BTreeSet<TableId>,
    /// Whether any table's may be: commits are lost, and with them how far older ones have been moved, so that those are replayed over
    /// rows and entries that are newer.
    has_lost_commits: bool,
}

impl Salvage {
    /// Looks at what has to be looked at before SQLite opens its files.
    ///
    /// # Errors
    /// [`StoreErrorCode::Corrupt`] where a WAL is damaged and that is to be refused.
    pub(crate) fn begin(io: &SharedIo, recovery: Recovery) -> StoreResult<Salvage> {
        let mut this = Salvage {
            io: io.clone(),
            recovery,
            copies: format!("{COPIES}/{}", unix_ms()),
            was_relaxed: io.exists(RELAXED_FILE)?,
            found: Vec::new(),
            tables: BTreeSet::new(),
            has_lost_commits: false,
        };
        if !this.was_relaxed {
            for file in [MAIN_FILE, LOG_FILE] {
                let wal = format!("{file}-wal");
                if let Some(offset) = find_wal_damage(&**io, &wal)? {
                    this.meet(
                        &wal,
                        StoreError::corrupt(format!(
                            "{wal} is damaged at byte {offset}, where acknowledged commits are"
                        )),
                    )?;
                }
            }
        }
        Ok(this)
    }

    /// Whether damage is gone around.
    pub(crate) fn is_on(&self) -> bool {
        self.recovery == Recovery::Salvage
    }

    /// Whether the database was last written with relaxed durability.
    pub(crate) fn was_relaxed(&self) -> bool {
        self.was_relaxed
    }

    /// Notes that a loss of power may leave anything of the WALs from now on.
    pub(crate) fn note_relaxed(&self) -> StoreResult<()> {
        let file = self.io.open(RELAXED_FILE, OpenMode::OrCreate)?;
        let synced = self.io.sync(file);
        self.io.close(file)?;
        Ok(synced?)
    }

    /// Notes that every commit is synced from now on, those of before being so too.
    pub(crate) fn note_synced(&self) -> StoreResult<()> {
        Ok(self.io.remove(RELAXED_FILE)?)
    }

    /// Whether a table's indexes may differ from its rows.
    pub(crate) fn has_touched(&self, table: TableId) -> bool {
        self.has_lost_commits || self.tables.contains(&table)
    }

    /// Goes around damage to a file of the logs, or returns the error that tells it.
    pub(crate) fn meet(&mut self, file: &str, error: StoreError) -> StoreResult<()> {
        if error.code != StoreErrorCode::Corrupt || !self.is_on() {
            return Err(self.advise(error));
        }
        let copy = self.set_aside_with_wal(file)?;
        self.has_lost_commits = true;
        self.found.push(Damage {
            file: file.into(),
            copy,
            table: None,
            rows: None,
            message: error.message,
        });
        Ok(())
    }

    /// As [`Salvage::meet`], for a log file that ends before commits that it had. Where it is damaged, that has been told.
    pub(crate) fn meet_lost_end(&mut self) -> StoreResult<()> {
        let wal = format!("{LOG_FILE}-wal");
        let mut told = self.found.iter().map(|damage| &damage.file);
        if told.any(|file| *file == wal || file == LOG_FILE) {
            return Ok(());
        }
        let message = format!("{wal} has lost its end, where acknowledged commits were");
        self.meet(&wal, StoreError::corrupt(message))
    }

    /// Goes on without what a commit of a log, in `file`, says of a table.
    pub(crate) fn leave_out(
        &mut self,
        file: &str,
        stored: &Stored,
        rows: usize,
        error: StoreError,
    ) -> StoreResult<()> {
        let copy = self.set_aside_with_wal(file)?;
        self.tables.insert(stored.owner());
        self.found.push(Damage {
            file: file.into(),
            copy,
            table: Some(stored.name().into()),
            rows: Some(rows as u64),
            message: format!("{}; its rows there are left out", error.message),
        });
        Ok(())
    }

    /// As [`Salvage::set_aside`]; of a database file's pages, some may be in its WAL.
    fn set_aside_with_wal(&self, path: &str) -> StoreResult<Option<String>> {
        self.set_aside(&format!("{path}-wal"))?;
        self.set_aside(path)
    }

    /// Copies a file as it is, once; returns where to, if there is such a file.
    fn set_aside(&self, path: &str) -> StoreResult<Option<String>> {
        let copy = format!("{}/{path}", self.copies);
        if self.io.exists(&copy)? {
            return Ok(Some(copy));
        }
        if !self.io.exists(path)? {
            return Ok(None);
        }
        let source = self.io.open(path, OpenMode::Existing)?;
        let target = self.io.open(&copy, OpenMode::OrCreate);
        let copied = target.and_then(|target| {
            let mut bytes = vec![0; COPY_SIZE];
            let mut at = 0;
            let copied = loop {
                match self.io.read_at(source, at, &mut bytes) {
                    Ok(0) => break self.io.sync(target),
                    Ok(count) => match self.io.write_at(target, at, &bytes[..count]) {
                        Ok(()) => at += count as u64,
                        Err(error) => break Err(error),
                    },
                    Err(error) => break Err(error),
                }
            };
            self.io.close(target)?;
            copied
        });
        self.io.close(source)?;
        copied?;
        Ok(Some(copy))
    }

    /// Removes copies of files that turned out to be whole, unless they are copies of damage.
    fn forget_copies(&self, paths: &[&str]) -> StoreResult<()> {
        for path in paths {
            let copy = format!("{}/{path}", self.copies);
            let is_told = self.found.iter().any(|damage| damage.file == *path);
            if !is_told && self.io.exists(&copy)? {
                self.io.remove(&copy)?;
            }
        }
        Ok(())
    }

    /// Says of an error of damage what can be done about it.
    pub(crate) fn advise(&self, mut error: StoreError) -> StoreError {
        if error.code == StoreErrorCode::Corrupt && !self.is_on() {
            error.message += "; opening with recovery: 'salvage' goes on without what is lost";
        }
        error
    }

    /// Opens the log file; where anything in it is damaged, a new one with what can be read of it.
    pub(crate) fn open_log(
        &mut self,
        main: Handle,
        vfs: &str,
        durability: Durability,
    ) -> StoreResult<LogFile> {
        let open = || LogFile::open(LOG_FILE, vfs, durability);
        if !self.is_on() {
            return open().map_err(|error| self.advise(error));
        }
        // Closing a file of SQLite's may already change it.
        let wal = format!("{LOG_FILE}-wal");
        for file in [LOG_FILE, &wal] {
            self.set_aside(file)?;
        }
        let remains = match open() {
            Ok(log) => {
                let remains = log.remains();
                if remains.damage.is_none() {
                    self.forget_copies(&[LOG_FILE, &wal])?;
                    return Ok(log);
                }
                remains
            }
            Err(error) => Remains::nothing(error),
        };
        if let Some(error) = remains.damage.clone() {
            self.meet(LOG_FILE, error)?;
        }
        for file in [LOG_FILE, &wal] {
            if self.io.exists(file)? {
                self.io.remove(file)?;
            }
        }
        let log = open()?;
        let behind_mixed = || {
            let (mixed, _) = log::last_mixed(&mut log::last_mixed_statement(main)?)?;
            Ok(1 + mixed)
        };
        log.restore(&remains, behind_mixed)?;
        Ok(log)
    }

    /// Opens a table of the catalogue, as far as it can be read.
    pub(crate) fn open_stored(
        &mut self,
        means: Means<'_>,
        stored: &Stored,
    ) -> StoreResult<TableVersion> {
        if !self.is_on() {
            return open_stored(means, stored, Recovery::Refuse);
        }
        let directory = Table::directory(stored.id());
        self.mend_files(means, &directory, stored)?;
        let error = match open_stored(means, stored, Recovery::Refuse) {
            Err(error) if error.code == StoreErrorCode::Corrupt => error,
            outcome => return outcome,
        };
        self.tables.insert(stored.owner());
        let opened = open_stored(means, stored, Recovery::Salvage);
        let copies = self.copy_logs(means, &directory)?;
        self.found.push(Damage {
            file: means.host.fs.host_path(&directory),
            copy: copies,
            table: Some(stored.name().into()),
            rows: None,
            message: match &opened {
                Ok(_) => format!("{}; commits that lie there are left out", error.message),
                Err(error) => format!("it cannot be opened: {}", error.message),
            },
        });
        let version = opened?;
        // The damaged part of its log is not needed any more, and not read by the next opening.
        version.table.flush()?;
        Ok(version)
    }

    /// Takes what is damaged out of a table's files of rows and deletes.
    fn mend_files(
        &mut self,
        means: Means<'_>,
        directory: &str,
        stored: &Stored,
    ) -> StoreResult<()> {
        let fs = &means.host.fs;
        for path in fs.paths(directory)? {
            let damage = pages::find_damage(fs, &path)?;
            let Some(schema) = stored.schema().filter(|_| !damage.is_empty()) else {
                continue;
            };
            let file = fs.host_path(&path);
            let copy = self.set_aside(&file)?;
            let lost = pages::mend(fs, &path, &schema, &damage)?;
            self.tables.insert(stored.owner());
            self.found.push(Damage {
                file,
                copy,
                table: Some(stored.name().into()),
                rows: lost.rows,
                message: lost.message,
            });
        }
        Ok(())
    }

    /// Copies the segments of a table's log; returns where to.
    fn copy_logs(&self, means: Means<'_>, directory: &str) -> StoreResult<Option<String>> {
        let fs = &means.host.fs;
        let mut has_any = false;
        for path in fs.paths(directory)? {
            if path.ends_with(".tonwal") {
                has_any |= self.set_aside(&fs.host_path(&path))?.is_some();
            }
        }
        Ok(has_any.then(|| format!("{}/{}", self.copies, fs.host_path(directory))))
    }

    /// Keeps a copy of the files that the catalogue doesn't know, which are about to be removed.
    pub(crate) fn keep_unknown(&mut self, means: Means<'_>, id: TableId) -> StoreResult<()> {
        if !self.is_on() {
            return Ok(());
        }
        let fs = &means.host.fs;
        let directory = fs.host_path(&Table::directory(id));
        let mut has_any = false;
        for path in fs.paths(&Table::directory(id))? {
            has_any |= self.set_aside(&fs.host_path(&path))?.is_some();
        }
        self.found.push(Damage {
            copy: has_any.then(|| format!("{}/{directory}", self.copies)),
            file: directory,
            table: None,
            rows: None,
            message: "the catalogue knows no table of these files: it was dropped, or the commit that made it is lost".into(),
        });
        Ok(())
    }
}
