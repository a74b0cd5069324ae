//! `sqlite3_vfs` over [`Io`](crate::io::Io): which files SQLite finds, natively and in WebAssembly alike.
//!
//! SQLite's own VFS is not used, not even natively: so the code that runs in a browser is the code that native tests,
//! sanitizers and simulated losses of power reach.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::ffi;

use super::file::{File, KeptSize, OpenFile, SharedFile, guarded, result_code};
use super::page_sums::PageSums;
use super::temporary::TemporaryFile;
use super::{SqliteError, clock, initialize};
use crate::io::{FileId, IoErrorCode, OpenMode, SharedIo};
use crate::memory::MemoryBudget;

/// The longest path in bytes, its end mark included.
const PATH_SIZE_MAX: c_int = 1024;

/// Flags of files that nobody finds again: they live in memory.
const TEMPORARY: c_int = ffi::SQLITE_OPEN_TEMP_DB
    | ffi::SQLITE_OPEN_TEMP_JOURNAL
    | ffi::SQLITE_OPEN_TRANSIENT_DB
    | ffi::SQLITE_OPEN_SUBJOURNAL
    | ffi::SQLITE_OPEN_DELETEONCLOSE;

/// A VFS that SQLite knows by its name. Dropping it unregisters it; connections that are still open keep its parts alive.
#[derive(Debug)]
pub struct Vfs {
    name: String,
    record: *mut Record,
}

// SAFETY: the record is changed by SQLite under its own mutex only, what is shared through it is `Sync`.
unsafe impl Send for Vfs {}
// SAFETY: as above; `&Vfs` gives out nothing but the name.
unsafe impl Sync for Vfs {}

/// The VFS as SQLite sees it, followed by what our callbacks need.
#[repr(C)]
#[derive(Debug)]
struct Record {
    base: ffi::sqlite3_vfs,
    name: CString,
    files: Arc<Files>,
}

/// The files of one store that connections have open.
#[derive(Debug)]
struct Files {
    io: SharedIo,
    /// What temporary files live on.
    memory: Arc<MemoryBudget>,
    /// Which names no database has.
    is_no_database: fn(&str) -> bool,
    open: Mutex<HashMap<String, Weak<SharedFile>>>,
}

/// Makes the files of `io` known to SQLite under `name`, for
/// [`Connection::open_with_flags_and_vfs`](rusqlite::Connection::open_with_flags_and_vfs).
///
/// # Errors
/// SQLite can't be [initialized](initialize), or a VFS of that name exists.
pub fn register_vfs(name: &str, io: SharedIo) -> Result<Vfs, SqliteError> {
    register_vfs_within(name, io, MemoryBudget::new(usize::MAX), |_| false)
}

/// As [`register_vfs`]; temporary files take what they need of `memory`, and a database that `is_no_database` says so of is `SQLITE_MISUSE` to
/// open, whoever names it by whatever statement.
///
/// # Errors
/// As [`register_vfs`].
pub fn register_vfs_within(
    name: &str,
    io: SharedIo,
    memory: Arc<MemoryBudget>,
    is_no_database: fn(&str) -> bool,
) -> Result<Vfs, SqliteError> {
    initialize()?;
    let c_name = CString::new(name)
        .map_err(|_| SqliteError::new("the VFS's name contains a NUL", ffi::SQLITE_MISUSE))?;
    // Two threads that register one name at once must not both find it free.
    static REGISTERING: Mutex<()> = Mutex::new(());
    let _registering = REGISTERING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a NUL-terminated name; SQLite is initialised.
    if !unsafe { ffi::sqlite3_vfs_find(c_name.as_ptr()) }.is_null() {
        return Err(SqliteError::new(
            "a VFS of that name is registered",
            ffi::SQLITE_MISUSE,
        ));
    }
    let record = Record::leak(c_name, io, memory, is_no_database);
    // SAFETY: the record stays in place until it is unregistered; moving the `CString` into it didn't move its
    // bytes.
    let code = unsafe { ffi::sqlite3_vfs_register(record.cast(), 0) };
    if code != ffi::SQLITE_OK {
        // SAFETY: SQLite has not taken the record.
        drop(unsafe { Box::from_raw(record) });
        return Err(SqliteError::new("SQLite refuses the VFS", code));
    }
    Ok(Vfs {
        name: name.to_owned(),
        record,
    })
}

