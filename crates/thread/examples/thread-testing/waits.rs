//! Threads that wait for something, each in another way, until a gate opens: for `runtime.threads()`.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::time::Duration;

use heddle_atomics::{
    Barrier, Condvar, Event, Latch, Mutex, Once, Parker, RwLock, Semaphore, WaitGroup, futex,
};
use heddle_thread::{self as thread, Builder, JoinHandle};

/// A word that TypeScript changes, and to which TypeScript is told the address of what is waited for.
#[derive(Clone, Copy)]
struct Gate(&'static AtomicU32);

impl Gate {
    /// Waits for the gate to open, in a way that nobody notes.
    fn wait(self) {
        while self.0.load(Acquire) == 0 {
            futex::wait(self.0, 0, None);
        }
    }

    fn is_open(self) -> bool {
        self.0.load(Acquire) != 0
    }

    /// A thread that does something once the gate is open.
    fn then(self, act: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        let helper = Builder::new().name("helper".into());
        helper
            .spawn(move || {
                self.wait();
                act();
            })
            .unwrap()
    }

    /// A thread that has `hold` hold something until the gate is open; returns once it does.
    fn hold(self, hold: impl FnOnce(&dyn Fn()) + Send + 'static) -> JoinHandle<()> {
        let held = Arc::new(Latch::new(1));
        let is_held = Arc::clone(&held);
        let helper = Builder::new().name("helper".into()).spawn(move || {
            hold(&|| {
                is_held.count_down(1).unwrap();
                self.wait();
            });
        });
        held.wait();
        helper.unwrap()
    }
}

/// Waits in the way that `kind` says until the word at `gate` isn't 0 any more. Returns the address of what it waited on, where there is one.
///
/// # Safety
/// `gate` is what `new_word` returned.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn wait_for(kind: u32, gate: *const AtomicU32) -> usize {
    // SAFETY: passed on from the caller; such a word lives for ever.
    let gate = Gate(unsafe { &*gate });
    let me = thread::current();
    let mut address = 0;
    let helper = match kind {
        0 => {
            let helper = gate.then(move || me.unpark());
            while !gate.is_open() {
                thread::park();
            }
            helper
        }
        1 => {
            gate.then(|| ()).join().unwrap();
            gate.then(|| ())
        }
        2 => {
            while !gate.is_open() {
                thread::sleep(Duration::from_millis(50));
            }
            gate.then(|| ())
        }
        3 => {
            thread::scope(|scope| drop(scope.spawn(|| gate.wait())));
            gate.then(|| ())
        }
        4 => {
            let mutex = Arc::new(Mutex::new(()));
            address = mutex.raw() as *const _ as usize;
            let held = Arc::clone(&mutex);
            let helper = gate.hold(move |hold| {
                let _guard = held.lock().unwrap();
                hold();
            });
            drop(mutex.lock().unwrap());
            helper
        }
        5 => {
            let lock = Arc::new(RwLock::new(()));
            let held = Arc::clone(&lock);
            let helper = gate.hold(move |hold| {
                let _guard = held.read().unwrap();
                hold();
            });
            drop(lock.write().unwrap());
            helper
        }
        6 => {
            let pair = Arc::new((Mutex::new(()), Condvar::new()));
            let other = Arc::clone(&pair);
            let helper = gate.then(move || {
                drop(other.0.lock().unwrap());
                other.1.notify_all();
            });
            let mut guard = pair.0.lock().unwrap();
            while !gate.is_open() {
                guard = pair.1.wait(guard).unwrap();
            }
            helper
        }
        7 => {
            let semaphore = Arc::new(Semaphore::new(1));
            let held = Arc::clone(&semaphore);
            let helper = gate.hold(move |hold| {
                let _permit = held.acquire();
                hold();
            });
            drop(semaphore.acquire());
            helper
        }
        8 => {
            let once = Arc::new(Once::new());
            let running = Arc::clone(&once);
            let helper = gate.hold(move |hold| running.call_once(hold));
            once.call_once(|| ());
            helper
        }
        9 => {
            let barrier = Arc::new(Barrier::new(2));
            let other = Arc::clone(&barrier);
            let helper = gate.then(move || {
                other.wait();
            });
            barrier.wait();
            helper
        }
        10 => {
            let latch = Arc::new(Latch::new(1));
            address = Arc::as_ptr(&latch) as usize;
            let other = Arc::clone(&latch);
            let helper = gate.then(move || other.count_down(1).unwrap());
            latch.wait();
            helper
        }
        11 => {
            let group = Arc::new(WaitGroup::new());
            group.add(1).unwrap();
            let other = Arc::clone(&group);
            let helper = gate.then(move || other.done().unwrap());
            group.wait();
            helper
        }
        12 => {
            let event = Arc::new(Event::manual_reset());
            let other = Arc::clone(&event);
            let helper = gate.then(move || {
                other.set();
            });
            event.wait();
            helper
        }
        13 => {
            let parker = Parker::new();
            let unparker = parker.unparker().clone();
            let helper = gate.then(move || unparker.unpark());
            while !gate.is_open() {
                parker.park();
            }
            helper
        }
        14 | 15 => {
            // With room, and without.
            let (sender, receiver) = heddle_channel::bounded::<u32>(kind as usize - 14);
            let helper = gate.then(move || sender.send(5).unwrap());
            assert_eq!(receiver.recv(), Ok(5));
            helper
        }
        _ => panic!("there is no such kind of wait"),
    };
    helper.join().unwrap();
    assert_ne!(gate.0.load(SeqCst), 0);
    address
}
