//! `sqlite3_file` over [`Io`]: what SQLite does with an open file.
//!
//! Main databases, WALs and journals are files of the store; everything temporary lives in memory. SQLite allocates the
//! record of [`File::RECORD_SIZE`] bytes, `xOpen` in [`super::vfs`] fills it, `xClose` takes its contents out again.
//!
//! All connections to one path share a [`SharedFile`]: one handle of the host, one set of locks, one WAL index.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::ffi;

use super::lock::{FileLock, LockLevel};
use super::page_sums::PageSums;
use super::temporary::{OutOfMemory, TemporaryFile};
use super::wal_index::{Attachment, Sharing, SlotMask, WalIndex};
use crate::error::{StoreError, StoreErrorCode};
use crate::io::{FileId, IoError, IoErrorCode, IoResult, SharedIo};

/// The unit in which a disk loses what was being written. SQLite pads its journals to it.
const SECTOR_SIZE: c_int = 4096;

thread_local! {
    static LAST_ERROR: RefCell<Option<IoError>> = const { RefCell::new(None) };

    /// The lock that this thread was refused last.
    static REFUSED: RefCell<Option<Refused>> = const { RefCell::new(None) };
}

/// A lock of a WAL index that a connection could not have.
struct Refused {
    // Not kept open by it: whoever was refused may never ask again.
    file: Weak<SharedFile>,
    mask: SlotMask,
    sharing: Sharing,
}

/// For busy handlers: returns when the lock could be had that this thread was refused last, or after `timeout`. A second call waits for that
/// long if there was no refusal in between.
pub fn wait_for_lock(timeout: Duration) {
    match REFUSED.take() {
        Some(Refused {
            file,
            mask,
            sharing,
        }) => {
            if let Some(file) = file.upgrade() {
                file.wal_index.wait_until_free(mask, sharing, timeout);
            }
        }
        None => heddle_thread::sleep(timeout),
    }
}

/// The last failure of a file under SQLite on this thread, which SQLite has turned into one of its result codes; taken
/// out, so that it is told once.
pub fn take_io_error() -> Option<IoError> {
    LAST_ERROR.take()
}

/// Remembers the error for [`take_io_error`] and gives SQLite's code for it, `otherwise` where it has no better one.
pub(super) fn result_code(error: IoError, otherwise: c_int) -> c_int {
    let code = match error.code {
        IoErrorCode::NoSpace => ffi::SQLITE_FULL,
        IoErrorCode::PermissionDenied => ffi::SQLITE_PERM,
        IoErrorCode::Locked => ffi::SQLITE_BUSY,
        _ => otherwise,
    };
    LAST_ERROR.set(Some(error));
    code
}

/// Runs a callback's body. A panic can't cross SQLite's frames: it becomes a failed file operation, after which SQLite takes back what it has
/// begun, or `SQLITE_NOMEM`.
pub(super) fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    // Whatever a panic left behind is behind mutexes that say why they survive it.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let error = StoreError::of_panic("a callback of SQLite's files", &*payload);
        if error.code == StoreErrorCode::OutOfMemory {
            return ffi::SQLITE_NOMEM;
        }
        let error = IoError::new(IoErrorCode::Panicked, "use", "a file", error.message);
        result_code(error, ffi::SQLITE_IOERR)
    })
}

/// A file of the store that one or more connections have open.
#[derive(Debug)]
pub(super) struct SharedFile {
    pub(super) io: SharedIo,
    pub(super) id: FileId,
    pub(super) path: String,
    /// For database files.
    pub(super) sums: Option<PageSums>,
    pub(super) lock: FileLock,
    pub(super) wal_index: WalIndex,
    pub(super) size: KeptSize,
}

/// A file's size, for SQLite asks for it at the start of many transactions and asking the host takes a wake-up.
///
/// Every change goes through here, for all connections share the [`SharedFile`], and SQLite's own locks keep a truncation and a
/// write apart. After a change that failed half-way the size is not kept any more: the host is asked each time.
#[derive(Debug)]
pub(super) struct KeptSize(AtomicU64);

impl KeptSize {
    const UNKNOWN: u64 = u64::MAX;

