//! The same as `rust-threads`, with `heddle-thread` for std's module and wasm-bindgen for what is JavaScript's.

use heddle_thread as thread;
use wasm_bindgen::prelude::wasm_bindgen;

const THREADS: u32 = 4;

#[wasm_bindgen]
extern "C" {
    /// JavaScript's, called on whatever thread is running.
    #[wasm_bindgen(js_namespace = Math)]
    fn clz32(n: u32) -> u32;
}

/// How many numbers the chain from `n` to 1 has: halved where it is even, else three times it and one.
fn chain_length(n: u32) -> u32 {
    let next = |n: &u64| (*n != 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(u64::from(n)), next).count() as u32
}

/// The number below `limit` that has the longest chain.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn longest_chain_below(limit: u32) -> u32 {
    assert!(limit > 1, "there is no number below {limit}");
    let longest = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|first| {
                let numbers = (first..limit).step_by(THREADS as usize);
                scope.spawn(move || numbers.map(|n| (chain_length(n), n)).max())
            })
            .collect();
        let longest = threads.into_iter().map(|thread| thread.join().unwrap());
        longest.max().flatten()
    });
    longest.map_or(0, |(_, n)| n)
}

/// How many bits `n` has, by a thread that asks JavaScript.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn bits_of(n: u32) -> u32 {
    thread::spawn(move || 32 - clz32(n)).join().unwrap()
}
