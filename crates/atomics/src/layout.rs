//! Record sizes, offsets and state words: generated from `layout/atomics.json`; edit that.

/// Lock word: nobody owns the lock.
pub const UNLOCKED: u32 = 0x0000_0000;
/// Lock word, bits 0–11: the owner's registry slot, 0 when the lock is free.
pub const OWNER_SLOT_MASK: u32 = 0x0000_0fff;
/// Lock word and slot life, bits 12–29: the generation of the slot.
pub const OWNER_GENERATION_MASK: u32 = 0x3fff_f000;
/// Where the generation starts in a lock word and in a slot's life.
pub const OWNER_GENERATION_SHIFT: u32 = 12;
/// Lock word: slot and generation together, the token of a thread.
pub const OWNER_MASK: u32 = 0x3fff_ffff;
/// Lock word, bit 30: an owner died or panicked while it held the lock.
pub const POISONED: u32 = 0x4000_0000;
/// Lock word, bit 31: somebody may be waiting, so that unlocking must wake.
pub const CONTENDED: u32 = 0x8000_0000;
/// The slot of every thread that is in no registry. Its token is this number, with generation 0.
pub const SLOT_UNREGISTERED: u32 = 0x0000_0fff;
/// The highest slot a registry can hand out; the lowest is 1.
pub const SLOT_MAX: u32 = 4094;
/// The highest generation; the next one is 0 again.
pub const GENERATION_MAX: u32 = 0x0003_ffff;
/// Slot life, bits 0–1: the state.
pub const LIFE_STATE_MASK: u32 = 0x0000_0003;
/// Slot life: nobody has the slot.
pub const LIFE_FREE: u32 = 0;
/// Slot life: a running thread has the slot.
pub const LIFE_LIVE: u32 = 1;
/// Slot life: the thread ended without leaving and is being reaped.
pub const LIFE_DEAD: u32 = 2;
/// Waiting-on, bit 0: the address is that of a lock word, which the reaper may take from a dead owner.
pub const WAITING_ON_MUTEX: u32 = 1;
/// The first word of a registry: the letters "hedr".
pub const REGISTRY_MAGIC: u32 = 0x7264_6568;
/// The version of the registry's record.
pub const REGISTRY_VERSION: u32 = 1;
/// Once word: it has run. Slot 0 is nobody's, so that this is no owner.
pub const ONCE_COMPLETE: u32 = 0x3fff_f000;
/// Barrier word, bits 0–11: how many have arrived in this generation.
pub const BARRIER_ARRIVED_MASK: u32 = 0x0000_0fff;
/// Barrier word: where the generation starts.
pub const BARRIER_GENERATION_SHIFT: u32 = 12;
/// The most parties of a barrier; the fewest are 1.
pub const BARRIER_PARTIES_MAX: u32 = 4095;
/// WaitGroup word, bits 0–19: how many members are not done.
pub const GROUP_COUNT_MASK: u32 = 0x000f_ffff;
/// WaitGroup word: where the round starts.
pub const GROUP_ROUND_SHIFT: u32 = 20;
/// Event word, bit 0: the event is set.
pub const EVENT_SET: u32 = 1;
/// Event word: what one more setting adds to bits 1–31.
pub const EVENT_EPOCH: u32 = 2;
/// Event mode: it stays set until somebody resets it.
pub const EVENT_MANUAL: u32 = 0;
/// Event mode: whoever gets through resets it.
pub const EVENT_AUTO: u32 = 1;
/// Parker state: no token, nobody parked.
pub const PARKER_EMPTY: u32 = 0;
/// Parker state: there is a token.
pub const PARKER_NOTIFIED: u32 = 1;
/// Parker state: somebody is parked.
pub const PARKER_PARKED: u32 = 2;

/// A mutual exclusion lock. All zero is an unlocked mutex.
pub mod mutex {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The lock word: owner slot, generation, POISONED, CONTENDED. Lockers wait on it.
    pub const WORD: usize = 0;
    /// Kept zero; room for counting waiters that were passed over.
    pub const IMPATIENT: usize = 4;
}