    pub(super) fn new(size: u64) -> Self {
        Self(AtomicU64::new(size))
    }

    // Relaxed throughout: a connection that may read what another wrote has been told so by SQLite's locks, which order this
    // word as well.

    fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|size| *size != Self::UNKNOWN)
    }

    fn wrote_to(&self, end: u64) {
        // Unknown is the largest number, so it stays.
        self.0.fetch_max(end, Ordering::Relaxed);
    }

    fn truncated_to(&self, size: u64) {
        if self.get().is_some() {
            self.0.store(size, Ordering::Relaxed);
        }
    }

    fn forget(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}

impl SharedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        let count = self.io.read_at(self.id, offset, buffer)?;
        if count == buffer.len()
            && let Some(sums) = &self.sums
            && let Some(page) = sums.find_damage(offset, buffer)
        {
            let message = format!("page {page} fails its checksum");
            return Err(IoError::new(
                IoErrorCode::Damaged,
                "read",
                &self.path,
                message,
            ));
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> IoResult<()> {
        let mut filled = None;
        if let Some(sums) = &self.sums {
            if offset == 0 {
                sums.see_header(bytes);
            }
            filled = sums.fill(offset, bytes);
        }
        let bytes = filled.as_deref().unwrap_or(bytes);
        match self.io.write_at(self.id, offset, bytes) {
            Ok(()) => self.size.wrote_to(offset + bytes.len() as u64),
            Err(error) => {
                self.size.forget();
                return Err(error);
            }
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> IoResult<()> {
        match self.io.truncate(self.id, size) {
            Ok(()) => self.size.truncated_to(size),
            Err(error) => {
                self.size.forget();
                return Err(error);
            }
        }
        Ok(())
    }

    fn size(&self) -> IoResult<u64> {
        self.size.get().map_or_else(|| self.io.size(self.id), Ok)
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        // Closing can't lose anything: what had to be durable was synced. A host that refuses has lost the handle itself.
        if let Err(error) = self.io.close(self.id) {
            LAST_ERROR.set(Some(error));
        }
    }
}

/// One connection's open file.
#[derive(Debug)]
pub(super) enum OpenFile {
    Stored {
        file: Arc<SharedFile>,
        lock: LockLevel,
        index: Option<Attachment>,
        keeps_wal: bool,
    },
    Temporary(TemporaryFile),
}

impl OpenFile {
    pub(super) fn stored(file: Arc<SharedFile>) -> Self {
        OpenFile::Stored {
            file,
            lock: LockLevel::None,
            index: None,
            keeps_wal: false,
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let OpenFile::Stored {
            file, lock, index, ..
        } = self
        {
            if let Some(attachment) = index.take() {
                file.wal_index.detach(attachment);
            }
            file.lock.lower(lock, LockLevel::None);
        }
    }
}

/// The record behind a `sqlite3_file` pointer.
#[repr(C)]
pub(super) struct File {
    base: ffi::sqlite3_file,
    open: *mut OpenFile,
}

impl File {
    pub(super) const RECORD_SIZE: c_int = size_of::<File>() as c_int;

    /// Fills the record: from here on SQLite calls the methods below with it.
    ///
    /// # Safety
    /// `record` points to [`File::RECORD_SIZE`] writable bytes, aligned for a pointer.
    pub(super) unsafe fn install(record: *mut ffi::sqlite3_file, open: OpenFile) {
        let file = File {
            base: ffi::sqlite3_file { pMethods: &METHODS },
            open: Box::into_raw(Box::new(open)),
        };
        // SAFETY: the caller vouches for size and alignment; the bytes held no value before.
        unsafe { record.cast::<File>().write(file) };
    }
}

/// # Safety
/// `record` was filled by [`File::install`] and not closed since. SQLite uses a file from one thread at a time and the
/// returned reference ends with the callback, so it is the only one.
unsafe fn open_file<'a>(record: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    // SAFETY: see above; `open` came from a box and is freed by `close` alone.
    unsafe { &mut *(*record.cast::<File>()).open }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(record: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: SQLite closes a file once; `open` came from `Box::into_raw` in `install`.
        drop(unsafe { Box::from_raw((*record.cast::<File>()).open) });
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn read(
    record: *mut ffi::sqlite3_file,
    target: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite hands out `count` bytes to fill, which nobody else uses meanwhile. They may be uninitialised,
        // so they are zeroed before a slice is made of them; the tail behind the file's end has to be zeros anyway.
        let buffer = unsafe {
            target.cast::<u8>().write_bytes(0, count as usize);
            std::slice::from_raw_parts_mut(target.cast::<u8>(), count as usize)
        };
        // SAFETY: an open file, see `open_file`.
        let outcome = match unsafe { open_file(record) } {
            OpenFile::Stored { file, .. } => file.read_at(offset as u64, buffer),
            OpenFile::Temporary(file) => Ok(file.read_at(offset as u64, buffer)),
        };
        match outcome {
            Ok(filled) if filled == buffer.len() => ffi::SQLITE_OK,
            Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
            Err(error) => result_code(error, ffi::SQLITE_IOERR_READ),
        }
    })
}

unsafe extern "C" fn write(
    record: *mut ffi::sqlite3_file,
    source: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite hands `count` initialised bytes, unchanged until the callback returns.
        let bytes = unsafe { std::slice::from_raw_parts(source.cast::<u8>(), count as usize) };
        // SAFETY: an open file, see `open_file`.
        match unsafe { open_file(record) } {
            OpenFile::Stored { file, .. } => match file.write_at(offset as u64, bytes) {
                Ok(()) => ffi::SQLITE_OK,
                Err(error) => result_code(error, ffi::SQLITE_IOERR_WRITE),
            },
            OpenFile::Temporary(file) => match file.write_at(offset as u64, bytes) {
                Ok(()) => ffi::SQLITE_OK,
                Err(OutOfMemory) => ffi::SQLITE_IOERR_NOMEM,
            },
        }
    })
}

