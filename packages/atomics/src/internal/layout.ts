// Record sizes, offsets and state words: generated from layout/atomics.json; edit that.

/** Lock word: nobody owns the lock. */
export const UNLOCKED = 0x0000_0000;
/** Lock word, bits 0–11: the owner's registry slot, 0 when the lock is free. */
export const OWNER_SLOT_MASK = 0x0000_0fff;
/** Lock word and slot life, bits 12–29: the generation of the slot. */
export const OWNER_GENERATION_MASK = 0x3fff_f000;
/** Where the generation starts in a lock word and in a slot's life. */
export const OWNER_GENERATION_SHIFT = 12;
/** Lock word: slot and generation together, the token of a thread. */
export const OWNER_MASK = 0x3fff_ffff;
/** Lock word, bit 30: an owner died or panicked while it held the lock. */
export const POISONED = 0x4000_0000;
/** Lock word, bit 31: somebody may be waiting, so that unlocking must wake. */
export const CONTENDED = 0x8000_0000;
/** Lock word with owner slot 0, bit 12: nobody owns the lock, and it is kept for the claimant. */
export const RESERVED = 0x0000_1000;
/** Claimant: no thread's token, but whoever has slept for the lock. A fair unlock leaves it. */
export const CLAIM_OPEN = 0x0000_1fff;
/** How many wake-ups in vain a waiter bears before it claims what it waits for. */
export const PATIENCE = 6;
/** How long something is kept for a claimant of which nobody can know whether it lives, in milliseconds. */
export const CLAIM_LIFETIME_MS = 100;
/** How long a reaper that nobody knows to be dead may take before the next one takes over, in milliseconds. */
export const REAPER_LIFETIME_MS = 1000;
/** The slot of every thread that is in no registry. Its token is this number, with generation 0. */
export const SLOT_UNREGISTERED = 0x0000_0fff;
/** The highest slot a registry can hand out; the lowest is 1. */
export const SLOT_MAX = 4094;
/** The highest generation; the next one is 0 again. */
export const GENERATION_MAX = 0x0003_ffff;
/** Slot life, bits 0–1: the state. */
export const LIFE_STATE_MASK = 0x0000_0003;
/** Slot life: nobody has the slot. */
export const LIFE_FREE = 0;
/** Slot life: a running thread has the slot. */
export const LIFE_LIVE = 1;
/** Slot life: the thread ended without leaving and is being reaped. */
export const LIFE_DEAD = 2;
/** Waiting-on, bits 0–1: what the address is of. 0 is a word that the reaper doesn't touch. */
export const WAITING_KIND_MASK = 3;
/** Waiting-on: the address is that of a word with an owner, which the reaper takes from a dead one. */
export const WAITING_ON_OWNER = 1;
/** Waiting-on: the address is that of a count of events, to which the reaper adds 1 at each death. */
export const WAITING_ON_SEQUENCE = 2;
/** Waiting-on: the address is that of a mutex, which the reaper takes from a dead owner or claimant. */
export const WAITING_ON_MUTEX = 3;
/** Waiting-on, bits 48–63: the lower bits of the generation of the thread that wrote it. */
export const WAITING_GENERATION_SHIFT = 48;
/** Waiting-for: a mutex. */
export const WAITING_FOR_MUTEX = 0x100;
/** Waiting-for: a reader-writer lock. */
export const WAITING_FOR_RW_LOCK = 0x200;
/** Waiting-for: a condition variable. */
export const WAITING_FOR_CONDVAR = 0x300;
/** Waiting-for: a semaphore. */
export const WAITING_FOR_SEMAPHORE = 0x400;
/** Waiting-for: the end of what is done once. */
export const WAITING_FOR_ONCE = 0x500;
/** Waiting-for: a barrier. */
export const WAITING_FOR_BARRIER = 0x600;
/** Waiting-for: a latch. */
export const WAITING_FOR_LATCH = 0x700;
/** Waiting-for: a wait group. */
export const WAITING_FOR_WAIT_GROUP = 0x800;
/** Waiting-for: an event. */
export const WAITING_FOR_EVENT = 0x900;
/** Waiting-for: a token of a parker. */
export const WAITING_FOR_PARKER = 0xa00;
/** Waiting-for: a channel. */
export const WAITING_FOR_CHANNEL = 0xb00;
/** How many registered threads can read at once before others read in the crowd. */
export const RW_LOCK_SEAT_COUNT = 28;
/** The first word of a registry: the letters "hedr". */
export const REGISTRY_MAGIC = 0x7264_6568;
/** The version of the registry's record. */
export const REGISTRY_VERSION = 3;
/** The first word of a record of lock orders: the letters "hedo". */
export const LOCK_ORDER_MAGIC = 0x6f64_6568;
/** The most links that a record of lock orders can have room for. */
export const LOCK_ORDER_LINKS_MAX = 0x0001_0000;
/** Once word: it has run. Slot 0 is nobody's, so that this is no owner. */
export const ONCE_COMPLETE = 0x3fff_f000;
/** Barrier word, bits 0–11: how many have arrived in this generation. */
export const BARRIER_ARRIVED_MASK = 0x0000_0fff;
/** Barrier word: where the generation starts. */
export const BARRIER_GENERATION_SHIFT = 12;
/** The most parties of a barrier; the fewest are 1. */
export const BARRIER_PARTIES_MAX = 4095;
/** WaitGroup word, bits 0–19: how many members are not done. */
export const GROUP_COUNT_MASK = 0x000f_ffff;
/** WaitGroup word: where the round starts. */
export const GROUP_ROUND_SHIFT = 20;
/** Event word, bit 0: the event is set. */
export const EVENT_SET = 1;
/** Event word: what one more setting adds to bits 1–31. */
export const EVENT_EPOCH = 2;
/** Event mode: it stays set until somebody resets it. */
export const EVENT_MANUAL = 0;
/** Event mode: whoever gets through resets it. */
export const EVENT_AUTO = 1;
/** Parker state: no token, nobody parked. */
export const PARKER_EMPTY = 0;
/** Parker state: there is a token. */
export const PARKER_NOTIFIED = 1;
/** Parker state: somebody is parked. */
export const PARKER_PARKED = 2;

