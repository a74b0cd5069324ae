//! What threads hand to each other: full batches of free objects, by size class.
//!
//! A thread that frees more than it allocates (the consumer of a queue, say) fills batches here, a thread that allocates
//! more than it frees takes them. A batch changes hands under one short lock, whatever the number of its objects.
//!
//! # State
//! `Stash.locked`: `true` while a thread is between [`Stash::lock`] and the guard's drop. `head` is a list of batches
//! through [`Node::next_batch`] of each batch's first object; a batch is a list of objects through [`Node::next`].
//!
//! # Invariants
//! 1. `head` and `count` are touched only under the lock.
//! 2. Nothing inside the lock calls out, allocates or panics, so it is held for a few instructions.
//! 3. Nobody waits for the lock: a thread that finds it taken goes to the system allocator instead. A thread that dies
//!    inside it costs this class its stash, not other threads their progress.
//!
//! # Memory orderings
//! `Release` when unlocking publishes the batch's links to the `Acquire` of the next successful [`Stash::lock`].

use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::class::{COUNT, Class};

/// Bytes of free objects that a class keeps here at most; what is more goes back to the system.
const CLASS_BYTES_MAX: usize = 512 * 1024;

/// The first words of a free object.
#[repr(C)]
pub(crate) struct Node {
    pub(crate) next: *mut Node,
    pub(crate) next_batch: *mut Node,
}

const _: () = assert!(
    size_of::<Node>() <= 16,
    "the smallest class must hold a node"
);

struct Stash {
    locked: AtomicBool,
    inner: UnsafeCell<Batches>,
}

struct Batches {
    head: *mut Node,
    count: usize,
}

// SAFETY: invariant 1: `inner` is only touched under the lock, and free objects belong to nobody else.
unsafe impl Sync for Stash {}

impl Stash {
    const fn new() -> Stash {
        Stash {
            locked: AtomicBool::new(false),
            inner: UnsafeCell::new(Batches {
                head: null_mut(),
                count: 0,
            }),
        }
    }

    /// Runs `with` under the lock, or returns `None` at once where another thread holds it.
    fn lock<R>(&self, with: impl FnOnce(&mut Batches) -> R) -> Option<R> {
        if self.locked.swap(true, Acquire) {
            return None;
        }
        // SAFETY: the swap took the lock, so this is the only reference until the store below.
        let result = with(unsafe { &mut *self.inner.get() });
        self.locked.store(false, Release);
        Some(result)
    }
}

static STASHES: [Stash; COUNT] = [const { Stash::new() }; COUNT];

/// Offers a full batch to the other threads; `false` where it stays the caller's, because there is no room or the
/// stash is taken.
///
/// # Safety
/// `batch` is a list of [`Class::batch`] free objects of `class` that nobody else knows.
pub(crate) unsafe fn give(class: Class, batch: *mut Node) -> bool {
    let count_max = (CLASS_BYTES_MAX / (class.size() * class.batch() as usize)).max(1);
    STASHES[class.index()]
        .lock(|batches| {
            if batches.count >= count_max {
                return false;
            }
            // SAFETY: by this function's contract `batch` is a free object, so its first words are ours.
            unsafe { (*batch).next_batch = batches.head };
            batches.head = batch;
            batches.count += 1;
            true
        })
        .unwrap_or(false)
}

/// Takes a batch of [`Class::batch`] free objects that some thread gave, or null.
pub(crate) fn take(class: Class) -> *mut Node {
    STASHES[class.index()]
        .lock(|batches| {
            let batch = batches.head;
            if !batch.is_null() {
                // SAFETY: invariant 1: what is linked here is a free object that only this lock's holder touches.
                batches.head = unsafe { (*batch).next_batch };
                batches.count -= 1;
            }
            batch
        })
        .unwrap_or(null_mut())
}
