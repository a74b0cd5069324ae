//! What a panic, a refused allocation and a trap lead to, in all threads.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::current;
use super::reserve::{give_up_reserve, keep_reserve};
use super::worker::{with_worker, worker};

unsafe extern "C" {
    /// wasm-bindgen's own, with this name in every module that unwinds.
    static __instance_terminated: AtomicU32;
}

/// wasm-bindgen takes a trap that passes one of its wrappers – in what an event loop calls – for the end of the whole memory, and has
/// all other calls refused from then on, in every thread. Here it is the end of one thread.
fn forget_termination() {
    // SAFETY: a word of wasm-bindgen's, who reads it and sets it to 1. Relaxed: nothing is published by it.
    unsafe { __instance_terminated.store(0, Relaxed) };
}

/// Makes panics readable for the host, lack of memory a panic, and a trap the end of one thread only.
pub(super) fn install() {
    wasm_bindgen::handler::set_on_abort(forget_termination);
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report_panic(panic);
        previous(panic);
    }));
    keep_reserve();
    std::alloc::set_alloc_error_hook(|layout| {
        give_up_reserve();
        panic!("memory allocation of {} bytes failed", layout.size())
    });
}

/// What core panics with where a panic meets a function that can't unwind.
const CANNOT_UNWIND: &str = "panic in a function that cannot unwind";

fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = current::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let text = format!("thread '{name}' {panic}");
    console_error(&text);
    if worker().is_none() {
        return;
    }
    let message = panic.payload_as_str().unwrap_or("Box<dyn Any>");
    if message == CANNOT_UNWIND {
        // Says only that the panic before it could not go on.
        return;
    }
    with_worker(|worker| {
        let message = message.as_bytes();
        // SAFETY: `panic` is written by this worker alone, and read by its host when the thread has ended.
        let record = unsafe { worker.record.as_mut() };
        let size = message.len().min(record.panic.len());
        record.panic[..size].copy_from_slice(&message[..size]);
        record.panic_size.store(size as u32, Relaxed);
    });
}

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(super) fn console_error(text: &str);
}
