//! Files of the host, by requests to the I/O thread.
//!
//! The I/O thread is a TypeScript worker that sees only this memory. A thread that wants something of a file puts an
//! [`IoRequest`], which lies on its own stack, into the [`IoQueue`], rings the bell and sleeps until the request is
//! answered. Reads and writes go straight between the host's file and the buffer in this memory.
//!
//! # State
//! `head` of the queue is the newest request; each points to the one before it. To ask is to put oneself in front by
//! compare-and-swap; to serve is to swap the whole list out. So a thread that dies while it asks stops nobody.
//!
//! # Invariants
//! 1. A request stays where it is until its state is `DONE`: the asking thread does not return before, whatever happens.
//! 2. The bell is rung after the request is in the list, and the I/O thread looks at the list after it said that it is
//!    about to wait: one of the two sees the other, so no request is slept over.
//! 3. When the I/O thread has closed, it answers what is in the list after it set `CLOSED`. Who asks looks for `CLOSED` after
//!    putting a request in, and then answers the list itself.
//!
//! # Direct access
//! In Node a file's number is a descriptor of the whole process. There the asking thread reads and writes by itself: 2 µs
//! for 4 KiB, where the way over the I/O thread takes 8 µs on an idle machine and 50–100 µs on a busy one. It also syncs by
//! itself once the I/O thread has made the file's name durable, so that one thread's sync doesn't hold up another's. See
//! [`direct`](super::direct).

use std::collections::HashSet;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use heddle_atomics::futex;

use super::{FileId, Io, IoError, IoErrorCode, IoResult, OpenMode, direct, path};
use crate::layout;

/// Bytes kept of the host's words about a failure.
const MESSAGE_SIZE: usize = 256;

/// Room for a first attempt to list a directory, in bytes.
const LIST_SIZE: usize = 16 << 10;

/// The queue of this memory's requests. Layout: `layout/store.json`.
#[repr(C, align(8))]
#[derive(Debug)]
pub struct IoQueue {
    version: u32,
    state: AtomicU32,
    bell: AtomicU32,
    is_waiting: AtomicU32,
    shares_descriptors: AtomicU32,
    head: AtomicU32,
    descriptor_users: AtomicU32,
    reserved: [u32; 9],
}

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

static QUEUE: IoQueue = IoQueue {
    version: layout::IO_QUEUE_VERSION,
    state: AtomicU32::new(layout::IO_IDLE),
    bell: AtomicU32::new(0),
    is_waiting: AtomicU32::new(0),
    shares_descriptors: AtomicU32::new(0),
    head: AtomicU32::new(0),
    descriptor_users: AtomicU32::new(0),
    reserved: [0; 9],
};

/// The address of the queue, for the I/O thread.
#[unsafe(no_mangle)]
pub extern "C" fn heddle_store_io_queue() -> *const IoQueue {
    &raw const QUEUE
}

