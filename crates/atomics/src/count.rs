//! The error of counts that would leave their range.

use core::fmt;

/// A count would leave its range; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountError {
    /// What the count was.
    pub count: u32,
    /// By how much it should have gone down (negative) or up.
    pub change: i64,
    /// The most that it may be; the least is 0.
    pub count_max: u32,
}

impl CountError {
    pub(crate) const fn new(count: u32, change: i64, count_max: u32) -> Self {
        Self {
            count,
            change,
            count_max,
        }
    }
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a count of {} can't change by {:+}: it is 0 to {}",
            self.count, self.change, self.count_max
        )
    }
}

impl core::error::Error for CountError {}
