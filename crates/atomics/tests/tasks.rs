//! The locks and their kin with tasks that wait, beside threads. Nobody dies here: a death has all tasks of the process look again,
//! and these say when they are woken (`task_deaths.rs`).
#![cfg(not(any(loom, shuttle)))]

use futures_executor::block_on;
use heddle_atomics::{
    Barrier, Condvar, Event, Latch, Lazy, Mutex, Once, OnceCell, Parker, RwLock, Semaphore,
    WaitGroup, registry,
};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that somebody polls by hand.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    count: Arc<Count>,
}

impl<'a, T> Task<'a, T> {
    /// One that has been polled, and waits.
    fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut task = Self {
            future: Box::pin(future),
            count: Arc::default(),
        };
        assert!(task.poll().is_pending());
        // One that looks without having been woken stays where it is.
        assert!(task.poll().is_pending());
        task
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.count));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> u32 {
        self.count.0.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn ready(mut self) -> T {
        assert!(self.woken() > 0, "nobody has woken the task");
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("what the task was woken for isn't there"),
        }
    }
}

/// Polls a future so many times, and drops it if that wasn't enough.
async fn within<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

#[test]
fn tasks_and_threads_take_the_lock_in_turn_and_some_give_up() {
    const TURNS: u32 = 500;
    let (lock, taken) = (Mutex::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for who in 0..4 {
            let (lock, taken) = (&lock, &taken);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let guard = match (who + turn) % 4 {
                        0 => Some(lock.lock().unwrap()),
                        1 => block_on(within(turn % 3, lock.lock_async())).map(Result::unwrap),
                        _ => Some(block_on(lock.lock_async()).unwrap()),
                    };
                    let Some(mut guard) = guard else { continue };
                    taken.fetch_add(1, Ordering::Relaxed);
                    *guard += 1;
                    if turn % 8 == 0 {
                        // The others come to wait.
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(lock.raw().owner().is_none() && lock.raw().claimant().is_none());
    assert_eq!(lock.into_inner().unwrap(), taken.into_inner());
}

#[test]
fn a_task_waits_for_another_one_of_its_thread() {
    // In the registry: a blocking form would say that the thread waits for itself.
    registry::enter_new().unwrap();
    let lock = Mutex::new(0);
    let guard = block_on(lock.lock_async()).unwrap();
    let mut first = Task::waiting(lock.lock_async());
    let second = Task::waiting(lock.lock_async());
    drop(guard);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    // Who comes while it is free takes it; the task waits on.
    let guard = lock.lock().unwrap();
    assert!(first.poll().is_pending());
    drop(guard);
    *second.ready().unwrap() += 1;
    *first.ready().unwrap() += 1;
    assert_eq!(lock.into_inner().unwrap(), 2);
    registry::leave();
}

#[test]
fn the_lock_belongs_to_the_thread_that_polled_last() {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let count = Arc::<Count>::default();
    let waker = Waker::from(count);
    let mut future = Box::pin(lock.lock_async());
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(guard);
    thread::scope(|scope| {
        scope.spawn(|| {
            let me = registry::enter_new().unwrap();
            let guard = block_on(future).unwrap();
            assert_eq!(lock.raw().owner(), Some(me));
            drop(guard);
            registry::leave();
        });
    });
    assert!(lock.try_lock().is_ok());
}

#[test]
fn a_task_that_goes_passes_on_what_it_was_woken_for() {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let (first, second) = (
        Task::waiting(lock.lock_async()),
        Task::waiting(lock.lock_async()),
    );
    drop(guard);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    drop(second.ready());

    let semaphore = Semaphore::new(0);
    let (first, second) = (
        Task::waiting(semaphore.acquire_async()),
        Task::waiting(semaphore.acquire_async()),
    );
    semaphore.release(1);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    drop(second.ready());
    assert_eq!(semaphore.available(), 1);

    let event = Event::auto_reset();
    let (first, second) = (
        Task::waiting(event.wait_async()),
        Task::waiting(event.wait_async()),
    );
    assert!(event.set());
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    second.ready();
    assert!(!event.is_set());

    let (lock, changed) = (Mutex::new(0), Condvar::new());
    let first = Task::waiting(changed.wait_async(lock.lock().unwrap()));
    let second = Task::waiting(changed.wait_async(lock.lock().unwrap()));
    changed.notify_one();
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    drop(second.ready().unwrap());
    assert!(lock.try_lock().is_ok());
}

/// A fair unlock keeps the lock for whoever waited longest. When that was a task that gave up just then, nobody else came in: each
/// saw the lock kept for somebody else.
#[test]
fn a_lock_that_was_kept_for_a_task_that_goes_is_free() {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let first = Task::waiting(lock.lock_async());
    heddle_atomics::MutexGuard::unlock_fair(guard);
    assert!(lock.try_lock().is_err(), "it is kept for the task");
    drop(first);
    assert!(lock.try_lock().is_ok());
}

#[test]
fn a_notification_isnt_lost_with_a_task_that_waits_for_the_lock_by_then() {
    let (lock, changed) = (Mutex::new(0), Condvar::new());
    let mut first = Task::waiting(changed.wait_async(lock.lock().unwrap()));
    let second = Task::waiting(changed.wait_async(lock.lock().unwrap()));
    let guard = lock.lock().unwrap();
    changed.notify_one();
    assert!(first.poll().is_pending());
    assert_eq!(second.woken(), 0);
    drop(first);
    drop(guard);
    drop(second.ready().unwrap());
}

#[test]
fn a_task_that_never_waited_to_the_end_leaves_no_trace() {
    let lock = Mutex::new(());
    let guard = lock.lock().unwrap();
    let (first, second) = (
        Task::waiting(lock.lock_async()),
        Task::waiting(lock.lock_async()),
    );
    drop(first);
    drop(guard);
    drop(second.ready());
    drop(lock.lock_async());
    assert!(lock.try_lock().is_ok());

    let barrier = Barrier::new(2);
    drop(Task::waiting(barrier.wait_async()));
    assert_eq!(barrier.arrived(), 0);
    let early = Task::waiting(barrier.wait_async());
    assert_eq!(barrier.arrived(), 1);
    assert!(block_on(barrier.wait_async()).is_leader());
    assert!(!early.ready().is_leader());

    let parker = Parker::new();
    let parked = Task::waiting(parker.park_async());
    parker.unparker().unpark();
    drop(parked);
    assert!(parker.try_park() && !parker.try_park());
    let parked = Task::waiting(parker.park_async());
    parker.unparker().unpark();
    parked.ready();
    assert!(!parker.try_park());

    let semaphore = Semaphore::new(1);
    drop(Task::waiting(semaphore.acquire_many_async(2)));
    assert_eq!(semaphore.available(), 1);
    assert_eq!(block_on(semaphore.acquire_async()).count(), 1);
}

#[test]
fn a_task_that_wants_many_permits_starves_behind_nobody() {
    let semaphore = Semaphore::new(2);
    let permit = semaphore.try_acquire().unwrap();
    let mut heavy = Task::waiting(semaphore.acquire_many_async(2));
    // It is woken in vain until it claims what it waits for.
    while let Some(light) = semaphore.try_acquire() {
        drop(light);
        assert!(heavy.poll().is_pending());
    }
    drop(permit);
    assert_eq!(heavy.ready().count(), 2);
    assert_eq!(semaphore.available(), 2);
    assert_eq!(semaphore.raw().claimant(), None);
}

#[test]
fn everybody_goes_through_what_is_open_for_all() {
    let (latch, event, group) = (Latch::new(1), Event::manual_reset(), WaitGroup::new());
    let member = group.member();
    let tasks = [(); 3].map(|()| {
        Task::waiting(async {
            latch.wait_async().await;
            event.wait_async().await;
            group.wait_async().await;
        })
    });
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                latch.wait();
                event.wait();
                group.wait();
            });
            scope.spawn(|| {
                block_on(async {
                    latch.wait_async().await;
                    event.wait_async().await;
                    group.wait_async().await;
                });
            });
        }
        latch.count_down(1).unwrap();
        event.set();
        drop(member);
    });
    tasks.into_iter().for_each(Task::ready);

    // Who waits for an event goes on, also if it is reset at once.
    event.reset();
    let waiting = Task::waiting(event.wait_async());
    event.set();
    event.reset();
    waiting.ready();
}

