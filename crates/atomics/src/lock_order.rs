//! In which orders the threads of a program take their locks: what [`deadlock`] needs to tell of two
//! threads that take the same locks in opposite orders although neither has ever waited for the other.
//!
//! # State
//! One table in the program's memory, hence shared by all its threads: a link says that somebody took the lock `to` while it held the
//! lock `from`. Each thread has a list of the locks that it holds. Only locks with a name are watched: an unnamed one may be gone
//! tomorrow, and another one at its address.
//!
//! # Invariants
//! 1. The links have no circle: a thread that would make one panics instead, and takes nothing.
//! 2. A link stays until one of its locks gets another name, or none.
//! 3. There are at most [`LINKS_MAX`] links. One that finds no room is counted, and reports say so; the lock that is taken is still held
//!    against the links that are known.
//!
//! # Memory orderings
//! The table is under a lock of the standard library, which is only ever tried: a browser's main thread may not sleep for it. A thread that
//! was killed while it held the table leaves it taken for ever: then orders are left out, too.
//!
//! # Source
//! Linux's lockdep (I. Molnár, A. van de Ven, "Runtime locking correctness validator"), for single locks rather than classes of them.

use crate::{
    RawMutex, deadlock,
    registry::{self, Token},
};
use core::{
    cell::RefCell,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, TryLockError},
};

/// How many links are known at most.
pub(crate) const LINKS_MAX: usize = 1024;
/// How often the table is tried before an order is left out; another thread has it for microseconds.
const TRIES_MAX: u32 = 1 << 22;

static IS_ENABLED: AtomicBool = AtomicBool::new(false);
static TABLE: Mutex<Table> = Mutex::new(Table {
    watched: BTreeSet::new(),
    links: Vec::new(),
});
/// How many orders found no room, or a table that nobody gave back.
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The locks that this thread holds, as often as it does.
    static HELD: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

struct Table {
    /// The addresses of the locks with a name.
    watched: BTreeSet<usize>,
    links: Vec<Link>,
}

/// Somebody took a lock while it held another.
#[derive(Clone, Copy)]
struct Link {
    from: usize,
    to: usize,
    taker: Token,
}

#[cfg(feature = "lock_order")]
pub(crate) fn enable() {
    // Relaxed: a thread that doesn't know yet doesn't look yet.
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// Without the feature this is `false` when the crate is compiled, and each of the hooks is nothing.
#[inline]
fn is_enabled() -> bool {
    cfg!(all(feature = "lock_order", not(loom))) && IS_ENABLED.load(Ordering::Relaxed)
}

/// How many orders are not known.
#[cfg(feature = "lock_order")]
pub(crate) fn left_out() -> usize {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Notes that this thread is about to take `lock` for as long as it takes.
///
/// # Panics
/// If it holds a lock that was taken the other way round before.
#[inline]
#[track_caller]
pub(crate) fn check(lock: &RawMutex) {
    if is_enabled() && !std::thread::panicking() {
        check_address(address_of(lock));
    }
}

/// Notes that this thread has got `lock`, or a part in it.
#[inline]
pub(crate) fn note_taken(lock: &RawMutex) {
    if is_enabled() {
        with_held((), |held| held.push(address_of(lock)));
    }
}

/// Notes that this thread has let go of that.
#[inline]
pub(crate) fn note_released(lock: &RawMutex) {
    if is_enabled() {
        let address = address_of(lock);
        with_held((), |held| {
            if let Some(at) = held.iter().rposition(|it| *it == address) {
                held.remove(at);
            }
        });
    }
}

/// The lock at `address` has another name than before, or none any more: it is another one from now on.
pub(crate) fn rename(address: usize, has_name: bool) {
    if cfg!(not(feature = "lock_order")) {
        return;
    }
    if let Some(mut table) = table() {
        table
            .links
            .retain(|link| link.from != address && link.to != address);
        table.watched.remove(&address);
        if has_name {
            table.watched.insert(address);
        }
    }
}

fn address_of(lock: &RawMutex) -> usize {
    core::ptr::from_ref(lock).addr()
}

/// What `f` makes of the locks that this thread holds; `otherwise` when it is ending and has forgotten them.
fn with_held<R>(otherwise: R, f: impl FnOnce(&mut Vec<usize>) -> R) -> R {
    HELD.try_with(|held| f(&mut held.borrow_mut()))
        .unwrap_or(otherwise)
}

/// The table; `None` if another thread doesn't give it back.
fn table() -> Option<MutexGuard<'static, Table>> {
    for _ in 0..TRIES_MAX {
        match TABLE.try_lock() {
            Ok(table) => return Some(table),
            // A link is in the table or not: nothing is half-done.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => core::hint::spin_loop(),
        }
    }
    None
}

#[cold]
#[track_caller]
fn check_address(to: usize) {
    let mut held = with_held(Vec::new(), |held| held.clone());
    if held.is_empty() || held.contains(&to) {
        return;
    }
    held.sort_unstable();
    held.dedup();
    let Some(mut table) = table() else {
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if !table.watched.contains(&to) {
        return;
    }
    for from in held {
        let taker = registry::current();
        let link = Link { from, to, taker };
        if table.watched.contains(&from)
            && let Some(back) = table.add(link)
        {
            drop(table);
            panic!("{}", describe(link, &back));
        }
    }
}

impl Table {
    /// Notes the link, or tells the way back if there is one.
    fn add(&mut self, link: Link) -> Option<Vec<Link>> {
        let is_same = |known: &Link| (known.from, known.to) == (link.from, link.to);
        if self.links.iter().any(is_same) {
            return None;
        }
        let back = way_back(&self.links, link);
        if back.is_none() {
            if self.links.len() < LINKS_MAX {
                self.links.push(link);
            } else {
                LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            }
        }
        back
    }
}

/// The shortest way from `link.to` to `link.from`.
fn way_back(links: &[Link], link: Link) -> Option<Vec<Link>> {
    // By which link each lock was reached.
    let mut reached = BTreeMap::new();
    let mut next = VecDeque::from([link.to]);
    while let Some(at) = next.pop_front() {
        for &known in links.iter().filter(|known| known.from == at) {
            if known.to == link.to || reached.contains_key(&known.to) {
                continue;
            }
            reached.insert(known.to, known);
            next.push_back(known.to);
        }
    }
    let mut way = vec![*reached.get(&link.from)?];
    while let Some(&before) = reached.get(&way.last()?.from) {
        way.push(before);
    }
    way.reverse();
    Some(way)
}

fn describe(link: Link, back: &[Link]) -> String {
    let step = |link: &Link, takes: &str, holds: &str| {
        format!(
            "{} {takes} {} while it {holds} {}",
            deadlock::thread(link.taker),
            deadlock::lock_at(link.to),
            deadlock::lock_at(link.from)
        )
    };
    let before: Vec<_> = back.iter().map(|link| step(link, "took", "held")).collect();
    let rest = match LEFT_OUT.load(Ordering::Relaxed) {
        0 => String::new(),
        count => format!(" ({count} orders found no room and aren't known)"),
    };
    format!(
        "lock order: {}, but {}{rest}",
        step(&link, "takes", "holds"),
        before.join(", and ")
    )
}