/** Bytes of Mutex: A mutual exclusion lock. All zero is an unlocked mutex. */
export const MUTEX_SIZE = 8;
/** Alignment of Mutex, in bytes. */
export const MUTEX_ALIGN = 4;
/** The lock word: owner slot, generation, POISONED, CONTENDED. Lockers wait on it. */
export const MUTEX_WORD_OFFSET = 0;
/** The token of the waiter for whom the next unlock keeps the lock; 0 when nobody claims it. */
export const MUTEX_CLAIMANT_OFFSET = 4;

/** Bytes of Condvar: A condition variable. All zero is one that nobody waits on. */
export const CONDVAR_SIZE = 8;
/** Alignment of Condvar, in bytes. */
export const CONDVAR_ALIGN = 4;
/** One more with each notification. Waiters wait on it. */
export const CONDVAR_SEQUENCE_OFFSET = 0;
/** How many wait, at least: a waiter that died stays counted. */
export const CONDVAR_WAITERS_OFFSET = 4;

/** Bytes of Semaphore: A counting semaphore. All zero is one without permits. */
export const SEMAPHORE_SIZE = 24;
/** Alignment of Semaphore, in bytes. */
export const SEMAPHORE_ALIGN = 4;
/** The permits that may be taken now. */
export const SEMAPHORE_PERMITS_OFFSET = 0;
/** How many wait, at least: a waiter that died stays counted. */
export const SEMAPHORE_WAITERS_OFFSET = 4;
/** One more when waiters should look again. Waiters wait on it. */
export const SEMAPHORE_SEQUENCE_OFFSET = 8;
/** The token of the waiter for whom permits are kept; 0 when nobody claims them. */
export const SEMAPHORE_CLAIMANT_OFFSET = 12;
/** How many permits the claimant waits for. */
export const SEMAPHORE_DEMAND_OFFSET = 16;
/** How many of the waiters wait for more than one permit, at least. */
export const SEMAPHORE_HEAVY_OFFSET = 20;

