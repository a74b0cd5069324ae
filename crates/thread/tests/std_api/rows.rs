//! Each stable item of `std::thread`, used once. `super::thread` is either std's or this crate's: the same lines must compile
//! over both and hold for both, natively and in Wasm. `docs/std-thread.md` lists the items, and a test compares the two.
#![allow(deprecated, reason = "std's retired functions are items too")]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::num::NonZero;
use std::sync::mpsc;
use std::time::Duration;

use super::thread::{
    self, AccessError, Builder, JoinHandle, LocalKey, Scope, ScopedJoinHandle, Thread, ThreadId,
};

const MOMENT: Duration = Duration::from_millis(1);

thread_local! {
    static CELL: Cell<u32> = const { Cell::new(7) };
    static WORDS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Without `T: Send`: a handle says nothing of what it holds.
fn join_any<T>(handle: JoinHandle<T>) -> thread::Result<T> {
    handle.join()
}

fn assert_send_and_sync<T: Send + Sync>() {}

/// The name of an item, and lines that use it.
pub(crate) const ROWS: &[(&str, fn())] = &[
    ("AccessError", || {
        let read: std::result::Result<u32, AccessError> = CELL.try_with(Cell::get);
        assert_eq!(read.unwrap(), 7);
    }),
    ("Builder", || {
        let builder: Builder = Builder::new();
        assert!(format!("{builder:?}").starts_with("Builder"));
    }),
    ("Builder::name", || {
        let named = Builder::new().name("reed".into());
        let inside = named
            .spawn(|| thread::current().name().map(str::to_owned))
            .unwrap();
        assert_eq!(inside.join().unwrap().as_deref(), Some("reed"));
    }),
    ("Builder::new", || {
        assert!(Builder::new().spawn(|| ()).unwrap().join().is_ok());
    }),
    ("Builder::spawn", || {
        let spawned: std::io::Result<JoinHandle<u32>> = Builder::new().spawn(|| 3);
        assert_eq!(spawned.unwrap().join().unwrap(), 3);
    }),
    ("Builder::spawn_scoped", || {
        let lent = [1, 2, 3];
        let sum = thread::scope(|scope| {
            let spawned = Builder::new()
                .name("scoped".into())
                .spawn_scoped(scope, || lent.iter().sum::<u32>());
            spawned.unwrap().join().unwrap()
        });
        assert_eq!(sum, 6);
    }),
    ("Builder::spawn_unchecked", || {
        let lent = [4, 5];
        // SAFETY: the thread is joined before what it borrows goes.
        let spawned = unsafe { Builder::new().spawn_unchecked(|| lent.iter().sum::<u32>()) };
        assert_eq!(spawned.unwrap().join().unwrap(), 9);
    }),
    ("Builder::stack_size", || {
        let spawned = Builder::new()
            .stack_size(1 << 20)
            .spawn(|| std::hint::black_box([1_u8; 300_000]).len());
        assert_eq!(spawned.unwrap().join().unwrap(), 300_000);
    }),
    ("JoinHandle", || {
        assert_send_and_sync::<JoinHandle<Cell<u32>>>();
        let handle: JoinHandle<()> = thread::spawn(|| ());
        assert_eq!(format!("{handle:?}"), "JoinHandle { .. }");
    }),
    ("JoinHandle::is_finished", || {
        let (sender, receiver) = mpsc::channel::<()>();
        let handle = thread::spawn(move || receiver.recv().is_err());
        assert!(!handle.is_finished());
        drop(sender);
        while !handle.is_finished() {
            thread::yield_now();
        }
        assert!(handle.join().unwrap());
    }),
    ("JoinHandle::join", || {
        assert_eq!(join_any(thread::spawn(|| 5)).unwrap(), 5);
        let payload = join_any(thread::spawn(|| std::panic::panic_any(8_u64))).unwrap_err();
        assert_eq!(*payload.downcast::<u64>().unwrap(), 8);
    }),
    ("JoinHandle::thread", || {
        let handle = thread::spawn(|| thread::current().id());
        let id = handle.thread().id();
        assert_eq!(handle.join().unwrap(), id);
    }),
    ("LocalKey", || {
        let key: &'static LocalKey<Cell<u32>> = &CELL;
        assert_eq!(format!("{key:?}"), "LocalKey { .. }");
    }),
    ("LocalKey::get", || {
        assert_eq!(thread::spawn(|| CELL.get()).join().unwrap(), 7);
    }),
    ("LocalKey::replace", || {
        let before = thread::spawn(|| (CELL.replace(8), WORDS.replace(vec![1])));
        assert_eq!(before.join().unwrap(), (7, vec![]));
    }),
    ("LocalKey::set", || {
        let set = thread::spawn(|| {
            CELL.set(9);
            WORDS.set(vec![2, 3]);
            (CELL.get(), WORDS.take())
        });
        assert_eq!(set.join().unwrap(), (9, vec![2, 3]));
        assert_eq!(CELL.get(), 7);
    }),
    ("LocalKey::take", || {
        let taken = thread::spawn(|| (CELL.take(), CELL.get(), WORDS.take()));
        assert_eq!(taken.join().unwrap(), (7, 0, vec![]));
    }),
    ("LocalKey::try_with", || {
        assert_eq!(CELL.try_with(Cell::get).ok(), Some(7));
    }),
    ("LocalKey::with", || {
        assert_eq!(CELL.with(Cell::get), 7);
    }),
    ("LocalKey::with_borrow", || {
        assert!(WORDS.with_borrow(Vec::is_empty));
    }),
    ("LocalKey::with_borrow_mut", || {
        let words = thread::spawn(|| {
            WORDS.with_borrow_mut(|words| words.push(4));
            WORDS.take()
        });
        assert_eq!(words.join().unwrap(), [4]);
    }),
    ("Result", || {
        let result: thread::Result<u32> = thread::spawn(|| 1).join();
        assert!(result.is_ok());
    }),
    ("Scope", || {
        fn spawn_on<'scope>(scope: &'scope Scope<'scope, '_>) -> ScopedJoinHandle<'scope, u32> {
            scope.spawn(|| 2)
        }
        assert_eq!(thread::scope(|scope| spawn_on(scope).join().unwrap()), 2);
    }),
    ("Scope::spawn", || {
        let mut counts = [0_u32; 4];
        thread::scope(|scope| {
            for count in &mut counts {
                scope.spawn(|| *count += 1);
            }
        });
        assert_eq!(counts, [1; 4]);
    }),
    ("ScopedJoinHandle", || {
        thread::scope(|scope| {
            let handle: ScopedJoinHandle<'_, ()> = scope.spawn(|| ());
            assert_eq!(format!("{handle:?}"), "ScopedJoinHandle { .. }");
        });
    }),
    ("ScopedJoinHandle::is_finished", || {
        thread::scope(|scope| {
            let handle = scope.spawn(|| ());
            while !handle.is_finished() {
                thread::yield_now();
            }
        });
    }),
    ("ScopedJoinHandle::join", || {
        let joined = thread::scope(|scope| scope.spawn(|| panic!("seen")).join());
        assert_eq!(*joined.unwrap_err().downcast::<&str>().unwrap(), "seen");
    }),
    ("ScopedJoinHandle::thread", || {
        thread::scope(|scope| {
            let handle = scope.spawn(thread::park);
            handle.thread().unpark();
        });
    }),
    ("Thread", || {
        assert_send_and_sync::<Thread>();
        let thread: Thread = thread::current().clone();
        assert!(format!("{thread:?}").starts_with("Thread"));
    }),
    ("Thread::id", || {
        assert_eq!(thread::current().id(), thread::current().id());
    }),
    ("Thread::name", || {
        assert_eq!(thread::spawn(|| ()).thread().name(), None);
    }),
    ("Thread::unpark", || {
        let parked = thread::spawn(thread::park);
        parked.thread().unpark();
        parked.join().unwrap();
    }),
    ("ThreadId", || {
        let ids: HashSet<ThreadId> = (0..3).map(|_| thread::spawn(|| ()).thread().id()).collect();
        assert_eq!(ids.len(), 3);
    }),
    ("available_parallelism", || {
        let count: NonZero<usize> = thread::available_parallelism().unwrap();
        assert!(count.get() >= 1);
    }),
    ("current", || {
        let parent = thread::current();
        let child = thread::spawn(move || parent.id() != thread::current().id());
        assert!(child.join().unwrap());
    }),
    ("panicking", || {
        struct Look(mpsc::Sender<bool>);
        impl Drop for Look {
            fn drop(&mut self) {
                self.0.send(thread::panicking()).unwrap();
            }
        }
        let (sender, receiver) = mpsc::channel();
        let look = Look(sender);
        let panicked = thread::spawn(move || {
            let _look = look;
            panic!("looked at");
        });
        assert!(panicked.join().is_err());
        assert_eq!(receiver.recv(), Ok(true));
        assert!(!thread::panicking());
    }),
    ("park", || {
        thread::current().unpark();
        thread::park();
    }),
    ("park_timeout", || thread::park_timeout(MOMENT)),
    ("park_timeout_ms", || thread::park_timeout_ms(1)),
    ("scope", || {
        let returned = thread::scope(|_| "from inside");
        assert_eq!(returned, "from inside");
    }),
    ("sleep", || thread::sleep(MOMENT)),
    ("sleep_ms", || thread::sleep_ms(1)),
    ("spawn", || {
        let handle: JoinHandle<&str> = thread::spawn(|| "spun");
        assert_eq!(handle.join().unwrap(), "spun");
    }),
    ("yield_now", thread::yield_now),
];
