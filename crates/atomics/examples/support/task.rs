//! Tasks of the modules that tests run: their threads have event loops, on which the tests poll them.

use core::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
};
use std::{sync::Arc, task::Wake};

/// A task that somebody polls whenever it was woken.
pub struct Task {
    future: Pin<Box<dyn Future<Output = u32>>>,
    woken: Arc<Woken>,
    /// What it gave, if it was ready at once.
    result: Option<u32>,
}

/// How often its waker was used since it was polled last.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a new task for the first time.
pub fn begin(future: impl Future<Output = u32> + 'static) -> *mut Task {
    let mut task = Task {
        future: Box::pin(future),
        woken: Arc::default(),
        result: None,
    };
    task.woken.0.store(1, Ordering::Relaxed);
    task.result = poll(&mut task);
    Box::into_raw(Box::new(task))
}

fn poll(task: &mut Task) -> Option<u32> {
    if task.woken.0.swap(0, Ordering::Relaxed) == 0 {
        return None;
    }
    let waker = Waker::from(Arc::clone(&task.woken));
    match task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Polls a task if it was woken; what it gives, or 0 if it isn't ready.
///
/// # Safety
/// There is the task, on the thread that began it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn task_poll(task: *mut Task) -> u32 {
    // SAFETY: of the caller.
    let task = unsafe { &mut *task };
    task.result.take().or_else(|| poll(task)).unwrap_or(0)
}

/// Drops a task.
///
/// # Safety
/// There is the task, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn task_drop(task: *mut Task) -> u32 {
    // SAFETY: of the caller.
    drop(unsafe { Box::from_raw(task) });
    0
}
