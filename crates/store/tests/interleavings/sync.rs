//! `crates/store/src/sync.rs` as the model checker has it: every lock, atomic and wait is a point at which another thread may go on.
//!
//! Atomics are sequentially consistent in here, whatever ordering is asked for: an interleaving is found, a wrong ordering is not.

pub use shuttle::sync::{Mutex, MutexGuard, PoisonError};
pub use shuttle::thread_local;
pub use timed::Condvar;

use std::cell::Cell;

/// A fault of the locks and atomics themselves, to show that the checks find what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Who notifies wakes nobody.
    LostWakeup,
    /// What is read, changed and written is so in two steps.
    SplitUpdate,
}

// A model's threads are all on one thread of the operating system's, so this is theirs in common.
std::thread_local! {
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Runs `body` with a fault put in.
pub fn with_fault<R>(fault: Option<Fault>, body: impl FnOnce() -> R) -> R {
    /// Takes it out again, also where the body panics.
    struct Before(Option<Fault>);
    impl Drop for Before {
        fn drop(&mut self) {
            FAULT.set(self.0);
        }
    }
    let _before = Before(FAULT.replace(fault));
    body()
}

fn has(fault: Fault) -> bool {
    FAULT.get() == Some(fault)
}

/// Atomics whose updates a [`Fault`] can split.
pub mod atomic {
    pub use shuttle::sync::atomic::{AtomicBool, Ordering};

    use super::{Fault, has};

    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            /// See the module's documentation.
            #[derive(Debug, Default)]
            pub struct $name(shuttle::sync::atomic::$name);

            impl $name {
                pub const fn new(value: $value) -> Self {
                    Self(shuttle::sync::atomic::$name::new(value))
                }

                pub fn load(&self, order: Ordering) -> $value {
                    self.0.load(order)
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    if has(Fault::SplitUpdate) {
                        let before = self.0.load(order);
                        self.0.store(value, order);
                        return before;
                    }
                    self.0.swap(value, order)
                }

                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, |before| Some(before.wrapping_add(value)))
                        .unwrap_or_default()
                }

                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, |before| Some(before.wrapping_sub(value)))
                        .unwrap_or_default()
                }

                pub fn fetch_update(
                    &self,
                    order: Ordering,
                    _failure: Ordering,
                    change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    self.update(order, change)
                }

                pub fn compare_exchange(
                    &self,
                    expected: $value,
                    value: $value,
                    order: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange(expected, value, order, failure)
                }

                pub fn compare_exchange_weak(
                    &self,
                    expected: $value,
                    value: $value,
                    order: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange(expected, value, order, failure)
                }

                fn update(
                    &self,
                    order: Ordering,
                    mut change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    if has(Fault::SplitUpdate) {
                        let before = self.0.load(order);
                        let after = change(before).ok_or(before)?;
                        self.0.store(after, order);
                        return Ok(before);
                    }
                    self.0.fetch_update(order, Ordering::Relaxed, change)
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
    atomic!(AtomicUsize, usize);
}

/// Locks with timed waits.
pub mod timed {
    pub use shuttle::sync::{Mutex, MutexGuard, PoisonError};

    use std::sync::LockResult;
    use std::time::Duration;

    use super::{Fault, has};

    /// A wait that is no longer than this only looks at something else in between. In the model it lasts until it is notified, so that a
    /// notification which nobody gives is a deadlock here, where it would be a delay.
    const PATIENCE_MAX: Duration = Duration::from_millis(20);

    /// Who waits for so long has met a defect: never in the model.
    const WAIT_MAX: Duration = Duration::from_secs(60);

    /// A condition variable whose notifications a [`Fault`] can lose.
    #[derive(Debug, Default)]
    pub struct Condvar(shuttle::sync::Condvar);

    /// Whether a wait ended because its time was over.
    #[derive(Clone, Copy, Debug)]
    pub struct WaitTimeoutResult(bool);

    impl WaitTimeoutResult {
        pub fn timed_out(self) -> bool {
            self.0
        }
    }

    type Timed<'a, T> = LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>;

    impl Condvar {
        pub const fn new() -> Condvar {
            Condvar(shuttle::sync::Condvar::new())
        }

        pub fn notify_one(&self) {
            if !has(Fault::LostWakeup) {
                self.0.notify_one();
            }
        }

        pub fn notify_all(&self) {
            if !has(Fault::LostWakeup) {
                self.0.notify_all();
            }
        }

        pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(guard)
        }

