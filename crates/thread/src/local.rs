//! Futures on the current thread's event loop.
//!
//! # State
//! A thread of [`spawn_async`](crate::spawn_async) has one [`Inner`]. New futures wait in `added` until the next poll, because they
//! may be added while the others are being polled, or between two polls by what JavaScript calls.
//!
//! # Invariants
//! 1. Nothing is borrowed while a future is polled or dropped but `running`, which only [`LocalFutures::poll`] and
//!    [`LocalFutures::leave`] touch: neither runs inside the other.
//! 2. Whoever adds to `added` between two polls wakes the thread.
//!
//! # Fairness
//! Futures that are woken are polled in the order of their wake-ups. One that wakes itself again and again lets the others, the thread's
//! own future and the event loop have their turns: `FuturesUnordered` yields.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::join::Result;
use crate::sys;

#[derive(Default)]
struct Inner {
    running: RefCell<FuturesUnordered<LocalBoxFuture<'static, ()>>>,
    added: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    /// The thread's own, from its first poll on.
    waker: RefCell<Option<Waker>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
}

/// The local futures of a thread, in the hands of whoever polls it.
pub(crate) struct LocalFutures(Rc<Inner>);

impl LocalFutures {
    /// From here on this thread can be given local futures.
    pub(crate) fn enter() -> Self {
        let inner = Rc::new(Inner::default());
        CURRENT.set(Some(Rc::clone(&inner)));
        LocalFutures(inner)
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut own = self.0.waker.borrow_mut();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    /// Polls those that are new or have been woken.
    pub(crate) fn poll(&self, context: &mut Context<'_>) {
        let mut running = self.0.running.borrow_mut();
        loop {
            running.extend(self.0.added.take());
            while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
            // Those that have just been polled may have added others.
            if self.0.added.borrow().is_empty() {
                return;
            }
        }
    }

    /// Drops what has not ended. This thread can't be given others any more.
    pub(crate) fn leave(self) {
        CURRENT.set(None);
        drop(self.0.added.take());
        drop(self.0.running.take());
    }
}

impl Inner {
    fn add(&self, future: LocalBoxFuture<'static, ()>) {
        self.added.borrow_mut().push(future);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What a future left, for its handle.
enum Outcome<T> {
    Pending(Option<Waker>),
    Ended(Result<T>),
    Taken,
}

/// A future on this thread's event loop, to be awaited; it goes on alone where the handle is dropped.
///
/// The error is the payload of the future's panic, as `join` has it.
pub struct LocalHandle<T>(Rc<RefCell<Outcome<T>>>);

impl<T> LocalHandle<T> {
    /// Whether awaiting the handle would end at once.
    pub fn is_finished(&self) -> bool {
        !matches!(&*self.0.borrow(), Outcome::Pending(_))
    }
}

impl<T> fmt::Debug for LocalHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle").finish_non_exhaustive()
    }
}

impl<T> Future for LocalHandle<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut outcome = self.0.borrow_mut();
        if let Outcome::Pending(waker) = &mut *outcome {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *outcome, Outcome::Taken) {
            Outcome::Ended(result) => Poll::Ready(result),
            _ => panic!("a handle is not polled after it was ready"),
        }
    }
}

/// This thread has no event loop, so that nobody would poll the future, which is given back.
#[derive(Clone, PartialEq, Eq)]
pub struct NoEventLoop<F>(pub F);

impl<F> fmt::Debug for NoEventLoop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoEventLoop").finish_non_exhaustive()
    }
}

impl<F> fmt::Display for NoEventLoop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this thread has no event loop to poll a local future: start it with spawn_async",
        )
    }
}

impl<F> Error for NoEventLoop<F> {}

/// Has this thread's event loop run `future`, beside what the thread does itself.
///
/// On a thread of [`spawn_async`](crate::spawn_async) the future is polled whenever the thread's own future waits, and dropped
/// if it has not ended when that one has. In Wasm it can also be called where no thread of this crate runs – on an instance that a
/// page or a worker made by itself – and is `wasm_bindgen_futures::spawn_local` there.
///
/// While the thread blocks – in a lock, `join`, `park`, `sleep`, a channel's `recv` – or computes, no local future is polled and no
/// promise resolves. So a thread must not block for what only a local future of its own will do: await that instead.
///
/// ```
/// let thread = heddle_thread::spawn_async(|| async {
///     let local = heddle_thread::spawn_local(async { 42 });
///     local.await.unwrap()
/// });
/// assert_eq!(thread.join().unwrap(), 42);
/// ```
///
/// # Panics
/// On a thread that has no event loop; [`try_spawn_local`] returns that as an error.
#[track_caller]
pub fn spawn_local<F>(future: F) -> LocalHandle<F::Output>
where
    F: Future + 'static,
{
    match try_spawn_local(future) {
        Ok(handle) => handle,
        Err(error) => panic!("{error}"),
    }
}

/// As [`spawn_local`], on whatever thread.
///
/// # Errors
/// [`NoEventLoop`], with the future, on a thread that has no event loop: one of [`spawn`](crate::spawn()) or of `scope`, a call that
/// TypeScript spawned, natively also the main thread; and on any thread that is ending.
pub fn try_spawn_local<F>(future: F) -> std::result::Result<LocalHandle<F::Output>, NoEventLoop<F>>
where
    F: Future + 'static,
{
    // There is none in the destructors of thread-local values.
    let inner = CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten();
    if inner.is_none() && !sys::has_host_event_loop() {
        return Err(NoEventLoop(future));
    }
    let outcome = Rc::new(RefCell::new(Outcome::Pending(None)));
    let handle = LocalHandle(Rc::clone(&outcome));
    let future = async move {
        let result = AssertUnwindSafe(future).catch_unwind().await;
        let before = outcome.replace(Outcome::Ended(result));
        if let Outcome::Pending(Some(waker)) = before {
            waker.wake();
        }
    };
    match inner {
        Some(inner) => inner.add(future.boxed_local()),
        None => sys::spawn_on_host_event_loop(future),
    }
    Ok(handle)
}
