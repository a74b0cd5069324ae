//! Threads that are a future, and local futures.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use heddle_thread::{self as thread, Builder, ThreadError};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::support::{Dropped, yield_once};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, ms: i32) -> JsValue;
    #[wasm_bindgen(js_name = setInterval)]
    fn set_interval(callback: &Function, ms: i32) -> JsValue;
    #[wasm_bindgen(catch, js_name = fetch)]
    fn fetch(url: &str) -> Result<Promise, JsValue>;
}

/// A promise of the host's timer, thus of its event loop.
async fn timer(ms: i32) {
    let promise = Promise::new(&mut |resolve, _reject| {
        set_timeout(&resolve, ms);
    });
    JsFuture::from(promise).await.expect("a timer fires");
}

/// A JavaScript function that calls back.
fn calling(callback: impl FnMut() + 'static) -> Function {
    let closure = wasm_bindgen::closure::Closure::own_assert_unwind_safe(callback);
    closure.into_js_value().unchecked_into()
}

/// 42 if timers and promises resolve inside of the future, while a value that is not `Send` is kept.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn await_timers() -> u32 {
    let thread = Builder::new().name("beam".into()).spawn_async(|| async {
        let total = Rc::new(Cell::new(0));
        for n in 1..=3 {
            timer(n).await;
            total.set(total.get() + 7);
        }
        let value = JsFuture::from(Promise::resolve(&JsValue::from(21))).await;
        assert_eq!(thread::current().name(), Some("beam"));
        total.get() + value.unwrap().as_f64().unwrap() as u32
    });
    thread.unwrap().join().unwrap()
}

/// What `fetch` gives for a `data:` URL, on a thread.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn fetch_status() -> u32 {
    let thread = thread::spawn_async(|| async {
        let response = JsFuture::from(fetch("data:text/plain,weft").unwrap()).await;
        let status = Reflect::get(&response.unwrap(), &"status".into()).unwrap();
        status.as_f64().unwrap() as u32
    });
    thread.join().unwrap()
}

/// The sum of what `count` further threads returned that one thread awaited: each wakes it from outside.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn await_threads(count: u32) -> u32 {
    let thread = thread::spawn_async(move || async move {
        let mut total = 0;
        for n in 0..count {
            total += thread::spawn(move || n).join_async().await.unwrap();
        }
        total
    });
    thread.join().unwrap()
}

/// Spawns and joins `count` threads that are futures, one after the other; returns the sum of what they returned.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spawn_async_join(count: u32) -> f64 {
    (0..count)
        .map(|n| {
            let thread = thread::spawn_async(move || async move {
                JsFuture::from(Promise::resolve(&JsValue::NULL))
                    .await
                    .unwrap();
                f64::from(n + 1)
            });
            thread.join().unwrap()
        })
        .sum()
}

/// 1 if a local future runs while the thread's own waits, another panics alone, one that spins lets timers fire, what is left is dropped,
/// and wasm-bindgen's own local futures run too.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn run_local_futures() -> u32 {
    let drops = Arc::new(AtomicU32::new(0));
    let dropped = Dropped(Arc::clone(&drops));
    let thread = thread::spawn_async(move || async {
        thread::spawn_local(async move {
            let _dropped = dropped;
            loop {
                yield_once().await;
            }
        });
        let torn = thread::spawn_local(async { panic!("torn") });
        let first = thread::spawn_local(async {
            timer(1).await;
            thread::spawn_local(async { 5 }).await.unwrap()
        });
        let foreign = Rc::new(Cell::new(0));
        let seen = Rc::clone(&foreign);
        wasm_bindgen_futures::spawn_local(async move {
            timer(1).await;
            seen.set(30);
        });
        let total = Rc::new(Cell::new(0));
        let added = Rc::clone(&total);
        // From a callback, between two polls.
        set_timeout(
            &calling(move || {
                let added = Rc::clone(&added);
                thread::spawn_local(async move { added.set(7) });
            }),
            0,
        );
        let payload: thread::Result<()> = torn.await;
        assert_eq!(*payload.unwrap_err().downcast::<&str>().unwrap(), "torn");
        let value = first.await.unwrap();
        while total.get() == 0 || foreign.get() == 0 {
            timer(1).await;
        }
        value + total.get() + foreign.get()
    });
    assert_eq!(thread.join().unwrap(), 42);
    assert_eq!(drops.load(SeqCst), 1);
    let refused = thread::spawn(|| thread::try_spawn_local(async {}).is_err());
    u32::from(refused.join().unwrap())
}

