//! Timers of the executor: wakers by the time they are due.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use fusio::executor::Instant;

use super::Pool;

/// When a timer is due, and its number among those of the same instant.
type Key = (Instant, u64);

#[derive(Default)]
pub(super) struct Timers {
    wakers: BTreeMap<Key, Waker>,
    count: u64,
}

impl Timers {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wakers
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    /// Takes out the timers that are due at `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.wakers.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        due
    }

    pub(super) fn len(&self) -> usize {
        self.wakers.len()
    }

    fn set(&mut self, key: Option<Key>, deadline: Instant, waker: Waker) -> Key {
        let key = key.unwrap_or_else(|| {
            self.count += 1;
            (deadline, self.count)
        });
        self.wakers.insert(key, waker);
        key
    }
}

/// Ready when its time has come.
pub(super) struct Sleep {
    pool: Arc<Pool>,
    deadline: Instant,
    key: Option<Key>,
}

impl Sleep {
    pub(super) fn new(pool: Arc<Pool>, duration: Duration) -> Self {
        Self {
            pool,
            deadline: Instant::now() + duration,
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let pool = self.pool.clone();
        let mut queue = pool.queue();
        if queue.is_closed {
            // Nobody would wake it any more; whoever sleeps is about to be dropped or to find the store closed.
            return Poll::Ready(());
        }
        let key = queue
            .timers
            .set(self.key, self.deadline, context.waker().clone());
        self.key = Some(key);
        pool.call_thread(queue);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.pool.queue().timers.wakers.remove(&key);
        }
    }
}

/// The time of day; `SystemTime::now` panics on a bare Wasm target.
pub(super) fn system_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(crate::sqlite::unix_ms().max(0) as u64)
}