/** Bytes of RwLock: A reader-writer lock. All zero is an unlocked one. */
export const RW_LOCK_SIZE = 128;
/** Alignment of RwLock, in bytes. */
export const RW_LOCK_ALIGN = 4;
/** Taken by whoever writes or wants to, and in passing by readers that had to wait. */
export const RW_LOCK_WRITER_OFFSET = 0;
/** One more when a reader leaves or dies while `writer` is taken. The writer waits on it. */
export const RW_LOCK_DEPARTURES_OFFSET = 8;
/** Readers without a seat: threads in no registry, and those that found none free. Nobody can tell whether they live. */
export const RW_LOCK_CROWD_OFFSET = 12;
/** The tokens of the threads that read, 0 where a seat is free. */
export const RW_LOCK_SEATS_OFFSET = 16;

/** Bytes of RegistryHeader: The head of a thread registry; `capacity` slots follow it. The slot with number n is at byte `RegistryHeader.size + (n - 1) * RegistrySlot.size`. */
export const REGISTRY_HEADER_SIZE = 64;
/** Alignment of RegistryHeader, in bytes. */
export const REGISTRY_HEADER_ALIGN = 8;
/** REGISTRY_MAGIC once the registry is ready, written last. */
export const REGISTRY_HEADER_MAGIC_OFFSET = 0;
/** REGISTRY_VERSION. */
export const REGISTRY_HEADER_VERSION_OFFSET = 4;
/** How many slots follow, at most SLOT_MAX. */
export const REGISTRY_HEADER_CAPACITY_OFFSET = 8;
/** A random number that tells this registry from others, given by the first TypeScript thread that opens it; 0 before. */
export const REGISTRY_HEADER_ID_OFFSET = 12;
/** The token of the thread that reaps, 0 when nobody does: waiters don't let go of what they wait on before it is 0 again. Bits 30–31 count who has taken over from a reaper that died. */
export const REGISTRY_HEADER_REAPING_OFFSET = 16;
/** One more with each reaped thread. Threads with asynchronous waits wait on it. */
export const REGISTRY_HEADER_DEATHS_OFFSET = 20;
/** Where the search for a free slot begins, so that slots are reused as late as possible. */
export const REGISTRY_HEADER_NEXT_OFFSET = 24;

/** Bytes of RegistrySlot: One thread. All zero is a free slot. */
export const REGISTRY_SLOT_SIZE = 16;
/** Alignment of RegistrySlot, in bytes. */
export const REGISTRY_SLOT_ALIGN = 8;
/** State in bits 0–1 (FREE, LIVE, DEAD), generation in bits 12–29 as in the lock word. */
export const REGISTRY_SLOT_LIFE_OFFSET = 0;
/** What the blocking wait is for, for whoever lists the threads: WAITING_FOR_MUTEX and so on; 0 where nobody has said so. Only while waitingOn has an address. */
export const REGISTRY_SLOT_WAITING_FOR_OFFSET = 4;
/** Bits 0–47: the byte address of the word that the thread's blocking wait is on, with what it is of in bits 0–1; 0 when it waits on nothing. Bits 48–63: the lower 16 bits of the generation of the thread that wrote it, so that a reaper takes out only what is of the dead. */
export const REGISTRY_SLOT_WAITING_ON_OFFSET = 8;

