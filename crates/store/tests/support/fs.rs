//! A file system in memory. Each file has its bytes and its durable bytes; `flush`, `close`, `commit` and conditional puts
//! make bytes durable. A test can take an image of either, change files, count writes, and hold flushes back.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use fusio::{
    Error, FileCommit, IoBuf, IoBufMut, MaybeSend, Read, Write,
    dynamic::MaybeSendFuture,
    fs::{CasCondition, FileMeta, FileSystemTag, Fs, FsCas, OpenOptions},
    path::Path,
};
use fusio_manifest::ObjectHead;
use futures::{Stream, stream};

#[derive(Clone, Default)]
struct Entry {
    bytes: Vec<u8>,
    durable: Option<Vec<u8>>,
    tag: u64,
    metadata: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Entry>,
    next_tag: u64,
    conditional_puts: BTreeMap<String, u64>,
    flush_held: bool,
    /// Flushes of paths that contain this fail.
    failing_flushes: Option<String>,
    /// Conditional puts of paths that contain this are told as failed after they have taken effect.
    lost_answers: Option<String>,
    /// Whether those paths can't be read either once that has happened, and whether it has.
    loses_reads: bool,
    reads_lost: bool,
    /// What happens before the next change of a path that contains this.
    before_change: Option<(String, Box<dyn FnOnce() + Send>)>,
    flushes_waiting: usize,
    /// What a crash before each change would leave, see [`TestFs::record_crashes`].
    crashes: Option<Vec<TestFs>>,
    crashes_at: String,
}

impl State {
    fn loses_answer_of(&self, path: &str) -> bool {
        let lost = self.lost_answers.as_ref();
        lost.is_some_and(|part| path.contains(part.as_str()))
    }

    fn copy_with(&self, content: impl Fn(&Entry) -> Option<Vec<u8>>) -> TestFs {
        let files = self.files.iter().filter_map(|(path, entry)| {
            let bytes = content(entry)?;
            let copy = Entry {
                durable: Some(bytes.clone()),
                bytes,
                ..entry.clone()
            };
            Some((path.clone(), copy))
        });
        let state = State {
            files: files.collect(),
            next_tag: self.next_tag,
            ..State::default()
        };
        TestFs(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Default)]
pub struct TestFs(Arc<Shared>);

fn missing(path: &str) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::NotFound, path.to_owned()))
}

