//! Files of the host, by requests to the I/O thread.
//!
//! The I/O thread is a TypeScript worker that sees only this memory. A thread that wants something of a file puts an
//! [`IoRequest`], which lies on its own stack, into the [`IoQueue`], rings the bell and sleeps until the request is
//! answered. Reads and writes go straight between the host's file and the buffer in this memory.
//!
//! How requests and answers meet, also when the I/O thread closes or the engine is cut off: [`queue`](super::queue).
//!
//! # Direct access
//! In Node a file's number is a descriptor of the whole process. There the asking thread reads and writes by itself: 2 µs
//! for 4 KiB, where the way over the I/O thread takes 8 µs on an idle machine and 50–100 µs on a busy one. It also syncs by
//! itself once the I/O thread has made the file's name durable, so that one thread's sync doesn't hold up another's. See
//! [`direct`](super::direct).

use std::collections::HashSet;
use std::mem::offset_of;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use super::queue::{Ask, IoQueue, IoRequest, Refused};
use super::{FileId, Io, IoError, IoErrorCode, IoResult, OpenMode, direct, path};
use crate::{activity, layout};

/// Bytes kept of the host's words about a failure.
const MESSAGE_SIZE: usize = 256;

/// Room for a first attempt to list a directory, in bytes.
const LIST_SIZE: usize = 16 << 10;

const _: () = {
    use layout::io_queue as of;
    assert!(size_of::<IoQueue>() == of::SIZE && align_of::<IoQueue>() == of::ALIGN);
    assert!(offset_of!(IoQueue, version) == of::VERSION && offset_of!(IoQueue, state) == of::STATE);
    assert!(
        offset_of!(IoQueue, bell) == of::BELL && offset_of!(IoQueue, is_waiting) == of::IS_WAITING
    );
    assert!(offset_of!(IoQueue, shares_descriptors) == of::SHARES_DESCRIPTORS);
    assert!(offset_of!(IoQueue, head) == of::HEAD);
    assert!(offset_of!(IoQueue, descriptor_users) == of::DESCRIPTOR_USERS);
};

static QUEUE: IoQueue = IoQueue::new();

/// The address of the queue, for the I/O thread.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_store_io_queue() -> *const IoQueue {
    &raw const QUEUE
}

const _: () = {
    use layout::io_request as of;
    assert!(size_of::<IoRequest>() == of::SIZE && align_of::<IoRequest>() == of::ALIGN);
    assert!(
        offset_of!(IoRequest, state) == of::STATE
            && offset_of!(IoRequest, operation) == of::OPERATION
    );
    assert!(
        offset_of!(IoRequest, file) == of::FILE && offset_of!(IoRequest, argument) == of::ARGUMENT
    );
    assert!(
        offset_of!(IoRequest, address) == of::ADDRESS
            && offset_of!(IoRequest, length) == of::LENGTH
    );
    assert!(
        offset_of!(IoRequest, offset) == of::OFFSET && offset_of!(IoRequest, result) == of::RESULT
    );
    assert!(offset_of!(IoRequest, error_code) == of::ERROR_CODE);
    assert!(offset_of!(IoRequest, message_address) == of::MESSAGE_ADDRESS);
    assert!(
        offset_of!(IoRequest, message_length) == of::MESSAGE_LENGTH
            && offset_of!(IoRequest, next) == of::NEXT
    );
    assert!(IoErrorCode::NotFound as u32 == layout::IO_ERROR_NOT_FOUND);
    assert!(IoErrorCode::AlreadyExists as u32 == layout::IO_ERROR_ALREADY_EXISTS);
    assert!(IoErrorCode::PermissionDenied as u32 == layout::IO_ERROR_PERMISSION_DENIED);
    assert!(IoErrorCode::NoSpace as u32 == layout::IO_ERROR_NO_SPACE);
    assert!(IoErrorCode::Locked as u32 == layout::IO_ERROR_LOCKED);
    assert!(IoErrorCode::Closed as u32 == layout::IO_ERROR_CLOSED);
    assert!(IoErrorCode::Other as u32 == layout::IO_ERROR_OTHER);
};

impl Ask {
    fn file(file: FileId) -> Self {
        Ask {
            file: file.0,
            ..Ask::default()
        }
    }

    /// The I/O thread reads the bytes.
    fn bytes(self, bytes: &[u8]) -> Self {
        Ask {
            address: bytes.as_ptr().expose_provenance() as u32,
            length: bytes.len() as u32,
            ..self
        }
    }

    /// The I/O thread writes the bytes: their address is exposed for writing.
    fn buffer(self, buffer: &mut [u8]) -> Self {
        Ask {
            address: buffer.as_mut_ptr().expose_provenance() as u32,
            length: buffer.len() as u32,
            ..self
        }
    }

    fn offset(self, offset: u64) -> Self {
        Ask {
            // Exact up to 2^53; larger sizes no host has.
            offset: offset as f64,
            ..self
        }
    }
}

/// The files of the directory that the I/O thread of this memory has opened.
#[derive(Debug)]
pub struct HostIo {
    queue: &'static IoQueue,
    /// Open descriptors whose names are durable.
    named: RwLock<HashSet<FileId>>,
}

impl HostIo {
    /// The host's files. Requests wait for the I/O thread if it has not started yet.
    pub fn new() -> Self {
        Self {
            queue: &QUEUE,
            named: RwLock::new(HashSet::new()),
        }
    }

