//! What the tests share, natively (`tests/*.rs`) and in Wasm (`examples/thread-testing`).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;

/// Lets others have their turn once.
pub async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Counts how often one like it was dropped.
#[allow(dead_code, reason = "not every test drops something")]
pub struct Dropped(pub Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