impl TestFs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no test panics under the lock")
    }

    /// The state, about to be changed by the table at `path`.
    fn changing(&self, path: &str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let is_next = |(part, _): &mut (String, _)| path.contains(part.as_str());
        if let Some((_, work)) = state.before_change.take_if(is_next) {
            drop(state);
            work();
            state = self.state();
        }
        let is_recorded = state.crashes.is_some() && path.contains(&state.crashes_at);
        if is_recorded && !path.contains("/leases/") {
            let copies = [
                state.copy_with(|entry| Some(entry.bytes.clone())),
                state.copy_with(|entry| entry.durable.clone()),
            ];
            // Leases end with their process.
            for copy in &copies {
                let is_lease = |path: &String| path.contains("/leases/");
                copy.state().files.retain(|path, _| !is_lease(path));
            }
            state.crashes.get_or_insert_default().extend(copies);
        }
        state
    }

    /// From now on keep what a lost process and a power failure would leave before each change of a path that contains `part`.
    pub fn record_crashes(&self, part: &str) {
        let mut state = self.state();
        state.crashes = Some(Vec::new());
        part.clone_into(&mut state.crashes_at);
    }

    /// What was kept. Nothing is kept from now on.
    pub fn take_crashes(&self) -> Vec<TestFs> {
        self.state().crashes.take().unwrap_or_default()
    }

    /// How many handles there are, those inside tables and files included.
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// What another process would find now.
    pub fn image(&self) -> Self {
        self.state().copy_with(|entry| Some(entry.bytes.clone()))
    }

    /// What is left after the power fails now.
    pub fn after_power_loss(&self) -> Self {
        self.state().copy_with(|entry| entry.durable.clone())
    }

    pub fn paths(&self, part: &str) -> Vec<String> {
        let state = self.state();
        let paths = state.files.keys().filter(|path| path.contains(part));
        paths.cloned().collect()
    }

    /// The bytes of all files whose paths contain `part`.
    pub fn size(&self, part: &str) -> usize {
        let state = self.state();
        let files = state.files.iter().filter(|(path, _)| path.contains(part));
        files.map(|(_, entry)| entry.bytes.len()).sum()
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        self.state().files[path].bytes.clone()
    }

    pub fn write(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let entry = state.files.entry(path.to_owned()).or_default();
        entry.durable = Some(bytes.clone());
        entry.bytes = bytes;
    }

    pub fn delete(&self, path: &str) {
        self.state().files.remove(path);
    }

    /// Conditional puts to paths that contain `part` since the file system was made.
    pub fn conditional_puts(&self, part: &str) -> u64 {
        let state = self.state();
        let counts = state.conditional_puts.iter();
        counts
            .filter(|(path, _)| path.contains(part))
            .map(|(_, count)| count)
            .sum()
    }

    /// From now on `flush` waits until [`Self::release_flushes`].
    pub fn hold_flushes(&self) {
        self.state().flush_held = true;
    }

    pub fn release_flushes(&self) {
        self.state().flush_held = false;
        self.0.changed.notify_all();
    }

    /// Block until a flush is being held back.
    pub fn wait_for_held_flush(&self) {
        let mut state = self.state();
        while state.flushes_waiting == 0 {
            state = self.0.changed.wait(state).expect("the lock is whole");
        }
    }

    /// From now on `flush` of a path that contains `part` fails, or of none.
    pub fn fail_flushes(&self, part: Option<&str>) {
        self.state().failing_flushes = part.map(str::to_owned);
    }

    /// From now on a conditional put of a path that contains `part`, or of none, takes effect and is told as failed.
    pub fn lose_answers(&self, part: Option<&str>) {
        let mut state = self.state();
        state.lost_answers = part.map(str::to_owned);
        (state.loses_reads, state.reads_lost) = (false, false);
    }

    /// The same, and from that put on such a path can't be read.
    pub fn lose_answers_and_reads(&self, part: Option<&str>) {
        self.lose_answers(part);
        self.state().loses_reads = true;
    }

    /// Do `work` once, before the next change of a path that contains `part`.
    pub fn before_next_change(&self, part: &str, work: impl FnOnce() + Send + 'static) {
        self.state().before_change = Some((part.to_owned(), Box::new(work)));
    }

    fn sync(&self, path: &str) {
        let mut state = self.changing(path);
        if let Some(entry) = state.files.get_mut(path) {
            entry.durable = Some(entry.bytes.clone());
        }
    }
}

pub struct TestFile {
    fs: TestFs,
    path: String,
}

impl Read for TestFile {
    async fn read_exact_at<B: IoBufMut>(&mut self, mut buf: B, pos: u64) -> (Result<(), Error>, B) {
        let state = self.fs.state();
        let Some(entry) = state.files.get(&self.path) else {
            return (Err(missing(&self.path)), buf);
        };
        let start = usize::try_from(pos).expect("files are small");
        let Some(bytes) = entry.bytes.get(start..start + buf.bytes_init()) else {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, self.path.clone());
            return (Err(error.into()), buf);
        };
        buf.as_slice_mut().copy_from_slice(bytes);
        (Ok(()), buf)
    }

    async fn read_to_end_at(&mut self, mut buf: Vec<u8>, pos: u64) -> (Result<(), Error>, Vec<u8>) {
        let state = self.fs.state();
        let Some(entry) = state.files.get(&self.path) else {
            return (Err(missing(&self.path)), buf);
        };
        let start = usize::try_from(pos).expect("files are small");
        buf.extend_from_slice(&entry.bytes[start.min(entry.bytes.len())..]);
        (Ok(()), buf)
    }

    async fn size(&self) -> Result<u64, Error> {
        let state = self.fs.state();
        let entry = state.files.get(&self.path);
        entry
            .map(|entry| entry.bytes.len() as u64)
            .ok_or_else(|| missing(&self.path))
    }
}

impl Write for TestFile {
    async fn write_all<B: IoBuf>(&mut self, buf: B) -> (Result<(), Error>, B) {
        let mut state = self.fs.changing(&self.path);
        let Some(entry) = state.files.get_mut(&self.path) else {
            return (Err(missing(&self.path)), buf);
        };
        entry.bytes.extend_from_slice(buf.as_slice());
        (Ok(()), buf)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        {
            let mut state = self.fs.state();
            state.flushes_waiting += 1;
            self.fs.0.changed.notify_all();
            while state.flush_held {
                state = self.fs.0.changed.wait(state).expect("the lock is whole");
            }
            state.flushes_waiting -= 1;
            let failing = state.failing_flushes.as_ref();
            if failing.is_some_and(|part| self.path.contains(part.as_str())) {
                return Err(io::Error::other("the disk is on strike").into());
            }
        }
        self.fs.sync(&self.path);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.fs.sync(&self.path);
        Ok(())
    }
}

