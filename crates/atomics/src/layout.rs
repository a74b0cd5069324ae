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
/// Lock word with owner slot 0, bit 12: nobody owns the lock, and it is kept for the claimant.
pub const RESERVED: u32 = 0x0000_1000;
/// Claimant: no thread's token, but whoever has slept for the lock. A fair unlock leaves it.
pub const CLAIM_OPEN: u32 = 0x0000_1fff;
/// How many wake-ups in vain a waiter bears before it claims what it waits for.
pub const PATIENCE: u32 = 6;
/// How long something is kept for a claimant of which nobody can know whether it lives, in milliseconds.
pub const CLAIM_LIFETIME_MS: u32 = 100;
/// How long a reaper that nobody knows to be dead may take before the next one takes over, in milliseconds.
pub const REAPER_LIFETIME_MS: u32 = 1000;
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
/// Waiting-on, bits 0–1: what the address is of. 0 is a word that the reaper doesn't touch.
pub const WAITING_KIND_MASK: u32 = 3;
/// Waiting-on: the address is that of a word with an owner, which the reaper takes from a dead one.
pub const WAITING_ON_OWNER: u32 = 1;
/// Waiting-on: the address is that of a count of events, to which the reaper adds 1 at each death.
pub const WAITING_ON_SEQUENCE: u32 = 2;
/// Waiting-on: the address is that of a mutex, which the reaper takes from a dead owner or claimant.
pub const WAITING_ON_MUTEX: u32 = 3;
/// Waiting-on, bits 48–63: the lower bits of the generation of the thread that wrote it.
pub const WAITING_GENERATION_SHIFT: u32 = 48;
/// Waiting-for: a mutex.
pub const WAITING_FOR_MUTEX: u32 = 0x100;
/// Waiting-for: a reader-writer lock.
pub const WAITING_FOR_RW_LOCK: u32 = 0x200;
/// Waiting-for: a condition variable.
pub const WAITING_FOR_CONDVAR: u32 = 0x300;
/// Waiting-for: a semaphore.
pub const WAITING_FOR_SEMAPHORE: u32 = 0x400;
/// Waiting-for: the end of what is done once.
pub const WAITING_FOR_ONCE: u32 = 0x500;
/// Waiting-for: a barrier.
pub const WAITING_FOR_BARRIER: u32 = 0x600;
/// Waiting-for: a latch.
pub const WAITING_FOR_LATCH: u32 = 0x700;
/// Waiting-for: a wait group.
pub const WAITING_FOR_WAIT_GROUP: u32 = 0x800;
/// Waiting-for: an event.
pub const WAITING_FOR_EVENT: u32 = 0x900;
/// Waiting-for: a token of a parker.
pub const WAITING_FOR_PARKER: u32 = 0xa00;
/// Waiting-for: a channel.
pub const WAITING_FOR_CHANNEL: u32 = 0xb00;
/// How many registered threads can read at once before others read in the crowd.
pub const RW_LOCK_SEAT_COUNT: u32 = 28;
/// The first word of a registry: the letters "hedr".
pub const REGISTRY_MAGIC: u32 = 0x7264_6568;
/// The version of the registry's record.
pub const REGISTRY_VERSION: u32 = 3;
/// The first word of a record of lock orders: the letters "hedo".
pub const LOCK_ORDER_MAGIC: u32 = 0x6f64_6568;
/// The most links that a record of lock orders can have room for.
pub const LOCK_ORDER_LINKS_MAX: u32 = 0x0001_0000;
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
    /// The token of the waiter for whom the next unlock keeps the lock; 0 when nobody claims it.
    pub const CLAIMANT: usize = 4;
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
    pub const SIZE: usize = 24;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The permits that may be taken now.
    pub const PERMITS: usize = 0;
    /// How many wait, at least: a waiter that died stays counted.
    pub const WAITERS: usize = 4;
    /// One more when waiters should look again. Waiters wait on it.
    pub const SEQUENCE: usize = 8;
    /// The token of the waiter for whom permits are kept; 0 when nobody claims them.
    pub const CLAIMANT: usize = 12;
    /// How many permits the claimant waits for.
    pub const DEMAND: usize = 16;
    /// How many of the waiters wait for more than one permit, at least.
    pub const HEAVY: usize = 20;
}

/// A reader-writer lock. All zero is an unlocked one.
pub mod rw_lock {
    /// Bytes of the record.
    pub const SIZE: usize = 128;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// Taken by whoever writes or wants to, and in passing by readers that had to wait.
    pub const WRITER: usize = 0;
    /// One more when a reader leaves or dies while `writer` is taken. The writer waits on it.
    pub const DEPARTURES: usize = 8;
    /// Readers without a seat: threads in no registry, and those that found none free. Nobody can tell whether they live.
    pub const CROWD: usize = 12;
    /// The tokens of the threads that read, 0 where a seat is free.
    pub const SEATS: usize = 16;
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
    /// The token of the thread that reaps, 0 when nobody does: waiters don't let go of what they wait on before it is 0 again. Bits 30–31 count who has taken over from a reaper that died.
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
    /// What the blocking wait is for, for whoever lists the threads: WAITING_FOR_MUTEX and so on; 0 where nobody has said so. Only while waitingOn has an address.
    pub const WAITING_FOR: usize = 4;
    /// Bits 0–47: the byte address of the word that the thread's blocking wait is on, with what it is of in bits 0–1; 0 when it waits on nothing. Bits 48–63: the lower 16 bits of the generation of the thread that wrote it, so that a reaper takes out only what is of the dead.
    pub const WAITING_ON: usize = 8;
}

/// The head of the orders in which TypeScript's threads take the locks of a memory, kept while deadlock detection is on; `capacity` links follow it.
pub mod lock_order_header {
    /// Bytes of the record.
    pub const SIZE: usize = 16;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// LOCK_ORDER_MAGIC once the record is ready, written last.
    pub const MAGIC: usize = 0;
    /// How many links follow, at most LOCK_ORDER_LINKS_MAX.
    pub const CAPACITY: usize = 4;
    /// How many orders found no room.
    pub const LEFT_OUT: usize = 8;
}

/// A thread took one lock while it held another. All zero is a free place.
pub mod lock_order_link {
    /// Bytes of the record.
    pub const SIZE: usize = 12;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// The byte address of the lock that was held, plus 1; whoever writes it here has the place.
    pub const FROM: usize = 0;
    /// The byte address of the lock that was taken, plus 1; written last.
    pub const TO: usize = 4;
    /// The token of the first thread that did so.
    pub const TOKEN: usize = 8;
}

/// Something that is done once. All zero is one that nobody has begun.
pub mod once {
    /// Bytes of the record.
    pub const SIZE: usize = 4;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 4;
    /// 0 before, the owner slot and generation while it runs, POISONED after a failure, ONCE_COMPLETE in the end; CONTENDED as in a mutex. Waiters wait on it.
    pub const WORD: usize = 0;
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