impl Record {
    /// A record at an address that stays, for SQLite to list.
    fn leak(
        name: CString,
        io: SharedIo,
        memory: Arc<MemoryBudget>,
        is_no_database: fn(&str) -> bool,
    ) -> *mut Self {
        Box::into_raw(Box::new(Record {
            base: ffi::sqlite3_vfs {
                iVersion: 2,
                szOsFile: File::RECORD_SIZE,
                mxPathname: PATH_SIZE_MAX,
                pNext: ptr::null_mut(),
                zName: name.as_ptr(),
                pAppData: ptr::null_mut(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                xDlOpen: None,
                xDlError: None,
                xDlSym: None,
                xDlClose: None,
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: Some(last_error),
                xCurrentTimeInt64: Some(current_time_int64),
                xSetSystemCall: None,
                xGetSystemCall: None,
                xNextSystemCall: None,
            },
            name,
            files: Arc::new(Files {
                io,
                memory,
                is_no_database,
                open: Mutex::new(HashMap::new()),
            }),
        }))
    }
}

/// Gives SQLite the default VFS it doesn't start without, on a target where it brings none. Only temporary files and files in
/// memory are opened through it.
#[cfg(target_arch = "wasm32")]
pub(super) fn register_default() -> c_int {
    let record = Record::leak(
        c"heddle-memory".to_owned(),
        Arc::new(crate::io::MemoryIo::new()),
        MemoryBudget::new(usize::MAX),
        |_| false,
    );
    // SAFETY: the record stays in place for ever.
    unsafe { ffi::sqlite3_vfs_register(record.cast(), 1) }
}

impl Vfs {
    /// The name to open connections with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many files of the store connections have open.
    pub fn open_file_count(&self) -> usize {
        // SAFETY: the record lives as long as `self`.
        let files = unsafe { &(*self.record).files };
        files
            .open()
            .values()
            .filter(|file| file.strong_count() > 0)
            .count()
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        // SAFETY: the record was registered by `register_vfs`.
        unsafe { ffi::sqlite3_vfs_unregister(self.record.cast()) };
        if self.open_file_count() == 0 {
            // SAFETY: the record came from a box, SQLite no longer lists it, and no connection has a file of it open. With
            // one open it is left in place, for the connection calls it again: a few hundred bytes, once a store.
            drop(unsafe { Box::from_raw(self.record) });
        }
    }
}

impl Files {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Weak<SharedFile>>> {
        // Every change of the map is one call.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(
        &self,
        path: &str,
        mode: OpenMode,
        is_database: bool,
    ) -> crate::io::IoResult<Arc<SharedFile>> {
        // Held across the host's open, so that two connections never get two sets of locks for one file.
        let mut open = self.open();
        if mode != OpenMode::CreateNew
            && let Some(file) = open.get(path).and_then(Weak::upgrade)
        {
            return Ok(file);
        }
        let id: FileId = self.io.open(path, mode)?;
        let sums = is_database.then(PageSums::default);
        let looked = self.io.size(id).and_then(|size| {
            if let Some(sums) = &sums {
                let mut header = [0; 32];
                let count = self.io.read_at(id, 0, &mut header)?;
                sums.see_header(&header[..count]);
            }
            Ok(KeptSize::new(size))
        });
        let size = match looked {
            Ok(size) => size,
            Err(error) => {
                self.io.close(id)?;
                return Err(error);
            }
        };
        open.retain(|_, file| file.strong_count() > 0);
        let file = Arc::new(SharedFile {
            io: self.io.clone(),
            id,
            path: path.to_owned(),
            sums,
            lock: Default::default(),
            wal_index: Default::default(),
            size,
        });
        open.insert(path.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Empties the file durably, then removes it. Not every host can make a removal durable, and a journal that came back
    /// after a loss of power would roll a database back over commits that were acknowledged since; an empty one is ignored.
    fn remove(&self, path: &str) -> crate::io::IoResult<()> {
        let mut open = self.open();
        let id = self.io.open(path, OpenMode::Existing)?;
        let emptied = self.io.truncate(id, 0).and_then(|()| self.io.sync(id));
        self.io.close(id)?;
        emptied?;
        // Whoever opens the name from now on gets a new file.
        open.remove(path);
        self.io.remove(path)
    }
}

/// # Safety
/// `vfs` is a registered [`Record`], which outlives the callback.
unsafe fn files<'a>(vfs: *mut ffi::sqlite3_vfs) -> &'a Files {
    // SAFETY: see above.
    unsafe { &(*vfs.cast::<Record>()).files }
}

/// A path as SQLite passes it: ours, so UTF-8 – but a user may ATTACH what he likes.
///
/// # Safety
/// `path` is NUL-terminated and outlives the callback.
unsafe fn path_str<'a>(path: *const c_char) -> Option<&'a str> {
    // SAFETY: see above.
    unsafe { CStr::from_ptr(path) }.to_str().ok()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    record: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a record of `szOsFile` bytes; without methods it isn't closed when opening fails.
        unsafe { (*record).pMethods = ptr::null() };
        let opened = if path.is_null() || flags & TEMPORARY != 0 {
            // SAFETY: our own VFS, see `files`.
            let memory = unsafe { files(vfs) }.memory.share();
            OpenFile::Temporary(TemporaryFile::new(memory))
        } else {
            // SAFETY: SQLite's path, see `path_str`.
            let Some(path) = (unsafe { path_str(path) }) else {
                return ffi::SQLITE_CANTOPEN;
            };
            let mode = match (
                flags & ffi::SQLITE_OPEN_CREATE != 0,
                flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0,
            ) {
                (true, true) => OpenMode::CreateNew,
                (true, false) => OpenMode::OrCreate,
                (false, _) => OpenMode::Existing,
            };
            // SAFETY: our own VFS, see `files`.
            let files = unsafe { files(vfs) };
            let is_database = flags & ffi::SQLITE_OPEN_MAIN_DB != 0;
            if is_database && (files.is_no_database)(path) {
                return ffi::SQLITE_MISUSE;
            }
            match files.share(path, mode, is_database) {
                Ok(file) => OpenFile::stored(file),
                Err(error) => return result_code(error, ffi::SQLITE_CANTOPEN),
            }
        };
        // SAFETY: `record` has `szOsFile` bytes; `flags_out` may be null.
        unsafe {
            File::install(record, opened);
            if !flags_out.is_null() {
                flags_out.write(flags);
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _sync_directory: c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite's path, our own VFS.
        let (Some(path), files) = (unsafe { (path_str(path), files(vfs)) }) else {
            return ffi::SQLITE_IOERR_DELETE;
        };
        match files.remove(path) {
            Ok(()) => ffi::SQLITE_OK,
            Err(error) if error.code == IoErrorCode::NotFound => ffi::SQLITE_IOERR_DELETE_NOENT,
            Err(error) => result_code(error, ffi::SQLITE_IOERR_DELETE),
        }
    })
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _flags: c_int,
    target: *mut c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite's path, our own VFS.
        let (Some(path), files) = (unsafe { (path_str(path), files(vfs)) }) else {
            return ffi::SQLITE_IOERR_ACCESS;
        };
        match files.io.exists(path) {
            Ok(exists) => {
                // SAFETY: SQLite passes a place for the answer. What exists can be read and written: the store's own files.
                unsafe { target.write(c_int::from(exists)) };
                ffi::SQLITE_OK
            }
            Err(error) => result_code(error, ffi::SQLITE_IOERR_ACCESS),
        }
    })
}

/// Paths are full already: relative to the store's root.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    size: c_int,
    target: *mut c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite's path, NUL-terminated.
        let bytes = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
        if bytes.len() > size as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: `target` has `size` bytes, which don't overlap the path.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), target, bytes.len()) };
        ffi::SQLITE_OK
    })
}

/// SQLite seeds its own generator with this.
unsafe extern "C" fn randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    target: *mut c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes `count` writable bytes; they are zeroed first, for they may be uninitialised.
        let buffer = unsafe {
            target.cast::<u8>().write_bytes(0, count as usize);
            std::slice::from_raw_parts_mut(target.cast::<u8>(), count as usize)
        };
        match getrandom::fill(buffer) {
            Ok(()) => count,
            Err(_) => 0,
        }
    })
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    guarded(|| {
        heddle_thread::sleep(std::time::Duration::from_micros(microseconds.max(0) as u64));
        microseconds
    })
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, target: *mut f64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a place for the answer.
        unsafe { target.write(clock::julian_ms() as f64 / 86_400_000.0) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn current_time_int64(_vfs: *mut ffi::sqlite3_vfs, target: *mut i64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a place for the answer.
        unsafe { target.write(clock::julian_ms()) };
        ffi::SQLITE_OK
    })
}

/// The host's words are in [`take_io_error`](super::take_io_error).
unsafe extern "C" fn last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _size: c_int,
    _target: *mut c_char,
) -> c_int {
    0
}
