//! Each wait on a thread that may not block: it panics and says for what it would have waited, leaves no trace, and goes through when
//! it can have what it wants. `packages/atomics/test/mainThread.browser.test.ts` has the same on the main thread of a page.
#![cfg(not(loom))]

use heddle_atomics::{
    Barrier, Condvar, Event, Latch, Mutex, Once, OnceCell, RawParker, RwLock, Semaphore, WaitGroup,
    set_may_block,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

/// Has a thread that may not block wait in vain, and then, after `give`, for what is there: the panic has to name it.
#[track_caller]
fn check(name: &str, wait: impl Fn() + Sync, give: impl FnOnce()) {
    let may_not = |wait: &(dyn Fn() + Sync)| {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                set_may_block(false);
                catch_unwind(AssertUnwindSafe(wait))
            });
            waiter.join().unwrap()
        })
    };
    let panic = may_not(&wait).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("this thread may not block")
            && message.contains(&format!("{name} at 0x"))
            && message.contains("use an asynchronous form here"),
        "{message}"
    );
    give();
    assert!(may_not(&wait).is_ok());
}

#[test]
fn for_a_mutex() {
    let mutex = Mutex::new(0_u32);
    let guard = mutex.lock();
    check("Mutex<u32>", || drop(mutex.lock().unwrap()), || drop(guard));
}

#[test]
fn for_the_turn_to_read() {
    let lock = RwLock::new(0_u32);
    let guard = lock.write();
    check("RwLock<u32>", || drop(lock.read().unwrap()), || drop(guard));
}

#[test]
fn for_the_turn_to_write() {
    let lock = RwLock::new(0_u32);
    let guard = lock.read();
    check(
        "RwLock<u32>",
        || drop(lock.write().unwrap()),
        || drop(guard),
    );
}

#[test]
fn for_a_condition() {
    let (is_ready, changed) = (Mutex::new(false), Condvar::new());
    let wait = || {
        let guard = is_ready.lock().unwrap();
        drop(changed.wait_while(guard, |is_ready| !*is_ready).unwrap());
    };
    check("a condition variable", wait, || {
        *is_ready.lock().unwrap() = true;
    });
}

#[test]
fn for_permits() {
    let semaphore = Semaphore::new(1);
    check(
        "a semaphore",
        || drop(semaphore.acquire_many(2)),
        || semaphore.release(1),
    );
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn for_others_at_a_barrier() {
    let barrier = Arc::new(Barrier::new(2));
    let other = Arc::clone(&barrier);
    check(
        "a barrier",
        || _ = barrier.wait(),
        || _ = thread::spawn(move || other.wait()),
    );
}

#[test]
fn for_a_latch() {
    let latch = Latch::new(1);
    check("a latch", || latch.wait(), || latch.count_down(1).unwrap());
}

#[test]
fn for_an_event() {
    let event = Event::auto_reset();
    check("an event", || event.wait(), || _ = event.set());
    assert!(!event.is_set());
}

#[test]
fn to_be_unparked() {
    let parker = RawParker::new();
    check("a parker", || parker.park(), || parker.unpark());
}

#[test]
fn for_a_group() {
    let group = WaitGroup::new();
    let member = group.member();
    check("a wait group", || group.wait(), || drop(member));
}

#[test]
fn for_what_is_done_once() {
    let once = Once::new();
    check("a once", || once.wait(), || once.call_once(|| {}));
}

#[test]
fn for_another_that_does_it() {
    let (once, begun, go_on) = (Once::new(), Event::manual_reset(), Event::auto_reset());
    thread::scope(|scope| {
        scope.spawn(|| {
            once.call_once(|| {
                begun.set();
                go_on.wait();
            })
        });
        begun.wait();
        check(
            "a once",
            || once.call_once(|| unreachable!("another does it")),
            || {
                go_on.set();
                once.wait();
            },
        );
    });
}

#[test]
fn for_what_is_in_a_cell() {
    let cell = OnceCell::new();
    check("a once", || _ = cell.wait(), || cell.set(7).unwrap());
    assert_eq!(cell.get(), Some(&7));
}
