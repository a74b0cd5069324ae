//! What a round is asked for and what it comes to.

use crate::clock;
use std::sync::Barrier;
use std::time::Duration;

/// One round of one case by one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `atomics`, `channel` or `thread`.
    pub bench: String,
    /// Whose code is measured.
    pub subject: String,
    /// The case's name, as figures have it.
    pub case: String,
    /// How many operations: messages, locks, threads, pairs, steps.
    pub count: usize,
}

impl Request {
    /// Reads `bench subject case count`.
    ///
    /// # Errors
    /// A sentence that says what a line should be.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let mut word = || words.next().map(str::to_owned);
        match (
            word(),
            word(),
            word(),
            word().and_then(|n| n.parse().ok()),
            word(),
        ) {
            (Some(bench), Some(subject), Some(case), Some(count), None) => Ok(Self {
                bench,
                subject,
                case,
                count,
            }),
            _ => Err(format!("not `bench subject case count`: {line}")),
        }
    }
}

/// The time of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// From the start of all threads to the end of the last.
    pub elapsed: Duration,
    /// Of single operations, where the case times each.
    pub quantiles: Option<Quantiles>,
}

impl Measurement {
    pub(crate) fn of(elapsed: Duration) -> Self {
        Self {
            elapsed,
            quantiles: None,
        }
    }
}

/// Of the times of single operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

impl Quantiles {
    pub(crate) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        let at =
            |percent: usize| samples.get((samples.len() * percent / 100).min(samples.len() - 1));
        match samples.len() {
            0 => None,
            _ => Some(Self {
                p50: *at(50)?,
                p99: *at(99)?,
            }),
        }
    }
}

/// A thread's part in a round; what it returns is checked.
pub(crate) type Part = Box<dyn FnOnce() -> u64 + Send>;

/// Runs every part on a thread of its own, lets them start together, and returns the time and what they returned.
pub(crate) fn time_together(parts: Vec<Part>) -> (Duration, Vec<u64>) {
    let gate = Barrier::new(parts.len() + 1);
    heddle_thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let gate = &gate;
                scope.spawn(move || {
                    gate.wait();
                    let result = part();
                    (clock::now(), result)
                })
            })
            .collect();
        // Read before the gate opens: the others may run before this thread does again.
        let start = clock::now();
        gate.wait();
        let ends: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a part of a round doesn't panic"))
            .collect();
        let elapsed = ends.iter().map(|(end, _)| end.saturating_sub(start)).max();
        (
            elapsed.unwrap_or_default(),
            ends.into_iter().map(|(_, result)| result).collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_four_words() {
        let request = Request::parse("channel flume-native oneway-8B-1p1c 1000").unwrap();
        assert_eq!((request.bench.as_str(), request.count), ("channel", 1000));
        for line in ["", "channel", "a b c", "a b c d", "a b c 1 2"] {
            assert!(Request::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn quantiles_are_of_the_sorted_samples() {
        let samples = (1..=200).rev().map(Duration::from_nanos).collect();
        let quantiles = Quantiles::of(samples).unwrap();
        assert_eq!(quantiles.p50, Duration::from_nanos(101));
        assert_eq!(quantiles.p99, Duration::from_nanos(199));
        assert_eq!(Quantiles::of(Vec::new()), None);
    }
}
