//! The memory that statements may take for what has no size of its own: uncommitted rows, sorts, temporary tables, commits on their way into
//! Tonbo. All connections of a database share one budget; what doesn't fit is an error of the statement that asked.
//!
//! The column cache has a budget of its own, and gives way instead of refusing.

use std::sync::Arc;

use crate::error::{StoreError, StoreErrorCode};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The bytes that are taken, and how many may be.
#[derive(Debug)]
pub struct MemoryBudget {
    size_max: usize,
    // Relaxed: a figure that publishes nothing.
    used: AtomicUsize,
}

/// A part of a budget. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct MemoryShare {
    budget: Arc<MemoryBudget>,
    size: usize,
}

/// The budget has no room for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBudget {
    /// The whole budget, in bytes.
    pub size_max: usize,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub fn new(size_max: usize) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget {
            size_max,
            used: AtomicUsize::new(0),
        })
    }

    /// The bytes taken now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that may be taken.
    pub fn size_max(&self) -> usize {
        self.size_max
    }

    /// A part of nothing, to grow.
    pub fn share(self: &Arc<Self>) -> MemoryShare {
        MemoryShare {
            budget: self.clone(),
            size: 0,
        }
    }
}

impl MemoryShare {
    /// The bytes in it.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Takes more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OutOfBudget> {
        let size_max = self.budget.size_max;
        self.budget
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= size_max)
            })
            .map_err(|_| OutOfBudget { size_max })?;
        self.size += bytes;
        Ok(())
    }

    /// Gives some back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.size);
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        self.size -= bytes;
    }

    /// Is of this size from now on, whether the budget has room or not: for what exists already.
    pub fn set(&mut self, size: usize) {
        // By the difference: given back as a whole, even for a moment, the bytes would look free to others.
        match size.checked_sub(self.size) {
            Some(0) => {}
            Some(more) => {
                self.budget.used.fetch_add(more, Ordering::Relaxed);
                self.size = size;
            }
            None => self.shrink(self.size - size),
        }
    }

    /// Takes over `bytes` of another share of the same budget.
    pub fn take_from(&mut self, other: &mut MemoryShare, bytes: usize) {
        let bytes = bytes.min(other.size);
        other.size -= bytes;
        self.size += bytes;
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.shrink(self.size);
    }
}

/// A share that many threads change.
#[derive(Debug)]
pub struct CommonShare(Mutex<MemoryShare>);

impl CommonShare {
    /// Takes a share over.
    pub fn new(share: MemoryShare) -> CommonShare {
        CommonShare(Mutex::new(share))
    }

    /// The bytes in it.
    pub fn size(&self) -> usize {
        self.share().size()
    }

    /// See [`MemoryShare::take_from`].
    pub fn take_from(&self, other: &mut MemoryShare, bytes: usize) {
        self.share().take_from(other, bytes);
    }

    /// See [`MemoryShare::set`].
    pub fn set(&self, size: usize) {
        self.share().set(size);
    }

    fn share(&self) -> MutexGuard<'_, MemoryShare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<OutOfBudget> for StoreError {
    fn from(OutOfBudget { size_max }: OutOfBudget) -> Self {
        StoreError::new(
            StoreErrorCode::OutOfMemory,
            format!(
                "the {} MiB for uncommitted rows, sorts and temporary tables are used up: commit in smaller steps, sort less, or open the \
                 database with more memory",
                size_max >> 20
            ),
        )
    }
}
