//! Callbacks for the end of a thread.
//!
//! They run when the closure has ended, while all thread-local values still are there: destructors of those come after.

use std::cell::RefCell;

type Hook = Box<dyn FnOnce()>;

/// Runs `hook` when the calling thread ends, after its closure returned or panicked and before `join` returns.
///
/// The last one registered runs first, as locals are dropped. A panic in a hook is caught, and the others still run.
/// Unlike the destructor of a `thread_local!` value a hook may use every such value, and may panic. Hooks run for threads
/// of [`spawn`](crate::spawn) and in Wasm for those that TypeScript spawned too; not after a trap.
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
    // Without a destructor: `run_hooks` empties it.
    static HOOKS: std::mem::ManuallyDrop<RefCell<Vec<Hook>>> =
        const { std::mem::ManuallyDrop::new(RefCell::new(Vec::new())) };
}
