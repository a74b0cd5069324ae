//! Waits for a future on the calling thread.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::activity;

/// Whether the future was woken since it was last polled, and the thread that waits for that.
#[derive(Default)]
struct Signal {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_one();
    }
}

/// Polls `future` on this thread until it is ready, sleeping while it waits. What it polls may block.
///
/// # Example
/// ```
/// use heddle_store::tonbo::executor::block_on;
///
/// assert_eq!(block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let mut is_woken = signal
            .is_woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !*is_woken {
            is_woken = activity::while_waiting(|| signal.woken.wait(is_woken))
                .unwrap_or_else(PoisonError::into_inner);
        }
        *is_woken = false;
    }
}