/** Bytes of LockOrderHeader: The head of the orders in which TypeScript's threads take the locks of a memory, kept while deadlock detection is on; `capacity` links follow it. */
export const LOCK_ORDER_HEADER_SIZE = 16;
/** Alignment of LockOrderHeader, in bytes. */
export const LOCK_ORDER_HEADER_ALIGN = 4;
/** LOCK_ORDER_MAGIC once the record is ready, written last. */
export const LOCK_ORDER_HEADER_MAGIC_OFFSET = 0;
/** How many links follow, at most LOCK_ORDER_LINKS_MAX. */
export const LOCK_ORDER_HEADER_CAPACITY_OFFSET = 4;
/** How many orders found no room. */
export const LOCK_ORDER_HEADER_LEFT_OUT_OFFSET = 8;

/** Bytes of LockOrderLink: A thread took one lock while it held another. All zero is a free place. */
export const LOCK_ORDER_LINK_SIZE = 12;
/** Alignment of LockOrderLink, in bytes. */
export const LOCK_ORDER_LINK_ALIGN = 4;
/** The byte address of the lock that was held, plus 1; whoever writes it here has the place. */
export const LOCK_ORDER_LINK_FROM_OFFSET = 0;
/** The byte address of the lock that was taken, plus 1; written last. */
export const LOCK_ORDER_LINK_TO_OFFSET = 4;
/** The token of the first thread that did so. */
export const LOCK_ORDER_LINK_TOKEN_OFFSET = 8;

/** Bytes of Once: Something that is done once. All zero is one that nobody has begun. */
export const ONCE_SIZE = 4;
/** Alignment of Once, in bytes. */
export const ONCE_ALIGN = 4;
/** 0 before, the owner slot and generation while it runs, POISONED after a failure, ONCE_COMPLETE in the end; CONTENDED as in a mutex. Waiters wait on it. */
export const ONCE_WORD_OFFSET = 0;

/** Bytes of Barrier: A barrier for a fixed number of parties. */
export const BARRIER_SIZE = 8;
/** Alignment of Barrier, in bytes. */
export const BARRIER_ALIGN = 4;
/** How many have arrived, and the generation above. Waiters wait on it. */
export const BARRIER_WORD_OFFSET = 0;
/** How many have to arrive, 1 to BARRIER_PARTIES_MAX. */
export const BARRIER_PARTIES_OFFSET = 4;

/** Bytes of Latch: A count that goes down to 0 once. All zero is an open latch. */
export const LATCH_SIZE = 4;
/** Alignment of Latch, in bytes. */
export const LATCH_ALIGN = 4;
/** What is left to count down. Waiters wait on it while it isn't 0. */
export const LATCH_COUNT_OFFSET = 0;

/** Bytes of WaitGroup: Members that somebody waits for. All zero is a group without members. */
export const WAIT_GROUP_SIZE = 4;
/** Alignment of WaitGroup, in bytes. */
export const WAIT_GROUP_ALIGN = 4;
/** How many members are not done, and above it the round: one more each time nobody is left. Waiters wait on it. */
export const WAIT_GROUP_WORD_OFFSET = 0;

/** Bytes of Event: Something that has happened or not. All zero is an event that is not set, of the mode EVENT_MANUAL. */
export const EVENT_SIZE = 12;
/** Alignment of Event, in bytes. */
export const EVENT_ALIGN = 4;
/** EVENT_SET, and above it how often the event was set. Waiters wait on it. */
export const EVENT_WORD_OFFSET = 0;
/** How many wait, at least: a waiter that died stays counted. */
export const EVENT_WAITERS_OFFSET = 4;
/** EVENT_MANUAL or EVENT_AUTO, fixed from the start. */
export const EVENT_MODE_OFFSET = 8;

/** Bytes of Parker: One thread's token. All zero is one without a token. */
export const PARKER_SIZE = 4;
/** Alignment of Parker, in bytes. */
export const PARKER_ALIGN = 4;
/** PARKER_EMPTY, PARKER_NOTIFIED or PARKER_PARKED. The parked thread waits on it. */
export const PARKER_STATE_OFFSET = 0;
