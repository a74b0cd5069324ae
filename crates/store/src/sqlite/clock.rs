//! The time of day, as SQLite's date functions ask for it.

/// The Unix epoch in milliseconds of the Julian calendar: day 2440587.5.
const JULIAN_UNIX_EPOCH_MS: i64 = 210_866_760_000_000;

/// Milliseconds since noon of the first day of the Julian calendar, in UTC.
pub(super) fn julian_ms() -> i64 {
    JULIAN_UNIX_EPOCH_MS + unix_ms()
}

/// Milliseconds since 1970, in UTC.
pub(crate) fn unix_ms() -> i64 {
    heddle_thread::time::now_ms() as i64
}
