//! A file system in memory that can lose power, fill up and fail: the store's crash tests run on it.
//!
//! # What survives [`PowerLossIo::crash`]
//! | was | survives |
//! |---|---|
//! | a file's name, synced | always |
//! | a file's name, not synced | never: the creation vanishes with all its bytes |
//! | bytes, synced | always |
//! | a write or truncation since | by the seed: whole, not at all, one stretch of it, any of its sectors, or only as a larger file of zeros; later ones may survive where earlier ones do not |
//! | a removal | always; with [`PowerLossIo::set_removals_may_return`] by the seed |
//!
//! # Counting
//! Operations that change the disk are counted from 1: writes, truncations, syncs, removals, and openings that create.
//! Cutting the power after the n-th means in the middle of the next: that one fails, may have reached the disk in part, and
//! every later call of any kind fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::Handles;
use super::memory::{copy_at, resize, splice};
use super::{FileId, Io, IoError, IoErrorCode, IoResult, OpenMode, path};

/// What a disk writes at once.
const SECTOR_SIZE: u64 = 512;

/// A disk in memory that knows what was synced. See the module's documentation.
#[derive(Debug)]
pub struct PowerLossIo {
    disk: Mutex<Disk>,
    handles: Handles<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    node: usize,
    path: String,
}

#[derive(Debug, Default)]
struct Disk {
    nodes: Vec<Node>,
    /// What programs see.
    names: BTreeMap<String, usize>,
    /// What is on the platter.
    durable_names: BTreeMap<String, usize>,
    operation_count: u64,
    cut_after: Option<u64>,
    failures: Vec<(u64, IoErrorCode)>,
    capacity: Option<u64>,
    removals_may_return: bool,
}

#[derive(Debug, Default)]
struct Node {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// What happened since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate { size: u64 },
}

/// How the disk meets an operation.
enum Fate {
    Done,
    /// The power fails in the middle of it.
    Cut(IoError),
}

impl PowerLossIo {
    /// An empty disk.
    pub fn new() -> Self {
        Self::with_disk(Disk::default())
    }

    fn with_disk(disk: Disk) -> Self {
        Self {
            disk: Mutex::new(disk),
            handles: Handles::new(),
        }
    }

    /// The count of operations so far that changed the disk.
    pub fn operation_count(&self) -> u64 {
        self.disk().operation_count
    }

    /// Cuts the power after the `count`-th operation of this disk's life.
    pub fn cut_after(&self, count: u64) {
        self.disk().cut_after = Some(count);
    }

    /// Whether the power has been cut.
    pub fn is_cut(&self) -> bool {
        self.disk().is_cut()
    }

    /// Makes the `number`-th operation of this disk's life fail with `code`, without an effect.
    pub fn fail_at(&self, number: u64, code: IoErrorCode) {
        self.disk().failures.push((number, code));
    }

