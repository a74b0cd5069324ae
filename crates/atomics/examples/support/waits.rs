//! One wait at each primitive: with a time limit, and on a thread that may not block. Which primitive is a number, so that the tests
//! go through all of them: the place in `WAITS` of `waits.ts`.

use core::{mem::forget, panic::AssertUnwindSafe, time::Duration};
use heddle_atomics::{
    Barrier, Condvar, Event, Latch, Mutex, Once, OnceCell, RawParker, RwLock, Semaphore, WaitGroup,
    clock::Instant, deadlock,
};
use std::panic::catch_unwind;

/// A condition variable with its lock, and a number that it is about.
#[repr(C)]
struct Changing {
    count: Mutex<u32>,
    changed: Condvar,
}

/// The primitives, as the tests number them.
#[derive(Clone, Copy)]
enum Kind {
    Mutex,
    Read,
    Write,
    Condvar,
    Semaphore,
    Barrier,
    Latch,
    Event,
    Parker,
    Once,
    WaitGroup,
    OnceCell,
}

const KINDS: [Kind; 12] = [
    Kind::Mutex,
    Kind::Read,
    Kind::Write,
    Kind::Condvar,
    Kind::Semaphore,
    Kind::Barrier,
    Kind::Latch,
    Kind::Event,
    Kind::Parker,
    Kind::Once,
    Kind::WaitGroup,
    Kind::OnceCell,
];

/// Makes what is to be waited for, and takes what the waiter has to be kept from.
///
/// # Safety
/// There is room for any of the records, aligned to 16, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait_prepare(kind: usize, at: *mut u8) -> u32 {
    // SAFETY: of the caller.
    unsafe {
        match KINDS[kind] {
            Kind::Mutex => {
                at.cast::<Mutex<u32>>().write(Mutex::new(0));
                forget((*at.cast::<Mutex<u32>>()).lock());
            }
            Kind::Read => {
                at.cast::<RwLock<u32>>().write(RwLock::new(0));
                forget((*at.cast::<RwLock<u32>>()).write());
            }
            Kind::Write => {
                at.cast::<RwLock<u32>>().write(RwLock::new(0));
                forget((*at.cast::<RwLock<u32>>()).read());
            }
            Kind::Condvar => at.cast::<Changing>().write(Changing {
                count: Mutex::new(0),
                changed: Condvar::new(),
            }),
            Kind::Semaphore => at.cast::<Semaphore>().write(Semaphore::new(0)),
            Kind::Barrier => at.cast::<Barrier>().write(Barrier::new(2)),
            Kind::Latch => at.cast::<Latch>().write(Latch::new(1)),
            Kind::Event => at.cast::<Event>().write(Event::auto_reset()),
            Kind::Parker => at.cast::<RawParker>().write(RawParker::new()),
            Kind::Once => at.cast::<Once>().write(Once::new()),
            Kind::WaitGroup => {
                at.cast::<WaitGroup>().write(WaitGroup::new());
                (*at.cast::<WaitGroup>()).add(1).unwrap();
            }
            Kind::OnceCell => at.cast::<OnceCell<u32>>().write(OnceCell::new()),
        }
    }
    0
}

/// Lets a waiter have what it waits for.
///
/// # Safety
/// This thread has prepared it, or another one what has no owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait_wake(kind: usize, at: *const u8) -> u32 {
    // SAFETY: of the caller, who holds what is unlocked.
    unsafe {
        match KINDS[kind] {
            Kind::Mutex => (*at.cast::<Mutex<u32>>()).raw().unlock(),
            Kind::Read => (*at.cast::<RwLock<u32>>()).raw().unlock_write(),
            Kind::Write => (*at.cast::<RwLock<u32>>()).raw().unlock_read(),
            Kind::Condvar => {
                let changing = &*at.cast::<Changing>();
                *changing.count.lock().unwrap() += 1;
                changing.changed.notify_one();
            }
            Kind::Semaphore => (*at.cast::<Semaphore>()).release(1),
            Kind::Barrier => _ = (*at.cast::<Barrier>()).wait(),
            Kind::Latch => (*at.cast::<Latch>()).count_down(1).unwrap(),
            Kind::Event => _ = (*at.cast::<Event>()).set(),
            Kind::Parker => (*at.cast::<RawParker>()).unpark(),
            Kind::Once => (*at.cast::<Once>()).call_once(|| {}),
            Kind::WaitGroup => (*at.cast::<WaitGroup>()).done().unwrap(),
            Kind::OnceCell => (*at.cast::<OnceCell<u32>>()).set(7).unwrap(),
        }
    }
    0
}

