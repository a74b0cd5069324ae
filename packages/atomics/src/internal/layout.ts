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
/** How many wake-ups in vain a waiter bears before it claims what it waits for. */
export const PATIENCE = 6;
/** How long something is kept for a claimant of which nobody can know whether it lives, in milliseconds. */
export const CLAIM_LIFETIME_MS = 100;
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
/** Waiting-on, bit 0: the address is that of a lock word, which the reaper may take from a dead owner. */
export const WAITING_ON_MUTEX = 1;
/** Waiting-on, bit 1: the address is that of a count of events, to which the reaper adds 1 at each death. */
export const WAITING_ON_SEQUENCE = 2;
/** How many registered threads can read at once before others read in the crowd. */
export const RW_LOCK_SEAT_COUNT = 28;
/** The first word of a registry: the letters "hedr". */
export const REGISTRY_MAGIC = 0x7264_6568;
/** The version of the registry's record. */
export const REGISTRY_VERSION = 2;

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
export const SEMAPHORE_SIZE = 8;
/** Alignment of Semaphore, in bytes. */
export const SEMAPHORE_ALIGN = 4;
/** The permits that may be taken now. Waiters wait on it while it is 0. */
export const SEMAPHORE_PERMITS_OFFSET = 0;
/** How many wait, at least: a waiter that died stays counted. */
export const SEMAPHORE_WAITERS_OFFSET = 4;

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
/** 1 while somebody reaps: waiters don't let go of what they wait on before it is 0 again. */
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
/** Kept zero. */
export const REGISTRY_SLOT_FLAGS_OFFSET = 4;
/** The byte address of the word that the thread's blocking wait is on, with WAITING_ON_MUTEX in bit 0 and WAITING_ON_SEQUENCE in bit 1; 0 when it waits on nothing. In a 32-bit memory the upper half stays 0. */
export const REGISTRY_SLOT_WAITING_ON_OFFSET = 8;
