//! How many ends of a channel are open on each side, so that the last one closes it.
//!
//! # State
//! `senders` and `receivers` count all open ends. Beside that, TypeScript threads that are registered have an entry each
//! that says how many of them are their own; Rust's ends, which may move from thread to thread, are in the sums alone.
//!
//! # Invariants
//! 1. Only the thread that an entry names adds to it and takes from it, while it lives. Once it is dead, whoever exchanges
//!    its counts for 0 takes them from the sums; the entry is free after that.
//! 2. A sum is never less than what the entries of its side hold.

use crate::layout::{END_COUNTS, END_SENDERS_MASK};
use heddle_atomics::{
    layout::{OWNER_GENERATION_SHIFT, OWNER_SLOT_MASK, SLOT_UNREGISTERED},
    registry::{self, Token},
    seam::{AtomicU32, Ordering},
};

/// The ends of one registered thread; see `EndCount` in `docs/layout.md`.
#[repr(C)]
pub(crate) struct EndCount {
    token: AtomicU32,
    counts: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::end_count as layout;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(EndCount, token) == layout::TOKEN);
    assert!(offset_of!(EndCount, counts) == layout::COUNTS);
    assert!(size_of::<EndCount>() == layout::SIZE);
    assert!(align_of::<EndCount>() == layout::ALIGN);
};

pub(crate) type EndCounts = [EndCount; END_COUNTS as usize];

pub(crate) fn no_ends() -> EndCounts {
    core::array::from_fn(|_| EndCount {
        token: AtomicU32::new(0),
        counts: AtomicU32::new(0),
    })
}

/// Takes the ends of dead threads from the sums; `true` if a side has lost its last one.
pub(crate) fn sweep(entries: &EndCounts, senders: &AtomicU32, receivers: &AtomicU32) -> bool {
    let mut is_last = false;
    // For the model checker one stands for all: each look is one more place where threads could change.
    let count = if cfg!(loom) { 1 } else { entries.len() };
    for entry in &entries[..count] {
        // SeqCst, as everything here: it is rare, and the last one to go sees what the others did.
        let bits = entry.token.load(Ordering::SeqCst);
        let slot = bits & OWNER_SLOT_MASK;
        if slot == 0 || slot == SLOT_UNREGISTERED {
            continue;
        }
        if registry::is_live(Token::new(slot, bits >> OWNER_GENERATION_SHIFT)) {
            continue;
        }
        // Invariant 1.
        let counts = entry.counts.swap(0, Ordering::SeqCst);
        let _freed = entry
            .token
            .compare_exchange(bits, 0, Ordering::SeqCst, Ordering::SeqCst);
        for (sum, count) in [
            (senders, counts & END_SENDERS_MASK),
            (receivers, counts >> 16),
        ] {
            if count > 0 && sum.fetch_sub(count, Ordering::SeqCst) == count {
                is_last = true;
            }
        }
    }
    is_last
}
