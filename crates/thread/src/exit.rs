//! Callbacks for the end of a thread.
//!
//! Natively a thread-local with a destructor runs them. In Wasm, std has thread-local storage but never runs its
//! destructors; the runtime runs these instead, before the thread counts as ended.

use std::cell::RefCell;

type Hook = Box<dyn FnOnce()>;

/// Runs `hook` when the calling thread ends, after its closure returned or panicked and before `join` returns.
///
/// The last one registered runs first, as locals are dropped. A panic in a hook is caught, and the others still run.
/// In Wasm this is the only way to have code run at the end of a thread: destructors of `thread_local!` values don't
/// (the stock std has none on this target), so a value that needs one should be put away by a hook. Hooks run for
/// threads of [`spawn`](crate::spawn) and for those that TypeScript spawned; not after a trap.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static ENDED: AtomicBool = AtomicBool::new(false);
/// heddle_thread::spawn(|| heddle_thread::at_exit(|| ENDED.store(true, Ordering::Release))).join().unwrap();
/// assert!(ENDED.load(Ordering::Acquire));
/// ```
pub fn at_exit(hook: impl FnOnce() + 'static) {
    HOOKS.with(|hooks| hooks.borrow_mut().push(Box::new(hook)));
}

/// Runs this thread's hooks, also those that hooks register.
pub(crate) fn run_hooks() {
    while let Some(hook) = HOOKS.with(|hooks| hooks.borrow_mut().pop()) {
        // The panic has been reported by the panic hook; the thread's own result is what join must see.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(hook)));
    }
    HOOKS.with(|hooks| *hooks.borrow_mut() = Vec::new());
}

thread_local! {
    // Without a destructor, which std would note in a list of the thread's own that nobody frees in Wasm; natively
    // `run_hooks` empties it, or the guard below.
    static HOOKS: std::mem::ManuallyDrop<RefCell<Vec<Hook>>> =
        const { std::mem::ManuallyDrop::new(RefCell::new(Vec::new())) };
}
