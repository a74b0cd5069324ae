//! What the benchmarks run of Rust. The same loops run as Wasm on heddle's threads and natively beside the rivals.
//!
//! One round is one call of [`measure`]: it makes what the case needs, lets all threads start together, and takes the time
//! until the last has finished. Nothing lives on between rounds but the allocator's caches and rayon's pool, so rounds of
//! different subjects can be interleaved.

mod channel;
mod clock;
mod lock;
mod round;
mod thread;

pub use round::{Measurement, Quantiles, Request};

#[cfg(target_arch = "wasm32")]
mod wasm;

/// In Wasm what `heddle-memory` gives; natively the system's, which is the rival's too.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: heddle_memory::ThreadCachingAllocator =
    heddle_memory::ThreadCachingAllocator::new();

/// Runs one round.
///
/// # Errors
/// A sentence, if this build has no such bench, subject or case.
///
/// # Panics
/// If what was received, counted or sorted is not what was asked for: such a figure must not be printed.
pub fn measure(request: &Request) -> Result<Measurement, String> {
    match request.bench.as_str() {
        "atomics" => lock::measure(request),
        "channel" => channel::measure(request),
        "thread" => thread::measure(request),
        _ => None,
    }
    .ok_or_else(|| {
        format!(
            "{}: {} has no case {} in this build",
            request.bench, request.subject, request.case
        )
    })
}
