//! The WAL index of one database: memory that its connections share, and the eight locks SQLite arranges it with.
//!
//! SQLite asks its VFS for memory that all connections of a database see. Where they are threads of one memory that is
//! plain heap memory. SQLite itself orders its accesses, by these locks and by barriers.
//!
//! # Waiting
//! SQLite asks for a lock, is refused, and asks again when its busy handler returns. So nobody waits for a lock in [`WalIndex::lock_shared`]
//! or [`WalIndex::lock_exclusive`], but the busy handler does in [`WalIndex::wait_until_free`]: who gives the lock back wakes it. It is not
//! handed over – who comes first takes it – for a statement may end without asking again.
//!
//! # Invariants
//! 1. A region never moves or shrinks while any connection is attached; the last one to leave frees all. The next to come
//!    finds none and rebuilds the index from the WAL, as after a restart.
//! 2. A lock slot has either one exclusive holder or any count of shared ones.

use std::cell::UnsafeCell;
use std::time::Duration;

use rusqlite::ffi;

use crate::sync::timed::{Condvar, Mutex, MutexGuard, PoisonError};

const SLOT_COUNT: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// Slots as a bit mask: bit n is slot n.
pub(super) type SlotMask = u8;

/// What one connection holds of the index; made by [`WalIndex::attach`].
#[derive(Debug, Default)]
pub(super) struct Attachment {
    shared: SlotMask,
    exclusive: SlotMask,
}

/// How a lock is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    Shared,
    Exclusive,
}

/// Shared memory and locks of one database.
#[derive(Debug, Default)]
pub(super) struct WalIndex {
    state: Mutex<State>,
    /// Notified when locks are given back while somebody waits.
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    regions: Vec<Region>,
    shared: [u32; SLOT_COUNT],
    exclusive: SlotMask,
    attached: u32,
    waiting: u32,
}

impl State {
    /// Whether nobody holds the slots of `mask` in a way that keeps others from having them so.
    fn is_free(&self, mask: SlotMask, sharing: Sharing) -> bool {
        let is_shared =
            || (0..SLOT_COUNT).any(|slot| mask >> slot & 1 == 1 && self.shared[slot] != 0);
        self.exclusive & mask == 0 && (sharing == Sharing::Shared || !is_shared())
    }
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
        self.notify(state);
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
        if !state.is_free(wanted, Sharing::Shared) {
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
        if !state.is_free(wanted, Sharing::Exclusive) {
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
        self.notify(state);
    }

    /// Returns when the slots of `mask` could be had, or after `timeout`.
    pub(super) fn wait_until_free(&self, mask: SlotMask, sharing: Sharing, timeout: Duration) {
        let mut state = self.state();
        state.waiting += 1;
        let (mut state, _) = self
            .released
            .wait_timeout_while(state, timeout, |state| !state.is_free(mask, sharing))
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
    }

    /// Locks were given back.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let has_waiting = state.waiting > 0;
        drop(state);
        if has_waiting {
            self.released.notify_all();
        }
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

    /// Who waited for a lock slept for up to 20 ms at a time, and came to see it free by chance: writers beside a checkpoint in a loop stood
    /// still for a second and more.
    #[test]
    fn who_waits_for_a_lock_is_woken_when_it_is_given_back() {
        const FOR_EVER: Duration = Duration::from_secs(3600);
        let index = &WalIndex::default();
        let (mut reader, mut writer) = (index.attach(), index.attach());
        assert!(index.lock_shared(&mut reader, 0b0010));
        assert!(index.lock_exclusive(&mut writer, 0b0001));
        std::thread::scope(|scope| {
            for (mask, sharing) in [
                (0b0001, Sharing::Exclusive),
                (0b0001, Sharing::Shared),
                (0b0010, Sharing::Exclusive),
            ] {
                scope.spawn(move || index.wait_until_free(mask, sharing, FOR_EVER));
            }
            while index.state().waiting < 3 {
                std::thread::yield_now();
            }
            // Neither is that of a reader in the way of another, nor is one waited for that is free.
            index.wait_until_free(0b0010, Sharing::Shared, FOR_EVER);
            index.wait_until_free(0b1000, Sharing::Exclusive, FOR_EVER);
            index.unlock(&mut writer, 0b0001);
            index.detach(reader);
        });
        index.detach(writer);
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
