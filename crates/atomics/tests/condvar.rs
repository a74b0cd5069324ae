//! `Condvar` on real threads.
#![cfg(not(loom))]

use heddle_atomics::{Condvar, Mutex};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn values_pass_through_a_queue_of_one() {
    const COUNT: u32 = 20_000;
    let (slot, changed) = (Mutex::new(None), Condvar::new());
    let sum = thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..COUNT {
                let mut slot = changed
                    .wait_while(slot.lock().unwrap(), |slot| slot.is_some())
                    .unwrap();
                *slot = Some(n);
                drop(slot);
                changed.notify_all();
            }
        });
        let taker = scope.spawn(|| {
            let mut sum = 0_u64;
            for _ in 0..COUNT {
                let mut slot = changed
                    .wait_while(slot.lock().unwrap(), |slot| slot.is_none())
                    .unwrap();
                sum += u64::from(slot.take().unwrap());
                drop(slot);
                changed.notify_all();
            }
            sum
        });
        taker.join().unwrap()
    });
    assert_eq!(sum, u64::from(COUNT) * u64::from(COUNT - 1) / 2);
}

#[test]
fn notify_one_wakes_one_and_notify_all_the_rest() {
    // What was not woken can't be seen; what is counted is who ends each wait, of three that surely began.
    let (state, changed) = (Mutex::new((0, 0)), Condvar::new());
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..3 {
            let (tell, state, changed) = (tell.clone(), &state, &changed);
            scope.spawn(move || {
                let mut state = state.lock().unwrap();
                // Told with the lock: who takes it next finds this thread waiting.
                tell.send("waits").unwrap();
                state = changed
                    .wait_while(state, |(allowed, _)| *allowed == 0)
                    .unwrap();
                state.0 -= 1;
                state.1 += 1;
                drop(state);
                tell.send("goes on").unwrap();
            });
        }
        for _ in 0..3 {
            assert_eq!(told.recv().unwrap(), "waits");
        }
        state.lock().unwrap().0 = 1;
        changed.notify_one();
        assert_eq!(told.recv().unwrap(), "goes on");
        assert_eq!(*state.lock().unwrap(), (0, 1));
        state.lock().unwrap().0 = 2;
        changed.notify_all();
    });
    assert_eq!(*state.lock().unwrap(), (0, 3));
}

#[test]
fn a_wait_times_out_with_the_lock() {
    let (mutex, changed) = (Mutex::new(7), Condvar::new());
    let start = Instant::now();
    let (guard, result) = changed.wait_timeout(mutex.lock().unwrap(), SOON).unwrap();
    assert!(result.timed_out());
    assert!(start.elapsed() >= SOON);
    assert_eq!(*guard, 7);
    let (guard, result) = changed.wait_timeout_while(guard, SOON, |_| true).unwrap();
    assert!(result.timed_out());
    let (_guard, result) = changed.wait_timeout_while(guard, SOON, |_| false).unwrap();
    assert!(!result.timed_out());
}

#[test]
fn poison_reaches_the_waiter_with_its_guard() {
    let (mutex, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let (mutex, changed) = (&mutex, &changed);
        let waiter = scope.spawn(move || {
            let guard = mutex.lock().unwrap();
            // Told with the lock: who takes it next finds this thread waiting.
            tell.send(()).unwrap();
            let poison = changed.wait(guard).unwrap_err();
            *poison.into_inner()
        });
        told.recv().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 1;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        changed.notify_one();
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn a_thread_that_may_not_block_panics_without_the_lock() {
    let (mutex, changed) = (Mutex::new(()), Condvar::new());
    thread::scope(|scope| {
        let panicked = scope.spawn(|| {
            heddle_atomics::set_may_block(false);
            catch_unwind(AssertUnwindSafe(|| {
                drop(changed.wait(mutex.lock().unwrap()))
            }))
            .is_err()
        });
        assert!(panicked.join().unwrap());
    });
    assert!(mutex.try_lock().is_ok());
}