impl FileCommit for TestFile {
    async fn commit(&mut self) -> Result<(), Error> {
        self.fs.sync(&self.path);
        Ok(())
    }
}

impl Fs for TestFs {
    type File = TestFile;

    fn file_system(&self) -> FileSystemTag {
        FileSystemTag::Memory
    }

    async fn open_options(&self, path: &Path, options: OpenOptions) -> Result<TestFile, Error> {
        let path = path.as_ref().to_owned();
        let mut state = self.changing(&path);
        if !state.files.contains_key(&path) {
            if !options.create {
                return Err(missing(&path));
            }
            state.files.insert(path.clone(), Entry::default());
        }
        if options.truncate
            && let Some(entry) = state.files.get_mut(&path)
        {
            entry.bytes.clear();
        }
        drop(state);
        Ok(TestFile {
            fs: self.clone(),
            path,
        })
    }

    async fn create_dir_all(_path: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn list(
        &self,
        path: &Path,
    ) -> Result<impl Stream<Item = Result<FileMeta, Error>> + MaybeSend, Error> {
        let state = self.state();
        let prefix = path.as_ref();
        let found: Vec<_> = state
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(prefix))
            .map(|(path, entry)| {
                Ok(FileMeta {
                    path: Path::from(path.clone()),
                    size: entry.bytes.len() as u64,
                })
            })
            .collect();
        Ok(stream::iter(found))
    }

    async fn remove(&self, path: &Path) -> Result<(), Error> {
        self.changing(path.as_ref()).files.remove(path.as_ref());
        Ok(())
    }

    async fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut state = self.state();
        let source = state.files.get(from.as_ref()).cloned();
        let source = source.ok_or_else(|| missing(from.as_ref()))?;
        state.files.insert(to.as_ref().to_owned(), source);
        Ok(())
    }

    async fn link(&self, _from: &Path, _to: &Path) -> Result<(), Error> {
        Err(Error::Unsupported {
            message: "links".to_owned(),
        })
    }

    async fn exists(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.state().files.contains_key(path.as_ref()))
    }
}

type CasFuture<'a, T> = Pin<Box<dyn MaybeSendFuture<Output = Result<T, Error>> + 'a>>;

impl FsCas for TestFs {
    fn load_with_tag(&self, path: &Path) -> CasFuture<'_, Option<(Vec<u8>, String)>> {
        let path = path.as_ref().to_owned();
        Box::pin(async move {
            let state = self.state();
            if state.reads_lost && state.loses_answer_of(&path) {
                return Err(io::Error::other("the store is away").into());
            }
            let entry = state.files.get(&path);
            Ok(entry.map(|entry| (entry.bytes.clone(), entry.tag.to_string())))
        })
    }

    fn put_conditional(
        &self,
        path: &Path,
        payload: &[u8],
        _content_type: Option<&str>,
        metadata: Option<Vec<(String, String)>>,
        condition: CasCondition,
    ) -> CasFuture<'_, String> {
        let path = path.as_ref().to_owned();
        let bytes = payload.to_vec();
        Box::pin(async move {
            let mut state = self.changing(&path);
            *state.conditional_puts.entry(path.clone()).or_default() += 1;
            let current = state.files.get(&path).map(|entry| entry.tag.to_string());
            let holds = match &condition {
                CasCondition::IfNotExists => current.is_none(),
                CasCondition::IfMatch(tag) => current.as_ref() == Some(tag),
            };
            if !holds {
                return Err(Error::PreconditionFailed);
            }
            state.next_tag += 1;
            let entry = Entry {
                durable: Some(bytes.clone()),
                bytes,
                tag: state.next_tag,
                metadata: metadata.unwrap_or_default().into_iter().collect(),
            };
            let tag = entry.tag.to_string();
            let is_lost = state.loses_answer_of(&path);
            state.files.insert(path, entry);
            if is_lost {
                state.reads_lost = state.loses_reads;
                return Err(io::Error::other("the answer was lost").into());
            }
            Ok(tag)
        })
    }
}

impl ObjectHead for TestFs {
    fn head_metadata<'a>(
        &'a self,
        path: &'a Path,
    ) -> CasFuture<'a, Option<HashMap<String, String>>> {
        Box::pin(async move {
            let state = self.state();
            let entry = state.files.get(path.as_ref());
            Ok(entry.map(|entry| entry.metadata.clone()))
        })
    }
}
