//! What the tests in `packages/atomics` run on Wasm threads: Rust on one side of a record, TypeScript on the other. Each export
//! takes the address of its record first, and `steps.ts` beside the tests has a function of the same name. The exports are raw, so
//! that a trap in one thread leaves the others usable.

#[path = "support/condvar.rs"]
mod condvar;
#[path = "support/semaphore.rs"]
mod semaphore;
#[path = "support/task.rs"]
mod task;
#[path = "support/waits.rs"]
mod waits;

use core::sync::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, Ordering,
};
use heddle_atomics::{Barrier, Event, Latch, Mutex, Once, OnceCell, RawParker, RwLock, WaitGroup};
use task::{Task, begin};

/// Zeroed bytes for a record, for ever.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    // Aligned to 16, as no record needs more.
    Box::leak(vec![0_u128; size.div_ceil(16)].into_boxed_slice())
        .as_mut_ptr()
        .cast()
}

/// Makes a latch.
///
/// # Safety
/// There is room for one, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latch_create(at: *mut Latch, count: u32) -> u32 {
    // SAFETY: of the caller.
    unsafe { at.write(Latch::new(count)) };
    0
}

/// Counts down; 1 if that was refused.
///
/// # Safety
/// There is a latch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latch_count_down(at: *const Latch, n: u32) -> u32 {
    // SAFETY: of the caller.
    u32::from(unsafe { &*at }.count_down(n).is_err())
}

/// Waits for the latch, then reads the number beside it.
///
/// # Safety
/// There are a latch and a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latch_wait(at: *const Latch, number: *const u32) -> u32 {
    // SAFETY: of the caller; who writes the number counts down afterwards.
    unsafe {
        (*at).wait();
        number.read()
    }
}

/// Makes a barrier.
///
/// # Safety
/// There is room for one, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn barrier_create(at: *mut Barrier, parties: u32) -> u32 {
    // SAFETY: of the caller.
    unsafe { at.write(Barrier::new(parties)) };
    0
}

/// Meets the others so many times, adding 1 to `arrivals` before each; how often this thread led. `u32::MAX` if somebody ran
/// ahead.
///
/// # Safety
/// There are a barrier and a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn barrier_meet(
    at: *const Barrier,
    arrivals: *const AtomicU32,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (barrier, arrivals) = unsafe { (&*at, &*arrivals) };
    let mut led = 0;
    for time in 1..=times {
        arrivals.fetch_add(1, Ordering::Relaxed);
        led += u32::from(barrier.wait().is_leader());
        if arrivals.load(Ordering::Relaxed) != time * barrier.parties() {
            return u32::MAX;
        }
        barrier.wait();
    }
    led
}

/// Joins and leaves the group `times` times.
///
/// # Safety
/// There is a wait group, and this thread is a member already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn group_work(at: *const WaitGroup, times: u32) -> u32 {
    // SAFETY: of the caller.
    let group = unsafe { &*at };
    for _ in 0..times {
        drop(group.member());
    }
    u32::from(group.done().is_err())
}

/// Waits until nobody is left.
///
/// # Safety
/// There is a wait group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn group_wait(at: *const WaitGroup) -> u32 {
    // SAFETY: of the caller.
    unsafe { &*at }.wait();
    0
}

/// Makes an event.
///
/// # Safety
/// There is room for one, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn event_create(at: *mut Event, auto_reset: u32) -> u32 {
    let event = if auto_reset == 0 {
        Event::manual_reset()
    } else {
        Event::auto_reset()
    };
    // SAFETY: of the caller.
    unsafe { at.write(event) };
    0
}

/// Waits for one event and sets the other, so many times.
///
/// # Safety
/// There are two events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn event_pong(at: *const Event, other: *const Event, times: u32) -> u32 {
    // SAFETY: of the caller.
    let (event, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        event.wait();
        other.set();
    }
    times
}

/// Sets one event and waits for the other, so many times.
///
/// # Safety
/// There are two events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn event_ping(at: *const Event, other: *const Event, times: u32) -> u32 {
    // SAFETY: of the caller.
    let (event, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        event.set();
        other.wait();
    }
    times
}

/// Parks at one parker and unparks the other, so many times.
///
/// # Safety
/// There are two parkers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parker_pong(
    at: *const RawParker,
    other: *const RawParker,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (parker, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        parker.park();
        other.unpark();
    }
    times
}

/// Unparks one parker and parks at the other, so many times.
///
/// # Safety
/// There are two parkers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parker_ping(
    at: *const RawParker,
    other: *const RawParker,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (parker, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        parker.unpark();
        other.park();
    }
    times
}

/// Adds 1 to the number, once, also if somebody has died before; the number afterwards.
///
/// # Safety
/// There are a once and a number that only its initialisers write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn once_force(at: *const Once, number: *mut u32) -> u32 {
    // SAFETY: of the caller; the once orders the accesses.
    unsafe {
        (*at).call_once_force(|_| number.write(number.read() + 1));
        number.read()
    }
}

/// Dies within the initialiser.
///
/// # Safety
/// There is a once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn once_die(at: *const Once) -> u32 {
    // SAFETY: of the caller.
    unsafe { &*at }.call_once(|| {
        #[cfg(target_arch = "wasm32")]
        core::arch::wasm32::unreachable();
    });
    0
}

/// What is guarded, and what a once cell holds: `Visit` of the tests.
#[repr(C)]
pub struct Visit {
    hits: u32,
    sum: f64,
    last: Last,
    recent: [u16; 4],
}

/// A struct within.
#[repr(C)]
pub struct Last {
    worker: bool,
    name: [u8; 6],
}

