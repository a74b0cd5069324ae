//! Runs Tonbo's tasks on a few threads of our own, and any future on the calling one.
//!
//! Tonbo spawns two kinds of tasks: reads, which are ready when first polled because [`Io`](crate::io::Io) blocks, and
//! long-lived writers, which wait for work most of the time. So a task is polled once by the thread that spawns it, and
//! goes to the queue only if it is pending.
//!
//! # Threads
//! They are started when a queued task finds no idle one, up to [`THREAD_COUNT_MAX`], and end when the executor's last
//! handle is gone. Idle threads wait for the queue or for the next timer, whichever comes first.

mod block_on;
mod task;
mod timer;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use fusio::dynamic::MaybeSendFuture;
use fusio::executor::{Executor, Instant, NoopMutex, NoopRwLock, Timer};

pub use self::block_on::block_on;
use self::task::Task;
pub use self::task::{TASK_FAILED_WORDS, TaskFailed, TaskHandle, was_refused_memory};
use self::timer::{Sleep, Timers};

/// Threads that run tasks. A task that syncs a file keeps one busy, so one alone would let tables wait for each other.
pub const THREAD_COUNT_MAX: usize = 3;

/// The executor and timer that Tonbo is opened with. Clones are the same executor.
#[derive(Clone)]
pub struct TonboExecutor {
    pool: Arc<Pool>,
    _owner: Arc<Owner>,
}

/// Stops the threads when the last [`TonboExecutor`] is gone; the threads themselves hold only the pool.
struct Owner(Arc<Pool>);

struct Pool {
    queue: Mutex<Queue>,
    /// A task was queued, a timer set, or the executor closed.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Task>>,
    timers: Timers,
    thread_count: usize,
    idle_count: usize,
    is_closed: bool,
}

impl TonboExecutor {
    /// An executor without threads yet.
    pub fn new() -> Self {
        let pool = Arc::new(Pool {
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
        });
        Self {
            _owner: Arc::new(Owner(pool.clone())),
            pool,
        }
    }
}

impl Default for TonboExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TonboExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.pool.queue();
        f.debug_struct("TonboExecutor")
            .field("threads", &queue.thread_count)
            .field("ready", &queue.ready.len())
            .field("timers", &queue.timers.len())
            .finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_closed = true;
        // Tasks that are queued are dropped with their futures, and outside the lock: they may wake others.
        let dropped = (
            std::mem::take(&mut queue.ready),
            std::mem::take(&mut queue.timers),
        );
        drop(queue);
        self.0.changed.notify_all();
        drop(dropped);
    }
}

impl Pool {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Tasks are polled outside this lock, so no panic of theirs poisons it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, task: Arc<Task>) {
        let mut queue = self.queue();
        if queue.is_closed {
            drop(queue);
            return drop(task);
        }
        queue.ready.push_back(task);
        self.call_thread(queue);
    }

    /// Wakes an idle thread, or starts one where there is none and there may be more.
    fn call_thread(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if queue.idle_count == 0 && queue.thread_count < THREAD_COUNT_MAX {
            queue.thread_count += 1;
            drop(queue);
            let pool = self.clone();
            let started = heddle_thread::Builder::new()
                .name("heddle-tonbo".to_owned())
                .spawn(move || pool.run());
            if started.is_err() {
                // The threads that run will come to it; where there is none, the next push tries again.
                self.queue().thread_count -= 1;
            }
            return;
        }
        drop(queue);
        self.changed.notify_one();
    }

    /// The life of a thread.
    fn run(self: Arc<Self>) {
        let mut queue = self.queue();
        while !queue.is_closed {
            let now = Instant::now();
            let due = queue.timers.take_due(now);
            if let Some(task) = queue.ready.pop_front() {
                drop(queue);
                due.into_iter().for_each(Waker::wake);
                task.run();
                queue = self.queue();
            } else if !due.is_empty() {
                drop(queue);
                due.into_iter().for_each(Waker::wake);
                queue = self.queue();
            } else {
                let timeout = queue
                    .timers
                    .next_deadline()
                    .map(|next| next.saturating_duration_since(now));
                queue.idle_count += 1;
                queue = match timeout {
                    Some(timeout) => {
                        self.changed
                            .wait_timeout(queue, timeout)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                    None => self
                        .changed
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner),
                };
                queue.idle_count -= 1;
            }
        }
        queue.thread_count -= 1;
    }
}

impl Executor for TonboExecutor {
    type JoinHandle<R>
        = TaskHandle<R>
    where
        R: Send;
    type Mutex<T>
        = NoopMutex<T>
    where
        T: Send + Sync;
    type RwLock<T>
        = NoopRwLock<T>
    where
        T: Send + Sync;

    fn spawn<F>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let (task, handle) = Task::new(future, &self.pool);
        task.run();
        handle
    }

    fn mutex<T: Send + Sync>(value: T) -> NoopMutex<T> {
        NoopMutex::new(value)
    }

    fn rw_lock<T: Send + Sync>(value: T) -> NoopRwLock<T> {
        NoopRwLock::new(value)
    }
}

impl Timer for TonboExecutor {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn MaybeSendFuture<Output = ()>>> {
        Box::pin(Sleep::new(self.pool.clone(), duration))
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_time(&self) -> SystemTime {
        timer::system_time()
    }
}
