//! Files that Tonbo writes from start to end: WAL segments, SSTs, checkpoints.
//!
//! Every handle of one path shares a [`PlainFile`]: one handle of the host, one size, one buffer of bytes not yet
//! written. So a reader sees what a writer has written and not yet flushed, and asking for a size costs nothing.
//!
//! # Replacing a file
//! Opening with `truncate` empties a file only in memory; the host's file changes at the next flush. Tonbo repairs a torn
//! WAL segment that way, writing back the part that is whole: when the new content is how the old begins, the file is
//! only shortened, and a loss of power meanwhile can't take a byte of what was acknowledged.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::io::{FileId, IoError, IoErrorCode, IoResult, SharedIo};

/// Bytes that are collected before they are written.
const BUFFER_SIZE_MAX: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct PlainFile {
    io: SharedIo,
    id: FileId,
    path: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes in the host's file that count; what is buffered follows them.
    written: u64,
    buffer: Vec<u8>,
    /// The host's file still holds the content before a truncation: this many bytes.
    replaces: Option<u64>,
    needs_sync: bool,
}

impl PlainFile {
    /// A file around an open handle, which it closes when it is dropped.
    pub(super) fn new(io: SharedIo, id: FileId, path: &str) -> IoResult<Self> {
        let size = match io.size(id) {
            Ok(size) => size,
            Err(error) => {
                io.close(id)?;
                return Err(error);
            }
        };
        // A file that is there may never have been synced: whoever closes it next does that.
        let state = State {
            written: size,
            buffer: Vec::new(),
            replaces: None,
            needs_sync: true,
        };
        Ok(Self {
            io,
            id,
            path: path.to_owned(),
            state: Mutex::new(state),
        })
    }

    pub(super) fn size(&self) -> u64 {
        let state = self.state();
        state.written + state.buffer.len() as u64
    }

    /// Empties the file, durably with the next [`PlainFile::sync`].
    pub(super) fn truncate(&self) {
        let mut state = self.state();
        if state.replaces.is_none() && state.written > 0 {
            state.replaces = Some(state.written);
        }
        state.written = 0;
        state.buffer.clear();
        state.needs_sync = true;
    }

    /// Writes at the end.
    pub(super) fn append(&self, bytes: &[u8]) -> IoResult<()> {
        let mut state = self.state();
        state.needs_sync = true;
        if state.buffer.is_empty() && bytes.len() >= BUFFER_SIZE_MAX && state.replaces.is_none() {
            self.io.write_at(self.id, state.written, bytes)?;
            state.written += bytes.len() as u64;
            return Ok(());
        }
        state.buffer.extend_from_slice(bytes);
        if state.buffer.len() >= BUFFER_SIZE_MAX && state.replaces.is_none() {
            self.write_buffer(&mut state)?;
        }
        Ok(())
    }

    /// Returns when everything written is durable.
    pub(super) fn sync(&self) -> IoResult<()> {
        let mut state = self.state();
        if !state.needs_sync {
            return Ok(());
        }
        self.write_buffer(&mut state)?;
        self.io.sync(self.id)?;
        state.needs_sync = false;
        Ok(())
    }

    /// Fills `buffer` from `offset`; fewer bytes only at the file's end.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let state = self.state();
        if offset + buffer.len() as u64 <= state.written {
            // Written bytes never change again, so the lock is not needed to read them.
            drop(state);
            return self.io.read_at(self.id, offset, buffer);
        }
        let from_host = state
            .written
            .saturating_sub(offset)
            .min(buffer.len() as u64) as usize;
        let mut count = 0;
        if from_host > 0 {
            count = self.io.read_at(self.id, offset, &mut buffer[..from_host])?;
        }
        let behind = (offset + count as u64).saturating_sub(state.written);
        Ok(count + crate::io::copy_at(&state.buffer, behind, &mut buffer[count..]))
    }

    fn write_buffer(&self, state: &mut State) -> IoResult<()> {
        if let Some(old_size) = state.replaces {
            if self.starts_with(old_size, &state.buffer)? {
                self.io.truncate(self.id, state.buffer.len() as u64)?;
            } else {
                self.io.truncate(self.id, 0)?;
                self.io.write_at(self.id, 0, &state.buffer)?;
            }
            state.replaces = None;
        } else if !state.buffer.is_empty() {
            self.io.write_at(self.id, state.written, &state.buffer)?;
        }
        state.written += state.buffer.len() as u64;
        state.buffer.clear();
        state.buffer.shrink_to(BUFFER_SIZE_MAX);
        Ok(())
    }

    /// Whether the host's file of `size` bytes begins with `bytes`.
    fn starts_with(&self, size: u64, bytes: &[u8]) -> IoResult<bool> {
        if bytes.len() as u64 > size {
            return Ok(false);
        }
        let mut old = vec![0; bytes.len()];
        let count = self.io.read_at(self.id, 0, &mut old)?;
        Ok(old[..count] == *bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves at worst a buffer that is written again at the same place.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error about this file.
    pub(super) fn error(
        &self,
        code: IoErrorCode,
        operation: &'static str,
        message: &str,
    ) -> IoError {
        IoError::new(code, operation, &self.path, message)
    }
}

impl Drop for PlainFile {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut state = std::mem::replace(
            state,
            State {
                written: 0,
                buffer: Vec::new(),
                replaces: None,
                needs_sync: false,
            },
        );
        // Nobody was promised that unsynced bytes last, and nobody is left to be told that they can't be written.
        drop(self.write_buffer(&mut state));
        drop(self.io.close(self.id));
    }
}
