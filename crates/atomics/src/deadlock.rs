//! Help with deadlocks, for development: who waits for whom, in words.
//!
//! After [`enable_detection`] each registered thread that is about to sleep for a mutex, or for the turn to read or write, follows who
//! holds it, what that thread waits for, who holds that, and so on. If it meets itself the wait would never end, and it panics with the
//! whole circle. Of the threads of a circle at least the last to fall asleep sees it, for each says what it waits for before it looks.
//!
//! It costs nothing while it is off but one load before each sleep, and nothing where a lock is free either way. It sees waits
//! without a deadline (others in the circle may have one) of [registered](crate::registry) threads, for locks with an owner: not condition variables, semaphores, or a
//! writer's wait for readers to leave.
//!
//! ```
//! use heddle_atomics::{Mutex, deadlock};
//!
//! static ACCOUNTS: Mutex<u32> = Mutex::new(0);
//! deadlock::enable_detection();
//! deadlock::name_lock(ACCOUNTS.raw(), "accounts");
//! ```

use crate::{
    RawMutex,
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

/// What this thread is called in reports; it has to be [registered](crate::registry).
pub fn name_thread(name: &str) {
    names(&THREADS).insert(registry::current().bits(), name.to_owned());
}

/// What `lock` is called in reports, as long as it stays where it is.
pub fn name_lock(lock: &RawMutex, name: &str) {
    names(&LOCKS).insert(core::ptr::from_ref(lock).addr(), name.to_owned());
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

fn thread(token: Token) -> String {
    match names(&THREADS).get(&token.bits()) {
        Some(name) => format!("{token:?} '{name}'"),
        None => format!("{token:?}"),
    }
}

fn lock_at(address: usize) -> String {
    match names(&LOCKS).get(&address) {
        Some(name) => format!("the lock '{name}'"),
        None => format!("the lock at {address:#x}"),
    }
}
