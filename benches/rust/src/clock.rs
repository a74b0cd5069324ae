//! A clock that all threads share, in whatever resolution the host has: nanoseconds natively and in Node, five microseconds
//! in Chromium.

use std::time::Duration;

/// Time since some moment that is the same for all threads.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn now() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

/// Time since some moment that is the same for all threads.
#[cfg(target_arch = "wasm32")]
pub(crate) fn now() -> Duration {
    Duration::from_secs_f64(heddle_thread::time::now_ms() / 1000.0)
}
