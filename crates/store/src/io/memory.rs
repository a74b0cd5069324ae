//! Files that live as long as the value that holds them: `memory:` databases and tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::handles::Handles;
use super::{FileId, Io, IoError, IoErrorCode, IoResult, OpenMode, path};

/// Files in this process's memory. Nothing is durable, so [`Io::sync`] only checks its handle.
#[derive(Debug)]
pub struct MemoryIo {
    names: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    handles: Handles<MemoryFile>,
}

type MemoryFile = RwLock<Vec<u8>>;

impl MemoryIo {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            names: Mutex::new(BTreeMap::new()),
            handles: Handles::new(),
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryFile>>> {
        // Every change of the map is one call: no panic leaves it half-changed.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryIo {
    fn default() -> Self {
        Self::new()
    }
}

impl Io for MemoryIo {
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId> {
        path::check("open", path)?;
        let mut names = self.names();
        let file = match (names.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => {
                return Err(IoError::new(
                    IoErrorCode::AlreadyExists,
                    "open",
                    path,
                    "the file exists",
                ));
            }
            (None, OpenMode::Existing) => {
                return Err(IoError::new(
                    IoErrorCode::NotFound,
                    "open",
                    path,
                    "no such file",
                ));
            }
            (Some(file), _) => file.clone(),
            (None, _) => names.entry(path.to_owned()).or_default().clone(),
        };
        Ok(self.handles.insert(file))
    }

    fn close(&self, file: FileId) -> IoResult<()> {
        self.handles.remove("close", file).map(drop)
    }

    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let file = self.handles.get("read", file)?;
        let bytes = file.read().unwrap_or_else(PoisonError::into_inner);
        Ok(copy_at(&bytes, offset, buffer))
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        let file = self.handles.get("write", file)?;
        let mut target = file.write().unwrap_or_else(PoisonError::into_inner);
        splice(&mut target, offset, bytes)
            .map_err(|message| IoError::new(IoErrorCode::NoSpace, "write", "", message))
    }

    fn truncate(&self, file: FileId, size: u64) -> IoResult<()> {
        let file = self.handles.get("truncate", file)?;
        let mut bytes = file.write().unwrap_or_else(PoisonError::into_inner);
        resize(&mut bytes, size)
            .map_err(|message| IoError::new(IoErrorCode::NoSpace, "truncate", "", message))
    }

    fn size(&self, file: FileId) -> IoResult<u64> {
        let file = self.handles.get("size", file)?;
        let bytes = file.read().unwrap_or_else(PoisonError::into_inner);
        Ok(bytes.len() as u64)
    }

    fn sync(&self, file: FileId) -> IoResult<()> {
        self.handles.get("sync", file).map(drop)
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        match self.names().remove(path) {
            Some(_) => Ok(()),
            None => Err(IoError::new(
                IoErrorCode::NotFound,
                "remove",
                path,
                "no such file",
            )),
        }
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        Ok(self.names().contains_key(path))
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        let names = self.names();
        let below = names
            .iter()
            .filter(|(path, _)| path::is_below(path, directory));
        Ok(below
            .map(|(path, file)| {
                (
                    path.clone(),
                    file.read().unwrap_or_else(PoisonError::into_inner).len() as u64,
                )
            })
            .collect())
    }
}

/// Copies what `bytes` has from `offset` into `buffer`; returns how much that was.
pub(crate) fn copy_at(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let Some(rest) = usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
    else {
        return 0;
    };
    let count = rest.len().min(buffer.len());
    buffer[..count].copy_from_slice(&rest[..count]);
    count
}

/// Writes `bytes` over `target` at `offset`, filling a gap with zeros. Fails where memory is short or the offset beyond it.
pub(crate) fn splice(target: &mut Vec<u8>, offset: u64, bytes: &[u8]) -> Result<(), String> {
    let end = offset
        .checked_add(bytes.len() as u64)
        .ok_or("the offset is too large")?;
    if end > target.len() as u64 {
        resize(target, end)?;
    }
    // `end` fits a usize now, for the vector has that many bytes.
    let start = offset as usize;
    target[start..start + bytes.len()].copy_from_slice(bytes);
    Ok(())
}

/// Sets the length, zeros behind the old end. Fails where memory is short.
pub(super) fn resize(target: &mut Vec<u8>, size: u64) -> Result<(), String> {
    let size = usize::try_from(size).map_err(|_| "the size is beyond this memory")?;
    if size > target.len() {
        target
            .try_reserve(size - target.len())
            .map_err(|error| error.to_string())?;
    }
    target.resize(size, 0);
    Ok(())
}
