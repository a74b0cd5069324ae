//! Damage in a WAL that SQLite's recovery would pass over without a word.
//!
//! Recovery ends at the first frame whose checksum is wrong, because that is how a write looks that power loss has torn. But whoever syncs
//! a WAL at each commit writes nothing behind a commit before that commit is durable. So where a commit's frame and the one behind it fit
//! together *beyond* the first wrong frame, that frame was whole once, and so were the commits that recovery would leave out.
//! What remains unseen is damage in the last transaction: it can't be told from a torn one.
//!
//! A frame's checksum goes on from the one before it, as it stands in that one's header: so frames beyond a wrong one can be checked.
//! Frames of before the WAL's last restart have other salts, and frames that were rolled back follow no commit.
//!
//! A header that can't be read may have been torn, too, when the WAL began anew. Before that, SQLite had copied all of its pages into the
//! database file: where they are there, nothing is lost, whatever the header looks like. Several restarts that failed leave one that could be
//! anything.
//!
//! Source: "The WAL File Format" in SQLite's *Database File Format* (sqlite.org/fileformat2.html#walformat).

use std::collections::BTreeMap;

use super::page_sums::{RESERVED, RESERVED_AT};
use crate::io::{FileId, Io, IoResult, OpenMode};

const HEADER_SIZE: usize = 32;
const FRAME_HEADER_SIZE: usize = 24;
/// Big-endian; the last bit says whether checksums read words as big-endian.
const MAGIC: u32 = 0x377f_0682;
/// Where the header has the count of restarts, and its salts.
const RESTARTS_AT: usize = 12;
const SALTS_AT: usize = 16;
const HEADER_SUM_AT: usize = 24;
const PAGE_SIZES: [usize; 8] = [4096, 512, 1024, 2048, 8192, 16384, 32768, 65536];
/// Bytes that are read at once, at least.
const READ_SIZE: usize = 1 << 20;

type Sum = [u32; 2];
type Salts = [u8; 8];

/// Finds where acknowledged commits are damaged in the WAL at `path`, whose commits were each synced: the offset of the first frame that
/// can't be read, 0 where it is the header.
///
/// # Errors
/// The file can't be read.
pub fn find_wal_damage(io: &dyn Io, path: &str) -> IoResult<Option<u64>> {
    if !io.exists(path)? {
        return Ok(None);
    }
    let file = io.open(path, OpenMode::Existing)?;
    let found = Wal {
        io,
        file,
        size: io.size(file)?,
        database: path.strip_suffix("-wal").unwrap_or_default(),
    }
    .find_damage();
    io.close(file)?;
    found
}

struct Wal<'a> {
    io: &'a dyn Io,
    file: FileId,
    size: u64,
    /// The path of the file that its pages are copied to.
    database: &'a str,
}

/// How the frames of a WAL are read.
#[derive(Clone, Copy)]
struct Format {
    page_size: usize,
    is_big_endian: bool,
    salts: Salts,
}

/// What a frame's header says, and the sum that its bytes have on top of its predecessor's.
struct Frame {
    is_commit: bool,
    has_salts: bool,
    kept: Sum,
    actual: Sum,
}

