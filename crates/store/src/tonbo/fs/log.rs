//! The object log: small objects that are replaced as a whole, durable one by one, without a rename.
//!
//! Tonbo's manifest replaces its heads by compare-and-swap and adds a small object with each commit. A file each would
//! cost a durable creation (milliseconds in a browser) and, replaced in place, could be torn. Instead all objects of the
//! store stand in one log: a put is a record at its end and one sync.
//!
//! # Format (little-endian)
//! ```text
//! file    0  magic "hdlobj01"    8  generation u64   16  crc32 of bytes 0…15   20  zeros to 32   32  records …
//! record  0  magic "rec1" u32    4  crc32 of bytes 8…32+length                 8  generation u64
//!        16  sequence u64       24  kind u32        28  length u32            32  body, zeros to a multiple of 8
//! body of Put       path, count u32, count × (name, value), payload       each string: length u32, UTF-8
//! body of Remove    path
//! body of Complete  empty
//! ```
//!
//! # Invariants
//! 1. A record's sequence is its number in its file; its generation is the file's. So remains of an older log behind the
//!    end never pass for records.
//! 2. There are two files. One is live; when its dead records outweigh the living, the living are written into the other
//!    with the next generation, then Complete, then a sync: from there on that one is live. At opening the higher
//!    generation that has its Complete is live.
//! 3. A record is written only when its predecessor is durable. So after a loss of power at most one record is torn, the
//!    last, and it was not acknowledged: it is dropped. A whole record behind a bad one means damage, which is an error;
//!    only the part up to Complete, written at once, may have holes where the other file is still the live one.
//! 4. What a failed call may have left – a whole record behind the end, a whole log in the other file – is gone, durably,
//!    before the next record is written and before [`Log::settle`] returns. Otherwise the next opening would take a put that
//!    was refused, or a log that the following records are not in, for what is acknowledged.

use std::collections::HashMap;

use crate::io::{FileId, Io, IoError, IoErrorCode, IoResult, OpenMode, SharedIo};

const FILE_MAGIC: &[u8; 8] = b"hdlobj01";
const FILE_HEADER_SIZE: usize = 32;
const RECORD_MAGIC: &[u8; 4] = b"rec1";
const RECORD_HEADER_SIZE: usize = 32;
const RECORD_ALIGN: usize = 8;

const PUT: u32 = 1;
const REMOVE: u32 = 2;
const COMPLETE: u32 = 3;

/// A log is rewritten when it is larger than this and than [`GARBAGE_RATIO`] times what lives in it.
const REWRITE_SIZE_MIN: u64 = 1 << 20;
const GARBAGE_RATIO: u64 = 4;

/// The names of the two files.
const NAMES: [&str; 2] = ["objects-0.log", "objects-1.log"];

/// What is kept under a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) payload: Vec<u8>,
    pub(super) metadata: HashMap<String, String>,
}

/// The writing end of the log.
#[derive(Debug)]
pub(super) struct Log {
    io: SharedIo,
    files: [FileId; 2],
    live: usize,
    generation: u64,
    sequence: u64,
    end: u64,
    /// A call that failed may have left anything behind `end`.
    has_remains: bool,
    /// A rewrite that failed may have left anything in the file that isn't live.
    other_has_remains: bool,
}

impl Log {
    /// Opens the log in `directory`, or begins one, and returns what it holds.
    ///
    /// # Errors
    /// The files can't be read or written, or are damaged.
    pub(super) fn open(
        io: SharedIo,
        directory: &str,
    ) -> IoResult<(Self, HashMap<String, Content>)> {
        let paths = NAMES.map(|name| format!("{directory}/{name}"));
        let mut files = [FileId(0); 2];
        let mut newest = None;
        let mut remains_in = None;
        for index in 0..2 {
            files[index] = io.open(&paths[index], OpenMode::OrCreate)?;
            match read(&*io, files[index], &paths[index])? {
                Found::Log(found)
                    if newest.as_ref().is_none_or(|(_, other): &(_, Live)| {
                        other.generation < found.generation
                    }) =>
                {
                    newest = Some((index, found));
                }
                Found::Log(_) | Found::Nothing => {}
                Found::Remains { at } => remains_in = Some(damaged(&paths[index], at)),
            }
        }
        if let Some((
            live,
            Live {
                generation,
                sequence,
                end,
                has_remains,
                objects,
            },
        )) = newest
        {
            return Ok((
                Self {
                    io,
                    files,
                    live,
                    generation,
                    sequence,
                    end,
                    has_remains,
                    other_has_remains: false,
                },
                objects,
            ));
        }
        if let Some(error) = remains_in {
            return Err(error);
        }
        let mut log = Self {
            io,
            files,
            live: 1,
            generation: 0,
            sequence: 0,
            end: 0,
            has_remains: false,
            other_has_remains: false,
        };
        log.rewrite(&[])?;
        Ok((log, HashMap::new()))
    }

