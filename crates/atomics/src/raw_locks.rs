//! The records as raw locks of the crate `lock_api`, for code in parking_lot's style.
//!
//! Behind the feature `lock_api`. The records are the same, and so are their fairness and what they do where a thread may not
//! block. A poisoned lock is taken like any other, as `lock_api` knows no poison: [`RawMutex::is_poisoned`](crate::RawMutex::is_poisoned)
//! of the raw lock tells.
//!
//! ```
//! type Mutex<T> = lock_api::Mutex<heddle_atomics::RawMutex, T>;
//!
//! static HITS: Mutex<u32> = Mutex::new(0);
//! *HITS.lock() += 1;
//! assert_eq!(*HITS.lock(), 1);
//! ```
//!
//! Guards can't be sent, for the locks carry the name of their thread:
//! ```compile_fail,E0277
//! fn send<T: Send>(_: T) {}
//! send(lock_api::Mutex::<heddle_atomics::RawMutex, u32>::new(0).lock());
//! ```

use crate::{RawMutex, RawRwLock};
use core::time::Duration;
use lock_api::GuardNoSend;
use std::time::Instant;

fn until(instant: Instant) -> Duration {
    instant.saturating_duration_since(Instant::now())
}

// SAFETY: `lock` and `try_lock` return with the lock held by nobody else, until `unlock`.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self::new();
    type GuardMarker = GuardNoSend;

    #[inline]
    #[track_caller]
    fn lock(&self) {
        let _poisoned = Self::lock(self);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        Self::try_lock(self).is_some()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise.
        unsafe { Self::unlock(self) };
    }

    fn is_locked(&self) -> bool {
        self.owner().is_some()
    }
}

// SAFETY: a fair unlock lets go of the lock, as the other one does.
unsafe impl lock_api::RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller's promise.
        unsafe { Self::unlock_fair(self) };
    }
}

// SAFETY: `true` means that the lock is held, as after `lock`.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock_timeout(timeout).is_some()
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        self.lock_timeout(until(timeout)).is_some()
    }
}

// SAFETY: who writes is alone, and who reads is with readers only, until they unlock.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: Self = Self::new();
    type GuardMarker = GuardNoSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) {
        let _poisoned = self.read();
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_read().is_some()
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock_read() };
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) {
        let _poisoned = self.write();
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_write().is_some()
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock_write() };
    }

    fn is_locked(&self) -> bool {
        self.writer().is_some() || self.is_read()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.writer().is_some()
    }
}

// SAFETY: as `unlock_shared` and `unlock_exclusive`.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self) {
        // A writer that waits has the lock's queue behind it already: the end of a read is fair.
        // SAFETY: the caller's promise.
        unsafe { self.unlock_read() };
    }

    unsafe fn unlock_exclusive_fair(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock_write_fair() };
    }
}

// SAFETY: no other writer comes between.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        // SAFETY: the caller's promise.
        unsafe { Self::downgrade(self) };
    }
}

// SAFETY: `true` means that the lock is held, as after `lock_shared` or `lock_exclusive`.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.read_timeout(timeout).is_some()
    }

    fn try_lock_shared_until(&self, timeout: Instant) -> bool {
        self.read_timeout(until(timeout)).is_some()
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.write_timeout(timeout).is_some()
    }

    fn try_lock_exclusive_until(&self, timeout: Instant) -> bool {
        self.write_timeout(until(timeout)).is_some()
    }
}
