//! The API against std's: each case runs on this crate's threads and on std's, and must see the same.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Runs the same lines with `thread` meaning this crate and meaning std.
macro_rules! both {
    ($($name:ident $body:block)*) => {
        mod ours {
            use super::*;
            use heddle_thread as thread;
            $(#[test] fn $name() $body)*
        }
        mod stds {
            use super::*;
            use std::thread;
            $(#[test] fn $name() $body)*
        }
    };
}

both! {
    join_returns_the_value {
        assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
    }

    join_returns_the_payload_of_a_panic {
        let payload = thread::spawn(|| -> u32 { panic!("torn at {}", std::hint::black_box(3)) }).join().unwrap_err();
        assert_eq!(*payload.downcast::<String>().unwrap(), "torn at 3");
        let payload = thread::spawn(|| std::panic::panic_any(99_u8)).join().unwrap_err();
        assert_eq!(*payload.downcast::<u8>().unwrap(), 99);
    }

    a_panic_drops_what_the_thread_owned {
        let owned = Arc::new(());
        let held = Arc::clone(&owned);
        assert!(thread::spawn(move || { let _held = held; panic!("drop it"); }).join().is_err());
        assert_eq!(Arc::strong_count(&owned), 1);
    }

    a_detached_thread_goes_on_and_its_result_is_dropped {
        let (sender, receiver) = mpsc::channel();
        drop(thread::spawn(move || { sender.send(1).unwrap(); sender }));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(mpsc::RecvError));
    }

    a_name_is_seen_from_inside_and_outside {
        let handle = thread::Builder::new().name("shuttle".into()).stack_size(128 * 1024)
            .spawn(|| thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(handle.thread().name(), Some("shuttle"));
        assert_eq!(handle.join().unwrap().as_deref(), Some("shuttle"));
    }

    ids_differ_and_are_the_same_from_inside_and_outside {
        let handle = thread::spawn(|| thread::current().id());
        let outside = handle.thread().id();
        assert_ne!(outside, thread::current().id());
        assert_eq!(handle.join().unwrap(), outside);
    }

    a_token_of_unpark_is_kept_for_the_next_park {
        thread::current().unpark();
        thread::park();
        let parked = thread::spawn(|| { thread::park(); 5 });
        parked.thread().unpark();
        assert_eq!(parked.join().unwrap(), 5);
    }

    park_with_a_timeout_ends {
        let start = std::time::Instant::now();
        thread::park_timeout(Duration::from_millis(5));
        thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
        thread::yield_now();
    }

    is_finished_becomes_true {
        let handle = thread::spawn(|| ());
        while !handle.is_finished() { thread::yield_now(); }
        handle.join().unwrap();
    }

    a_scope_lends_and_waits {
        let mut counts = [0_u32; 8];
        let total = AtomicU32::new(0);
        thread::scope(|scope| {
            for (n, count) in counts.iter_mut().enumerate() {
                let total = &total;
                scope.spawn(move || { *count = n as u32; total.fetch_add(*count, SeqCst); });
            }
        });
        assert_eq!(counts.iter().sum::<u32>(), 28);
        assert_eq!(total.load(SeqCst), 28);
    }

    scoped_threads_spawn_scoped_threads {
        let total = AtomicU32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..3 { scope.spawn(|| total.fetch_add(1, SeqCst)); }
            });
        });
        assert_eq!(total.load(SeqCst), 3);
    }

    a_scope_panics_for_a_panic_that_nobody_joined {
        let unjoined = std::panic::catch_unwind(|| thread::scope(|scope| { scope.spawn(|| panic!("unseen")); }));
        assert_eq!(*unjoined.unwrap_err().downcast::<&str>().unwrap(), "a scoped thread panicked");
        let joined = std::panic::catch_unwind(|| thread::scope(|scope| scope.spawn(|| panic!("seen")).join().is_err()));
        assert!(joined.unwrap());
    }

    a_scope_waits_also_when_its_closure_panics {
        let ended = AtomicU32::new(0);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| thread::scope(|scope| {
            scope.spawn(|| { thread::sleep(Duration::from_millis(10)); ended.fetch_add(1, SeqCst); });
            panic!("out of here");
        })));
        assert!(result.is_err());
        assert_eq!(ended.load(SeqCst), 1);
    }

    thread_locals_are_dropped_before_join_returns {
        struct Sends(mpsc::Sender<u32>, u32);
        impl Drop for Sends {
            fn drop(&mut self) { let _ = self.0.send(self.1); }
        }
        thread_local! {
            static FIRST: RefCell<Option<Sends>> = const { RefCell::new(None) };
            static SECOND: RefCell<Option<Sends>> = const { RefCell::new(None) };
        }
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            FIRST.set(Some(Sends(sender.clone(), 1)));
            SECOND.set(Some(Sends(sender, 2)));
        }).join().unwrap();
        let mut dropped: Vec<_> = receiver.try_iter().collect();
        // In which order, std doesn't promise.
        dropped.sort_unstable();
        assert_eq!(dropped, [1, 2]);
    }

    parallelism_is_at_least_one {
        assert!(thread::available_parallelism().unwrap().get() >= 1);
    }
}

#[test]
fn hooks_run_last_to_first_before_join_returns_also_after_a_panic() {
    let (sender, receiver) = mpsc::channel();
    let joined = heddle_thread::spawn(move || {
        let second = sender.clone();
        heddle_thread::at_exit(move || sender.send("registered first").unwrap());
        heddle_thread::at_exit(move || second.send("registered second").unwrap());
        heddle_thread::at_exit(|| panic!("a hook's panic stops no other hook"));
        panic!("the end");
    })
    .join();
    assert_eq!(*joined.unwrap_err().downcast::<&str>().unwrap(), "the end");
    assert_eq!(
        receiver.try_iter().collect::<Vec<_>>(),
        ["registered second", "registered first"]
    );
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_thread_can_be_awaited() {
    for delay_ms in [0, 1, 5] {
        let slow = heddle_thread::spawn(move || {
            heddle_thread::sleep(Duration::from_millis(delay_ms));
            delay_ms
        });
        assert_eq!(block_on(slow.join_async()).unwrap(), delay_ms);
    }
    let panicked = heddle_thread::spawn(|| panic!("awaited in vain"));
    assert_eq!(
        *block_on(panicked.join_async())
            .unwrap_err()
            .downcast::<&str>()
            .unwrap(),
        "awaited in vain"
    );
}

#[test]
fn the_clock_is_the_wall_clock_and_runs_forwards() {
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
        * 1000.0;
    let start = heddle_thread::time::Instant::now();
    assert!((heddle_thread::time::now_ms() - wall).abs() < 60_000.0);
    heddle_thread::sleep(Duration::from_millis(3));
    assert!(start.elapsed() >= Duration::from_millis(2));
    assert_eq!(
        start.duration_since(heddle_thread::time::Instant::now()),
        Duration::ZERO
    );
}