#[test]
fn tasks_and_threads_meet_again_and_again() {
    const TIMES: u32 = 200;
    let (barrier, led) = (Barrier::new(4), AtomicU32::new(0));
    thread::scope(|scope| {
        for who in 0..4 {
            let (barrier, led) = (&barrier, &led);
            scope.spawn(move || {
                for _ in 0..TIMES {
                    let result = if who % 2 == 0 {
                        barrier.wait()
                    } else {
                        block_on(barrier.wait_async())
                    };
                    led.fetch_add(u32::from(result.is_leader()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(led.into_inner(), TIMES);
}

#[test]
fn tasks_read_together_and_write_alone() {
    let lock = RwLock::new(0);
    let reading = block_on(lock.read_async()).unwrap();
    let also = block_on(lock.read_async()).unwrap();
    let writing = Task::waiting(lock.write_async());
    // Nobody begins to read any more, until the writer gives up.
    let late = Task::waiting(lock.read_async());
    drop(writing);
    drop(late.ready().unwrap());
    let writing = Task::waiting(lock.write_async());
    drop(reading);
    drop(also);
    *writing.ready().unwrap() += 1;

    const TURNS: u32 = 200;
    thread::scope(|scope| {
        for who in 0..4 {
            let lock = &lock;
            scope.spawn(move || {
                for turn in 0..TURNS {
                    match (who + turn) % 4 {
                        0 => *lock.write().unwrap() += 1,
                        1 => *block_on(lock.write_async()).unwrap() += 1,
                        2 => drop(block_on(within(turn % 3, lock.write_async()))),
                        _ => assert!(*block_on(lock.read_async()).unwrap() > 0),
                    }
                }
            });
        }
    });
    assert_eq!(lock.into_inner().unwrap(), 1 + 4 * TURNS / 2);
}

#[test]
fn a_condition_that_comes_true_is_seen_by_tasks_and_threads() {
    let (lock, changed) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let guard = lock.lock().unwrap();
                assert!(*changed.wait_while(guard, |is_ready| !*is_ready).unwrap());
            });
            scope.spawn(|| {
                block_on(async {
                    let guard = lock.lock_async().await.unwrap();
                    let guard = changed.wait_while_async(guard, |is_ready| !*is_ready).await;
                    assert!(*guard.unwrap());
                });
            });
        }
        *lock.lock().unwrap() = true;
        changed.notify_all();
    });
}

#[test]
fn tasks_wait_for_the_initialiser_that_another_thread_runs() {
    let (cell, begun, goes_on) = (OnceCell::new(), Latch::new(1), Latch::new(1));
    thread::scope(|scope| {
        scope.spawn(|| {
            cell.get_or_init(|| {
                begun.count_down(1).unwrap();
                goes_on.wait();
                5
            });
        });
        begun.wait();
        let waiting = Task::waiting(cell.wait_async());
        let wanting = Task::waiting(cell.get_or_init_async(async || 6));
        drop(Task::waiting(cell.get_or_init_async(async || 7)));
        goes_on.count_down(1).unwrap();
        assert_eq!(block_on(cell.get_or_init_async(async || 8)), &5);
        assert_eq!((waiting.ready(), wanting.ready()), (&5, &5));
    });

    let once = Once::new();
    let waiting = Task::waiting(once.wait_async());
    block_on(once.call_once_async(|| {}));
    waiting.ready();
    block_on(once.call_once_async(|| panic!("it is done")));

    // Who makes it may fail: the next one tries again.
    let cell = OnceCell::new();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        block_on(cell.get_or_init_async(async || panic!("it fails")));
    }));
    assert!(failed.is_err() && cell.get().is_none());
    assert_eq!(block_on(cell.get_or_init_async(async || 9)), &9);
}

