//! Ends that go with their thread.
//!
//! An end of Rust may move from thread to thread, so it is counted for none: when a thread dies without running its destructors, by a trap
//! or because it was terminated, nobody knows which ends it had, and those who wait for the last one wait for ever. An end that is bound to
//! its thread can't move, and is counted in the thread's entry (`ends.rs`), as TypeScript's are.

use core::{fmt, marker::PhantomData, ops::Deref};
use heddle_atomics::registry::Token;

/// An end that can be bound to its thread: those of [`bytes`](crate::bytes) and [`codec`](crate::codec), of
/// [`watch`](crate::watch), and the sender of [`broadcast`](crate::broadcast).
pub trait ThreadEnd: sealed::Sealed {}

pub(crate) mod sealed {
    use heddle_atomics::registry::Token;

    /// How an end is counted.
    pub trait Sealed {
        /// Has it counted for this thread; `None` if that is not possible.
        #[doc(hidden)]
        fn bind(&self) -> Option<Token>;

        /// Has it counted for no thread again.
        #[doc(hidden)]
        fn unbind(&self, thread: Token);
    }
}

/// An end that goes with its thread, made by its `bind_to_thread`: if the thread dies without dropping it, by a trap or because it was
/// terminated, the end is given up all the same, and the last one of its side closes the channel once the thread was
/// [reaped](heddle_atomics::registry): registered threads and tasks that wait hear of it. It derefs to the end, and stays on its thread.
///
/// ```
/// use heddle_channel::{ThreadBound, bytes};
///
/// let (sender, receiver) = bytes::channel(bytes::Options::default());
/// let worker = std::thread::spawn(move || {
///     let sender = sender.bind_to_thread();
///     sender.send(b"weft").unwrap();
///     // Threads in no registry are nobody's to watch.
///     assert!(!ThreadBound::is_bound(&sender));
/// });
/// assert_eq!(receiver.recv().unwrap(), b"weft");
/// assert!(receiver.recv().is_err());
/// worker.join().unwrap();
/// ```
///
/// ```compile_fail,E0277
/// use heddle_channel::bytes;
/// let (sender, _receiver) = bytes::channel(bytes::Options::default());
/// let sender = sender.bind_to_thread();
/// std::thread::spawn(move || sender.send(b"weft"));
/// ```
pub struct ThreadBound<E: ThreadEnd> {
    /// `None` once it was taken out.
    end: Option<E>,
    /// Of the thread whose entry has it; `None` if it is in the sum.
    thread: Option<Token>,
    /// Only its thread changes the entry of a thread.
    stays: PhantomData<*const ()>,
}

impl<E: ThreadEnd> ThreadBound<E> {
    pub(crate) fn new(end: E) -> Self {
        let thread = end.bind();
        Self {
            end: Some(end),
            thread,
            stays: PhantomData,
        }
    }

    /// Whether the end goes with its thread: not if that is in no [registry](heddle_atomics::registry), or if 16 other threads have ends
    /// of the channel. Then it is as it was before.
    #[must_use]
    pub fn is_bound(bound: &Self) -> bool {
        bound.thread.is_some()
    }

    /// The end, which may move to other threads again.
    #[must_use]
    pub fn into_inner(mut bound: Self) -> E {
        bound.unbind();
        let end = bound.end.take();
        end.expect("only this takes it out")
    }

    fn unbind(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.unbind_from(thread);
        }
    }

    fn unbind_from(&self, thread: Token) {
        if let Some(end) = &self.end {
            end.unbind(thread);
        }
    }
}

impl<E: ThreadEnd> Deref for ThreadBound<E> {
    type Target = E;

    fn deref(&self) -> &E {
        self.end.as_ref().expect("only `into_inner` takes it out")
    }
}

impl<E: ThreadEnd + Clone> Clone for ThreadBound<E> {
    /// One more end, which goes with the thread too.
    fn clone(&self) -> Self {
        Self::new(E::clone(self))
    }
}

impl<E: ThreadEnd> Drop for ThreadBound<E> {
    fn drop(&mut self) {
        // Its own destructor gives it up where it was counted first.
        self.unbind();
    }
}

impl<E: ThreadEnd + fmt::Debug> fmt::Debug for ThreadBound<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadBound")
            .field("end", &self.end)
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

/// An end of the channel in that field of its.
macro_rules! thread_end {
    ($end:ty, $side:ident, $channel:tt) => {
        impl $crate::bound::sealed::Sealed for $end {
            fn bind(&self) -> Option<heddle_atomics::registry::Token> {
                self.$channel.core().ends().bind($crate::ends::End::$side)
            }

            fn unbind(&self, thread: heddle_atomics::registry::Token) {
                self.$channel
                    .core()
                    .ends()
                    .unbind($crate::ends::End::$side, thread);
            }
        }

        impl $crate::bound::ThreadEnd for $end {}

        impl $end {
            /// Has this end go with this thread, from which it doesn't move then: see
            /// [`ThreadBound`](crate::ThreadBound). For a thread that may trap or be terminated while others wait for it.
            #[must_use]
            pub fn bind_to_thread(self) -> $crate::bound::ThreadBound<Self> {
                $crate::bound::ThreadBound::new(self)
            }
        }
    };
}

pub(crate) use thread_end;