/// Waits once, for at most `limit`: whether what it waited for came. What it got it gives back.
///
/// # Safety
/// It was prepared.
unsafe fn wait_for(kind: usize, at: *const u8, limit: Duration) -> bool {
    // SAFETY: of the caller.
    unsafe {
        match KINDS[kind] {
            Kind::Mutex => (*at.cast::<Mutex<u32>>()).try_lock_for(limit).is_ok(),
            Kind::Read => (*at.cast::<RwLock<u32>>()).try_read_for(limit).is_ok(),
            Kind::Write => (*at.cast::<RwLock<u32>>()).try_write_for(limit).is_ok(),
            Kind::Condvar => {
                let changing = &*at.cast::<Changing>();
                let count = changing.count.lock().unwrap();
                let waited = changing
                    .changed
                    .wait_timeout_while(count, limit, |count| *count == 0);
                !waited.unwrap().1.timed_out()
            }
            Kind::Semaphore => (*at.cast::<Semaphore>()).acquire_timeout(limit).is_some(),
            Kind::Barrier => (*at.cast::<Barrier>()).wait_timeout(limit).is_some(),
            Kind::Latch => (*at.cast::<Latch>()).wait_timeout(limit),
            Kind::Event => (*at.cast::<Event>()).wait_timeout(limit),
            Kind::Parker => (*at.cast::<RawParker>()).park_timeout(limit),
            Kind::Once => (*at.cast::<Once>()).wait_timeout(limit),
            Kind::WaitGroup => (*at.cast::<WaitGroup>()).wait_timeout(limit),
            Kind::OnceCell => {
                unreachable!("a once cell's wait has no limit, so nobody asks for it")
            }
        }
    }
}

/// Waits once, as long as it takes. What it got it gives back.
///
/// # Safety
/// It was prepared.
unsafe fn wait(kind: usize, at: *const u8) {
    // SAFETY: of the caller.
    unsafe {
        match KINDS[kind] {
            Kind::Mutex => drop((*at.cast::<Mutex<u32>>()).lock().unwrap()),
            Kind::Read => drop((*at.cast::<RwLock<u32>>()).read().unwrap()),
            Kind::Write => drop((*at.cast::<RwLock<u32>>()).write().unwrap()),
            Kind::Condvar => {
                let changing = &*at.cast::<Changing>();
                let count = changing.count.lock().unwrap();
                drop(changing.changed.wait_while(count, |count| *count == 0));
            }
            Kind::Semaphore => drop((*at.cast::<Semaphore>()).acquire()),
            Kind::Barrier => _ = (*at.cast::<Barrier>()).wait(),
            Kind::Latch => (*at.cast::<Latch>()).wait(),
            Kind::Event => (*at.cast::<Event>()).wait(),
            Kind::Parker => (*at.cast::<RawParker>()).park(),
            Kind::Once => (*at.cast::<Once>()).wait(),
            Kind::WaitGroup => (*at.cast::<WaitGroup>()).wait(),
            Kind::OnceCell => _ = (*at.cast::<OnceCell<u32>>()).wait(),
        }
    }
}

/// Waits for at most `limit_ms`: 1 if what it waited for came, else 0; 2 if it didn't and this thread's clock says that the time wasn't
/// over. A browser's clock is coarse, by less than a millisecond.
///
/// # Safety
/// It was prepared.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait_timed(kind: usize, at: *const u8, limit_ms: u32) -> u32 {
    let limit = Duration::from_millis(limit_ms.into());
    let start = Instant::now();
    // SAFETY: of the caller.
    if unsafe { wait_for(kind, at, limit) } {
        return 1;
    }
    let is_early = start.elapsed() + Duration::from_millis(1) < limit;
    if is_early { 2 } else { 0 }
}

/// Waits as long as it takes and catches a panic: its message is written to `text`, and its length is returned; 0 without one.
///
/// # Safety
/// It was prepared, and `text` has room for 1024 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait_caught(kind: usize, at: *const u8, text: *mut u8) -> usize {
    // SAFETY: of the caller.
    let caught = catch_unwind(AssertUnwindSafe(|| unsafe { wait(kind, at) }));
    // SAFETY: of the caller.
    unsafe { write_message(caught, text) }
}

/// Takes one lock, waits until `parties` threads have taken theirs, and takes the second. What a panic said is written to `text`, and
/// its length is returned; 0 without one.
///
/// # Safety
/// There are two mutexes, a number, and room for 1024 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn take_two(
    first: *const Mutex<u32>,
    second: *const Mutex<u32>,
    begun: *const Latch,
    text: *mut u8,
) -> usize {
    // SAFETY: of the caller.
    let (first, second, begun) = unsafe { (&*first, &*second, &*begun) };
    deadlock::enable_detection();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let first = first.lock().unwrap_or_else(|poison| poison.into_inner());
        begun.arrive_and_wait(1).unwrap();
        drop(second.lock());
        drop(first);
    }));
    // SAFETY: of the caller.
    unsafe { write_message(caught, text) }
}

/// # Safety
/// There is room for 1024 bytes.
unsafe fn write_message(caught: std::thread::Result<()>, text: *mut u8) -> usize {
    let Err(panic) = caught else { return 0 };
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().map_or_else(
            |_| String::from("a panic that says nothing"),
            |message| String::from(*message),
        ),
    };
    let length = message.len().min(1024);
    // SAFETY: of the caller; a message of this thread's own lies elsewhere.
    unsafe { text.copy_from_nonoverlapping(message.as_ptr(), length) };
    length
}