/// Visits so many times, each time under the lock.
///
/// # Safety
/// There is a mutex with a `Visit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn visit(at: *const Mutex<Visit>, times: u32) -> u32 {
    // SAFETY: of the caller.
    let mutex = unsafe { &*at };
    for _ in 0..times {
        let mut visit = mutex.lock().unwrap_or_else(|poison| poison.into_inner());
        visit.hits += 1;
        visit.sum += 0.5;
        visit.last.worker = !visit.last.worker;
        let slot = visit.hits as usize % 4;
        visit.recent[slot] = visit.recent[slot].wrapping_add(1);
    }
    0
}

/// Writes so many times, and reads after each; 1 if what it read was not of one write.
///
/// # Safety
/// There is a reader-writer lock with a `Visit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rw_visit(at: *const RwLock<Visit>, times: u32) -> u32 {
    // SAFETY: of the caller.
    let lock = unsafe { &*at };
    for _ in 0..times {
        {
            let mut visit = lock.write().unwrap_or_else(|poison| poison.into_inner());
            visit.hits += 1;
            visit.sum += 0.5;
        }
        let visit = lock.read().unwrap_or_else(|poison| poison.into_inner());
        if visit.sum * 2.0 != f64::from(visit.hits) {
            return 1;
        }
    }
    0
}

/// Dies with the three locks: a mutex, a reader-writer lock that it writes under, and one that it reads under.
///
/// # Safety
/// There are such locks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locks_die(
    mutex: *const Mutex<()>,
    written: *const RwLock<()>,
    read: *const RwLock<()>,
) -> u32 {
    // SAFETY: of the caller.
    let (mutex, written, read) = unsafe { (&*mutex, &*written, &*read) };
    let _reading = read.read();
    let _writing = written.write();
    let _locked = mutex.lock();
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[allow(unreachable_code, reason = "natively it is only compiled")]
    0
}

/// Takes each of the three locks, waiting for it: which were poisoned, the mutex 1, the written one 2, the read one 4.
///
/// # Safety
/// There are such locks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn locks_take(
    mutex: *const Mutex<()>,
    written: *const RwLock<()>,
    read: *const RwLock<()>,
) -> u32 {
    // SAFETY: of the caller.
    let (mutex, written, read) = unsafe { (&*mutex, &*written, &*read) };
    u32::from(mutex.lock().is_err())
        | u32::from(written.read().is_err()) << 1
        | u32::from(read.write().is_err()) << 2
}

/// What is in the cell, after this thread or another one has made it: its hits, which are `hits` if this thread did.
///
/// # Safety
/// There is a once cell of a `Visit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cell_get_or_init(at: *const OnceCell<Visit>, hits: u32) -> u32 {
    // SAFETY: of the caller.
    let cell = unsafe { &*at };
    let made = cell.get_or_init(|| Visit {
        hits,
        sum: 0.5,
        last: Last {
            worker: true,
            name: *b"heddle",
        },
        recent: [1, 2, 3, 4],
    });
    let is_whole = made.sum == 0.5
        && made.last.worker
        && &made.last.name == b"heddle"
        && made.recent == [1, 2, 3, 4];
    if is_whole { made.hits } else { u32::MAX }
}

/// One cell of each kind; floating point numbers are their bits.
#[repr(C)]
pub struct Cells {
    i8: AtomicI8,
    u8: AtomicU8,
    i16: AtomicI16,
    u16: AtomicU16,
    i32: AtomicI32,
    u32: AtomicU32,
    i64: AtomicI64,
    u64: AtomicU64,
    f32: AtomicU32,
    f64: AtomicU64,
    bool: AtomicBool,
}

/// Changes each cell so many times.
///
/// # Safety
/// There are cells.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cells_change(at: *const Cells, times: u32) -> u32 {
    const ORDER: Ordering = Ordering::SeqCst;
    // SAFETY: of the caller.
    let cells = unsafe { &*at };
    for _ in 0..times {
        cells.i8.fetch_sub(1, ORDER);
        cells.u8.fetch_add(1, ORDER);
        cells.i16.fetch_sub(1, ORDER);
        cells.u16.fetch_add(1, ORDER);
        cells.i32.fetch_sub(1, ORDER);
        cells.u32.fetch_add(1, ORDER);
        cells.i64.fetch_sub(1 << 40, ORDER);
        cells.u64.fetch_add(1 << 40, ORDER);
        let add = |bits| Some((f32::from_bits(bits) + 0.5).to_bits());
        let _ = cells.f32.fetch_update(ORDER, ORDER, add);
        let add = |bits| Some((f64::from_bits(bits) + 0.5).to_bits());
        let _ = cells.f64.fetch_update(ORDER, ORDER, add);
        cells.bool.fetch_xor(true, ORDER);
    }
    0
}

/// Begins a task that waits for a lock and adds 1 to the number in it; it gives 1, or 2 if the lock is poisoned.
///
/// # Safety
/// There is a mutex of a number, for as long as the task is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn task_locks(at: *const Mutex<u32>) -> *mut Task {
    // SAFETY: of the caller.
    let lock = unsafe { &*at };
    begin(async {
        let (mut guard, result) = match lock.lock_async().await {
            Ok(guard) => (guard, 1),
            Err(poison) => (poison.into_inner(), 2),
        };
        *guard += 1;
        result
    })
}

/// Begins a task that waits for a latch, an event and a group; it gives 1.
///
/// # Safety
/// There are these, for as long as the task is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn task_waits(
    latch: *const Latch,
    event: *const Event,
    group: *const WaitGroup,
) -> *mut Task {
    // SAFETY: of the caller.
    let (latch, event, group) = unsafe { (&*latch, &*event, &*group) };
    begin(async {
        latch.wait_async().await;
        event.wait_async().await;
        group.wait_async().await;
        1
    })
}
