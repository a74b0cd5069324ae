//! A blocking wait, as the registry knows of it.

use super::{
    DEATHS_SEEN, current,
    record::{Slot, WaitingOn, registry},
};
#[cfg(not(any(loom, shuttle)))]
use crate::layout::WAITING_KIND_MASK;
use crate::{
    futex,
    seam::{AtomicU32, Ordering, seqcst_order},
};
use core::time::Duration;

/// While it exists, this thread's slot says what the thread waits on (invariant 2).
pub(crate) struct WaitScope(Option<&'static Slot>);

impl WaitScope {
    pub(crate) fn enter(word: &AtomicU32, kind: u32) -> Self {
        let slot = registry().slot_of(current());
        if let Some(slot) = slot {
            let address = core::ptr::from_ref(word).expose_provenance();
            // Relaxed: who reads it is told by the store below that it is this wait's, and shows it to a human. It is nothing to model.
            #[cfg(not(any(loom, shuttle)))]
            slot.waiting_for
                .store(kind & !WAITING_KIND_MASK, Ordering::Relaxed);
            WaitingOn::new(current(), address, kind).write(slot);
            seqcst_order();
        }
        Self(slot)
    }
}

impl WaitScope {
    /// Whether this thread may wait: not if one has died since it looked last, but then it should look again (invariant 4).
    pub(crate) fn may_wait(&self) -> bool {
        self.0.is_none() || {
            let deaths = registry().deaths.load(Ordering::SeqCst);
            DEATHS_SEEN.with(|seen| seen.replace(deaths)) == deaths
        }
    }
}

impl Drop for WaitScope {
    fn drop(&mut self) {
        let Some(slot) = self.0 else { return };
        WaitingOn::nothing(current()).write(slot);
        #[cfg(not(any(loom, shuttle)))]
        slot.waiting_for.store(0, Ordering::Relaxed);
        seqcst_order();
        let reaping = &registry().reaping;
        loop {
            let reaper = reaping.load(Ordering::SeqCst);
            // A reaper may be looking at the word (invariant 3). The limit is for a reaper that was killed.
            if reaper == 0 || !futex::wait(reaping, reaper, Some(Duration::from_millis(100))) {
                break;
            }
        }
    }
}
