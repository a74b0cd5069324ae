//! What becomes of thread-local values at a thread's end.

use std::cell::{Cell, RefCell};
use std::panic::panic_any;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, mpsc};

use heddle_thread::{self as thread, ThreadError};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// What destructors report, in their order.
static REPORTS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

fn report(word: &'static str) {
    REPORTS.lock().unwrap().push(word);
}

fn take_reports() -> Vec<&'static str> {
    std::mem::take(&mut *REPORTS.lock().unwrap())
}

struct Reporting(&'static str);

impl Drop for Reporting {
    fn drop(&mut self) {
        report(self.0);
    }
}

/// Its destructor uses what a destructor may: the thread, another value, and itself, which is gone.
struct Asking;

impl Drop for Asking {
    fn drop(&mut self) {
        if thread::current().name() == Some("heald") {
            report("the thread is still there");
        }
        if ASKING.try_with(|_| ()).is_err() {
            report("the value is gone");
        }
        LATE.with(|_| ());
    }
}

struct Panicking;

impl Drop for Panicking {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

thread_local! {
    static EAGER: Reporting = const { Reporting("eager") };
    static LAZY: RefCell<Option<Reporting>> = RefCell::new(Some(Reporting("lazy")));
    static LATE: Reporting = Reporting("made by a destructor");
    static ASKING: Asking = const { Asking };
    static PANICKING: Panicking = const { Panicking };
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static VALUE: RefCell<Option<JsValue>> = const { RefCell::new(None) };
    static BYTES: RefCell<Vec<u8>> = RefCell::new(vec![1; 100]);
}

/// 1 if the values of a thread are dropped before `join` returns, the last made first, with those that their destructors make;
/// after a panic too.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn locals_are_dropped() -> u32 {
    take_reports();
    let thread = thread::Builder::new().name("heald".into());
    let joined = thread.spawn(|| {
        EAGER.with(|_| ());
        LAZY.with(|_| ());
        ASKING.with(|_| ());
    });
    joined.unwrap().join().unwrap();
    let expected = [
        "the thread is still there",
        "the value is gone",
        "made by a destructor",
        "lazy",
        "eager",
    ];
    assert_eq!(take_reports(), expected);

    let panicked = thread::spawn(|| {
        EAGER.with(|_| ());
        panic_any(5);
    });
    assert!(panicked.join().is_err());
    assert_eq!(take_reports(), ["eager"]);
    1
}

/// Makes a value in this thread, which TypeScript spawned.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn make_a_local() {
    take_reports();
    EAGER.with(|_| ());
}

/// How many values have been dropped since.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn locals_dropped() -> u32 {
    take_reports().len() as u32
}

/// 1 if a result that nobody takes is dropped where the thread's values still are.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn a_lost_result_has_locals() -> u32 {
    struct Counting(Arc<AtomicU32>);
    impl Drop for Counting {
        fn drop(&mut self) {
            self.0.store(COUNT.get(), SeqCst);
        }
    }
    let seen = Arc::new(AtomicU32::new(0));
    let (sender, receiver) = mpsc::channel::<()>();
    let counting = Counting(Arc::clone(&seen));
    drop(thread::spawn(move || {
        COUNT.set(11);
        // Until the handle is gone.
        assert!(receiver.recv().is_err());
        counting
    }));
    drop(sender);
    while seen.load(SeqCst) == 0 {
        thread::yield_now();
    }
    assert_eq!(seen.load(SeqCst), 11);
    1
}

/// 1 if no destructor runs after a trap, which is what `docs/std-thread.md` says.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn a_trap_drops_no_locals() -> u32 {
    take_reports();
    let trapped = thread::spawn(|| {
        EAGER.with(|_| ());
        core::arch::wasm32::unreachable();
    });
    assert!(trapped.join().is_err());
    assert_eq!(take_reports(), [""; 0]);
    1
}

/// 1 if no destructor runs in a thread that wrote beyond its stack.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn an_overflow_drops_no_locals() -> u32 {
    const STACK_SIZE: usize = 64 * 1024;
    take_reports();
    let thread = thread::Builder::new().stack_size(STACK_SIZE);
    let overflowed = thread.spawn(|| {
        EAGER.with(|_| ());
        damage_guard(STACK_SIZE);
    });
    let payload = overflowed.unwrap().join().unwrap_err();
    assert!(matches!(
        payload.downcast_ref(),
        Some(ThreadError::StackOverflow { .. })
    ));
    assert_eq!(take_reports(), [""; 0]);
    1
}

/// Does what an overflow does, and no other damage: writes to the guard below this thread's stack.
fn damage_guard(stack_size: usize) {
    const GUARD: [u32; 16] = [0x4445_4848; 16];
    let (_, tls_base) = heddle_memory::current_frame();
    // As `ThreadBlock` lays them out: a guard, the stack, a guard, and thread-local storage at its alignment.
    let align = heddle_memory::tls_layout().align();
    let below = (2 * size_of_val(&GUARD) + stack_size).next_multiple_of(align);
    let guard = (tls_base - below) as *mut [u32; 16];
    // SAFETY: the guard is inside the block, which is this thread's.
    unsafe {
        assert_eq!(guard.read_volatile(), GUARD);
        guard.write_volatile([0; 16]);
    }
}

/// 1 if a panic in a destructor is a trap, where std ends the process.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn a_panic_in_a_destructor_traps() -> u32 {
    let trapped = thread::spawn(|| PANICKING.with(|_| ())).join();
    let payload = trapped.unwrap_err();
    assert!(matches!(
        payload.downcast_ref(),
        Some(ThreadError::Trapped { .. })
    ));
    1
}

#[wasm_bindgen]
extern "C" {
    type Exports;
    #[wasm_bindgen(method, getter, js_name = __wbindgen_externrefs)]
    fn table(this: &Exports) -> Table;
    type Table;
    #[wasm_bindgen(method, getter)]
    fn length(this: &Table) -> u32;
}

/// How many JavaScript values the table of this thread's worker has room for.
fn table_length() -> u32 {
    use wasm_bindgen::JsCast;
    wasm_bindgen::exports()
        .unchecked_into::<Exports>()
        .table()
        .length()
}

/// Spawns and joins `count` threads that use all that is kept per thread: JavaScript values, values of a thread's own with
/// memory behind them, std's handle to the thread, a channel of std's, which keeps something for each thread that waits.
/// Returns the length of the longest table that a thread saw.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn spawn_with_locals(count: u32) -> u32 {
    let lengths = (0..count).map(|n| {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            BYTES.with_borrow_mut(|bytes| bytes.push(2));
            let _handle = std::thread::current();
            VALUE.set(Some(JsValue::from_str("a value of this thread's")));
            sender.send(n).unwrap();
            table_length()
        });
        assert_eq!(receiver.recv(), Ok(n));
        thread.join().unwrap()
    });
    lengths.max().unwrap_or(0)
}
