//! Threads that are a future, and local futures: what they promise, natively. In Wasm
//! `packages/thread/test/spawnAsync.test.ts` runs what it can of the same.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Poll, Waker};

use heddle_thread::{self as thread, Builder, NoEventLoop};

mod support;
use support::yield_once;

#[test]
fn the_future_need_not_be_send_and_its_result_reaches_join() {
    let thread = Builder::new().name("shed".into()).spawn_async(|| async {
        let kept = Rc::new(Cell::new(1));
        yield_once().await;
        kept.set(kept.get() + 1);
        (kept.get(), thread::current().name().map(str::to_owned))
    });
    assert_eq!(thread.unwrap().join().unwrap(), (2, Some("shed".into())));
}

#[test]
fn another_thread_wakes_it() {
    let thread = thread::spawn_async(|| async {
        let mut total = 0;
        for n in 0..100 {
            total += thread::spawn(move || n).join_async().await.unwrap();
        }
        total
    });
    assert_eq!(thread.join().unwrap(), 4950);
}

#[test]
fn a_waker_that_outlives_the_thread_does_nothing() {
    let kept = Arc::new(std::sync::Mutex::new(None::<Waker>));
    let keeper = Arc::clone(&kept);
    let thread = thread::spawn_async(move || {
        poll_fn(move |context| {
            *keeper.lock().unwrap() = Some(context.waker().clone());
            Poll::Ready(3)
        })
    });
    assert_eq!(thread.join().unwrap(), 3);
    kept.lock().unwrap().take().unwrap().wake();
}

#[test]
fn panics_reach_join_wherever_they_happen() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    fn failing() -> std::future::Ready<u32> {
        panic!("while it is made")
    }
    let message = |result: thread::Result<u32>| *result.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(
        message(thread::spawn_async(failing).join()),
        "while it is made"
    );
    let polled = thread::spawn_async(|| async {
        yield_once().await;
        panic!("while it is polled")
    });
    assert_eq!(message(polled.join()), "while it is polled");
    let dropped = thread::spawn_async(|| {
        let guard = PanicsOnDrop;
        poll_fn(move |_| {
            let _guard = &guard;
            Poll::Ready(1)
        })
    });
    assert_eq!(message(dropped.join()), "in a destructor");
}

#[test]
fn local_futures_run_beside_the_thread_and_leave_their_results() {
    let thread = thread::spawn_async(|| async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = (0..3)
            .map(|n| {
                let log = Rc::clone(&log);
                thread::spawn_local(async move {
                    for round in 0..2 {
                        log.borrow_mut().push((round, n));
                        yield_once().await;
                    }
                    n * 10
                })
            })
            .collect();
        let mut total = 0;
        for handle in handles {
            total += handle.await.unwrap();
        }
        (total, log.take())
    });
    let (total, mut log) = thread.join().unwrap();
    assert_eq!(total, 30);
    assert!(log[..3].iter().all(|(round, _)| *round == 0), "{log:?}");
    log.sort_unstable();
    assert_eq!(log, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn local_futures_may_spawn_others_and_panic_alone() {
    let thread = thread::spawn_async(|| async {
        let outer = thread::spawn_local(async {
            let inner = thread::spawn_local(async { 7 });
            inner.await.unwrap() + 1
        });
        let torn = thread::spawn_local(async { panic!("torn") });
        let value = outer.await.unwrap();
        let payload: Result<(), _> = torn.await;
        (value, *payload.unwrap_err().downcast::<&str>().unwrap())
    });
    assert_eq!(thread.join().unwrap(), (8, "torn"));
}

#[test]
fn local_futures_that_are_left_are_dropped_on_the_thread_before_join_returns() {
    struct Dropped(Arc<AtomicU32>, thread::ThreadId);
    impl Drop for Dropped {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.1);
            assert!(
                thread::try_spawn_local(async {}).is_err(),
                "the thread is ending"
            );
            self.0.fetch_add(1, SeqCst);
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let dropped = Arc::clone(&drops);
    let hooked = Arc::new(AtomicU32::new(0));
    let seen_by_hook = Arc::clone(&hooked);
    let thread = thread::spawn_async(move || async move {
        for _ in 0..3 {
            let dropped = Dropped(Arc::clone(&dropped), thread::current().id());
            thread::spawn_local(async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
            });
            yield_once().await;
        }
        thread::at_exit(move || seen_by_hook.store(dropped.load(SeqCst), SeqCst));
    });
    thread.join().unwrap();
    assert_eq!(drops.load(SeqCst), 3);
    assert_eq!(hooked.load(SeqCst), 3, "callbacks for the end come after");
}

#[test]
fn a_thread_without_an_event_loop_gives_the_future_back() {
    let refused = thread::spawn(|| {
        let NoEventLoop(future) = thread::try_spawn_local(async { 5 }).unwrap_err();
        // It has not been begun, and can be run otherwise.
        thread::spawn_async(move || future).join().unwrap()
    });
    assert_eq!(refused.join().unwrap(), 5);
    let payload = thread::spawn(|| drop(thread::spawn_local(async {})))
        .join()
        .unwrap_err();
    let message = payload.downcast::<String>().unwrap();
    assert!(message.contains("spawn_async"), "{message}");
}

#[test]
fn a_local_future_that_wakes_itself_for_ever_keeps_nobody_from_running() {
    let thread = thread::spawn_async(|| async {
        thread::spawn_local(async {
            loop {
                yield_once().await;
            }
        });
        for _ in 0..10 {
            thread::spawn(|| ()).join_async().await.unwrap();
        }
        6
    });
    assert_eq!(thread.join().unwrap(), 6);
}
