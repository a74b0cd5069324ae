//! What a SQL thread shows of itself to others, and the word by which they interrupt it: the record `Connection` of `layout/store.json`.

use std::cell::RefCell;
use std::sync::Arc;

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::thread_local;

thread_local! {
    /// Whose request this thread runs.
    static RUNNING: RefCell<Option<Arc<Activity>>> = const { RefCell::new(None) };
}

/// Runs a part of a request: whatever waits or works long in it looks up [`check_interrupt`].
pub fn while_running<R>(activity: &Arc<Activity>, body: impl FnOnce() -> R) -> R {
    /// Puts back what ran before, also where the body panics.
    struct Before(Option<Arc<Activity>>);
    impl Drop for Before {
        fn drop(&mut self) {
            RUNNING.with(|running| running.replace(self.0.take()));
        }
    }
    let _before = Before(RUNNING.with(|running| running.replace(Some(activity.clone()))));
    body()
}

/// Fails where the request that this thread runs is to be interrupted; a thread that runs none goes on.
pub fn check_interrupt() -> StoreResult<()> {
    let is_interrupted = RUNNING.with(|running| {
        running
            .borrow()
            .as_ref()
            .is_some_and(|own| own.is_interrupted())
    });
    if is_interrupted {
        return Err(StoreError::new(StoreErrorCode::Interrupted, "interrupted"));
    }
    Ok(())
}

/// Waits in `wait` for another thread of the engine, or for the host, which is no lack of heed for an interrupt. Such waits don't nest.
pub fn while_waiting<R>(wait: impl FnOnce() -> R) -> R {
    /// The wait is over, also where it panics.
    struct Waiting(Arc<Activity>);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.progress.fetch_add(1, Ordering::Relaxed);
        }
    }
    let running = RUNNING.try_with(|running| running.borrow().clone());
    let _waiting = running.ok().flatten().map(|own| {
        own.progress.fetch_add(1, Ordering::Relaxed);
        Waiting(own)
    });
    wait()
}

/// A record in shared memory. Every word is a figure or a flag of its own and publishes nothing else: Relaxed loads and stores do, but for the
/// beginning of a request, which must not miss an interrupt that misses it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Activity {
    /// The id of the request to interrupt, or 0.
    pub cancel: AtomicU32,
    /// 0 idle, 1 running.
    pub state: AtomicU32,
    /// Statements run, modulo 2^32.
    pub statements: AtomicU32,
    /// The id of the request that runs, or 0.
    pub request: AtomicU32,
    /// Another number as long as that goes on, and an odd one while it waits, for who ends an engine that heeds no interrupt
    /// (`HeedWatch.ts`).
    pub progress: AtomicU32,
}

impl Activity {
    /// Whether the request that runs is to be interrupted; who asks goes on.
    pub fn is_interrupted(&self) -> bool {
        self.progress.fetch_add(2, Ordering::Relaxed);
        // SeqCst: see `begin`.
        let cancel = self.cancel.load(Ordering::SeqCst);
        cancel != 0 && cancel == self.request.load(Ordering::Relaxed)
    }

    /// A request begins.
    pub fn begin(&self, request: u32) {
        // SeqCst: who interrupts stores `cancel` and then loads this; the request looks at `cancel` first of all. One sees the other.
        self.request.store(request, Ordering::SeqCst);
        self.state.store(1, Ordering::Relaxed);
    }

    /// The request has ended.
    pub fn end(&self) {
        self.state.store(0, Ordering::Relaxed);
        self.request.store(0, Ordering::Relaxed);
    }
}
