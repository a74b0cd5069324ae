//! Allocators: each thread keeps a few objects of mixed sizes, and frees the oldest for each new one.

use crate::round::{Measurement, Part, time_together};
use std::alloc::{GlobalAlloc, Layout, System};

/// Objects that a thread keeps.
const KEPT: usize = 32;

pub(super) fn measure(subject: &str, case: &str, count: usize) -> Option<Measurement> {
    let threads = match case {
        "alloc-1" => 1,
        "alloc-2" => 2,
        "alloc-4" => 4,
        _ => return None,
    };
    match subject {
        #[cfg(target_arch = "wasm32")]
        "heddle-rust" => Some(pairs(&crate::ALLOCATOR, threads, count)),
        // std's allocator in Wasm.
        "dlmalloc" if cfg!(target_arch = "wasm32") => Some(pairs(&System, threads, count)),
        "std-native" if cfg!(not(target_arch = "wasm32")) => Some(pairs(&System, threads, count)),
        _ => None,
    }
}

fn pairs<A: GlobalAlloc + Sync>(
    allocator: &'static A,
    threads: usize,
    count: usize,
) -> Measurement {
    let share = count.div_ceil(threads);
    let parts = (0..threads).map(|_| {
        let part: Part = Box::new(move || run(allocator, share));
        part
    });
    let (elapsed, done) = time_together(parts.collect());
    assert_eq!(done.iter().sum::<u64>(), (share * threads) as u64);
    Measurement::of(elapsed)
}

fn run(allocator: &impl GlobalAlloc, count: usize) -> u64 {
    let mut kept: [Option<(*mut u8, Layout)>; KEPT] = [None; KEPT];
    let mut freed = 0;
    for n in 0..count + KEPT {
        // 16 to 271 bytes, in an order that repeats after 256.
        let layout = Layout::from_size_align(16 + ((n * 89) & 255), 8).expect("a small size");
        let new = (n < count).then(|| {
            // SAFETY: the size is not zero.
            let object = unsafe { allocator.alloc(layout) };
            assert!(!object.is_null(), "memory has run out");
            // SAFETY: the object has 16 bytes or more.
            unsafe { object.write(n as u8) };
            (std::hint::black_box(object), layout)
        });
        if let Some((object, layout)) = std::mem::replace(&mut kept[n % KEPT], new) {
            // SAFETY: allocated above with this layout, and forgotten with this.
            unsafe { allocator.dealloc(object, layout) };
            freed += 1;
        }
    }
    freed
}
