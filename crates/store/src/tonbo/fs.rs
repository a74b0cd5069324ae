//! Tonbo's file system over [`Io`](crate::io::Io).
//!
//! | Tonbo's | here | durable |
//! |---|---|---|
//! | manifest heads, segments, plans, WAL state (written by compare-and-swap) | in memory and in the [object log](self::log) | before the put is acknowledged |
//! | leases | in memory | never: they end with the process |
//! | WAL segments, SSTs, checkpoints | [files](self::file) of the host | by `flush`, `commit` and `close` |
//!
//! One value serves every table of a store; a table is a path prefix. Its futures are ready when they are first polled:
//! [`Io`](crate::io::Io) blocks the calling thread, and in WebAssembly the I/O thread works meanwhile.

mod file;
mod log;
mod objects;
mod sums;

use std::collections::HashMap;
use std::io::{Error as StdError, ErrorKind};
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusio::dynamic::MaybeSendFuture;
use fusio::fs::{CasCondition, FileMeta, FileSystemTag, Fs, FsCas, OpenOptions};
use fusio::path::Path;
use fusio::{Error, FileCommit, IoBuf, IoBufMut, Read, Write};
use futures::Stream;

use self::file::PlainFile;
use self::objects::{Clash, Condition, Object, Objects};
use crate::io::{IoError, IoErrorCode, IoResult, OpenMode, SharedIo};

/// Files that stay open after their last handle is gone: opening costs more than reading.
const IDLE_FILE_COUNT_MAX: usize = 64;

/// Where the object log is kept, relative to the file system's root.
const OBJECT_DIRECTORY: &str = "objects";

type BoxFuture<'a, T> = Pin<Box<dyn MaybeSendFuture<Output = T> + 'a>>;

/// The file system that every Tonbo table of one store uses. Clones are the same file system.
#[derive(Clone, Debug)]
pub struct TonboFs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    io: SharedIo,
    root: String,
    objects: Arc<Objects>,
    files: Mutex<HashMap<String, Entry>>,
    /// Counts uses, to find the file that was used the longest time ago.
    clock: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<PlainFile>,
    last_use: u64,
}

impl TonboFs {
    /// Opens the file system below the directory `root` of `io` and reads its objects.
    ///
    /// # Errors
    /// The object log can't be read or written, or is damaged.
    pub fn open(io: SharedIo, root: &str) -> IoResult<Self> {
        let root = root.trim_matches('/').to_owned();
        let objects = Objects::open(io.clone(), &format!("{root}/{OBJECT_DIRECTORY}"))?;
        let objects = Arc::new(objects);
        let files = Mutex::new(HashMap::new());
        Ok(Self {
            shared: Arc::new(Shared {
                io,
                root,
                objects,
                files,
                clock: AtomicU64::new(0),
            }),
        })
    }

    /// Whether there is an object below `directory`: where a manifest is, a table is.
    pub fn has_objects(&self, directory: &str) -> bool {
        !self
            .shared
            .objects
            .list(directory.trim_matches('/'))
            .is_empty()
    }

    /// The paths of everything below `directory`, objects and files.
    ///
    /// # Errors
    /// The host refuses to list.
    pub fn paths(&self, directory: &str) -> IoResult<Vec<String>> {
        let found = self.shared.list(directory)?;
        Ok(found.into_iter().map(|(path, _)| path).collect())
    }

    /// The byte ranges of a file that fail their checksums.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn damage(&self, path: &str) -> IoResult<Vec<Range<u64>>> {
        self.shared.open_file(path, false)?.find_damage()
    }

    /// All bytes of a file, checked against nothing.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn bytes_unchecked(&self, path: &str) -> IoResult<Vec<u8>> {
        self.shared.open_file(path, false)?.read_unchecked()
    }

    /// Gives a file other content, durably.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn replace(&self, path: &str, bytes: &[u8]) -> IoResult<()> {
        let file = self.shared.open_file(path, true)?;
        file.truncate();
        file.append(bytes)?;
        file.sync()
    }

    /// Where a file is within the store's directory.
    pub fn host_path(&self, path: &str) -> String {
        self.shared.host_path(path)
    }

    /// Removes an object or a file that nobody has open.
    ///
    /// # Errors
    /// The host refuses.
    pub fn remove_path(&self, path: &str) -> IoResult<()> {
        self.shared.remove(path)
    }

    /// Removes everything below `directory`, objects and files: a table that was dropped.
    ///
    /// # Errors
    /// The host refuses a removal; the rest may be gone already, and a second call continues.
    pub fn remove_all(&self, directory: &str) -> IoResult<()> {
        for (path, _) in self.shared.list(directory)? {
            self.shared.remove(&path)?;
        }
        Ok(())
    }
}

