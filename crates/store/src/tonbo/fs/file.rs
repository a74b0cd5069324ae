//! Files that Tonbo writes from start to end: WAL segments, SSTs, checkpoints.
//!
//! Every handle of one path shares a [`PlainFile`]: one handle of the host, one size, one buffer of bytes not yet
//! written. So a reader sees what a writer has written and not yet flushed, and asking for a size costs nothing.
//!
//! # Replacing a file
//! Opening with `truncate` empties a file only in memory; the host's file changes at the next flush. Tonbo repairs a torn
//! WAL segment that way, writing back the part that is whole: when the new content is how the old begins, the file is
//! only shortened, and a loss of power meanwhile can't take a byte of what was acknowledged.
//!
//! # When a write fails
//! Whoever writes has been told so and gives the file up, or replaces it. Until then every further write fails, for nobody
//! knows which of the bytes arrived, and what was never synced gives its space back: on a full disk each attempt to write a
//! table's rows would leave another useless file.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::objects::Objects;
use super::sums::Sums;
use crate::io::{FileId, IoError, IoErrorCode, IoResult, SharedIo};

/// Bytes that are collected before they are written.
const BUFFER_SIZE_MAX: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct PlainFile {
    io: SharedIo,
    id: FileId,
    path: String,
    sums: Option<Sums>,
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
    /// The host's file may go on behind what counts.
    has_remains: bool,
    /// Nothing in the host's file was ever promised to last: it was empty when it was opened, and no sync has succeeded since.
    is_unpromised: bool,
    /// A write failed, and the file has not been replaced since.
    failure: Option<IoError>,
}

impl PlainFile {
    /// A file around an open handle, which it closes when it is dropped.
    pub(super) fn new(
        io: SharedIo,
        id: FileId,
        path: &str,
        objects: &Arc<Objects>,
    ) -> IoResult<Self> {
        let opened = io
            .size(id)
            .and_then(|size| Ok((size, Sums::open(objects, path, size)?)));
        let (size, sums) = match opened {
            Ok(opened) => opened,
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
            has_remains: false,
            is_unpromised: size == 0,
            failure: None,
        };
        Ok(Self {
            io,
            id,
            path: path.to_owned(),
            sums,
            state: Mutex::new(state),
        })
    }

    pub(super) fn size(&self) -> u64 {
        let state = self.state();
        state.written + state.buffer.len() as u64
    }

    /// Whether a write failed, and the file has not been replaced since.
    pub(super) fn has_failed(&self) -> bool {
        self.state().failure.is_some()
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
        state.failure = None;
        if let Some(sums) = &self.sums {
            sums.restart();
        }
    }

    /// Writes at the end.
    pub(super) fn append(&self, bytes: &[u8]) -> IoResult<()> {
        let mut state = self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.needs_sync = true;
        if let Some(sums) = &self.sums {
            sums.add(bytes);
        }
        if state.buffer.is_empty() && bytes.len() >= BUFFER_SIZE_MAX && state.replaces.is_none() {
            let outcome = self.write_at_end(&mut state, bytes);
            return outcome.map_err(|error| self.fail(&mut state, error));
        }
        state.buffer.extend_from_slice(bytes);
        if state.buffer.len() >= BUFFER_SIZE_MAX && state.replaces.is_none() {
            let outcome = self.write_buffer(&mut state);
            return outcome.map_err(|error| self.fail(&mut state, error));
        }
        Ok(())
    }

    /// Returns when everything written is durable.
    pub(super) fn sync(&self) -> IoResult<()> {
        let mut state = self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if !state.needs_sync {
            return Ok(());
        }
        let outcome = self
            .write_buffer(&mut state)
            .and_then(|()| self.io.sync(self.id))
            .and_then(|()| self.sums.as_ref().map_or(Ok(()), Sums::keep));
        if let Err(error) = outcome {
            return Err(self.fail(&mut state, error));
        }
        state.needs_sync = false;
        state.is_unpromised = false;
        Ok(())
    }

    /// The byte ranges that fail their checksums.
    pub(super) fn find_damage(&self) -> IoResult<Vec<Range<u64>>> {
        let from_host = |offset, buffer: &mut [u8]| self.io.read_at(self.id, offset, buffer);
        match &self.sums {
            Some(sums) => sums.find_damage(self.size(), from_host),
            None => Ok(Vec::new()),
        }
    }

    /// All bytes that the host has, checked against nothing.
    pub(super) fn read_unchecked(&self) -> IoResult<Vec<u8>> {
        let mut bytes = vec![0; self.size() as usize];
        let count = self.io.read_at(self.id, 0, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Fills `buffer` from `offset`; fewer bytes only at the file's end.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let state = self.state();
        if offset + buffer.len() as u64 <= state.written {
            // Written bytes never change again, so the lock is not needed to read them.
            let written = state.written;
            drop(state);
            let from_host = |offset, buffer: &mut [u8]| self.io.read_at(self.id, offset, buffer);
            if let Some(sums) = &self.sums
                && sums.read(&self.path, written, offset, buffer, from_host)?
            {
                return Ok(buffer.len());
            }
            return from_host(offset, buffer);
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
        if state.replaces.is_some() {
            self.forget_sums()?;
        }
        if let Some(old_size) = state.replaces {
            if self.starts_with(old_size, &state.buffer)? {
                self.io.truncate(self.id, state.buffer.len() as u64)?;
            } else {
                self.io.truncate(self.id, 0)?;
                self.io.write_at(self.id, 0, &state.buffer)?;
            }
            state.replaces = None;
            state.has_remains = false;
            state.written = state.buffer.len() as u64;
        } else {
            let buffer = std::mem::take(&mut state.buffer);
            let outcome = self.write_at_end(state, &buffer);
            state.buffer = buffer;
            outcome?;
        }
        state.buffer.clear();
        state.buffer.shrink_to(BUFFER_SIZE_MAX);
        Ok(())
    }

    fn write_at_end(&self, state: &mut State, bytes: &[u8]) -> IoResult<()> {
        if state.has_remains {
            self.io.truncate(self.id, state.written)?;
            state.has_remains = false;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.forget_sums()?;
        if let Err(error) = self.io.write_at(self.id, state.written, bytes) {
            state.has_remains = true;
            return Err(error);
        }
        state.written += bytes.len() as u64;
        Ok(())
    }

    fn forget_sums(&self) -> IoResult<()> {
        self.sums.as_ref().map_or(Ok(()), Sums::forget)
    }

    /// The file can't be written any more, see the module's documentation.
    fn fail(&self, state: &mut State, error: IoError) -> IoError {
        if state.is_unpromised {
            state.buffer = Vec::new();
            state.written = 0;
            state.replaces = None;
            state.has_remains = self.io.truncate(self.id, 0).is_err();
        }
        state.failure = Some(error.clone());
        error
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
                has_remains: false,
                is_unpromised: false,
                failure: None,
            },
        );
        // Nobody was promised that unsynced bytes last, and nobody is left to be told that they can't be written. Those of a
        // write that failed had better not.
        if state.failure.is_none() {
            drop(self.write_buffer(&mut state));
        }
        drop(self.io.close(self.id));
    }
}