/// One operation. Layout: `layout/store.json`.
#[repr(C, align(8))]
struct IoRequest {
    state: AtomicU32,
    operation: u32,
    file: u32,
    argument: u32,
    address: u32,
    length: u32,
    offset: f64,
    /// The bits of an f64; written by the I/O thread.
    result: AtomicU64,
    error_code: AtomicU32,
    message_address: u32,
    message_length: AtomicU32,
    next: AtomicU32,
    reserved: [u32; 2],
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

/// What is asked, beside the operation.
#[derive(Clone, Copy, Default)]
struct Ask {
    file: u32,
    argument: u32,
    address: usize,
    length: usize,
    offset: u64,
}

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
            address: bytes.as_ptr().expose_provenance(),
            length: bytes.len(),
            ..self
        }
    }

    /// The I/O thread writes the bytes: their address is exposed for writing.
    fn buffer(self, buffer: &mut [u8]) -> Self {
        Ask {
            address: buffer.as_mut_ptr().expose_provenance(),
            length: buffer.len(),
            ..self
        }
    }

    fn offset(self, offset: u64) -> Self {
        Ask { offset, ..self }
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

    /// Leave to use the descriptors on this thread, where the host has such; they stay open for as long as it is kept.
    fn descriptors(&self) -> Option<DescriptorUse> {
        // SeqCst: comes before the load, as the I/O thread's clearing comes before its look at the users. One sees the other.
        self.queue.descriptor_users.fetch_add(1, Ordering::SeqCst);
        let leave = DescriptorUse { queue: self.queue };
        (self.queue.shares_descriptors.load(Ordering::SeqCst) != 0).then_some(leave)
    }

    fn named(&self) -> RwLockWriteGuard<'_, HashSet<FileId>> {
        // One change of the set at a time.
        self.named.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks and waits for the answer.
    fn call(&self, verb: &'static str, path: &str, operation: u32, ask: Ask) -> IoResult<f64> {
        let mut message = [0u8; MESSAGE_SIZE];
        let request = IoRequest {
            state: AtomicU32::new(layout::IO_PENDING),
            operation,
            file: ask.file,
            argument: ask.argument,
            address: ask.address as u32,
            length: ask.length as u32,
            // Exact up to 2^53; larger sizes no host has.
            offset: ask.offset as f64,
            result: AtomicU64::new(0),
            error_code: AtomicU32::new(0),
            message_address: message.as_mut_ptr().expose_provenance() as u32,
            message_length: AtomicU32::new(MESSAGE_SIZE as u32),
            next: AtomicU32::new(0),
            reserved: [0; 2],
        };
        self.queue.push(&request);
        // Acquire: pairs with the store of DONE by the I/O thread (`Atomics.store` in IoServer.ts) or by `refuse_all`;
        // result, error and the bytes of the buffer were written before it.
        while request.state.load(Ordering::Acquire) != layout::IO_DONE {
            futex::wait(&request.state, layout::IO_PENDING, None);
        }
        let code = request.error_code.load(Ordering::Relaxed);
        if code == 0 {
            return Ok(f64::from_bits(request.result.load(Ordering::Relaxed)));
        }
        let length = (request.message_length.load(Ordering::Relaxed) as usize).min(MESSAGE_SIZE);
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

/// While it exists, no descriptor is closed whose number another file of the process could then be given.
struct DescriptorUse {
    queue: &'static IoQueue,
}

impl Drop for DescriptorUse {
    fn drop(&mut self) {
        let users = &self.queue.descriptor_users;
        // SeqCst: the use of the descriptor comes before; the I/O thread sees 0 only after it.
        if users.fetch_sub(1, Ordering::SeqCst) == 1
            && self.queue.shares_descriptors.load(Ordering::SeqCst) == 0
        {
            futex::wake(users, 1);
        }
    }
}

impl Default for HostIo {
    fn default() -> Self {
        Self::new()
    }
}

impl IoQueue {
    fn push(&self, request: &IoRequest) {
        let address = ptr::from_ref(request).expose_provenance() as u32;
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            request.next.store(head, Ordering::Relaxed);
            // SeqCst (and so Release): publishes the request to the I/O thread's exchange of `head`, and stands before the
            // loads of `is_waiting` and `state` below.
            match self.head.compare_exchange_weak(
                head,
                address,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(newer) => head = newer,
            }
        }
        // SeqCst: pairs with the I/O thread, which sets `isWaiting`, reads `head` and then waits for this word to change.
        self.bell.fetch_add(1, Ordering::SeqCst);
        if self.is_waiting.load(Ordering::SeqCst) != 0 {
            futex::wake(&self.bell, 1);
        }
        // SeqCst: the I/O thread sets CLOSED and then answers the list; whoever comes later sees it here.
        if self.state.load(Ordering::SeqCst) == layout::IO_CLOSED {
            self.refuse_all();
        }
    }

    /// Answers every request in the list, in the place of an I/O thread that has closed.
    #[cold]
    fn refuse_all(&self) {
        // Acquire: sees the requests that were published by `push`.
        let mut address = self.head.swap(0, Ordering::SeqCst);
        while address != 0 {
            let request = ptr::with_exposed_provenance::<IoRequest>(address as usize);
            // SAFETY: a request stays in place until it is DONE, and only who took the list answers it: this thread.
            let request = unsafe { &*request };
            address = request.next.load(Ordering::Relaxed);
            request
                .error_code
                .store(layout::IO_ERROR_CLOSED, Ordering::Relaxed);
            request.message_length.store(0, Ordering::Relaxed);
            // Release: pairs with the Acquire in `HostIo::call`. After it the request may be gone; a wake only needs an
            // address.
            let state = &raw const request.state;
            request.state.store(layout::IO_DONE, Ordering::Release);
            // SAFETY: waking reads nothing at the address; the memory itself is never unmapped.
            futex::wake(unsafe { &*state }, 1);
        }
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
        if let Some(_leave) = self.descriptors() {
            return direct::read(file, offset, buffer);
        }
        let ask = Ask::file(file).buffer(buffer).offset(offset);
        self.call("read", "", layout::IO_READ, ask)
            .map(|count| count as usize)
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        if let Some(_leave) = self.descriptors() {
            return direct::write(file, offset, bytes);
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
            && let Some(_leave) = self.descriptors()
        {
            return direct::sync(file);
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
