//! Checksums of the files that are written once and read in parts: SSTs and checkpoints.
//!
//! Parquet keeps no checksum that its readers look at, so a flipped byte would be a wrong row. Each block of [`BLOCK_SIZE`] bytes has its CRC-32
//! in an object, which the object log protects in turn: written after the file was synced and before that is acknowledged, removed before
//! the file is changed or removed. A block is checked when it is first read; an opening that finds no object – files of earlier versions
//! have none – checks nothing. WAL segments have checksums of their own in every frame.
//!
//! The object is `size u64, crc u32 × blocks`, little-endian.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::objects::Objects;
use crate::io::{IoError, IoErrorCode, IoResult};

/// What is checked together: small enough for a point read, large enough that the sums of a gigabyte take 64 KiB.
pub(super) const BLOCK_SIZE: usize = 64 << 10;

/// Where the objects are.
pub(super) const DIRECTORY: &str = "checksums";

/// Files that check themselves.
const CHECKED_ALREADY: &str = ".tonwal";

/// The sums' object of a file; `None` for files that need none.
pub(super) fn object_of(path: &str) -> Option<String> {
    (!path.ends_with(CHECKED_ALREADY)).then(|| format!("{DIRECTORY}/{path}"))
}

/// The sums of one file, and where they are kept.
#[derive(Debug)]
pub(super) struct Sums {
    objects: Arc<Objects>,
    object: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the object says; none where there is no object.
    kept: Option<Kept>,
    /// The sums of what is being written, while all of it is known.
    running: Option<Running>,
}

#[derive(Debug)]
struct Kept {
    size: u64,
    blocks: Vec<u32>,
    is_checked: Vec<bool>,
}

#[derive(Clone, Debug, Default)]
struct Running {
    size: u64,
    blocks: Vec<u32>,
    last: crc32fast::Hasher,
}

impl Sums {
    /// The sums of the file at `path`, which has `size` bytes now.
    pub(super) fn open(objects: &Arc<Objects>, path: &str, size: u64) -> IoResult<Option<Sums>> {
        let Some(object) = object_of(path) else {
            return Ok(None);
        };
        let kept = match objects.get(&object) {
            Some(found) => Some(
                parse(&found.content.payload)
                    .ok_or_else(|| damaged(path, "its checksums cannot be read"))?,
            ),
            None => None,
        };
        let running = (size == 0).then(Running::default);
        Ok(Some(Sums {
            objects: objects.clone(),
            object,
            state: Mutex::new(State { kept, running }),
        }))
    }

    /// The file begins anew.
    pub(super) fn restart(&self) {
        self.state().running = Some(Running::default());
    }