/// 1 if a panic of the future reaches join, and the worker runs the next one.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_an_async_panic() -> u32 {
    let thread = thread::spawn_async(|| async {
        timer(1).await;
        panic!("number {}", std::hint::black_box(8))
    });
    let payload: thread::Result<()> = thread.join();
    assert_eq!(
        *payload.unwrap_err().downcast::<String>().unwrap(),
        "number 8"
    );
    await_timers() / 42
}

/// 1 if a trap between two polls, in the future (0) or in a callback of the event loop (1), reaches join, and poisons what the thread held.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_an_async_trap(kind: u32) -> u32 {
    let mutex = Arc::new(heddle_atomics::Mutex::new(1));
    let held = Arc::clone(&mutex);
    let thread = thread::spawn_async(move || async move {
        let _guard = held.lock().unwrap();
        timer(1).await;
        if kind == 0 {
            core::arch::wasm32::unreachable();
        }
        set_timeout(&calling(|| core::arch::wasm32::unreachable()), 0);
        std::future::pending::<()>().await;
    });
    let payload = thread.join().unwrap_err();
    match *payload.downcast::<ThreadError>().unwrap() {
        ThreadError::Trapped { message } => assert!(!message.is_empty()),
        other => panic!("not a trap: {other}"),
    }
    assert!(mutex.lock().is_err(), "the mutex is not poisoned");
    1
}

/// 1 if a future that runs beyond its thread's stack is told so.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn join_an_async_overflow() -> u32 {
    let neighbour = vec![0u8; 1 << 20];
    let thread = Builder::new().stack_size(32 * 1024).spawn_async(|| async {
        timer(1).await;
        super::eat_stack(20)
    });
    let payload = thread.unwrap().join().unwrap_err();
    drop(neighbour);
    u32::from(matches!(
        *payload.downcast::<ThreadError>().unwrap(),
        ThreadError::StackOverflow { stack_size: 32768 }
    ))
}

/// 1 if what a callback throws ends nobody, and what a thread leaves on the event loop doesn't reach the next one.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn throw_in_a_callback() -> u32 {
    let thread = thread::spawn_async(|| async {
        set_timeout(
            &Function::new_no_args("throw new Error('thrown in a callback')"),
            0,
        );
        let rejected = Promise::reject(&"rejected, and nobody looks".into());
        timer(5).await;
        drop(rejected);
        set_interval(&Function::new_no_args(""), 1);
        9
    });
    u32::from(thread.join().unwrap() == 9)
}

/// A future that never ends, on a thread with a name.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn leave_a_future_waiting() {
    let thread = Builder::new().name("heald".into());
    drop(thread.spawn_async(std::future::pending::<()>).unwrap());
}

/// 1 if a thread that is a future may block, and goes on after.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn block_on_an_event_loop() -> u32 {
    let thread = thread::spawn_async(|| async {
        thread::sleep(Duration::from_millis(2));
        let blocking = thread::spawn(|| 1).join().unwrap();
        timer(0).await;
        blocking
    });
    thread.join().unwrap()
}

/// Runs local futures where no thread of the runtime runs; returns the address of a word that is 42 in the end.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn run_on_host_event_loop() -> *const AtomicU32 {
    let word: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let first = thread::spawn_local(async {
        timer(1).await;
        40
    });
    thread::spawn_local(async move { word.store(first.await.unwrap() + 2, SeqCst) });
    word
}

/// Nanoseconds from a promise's resolution to the poll after it, and from another thread's wake-up: each as often as `count` says.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn poll_ns(count: u32, from_outside: u32) -> f64 {
    let thread = thread::spawn_async(move || async move {
        let start = thread::time::Instant::now();
        for _ in 0..count {
            if from_outside == 0 {
                JsFuture::from(Promise::resolve(&JsValue::NULL))
                    .await
                    .unwrap();
            } else {
                thread::spawn(|| ()).join_async().await.unwrap();
            }
        }
        start.elapsed().as_nanos() as f64 / f64::from(count)
    });
    thread.join().unwrap()
}