    fn named(&self) -> RwLockWriteGuard<'_, HashSet<FileId>> {
        // One change of the set at a time.
        self.named.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks and waits for the answer.
    fn call(&self, verb: &'static str, path: &str, operation: u32, ask: Ask) -> IoResult<f64> {
        let mut message = [0u8; MESSAGE_SIZE];
        let request = IoRequest::new(
            operation,
            ask,
            message.as_mut_ptr().expose_provenance() as u32,
            MESSAGE_SIZE as u32,
        );
        let (code, length) = match activity::while_waiting(|| self.queue.call(&request)) {
            Ok(result) => return Ok(result),
            Err(Refused {
                code,
                message_length,
            }) => (code, (message_length as usize).min(MESSAGE_SIZE)),
        };
        Err(IoError::new(
            error_code(code),
            verb,
            path,
            String::from_utf8_lossy(&message[..length]),
        ))
    }

    fn call_path(
        &self,
        verb: &'static str,
        path: &str,
        operation: u32,
        argument: u32,
    ) -> IoResult<f64> {
        path::check(verb, path)?;
        let ask = Ask {
            argument,
            ..Ask::default()
        };
        self.call(verb, path, operation, ask.bytes(path.as_bytes()))
    }
}

impl Default for HostIo {
    fn default() -> Self {
        Self::new()
    }
}

fn error_code(code: u32) -> IoErrorCode {
    match code {
        layout::IO_ERROR_NOT_FOUND => IoErrorCode::NotFound,
        layout::IO_ERROR_ALREADY_EXISTS => IoErrorCode::AlreadyExists,
        layout::IO_ERROR_PERMISSION_DENIED => IoErrorCode::PermissionDenied,
        layout::IO_ERROR_NO_SPACE => IoErrorCode::NoSpace,
        layout::IO_ERROR_LOCKED => IoErrorCode::Locked,
        layout::IO_ERROR_CLOSED => IoErrorCode::Closed,
        _ => IoErrorCode::Other,
    }
}

impl Io for HostIo {
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId> {
        let file = self.call_path("open", path, layout::IO_OPEN, mode as u32)?;
        Ok(FileId(file as u32))
    }

    fn close(&self, file: FileId) -> IoResult<()> {
        // Before the host can give the number to another file.
        self.named().remove(&file);
        self.call("close", "", layout::IO_CLOSE, Ask::file(file))
            .map(drop)
    }

    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        if let Some(_leave) = self.queue.use_descriptors() {
            return activity::while_waiting(|| direct::read(file, offset, buffer));
        }
        let ask = Ask::file(file).buffer(buffer).offset(offset);
        self.call("read", "", layout::IO_READ, ask)
            .map(|count| count as usize)
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        if let Some(_leave) = self.queue.use_descriptors() {
            return activity::while_waiting(|| direct::write(file, offset, bytes));
        }
        self.call(
            "write",
            "",
            layout::IO_WRITE,
            Ask::file(file).bytes(bytes).offset(offset),
        )
        .map(drop)
    }

    fn truncate(&self, file: FileId, size: u64) -> IoResult<()> {
        self.call(
            "truncate",
            "",
            layout::IO_TRUNCATE,
            Ask::file(file).offset(size),
        )
        .map(drop)
    }

    fn size(&self, file: FileId) -> IoResult<u64> {
        self.call("size", "", layout::IO_SIZE, Ask::file(file))
            .map(|size| size as u64)
    }

    fn sync(&self, file: FileId) -> IoResult<()> {
        let is_named = || {
            let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
            named.contains(&file)
        };
        if is_named()
            && let Some(_leave) = self.queue.use_descriptors()
        {
            return activity::while_waiting(|| direct::sync(file));
        }
        self.call("sync", "", layout::IO_SYNC, Ask::file(file))?;
        self.named().insert(file);
        Ok(())
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        self.call_path("remove", path, layout::IO_REMOVE, 0)
            .map(drop)
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        self.call_path("look for", path, layout::IO_EXISTS, 0)
            .map(|answer| answer != 0.0)
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        let trimmed = directory.trim_end_matches('/');
        if !trimmed.is_empty() {
            path::check("list", trimmed)?;
        }
        let mut size = LIST_SIZE.max(trimmed.len());
        loop {
            let mut buffer = vec![0; size];
            buffer[..trimmed.len()].copy_from_slice(trimmed.as_bytes());
            let ask = Ask {
                argument: trimmed.len() as u32,
                ..Ask::default()
            };
            let needed =
                self.call("list", directory, layout::IO_LIST, ask.buffer(&mut buffer))? as usize;
            if needed > size {
                size = needed;
                continue;
            }
            return parse_list(&String::from_utf8_lossy(&buffer[..needed])).ok_or_else(|| {
                IoError::new(
                    IoErrorCode::Other,
                    "list",
                    directory,
                    "the host's list is malformed",
                )
            });
        }
    }
}

fn parse_list(text: &str) -> Option<Vec<(String, u64)>> {
    let mut found = text
        .lines()
        .map(|line| {
            line.split_once(' ')
                .and_then(|(size, path)| Some((path.to_owned(), size.parse().ok()?)))
        })
        .collect::<Option<Vec<_>>>()?;
    found.sort();
    Some(found)
}
