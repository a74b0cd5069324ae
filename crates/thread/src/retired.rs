//! What std still has, so that `use heddle_thread as thread` may stand for `use std::thread` in old code too.

use std::time::Duration;

/// Blocks this thread for at least `ms` milliseconds.
#[deprecated(note = "replaced by `sleep`, as in std")]
pub fn sleep_ms(ms: u32) {
    crate::sleep(Duration::from_millis(ms.into()));
}

/// Like [`park`](crate::park), for at most `ms` milliseconds.
#[deprecated(note = "replaced by `park_timeout`, as in std")]
pub fn park_timeout_ms(ms: u32) {
    crate::park_timeout(Duration::from_millis(ms.into()));
}
