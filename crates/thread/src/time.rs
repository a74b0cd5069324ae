//! Clocks that work in Wasm too, where std's `Instant` and `SystemTime` panic.

use std::time::Duration;

/// Milliseconds since 1970, with a fraction: comparable between all threads of a runtime, and with JavaScript's
/// `performance.timeOrigin + performance.now()`.
///
/// ```
/// let start = heddle_thread::time::now_ms();
/// heddle_thread::sleep(std::time::Duration::from_millis(2));
/// assert!(heddle_thread::time::now_ms() - start >= 1.0);
/// ```
pub fn now_ms() -> f64 {
    imp::now_ms()
}

/// A moment of [`now_ms`], to measure how long something takes; also between threads.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Instant {
    ms: f64,
}

impl Instant {
    /// This moment.
    pub fn now() -> Self {
        Instant { ms: now_ms() }
    }

    /// The time since this moment; zero if it lies ahead.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// The time from `earlier` to this moment; zero if that is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_secs_f64((self.ms - earlier.ms).max(0.0) / 1000.0)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    /// Read together once: later times come from the clock that never runs backwards.
    static ORIGIN: LazyLock<(Instant, f64)> = LazyLock::new(|| {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (Instant::now(), since.as_secs_f64() * 1000.0)
    });

    pub(super) fn now_ms() -> f64 {
        let (start, origin_ms) = *ORIGIN;
        origin_ms + start.elapsed().as_secs_f64() * 1000.0
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) use imp::now_ms_since;

#[cfg(target_arch = "wasm32")]
mod imp {
    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn performance_now() -> f64;
        #[wasm_bindgen(js_namespace = Date, js_name = now)]
        fn date_now() -> f64;
    }

    /// The time of a worker whose clock was 0 at `origin_ms`.
    pub(crate) fn now_ms_since(origin_ms: f64) -> f64 {
        origin_ms + performance_now()
    }

    pub(super) fn now_ms() -> f64 {
        match crate::sys::origin_ms() {
            Some(origin_ms) => now_ms_since(origin_ms),
            // An instance that is no worker of a runtime.
            None => date_now(),
        }
    }
}
