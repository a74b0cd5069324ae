//! `OnceCell<T>`: a [`Once`] and the value that it makes, with the API of `std::sync::OnceLock`.
//!
//! The algorithm and its states are [`Once`]'s. Here is what the types add: the value can be reached only once it is there.
//!
//! # Layout
//! The once is at byte 0, the value at the first multiple of its alignment behind it (4 bytes at least): where TypeScript's `OnceCell` of the
//! same struct has it.

use crate::{Once, seam::Guarded};
use core::{
    convert::Infallible,
    fmt,
    future::Future,
    marker::PhantomData,
    mem::MaybeUninit,
    panic::{RefUnwindSafe, UnwindSafe},
};

/// A value that is set once and read by everybody, as `std::sync::OnceLock`.
///
/// An initialiser that panics, or whose registered thread dies, leaves the cell empty: the next one tries again.
///
/// ```
/// use heddle_atomics::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "loom".to_owned()), "loom");
/// assert_eq!(NAME.set("other".to_owned()), Err("other".to_owned()));
/// ```
#[repr(C)]
pub struct OnceCell<T> {
    once: Once,
    value: Guarded<MaybeUninit<T>>,
    // The cell owns a T and drops it.
    owns: PhantomData<T>,
}

// SAFETY: the value moves with the cell.
unsafe impl<T: Send> Send for OnceCell<T> {}
// SAFETY: `&OnceCell` gives every thread `&T`, hence `Sync`, and lets one thread put in what another takes out or drops,
// hence `Send`.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

// A panic of what makes the value leaves none. One that is there is looked at by all, and may be taken out.
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}

impl<T> OnceCell<T> {
    const_unless_loom! {
        /// An empty cell.
        #[must_use]
        pub fn new() -> Self {
            Self {
                once: Once::new(),
                value: Guarded::new(MaybeUninit::uninit()),
                owns: PhantomData,
            }
        }
    }

    /// The value, if it is there.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: just seen complete.
        self.once
            .is_completed()
            .then(|| unsafe { self.get_unchecked() })
    }

    /// The value, when nobody else can reach it.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if !self.once.is_completed() {
            return None;
        }
        // SAFETY: it is there, and `&mut self` is the only reference to the cell.
        Some(
            self.value
                .with_mut(|value| unsafe { (*value).assume_init_mut() }),
        )
    }

    /// Puts `value` in.
    ///
    /// # Errors
    /// Gives `value` back if there is one already.
    ///
    /// # Panics
    /// As [`OnceCell::get_or_init`].
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("an initialiser runs once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; `f` makes it if nobody has. Waits for an initialiser that is running.
    ///
    /// # Panics
    /// If `f` does, if this thread is registered and is running the cell's initialiser, or if the thread may not block and
    /// the initialiser of another one takes longer than [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value; `f` makes it, or fails and leaves the cell empty.
    ///
    /// # Errors
    /// What `f` fails with.
    ///
    /// # Panics
    /// As [`OnceCell::get_or_init`].
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<F, E>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        self.once.try_run(|| {
            let made = f()?;
            // SAFETY: the once is run by this thread alone, and nobody reads before it is complete.
            self.value.with_mut(|value| unsafe {
                (*value).write(made);
            });
            Ok(())
        })?;
        // SAFETY: complete: by this thread, or by another one that was waited for.
        Ok(unsafe { self.get_unchecked() })
    }

    /// The value; the future that `f` gives makes it if nobody has. A task waits for an initialiser that is running.
    ///
    /// Dropped before it is ready, the future has made nothing, and the next initialiser tries again. An initialiser that waits for its own
    /// cell is never ready.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let Poll::Ready(value) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else { panic!("it has to wait") };
    /// #     value
    /// # }
    /// # async fn fetch() -> u32 { 42 }
    /// let cell = heddle_atomics::OnceCell::new();
    /// assert_eq!(block_on(cell.get_or_init_async(|| async { fetch().await })), &42);
    /// ```
    ///
    /// # Panics
    /// If `f` does; or if the thread that polled it last was declared dead, or has ended, and it is polled by another one.
    pub async fn get_or_init_async<F, I>(&self, f: F) -> &T
    where
        F: FnOnce() -> I,
        I: Future<Output = T>,
    {
        let make = || async {
            let made = f().await;
            // SAFETY: as in `get_or_try_init`.
            self.value.with_mut(|value| unsafe {
                (*value).write(made);
            });
        };
        self.once.run_async(make).await;
        // SAFETY: complete: by this task, or by somebody else that was waited for.
        unsafe { self.get_unchecked() }
    }

    /// Waits as a task until the value is there. The future may be dropped at any moment.
    pub async fn wait_async(&self) -> &T {
        self.once.wait_force_async().await;
        // SAFETY: waited for.
        unsafe { self.get_unchecked() }
    }

    /// Waits until the value is there.
    ///
    /// # Panics
    /// If the thread may not block and it takes longer than [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        // SAFETY: waited for.
        unsafe { self.get_unchecked() }
    }

    /// The value, with nobody left to share it.
    #[must_use]
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// The value; the cell is empty again.
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_completed() {
            return None;
        }
        self.once = Once::new();
        // SAFETY: it was there, and the new once says that it isn't any more.
        Some(
            self.value
                .with_mut(|value| unsafe { (*value).assume_init_read() }),
        )
    }

    /// # Safety
    /// The once is complete, and the calling thread has seen that.
    #[inline]
    unsafe fn get_unchecked(&self) -> &T {
        // SAFETY: of the caller; nobody writes to the value of a complete cell that is shared.
        self.value
            .with(|value| unsafe { (*value).assume_init_ref() })
    }
}

impl<T> Drop for OnceCell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        match cell.set(value) {
            Ok(()) => cell,
            Err(_) => unreachable!("the cell is new"),
        }
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceCell").field(value).finish(),
            None => f.write_str("OnceCell(<empty>)"),
        }
    }
}