    /// Makes a put durable. On an error nothing has changed, except that the put may still turn up after a loss of power.
    pub(super) fn put(&mut self, path: &str, content: &Content) -> IoResult<()> {
        self.append(PUT, &put_body(path, content))
    }

    /// Makes a removal durable.
    pub(super) fn remove(&mut self, path: &str) -> IoResult<()> {
        let mut body = Vec::new();
        push_text(&mut body, path);
        self.append(REMOVE, &body)
    }

    /// Whether most of the log is dead, `live_size` being the bytes of all objects' paths and payloads.
    pub(super) fn wants_rewrite(&self, live_size: u64) -> bool {
        self.end > REWRITE_SIZE_MIN && self.end > live_size.saturating_mul(GARBAGE_RATIO)
    }

    /// Writes what lives into the other file and goes on there. On an error the log is as before.
    pub(super) fn rewrite(&mut self, objects: &[(&str, &Content)]) -> IoResult<()> {
        let generation = self.generation + 1;
        let target = self.files[1 - self.live];
        let mut bytes = file_header(generation);
        let mut sequence = 0;
        for (path, content) in objects {
            push_record(
                &mut bytes,
                generation,
                sequence,
                PUT,
                &put_body(path, content),
            );
            sequence += 1;
        }
        push_record(&mut bytes, generation, sequence, COMPLETE, &[]);
        self.other_has_remains = true;
        self.io.truncate(target, 0)?;
        self.io.write_at(target, 0, &bytes)?;
        self.io.sync(target)?;
        self.other_has_remains = false;
        let old = self.files[self.live];
        self.live = 1 - self.live;
        self.generation = generation;
        self.sequence = sequence + 1;
        self.end = bytes.len() as u64;
        self.has_remains = false;
        // Only to give space back: whatever stands in the old file is outdated, and it is emptied again before its next use.
        drop(self.io.truncate(old, 0));
        Ok(())
    }

    /// Makes sure that the next opening finds nothing but what was acknowledged. Whoever removes what only a refused put
    /// names calls this first.
    pub(super) fn settle(&mut self) -> IoResult<()> {
        if self.has_remains {
            self.io.truncate(self.files[self.live], self.end)?;
            self.io.sync(self.files[self.live])?;
            self.has_remains = false;
        }
        if self.other_has_remains {
            let other = self.files[1 - self.live];
            self.io.truncate(other, 0)?;
            self.io.sync(other)?;
            self.other_has_remains = false;
        }
        Ok(())
    }

    fn append(&mut self, kind: u32, body: &[u8]) -> IoResult<()> {
        let file = self.files[self.live];
        self.settle()?;
        let mut bytes = Vec::new();
        push_record(&mut bytes, self.generation, self.sequence, kind, body);
        let written = self
            .io
            .write_at(file, self.end, &bytes)
            .and_then(|()| self.io.sync(file));
        if let Err(error) = written {
            self.has_remains = true;
            return Err(error);
        }
        self.sequence += 1;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        for file in self.files {
            // Everything acknowledged was synced; a handle that can't be closed is the host's to free.
            drop(self.io.close(file));
        }
    }
}

fn put_body(path: &str, content: &Content) -> Vec<u8> {
    let mut body = Vec::with_capacity(path.len() + content.payload.len() + 64);
    push_text(&mut body, path);
    push_u32(&mut body, content.metadata.len());
    for (name, value) in &content.metadata {
        push_text(&mut body, name);
        push_text(&mut body, value);
    }
    body.extend_from_slice(&content.payload);
    body
}

fn push_u32(bytes: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("objects are far smaller than 4 GiB");
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_u32(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn file_header(generation: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_HEADER_SIZE);
    bytes.extend_from_slice(FILE_MAGIC);
    bytes.extend_from_slice(&generation.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.resize(FILE_HEADER_SIZE, 0);
    bytes
}

fn push_record(bytes: &mut Vec<u8>, generation: u64, sequence: u64, kind: u32, body: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(RECORD_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    push_u32(bytes, body.len());
    bytes.extend_from_slice(body);
    let crc = crc32fast::hash(&bytes[start + 8..]);
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGN), 0);
}

/// What one of the two files holds.
enum Found {
    /// Nothing that was acknowledged: never begun, or torn when it was begun.
    Nothing,
    /// Records, but none up to Complete without a gap: a rewrite that did not get there – or, where the other file isn't
    /// live, damage at this byte.
    Remains {
        at: usize,
    },
    Log(Live),
}

struct Live {
    generation: u64,
    sequence: u64,
    end: u64,
    has_remains: bool,
    objects: HashMap<String, Content>,
}

/// A cursor over bytes that may end anywhere.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)
            .and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)
            .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
    }

    fn text(&mut self) -> Option<String> {
        let size = self.u32()? as usize;
        String::from_utf8(self.take(size)?.to_vec()).ok()
    }
}

