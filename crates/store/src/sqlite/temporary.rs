//! A file that nobody finds again: runs of a sort, a statement's journal, a temporary database. It lives in memory.
//!
//! It grows by chunks that stay where they are. One vector would be copied each time it doubled, and would need, for that
//! moment, a free stretch of memory of three times its size.
//!
//! SQLite is built with `SQLITE_TEMP_STORE=1` (temporary data in files), not 3 (in memory), although nothing reaches a disk either
//! way: with 3 its sorter allocates every row by itself, which made a `GROUP BY` three times slower and its threads queue
//! for the allocator; with 1 it fills blocks and writes sorted runs here.

use std::collections::TryReserveError;

use crate::memory::{MemoryShare, OutOfBudget};

/// Bytes in a chunk: many of the pages SQLite writes, few enough that a small file wastes little.
const CHUNK_SIZE: usize = 64 * 1024;

/// # Invariants
/// 1. `chunks` is as long as `size` asks for, no longer.
/// 2. Bytes of the last chunk behind `size` are zeros.
/// 3. `memory` is what the chunks take.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    chunks: Vec<Box<[u8]>>,
    size: usize,
    memory: MemoryShare,
}

impl TemporaryFile {
    /// An empty file that lives on this share.
    pub(super) fn new(memory: MemoryShare) -> TemporaryFile {
        TemporaryFile {
            chunks: Vec::new(),
            size: 0,
            memory,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size as u64
    }

    /// Copies what there is from `offset` on into `buffer`; returns how many bytes that was.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let count = self.size.saturating_sub(start).min(buffer.len());
        let mut read = 0;
        while read < count {
            let (index, within) = place(start + read);
            let chunk = &self.chunks[index][within..];
            let part = chunk.len().min(count - read);
            buffer[read..read + part].copy_from_slice(&chunk[..part]);
            read += part;
        }
        count
    }

    /// Writes `bytes` at `offset`, filling a gap with zeros. Where memory is short, the file stays as it was.
    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), OutOfMemory> {
        let start = usize::try_from(offset).map_err(|_| OutOfMemory)?;
        let end = start.checked_add(bytes.len()).ok_or(OutOfMemory)?;
        if end > self.size {
            self.grow(end)?;
        }
        let mut written = 0;
        while written < bytes.len() {
            let (index, within) = place(start + written);
            let chunk = &mut self.chunks[index][within..];
            let part = chunk.len().min(bytes.len() - written);
            chunk[..part].copy_from_slice(&bytes[written..written + part]);
            written += part;
        }
        Ok(())
    }

    /// Cuts the file off at `size`; one that is shorter stays as it is, as SQLite expects of its VFS.
    pub(super) fn truncate(&mut self, size: u64) {
        let Ok(size) = usize::try_from(size) else {
            return;
        };
        if size >= self.size {
            return;
        }
        let count = size.div_ceil(CHUNK_SIZE);
        self.memory.shrink((self.chunks.len() - count) * CHUNK_SIZE);
        self.chunks.truncate(count);
        let (index, within) = place(size);
        if let Some(last) = self.chunks.get_mut(index) {
            last[within..].fill(0);
        }
        self.size = size;
    }

    fn grow(&mut self, size: usize) -> Result<(), OutOfMemory> {
        let count = size.div_ceil(CHUNK_SIZE);
        let had = self.chunks.len();
        let added = count.saturating_sub(had);
        self.memory.grow(added * CHUNK_SIZE)?;
        if let Err(error) = self.add_chunks(added) {
            self.chunks.truncate(had);
            self.memory.shrink(added * CHUNK_SIZE);
            return Err(error);
        }
        self.size = size;
        Ok(())
    }

    fn add_chunks(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.chunks.try_reserve(count)?;
        for _ in 0..count {
            self.chunks.push(zeroed_chunk()?);
        }
        Ok(())
    }
}

/// There is no memory for a longer file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        OutOfMemory
    }
}

impl From<OutOfBudget> for OutOfMemory {
    fn from(_: OutOfBudget) -> Self {
        OutOfMemory
    }
}

/// The chunk that has the byte at `offset`, and where in it.
fn place(offset: usize) -> (usize, usize) {
    (offset / CHUNK_SIZE, offset % CHUNK_SIZE)
}

fn zeroed_chunk() -> Result<Box<[u8]>, OutOfMemory> {
    let mut chunk = Vec::new();
    chunk.try_reserve_exact(CHUNK_SIZE)?;
    chunk.resize(CHUNK_SIZE, 0);
    Ok(chunk.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;

    fn empty() -> TemporaryFile {
        TemporaryFile::new(MemoryBudget::new(16 * CHUNK_SIZE).share())
    }

    fn content(file: &TemporaryFile) -> Vec<u8> {
        let mut bytes = vec![0xff; file.size() as usize];
        assert_eq!(file.read_at(0, &mut bytes), bytes.len());
        bytes
    }

    #[test]
    fn what_is_written_across_chunks_is_read_back() {
        let mut file = empty();
        let bytes: Vec<u8> = (0..3 * CHUNK_SIZE + 17).map(|n| (n % 251) as u8).collect();
        file.write_at(0, &bytes).unwrap();
        file.write_at(CHUNK_SIZE as u64 - 2, b"warp").unwrap();
        let mut expected = bytes;
        expected[CHUNK_SIZE - 2..CHUNK_SIZE + 2].copy_from_slice(b"warp");
        assert_eq!(content(&file), expected);
    }

    #[test]
    fn a_gap_and_what_was_cut_off_are_zeros() {
        let mut file = empty();
        file.write_at(0, &[7; 100]).unwrap();
        file.truncate(10);
        file.write_at(CHUNK_SIZE as u64 + 5, &[9]).unwrap();
        let mut expected = vec![0; CHUNK_SIZE + 6];
        expected[..10].fill(7);
        expected[CHUNK_SIZE + 5] = 9;
        assert_eq!(content(&file), expected);
    }

    #[test]
    fn reads_stop_at_the_end() {
        let mut file = empty();
        file.write_at(0, b"weft").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(2, &mut buffer), 2);
        assert_eq!(&buffer[..2], b"ft");
        assert_eq!(file.read_at(4, &mut buffer), 0);
        assert_eq!(file.read_at(u64::MAX, &mut buffer), 0);
    }

    #[test]
    fn a_longer_truncation_leaves_the_file_as_it_is() {
        let mut file = empty();
        file.write_at(0, b"weft").unwrap();
        file.truncate(9);
        assert_eq!(file.size(), 4);
        file.truncate(CHUNK_SIZE as u64 * 4);
        assert_eq!(file.size(), 4);
    }

    #[test]
    fn a_file_takes_no_more_than_its_budget_has() {
        let budget = MemoryBudget::new(3 * CHUNK_SIZE);
        let mut file = TemporaryFile::new(budget.share());
        file.write_at(0, &[1; 2 * CHUNK_SIZE]).unwrap();
        assert_eq!(file.write_at(0, &[2; 3 * CHUNK_SIZE + 1]), Err(OutOfMemory));
        assert_eq!(content(&file), vec![1; 2 * CHUNK_SIZE]);
        file.truncate(1);
        assert_eq!(budget.used(), CHUNK_SIZE);
        drop(file);
        assert_eq!(budget.used(), 0);
    }
}