        pub fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            timeout: Duration,
        ) -> Timed<'a, T> {
            assert!(timeout >= WAIT_MAX, "no part of the store waits like that");
            ok((
                self.wait(guard).unwrap_or_else(PoisonError::into_inner),
                WaitTimeoutResult(false),
            ))
        }

        /// Pauses end at once, after whatever the other threads do in between.
        pub fn wait_timeout_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            timeout: Duration,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> Timed<'a, T> {
            while condition(&mut guard) {
                if timeout > PATIENCE_MAX {
                    return ok((guard, WaitTimeoutResult(true)));
                }
                guard = self.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            ok((guard, WaitTimeoutResult(false)))
        }
    }

    fn ok<T>(value: T) -> LockResult<T> {
        Ok(value)
    }
}

/// Words to sleep on, and places in a memory that two languages share.
pub mod shared {
    use std::any::type_name;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::panic::resume_unwind;
    use std::sync::Arc;
    use std::time::Duration;

    use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};

    use super::atomic::{AtomicU32, Ordering};
    use super::{Fault, has};

    #[derive(Default)]
    struct Sleepers {
        /// By the address of their word, the longest sleeper first.
        by_word: BTreeMap<usize, Vec<Arc<Sleeper>>>,
        /// Whose threads are being terminated.
        terminated: Vec<u32>,
    }

    #[derive(Default)]
    struct Sleeper {
        condvar: Condvar,
        // Guarded by the lock of `SLEEPERS`.
        is_woken: std::sync::atomic::AtomicBool,
    }

    shuttle::lazy_static! {
        static ref SLEEPERS: Mutex<Sleepers> = Mutex::new(Sleepers::default());
    }

    fn sleepers() -> MutexGuard<'static, Sleepers> {
        SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread unwinds with that is terminated in its sleep.
    pub struct Terminated;

    pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
        assert!(timeout.is_none(), "no part of the store waits like that");
        let mut sleepers = sleepers();
        if word.load(Ordering::SeqCst) != expected {
            return true;
        }
        let own = Arc::new(Sleeper::default());
        let address = std::ptr::from_ref(word).addr();
        sleepers
            .by_word
            .entry(address)
            .or_default()
            .push(own.clone());
        while !own.is_woken.load(Ordering::Relaxed) {
            if sleepers.terminated.contains(&ENGINE.with(Cell::get)) {
                drop(sleepers);
                resume_unwind(Box::new(Terminated));
            }
            sleepers = own
                .condvar
                .wait(sleepers)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    pub fn wake(word: &AtomicU32, count: u32) {
        wake_gone(word, count);
    }

    /// By the address alone.
    pub fn wake_gone(word: *const AtomicU32, count: u32) {
        if has(Fault::LostWakeup) {
            return;
        }
        let mut sleepers = sleepers();
        if let Some(here) = sleepers.by_word.get_mut(&word.addr()) {
            let count = here.len().min(count as usize);
            for sleeper in here.drain(..count) {
                sleeper.is_woken.store(true, Ordering::Relaxed);
                sleeper.condvar.notify_one();
            }
        }
    }

    shuttle::thread_local! {
        /// Which engine a thread belongs to; 0 is none.
        static ENGINE: Cell<u32> = const { Cell::new(0) };
    }

    /// The thread that calls belongs to that engine.
    pub fn belong_to(engine: u32) {
        ENGINE.with(|own| own.set(engine));
    }

    /// Ends every thread of the engine that sleeps, or falls asleep later.
    pub fn terminate_sleepers(engine: u32) {
        let mut sleepers = sleepers();
        sleepers.terminated.push(engine);
        for sleeper in sleepers.by_word.values().flatten() {
            sleeper.condvar.notify_one();
        }
    }

    std::thread_local! {
        /// The memory: an address is a place in here, plus one. `None` where the record is gone.
        static RECORDS: RefCell<Vec<Option<*const ()>>> = const { RefCell::new(Vec::new()) };
    }

    /// A new, empty memory.
    pub fn reset() {
        RECORDS.take();
    }

    pub fn address_of<T>(record: &T) -> u32 {
        RECORDS.with_borrow_mut(|records| {
            records.push(Some(std::ptr::from_ref(record).cast()));
            records.len() as u32
        })
    }

    /// The thread that a record belongs to goes on, and uses its place for something else.
    pub fn forget<T>(record: &T) {
        RECORDS.with_borrow_mut(|records| {
            let own = std::ptr::from_ref(record).cast::<()>();
            for place in records.iter_mut().filter(|place| **place == Some(own)) {
                *place = None;
            }
        });
    }

    /// # Safety
    /// The address is that of a `T`.
    pub unsafe fn record_at<'a, T>(address: u32) -> &'a T {
        let record = RECORDS.with_borrow(|records| records[address as usize - 1]);
        let Some(record) = record else {
            panic!(
                "a {} was touched whose thread had gone on",
                type_name::<T>()
            );
        };
        // SAFETY: it was registered as that by the caller's promise, and has not been forgotten.
        unsafe { &*record.cast() }
    }
}
