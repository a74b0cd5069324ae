//! Tasks that wait for a thread that dies. They have a process of their own: a death has all tasks look again.
#![cfg(not(any(loom, shuttle)))]

use heddle_atomics::{Mutex, registry};
use std::{
    future::Future,
    mem::forget,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_task_hears_of_the_death_of_who_held_the_lock() {
    let lock = Mutex::new(0);
    let dead = thread::scope(|scope| {
        let died = scope.spawn(|| {
            let me = registry::enter_new().unwrap();
            forget(lock.lock().unwrap());
            me
        });
        died.join().unwrap()
    });
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut waiting = pin!(lock.lock_async());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert!(!woken.0.load(Ordering::Relaxed));
    assert!(registry::reap_token(dead));
    assert!(woken.0.load(Ordering::Relaxed), "nobody told the task");
    let Poll::Ready(Err(poison)) = waiting.as_mut().poll(&mut context) else {
        panic!("the lock is to be had, and poisoned");
    };
    assert_eq!(**poison.get_ref(), 0);
}
