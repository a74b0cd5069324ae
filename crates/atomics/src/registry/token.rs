//! The name of a thread, as lock words carry it.

use crate::layout::{
    GENERATION_MAX, OWNER_GENERATION_SHIFT, OWNER_MASK, OWNER_SLOT_MASK, SLOT_UNREGISTERED,
};
use core::fmt;

/// Names one registered thread: its slot and the slot's generation, as a lock word has them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) u32);

impl Token {
    /// The token of every thread that is in no registry.
    pub const UNREGISTERED: Self = Self(SLOT_UNREGISTERED);
    /// No thread's token.
    pub(super) const NOBODY: Self = Self(0);

    /// The token of the thread in `slot`, at its `generation`.
    ///
    /// # Panics
    /// If the slot is not 1–4094 or the generation has more than 18 bits.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        assert!(slot >= 1 && slot < SLOT_UNREGISTERED, "a slot is 1–4094");
        assert!(generation <= GENERATION_MAX, "a generation has 18 bits");
        Self(slot | generation << OWNER_GENERATION_SHIFT)
    }

    /// The owner in a lock word; `None` when the lock is free.
    #[must_use]
    pub const fn of_lock_word(word: u32) -> Option<Self> {
        if word & OWNER_SLOT_MASK == 0 {
            None
        } else {
            Some(Self(word & OWNER_MASK))
        }
    }

    /// Slot and generation as they stand in a lock word.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The slot, 1–4094, or 4095 for threads outside the registry.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 & OWNER_SLOT_MASK
    }

    /// The slot's generation.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.0 >> OWNER_GENERATION_SHIFT
    }

    /// Whether this names one thread, rather than all those outside the registry.
    #[must_use]
    pub const fn is_registered(self) -> bool {
        self.slot() != SLOT_UNREGISTERED
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_registered() {
            write!(f, "thread {}.{}", self.slot(), self.generation())
        } else {
            f.write_str("an unregistered thread")
        }
    }
}
