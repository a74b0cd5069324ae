//! One thread's free objects, a list for each size class.
//!
//! # Invariants
//! 1. Only the owning thread touches a cache: no atomics, no locks on the fast paths.
//! 2. Every object in list `i` was allocated with the layout of class `i`, by whichever thread.
//! 3. A list holds fewer than two batches after [`ThreadCache::release`], so a thread that only frees keeps at most
//!    32 KiB a class (two objects of the biggest).

use std::ptr::null_mut;

use crate::central::{self, Node};
use crate::class::{COUNT, Class};
use crate::limit;

#[derive(Clone, Copy)]
struct List {
    head: *mut Node,
    count: u32,
}

pub(crate) struct ThreadCache {
    lists: [List; COUNT],
}

impl ThreadCache {
    pub(crate) const EMPTY: ThreadCache = ThreadCache {
        lists: [List {
            head: null_mut(),
            count: 0,
        }; COUNT],
    };

    /// An object of `class`, or null where the system has none left.
    #[inline]
    pub(crate) fn acquire(&mut self, class: Class) -> *mut u8 {
        let list = &mut self.lists[class.index()];
        let node = list.head;
        if node.is_null() {
            return self.acquire_refill(class);
        }
        // SAFETY: invariant 2: a node in this list is a free object, so its first word is our link.
        list.head = unsafe { (*node).next };
        list.count -= 1;
        node.cast()
    }

    /// Takes back an object of `class`.
    ///
    /// # Safety
    /// `object` was allocated with the layout of `class` and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn release(&mut self, class: Class, object: *mut u8) {
        let list = &mut self.lists[class.index()];
        let node: *mut Node = object.cast();
        // SAFETY: by this function's contract the object is free, and every class holds a node.
        unsafe { (*node).next = list.head };
        list.head = node;
        list.count += 1;
        if list.count >= 2 * class.batch() {
            self.release_batch(class);
        }
    }

    #[cold]
    fn acquire_refill(&mut self, class: Class) -> *mut u8 {
        let batch = central::take(class);
        if batch.is_null() {
            // SAFETY: no class has size 0.
            return unsafe { limit::alloc(class.layout()) };
        }
        // SAFETY: a batch that another thread gave is a list of free objects of this class, now ours.
        let rest = unsafe { (*batch).next };
        self.lists[class.index()] = List {
            head: rest,
            count: class.batch() - 1,
        };
        batch.cast()
    }

    /// Hands the newest batch of a list to other threads, or back to the system where they have plenty.
    #[cold]
    fn release_batch(&mut self, class: Class) {
        let list = &mut self.lists[class.index()];
        let batch = list.head;
        let mut last = batch;
        for _ in 1..class.batch() {
            // SAFETY: invariant 2; the list has at least a batch of nodes, so `next` is one of them.
            last = unsafe { (*last).next };
        }
        // SAFETY: `last` is a node of this list; cutting behind it leaves two well-formed lists.
        list.head = unsafe { std::mem::replace(&mut (*last).next, null_mut()) };
        list.count -= class.batch();
        // SAFETY: the cut-off list has exactly a batch of free objects that nobody else knows.
        if !unsafe { central::give(class, batch) } {
            free_all(class, batch);
        }
    }

    /// Empties every list: whole batches to other threads, the rest to the system.
    pub(crate) fn flush(&mut self) {
        for class in Class::all() {
            while self.lists[class.index()].count >= class.batch() {
                self.release_batch(class);
            }
            let list = std::mem::replace(
                &mut self.lists[class.index()],
                List {
                    head: null_mut(),
                    count: 0,
                },
            );
            free_all(class, list.head);
        }
    }
}

/// Gives a list of free objects of `class` back to the system.
fn free_all(class: Class, mut node: *mut Node) {
    while !node.is_null() {
        // SAFETY: the caller cut the list off a cache, so its nodes are free objects that only we know.
        let next = unsafe { (*node).next };
        // SAFETY: as above; every object of a class was allocated with the class's layout.
        unsafe { limit::dealloc(node.cast(), class.layout()) };
        node = next;
    }
}
