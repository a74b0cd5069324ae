//! `Lazy<T, F>`: a value that is made when it is first used, with the API of `std::sync::LazyLock`.

use crate::OnceCell;
use core::{
    cell::Cell,
    fmt,
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
};

/// A value that is made when it is first used, as `std::sync::LazyLock`.
///
/// If the function panics, or the registered thread that runs it dies, the function is gone: every later use panics.
///
/// ```
/// use heddle_atomics::Lazy;
///
/// static SQUARES: Lazy<Vec<u32>> = Lazy::new(|| (0..4).map(|n| n * n).collect());
/// assert_eq!(*SQUARES, [0, 1, 4, 9]);
/// ```
pub struct Lazy<T, F = fn() -> T> {
    cell: OnceCell<T>,
    init: Cell<Option<F>>,
}

// SAFETY: `init` is taken by the one thread that runs the cell's initialiser, so threads share it by sending it (`F: Send`);
// the cell looks after itself.
unsafe impl<T, F: Send> Sync for Lazy<T, F> where OnceCell<T>: Sync {}

// A panic of the function leaves no value.
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for Lazy<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for Lazy<T, F> {}

impl<T, F: FnOnce() -> T> Lazy<T, F> {
    const_unless_loom! {
        /// A value that `f` will make.
        #[must_use]
        pub fn new(f: F) -> Self {
            Self { cell: OnceCell::new(), init: Cell::new(Some(f)) }
        }
    }

    /// The value; makes it first if nobody has, and waits for whoever is making it.
    ///
    /// # Panics
    /// If the function panics or has panicked, or as [`OnceCell::get_or_init`].
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.cell.get_or_init(|| this.make())
    }

    /// [`Lazy::force`] as a task, which waits for whoever is making the value; the function itself runs in one go.
    ///
    /// # Panics
    /// If the function panics or has panicked.
    pub async fn force_async(this: &Self) -> &T {
        this.cell.get_or_init_async(async || this.make()).await
    }

    /// Makes the value; called by who runs the cell's initialiser.
    #[track_caller]
    fn make(&self) -> T {
        match self.init.take() {
            Some(f) => f(),
            None => panic!("the lazy value is poisoned: its function panicked, or its thread died"),
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for Lazy<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: Default> Default for Lazy<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell.get() {
            Some(value) => f.debug_tuple("Lazy").field(value).finish(),
            None => f.write_str("Lazy(<not made yet>)"),
        }
    }
}
