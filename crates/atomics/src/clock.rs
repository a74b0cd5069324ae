//! A monotonic clock that also works in Wasm, where `std::time::Instant` panics.
//!
//! Natively it is `Instant`. In Wasm it is the thread's `performance.now()`: instants of different threads don't
//! compare, durations do.

use core::time::Duration;

/// A moment on this thread's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Instant(imp::Moment);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(imp::now())
    }

    /// How long ago this moment was; zero if it lies ahead.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        imp::between(self.0, imp::now())
    }
}

/// Lets so much time pass.
#[cfg(shuttle)]
pub(crate) use imp::pass;

/// A model's time stands still, but for waits that time out: whoever comes after one has waited as long.
#[cfg(shuttle)]
mod imp {
    use core::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };
    pub(super) type Moment = Duration;

    shuttle::lazy_static! {
        // Nanoseconds. Not the seam's: it orders nothing.
        static ref NOW: AtomicU64 = AtomicU64::new(0);
    }

    pub(super) fn now() -> Moment {
        Duration::from_nanos(NOW.load(Ordering::Relaxed))
    }

    pub(super) fn between(earlier: Moment, later: Moment) -> Duration {
        later.saturating_sub(earlier)
    }

    pub(crate) fn pass(time: Duration) {
        let nanos = now().saturating_add(time).as_nanos();
        NOW.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(not(any(target_family = "wasm", shuttle)))]
mod imp {
    use core::time::Duration;
    pub(super) type Moment = std::time::Instant;

    pub(super) fn now() -> Moment {
        Moment::now()
    }

    pub(super) fn between(earlier: Moment, later: Moment) -> Duration {
        later.saturating_duration_since(earlier)
    }
}

#[cfg(target_family = "wasm")]
mod imp {
    use core::time::Duration;
    use wasm_bindgen::prelude::wasm_bindgen;

    /// Milliseconds since this thread's start.
    pub(super) type Moment = f64;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn performance_now() -> f64;
    }

    pub(super) fn now() -> Moment {
        performance_now()
    }

    pub(super) fn between(earlier: Moment, later: Moment) -> Duration {
        Duration::from_secs_f64(((later - earlier) / 1000.0).max(0.0))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_never_runs_backwards() {
        let first = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(first.elapsed() >= Duration::from_millis(2));
        assert!(Instant::now() >= first);
    }
}
