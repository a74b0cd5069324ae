//! A checksum in every page of a database file: SQLite itself looks at none, so a flipped byte would be a wrong row.
//!
//! SQLite leaves the last [`RESERVED`] bytes of each page to us (the "reserved bytes" of its file format, set when a database is made) and
//! carries them along. They are filled when a page goes to the file, and checked when one comes from it. Databases that were made without
//! them are read as before. Pages in a WAL have SQLite's own checksums.
//!
//! ```text
//! page − 8  crc32 of the page's other bytes and its number (from 1, u32)   page − 4  "hdl1"        little-endian
//! ```
//!
//! Source: SQLite's own `ext/misc/cksumvfs.c`, which does the same with another sum.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of each page that SQLite leaves to us.
pub(super) const RESERVED: usize = 8;

const MARK: [u8; 4] = *b"hdl1";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where SQLite's header has the size of a page (big-endian, 1 for 65,536) and the count of reserved bytes.
const PAGE_SIZE_AT: usize = 16;
pub(super) const RESERVED_AT: usize = 20;

/// What one database file has.
#[derive(Debug, Default)]
pub(super) struct PageSums {
    /// 0 where pages have no sums. Relaxed: whoever reads or writes pages has SQLite's locks, which order this word as well.
    page_size: AtomicU32,
}

impl PageSums {
    /// Looks at the beginning of the file, which was just read or is about to be written.
    pub(super) fn see_header(&self, header: &[u8]) {
        if header.len() > RESERVED_AT && header.starts_with(MAGIC) {
            let size = match [header[PAGE_SIZE_AT], header[PAGE_SIZE_AT + 1]] {
                [0, 1] => 1 << 16,
                bytes => u32::from(u16::from_be_bytes(bytes)),
            };
            let has_sums = usize::from(header[RESERVED_AT]) == RESERVED;
            let size = if has_sums { size } else { 0 };
            self.page_size.store(size, Ordering::Relaxed);
        }
    }

    /// Whether pages have sums.
    pub(super) fn are_kept(&self) -> bool {
        self.page_size.load(Ordering::Relaxed) != 0
    }

    /// The page's number, where these are the bytes of one that has a sum.
    fn page(&self, offset: u64, length: usize) -> Option<u32> {
        let size = self.page_size.load(Ordering::Relaxed);
        let is_page =
            size != 0 && length == size as usize && offset.is_multiple_of(u64::from(size));
        is_page.then(|| (offset / u64::from(size)) as u32 + 1)
    }

    /// The page with its sum, where the bytes are one.
    pub(super) fn fill(&self, offset: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let number = self.page(offset, bytes.len())?;
        let (content, _) = bytes.split_at(bytes.len() - RESERVED);
        let mut page = Vec::with_capacity(bytes.len());
        page.extend_from_slice(content);
        page.extend_from_slice(&sum(content, number).to_le_bytes());
        page.extend_from_slice(&MARK);
        Some(page)
    }

    /// The number of the page whose sum is wrong.
    pub(super) fn find_damage(&self, offset: u64, bytes: &[u8]) -> Option<u32> {
        let number = self.page(offset, bytes.len())?;
        let (content, kept) = bytes.split_at(bytes.len() - RESERVED);
        let is_right = kept[..4] == sum(content, number).to_le_bytes() && kept[4..] == MARK;
        // A page that was never written: SQLite reads none of those, or finds that it is no page of a table.
        let is_hole = || bytes.iter().all(|byte| *byte == 0);
        (!is_right && !is_hole()).then_some(number)
    }
}

fn sum(content: &[u8], number: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(content);
    hasher.update(&number.to_le_bytes());
    hasher.finalize()
}
