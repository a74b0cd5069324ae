//! Guards of a part of what a lock guards: a field, an element, the value in a `Some`.
//!
//! As in std's `mapped_lock_guards`. `map` and `filter_map` are functions of the guards' types, not methods, so that they can't
//! hide methods of the value.

use crate::{MutexGuard, RawMutex, RawRwLock, RwLockReadGuard, RwLockWriteGuard, mutex, rw_lock};
use core::{
    fmt,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

macro_rules! mapped {
    ($(#[$meta:meta])* $name:ident of $guard:ident, $raw:ty, [$($mutable:ident)?]) => {
        $(#[$meta])*
        #[must_use = "the lock is let go of as soon as the guard is dropped"]
        pub struct $name<'a, T: ?Sized> {
            raw: &'a $raw,
            value: NonNull<T>,
            was_panicking: bool,
            // A pointer alone would let `T` vary, and be sent.
            as_borrowed: PhantomData<mapped!(@reference 'a, T, $($mutable)?)>,
        }

        // SAFETY: a shared guard gives `&T` only.
        unsafe impl<T: ?Sized + Sync> Sync for $name<'_, T> {}

        impl<'a, T: ?Sized> $guard<'a, T> {
            /// A guard of the part that `f` gives.
            pub fn map<U: ?Sized>(
                guard: Self,
                f: impl FnOnce(mapped!(@argument T, $($mutable)?)) -> mapped!(@argument U, $($mutable)?),
            ) -> $name<'a, U> {
                match Self::filter_map(guard, |value| Some(f(value))) {
                    Ok(mapped) => mapped,
                    Err(_) => unreachable!("the part is always there"),
                }
            }

            /// A guard of the part that `f` gives.
            ///
            /// # Errors
            /// The guard as it was if `f` gives none.
            pub fn filter_map<U: ?Sized>(
                guard: Self,
                f: impl FnOnce(mapped!(@argument T, $($mutable)?)) -> Option<mapped!(@argument U, $($mutable)?)>,
            ) -> Result<$name<'a, U>, Self> {
                #[allow(unused_mut, reason = "only an exclusive guard is changed")]
                let mut guard = guard;
                // A panic of `f` drops the guard.
                let Some(value) = f(mapped!(@borrow guard, $($mutable)?)).map(NonNull::from) else {
                    return Err(guard);
                };
                let guard = ManuallyDrop::new(guard);
                let (raw, was_panicking) = guard.parts();
                Ok($name { raw, value, was_panicking, as_borrowed: PhantomData })
            }
        }

        impl<'a, T: ?Sized> $name<'a, T> {
            /// A guard of a part of the part.
            pub fn map<U: ?Sized>(
                guard: Self,
                f: impl FnOnce(mapped!(@argument T, $($mutable)?)) -> mapped!(@argument U, $($mutable)?),
            ) -> $name<'a, U> {
                match Self::filter_map(guard, |value| Some(f(value))) {
                    Ok(mapped) => mapped,
                    Err(_) => unreachable!("the part is always there"),
                }
            }

            /// A guard of a part of the part.
            ///
            /// # Errors
            /// The guard as it was if `f` gives none.
            pub fn filter_map<U: ?Sized>(
                guard: Self,
                f: impl FnOnce(mapped!(@argument T, $($mutable)?)) -> Option<mapped!(@argument U, $($mutable)?)>,
            ) -> Result<$name<'a, U>, Self> {
                #[allow(unused_mut, reason = "only an exclusive guard is changed")]
                let mut guard = guard;
                let Some(value) = f(mapped!(@borrow guard, $($mutable)?)).map(NonNull::from) else {
                    return Err(guard);
                };
                let guard = ManuallyDrop::new(guard);
                Ok($name { raw: guard.raw, value, was_panicking: guard.was_panicking, as_borrowed: PhantomData })
            }
        }

        impl<T: ?Sized> Deref for $name<'_, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: the part came from a borrow of the guard that this one took the place of, and the lock is held still.
                unsafe { self.value.as_ref() }
            }
        }

        $(impl<T: ?Sized> DerefMut for $name<'_, T> {
            #[inline]
            fn deref_mut(&mut self) -> &$mutable T {
                // SAFETY: as in `deref`; the borrow was exclusive, and this guard is borrowed exclusively.
                unsafe { self.value.as_mut() }
            }
        })?

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
    (@reference $life:lifetime, $type:ty, mut) => { (&$life mut $type, *const ()) };
    (@reference $life:lifetime, $type:ty,) => { (&$life $type, *const ()) };
    (@argument $type:ty, mut) => { &mut $type };
    (@argument $type:ty,) => { &$type };
    (@borrow $guard:ident, mut) => { &mut *$guard };
    (@borrow $guard:ident,) => { &*$guard };
}

mapped! {
    /// The right to use a part of what a [`Mutex`](crate::Mutex) guards: [`MutexGuard::map`].
    ///
    /// ```
    /// use heddle_atomics::{Mutex, MutexGuard};
    ///
    /// let pair = Mutex::new((1, "one"));
    /// let mut first = MutexGuard::map(pair.lock().unwrap(), |pair| &mut pair.0);
    /// *first += 1;
    /// assert!(pair.try_lock().is_err());
    /// drop(first);
    /// assert_eq!(*pair.lock().unwrap(), (2, "one"));
    /// ```
    MappedMutexGuard of MutexGuard, RawMutex, [mut]
}

mapped! {
    /// The right to read a part of what a [`RwLock`](crate::RwLock) guards: [`RwLockReadGuard::map`].
    MappedRwLockReadGuard of RwLockReadGuard, RawRwLock, []
}

mapped! {
    /// The right to change a part of what a [`RwLock`](crate::RwLock) guards: [`RwLockWriteGuard::map`].
    MappedRwLockWriteGuard of RwLockWriteGuard, RawRwLock, [mut]
}

impl<T: ?Sized> Drop for MappedMutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        mutex::end_lock(self.raw, self.was_panicking);
    }
}

impl<T: ?Sized> Drop for MappedRwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this guard was the proof that this thread reads, and it ends here.
        unsafe { self.raw.unlock_read() };
    }
}

impl<T: ?Sized> Drop for MappedRwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        rw_lock::end_write(self.raw, self.was_panicking);
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    fn parts(&self) -> (&'a RawMutex, bool) {
        (self.mutex.raw(), self.was_panicking)
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    fn parts(&self) -> (&'a RawRwLock, bool) {
        // A reader's panic is of no interest.
        (self.lock.raw(), false)
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    fn parts(&self) -> (&'a RawRwLock, bool) {
        (self.lock.raw(), self.was_panicking)
    }
}
