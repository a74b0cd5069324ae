//! The objects that are replaced by compare-and-swap: all in memory, the lasting ones in the [log](super::log) too.
//!
//! # Which objects last
//! Leases say which snapshots a living reader holds, so that nothing is deleted under it. The directory belongs to one
//! process: when it ends, no reader is left, and leases of a predecessor would only keep garbage. They live in memory
//! alone. Every other object is durable before its put is acknowledged.
//!
//! # Invariants
//! 1. `objects` changes only under `log`, so a condition checked under `log` still holds when the change is made.
//! 2. A change enters `objects` after the log has it. Readers take `objects` alone and never wait for a sync.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::log::{Content, Log};
use crate::io::{IoError, IoErrorCode, IoResult, SharedIo};

/// One version of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) content: Content,
    /// Names this version, in this process and no other.
    pub(super) tag: String,
}

/// When a put is done.
pub(super) enum Condition<'a> {
    /// There is no such object.
    Absent,
    /// The object has this tag.
    Tag(&'a str),
}

/// The outcome of a put that was not done because of its condition.
#[derive(Debug)]
pub(super) struct Clash;

#[derive(Debug)]
pub(super) struct Objects {
    objects: RwLock<BTreeMap<String, Arc<Object>>>,
    log: Mutex<Log>,
    /// Tags are not repeated by another opening of the same store: caches of this process are keyed by them.
    instance: u64,
    tag_count: AtomicU64,
}

impl Objects {
    pub(super) fn open(io: SharedIo, directory: &str) -> IoResult<Self> {
        let (log, found) = Log::open(io, directory)?;
        let instance = getrandom::u64().map_err(|error| {
            IoError::new(IoErrorCode::Other, "open", directory, error.to_string())
        })?;
        let this = Self {
            objects: RwLock::new(BTreeMap::new()),
            log: Mutex::new(log),
            instance,
            tag_count: AtomicU64::new(0),
        };
        let objects = found
            .into_iter()
            .map(|(path, content)| (path, this.version(content)))
            .collect();
        Ok(Self {
            objects: RwLock::new(objects),
            ..this
        })
    }

    pub(super) fn get(&self, path: &str) -> Option<Arc<Object>> {
        self.read().get(path).cloned()
    }

    /// Paths and sizes of the objects below `directory`.
    pub(super) fn list(&self, directory: &str) -> Vec<(String, u64)> {
        let objects = self.read();
        let below = objects
            .iter()
            .filter(|(path, _)| crate::io::is_below(path, directory));
        below
            .map(|(path, object)| (path.clone(), object.content.payload.len() as u64))
            .collect()
    }

    /// Puts an object if the condition holds, and returns its new tag.
    pub(super) fn put(
        &self,
        path: &str,
        payload: &[u8],
        metadata: Option<HashMap<String, String>>,
        condition: Condition<'_>,
    ) -> IoResult<Result<String, Clash>> {
        let mut log = self.log();
        let old = self.get(path);
        let holds = match (&condition, &old) {
            (Condition::Absent, old) => old.is_none(),
            (Condition::Tag(tag), Some(old)) => old.tag == *tag,
            (Condition::Tag(_), None) => false,
        };
        if !holds {
            return Ok(Err(Clash));
        }
        let metadata = metadata.unwrap_or_else(|| {
            old.map(|old| old.content.metadata.clone())
                .unwrap_or_default()
        });
        let object = self.version(Content {
            payload: payload.to_vec(),
            metadata,
        });
        if lasts(path) {
            // Where that fails, on a full disk say, the log goes on as long as it is.
            let _rewritten = self.rewrite_if_due(&mut log);
            log.put(path, &object.content)?;
        }
        let tag = object.tag.clone();
        self.write(|objects| objects.insert(path.to_owned(), object));
        Ok(Ok(tag))
    }

    /// Puts an object whatever was there before.
    pub(super) fn replace(&self, path: &str, payload: &[u8]) -> IoResult<()> {
        loop {
            let old = self.get(path);
            let condition = match &old {
                Some(old) => Condition::Tag(&old.tag),
                None => Condition::Absent,
            };
            if self.put(path, payload, None, condition)?.is_ok() {
                return Ok(());
            }
        }
    }

    /// Removes an object; false where there is none.
    pub(super) fn remove(&self, path: &str) -> IoResult<bool> {
        let mut log = self.log();
        if self.get(path).is_none() {
            return Ok(false);
        }
        if lasts(path) {
            log.remove(path)?;
        }
        self.write(|objects| objects.remove(path));
        Ok(true)
    }

    /// See [`Log::settle`].
    pub(super) fn settle(&self) -> IoResult<()> {
        self.log().settle()
    }

    fn rewrite_if_due(&self, log: &mut Log) -> IoResult<()> {
        let objects = self.read();
        let lasting = || objects.iter().filter(|(path, _)| lasts(path));
        let size = lasting()
            .map(|(path, object)| (path.len() + object.content.payload.len()) as u64)
            .sum();
        if !log.wants_rewrite(size) {
            return Ok(());
        }
        let living: Vec<_> = lasting()
            .map(|(path, object)| (path.as_str(), &object.content))
            .collect();
        log.rewrite(&living)
    }

    fn version(&self, content: Content) -> Arc<Object> {
        // Relaxed: the number only has to differ from every other.
        let number = self.tag_count.fetch_add(1, Ordering::Relaxed);
        Arc::new(Object {
            content,
            tag: format!("{:016x}-{number:x}", self.instance),
        })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A panic while a record was written leaves the log's end where it was: the next put overwrites it.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Object>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Object>>) -> R) {
        // One change of the map at a time: no panic leaves it half-changed.
        change(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn lasts(path: &str) -> bool {
    let in_leases = path
        .rsplit_once('/')
        .is_some_and(|(directory, _)| directory == "leases" || directory.ends_with("/leases"));
    !in_leases
}
