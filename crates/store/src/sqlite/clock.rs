//! The time of day, as SQLite's date functions ask for it.

/// The Unix epoch in milliseconds of the Julian calendar: day 2440587.5.
const JULIAN_UNIX_EPOCH_MS: i64 = 210_866_760_000_000;

/// Milliseconds since noon of the first day of the Julian calendar, in UTC.
pub(super) fn julian_ms() -> i64 {
    JULIAN_UNIX_EPOCH_MS + unix_ms()
}

/// Milliseconds since 1970, in UTC.
#[cfg(not(target_arch = "wasm32"))]
fn unix_ms() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    // A clock before 1970 counts as 1970.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Milliseconds since 1970, in UTC.
#[cfg(target_arch = "wasm32")]
pub(crate) fn unix_ms() -> i64 {
    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = Date)]
        fn now() -> f64;
    }
    now() as i64
}
