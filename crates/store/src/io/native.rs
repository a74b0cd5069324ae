//! `std::fs` below a root directory: the native store, and the reference the other hosts are tested against.
//!
//! # What makes a file durable
//! Its bytes need `fsync` on the file, its name `fsync` on every directory from its own up to the root's parent. The
//! directories known to be synced are remembered; creating or removing an entry forgets its directory again, so that
//! steady writing costs one `fsync` of the file. A directory that was there when the store was opened counts as unsynced
//! until first used: a killed predecessor may have created it without a sync.
//!
//! # One process a directory
//! `heddle.lock` in the root is held with the operating system's file lock. It ends with the process, however that ends:
//! there is no stale lock, and nothing is to be cleaned up.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::Handles;
use super::{FileId, Io, IoError, IoErrorCode, IoResult, NATIVE_LOCK, OpenMode, path};

/// Files below a directory, which this value holds for itself until it is dropped.
#[derive(Debug)]
pub struct NativeIo {
    root: PathBuf,
    handles: Handles<NativeFile>,
    /// Directories whose entries are all durable.
    synced: Mutex<HashSet<PathBuf>>,
    /// Holds the operating system's lock; released when dropped.
    _lock: File,
}

#[derive(Debug)]
struct NativeFile {
    file: File,
    path: String,
}

impl NativeIo {
    /// Opens the store's directory, creating it where it is absent, and locks it.
    ///
    /// # Errors
    /// [`IoErrorCode::Locked`] where another process, or another value in this one, holds it;
    /// [`IoErrorCode::PermissionDenied`] where the directory can't be written.
    pub fn open(root: impl AsRef<Path>) -> IoResult<Self> {
        let fail = |error: &io::Error| host_error("open", &root.as_ref().to_string_lossy(), error);
        fs::create_dir_all(&root).map_err(|error| fail(&error))?;
        let root = root.as_ref().canonicalize().map_err(|error| fail(&error))?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(NATIVE_LOCK))
            .map_err(|error| fail(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = root.to_string_lossy();
                return Err(IoError::new(
                    IoErrorCode::Locked,
                    "open",
                    &path,
                    "the directory is open elsewhere",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(fail(&error)),
        }
        Ok(Self {
            root,
            handles: Handles::new(),
            synced: Mutex::new(HashSet::new()),
            _lock: lock,
        })
    }

    fn host_path(&self, operation: &'static str, path: &str) -> IoResult<PathBuf> {
        path::check(operation, path)?;
        if path == NATIVE_LOCK {
            return Err(IoError::new(
                IoErrorCode::PermissionDenied,
                operation,
                path,
                "the name of the store's lock",
            ));
        }
        Ok(self.root.join(path))
    }

    fn synced(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        // A panic leaves too few directories in the set at worst, which costs a sync.
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the directories above `host_path` that are absent.
    fn create_parents(&self, host_path: &Path) -> io::Result<()> {
        let parent = host_path.parent().unwrap_or(&self.root);
        let absent: Vec<&Path> = parent
            .ancestors()
            .take_while(|directory| !directory.exists())
            .collect();
        for directory in absent.into_iter().rev() {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.forget(directory),
            }
        }
        Ok(())
    }

    /// An entry of `host_path`'s directory has changed.
    fn forget(&self, host_path: &Path) {
        if let Some(parent) = host_path.parent() {
            self.synced().remove(parent);
        }
    }

    /// Syncs the directories from the file's up to the root's parent, those excepted that are known to be synced.
    fn sync_names(&self, host_path: &Path) -> io::Result<()> {
        let root_parent = self.root.parent();
        let mut synced = self.synced();
        for directory in host_path.ancestors().skip(1) {
            if !synced.contains(directory) {
                // The set stays locked, so that an entry made meanwhile is forgotten after the insertion, not before it.
                sync_directory(directory)?;
                synced.insert(directory.to_owned());
            }
            if Some(directory) == root_parent {
                break;
            }
        }
        Ok(())
    }

    fn list_into(&self, directory: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Err(error) if is_absent(&error) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Removed by another thread since the directory was read.
                Err(error) if is_absent(&error) => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                self.list_into(&entry.path(), found)?;
                continue;
            }
            let host_path = entry.path();
            let below = host_path.strip_prefix(&self.root).unwrap_or(&host_path);
            let segments: Vec<_> = below
                .iter()
                .map(|segment| segment.to_string_lossy())
                .collect();
            let path = segments.join("/");
            if path != NATIVE_LOCK {
                found.push((path, metadata.len()));
            }
        }
        Ok(())
    }
}