/// A condition variable. All zero is one that nobody waits on.
pub mod condvar {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// One more with each notification. Waiters wait on it.
    pub const SEQUENCE: usize = 0;
    /// How many wait, at least: a waiter that died stays counted.
    pub const WAITERS: usize = 4;
}

/// A counting semaphore. All zero is one without permits.
pub mod semaphore {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The permits that may be taken now. Waiters wait on it while it is 0.
    pub const PERMITS: usize = 0;
    /// How many wait, at least: a waiter that died stays counted.
    pub const WAITERS: usize = 4;
}

/// The head of a thread registry; `capacity` slots follow it. The slot with number n is at byte `RegistryHeader.size + (n - 1) * RegistrySlot.size`.
pub mod registry_header {
    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// REGISTRY_MAGIC once the registry is ready, written last.
    pub const MAGIC: usize = 0;
    /// REGISTRY_VERSION.
    pub const VERSION: usize = 4;
    /// How many slots follow, at most SLOT_MAX.
    pub const CAPACITY: usize = 8;
    /// A random number that tells this registry from others, given by the first TypeScript thread that opens it; 0 before.
    pub const ID: usize = 12;
    /// 1 while somebody reaps: waiters don't let go of what they wait on before it is 0 again.
    pub const REAPING: usize = 16;
    /// One more with each reaped thread. Threads with asynchronous waits wait on it.
    pub const DEATHS: usize = 20;
    /// Where the search for a free slot begins, so that slots are reused as late as possible.
    pub const NEXT: usize = 24;
}

/// One thread. All zero is a free slot.
pub mod registry_slot {
    /// Bytes of the record.
    pub const SIZE: usize = 16;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// State in bits 0–1 (FREE, LIVE, DEAD), generation in bits 12–29 as in the lock word.
    pub const LIFE: usize = 0;
    /// Kept zero.
    pub const FLAGS: usize = 4;
    /// The byte address of the word that the thread's blocking wait is on, with WAITING_ON_MUTEX in bit 0; 0 when it waits on nothing. In a 32-bit memory the upper half stays 0.
    pub const WAITING_ON: usize = 8;
}

/// Something that is done once. All zero is one that nobody has begun.
pub mod once {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// 0 before, the owner slot and generation while it runs, POISONED after a failure, ONCE_COMPLETE in the end; CONTENDED as in a mutex. Waiters wait on it.
    pub const WORD: usize = 0;
    /// Kept zero: a reaper takes the record for a mutex's, whose second word this is.
    pub const UNUSED: usize = 4;
}

/// A barrier for a fixed number of parties.
pub mod barrier {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// How many have arrived, and the generation above. Waiters wait on it.
    pub const WORD: usize = 0;
    /// How many have to arrive, 1 to BARRIER_PARTIES_MAX.
    pub const PARTIES: usize = 4;
}

/// A count that goes down to 0 once. All zero is an open latch.
pub mod latch {
    /// Bytes of the record.
    pub const SIZE: usize = 4;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// What is left to count down. Waiters wait on it while it isn't 0.
    pub const COUNT: usize = 0;
}

/// Members that somebody waits for. All zero is a group without members.
pub mod wait_group {
    /// Bytes of the record.
    pub const SIZE: usize = 4;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// How many members are not done, and above it the round: one more each time nobody is left. Waiters wait on it.
    pub const WORD: usize = 0;
}

/// Something that has happened or not. All zero is an event that is not set, of the mode EVENT_MANUAL.
pub mod event {
    /// Bytes of the record.
    pub const SIZE: usize = 12;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// EVENT_SET, and above it how often the event was set. Waiters wait on it.
    pub const WORD: usize = 0;
    /// How many wait, at least: a waiter that died stays counted.
    pub const WAITERS: usize = 4;
    /// EVENT_MANUAL or EVENT_AUTO, fixed from the start.
    pub const MODE: usize = 8;
}

/// One thread's token. All zero is one without a token.
pub mod parker {
    /// Bytes of the record.
    pub const SIZE: usize = 4;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// PARKER_EMPTY, PARKER_NOTIFIED or PARKER_PARKED. The parked thread waits on it.
    pub const STATE: usize = 0;
}