/// A registered thread whose task made a value in several turns refused its other tasks, as if they were the initialiser's own.
#[test]
fn an_initialiser_may_wait_and_go() {
    let (cell, latch) = (OnceCell::new(), Latch::new(1));
    let make = async || {
        latch.wait_async().await;
        7
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            registry::enter_new().unwrap();
            let making = Task::waiting(cell.get_or_init_async(make));
            let other = Task::waiting(cell.get_or_init_async(async || 8));
            let blocked = catch_unwind(AssertUnwindSafe(|| {
                cell.get_or_init(|| 9);
            }));
            assert!(blocked.is_err(), "it would wait for itself");
            // The first goes: the next one makes it.
            drop(making);
            assert_eq!(other.ready(), &8);
            registry::leave();
        });
        first.join().unwrap();
    });

    // It goes on where its task goes, unless its thread ended before.
    let cell = OnceCell::new();
    thread::scope(|scope| {
        for ends in [false, true] {
            let begun = scope.spawn(|| {
                let me = registry::enter_new().unwrap();
                let mut making = Box::pin(cell.get_or_init_async(make));
                assert!(poll_once(&mut making).is_pending());
                (making, me)
            });
            let (mut making, thread) = begun.join().unwrap();
            if ends {
                registry::release(thread);
            }
            let moved = scope.spawn(move || {
                registry::enter_new().unwrap();
                let polled = catch_unwind(AssertUnwindSafe(|| poll_once(&mut making).is_pending()));
                drop(making);
                registry::leave();
                polled.ok()
            });
            assert_eq!(moved.join().unwrap(), (!ends).then_some(true));
        }
    });
    latch.count_down(1).unwrap();
    assert_eq!(block_on(cell.get_or_init_async(make)), &7);

    let lazy = Lazy::new(|| 3);
    assert_eq!(block_on(Lazy::force_async(&lazy)), &3);
    assert_eq!(*lazy, 3);
}

#[test]
fn futures_move_between_threads_unless_they_hold_something() {
    fn is_send<T: Send>(_: T) {}
    is_send(Mutex::new(1).lock_async());
    is_send(RwLock::new(1).read_async());
    is_send(Semaphore::new(1).acquire_async());
    is_send(Event::auto_reset().wait_async());
    is_send(Latch::new(1).wait_async());
    is_send(WaitGroup::new().wait_async());
    is_send(Barrier::new(1).wait_async());
    is_send(OnceCell::new().get_or_init_async(async || 1));
    let lock = Mutex::new(1);
    is_send(async { *lock.lock_async().await.unwrap() += 1 });
}