    /// Limits the sum of all files' sizes in bytes: what would exceed it fails with [`IoErrorCode::NoSpace`].
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.disk().capacity = capacity;
    }

    /// Whether a removed file may come back in a crash, as on hosts that can't sync a directory.
    pub fn set_removals_may_return(&self, may: bool) {
        self.disk().removals_may_return = may;
    }

    /// The disk as it is found after a loss of power now. The same seed finds the same disk. This one stays as it is.
    pub fn crash(&self, seed: u64) -> PowerLossIo {
        let disk = self.disk();
        let mut random = Random(seed);
        let mut after = Disk {
            removals_may_return: disk.removals_may_return,
            ..Disk::default()
        };
        for (name, &node) in &disk.durable_names {
            let removed = disk.names.get(name) != Some(&node);
            if removed && random.below(2) == 0 {
                continue;
            }
            let bytes = disk.nodes[node].surviving(&mut random);
            after.names.insert(name.clone(), after.nodes.len());
            after.nodes.push(Node {
                durable: bytes.clone(),
                bytes,
                pending: Vec::new(),
            });
        }
        after.durable_names = after.names.clone();
        Self::with_disk(after)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // Only a failed test panics in here, and its disk is not used again.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for PowerLossIo {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    fn is_cut(&self) -> bool {
        self.cut_after
            .is_some_and(|count| self.operation_count > count)
    }

    fn check_power(&self, operation: &'static str, path: &str) -> IoResult<()> {
        if self.is_cut() {
            Err(power_is_off(operation, path))
        } else {
            Ok(())
        }
    }

    /// Counts an operation that changes the disk. One that finds the power off already has no effect; one that is cut
    /// itself may have some.
    fn change(&mut self, operation: &'static str, path: &str) -> IoResult<Fate> {
        let number = self.operation_count + 1;
        self.check_power(operation, path)?;
        self.operation_count = number;
        if self.is_cut() {
            return Ok(Fate::Cut(power_is_off(operation, path)));
        }
        match self.failures.iter().find(|(at, _)| *at == number) {
            Some((_, code)) => Err(IoError::new(
                *code,
                operation,
                path,
                "failed as the test asked",
            )),
            None => Ok(Fate::Done),
        }
    }

    /// Whether a file of `size` bytes may have `new_size`.
    fn check_capacity(
        &self,
        operation: &'static str,
        path: &str,
        size: u64,
        new_size: u64,
    ) -> IoResult<()> {
        let Some(capacity) = self.capacity else {
            return Ok(());
        };
        let used: u64 = self
            .names
            .values()
            .map(|&node| self.nodes[node].bytes.len() as u64)
            .sum();
        if new_size > size && used + (new_size - size) > capacity {
            return Err(IoError::new(
                IoErrorCode::NoSpace,
                operation,
                path,
                "the disk is full",
            ));
        }
        Ok(())
    }
}

impl Node {
    fn apply(&mut self, change: Change) -> Result<(), String> {
        apply(&mut self.bytes, &change)?;
        self.pending.push(change);
        Ok(())
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change).expect("what fitted the memory once fits it again");
        }
    }

    fn surviving(&self, random: &mut Random) -> Vec<u8> {
        const NOTHING: u64 = 0;
        const EVERYTHING: u64 = 1;
        const A_PREFIX: u64 = 2;
        const ANYTHING: u64 = 3;
        let mode = random.below(ANYTHING + 1);
        let prefix = random.below(self.pending.len() as u64 + 1);
        let mut bytes = self.durable.clone();
        for (index, change) in self.pending.iter().enumerate() {
            let index = index as u64;
            let survives = match mode {
                NOTHING => 0,
                EVERYTHING => 1,
                A_PREFIX if index < prefix => 1,
                A_PREFIX if index == prefix => 2,
                A_PREFIX => 0,
                _ => random.below(4),
            };
            match (survives, change) {
                (0, _) => {}
                (1, _) | (_, Change::Truncate { .. }) => {
                    apply(&mut bytes, change).expect("what fitted the memory once fits it again");
                }
                (
                    2,
                    Change::Write {
                        offset,
                        bytes: written,
                    },
                ) => {
                    // Torn: a stretch of it arrived, or any of its sectors.
                    let length = written.len() as u64;
                    let mut parts = Vec::new();
                    if random.below(2) == 0 {
                        let start = random.below(length + 1);
                        parts.push((start, start + random.below(length + 1 - start)));
                    } else {
                        let mut start = 0;
                        while start < length {
                            let sector_end =
                                (offset + start) / SECTOR_SIZE * SECTOR_SIZE + SECTOR_SIZE;
                            let end = (sector_end - offset).min(length);
                            if random.below(2) == 0 {
                                parts.push((start, end));
                            }
                            start = end;
                        }
                    }
                    for (start, end) in parts {
                        let part = Change::Write {
                            offset: offset + start,
                            bytes: written[start as usize..end as usize].to_vec(),
                        };
                        apply(&mut bytes, &part)
                            .expect("what fitted the memory once fits it again");
                    }
                }
                (
                    _,
                    Change::Write {
                        offset,
                        bytes: written,
                    },
                ) => {
                    // The new size arrived, the bytes did not.
                    let size = (offset + written.len() as u64).max(bytes.len() as u64);
                    apply(&mut bytes, &Change::Truncate { size })
                        .expect("what fitted the memory once fits it again");
                }
            }
        }
        bytes
    }
}

fn apply(target: &mut Vec<u8>, change: &Change) -> Result<(), String> {
    match change {
        Change::Write { offset, bytes } => splice(target, *offset, bytes),
        Change::Truncate { size } => resize(target, *size),
    }
}

