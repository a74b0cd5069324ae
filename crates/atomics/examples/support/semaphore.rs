//! Steps at a semaphore.

use core::sync::atomic::{AtomicU32, Ordering};
use heddle_atomics::Semaphore;

/// Makes a semaphore.
///
/// # Safety
/// There is room for one, and nobody else uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semaphore_create(at: *mut Semaphore, permits: u32) -> u32 {
    // SAFETY: of the caller.
    unsafe { at.write(Semaphore::new(permits)) };
    permits
}

/// Takes `count` permits at once and gives them back, so many times; `inside` counts those that are out. How many were at most.
///
/// # Safety
/// There are a semaphore and a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semaphore_pass(
    at: *const Semaphore,
    inside: *const AtomicU32,
    count: u32,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (semaphore, inside) = unsafe { (&*at, &*inside) };
    let mut most = 0;
    for _ in 0..times {
        let _permit = semaphore.acquire_many(count);
        most = most.max(inside.fetch_add(count, Ordering::SeqCst) + count);
        inside.fetch_sub(count, Ordering::SeqCst);
    }
    most
}

/// Takes `count` permits of one semaphore at once and puts as many into the other, one by one, so many times.
///
/// # Safety
/// There are two semaphores.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semaphore_pong(
    at: *const Semaphore,
    other: *const Semaphore,
    count: u32,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (semaphore, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        semaphore.acquire_many(count).forget();
        (0..count).for_each(|_| other.release(1));
    }
    times
}

/// Puts `count` permits into one semaphore, one by one, and takes as many of the other at once, so many times.
///
/// # Safety
/// There are two semaphores.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semaphore_ping(
    at: *const Semaphore,
    other: *const Semaphore,
    count: u32,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (semaphore, other) = unsafe { (&*at, &*other) };
    for _ in 0..times {
        (0..count).for_each(|_| semaphore.release(1));
        other.acquire_many(count).forget();
    }
    times
}

/// Takes `count` permits for ever.
///
/// # Safety
/// There is a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semaphore_acquire(at: *const Semaphore, count: u32) -> u32 {
    // SAFETY: of the caller.
    unsafe { &*at }.acquire_many(count).forget();
    count
}
