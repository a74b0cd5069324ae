//! SQLite's mutexes, most of them recursive. On a target without an operating system SQLite would silently do without.
//!
//! # State
//! `owner` is the token of the thread inside, 0 for nobody; `depth` how often it has entered. Both are changed only by the
//! thread that holds `inner`. Who reads `owner` without it finds his own token only if he wrote it himself.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use heddle_atomics::RawMutex;
use rusqlite::ffi;

const STATIC_FIRST: c_int = ffi::SQLITE_MUTEX_STATIC_MAIN;
const STATIC_COUNT: usize = (ffi::SQLITE_MUTEX_STATIC_VFS3 - STATIC_FIRST + 1) as usize;

/// The mutexes SQLite names by number.
static STATICS: [RecursiveMutex; STATIC_COUNT] = [const { RecursiveMutex::new() }; STATIC_COUNT];

pub(super) const METHODS: ffi::sqlite3_mutex_methods = ffi::sqlite3_mutex_methods {
    xMutexInit: Some(init),
    xMutexEnd: Some(end),
    xMutexAlloc: Some(allocate),
    xMutexFree: Some(free),
    xMutexEnter: Some(enter),
    xMutexTry: Some(try_enter),
    xMutexLeave: Some(leave),
    xMutexHeld: Some(held),
    xMutexNotheld: Some(not_held),
};

struct RecursiveMutex {
    inner: RawMutex,
    owner: AtomicUsize,
    depth: AtomicU32,
}

impl RecursiveMutex {
    const fn new() -> Self {
        Self {
            inner: RawMutex::new(),
            owner: AtomicUsize::new(0),
            depth: AtomicU32::new(0),
        }
    }

    fn enter(&self) {
        if !self.is_mine() {
            // A thread that died inside may have left SQLite's data half-changed. Then the whole engine ends; SQLite has no
            // way to be told, and would wait for ever otherwise.
            let _poisoned = self.inner.lock_named(&"a mutex of SQLite");
            self.own();
        }
        self.deepen();
    }

    fn try_enter(&self) -> bool {
        if !self.is_mine() {
            if self.inner.try_lock().is_none() {
                return false;
            }
            self.own();
        }
        self.deepen();
        true
    }

    // Relaxed, here and below: `inner` orders what it guards, and other threads only compare the owner with themselves.

    fn own(&self) {
        self.depth.store(0, Ordering::Relaxed);
        self.owner.store(thread_token(), Ordering::Relaxed);
    }

    fn deepen(&self) {
        self.depth
            .store(self.depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn leave(&self) {
        let depth = self.depth.load(Ordering::Relaxed) - 1;
        self.depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.owner.store(0, Ordering::Relaxed);
            // SAFETY: SQLite leaves only what this thread has entered, and this was the outermost entry.
            unsafe { self.inner.unlock() };
        }
    }

    fn is_mine(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == thread_token()
    }
}

/// A number that no other living thread has, and never 0: the address of a thread-local.
fn thread_token() -> usize {
    thread_local!(static TOKEN: u8 = const { 0 });
    TOKEN.with(|token| std::ptr::from_ref(token).addr())
}

/// # Safety
/// `mutex` came from [`allocate`] and isn't freed.
unsafe fn recursive<'a>(mutex: *mut ffi::sqlite3_mutex) -> &'a RecursiveMutex {
    // SAFETY: see above; a `RecursiveMutex` may be shared between threads.
    unsafe { &*mutex.cast::<RecursiveMutex>() }
}

unsafe extern "C" fn init() -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn end() -> c_int {
    ffi::SQLITE_OK
}

/// SQLite's fast mutexes (id 0) are recursive here as well.
unsafe extern "C" fn allocate(id: c_int) -> *mut ffi::sqlite3_mutex {
    let mutex = match usize::try_from(id - STATIC_FIRST) {
        Ok(index) => match STATICS.get(index) {
            Some(mutex) => std::ptr::from_ref(mutex).cast_mut(),
            None => std::ptr::null_mut(),
        },
        Err(_) => Box::into_raw(Box::new(RecursiveMutex::new())),
    };
    mutex.cast()
}

unsafe extern "C" fn free(mutex: *mut ffi::sqlite3_mutex) {
    // SAFETY: SQLite frees only what it allocated with the ids 0 and 1, once, when nobody is inside.
    drop(unsafe { Box::from_raw(mutex.cast::<RecursiveMutex>()) });
}

unsafe extern "C" fn enter(mutex: *mut ffi::sqlite3_mutex) {
    // SAFETY: a live mutex, see `recursive`.
    unsafe { recursive(mutex) }.enter();
}

unsafe extern "C" fn try_enter(mutex: *mut ffi::sqlite3_mutex) -> c_int {
    // SAFETY: a live mutex, see `recursive`.
    if unsafe { recursive(mutex) }.try_enter() {
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_BUSY
    }
}

unsafe extern "C" fn leave(mutex: *mut ffi::sqlite3_mutex) {
    // SAFETY: a live mutex, see `recursive`.
    unsafe { recursive(mutex) }.leave();
}

unsafe extern "C" fn held(mutex: *mut ffi::sqlite3_mutex) -> c_int {
    // SAFETY: a live mutex, see `recursive`.
    c_int::from(unsafe { recursive(mutex) }.is_mine())
}

unsafe extern "C" fn not_held(mutex: *mut ffi::sqlite3_mutex) -> c_int {
    // SAFETY: a live mutex, see `recursive`.
    c_int::from(!unsafe { recursive(mutex) }.is_mine())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_recursive_and_exclusive() {
        let mutex = RecursiveMutex::new();
        mutex.enter();
        assert!(mutex.try_enter());
        assert!(mutex.is_mine());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| (mutex.try_enter(), mutex.is_mine()));
            assert_eq!(other.join().unwrap(), (false, false));
        });
        mutex.leave();
        assert!(mutex.is_mine(), "entered twice, left once");
        mutex.leave();
        assert!(!mutex.is_mine());
    }

    #[test]
    fn no_increment_is_lost_between_four_threads() {
        let mutex = RecursiveMutex::new();
        let count = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        mutex.enter();
                        mutex.enter();
                        // Two steps, Relaxed: only the mutex makes them one.
                        let seen = count.load(Ordering::Relaxed);
                        count.store(seen + 1, Ordering::Relaxed);
                        mutex.leave();
                        mutex.leave();
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 20_000);
    }
}
