//! The system call `futex`, on words of this process.

use crate::seam::AtomicU32;
use core::{ptr, time::Duration};

pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    // A timeout too long for the kernel is none.
    let timeout = timeout.and_then(|timeout| {
        Some(libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs())
                .ok()
                .filter(|&s| s < 1 << 40)?,
            tv_nsec: timeout.subsec_nanos().into(),
        })
    });
    let timeout_pointer = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the timespec outlive the call, which blocks until it has returned.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout_pointer,
        )
    };
    // Interrupted and "another value" are like being woken: the caller looks again.
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

pub(super) fn wake_address(address: *const AtomicU32, count: u32) -> u32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: the kernel uses the address as a key only; it need not be mapped.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            address,
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            count,
        )
    };
    u32::try_from(woken).unwrap_or(0)
}
