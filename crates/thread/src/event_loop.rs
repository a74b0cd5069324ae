//! Threads that are a future: their worker goes back to its event loop between two polls.
//!
//! A thread of [`spawn`](crate::spawn()) never leaves its code before its end, so in Wasm no promise resolves on it. A thread
//! of [`spawn_async`] returns to its host whenever its future waits; timers, messages, `fetch` and every other promise go on
//! meanwhile, on the same worker. Natively it sleeps between two polls.
//!
//! # Invariants
//! 1. The future is made, polled and dropped on its thread alone, so it need not be `Send`.
//! 2. The thread ends with its future. Local futures ([`spawn_local`](crate::spawn_local)) that are left are dropped on the thread,
//!    before the callbacks of [`at_exit`](crate::at_exit), the destructors of thread-local values, and `join`.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::builder::{self, Builder};
use crate::join::{JoinHandle, Packet, Result};
use crate::local::LocalFutures;
use crate::sys;

/// What whoever drives such a thread does with it, on its own stack.
pub(crate) trait EventLoopThread {
    /// Ready once the thread's future has ended, however it did; then nobody polls again.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// Does what is to be done at a thread's end, and tells those who wait for it.
    fn end(self: Box<Self>);
}

struct AsyncThread<F: Future> {
    /// Until it has ended.
    future: Option<Pin<Box<F>>>,
    /// From then on.
    result: Option<Result<F::Output>>,
    locals: LocalFutures,
    packet: Arc<Packet<F::Output>>,
}

impl<F: Future> AsyncThread<F> {
    fn begin(make: impl FnOnce() -> F, packet: Arc<Packet<F::Output>>) -> Self {
        let locals = LocalFutures::enter();
        let (future, result) = match catch_unwind(AssertUnwindSafe(make)) {
            Ok(future) => (Some(Box::pin(future)), None),
            Err(payload) => (None, Some(Err(payload))),
        };
        AsyncThread {
            future,
            result,
            locals,
            packet,
        }
    }
}

impl<F: Future> EventLoopThread for AsyncThread<F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.locals.set_waker(context.waker());
        if let Some(future) = &mut self.future {
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                Ok(Poll::Pending) => {
                    self.locals.poll(context);
                    return Poll::Pending;
                }
                Ok(Poll::Ready(value)) => self.result = Some(Ok(value)),
                Err(payload) => self.result = Some(Err(payload)),
            }
        }
        Poll::Ready(())
    }

    fn end(self: Box<Self>) {
        let AsyncThread {
            future,
            result,
            locals,
            packet,
        } = *self;
        let mut result = result.expect("a thread is ended when its future has");
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            drop(future);
            locals.leave();
        }));
        if let Err(payload) = dropped
            && result.is_ok()
        {
            result = Err(payload);
        }
        builder::end(packet, result);
    }
}

impl Builder {
    /// As [`spawn_async`], with these properties.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn_async<M, F>(self, make: M) -> io::Result<JoinHandle<F::Output>>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let packet = Arc::new(Packet::new(None));
        let begin = {
            let packet = Arc::clone(&packet);
            move || Box::new(AsyncThread::begin(make, packet)) as Box<dyn EventLoopThread>
        };
        let (native, thread) = sys::spawn_on_event_loop(self, Arc::clone(&packet), begin)?;
        Ok(JoinHandle::new(native, thread, packet))
    }
}

/// Starts a thread that runs the future that `make` makes there.
///
/// In Wasm the thread has its worker's event loop to itself: whenever the future waits, promises resolve, timers fire and messages
/// arrive (`wasm_bindgen_futures::JsFuture`, `fetch`, files of the origin). The future need not be `Send`; what it returns must be.
/// It is joined like any other thread, and counts like one against the runtime's `maxThreads`. It may block, too: nothing else
/// happens on its event loop then.
///
/// ```
/// let thread = heddle_thread::spawn_async(|| async {
///     let part = heddle_thread::spawn(|| 40).join_async().await.unwrap();
///     let rest = std::rc::Rc::new(2); // not Send, and need not be
///     part + *rest
/// });
/// assert_eq!(thread.join().unwrap(), 42);
/// ```
///
/// The thread ends with its future: local futures that it has left behind ([`spawn_local`](crate::spawn_local)) are dropped. A
/// panic reaches `join` with its payload, whether `make` panics, a poll, or the future's destructor.
///
/// # Panics
/// Where no thread can be started; [`Builder::spawn_async`] returns that as an error.
pub fn spawn_async<M, F>(make: M) -> JoinHandle<F::Output>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    Builder::new()
        .spawn_async(make)
        .expect("failed to spawn thread")
}
