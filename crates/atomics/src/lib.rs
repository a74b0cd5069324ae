//! Locks on fixed records in shared memory, the same in Rust and in TypeScript.
//!
//! # When to use it
//! In a WebAssembly program whose threads share one memory, where `std`'s locks trap on a browser's main thread,
//! don't know when their owner has died, and can't be taken by TypeScript. Natively the same algorithms run over
//! the operating system's futex, so that tests and model checkers see what the browser will run.
//!
//! # The floors
//! | floor | here |
//! |---|---|
//! | what programs use | [`Mutex`], [`RwLock`], [`Condvar`], [`Semaphore`], [`Once`], [`OnceCell`], [`Lazy`], [`Barrier`]: the names and the poisoning of `std`; [`Latch`], [`WaitGroup`], [`Event`], [`Parker`] |
//! | the algorithms, on `#[repr(C)]` records at an address shared with TypeScript | [`RawMutex`], [`RawRwLock`], [`RawCondvar`], [`RawSemaphore`] |
//! | who lives, and who waits for what | [`registry`] |
//! | sleeping and waking | [`futex`] |
//!
//! # Threads that may not block
//! A browser's main thread must never block: the engine traps. [`may_block`] says whether this thread may. Where it
//! may not, a lock that stays taken is spun on for at most [`SPIN_LIMIT`] and then the thread panics, naming the lock.
//! In Wasm a thread may not block until [`set_may_block`] has said that it may; natively every thread may.
//!
//! # Tasks
//! Each wait has an async form, for any executor: [`Mutex::lock_async`], [`Event::wait_async`] and so on. Tasks and threads wait at the
//! same record. A future does nothing until it is polled, and gives the wait up when it is dropped, at any moment: it leaves no
//! trace and passes on what it was woken for. So a timeout, or whatever else ends a wait, is that of your executor. A task that was
//! woken has to be polled or dropped: until then other tasks may wait for it, threads only for as long as a claim lives. In Wasm a task is woken by the
//! event loop of the thread that polled it, and by TypeScript as well as by Rust: an executor that blocks that thread hears nothing, and
//! an engine without `Atomics.waitAsync` needs `provideWaitAsync()` of the npm package `@heddle/atomics` on that thread, which threads of
//! `@heddle/thread` have: helper workers wait then. Without it the future panics and says so.
//!
//! # Threads that die
//! A thread that is known to the [`registry`] and dies (a trap, `terminate()`) leaves nobody waiting: the supervisor
//! calls [`registry::reap`], waiters wake, and the next owner finds the lock poisoned. The promise covers registered
//! threads and the locks of this crate.
//!
//! # Example
//! ```
//! use heddle_atomics::{Condvar, Mutex};
//! use std::{sync::Arc, thread};
//!
//! let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
//! let worker = thread::spawn({
//!     let shared = Arc::clone(&shared);
//!     move || {
//!         shared.0.lock().unwrap().push(42);
//!         shared.1.notify_one();
//!     }
//! });
//! let values = shared.1.wait_while(shared.0.lock().unwrap(), |values| values.is_empty()).unwrap();
//! assert_eq!(*values, [42]);
//! drop(values);
//! worker.join().unwrap();
//! ```
#![cfg_attr(target_arch = "wasm32", feature(stdarch_wasm_atomic_wait))]
#![cfg_attr(docsrs, feature(doc_cfg))]

/// Defines a function that is `const` except under the model checker, whose atomics have no constant constructors.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $visibility:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])*
        $visibility fn $($rest)*
    };
}

mod barrier;
pub mod clock;
mod condvar;
mod count;
pub mod deadlock;
mod event;
pub mod futex;
mod latch;
pub mod layout;
mod lazy;
mod lock_order;
mod mapped;
mod mutex;
mod once;
mod once_cell;
mod park;
mod parker;
#[cfg(all(feature = "lock_api", not(loom)))]
pub mod raw_locks;
mod raw_mutex;
mod raw_rw_lock;
pub mod registry;
mod rw_lock;
#[doc(hidden)]
pub mod seam;
mod semaphore;
mod spin;
mod wait_group;
mod waiting;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, RawCondvar, WaitTimeoutResult};
pub use count::CountError;
pub use event::Event;
pub use latch::Latch;
pub use lazy::Lazy;
pub use mapped::{MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard};
pub use mutex::{LockResult, Mutex, MutexGuard, PoisonError, TryLockError, TryLockResult};
pub use once::{Once, OnceState};
pub use once_cell::OnceCell;
#[doc(hidden)]
pub use park::{Deadline, Parked, park};
pub use park::{SPIN_LIMIT, may_block, set_may_block};
pub use parker::{Parker, RawParker, Unparker};
pub use raw_mutex::{Poisoned, RawMutex};
pub use raw_rw_lock::RawRwLock;
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, RawSemaphore, Semaphore};
#[doc(hidden)]
pub use spin::{spin_for_batch, spin_while};
pub use wait_group::{Member, WaitGroup};

#[cfg(doctest)]
mod refused;

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
