//! What a panic, a refused allocation and a trap lead to, in all threads.

use std::panic::PanicHookInfo;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};

use wasm_bindgen::JsValue;

use super::current;
use super::reserve::{give_up_reserve, keep_reserve};
use super::worker::{with_worker, worker};

unsafe extern "C" {
    /// wasm-bindgen's own, with this name in every module that unwinds.
    static __instance_terminated: AtomicU32;
}

/// wasm-bindgen takes a trap that passes one of its wrappers – in what an event loop calls – for the end of the whole memory, and has
/// all other calls refused from then on, by every instance that looks at this word. Here it is the end of one thread. The workers of a runtime
/// have a word each (`worker.ts`), so this is for instances that a page or a worker has made of its own.
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
        panic!("{ALLOCATION_FAILED}{} bytes failed", layout.size())
    });
}

/// What core panics with where a panic meets a function that can't unwind.
const CANNOT_UNWIND: &str = "panic in a function that cannot unwind";

/// Relaxed: a setting, which publishes nothing.
static HIDES_MESSAGES: AtomicBool = AtomicBool::new(false);

/// Whether panics whose message was put together at run time, and so may quote what a program works on, are told by their place alone: on
/// the console and by the `join` of TypeScript. What `panic!` and `assert!` have as a literal is told in any case (`expect` puts its
/// own together), and Rust's own [`join`](crate::JoinHandle::join) has the payload. In Wasm; natively such things are said by the hook
/// of [`std::panic::set_hook`].
pub fn hide_panic_messages(hides: bool) {
    HIDES_MESSAGES.store(hides, Relaxed);
}

/// What the panic of a refused allocation begins with: it quotes a size alone.
const ALLOCATION_FAILED: &str = "memory allocation of ";

/// What a panic says, or that nobody is to know it.
fn message_of<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    let message = panic.payload_as_str().unwrap_or("Box<dyn Any>");
    let is_shown = !HIDES_MESSAGES.load(Relaxed)
        || panic.payload().is::<&'static str>()
        || message.starts_with(ALLOCATION_FAILED);
    match is_shown {
        true => message,
        false => "a message that may quote data, and is hidden",
    }
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let thread = current::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let message = message_of(panic);
    let place = panic
        .location()
        .map_or(String::new(), |place| format!(" at {place}"));
    print_error(&format!(
        "thread '{name}' panicked{place}:\n{message}\n{}\n",
        stack_trace()
    ));
    if worker().is_none() {
        return;
    }
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

/// What processes know standard error by.
const STDERR: u32 = 2;

/// Prints lines before it returns, as std does. What a worker of Node gives to `console` goes through its creators' event loops, and is
/// lost where the process ends before, as it may once `join` has told of the panic.
fn print_error(lines: &str) {
    let files = HostProcess::current()
        .and_then(|process| process.built_in_module("node:fs").ok().flatten());
    // A pipe that is full and doesn't wait refuses it.
    if !files.is_some_and(|files| files.write_sync(STDERR, lines).is_ok()) {
        console_error(lines.trim_end());
    }
}

/// Frames of a stack trace: V8 keeps ten where nobody asks for more, which is what panicking itself takes.
const FRAMES_MAX: f64 = 50.0;

/// Where this thread is, as the engine tells: with the names that the module's `name` section has of Rust's functions.
fn stack_trace() -> String {
    let frames_max = ErrorObject::stack_trace_limit();
    // Where an application has frozen what is the engine's, the trace is as long as it was.
    let is_longer = ErrorObject::set_stack_trace_limit(Some(FRAMES_MAX)).is_ok();
    let trace = ErrorObject::new().stack();
    if is_longer {
        let _ = ErrorObject::set_stack_trace_limit(frames_max);
    }
    // V8 begins with a line that names the error, which is none.
    let trace = trace.unwrap_or_default();
    trace.strip_prefix("Error\n").unwrap_or(&trace).to_owned()
}

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Error)]
    type ErrorObject;
    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new() -> ErrorObject;
    #[wasm_bindgen(method, getter, structural)]
    fn stack(this: &ErrorObject) -> Option<String>;
    /// Engines other than V8 have no such limit, or don't tell.
    #[wasm_bindgen(static_method_of = ErrorObject, getter, js_class = "Error", js_name = stackTraceLimit)]
    fn stack_trace_limit() -> Option<f64>;
    #[wasm_bindgen(static_method_of = ErrorObject, setter, catch, js_class = "Error", js_name = stackTraceLimit)]
    fn set_stack_trace_limit(frames_max: Option<f64>) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = process)]
    type HostProcess;
    /// Browsers have none, bundlers give them something like it.
    #[wasm_bindgen(static_method_of = HostProcess, getter, js_class = "globalThis", js_name = process)]
    fn current() -> Option<HostProcess>;
    #[wasm_bindgen(method, structural, catch, js_name = getBuiltinModule)]
    fn built_in_module(this: &HostProcess, name: &str) -> Result<Option<HostFiles>, JsValue>;
    type HostFiles;
    #[wasm_bindgen(method, structural, catch, js_name = writeSync)]
    fn write_sync(this: &HostFiles, file: u32, text: &str) -> Result<u32, JsValue>;
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(super) fn console_error(text: &str);
}