struct Record<'a> {
    generation: u64,
    sequence: u64,
    kind: u32,
    body: &'a [u8],
    size: usize,
}

/// The whole, undamaged record that `bytes` begin with.
fn parse_record(bytes: &[u8]) -> Option<Record<'_>> {
    let mut cursor = Bytes(bytes);
    if cursor.take(4)? != RECORD_MAGIC {
        return None;
    }
    let crc = cursor.u32()?;
    let (generation, sequence, kind) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
    let length = cursor.u32()? as usize;
    let body = cursor.take(length)?;
    if crc32fast::hash(&bytes[8..RECORD_HEADER_SIZE + length]) != crc {
        return None;
    }
    let size = (RECORD_HEADER_SIZE + length).next_multiple_of(RECORD_ALIGN);
    Some(Record {
        generation,
        sequence,
        kind,
        body,
        size,
    })
}

fn parse_put(body: &[u8]) -> Option<(String, Content)> {
    let mut cursor = Bytes(body);
    let path = cursor.text()?;
    let count = cursor.u32()?;
    let metadata = (0..count)
        .map(|_| Some((cursor.text()?, cursor.text()?)))
        .collect::<Option<_>>()?;
    Some((
        path,
        Content {
            payload: cursor.0.to_vec(),
            metadata,
        },
    ))
}

fn read(io: &dyn Io, file: FileId, path: &str) -> IoResult<Found> {
    let size = usize::try_from(io.size(file)?).map_err(|_| damaged(path, 0))?;
    let mut bytes = vec![0; size];
    let count = io.read_at(file, 0, &mut bytes)?;
    bytes.truncate(count);
    let header = bytes.get(..FILE_HEADER_SIZE);
    let generation = header
        .and_then(|header| Bytes(&header[8..]).u64())
        .unwrap_or(0);
    if header != Some(&file_header(generation)[..]) {
        return Ok(remains(&bytes, 0));
    }
    let mut objects = HashMap::new();
    let (mut end, mut sequence, mut is_complete) = (FILE_HEADER_SIZE, 0, false);
    while let Some(record) = bytes.get(end..).and_then(parse_record) {
        if (record.generation, record.sequence) != (generation, sequence) {
            break;
        }
        let applied = match record.kind {
            PUT => {
                parse_put(record.body).map(|(path, content)| drop(objects.insert(path, content)))
            }
            REMOVE => Bytes(record.body)
                .text()
                .map(|path| drop(objects.remove(&path))),
            COMPLETE => {
                is_complete = true;
                Some(())
            }
            _ => None,
        };
        applied.ok_or_else(|| damaged(path, end))?;
        end += record.size;
        sequence += 1;
    }
    if !is_complete {
        return Ok(remains(&bytes, end));
    }
    if whole_records(&bytes, end)
        .any(|record| record.generation == generation && record.sequence > sequence)
    {
        return Err(damaged(path, end));
    }
    Ok(Found::Log(Live {
        generation,
        sequence,
        end: end as u64,
        has_remains: end < bytes.len(),
        objects,
    }))
}

/// What a file amounts to whose records don't get to Complete. The first log of a store is no more than a header and
/// Complete, so where that was torn there is nothing else.
fn remains(bytes: &[u8], at: usize) -> Found {
    if at > FILE_HEADER_SIZE
        || whole_records(bytes, at).any(|record| record.kind != COMPLETE || record.sequence > 0)
    {
        Found::Remains { at }
    } else {
        Found::Nothing
    }
}

/// Every whole record that stands anywhere behind `start`.
fn whole_records(bytes: &[u8], start: usize) -> impl Iterator<Item = Record<'_>> {
    (start..bytes.len())
        .step_by(RECORD_ALIGN)
        .filter_map(|at| parse_record(&bytes[at..]))
}

fn damaged(path: &str, at: usize) -> IoError {
    IoError::new(
        IoErrorCode::Damaged,
        "read",
        path,
        format!("the object log is damaged at byte {at}"),
    )
}
