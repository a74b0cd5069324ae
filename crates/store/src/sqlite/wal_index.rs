//! The WAL index of one database: memory that its connections share, and the eight locks SQLite arranges it with.
//!
//! SQLite asks its VFS for memory that all connections of a database see. Where they are threads of one memory that is
//! plain heap memory. SQLite itself orders its accesses, by these locks and by barriers.
//!
//! # Invariants
//! 1. A region never moves or shrinks while any connection is attached; the last one to leave frees all. The next to come
//!    finds none and rebuilds the index from the WAL, as after a restart.
//! 2. A lock slot has either one exclusive holder or any count of shared ones.

use std::cell::UnsafeCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

const SLOT_COUNT: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// Slots as a bit mask: bit n is slot n.
pub(super) type SlotMask = u8;

/// What one connection holds of the index; made by [`WalIndex::attach`].
#[derive(Debug, Default)]
pub(super) struct Attachment {
    shared: SlotMask,
    exclusive: SlotMask,
}

/// Shared memory and locks of one database.
#[derive(Debug, Default)]
pub(super) struct WalIndex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    regions: Vec<Region>,
    shared: [u32; SLOT_COUNT],
    exclusive: SlotMask,
    attached: u32,
}

/// Zeroed memory, aligned for the 64-bit fields SQLite lays over it.
#[derive(Debug)]
struct Region(Box<[UnsafeCell<u64>]>);

// SAFETY: the cells are never read or written in Rust; SQLite's connections, in their own threads, do that with the
// ordering its WAL protocol prescribes.
unsafe impl Send for Region {}

impl WalIndex {
    /// A connection begins to use the index.
    pub(super) fn attach(&self) -> Attachment {
        self.state().attached += 1;
        Attachment::default()
    }

    /// A connection leaves, its locks with it.
    pub(super) fn detach(&self, attachment: Attachment) {
        let mut state = self.state();
        for slot in 0..SLOT_COUNT {
            state.shared[slot] -= u32::from(attachment.shared >> slot & 1);
        }
        state.exclusive &= !attachment.exclusive;
        state.attached -= 1;
        if state.attached == 0 {
            state.regions.clear();
        }
    }

    /// The address of region `index` of `size` bytes; null where it does not exist and `extend` is false. The caller stays
    /// attached for as long as it uses the address.
    pub(super) fn region(&self, index: usize, size: usize, extend: bool) -> *mut u64 {
        let mut state = self.state();
        while extend && state.regions.len() <= index {
            let words = size.div_ceil(size_of::<u64>());
            state
                .regions
                .push(Region((0..words).map(|_| UnsafeCell::new(0)).collect()));
        }
        state
            .regions
            .get(index)
            .map_or(std::ptr::null_mut(), |region| {
                UnsafeCell::raw_get(region.0.as_ptr())
            })
    }

    /// Takes the slots of `mask` for all who share them. False where one has an exclusive holder.
    pub(super) fn lock_shared(&self, attachment: &mut Attachment, mask: SlotMask) -> bool {
        let mut state = self.state();
        let wanted = mask & !attachment.shared;
        if state.exclusive & wanted != 0 {
            return false;
        }
        for slot in 0..SLOT_COUNT {
            state.shared[slot] += u32::from(wanted >> slot & 1);
        }
        attachment.shared |= wanted;
        true
    }

    /// Takes the slots of `mask` alone, all or none. False where anybody else holds one.
    pub(super) fn lock_exclusive(&self, attachment: &mut Attachment, mask: SlotMask) -> bool {
        let mut state = self.state();
        let wanted = mask & !attachment.exclusive;
        let shared = (0..SLOT_COUNT).any(|slot| wanted >> slot & 1 == 1 && state.shared[slot] != 0);
        if shared || state.exclusive & wanted != 0 {
            return false;
        }
        state.exclusive |= wanted;
        attachment.exclusive |= wanted;
        true
    }

    /// Gives the slots of `mask` back, however they were held.
    pub(super) fn unlock(&self, attachment: &mut Attachment, mask: SlotMask) {
        let mut state = self.state();
        for slot in 0..SLOT_COUNT {
            state.shared[slot] -= u32::from((attachment.shared & mask) >> slot & 1);
        }
        state.exclusive &= !(attachment.exclusive & mask);
        attachment.shared &= !mask;
        attachment.exclusive &= !mask;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only an allocation can panic in here, and it changes nothing before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_shuts_out_shared_and_the_other_way_round() {
        let index = WalIndex::default();
        let (mut one, mut two) = (index.attach(), index.attach());
        assert!(index.lock_shared(&mut one, 0b1000));
        assert!(index.lock_shared(&mut two, 0b1000));
        assert!(
            !index.lock_exclusive(&mut one, 0b1100),
            "slot 3 is shared, so slot 2 isn't taken either"
        );
        assert!(index.lock_exclusive(&mut two, 0b0100));
        assert!(!index.lock_shared(&mut one, 0b0100));
        index.unlock(&mut two, 0b0100);
        assert!(index.lock_shared(&mut one, 0b0100));

        index.detach(one);
        assert!(
            !index.lock_exclusive(&mut two, 0b1000),
            "its own shared hold counts too"
        );
        index.unlock(&mut two, 0b1000);
        assert!(index.lock_exclusive(&mut two, 0b1000));
        index.detach(two);
    }

    #[test]
    fn regions_stay_in_place_until_the_last_leaves() {
        let index = WalIndex::default();
        let (one, two) = (index.attach(), index.attach());
        assert!(index.region(0, 32768, false).is_null());
        let first = index.region(0, 32768, true);
        let third = index.region(2, 32768, true);
        assert!(!first.is_null() && !third.is_null());
        index.detach(one);
        assert_eq!(index.region(0, 32768, false), first);
        index.detach(two);
        let again = index.attach();
        assert!(index.region(0, 32768, false).is_null());
        index.detach(again);
    }
}
