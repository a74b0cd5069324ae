//! The parts of a database's files that have a checksum each, and the files again once a part is another, with its checksum right.
//!
//! The formats are told in `tonbo/fs/log.rs`, `tonbo/fs/sums.rs`, `sqlite/page_sums.rs` and Tonbo's `wal/frame.rs`.

use std::collections::BTreeMap;

pub type Files = BTreeMap<String, Vec<u8>>;

/// What a checksum is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frame of a log of Tonbo's: its type, its number and its content.
    Frame,
    /// A file of rows or deletes, or a checkpoint.
    Rows,
    /// A record of the object log: its kind and its body.
    Object,
    /// A page of a database file.
    Page,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Part {
    pub path: String,
    pub index: usize,
    pub bytes: Vec<u8>,
}

const FRAME_HEADER: usize = 24;
const LOG_HEADER: usize = 32;
const RECORD_HEADER: usize = 32;
const RECORD_ALIGN: usize = 8;
const PAGE: usize = 4096;
const RESERVED: usize = 8;
const PUT: u32 = 1;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Kind {
    /// The parts of one file.
    fn split(self, bytes: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Kind::Frame => {
                let (mut parts, mut rest) = (Vec::new(), bytes);
                while !rest.is_empty() {
                    let (header, behind) = rest.split_at(FRAME_HEADER);
                    let (payload, behind) = behind.split_at(u32_at(header, 16) as usize);
                    parts.push([&header[6..16], payload].concat());
                    rest = behind;
                }
                parts
            }
            Kind::Rows => vec![bytes.to_vec()],
            Kind::Object => {
                let (mut parts, mut at) = (Vec::new(), LOG_HEADER);
                while at < bytes.len() {
                    let length = u32_at(bytes, at + 28) as usize;
                    let body = &bytes[at + RECORD_HEADER..][..length];
                    parts.push([&bytes[at + 24..at + 28], body].concat());
                    at += (RECORD_HEADER + length).next_multiple_of(RECORD_ALIGN);
                }
                parts
            }
            Kind::Page => {
                let pages = bytes.chunks(PAGE);
                pages.map(|page| page[..PAGE - RESERVED].to_vec()).collect()
            }
        }
    }

    /// The file of these parts; `like` is what it was.
    fn join(self, parts: &[Vec<u8>], like: &[u8]) -> Vec<u8> {
        match self {
            Kind::Frame => parts.iter().flat_map(|part| frame(part)).collect(),
            Kind::Rows => parts.concat(),
            // The log that isn't live is empty.
            Kind::Object if like.is_empty() => Vec::new(),
            Kind::Object => {
                let mut bytes = like[..LOG_HEADER].to_vec();
                for (sequence, part) in parts.iter().enumerate() {
                    let (kind, body) = part.split_at(part.len().min(4));
                    // The file's generation is each record's.
                    let mut summed = [&like[8..16], &(sequence as u64).to_le_bytes()].concat();
                    summed.extend([kind, &[0; 4][kind.len()..]].concat());
                    summed.extend((body.len() as u32).to_le_bytes());
                    summed.extend(body);
                    bytes.extend(b"rec1");
                    bytes.extend(crc32fast::hash(&summed).to_le_bytes());
                    bytes.extend(summed);
                    bytes.resize(bytes.len().next_multiple_of(RECORD_ALIGN), 0);
                }
                bytes
            }
            Kind::Page => {
                let numbered = (1u32..).zip(parts);
                numbered
                    .flat_map(|(number, part)| page(number, part))
                    .collect()
            }
        }
    }

    fn is_of(self, path: &str) -> bool {
        match self {
            Kind::Frame => path.ends_with(".tonwal"),
            Kind::Rows => path.ends_with(".parquet"),
            Kind::Object => path.contains("/objects-"),
            Kind::Page => path.ends_with(".db"),
        }
    }

    /// All parts of its kind.
    pub fn parts(self, files: &Files) -> Vec<Part> {
        let own = files.iter().filter(|(path, _)| self.is_of(path));
        own.flat_map(|(path, bytes)| {
            let parts = self.split(bytes);
            assert!(
                self.join(&parts, bytes) == *bytes,
                "{path} is not its parts"
            );
            parts.into_iter().enumerate().map(|(index, bytes)| Part {
                path: path.clone(),
                index,
                bytes,
            })
        })
        .collect()
    }

    /// The files with that part as it is now.
    pub fn put(self, files: &Files, part: &Part) -> Files {
        let mut files = files.clone();
        let like = &files[&part.path];
        let mut parts = self.split(like);
        parts[part.index].clone_from(&part.bytes);
        let joined = self.join(&parts, like);
        files.insert(part.path.clone(), joined);
        if self == Kind::Rows {
            forget_sums(&mut files, &part.path);
        }
        files
    }
}

/// A frame of a type, a number and a payload.
fn frame(part: &[u8]) -> Vec<u8> {
    let (start, payload) = part.split_at(part.len().min(10));
    let mut bytes = [&0x544F_4E51u32.to_le_bytes()[..], &1u16.to_le_bytes()].concat();
    bytes.extend(start);
    bytes.resize(16, 0);
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(crc32c(payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// A page with its sum.
fn page(number: u32, content: &[u8]) -> Vec<u8> {
    let mut page = content.to_vec();
    page.resize(PAGE - RESERVED, 0);
    let sum = crc32fast::hash(&[&page[..], &number.to_le_bytes()].concat());
    page.extend(sum.to_le_bytes());
    page.extend(b"hdl1");
    page
}

/// A file without sums is read unchecked, as files of earlier versions are.
fn forget_sums(files: &mut Files, path: &str) {
    let within = path.split_once('/').map_or(path, |(_, within)| within);
    let object = format!("checksums/{within}");
    let logs: Vec<String> = files
        .keys()
        .filter(|path| Kind::Object.is_of(path))
        .cloned()
        .collect();
    let mut found = false;
    for log in logs {
        let mut parts = Kind::Object.split(&files[&log]);
        parts.retain(|part| {
            let is_it = u32_at(part, 0) == PUT && part[8..].starts_with(object.as_bytes());
            found |= is_it;
            !is_it
        });
        let joined = Kind::Object.join(&parts, &files[&log]);
        files.insert(log, joined);
    }
    assert!(found, "{object} is not there");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED: u32 = 0x82F6_3B78;
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            0 => sum >> 1,
            _ => (sum >> 1) ^ REVERSED,
        })
    })
}
