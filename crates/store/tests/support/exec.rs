//! An executor on a few threads. `spawn` polls the task once on the calling thread, so a read that is ready at once costs
//! no hop; only a task that waits moves to the pool.

use std::{
    error::Error,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, OnceLock, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, SystemTime},
};

use fusio::{
    MaybeSend, MaybeSync,
    dynamic::MaybeSendFuture,
    executor::{Executor, Instant, JoinHandle, NoopMutex, NoopRwLock, Timer},
};
use futures::channel::oneshot;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct Task {
    future: Mutex<Option<BoxFuture>>,
    queue: mpsc::Sender<Arc<Task>>,
}

impl Task {
    fn run(self: Arc<Self>) {
        let mut slot = self.future.lock().expect("a task panicked");
        if let Some(mut future) = slot.take() {
            let waker = Waker::from(Arc::clone(&self));
            if future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
            {
                *slot = Some(future);
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // The pool is gone only when the test is over.
        let _ = self.queue.clone().send(self);
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Run `future` on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// A handle to the four threads that all tables of a test process share.
#[derive(Clone)]
pub struct TestExecutor {
    queue: mpsc::Sender<Arc<Task>>,
}

impl TestExecutor {
    pub fn shared() -> Self {
        static SHARED: OnceLock<Mutex<mpsc::Sender<Arc<Task>>>> = OnceLock::new();
        let queue = SHARED.get_or_init(|| Mutex::new(start_threads(4)));
        let queue = queue.lock().expect("the pool is whole").clone();
        Self { queue }
    }
}

fn start_threads(count: usize) -> mpsc::Sender<Arc<Task>> {
    let (queue, tasks) = mpsc::channel::<Arc<Task>>();
    let tasks = Arc::new(Mutex::new(tasks));
    for _ in 0..count {
        let tasks = Arc::clone(&tasks);
        thread::spawn(move || {
            loop {
                let next = tasks.lock().expect("the queue is whole").recv();
                let Ok(task) = next else { break };
                task.run();
            }
        });
    }
    queue
}

pub struct TestJoin<R>(oneshot::Receiver<R>);

impl<R: MaybeSend> JoinHandle<R> for TestJoin<R> {
    async fn join(self) -> Result<R, Box<dyn Error + Send + Sync>> {
        self.0.await.map_err(Into::into)
    }
}

impl Executor for TestExecutor {
    type JoinHandle<R>
        = TestJoin<R>
    where
        R: MaybeSend;
    type Mutex<T>
        = NoopMutex<T>
    where
        T: MaybeSend + MaybeSync;
    type RwLock<T>
        = NoopRwLock<T>
    where
        T: MaybeSend + MaybeSync;

    fn spawn<F>(&self, future: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + MaybeSend + 'static,
        F::Output: MaybeSend,
    {
        let (result, join) = oneshot::channel();
        let task = Task {
            future: Mutex::new(Some(Box::pin(async move {
                let _ = result.send(future.await);
            }))),
            queue: self.queue.clone(),
        };
        Arc::new(task).run();
        TestJoin(join)
    }

    fn mutex<T: MaybeSend + MaybeSync>(value: T) -> Self::Mutex<T> {
        NoopMutex::new(value)
    }

    fn rw_lock<T: MaybeSend + MaybeSync>(value: T) -> Self::RwLock<T> {
        NoopRwLock::new(value)
    }
}

impl Timer for TestExecutor {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn MaybeSendFuture<Output = ()>>> {
        let (done, woken) = oneshot::channel::<()>();
        thread::spawn(move || {
            thread::sleep(duration);
            let _ = done.send(());
        });
        Box::pin(async move {
            let _ = woken.await;
        })
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_time(&self) -> SystemTime {
        SystemTime::now()
    }
}
