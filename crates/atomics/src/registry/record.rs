//! The registry's record, and what stands in it.

use super::{CAPACITY, Token};
use crate::{
    layout::{WAITING_GENERATION_SHIFT, WAITING_KIND_MASK},
    seam::{AtomicU32, AtomicU64, Ordering},
};

/// One slot; see `RegistrySlot` in `docs/layout.md`.
#[repr(C, align(8))]
pub(super) struct Slot {
    pub(super) life: AtomicU32,
    pub(super) waiting_for: AtomicU32,
    /// A [`WaitingOn`], with the generation of the thread that wrote it.
    pub(super) waiting_on: AtomicU64,
}

/// The registry; see `RegistryHeader` in `docs/layout.md`.
#[repr(C, align(8))]
pub(super) struct Registry {
    pub(super) magic: AtomicU32,
    pub(super) version: AtomicU32,
    pub(super) capacity: AtomicU32,
    id: AtomicU32,
    pub(super) reaping: AtomicU32,
    pub(super) deaths: AtomicU32,
    pub(super) next: AtomicU32,
    unused: [u32; 9],
    pub(super) slots: [Slot; CAPACITY],
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::{registry_header, registry_slot};
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Registry, magic) == registry_header::MAGIC);
    assert!(offset_of!(Registry, version) == registry_header::VERSION);
    assert!(offset_of!(Registry, capacity) == registry_header::CAPACITY);
    assert!(offset_of!(Registry, id) == registry_header::ID);
    assert!(offset_of!(Registry, reaping) == registry_header::REAPING);
    assert!(offset_of!(Registry, deaths) == registry_header::DEATHS);
    assert!(offset_of!(Registry, next) == registry_header::NEXT);
    assert!(offset_of!(Registry, slots) == registry_header::SIZE);
    assert!(align_of::<Registry>() == registry_header::ALIGN);
    assert!(offset_of!(Slot, life) == registry_slot::LIFE);
    assert!(offset_of!(Slot, waiting_for) == registry_slot::WAITING_FOR);
    assert!(offset_of!(Slot, waiting_on) == registry_slot::WAITING_ON);
    assert!(size_of::<Slot>() == registry_slot::SIZE);
    assert!(align_of::<Slot>() == registry_slot::ALIGN);
};

impl Slot {
    const_unless_loom! {
        fn new() -> Self {
            Self {
                life: AtomicU32::new(0),
                waiting_for: AtomicU32::new(0),
                waiting_on: AtomicU64::new(0),
            }
        }
    }
}

/// What a slot says that its thread waits on: an address of at most 48 bits, with what it is of in bits 0–1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitingOn(pub(super) u64);

impl WaitingOn {
    const GENERATION_MASK: u64 = u64::MAX << WAITING_GENERATION_SHIFT;

    /// What the thread that `token` names writes when it waits on nothing (invariant 6).
    pub(super) const fn nothing(token: Token) -> Self {
        Self((token.generation() as u64) << WAITING_GENERATION_SHIFT)
    }

    pub(super) fn new(token: Token, address: usize, kind: u32) -> Self {
        let address = address as u64;
        debug_assert!(
            address & Self::GENERATION_MASK == 0,
            "an address has 48 bits"
        );
        Self(Self::nothing(token).0 | address | u64::from(kind & WAITING_KIND_MASK))
    }

    pub(super) fn of(slot: &Slot) -> Self {
        Self(slot.waiting_on.load(Ordering::SeqCst))
    }

    pub(super) fn write(self, slot: &Slot) {
        slot.waiting_on.store(self.0, Ordering::SeqCst);
    }

    pub(super) const fn is_nothing(self) -> bool {
        self.0 & !Self::GENERATION_MASK == 0
    }

    /// Whether the thread that `token` names can have written it.
    pub(super) const fn is_of(self, token: Token) -> bool {
        self.0 & Self::GENERATION_MASK == Self::nothing(token).0
    }

    pub(super) const fn kind(self) -> u32 {
        self.0 as u32 & WAITING_KIND_MASK
    }

    pub(super) fn word(self) -> *const AtomicU32 {
        let address = self.0 & !Self::GENERATION_MASK & !u64::from(WAITING_KIND_MASK);
        core::ptr::with_exposed_provenance(address as usize)
    }
}

impl Registry {
    const_unless_loom! {
        // All zero, so that it takes no room in a Wasm file; `address` fills in the rest.
        fn new() -> Self {
            Self {
                magic: AtomicU32::new(0),
                version: AtomicU32::new(0),
                capacity: AtomicU32::new(0),
                id: AtomicU32::new(0),
                reaping: AtomicU32::new(0),
                deaths: AtomicU32::new(0),
                next: AtomicU32::new(0),
                unused: [0; 9],
                #[cfg(not(loom))]
                slots: [const { Slot::new() }; CAPACITY],
                #[cfg(loom)]
                slots: core::array::from_fn(|_| Slot::new()),
            }
        }
    }

    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get((number as usize).checked_sub(1)?)
    }

    pub(super) fn slot_of(&self, token: Token) -> Option<&Slot> {
        if token.is_registered() {
            self.slot(token.slot())
        } else {
            None
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
pub(super) fn registry() -> &'static Registry {
    static REGISTRY: Registry = Registry::new();
    &REGISTRY
}

#[cfg(any(loom, shuttle))]
pub(super) fn registry() -> &'static Registry {
    #[cfg(loom)]
    use loom::lazy_static;
    #[cfg(shuttle)]
    use shuttle::lazy_static;
    lazy_static! {
        static ref REGISTRY: Registry = Registry::new();
    }
    &REGISTRY
}
