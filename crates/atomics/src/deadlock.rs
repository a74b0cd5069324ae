//! Help with deadlocks, for development: who waits for whom, and who takes locks in opposite orders, in words.
//!
//! After [`enable_detection`] each registered thread that is about to sleep for a mutex, or for the turn to read or write, follows who
//! holds it, what that thread waits for, who holds that, and so on. If it meets itself the wait would never end, and it panics with the
//! whole circle. Of the threads of a circle at least the last to fall asleep sees it, for each says what it waits for before it looks.
//!
//! It costs nothing while it is off but one load before each sleep, and nothing where a lock is free either way. It sees waits
//! without a deadline (others in the circle may have one) of [registered](crate::registry) threads, for locks with an owner: not condition variables, semaphores, or a
//! writer's wait for readers to leave.
//!
//! With the feature `lock_order` there is [`enable_order_detection`], which tells of deadlocks that haven't happened: a thread that is about to
//! take the lock B while it holds A, after some thread has done so the other way round, by one step or several, panics with all these orders,
//! and doesn't take B. It keeps the orders of locks with a name. What is taken in a form that tries or has a deadline counts as held,
//! but its taking is no order: it ends by itself. A read counts as a write does, since a writer that waits between two readers makes one
//! wait for the other. Without the feature it costs nothing, with it one load for each lock while it is off.
//!
//! ```
//! use heddle_atomics::{Mutex, deadlock};
//!
//! static ACCOUNTS: Mutex<u32> = Mutex::new(0);
//! deadlock::enable_detection();
//! deadlock::name_lock(ACCOUNTS.raw(), "accounts");
//! ```

use crate::{
    RawMutex, RawRwLock, lock_order,
    registry::{self, Token},
};
use core::fmt::{self, Write};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

static IS_ENABLED: AtomicBool = AtomicBool::new(false);
static THREADS: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());
static LOCKS: Mutex<BTreeMap<usize, String>> = Mutex::new(BTreeMap::new());

/// Has the threads of this program look for circles before they sleep, from now on.
pub fn enable_detection() {
    // Relaxed: a thread that doesn't know yet doesn't look yet.
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// Has the threads of this program panic where they take named locks in opposite orders, from now on.
#[cfg(feature = "lock_order")]
#[cfg_attr(docsrs, doc(cfg(feature = "lock_order")))]
pub fn enable_order_detection() {
    lock_order::enable();
}

/// How often an order wasn't noted, for the table had no room for it: opposite ones of those aren't noticed. It has room for 1024.
#[cfg(feature = "lock_order")]
#[cfg_attr(docsrs, doc(cfg(feature = "lock_order")))]
#[must_use]
pub fn orders_left_out() -> usize {
    lock_order::left_out()
}

/// What this thread is called in reports; it has to be [registered](crate::registry).
pub fn name_thread(name: &str) {
    names(&THREADS).insert(registry::current().bits(), name.to_owned());
}

/// What `lock` is called in reports, as long as it stays where it is. With another name it counts as another lock.
pub fn name_lock(lock: &RawMutex, name: &str) {
    let address = core::ptr::from_ref(lock).addr();
    let before = names(&LOCKS).insert(address, name.to_owned());
    if before.is_none_or(|before| before != name) {
        lock_order::rename(address, true);
    }
}

/// [`name_lock`] for a reader-writer lock.
pub fn name_rw_lock(lock: &RawRwLock, name: &str) {
    name_lock(lock.writer_lock(), name);
}

/// Takes the name of `lock` back, before it is moved or dropped, and forgets in which orders it was taken.
pub fn forget_lock(lock: &RawMutex) {
    let address = core::ptr::from_ref(lock).addr();
    if names(&LOCKS).remove(&address).is_some() {
        lock_order::rename(address, false);
    }
}

/// [`forget_lock`] for a reader-writer lock.
pub fn forget_rw_lock(lock: &RawRwLock) {
    forget_lock(lock.writer_lock());
}

fn names<K>(
    table: &'static Mutex<BTreeMap<K, String>>,
) -> MutexGuard<'static, BTreeMap<K, String>> {
    // A name is in the table or not: nothing is half-done.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics if `me`, which has said that it waits for `lock`, would wait for itself.
#[track_caller]
pub(crate) fn check(me: Token, lock: &RawMutex, name: &dyn fmt::Display) {
    if !IS_ENABLED.load(Ordering::Relaxed) || !me.is_registered() {
        return;
    }
    if let Some(links) = registry::wait_circle(me, lock) {
        panic!("{}", describe(me, lock, name, &links));
    }
}

fn describe(
    me: Token,
    lock: &RawMutex,
    name: &dyn fmt::Display,
    links: &[(Token, usize)],
) -> String {
    let mut text = String::new();
    // Writing into a string doesn't fail.
    let _ = write!(
        text,
        "deadlock: {} waits for {name}, {}",
        thread(me),
        lock_at(core::ptr::from_ref(lock).addr())
    );
    for (holder, next) in links {
        let _ = write!(
            text,
            ", which is held by {}, which waits for {}",
            thread(*holder),
            lock_at(*next)
        );
    }
    let _ = write!(text, ", which is held by {}", thread(me));
    text
}

pub(crate) fn thread(token: Token) -> String {
    match names(&THREADS).get(&token.bits()) {
        Some(name) => format!("{token:?} '{name}'"),
        None => format!("{token:?}"),
    }
}

pub(crate) fn lock_at(address: usize) -> String {
    match names(&LOCKS).get(&address) {
        Some(name) => format!("the lock '{name}'"),
        None => format!("the lock at {address:#x}"),
    }
}
