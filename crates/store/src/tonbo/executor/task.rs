//! A task: a future that is polled by whoever finds it in the queue, and the handle that waits for its output.
//!
//! # State
//! | state | its future is | a wake |
//! |---|---|---|
//! | `IDLE` | in its slot | queues it: `QUEUED` |
//! | `QUEUED` | in its slot | does nothing |
//! | `RUNNING` | being polled | marks it: `WOKEN` |
//! | `WOKEN` | being polled | does nothing; the poller queues it again |
//! | `DONE` | gone | does nothing |

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use fusio::executor::JoinHandle;

use super::Pool;
use crate::error::{ALLOCATION_FAILED, panic_words};

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const WOKEN: u8 = 3;
const DONE: u8 = 4;

pub(super) struct Task {
    state: AtomicU8,
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    pool: Weak<Pool>,
}

impl Task {
    /// A task that the caller runs first, and the handle to its output.
    pub(super) fn new<F>(future: F, pool: &Arc<Pool>) -> (Arc<Self>, TaskHandle<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let outcome = Arc::new(Mutex::new(Outcome::Pending(None)));
        let reporter = Reporter(outcome.clone());
        let mut future = Box::pin(future);
        let reporting = async move {
            let result = std::future::poll_fn(|context| {
                // A future that panicked is not polled again, so nobody sees what it left half-done.
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                    Ok(polled) => polled.map(Ok),
                    Err(payload) => Poll::Ready(Err(TaskFailed::from_panic(&*payload))),
                }
            });
            reporter.report(result.await);
        };
        let task = Task {
            state: AtomicU8::new(QUEUED),
            future: Mutex::new(Some(Box::pin(reporting))),
            pool: Arc::downgrade(pool),
        };
        (Arc::new(task), TaskHandle { outcome })
    }

    /// Polls the task once; the caller took it out of `IDLE` or `QUEUED`, so nobody else does.
    pub(super) fn run(self: Arc<Self>) {
        // Release/Acquire with the wakes below: what a waker's thread wrote before it woke us is seen by this poll.
        self.state.store(RUNNING, Ordering::Release);
        let waker = Waker::from(self.clone());
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else { return };
        // Panics are caught by the future itself, see `new`.
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.state.store(DONE, Ordering::Release);
            let finished = slot.take();
            drop(slot);
            return drop(finished);
        }
        drop(slot);
        // AcqRel: publishes the future to the next poller, and sees what the waker published if it was woken meanwhile.
        if self
            .state
            .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            self.state.store(QUEUED, Ordering::Release);
            if let Some(pool) = self.pool.upgrade() {
                pool.push(self);
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        loop {
            let (from, to) = match self.state.load(Ordering::Acquire) {
                IDLE => (IDLE, QUEUED),
                RUNNING => (RUNNING, WOKEN),
                _ => return,
            };
            // AcqRel: what this thread wrote is published to the poll that follows.
            if self
                .state
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                if to == QUEUED
                    && let Some(pool) = self.pool.upgrade()
                {
                    pool.push(self);
                }
                return;
            }
        }
    }
}

/// Waits for the output of a spawned task. Dropping it lets the task run on.
pub struct TaskHandle<R> {
    outcome: Arc<Mutex<Outcome<R>>>,
}

enum Outcome<R> {
    Pending(Option<Waker>),
    Ready(Result<R, TaskFailed>),
    Taken,
}

/// How [`TaskFailed`] begins, for those who have its words alone.
pub const TASK_FAILED_WORDS: &str = "a task of the store failed";

/// A task panicked, or its executor was closed before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFailed {
    message: String,
}

impl fmt::Display for TaskFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TASK_FAILED_WORDS}: {}", self.message)
    }
}

impl Error for TaskFailed {}

/// Whether a task has been refused memory since this was asked last: those who wait for one by a channel are told only that it has ended.
pub fn was_refused_memory() -> bool {
    // Relaxed: whoever has been told of a task's end by its channel or handle sees what came before that.
    REFUSED.swap(false, Ordering::Relaxed)
}

static REFUSED: AtomicBool = AtomicBool::new(false);

impl TaskFailed {
    fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        if panic_words(payload).starts_with(ALLOCATION_FAILED) {
            REFUSED.store(true, Ordering::Relaxed);
        }
        Self {
            message: panic_words(payload).to_owned(),
        }
    }
}

/// Writes the outcome of a task, also when the task is dropped before it has one.
struct Reporter<R>(Arc<Mutex<Outcome<R>>>);

impl<R> Reporter<R> {
    fn report(&self, result: Result<R, TaskFailed>) {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Outcome::Pending(waker) = &mut *outcome {
            let waker = waker.take();
            *outcome = Outcome::Ready(result);
            drop(outcome);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<R> Drop for Reporter<R> {
    fn drop(&mut self) {
        self.report(Err(TaskFailed {
            message: "the executor was closed".to_owned(),
        }));
    }
}

impl<R: Send> JoinHandle<R> for TaskHandle<R> {
    async fn join(self) -> Result<R, Box<dyn Error + Send + Sync>> {
        let result = std::future::poll_fn(|context| {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *outcome {
                Outcome::Pending(waker) => {
                    *waker = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => match std::mem::replace(&mut *outcome, Outcome::Taken) {
                    Outcome::Ready(result) => Poll::Ready(result),
                    _ => unreachable!("a join future is not polled again after it was ready"),
                },
            }
        })
        .await;
        Ok(result?)
    }
}