impl Io for PowerLossIo {
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId> {
        path::check("open", path)?;
        let mut disk = self.disk();
        disk.check_power("open", path)?;
        let node = match (disk.names.get(path), mode) {
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
            (Some(&node), _) => node,
            (None, _) => {
                if let Fate::Cut(error) = disk.change("open", path)? {
                    return Err(error);
                }
                disk.nodes.push(Node::default());
                let node = disk.nodes.len() - 1;
                disk.names.insert(path.to_owned(), node);
                node
            }
        };
        Ok(self.handles.insert(Arc::new(OpenFile {
            node,
            path: path.to_owned(),
        })))
    }

    fn close(&self, file: FileId) -> IoResult<()> {
        self.handles.remove("close", file).map(drop)
    }

    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let file = self.handles.get("read", file)?;
        let disk = self.disk();
        disk.check_power("read", &file.path)?;
        Ok(copy_at(&disk.nodes[file.node].bytes, offset, buffer))
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        let file = self.handles.get("write", file)?;
        let mut disk = self.disk();
        let size = disk.nodes[file.node].bytes.len() as u64;
        disk.check_capacity(
            "write",
            &file.path,
            size,
            offset.saturating_add(bytes.len() as u64),
        )?;
        let fate = disk.change("write", &file.path)?;
        disk.nodes[file.node]
            .apply(Change::Write {
                offset,
                bytes: bytes.to_vec(),
            })
            .map_err(|message| IoError::new(IoErrorCode::NoSpace, "write", &file.path, message))?;
        fate.into_result()
    }

    fn truncate(&self, file: FileId, size: u64) -> IoResult<()> {
        let file = self.handles.get("truncate", file)?;
        let mut disk = self.disk();
        let old_size = disk.nodes[file.node].bytes.len() as u64;
        disk.check_capacity("truncate", &file.path, old_size, size)?;
        let fate = disk.change("truncate", &file.path)?;
        disk.nodes[file.node]
            .apply(Change::Truncate { size })
            .map_err(|message| {
                IoError::new(IoErrorCode::NoSpace, "truncate", &file.path, message)
            })?;
        fate.into_result()
    }

    fn size(&self, file: FileId) -> IoResult<u64> {
        let file = self.handles.get("size", file)?;
        let disk = self.disk();
        disk.check_power("size", &file.path)?;
        Ok(disk.nodes[file.node].bytes.len() as u64)
    }

    fn sync(&self, file: FileId) -> IoResult<()> {
        let file = self.handles.get("sync", file)?;
        let mut disk = self.disk();
        // A sync that was cut leaves its file's changes to the seed.
        if let Fate::Cut(error) = disk.change("sync", &file.path)? {
            return Err(error);
        }
        disk.nodes[file.node].sync();
        if disk.names.get(&file.path) == Some(&file.node) {
            disk.durable_names.insert(file.path.clone(), file.node);
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        path::check("remove", path)?;
        let mut disk = self.disk();
        if !disk.names.contains_key(path) {
            disk.check_power("remove", path)?;
            return Err(IoError::new(
                IoErrorCode::NotFound,
                "remove",
                path,
                "no such file",
            ));
        }
        let fate = disk.change("remove", path)?;
        disk.names.remove(path);
        if matches!(fate, Fate::Done) && !disk.removals_may_return {
            disk.durable_names.remove(path);
        }
        fate.into_result()
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        let disk = self.disk();
        disk.check_power("look for", path)?;
        Ok(disk.names.contains_key(path))
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        let disk = self.disk();
        disk.check_power("list", directory)?;
        let below = disk
            .names
            .iter()
            .filter(|(path, _)| path::is_below(path, directory));
        Ok(below
            .map(|(path, &node)| (path.clone(), disk.nodes[node].bytes.len() as u64))
            .collect())
    }
}

impl Fate {
    fn into_result(self) -> IoResult<()> {
        match self {
            Fate::Done => Ok(()),
            Fate::Cut(error) => Err(error),
        }
    }
}

fn power_is_off(operation: &'static str, path: &str) -> IoError {
    IoError::new(IoErrorCode::Other, operation, path, "the power is off")
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose what a crash spares.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