impl Shared {
    fn host_path(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Every change of the map is one call.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, path: &str, create: bool) -> IoResult<Arc<PlainFile>> {
        // Relaxed: approximate order is enough.
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut files = self.files();
        // Whoever wrote it has given it up: what is on the disk counts again.
        let given_up = match files.get(path) {
            Some(entry) if Arc::strong_count(&entry.file) == 1 && entry.file.has_failed() => {
                files.remove(path)
            }
            _ => None,
        };
        drop(given_up);
        if let Some(entry) = files.get_mut(path) {
            entry.last_use = now;
            return Ok(entry.file.clone());
        }
        let mode = if create {
            OpenMode::OrCreate
        } else {
            OpenMode::Existing
        };
        let id = self.io.open(&self.host_path(path), mode)?;
        let file = Arc::new(PlainFile::new(self.io.clone(), id, path, &self.objects)?);
        files.insert(
            path.to_owned(),
            Entry {
                file: file.clone(),
                last_use: now,
            },
        );
        let idle = || {
            files
                .iter()
                .filter(|(_, entry)| Arc::strong_count(&entry.file) == 1)
        };
        if idle().count() > IDLE_FILE_COUNT_MAX {
            let oldest = idle()
                .min_by_key(|(_, entry)| entry.last_use)
                .map(|(path, _)| path.clone());
            let closed = oldest.and_then(|path| files.remove(&path));
            drop(files);
            drop(closed);
        }
        Ok(file)
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        if self.objects.remove(path)? {
            return Ok(());
        }
        // A put that was refused may stand in the log all the same, and name this file.
        self.objects.settle()?;
        let forgotten = self.files().remove(path);
        let outcome = self.io.remove(&self.host_path(path));
        drop(forgotten);
        outcome?;
        if let Some(object) = sums::object_of(path) {
            self.objects.remove(&object)?;
        }
        Ok(())
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        let directory = directory.trim_matches('/');
        let mut found = self.objects.list(directory);
        found.retain(|(path, _)| !crate::io::is_below(path, sums::DIRECTORY));
        let (root, log) = (format!("{}/", self.root), self.host_path(OBJECT_DIRECTORY));
        let host_directory = if directory.is_empty() {
            self.root.clone()
        } else {
            self.host_path(directory)
        };
        for (host_path, size) in self.io.list(&host_directory)? {
            if crate::io::is_below(&host_path, &log) {
                continue;
            }
            if let Some(path) = host_path.strip_prefix(&root) {
                let open_size = self.files().get(path).map(|entry| entry.file.size());
                found.push((path.to_owned(), open_size.unwrap_or(size)));
            }
        }
        found.sort();
        Ok(found)
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        Ok(self.objects.get(path).is_some() || self.io.exists(&self.host_path(path))?)
    }
}

/// An open file of [`TonboFs`], or one version of an object.
#[derive(Debug)]
pub struct TonboFile {
    source: Source,
    may_write: bool,
}

#[derive(Debug)]
enum Source {
    File(Arc<PlainFile>),
    Object(Arc<Object>),
}

impl TonboFile {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let count = match &self.source {
            Source::File(file) => file.read_at(offset, buffer).map_err(fusio_error)?,
            Source::Object(object) => crate::io::copy_at(&object.content.payload, offset, buffer),
        };
        if count == buffer.len() {
            return Ok(());
        }
        let message = format!("{count} of {} bytes at {offset}", buffer.len());
        Err(Error::Io(StdError::new(ErrorKind::UnexpectedEof, message)))
    }

    fn byte_count(&self) -> u64 {
        match &self.source {
            Source::File(file) => file.size(),
            Source::Object(object) => object.content.payload.len() as u64,
        }
    }

    fn writable(&self) -> Result<&PlainFile, Error> {
        match &self.source {
            Source::File(file) if self.may_write => Ok(file),
            Source::File(file) => Err(fusio_error(file.error(
                IoErrorCode::PermissionDenied,
                "write",
                "opened for reading only",
            ))),
            Source::Object(_) => Err(Error::Unsupported {
                message: "objects are written by compare-and-swap".to_owned(),
            }),
        }
    }

    fn sync(&self) -> Result<(), Error> {
        match &self.source {
            Source::File(file) if self.may_write => file.sync().map_err(fusio_error),
            // A reader has nothing to make durable.
            Source::File(_) | Source::Object(_) => Ok(()),
        }
    }
}

impl Read for TonboFile {
    async fn read_exact_at<B: IoBufMut>(
        &mut self,
        mut buffer: B,
        offset: u64,
    ) -> (Result<(), Error>, B) {
        (self.read(offset, buffer.as_slice_mut()), buffer)
    }

    async fn read_to_end_at(
        &mut self,
        mut buffer: Vec<u8>,
        offset: u64,
    ) -> (Result<(), Error>, Vec<u8>) {
        let count = self.byte_count().saturating_sub(offset);
        let start = buffer.len();
        buffer.resize(start + count as usize, 0);
        (self.read(offset, &mut buffer[start..]), buffer)
    }

    async fn size(&self) -> Result<u64, Error> {
        Ok(self.byte_count())
    }
}

impl Write for TonboFile {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> (Result<(), Error>, B) {
        let outcome = self
            .writable()
            .and_then(|file| file.append(buffer.as_slice()).map_err(fusio_error));
        (outcome, buffer)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.sync()
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.sync()
    }
}

