//! The atomics of shuttle's builds (`--cfg shuttle`), and the faults that its models have to find.
//!
//! A model's threads take turns on one thread of the host, and may change before each operation here. The numbers are
//! as large as `core`'s and lie where they lie there, so that records keep their layouts, also those in plain memory
//! that a channel of bytes has.
//!
//! # Memory orderings
//! All of it is in one order whatever ordering was asked for: weaker ones are loom's to try.

use core::{
    cell::{self, Cell},
    sync::atomic::Ordering,
};
use shuttle::rand::{RngCore, thread_rng};

/// A place where any thread may go on.
fn point() {
    // An access to an atomic of shuttle's own is such a place.
    shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
}

/// A number below `count`, which the model's seed decides.
pub fn any(count: u32) -> u32 {
    thread_rng().next_u32() % count
}

/// One operation in so many that may fail or end for no reason does so.
const RARE: u32 = 16;

/// Whether something happens that may always happen, and seldom does.
pub(crate) fn rarely() -> bool {
    any(RARE) == 0
}

/// What can be made wrong below the locks and channels, so that a model shows that it would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Some wake-ups are lost.
    LoseWake,
    /// Who should wake everybody wakes one.
    WakeOne,
    /// A wait falls asleep without comparing.
    LateWait,
    /// Reading and writing are two steps in operations that should be one.
    TornExchange,
}

thread_local! {
    /// Of the thread of the host that runs the model.
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

impl Fault {
    /// Whether this is what is wrong.
    pub(crate) fn is_there(self) -> bool {
        FAULT.get() == Some(self)
    }

    /// Runs `f` with this fault.
    pub(super) fn within<R>(self, f: impl FnOnce() -> R) -> R {
        FAULT.set(Some(self));
        let result = f();
        FAULT.set(None);
        result
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// A number like `core`'s, before each of whose operations threads may change.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(core::sync::atomic::$name);

        // Relaxed throughout: the model's threads are one thread of the host.
        impl $name {
            /// A number that is `value`.
            pub const fn new(value: $value) -> Self {
                Self(core::sync::atomic::$name::new(value))
            }

            /// The value.
            pub fn load(&self, _ordering: Ordering) -> $value {
                point();
                self.0.load(Ordering::Relaxed)
            }

            /// Makes it `value`.
            pub fn store(&self, value: $value, _ordering: Ordering) {
                point();
                self.0.store(value, Ordering::Relaxed);
            }

            /// Makes it `value`, and returns what it was.
            pub fn swap(&self, value: $value, _ordering: Ordering) -> $value {
                self.change(|_| value)
            }

            /// Makes it `new` if it is `current`.
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                _success: Ordering,
                _failure: Ordering,
            ) -> Result<$value, $value> {
                self.exchange(|old| (old == current).then_some(new))
            }

            /// [`Self::compare_exchange`], which may fail for no reason and does.
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                _success: Ordering,
                _failure: Ordering,
            ) -> Result<$value, $value> {
                let fails = rarely();
                self.exchange(|old| (old == current && !fails).then_some(new))
            }

            /// Adds, and returns what it was.
            pub fn fetch_add(&self, value: $value, _ordering: Ordering) -> $value {
                self.change(|old| old.wrapping_add(value))
            }

            /// Subtracts, and returns what it was.
            pub fn fetch_sub(&self, value: $value, _ordering: Ordering) -> $value {
                self.change(|old| old.wrapping_sub(value))
            }

            /// Keeps the bits of `value`, and returns what it was.
            pub fn fetch_and(&self, value: $value, _ordering: Ordering) -> $value {
                self.change(|old| old & value)
            }

            /// Adds the bits of `value`, and returns what it was.
            pub fn fetch_or(&self, value: $value, _ordering: Ordering) -> $value {
                self.change(|old| old | value)
            }

            fn change(&self, change: impl FnOnce($value) -> $value) -> $value {
                let changed = self.exchange(|old| Some(change(old)));
                changed.unwrap_or_else(|_| unreachable!("a change without a condition"))
            }

            fn exchange(
                &self,
                change: impl FnOnce($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                point();
                let old = self.0.load(Ordering::Relaxed);
                let new = change(old).ok_or(old)?;
                if Fault::TornExchange.is_there() {
                    point();
                }
                self.0.store(new, Ordering::Relaxed);
                Ok(old)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

/// A cell that tells when it is used by two who may not use it at once; between its two ends a use lets others go on.
#[derive(Debug, Default)]
pub(super) struct UnsafeCell<T: ?Sized> {
    /// How many read, or [`WRITTEN`].
    users: Cell<u32>,
    value: cell::UnsafeCell<T>,
}

const WRITTEN: u32 = u32::MAX;

impl<T> UnsafeCell<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            users: Cell::new(0),
            value: cell::UnsafeCell::new(value),
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        let users = self.users.get();
        assert!(users != WRITTEN, "read while it is written");
        self.users.set(users + 1);
        let _use = Use(|| self.users.set(self.users.get() - 1));
        point();
        f(self.value.get())
    }

    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        assert!(self.users.get() == 0, "written while it is used");
        self.users.set(WRITTEN);
        let _use = Use(|| self.users.set(0));
        point();
        f(self.value.get())
    }
}

/// Ends a use, also if it panics.
struct Use<F: Fn()>(F);

impl<F: Fn()> Drop for Use<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
