//! Steps at a condition variable whose condition is a number under a lock.

use heddle_atomics::{Condvar, Mutex};

/// Adds 1 to the number `times` times, in turn with the others: whenever it is `turn`, modulo the `parties`. Of two parties one wakes
/// the other, of more all; the number in the end.
///
/// # Safety
/// There are a mutex of a number and a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn condvar_take_turns(
    mutex: *const Mutex<u32>,
    changed: *const Condvar,
    turn: u32,
    parties: u32,
    times: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (mutex, changed) = unsafe { (&*mutex, &*changed) };
    let mut last = 0;
    for _ in 0..times {
        let count = mutex.lock().unwrap();
        let mut count = changed
            .wait_while(count, |count| *count % parties != turn)
            .unwrap();
        *count += 1;
        last = *count;
        if parties == 2 {
            changed.notify_one();
        } else {
            changed.notify_all();
        }
    }
    last
}

/// Waits until the number is at least `least`: the number, or `u32::MAX` if somebody has died in the lock.
///
/// # Safety
/// As [`condvar_take_turns`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn condvar_wait_for(
    mutex: *const Mutex<u32>,
    changed: *const Condvar,
    least: u32,
) -> u32 {
    // SAFETY: of the caller.
    let (mutex, changed) = unsafe { (&*mutex, &*changed) };
    let Ok(count) = mutex.lock() else {
        return u32::MAX;
    };
    changed
        .wait_while(count, |count| *count < least)
        .map_or(u32::MAX, |count| *count)
}