impl FileCommit for TonboFile {
    async fn commit(&mut self) -> Result<(), Error> {
        self.sync()
    }
}

impl Fs for TonboFs {
    type File = TonboFile;

    fn file_system(&self) -> FileSystemTag {
        FileSystemTag::Memory
    }

    async fn open_options(&self, path: &Path, options: OpenOptions) -> Result<TonboFile, Error> {
        let path = path.as_ref();
        if let Some(object) = self.shared.objects.get(path) {
            return Ok(TonboFile {
                source: Source::Object(object),
                may_write: false,
            });
        }
        let file = self
            .shared
            .open_file(path, options.create)
            .map_err(fusio_error)?;
        if options.truncate {
            file.truncate();
        }
        Ok(TonboFile {
            source: Source::File(file),
            may_write: options.write,
        })
    }

    async fn create_dir_all(_path: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn list(
        &self,
        path: &Path,
    ) -> Result<impl Stream<Item = Result<FileMeta, Error>> + Send, Error> {
        let found = self.shared.list(path.as_ref()).map_err(fusio_error)?;
        Ok(futures::stream::iter(found.into_iter().map(
            |(path, size)| {
                let path = Path::parse(&path).map_err(|error| Error::Path(Box::new(error)))?;
                Ok(FileMeta { path, size })
            },
        )))
    }

    async fn remove(&self, path: &Path) -> Result<(), Error> {
        self.shared.remove(path.as_ref()).map_err(fusio_error)
    }

    async fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut source = self.open_options(from, OpenOptions::default()).await?;
        let (outcome, bytes) = source.read_to_end_at(Vec::new(), 0).await;
        outcome?;
        let mut target = self
            .open_options(to, OpenOptions::default().create(true).truncate(true))
            .await?;
        target.write_all(bytes).await.0?;
        target.sync()
    }

    async fn link(&self, _from: &Path, _to: &Path) -> Result<(), Error> {
        Err(Error::Unsupported {
            message: "hosts without hard links".to_owned(),
        })
    }

    async fn exists(&self, path: &Path) -> Result<bool, Error> {
        self.shared.exists(path.as_ref()).map_err(fusio_error)
    }
}

impl FsCas for TonboFs {
    fn load_with_tag(
        &self,
        path: &Path,
    ) -> BoxFuture<'_, Result<Option<(Vec<u8>, String)>, Error>> {
        let path = path.clone();
        Box::pin(async move {
            if let Some(object) = self.shared.objects.get(path.as_ref()) {
                return Ok(Some((object.content.payload.clone(), object.tag.clone())));
            }
            // Checkpoints are written as files and read as objects. They never change, so their name is their tag.
            match self.open_options(&path, OpenOptions::default()).await {
                Ok(mut file) => {
                    let (outcome, bytes) = file.read_to_end_at(Vec::new(), 0).await;
                    outcome?;
                    let tag = format!("file-{path}-{}", bytes.len());
                    Ok(Some((bytes, tag)))
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn put_conditional(
        &self,
        path: &Path,
        payload: &[u8],
        _content_type: Option<&str>,
        metadata: Option<Vec<(String, String)>>,
        condition: CasCondition,
    ) -> BoxFuture<'_, Result<String, Error>> {
        let (path, payload) = (path.as_ref().to_owned(), payload.to_vec());
        Box::pin(async move {
            let metadata = metadata.map(|metadata| metadata.into_iter().collect());
            let condition = match &condition {
                CasCondition::IfNotExists => Condition::Absent,
                CasCondition::IfMatch(tag) => Condition::Tag(tag),
            };
            match self
                .shared
                .objects
                .put(&path, &payload, metadata, condition)
            {
                Ok(Ok(tag)) => Ok(tag),
                Ok(Err(Clash)) => Err(Error::PreconditionFailed),
                Err(error) => Err(fusio_error(error)),
            }
        })
    }
}

impl fusio_manifest::ObjectHead for TonboFs {
    fn head_metadata<'a>(
        &'a self,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<Option<HashMap<String, String>>, Error>> {
        Box::pin(async move {
            Ok(self
                .shared
                .objects
                .get(path.as_ref())
                .map(|object| object.content.metadata.clone()))
        })
    }
}

/// Our error as fusio's; the [`IoError`] stays inside and can be had back by downcasting.
fn fusio_error(error: IoError) -> Error {
    let kind = match error.code {
        IoErrorCode::NotFound => ErrorKind::NotFound,
        IoErrorCode::AlreadyExists => ErrorKind::AlreadyExists,
        IoErrorCode::PermissionDenied => ErrorKind::PermissionDenied,
        IoErrorCode::NoSpace => ErrorKind::StorageFull,
        IoErrorCode::Locked => ErrorKind::ResourceBusy,
        IoErrorCode::Closed => ErrorKind::NotConnected,
        IoErrorCode::Damaged => ErrorKind::InvalidData,
        IoErrorCode::Panicked | IoErrorCode::Other => ErrorKind::Other,
    };
    Error::Io(StdError::new(kind, error))
}
