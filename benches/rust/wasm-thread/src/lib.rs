//! The rival `wasm_thread`, as its documentation says: on a page one awaits `join_async`; `join` blocks, so it is for threads.

#![cfg(target_arch = "wasm32")]

use std::time::Duration;

use wasm_bindgen::prelude::*;
use wasm_thread as thread;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_ms() -> f64;
}

/// A thread that returns `n`, spawned and awaited by the page: the number must come back.
#[wasm_bindgen]
pub async fn spawn_and_await(n: u32) -> u32 {
    let thread = thread::spawn(move || n);
    thread.join_async().await.expect("a panic aborts")
}

/// Spawns and joins `count` threads one after the other, on a thread which may block, each after `idle_ms` of idleness; the
/// milliseconds that each took.
#[wasm_bindgen]
pub async fn spawn_and_join_on_thread(count: u32, idle_ms: u32) -> Vec<f64> {
    let thread = thread::spawn(move || (0..count).map(|n| spawn_and_join(n, idle_ms)).collect());
    thread.join_async().await.expect("a panic aborts")
}

fn spawn_and_join(n: u32, idle_ms: u32) -> f64 {
    if idle_ms > 0 {
        thread::sleep(Duration::from_millis(idle_ms.into()));
    }
    let start = now_ms();
    let result = thread::spawn(move || n).join();
    let elapsed = now_ms() - start;
    assert_eq!(result.ok(), Some(n), "join gives what the thread returned");
    elapsed
}
