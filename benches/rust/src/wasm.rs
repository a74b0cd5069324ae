//! How TypeScript asks the Wasm module for a round: the request as text at [`request_address`], then [`measure_round`] on a
//! thread of its own.

use crate::{Request, measure};
use std::cell::UnsafeCell;

const TEXT_SIZE: usize = 256;

/// A request's text, and a result's quantiles.
struct Exchange {
    text: UnsafeCell<[u8; TEXT_SIZE]>,
    quantiles_ns: UnsafeCell<[f64; 2]>,
}

// SAFETY: rounds run one after the other. TypeScript writes before it spawns the thread that reads, and reads after it has
// joined the thread that wrote.
unsafe impl Sync for Exchange {}

static EXCHANGE: Exchange = Exchange {
    text: UnsafeCell::new([0; TEXT_SIZE]),
    quantiles_ns: UnsafeCell::new([0.0; 2]),
};

/// Where the request's text goes: UTF-8 of at most 256 bytes.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn request_address() -> *mut u8 {
    EXCHANGE.text.get().cast()
}

/// Where a round leaves p50 and p99 as two 64-bit floats, in nanoseconds; not numbers where it has none.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn quantiles_address() -> *mut f64 {
    EXCHANGE.quantiles_ns.get().cast()
}

/// Runs the round that the text of `length` bytes asks for; nanoseconds. What is wrong is a panic, which reaches `join`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn measure_round(length: u32) -> f64 {
    // SAFETY: nobody writes while a round runs.
    let text = unsafe { &(&*EXCHANGE.text.get())[..length as usize] };
    let measured = str::from_utf8(text)
        .map_err(|error| error.to_string())
        .and_then(Request::parse)
        .and_then(|request| measure(&request));
    let measured = measured.unwrap_or_else(|problem| panic!("{problem}"));
    let ns = |duration: std::time::Duration| duration.as_nanos() as f64;
    let quantiles = measured.quantiles.map_or([f64::NAN; 2], |quantiles| {
        [ns(quantiles.p50), ns(quantiles.p99)]
    });
    // SAFETY: nobody reads before this thread has been joined.
    unsafe { *EXCHANGE.quantiles_ns.get() = quantiles };
    ns(measured.elapsed)
}