impl Wal<'_> {
    fn find_damage(&self) -> IoResult<Option<u64>> {
        let mut header = [0; HEADER_SIZE];
        if self.io.read_at(self.file, 0, &mut header)? < HEADER_SIZE {
            return Ok(None);
        }
        match parse_header(&header) {
            Some((format, sum)) => {
                let mut first_wrong = None;
                let has_more = self.walk(&format, sum, &mut first_wrong)?;
                Ok(first_wrong.filter(|_| has_more))
            }
            None => Ok(self.is_header_damaged(&header)?.then_some(0)),
        }
    }

    /// Whether the first frame goes on from `start`.
    fn begins_with(&self, format: &Format, start: Sum) -> IoResult<bool> {
        let mut bytes = vec![0; FRAME_HEADER_SIZE + format.page_size];
        let count = self.io.read_at(self.file, HEADER_SIZE as u64, &mut bytes)?;
        let frame = parse_frame(format, &bytes, start);
        Ok(count == bytes.len() && frame.kept == frame.actual)
    }

    /// Notes the offset of the first frame that is wrong; returns whether a commit and the frame behind it fit together from there on.
    fn walk(&self, format: &Format, start: Sum, first_wrong: &mut Option<u64>) -> IoResult<bool> {
        let frame_size = FRAME_HEADER_SIZE + format.page_size;
        let mut frames = vec![0; frame_size * (READ_SIZE / frame_size + 1)];
        let mut previous = start;
        let mut follows_commit = false;
        let mut at = HEADER_SIZE as u64;
        loop {
            let rest = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
            let wanted = frames.len().min(rest - rest % frame_size);
            let count = self.io.read_at(self.file, at, &mut frames[..wanted])?;
            if count < frame_size {
                return Ok(false);
            }
            for bytes in frames[..count].chunks_exact(frame_size) {
                let frame = parse_frame(format, bytes, previous);
                let is_right = frame.has_salts && frame.kept == frame.actual;
                if is_right && follows_commit && first_wrong.is_some() {
                    return Ok(true);
                }
                if !is_right && first_wrong.is_none() {
                    *first_wrong = Some(at);
                }
                // Of a wrong frame the header may be right: its flag and its sum tell what it was.
                follows_commit = frame.has_salts && frame.is_commit;
                previous = frame.kept;
                at += frame_size as u64;
            }
        }
    }

    /// Whether a header that is no header was one, whose frames are there and not in the database file: neither a file that was just begun nor
    /// one whose restart was torn.
    fn is_header_damaged(&self, header: &[u8; HEADER_SIZE]) -> IoResult<bool> {
        let mut salts = Salts::default();
        if self
            .io
            .read_at(self.file, (HEADER_SIZE + 8) as u64, &mut salts)?
            < salts.len()
        {
            return Ok(false);
        }
        for is_big_endian in [false, true] {
            for page_size in PAGE_SIZES {
                let format = Format {
                    page_size,
                    is_big_endian,
                    salts,
                };
                let mut fixed = header_fields(&format);
                fixed[RESTARTS_AT..SALTS_AT].copy_from_slice(&header[RESTARTS_AT..SALTS_AT]);
                let kept = [word(header, HEADER_SUM_AT), word(header, HEADER_SUM_AT + 4)];
                for start in [kept, checksum(is_big_endian, [0, 0], &fixed)] {
                    if self.begins_with(&format, start)?
                        && self.walk(&format, start, &mut Some(0))?
                    {
                        let has_damage = self.walk(&format, start, &mut None)?;
                        return Ok(has_damage || !self.is_copied(&format, start)?);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether the database file has every page as the last commit before the first wrong frame left it.
    fn is_copied(&self, format: &Format, start: Sum) -> IoResult<bool> {
        let mut bytes = vec![0; FRAME_HEADER_SIZE + format.page_size];
        let (mut pages, mut written) = (BTreeMap::new(), Vec::new());
        let (mut page_count, mut previous, mut at) = (0, start, HEADER_SIZE as u64);
        while self.io.read_at(self.file, at, &mut bytes)? == bytes.len() {
            let frame = parse_frame(format, &bytes, previous);
            if !frame.has_salts || frame.kept != frame.actual {
                break;
            }
            written.push((word(&bytes, 0), at + FRAME_HEADER_SIZE as u64));
            if frame.is_commit {
                page_count = word(&bytes, 4);
                pages.extend(written.drain(..));
            }
            previous = frame.kept;
            at += bytes.len() as u64;
        }
        if !self.io.exists(self.database)? {
            return Ok(false);
        }
        let database = self.io.open(self.database, OpenMode::Existing)?;
        // Beyond its last page the file is cut.
        let pages = pages.range(..=page_count);
        let outcome = self.has_pages(database, format.page_size, pages);
        self.io.close(database)?;
        outcome
    }

    /// Whether `database` has these pages, which stand in the WAL at these places.
    fn has_pages<'p>(
        &self,
        database: FileId,
        page_size: usize,
        pages: impl Iterator<Item = (&'p u32, &'p u64)>,
    ) -> IoResult<bool> {
        let (mut own, mut copied) = (vec![0; page_size], vec![0; page_size]);
        self.io.read_at(database, 0, &mut copied)?;
        // They are filled on the way to the file: see `page_sums`.
        let reserved = usize::from(copied[RESERVED_AT]);
        if ![0, RESERVED].contains(&reserved) {
            return Ok(false);
        }
        let compared = page_size - reserved;
        for (number, at) in pages {
            let place = u64::from(number.saturating_sub(1)) * page_size as u64;
            let count = self.io.read_at(self.file, *at, &mut own)?;
            if count < page_size
                || self.io.read_at(database, place, &mut copied)? < page_size
                || own[..compared] != copied[..compared]
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parse_header(header: &[u8; HEADER_SIZE]) -> Option<(Format, Sum)> {
    let magic = word(header, 0);
    let format = Format {
        page_size: word(header, 8) as usize,
        is_big_endian: magic & 1 == 1,
        salts: header[SALTS_AT..HEADER_SUM_AT].try_into().ok()?,
    };
    let kept = [word(header, HEADER_SUM_AT), word(header, HEADER_SUM_AT + 4)];
    let is_right = magic & !1 == MAGIC
        && PAGE_SIZES.contains(&format.page_size)
        && checksum(format.is_big_endian, [0, 0], &header[..HEADER_SUM_AT]) == kept;
    is_right.then_some((format, kept))
}

/// A header's bytes before its sum, without the count of restarts.
fn header_fields(format: &Format) -> [u8; HEADER_SUM_AT] {
    let mut fields = [0; HEADER_SUM_AT];
    let version: u32 = 3_007_000;
    fields[..4].copy_from_slice(&(MAGIC | u32::from(format.is_big_endian)).to_be_bytes());
    fields[4..8].copy_from_slice(&version.to_be_bytes());
    fields[8..12].copy_from_slice(&(format.page_size as u32).to_be_bytes());
    fields[SALTS_AT..].copy_from_slice(&format.salts);
    fields
}

fn parse_frame(format: &Format, bytes: &[u8], previous: Sum) -> Frame {
    let (header, page) = bytes.split_at(FRAME_HEADER_SIZE);
    let started = checksum(format.is_big_endian, previous, &header[..8]);
    Frame {
        is_commit: word(header, 4) != 0,
        has_salts: header[8..16] == format.salts,
        kept: [word(header, 16), word(header, 20)],
        actual: checksum(format.is_big_endian, started, page),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// SQLite's sum of an even number of words, on top of `start`.
fn checksum(is_big_endian: bool, start: Sum, bytes: &[u8]) -> Sum {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(start, |[first, second], pair| {
        let [low, high] = [
            [pair[0], pair[1], pair[2], pair[3]],
            [pair[4], pair[5], pair[6], pair[7]],
        ]
        .map(|bytes| match is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        });
        let first = first.wrapping_add(low).wrapping_add(second);
        [first, second.wrapping_add(high).wrapping_add(first)]
    })
}
