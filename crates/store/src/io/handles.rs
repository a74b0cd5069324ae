//! The table behind [`FileId`]s: open files by small numbers, which are reused after a close.

use std::sync::{Arc, PoisonError, RwLock};

use super::{FileId, IoError, IoErrorCode, IoResult};

/// Open files of type `T`. Looking one up takes a shared lock for as long as a reference count needs; the file itself is
/// used outside it.
#[derive(Debug)]
pub(super) struct Handles<T> {
    slots: RwLock<Slots<T>>,
}

#[derive(Debug)]
struct Slots<T> {
    open: Vec<Option<Arc<T>>>,
    free: Vec<u32>,
}

impl<T> Handles<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: RwLock::new(Slots {
                open: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    pub(super) fn insert(&self, file: Arc<T>) -> FileId {
        // A panic can't leave the table half-changed: every method below changes it in one step.
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = slots.free.pop() {
            slots.open[index as usize] = Some(file);
            return FileId(index);
        }
        slots.open.push(Some(file));
        FileId(u32::try_from(slots.open.len() - 1).expect("fewer than 2^32 open files"))
    }

    pub(super) fn get(&self, operation: &'static str, file: FileId) -> IoResult<Arc<T>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let found = slots.open.get(file.0 as usize).and_then(Clone::clone);
        found.ok_or_else(|| not_open(operation, file))
    }

    pub(super) fn remove(&self, operation: &'static str, file: FileId) -> IoResult<Arc<T>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let taken = slots.open.get_mut(file.0 as usize).and_then(Option::take);
        if taken.is_some() {
            slots.free.push(file.0);
        }
        taken.ok_or_else(|| not_open(operation, file))
    }
}

fn not_open(operation: &'static str, file: FileId) -> IoError {
    IoError::new(
        IoErrorCode::Closed,
        operation,
        "",
        format!("handle {} is not open", file.0),
    )
}