    /// Bytes are written at the end.
    pub(super) fn add(&self, mut bytes: &[u8]) {
        if let Some(running) = &mut self.state().running {
            while !bytes.is_empty() {
                let filled = (running.size % BLOCK_SIZE as u64) as usize;
                let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_SIZE - filled));
                running.last.update(now);
                running.size += now.len() as u64;
                if filled + now.len() == BLOCK_SIZE {
                    let full = std::mem::take(&mut running.last);
                    running.blocks.push(full.finalize());
                }
                bytes = rest;
            }
        }
    }

    /// The file on the host is about to change.
    pub(super) fn forget(&self) -> IoResult<()> {
        let mut state = self.state();
        if state.kept.is_some() {
            self.objects.remove(&self.object)?;
            state.kept = None;
        }
        Ok(())
    }

    /// The file is durable as it is: its sums become so too.
    pub(super) fn keep(&self) -> IoResult<()> {
        let mut state = self.state();
        let Some(running) = state.running.clone() else {
            return Ok(());
        };
        let mut blocks = running.blocks;
        if running.size % BLOCK_SIZE as u64 != 0 {
            blocks.push(running.last.finalize());
        }
        let mut payload = running.size.to_le_bytes().to_vec();
        payload.extend(blocks.iter().flat_map(|sum| sum.to_le_bytes()));
        self.objects.replace(&self.object, &payload)?;
        state.kept = Some(Kept {
            size: running.size,
            is_checked: vec![false; blocks.len()],
            blocks,
        });
        Ok(())
    }

    /// Fills `buffer` from `offset` by `read`, which reads the host's file of `size` bytes, and checks what was read where that has not been
    /// done before. Returns false where there is nothing to check against.
    pub(super) fn read(
        &self,
        path: &str,
        size: u64,
        offset: u64,
        buffer: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> IoResult<usize>,
    ) -> IoResult<bool> {
        let first = (offset / BLOCK_SIZE as u64) as usize;
        let last = ((offset + buffer.len() as u64).saturating_sub(1) / BLOCK_SIZE as u64) as usize;
        let expected = {
            let state = self.state();
            let Some(kept) = &state.kept else {
                return Ok(false);
            };
            if kept.size != size {
                let message = format!("it has {size} bytes instead of {}", kept.size);
                return Err(damaged(path, &message));
            }
            if buffer.is_empty() || kept.is_checked[first..=last].iter().all(|is| *is) {
                return Ok(false);
            }
            kept.blocks[first..=last].to_vec()
        };
        let start = (first * BLOCK_SIZE) as u64;
        let end = (((last + 1) * BLOCK_SIZE) as u64).min(size);
        let mut bytes = vec![0; (end - start) as usize];
        let count = read(start, &mut bytes)?;
        for (index, (block, sum)) in bytes[..count].chunks(BLOCK_SIZE).zip(&expected).enumerate() {
            if crc32fast::hash(block) != *sum {
                let at = start + (index * BLOCK_SIZE) as u64;
                let message = format!(
                    "the block of {} bytes at {at} fails its checksum",
                    block.len()
                );
                return Err(damaged(path, &message));
            }
        }
        if count < bytes.len() {
            return Err(damaged(path, "it is cut short"));
        }
        buffer.copy_from_slice(&bytes[(offset - start) as usize..][..buffer.len()]);
        if let Some(kept) = &mut self.state().kept
            && let Some(blocks) = kept.is_checked.get_mut(first..=last)
        {
            blocks.fill(true);
        }
        Ok(true)
    }

    /// The byte ranges of the host's file of `size` bytes that are not what was written. Empty where there is nothing to check against.
    pub(super) fn find_damage(
        &self,
        size: u64,
        read: impl Fn(u64, &mut [u8]) -> IoResult<usize>,
    ) -> IoResult<Vec<Range<u64>>> {
        let (kept_size, expected) = match &self.state().kept {
            Some(kept) => (kept.size, kept.blocks.clone()),
            None => return Ok(Vec::new()),
        };
        let mut damage = Vec::new();
        let mut block = vec![0; BLOCK_SIZE];
        for (index, sum) in expected.iter().enumerate() {
            let start = (index * BLOCK_SIZE) as u64;
            let length = BLOCK_SIZE.min((kept_size - start) as usize);
            let count = read(start, &mut block[..length])?;
            if count < length || crc32fast::hash(&block[..length]) != *sum {
                damage.push(start..start + length as u64);
            }
        }
        // Where bytes are missing, or there are more than were written, its end isn't where a reader looks for it.
        if size != kept_size {
            damage.push(kept_size.min(size).saturating_sub(1)..kept_size.max(size));
        }
        Ok(damage)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic in here leaves the sums half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(payload: &[u8]) -> Option<Kept> {
    let (size, sums) = payload.split_first_chunk::<8>()?;
    let size = u64::from_le_bytes(*size);
    let (sums, rest) = sums.as_chunks::<4>();
    let blocks: Vec<u32> = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
    let is_whole = rest.is_empty() && blocks.len() as u64 == size.div_ceil(BLOCK_SIZE as u64);
    is_whole.then(|| Kept {
        size,
        is_checked: vec![false; blocks.len()],
        blocks,
    })
}

fn damaged(path: &str, message: &str) -> IoError {
    IoError::new(IoErrorCode::Damaged, "read", path, message)
}
