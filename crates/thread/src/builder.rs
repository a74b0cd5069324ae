//! Starting threads.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::exit;
use crate::join::{JoinHandle, Packet, Result};
use crate::scope::ScopeData;
use crate::sys;

/// A thread's properties, and the way to start one that tells why it could not.
///
/// ```
/// let thread = heddle_thread::Builder::new().name("weaver".into()).stack_size(256 * 1024).spawn(|| {
///     heddle_thread::current().name().map(str::to_owned)
/// });
/// assert_eq!(thread.unwrap().join().unwrap().as_deref(), Some("weaver"));
/// ```
#[derive(Debug, Default)]
#[must_use = "must eventually spawn the thread"]
pub struct Builder {
    pub(crate) name: Option<String>,
    pub(crate) stack_size: Option<usize>,
}

impl Builder {
    /// A thread without a name and with a stack of the default size.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Names the thread: in panic messages, and in what `runtime.threads()` lists.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// The size of the thread's stack, in bytes. In Wasm this is the stack in shared memory, rounded up to 16 bytes.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts a thread that runs `f`.
    ///
    /// # Errors
    /// Natively those of std. In Wasm: [`io::ErrorKind::WouldBlock`] when as many threads are alive as the runtime may have,
    /// and [`io::ErrorKind::Unsupported`] when the module was not started by `@heddle/thread` or is being closed.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: what the closure and its result borrow lives for ever.
        unsafe { self.start(f, None) }
    }

    /// Starts a thread that runs `f`, which may borrow. [`scope`](crate::scope()) does this without `unsafe`.
    ///
    /// # Safety
    /// The thread has been joined, or nothing that `f` or its result borrows is used by it any more, before that is gone.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        // SAFETY: passed on from the caller.
        unsafe { self.start(f, None) }
    }

    /// Starts a thread whose closure may borrow.
    ///
    /// # Safety
    /// The packet is gone before anything that `f` or its result borrows is.
    pub(crate) unsafe fn start<F, T>(
        self,
        f: F,
        scope: Option<Arc<ScopeData>>,
    ) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let packet = Arc::new(Packet::new(scope));
        let run = {
            let packet = Arc::clone(&packet);
            move || end(packet, catch_unwind(AssertUnwindSafe(f)))
        };
        // SAFETY: passed on from the caller; the packet holds only what the closure returns, which the handle's lifetime
        // parameter keeps inside what it borrows.
        let (native, thread) = unsafe { sys::spawn(self, Arc::clone(&packet), run)? };
        Ok(JoinHandle::new(native, thread, packet))
    }
}

/// What a thread does after its last line, on its own stack.
pub(crate) fn end<T>(packet: Arc<Packet<T>>, result: Result<T>) {
    let mut result = Some(result);
    exit::run_hooks();
    if Arc::strong_count(&packet) == sys::HOLDERS_AT_END {
        // Nobody will take it, and its destructor may want the thread's own locals.
        result = result.filter(Result::is_err);
    }
    sys::run_destructors();
    if let Err(failure) = sys::ending() {
        // What the thread wrote beyond its stack may be its result: don't run destructors on that.
        std::mem::forget(result.replace(Err(Box::new(failure))));
    }
    packet.complete(result);
}

/// Starts a thread that runs `f`.
///
/// # Panics
/// Where no thread can be started; [`Builder::spawn`] returns that as an error.
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn thread")
}
