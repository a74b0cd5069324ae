//! `memory.atomic.wait32` and `memory.atomic.notify`.

use crate::seam::AtomicU32;
use core::{arch::wasm32, time::Duration};

#[inline]
pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    // Negative means for ever; what doesn't fit is 292 years.
    let timeout_ns = timeout.map_or(-1, |timeout| {
        i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX)
    });
    // SAFETY: the pointer is that of a live, aligned word.
    let result = unsafe {
        wasm32::memory_atomic_wait32(
            word.as_ptr().cast::<i32>(),
            expected.cast_signed(),
            timeout_ns,
        )
    };
    // 0: woken, 1: another value, 2: timed out.
    result != 2
}

#[inline]
pub(super) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    // SAFETY: the instruction reads no memory; it only needs an aligned address inside the memory, which the address
    // of a word that exists or existed is, since a memory never shrinks.
    unsafe { wasm32::memory_atomic_notify(address.cast_mut().cast::<i32>(), count) }
}