unsafe extern "C" fn truncate(record: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file, see `open_file`.
    guarded(|| match unsafe { open_file(record) } {
        OpenFile::Stored { file, .. } => match file.truncate(size as u64) {
            Ok(()) => ffi::SQLITE_OK,
            Err(error) => result_code(error, ffi::SQLITE_IOERR_TRUNCATE),
        },
        OpenFile::Temporary(file) => {
            file.truncate(size as u64);
            ffi::SQLITE_OK
        }
    })
}

unsafe extern "C" fn sync(record: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: an open file, see `open_file`.
    guarded(|| match unsafe { open_file(record) } {
        OpenFile::Stored { file, .. } => match file.io.sync(file.id) {
            Ok(()) => ffi::SQLITE_OK,
            Err(error) => result_code(error, ffi::SQLITE_IOERR_FSYNC),
        },
        OpenFile::Temporary(_) => ffi::SQLITE_OK,
    })
}

unsafe extern "C" fn file_size(record: *mut ffi::sqlite3_file, target: *mut i64) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let size = match unsafe { open_file(record) } {
            OpenFile::Stored { file, .. } => match file.size() {
                Ok(size) => size,
                Err(error) => return result_code(error, ffi::SQLITE_IOERR_FSTAT),
            },
            OpenFile::Temporary(file) => file.size(),
        };
        // SAFETY: SQLite passes a place for the answer.
        unsafe { target.write(size as i64) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn lock(record: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(|| {
        let Some(wanted) = LockLevel::from_raw(level) else {
            return ffi::SQLITE_MISUSE;
        };
        // SAFETY: an open file, see `open_file`.
        let granted = match unsafe { open_file(record) } {
            OpenFile::Stored { file, lock, .. } => file.lock.raise(lock, wanted),
            OpenFile::Temporary(_) => true,
        };
        if granted {
            return ffi::SQLITE_OK;
        }
        // What is waited for is none of the WAL index's locks.
        REFUSED.take();
        ffi::SQLITE_BUSY
    })
}

unsafe extern "C" fn unlock(record: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(|| {
        let Some(wanted) = LockLevel::from_raw(level) else {
            return ffi::SQLITE_MISUSE;
        };
        // SAFETY: an open file, see `open_file`.
        if let OpenFile::Stored { file, lock, .. } = unsafe { open_file(record) } {
            file.lock.lower(lock, wanted);
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn check_reserved_lock(
    record: *mut ffi::sqlite3_file,
    target: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let has_writer = match unsafe { open_file(record) } {
            OpenFile::Stored { file, .. } => file.lock.has_writer(),
            OpenFile::Temporary(_) => false,
        };
        // SAFETY: SQLite passes a place for the answer.
        unsafe { target.write(c_int::from(has_writer)) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn file_control(
    record: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let OpenFile::Stored {
            lock, keeps_wal, ..
        } = (unsafe { open_file(record) })
        else {
            return ffi::SQLITE_NOTFOUND;
        };
        match operation {
            ffi::SQLITE_FCNTL_LOCKSTATE => {
                // SAFETY: the argument of this operation is a place for an int.
                unsafe { argument.cast::<c_int>().write(*lock as c_int) };
                ffi::SQLITE_OK
            }
            ffi::SQLITE_FCNTL_PERSIST_WAL => {
                // SAFETY: the argument of this operation is an int: negative asks, else sets.
                unsafe {
                    let wanted = argument.cast::<c_int>();
                    match *wanted {
                        ..0 => *wanted = c_int::from(*keeps_wal),
                        value => *keeps_wal = value != 0,
                    }
                }
                ffi::SQLITE_OK
            }
            _ => ffi::SQLITE_NOTFOUND,
        }
    })
}

unsafe extern "C" fn sector_size(_record: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_SIZE
}

/// An interrupted write damages no bytes beside those it was to write; parts of a page may be read alone where it has no checksum.
unsafe extern "C" fn device_characteristics(record: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let has_sums = match unsafe { open_file(record) } {
            OpenFile::Stored { file, .. } => file.sums.as_ref().is_some_and(PageSums::are_kept),
            OpenFile::Temporary(_) => false,
        };
        let parts = if has_sums {
            0
        } else {
            ffi::SQLITE_IOCAP_SUBPAGE_READ
        };
        ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | parts
    })
}

unsafe extern "C" fn shm_map(
    record: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    target: *mut *mut c_void,
) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let OpenFile::Stored { file, index, .. } = (unsafe { open_file(record) }) else {
            return ffi::SQLITE_IOERR_SHMMAP;
        };
        index.get_or_insert_with(|| file.wal_index.attach());
        let address = file
            .wal_index
            .region(region as usize, size as usize, extend != 0);
        // SAFETY: SQLite passes a place for the answer. The address stays good until `shm_unmap`, by the attachment.
        unsafe { target.write(address.cast()) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn shm_lock(
    record: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        let OpenFile::Stored {
            file,
            index: Some(attachment),
            ..
        } = (unsafe { open_file(record) })
        else {
            return ffi::SQLITE_IOERR_SHMLOCK;
        };
        let mask = (((1u32 << count) - 1) << first) as SlotMask;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            file.wal_index.unlock(attachment, mask);
            return ffi::SQLITE_OK;
        }
        let (granted, sharing) = if flags & ffi::SQLITE_SHM_SHARED != 0 {
            (
                file.wal_index.lock_shared(attachment, mask),
                Sharing::Shared,
            )
        } else {
            (
                file.wal_index.lock_exclusive(attachment, mask),
                Sharing::Exclusive,
            )
        };
        if granted {
            return ffi::SQLITE_OK;
        }
        REFUSED.set(Some(Refused {
            file: Arc::downgrade(file),
            mask,
            sharing,
        }));
        ffi::SQLITE_BUSY
    })
}

unsafe extern "C" fn shm_barrier(_record: *mut ffi::sqlite3_file) {
    // SeqCst: what SQLite wrote to the index before is seen by every thread that passes a barrier of its own afterwards.
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(record: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    guarded(|| {
        // SAFETY: an open file, see `open_file`.
        if let OpenFile::Stored { file, index, .. } = unsafe { open_file(record) }
            && let Some(attachment) = index.take()
        {
            file.wal_index.detach(attachment);
        }
        ffi::SQLITE_OK
    })
}
