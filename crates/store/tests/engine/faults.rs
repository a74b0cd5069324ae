//! Files whose calls fail when a test says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_store::io::{FileId, Io, IoError, IoErrorCode, IoResult, MemoryIo, OpenMode, SharedIo};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Open,
    Close,
    Read,
    Write,
    Truncate,
    Size,
    Sync,
    Remove,
    Exists,
    List,
}

/// Which calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// `None`: of any kind.
    pub kind: Option<Kind>,
    /// Only on paths that contain this.
    pub path: &'static str,
    /// The number of the first one among those of its kind, from 1 on.
    pub first: u64,
    /// How many calls from there on; `u64::MAX`: until the fault is lifted.
    pub length: u64,
    pub code: IoErrorCode,
    /// A write that fails leaves its first half.
    pub is_torn: bool,
    /// The call panics, as a bug of ours would, instead of giving an error.
    pub is_panic: bool,
}

/// What the panics of a [`Fault`] say. Real ones may say what is in rows.
pub const PANIC_WORDS: &str = "a bug met the row 'hunter2'";

/// Files of `inner`, with faults.
#[derive(Debug)]
pub struct FaultyIo {
    pub inner: SharedIo,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<Kind, u64>,
    /// Calls that the fault is about, so far.
    matching: u64,
    fault: Option<Fault>,
    hits: Vec<String>,
    paths: HashMap<u32, String>,
    /// Calls of a kind take as long.
    delay: Option<(Kind, Duration)>,
    bytes_read: BTreeMap<String, u64>,
}

impl FaultyIo {
    pub fn new(inner: SharedIo) -> Arc<FaultyIo> {
        Arc::new(FaultyIo {
            inner,
            state: Mutex::default(),
        })
    }

    /// From now on this fault, counted from here.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.state();
        state.matching = 0;
        state.fault = Some(fault);
        state.hits.clear();
    }

    /// The fault is over.
    pub fn lift(&self) {
        self.state().fault = None;
    }

    /// What failed, in order.
    pub fn hits(&self) -> Vec<String> {
        self.state().hits.clone()
    }

    /// How many calls of each kind there were.
    pub fn counts(&self) -> BTreeMap<Kind, u64> {
        self.state().counts.clone()
    }

    /// Calls of this kind take that long from now on.
    pub fn slow_down(&self, kind: Kind, duration: Duration) {
        self.state().delay = Some((kind, duration));
    }

    /// How many bytes were read from files whose paths contain this.
    pub fn bytes_read(&self, part: &str) -> u64 {
        let state = self.state();
        let files = state.bytes_read.iter();
        let files = files.filter(|(path, _)| path.contains(part));
        files.map(|(_, count)| count).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, file: FileId) -> String {
        self.state().paths.get(&file.0).cloned().unwrap_or_default()
    }

    fn check(&self, kind: Kind, path: &str) -> IoResult<()> {
        let mut state = self.state();
        *state.counts.entry(kind).or_default() += 1;
        if let Some((slow, duration)) = state.delay
            && slow == kind
        {
            drop(state);
            std::thread::sleep(duration);
            state = self.state();
        }
        let Some(fault) = state.fault else {
            return Ok(());
        };
        if fault.kind.is_some_and(|other| other != kind) || !path.contains(fault.path) {
            return Ok(());
        }
        // What a task of Tonbo's writes is told apart: see the test of its log.
        if fault.is_panic
            && fault.path.is_empty()
            && path.starts_with("tonbo/")
            && kind != Kind::Read
        {
            return Ok(());
        }
        state.matching += 1;
        let number = state.matching;
        if number < fault.first || number - fault.first >= fault.length {
            return Ok(());
        }
        state.hits.push(format!("{kind:?} {path}"));
        drop(state);
        if fault.is_panic {
            // Formatted, as `unwrap` would.
            panic!("{PANIC_WORDS} in call {number}");
        }
        let message = format!("call {number} failed as the test asked");
        Err(IoError::new(fault.code, "use", path, message))
    }

    fn check_file(&self, kind: Kind, file: FileId) -> IoResult<()> {
        self.check(kind, &self.path_of(file))
    }
}

impl Io for FaultyIo {
    fn open(&self, path: &str, mode: OpenMode) -> IoResult<FileId> {
        self.check(Kind::Open, path)?;
        let file = self.inner.open(path, mode)?;
        self.state().paths.insert(file.0, path.to_owned());
        Ok(file)
    }

    fn close(&self, file: FileId) -> IoResult<()> {
        // A handle whose closing fails is gone all the same.
        let outcome = self.check_file(Kind::Close, file);
        self.inner.close(file)?;
        outcome
    }

    fn read_at(&self, file: FileId, offset: u64, buffer: &mut [u8]) -> IoResult<usize> {
        self.check_file(Kind::Read, file)?;
        let count = self.inner.read_at(file, offset, buffer)?;
        let path = self.path_of(file);
        *self.state().bytes_read.entry(path).or_default() += count as u64;
        Ok(count)
    }

    fn write_at(&self, file: FileId, offset: u64, bytes: &[u8]) -> IoResult<()> {
        if let Err(error) = self.check_file(Kind::Write, file) {
            let is_torn = self.state().fault.is_some_and(|fault| fault.is_torn);
            if is_torn && bytes.len() > 1 {
                self.inner
                    .write_at(file, offset, &bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        self.inner.write_at(file, offset, bytes)
    }

    fn truncate(&self, file: FileId, size: u64) -> IoResult<()> {
        self.check_file(Kind::Truncate, file)?;
        self.inner.truncate(file, size)
    }

    fn size(&self, file: FileId) -> IoResult<u64> {
        self.check_file(Kind::Size, file)?;
        self.inner.size(file)
    }

    fn sync(&self, file: FileId) -> IoResult<()> {
        self.check_file(Kind::Sync, file)?;
        self.inner.sync(file)
    }

    fn remove(&self, path: &str) -> IoResult<()> {
        self.check(Kind::Remove, path)?;
        self.inner.remove(path)
    }

    fn exists(&self, path: &str) -> IoResult<bool> {
        self.check(Kind::Exists, path)?;
        self.inner.exists(path)
    }

    fn list(&self, directory: &str) -> IoResult<Vec<(String, u64)>> {
        self.check(Kind::List, directory)?;
        self.inner.list(directory)
    }
}

/// All files' bytes.
pub fn copy_of(io: &dyn Io) -> BTreeMap<String, Vec<u8>> {
    let all = io.list("").unwrap();
    let bytes = |path: &str, size: u64| {
        let file = io.open(path, OpenMode::Existing).unwrap();
        let mut bytes = vec![0; size as usize];
        io.read_at(file, 0, &mut bytes).unwrap();
        io.close(file).unwrap();
        bytes
    };
    all.into_iter()
        .map(|(path, size)| (path.clone(), bytes(&path, size)))
        .collect()
}

/// These files, in memory.
pub fn disk_of(files: &BTreeMap<String, Vec<u8>>) -> SharedIo {
    let io = MemoryIo::new();
    for (path, bytes) in files {
        let file = io.open(path, OpenMode::CreateNew).unwrap();
        io.write_at(file, 0, bytes).unwrap();
        io.close(file).unwrap();
    }
    Arc::new(io)
}