impl Io for NativeIo {
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId> {
        let host_path = self.host_path("open", path)?;
        let fail = |error: io::Error| host_error("open", path, &error);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let existing = match mode {
            OpenMode::CreateNew => None,
            OpenMode::Existing => Some(options.open(&host_path).map_err(fail)?),
            OpenMode::OrCreate => match options.open(&host_path) {
                Err(error) if is_absent(&error) => None,
                file => Some(file.map_err(fail)?),
            },
        };
        let file = match existing {
            Some(file) => file,
            None => {
                self.create_parents(&host_path).map_err(fail)?;
                options.create(true).create_new(mode == OpenMode::CreateNew);
                let file = options.open(&host_path).map_err(fail)?;
                self.forget(&host_path);
                file
            }
        };
        Ok(self.handles.insert(Arc::new(NativeFile {
            file,
            path: path.to_owned(),
        })))
    }

    fn close(&self, file: FileId) -> IoResult<()> {
        self.handles.remove("close", file).map(drop)
    }

    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let file = self.handles.get("read", file)?;
        let mut count = 0;
        while count < buffer.len() {
            match positioned::read_at(&file.file, &mut buffer[count..], offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(host_error("read", &file.path, &error)),
            }
        }
        Ok(count)
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        let file = self.handles.get("write", file)?;
        positioned::write_all_at(&file.file, bytes, offset)
            .map_err(|error| host_error("write", &file.path, &error))
    }

    fn truncate(&self, file: FileId, size: u64) -> IoResult<()> {
        let file = self.handles.get("truncate", file)?;
        file.file
            .set_len(size)
            .map_err(|error| host_error("truncate", &file.path, &error))
    }

    fn size(&self, file: FileId) -> IoResult<u64> {
        let file = self.handles.get("size", file)?;
        let metadata = file
            .file
            .metadata()
            .map_err(|error| host_error("size", &file.path, &error))?;
        Ok(metadata.len())
    }

    fn sync(&self, file: FileId) -> IoResult<()> {
        let file = self.handles.get("sync", file)?;
        // `fdatasync` writes a changed size too, all that reading the bytes back needs.
        file.file
            .sync_data()
            .and_then(|()| self.sync_names(&self.root.join(&file.path)))
            .map_err(|error| host_error("sync", &file.path, &error))
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        let host_path = self.host_path("remove", path)?;
        let removed = fs::remove_file(&host_path);
        self.forget(&host_path);
        removed
            .and_then(|()| self.sync_names(&host_path))
            .map_err(|error| host_error("remove", path, &error))
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        let host_path = self.host_path("look for", path)?;
        match fs::metadata(host_path) {
            Ok(metadata) => Ok(metadata.is_file()),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(host_error("look for", path, &error)),
        }
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        let trimmed = directory.trim_end_matches('/');
        let host_path = if trimmed.is_empty() {
            self.root.clone()
        } else {
            self.host_path("list", trimmed)?
        };
        let mut found = Vec::new();
        self.list_into(&host_path, &mut found)
            .map_err(|error| host_error("list", directory, &error))?;
        found.sort();
        Ok(found)
    }
}

/// Absent by its own name, or because what should be its directory is a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn host_error(operation: &'static str, path: &str, error: &io::Error) -> IoError {
    use io::ErrorKind;
    let code = match error.kind() {
        ErrorKind::NotFound => IoErrorCode::NotFound,
        ErrorKind::AlreadyExists => IoErrorCode::AlreadyExists,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            IoErrorCode::PermissionDenied
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            IoErrorCode::NoSpace
        }
        _ => IoErrorCode::Other,
    };
    IoError::new(code, operation, path, error.to_string())
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory) {
        // A directory above the root that this user may enter but not read: its owner answers for it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

/// Elsewhere directories can't be opened; the file systems there journal their entries.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
mod positioned {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }
}

#[cfg(windows)]
mod positioned {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buffer, offset)
    }

    pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = file.seek_write(bytes, offset)?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }
}
