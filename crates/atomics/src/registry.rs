//! Who lives: the threads of one memory, so that the death of one leaves nobody waiting.
//!
//! # State
//! The registry is a header and [`CAPACITY`] slots (`docs/layout.md`). A slot's `life` is one word:
//!
//! | bits 0–1 | bits 12–29 | means |
//! |---|---|---|
//! | `FREE` | generation of the last thread | nobody has the slot |
//! | `LIVE` | generation | a thread has it, and its token is slot + generation |
//! | `DEAD` | generation | the thread ended without leaving and is being reaped |
//!
//! `FREE → LIVE` ([`allocate`], generation + 1), `LIVE → FREE` ([`release`]), `LIVE → DEAD → FREE` ([`reap`]).
//! A lock word carries its owner's [`Token`]. An owner lives exactly while its slot is `LIVE` with the token's
//! generation ([`is_live`]); the threads outside the registry share one token that always counts as alive.
//!
//! # Invariants
//! 1. A slot's generation changes only from `FREE` to `LIVE`: a token names one thread, until the generation has
//!    gone round (2^18 threads in the same slot, and slots are handed out in turn).
//! 2. A thread in a blocking wait has the address in its slot before it looks whether the owner lives, and takes it
//!    out after the wait. A reaper marks the slot dead before it reads the addresses. Both are SeqCst, so either the
//!    waiter sees the death or the reaper sees the waiter.
//! 3. A reaper only touches words that a waiter keeps alive: the waiter doesn't leave its wait while somebody reaps, as `reaping` says.
//! 4. Who sleeps on a count of events may have looked at what they are of long before it says where it waits; a thread that
//!    dies between may have changed that and not counted it. So a reaper counts the death first and then reads the
//!    addresses, and a waiter writes its address and then looks whether there are more deaths than it knew: either the
//!    reaper sees the waiter, and changes what it sleeps on, or the waiter sees the death, and looks again.
//! 5. `reaping` names who reaps. Who finds it taken by a thread that is dead, is being declared dead, or has reaped for
//!    [`REAPER_LIFETIME_MS`] takes it over and finishes what it finds: the slots that are `DEAD`. Each step of a burial may be done
//!    twice, and a reaper gives back only what is still its own, so that one that was merely slow does no harm: but its waiters
//!    aren't kept for it any more, as they have never been for longer than 100 ms (invariant 3), so it goes on to no other.
//! 6. `waiting_on` carries the generation of the thread that wrote it ([`enter`] does so first). By the time a slow reaper takes out what
//!    a dead thread waited on, the slot may be another's, who waits on the same word: it has another generation, and stays.
//!
//! # Memory orderings
//! Everything here is off the fast path and SeqCst, for invariants 2 and 3 (each is a store followed by a load of
//! another word, on both sides). The thread's own token is thread-local. A token is found in a lock by `Relaxed` loads, so a fence
//! on each side ([`enter`], [`is_live`]) orders the slot's life before it: without them a thread that has just entered could
//! look as dead as its slot was before.
//!
//! # Source
//! The idea of a dead owner handed on with a mark is that of Linux's robust futexes; there the owner lists its locks,
//! here the waiters list what they wait on, so that taking a lock writes nothing but the lock.
mod circle;
mod reaping;
mod record;
mod token;
mod wait_scope;

pub(crate) use circle::wait_circle;
pub(crate) use reaping::free_abandoned;
pub use reaping::{reap, reap_token};
pub use token::Token;
pub(crate) use wait_scope::WaitScope;

use crate::{
    layout::{
        LIFE_FREE, LIFE_LIVE, LIFE_STATE_MASK, OWNER_GENERATION_MASK, OWNER_GENERATION_SHIFT,
        REGISTRY_MAGIC, REGISTRY_VERSION, SLOT_UNREGISTERED, WAITING_FOR_CHANNEL,
        WAITING_FOR_MUTEX, WAITING_ON_MUTEX, WAITING_ON_OWNER, WAITING_ON_SEQUENCE,
    },
    seam::{Ordering, fence},
};
use core::cell::Cell;
use record::{WaitingOn, registry};

/// How many threads can be registered at once.
#[cfg(not(any(loom, shuttle)))]
pub const CAPACITY: usize = crate::layout::SLOT_MAX as usize;
/// A model has few threads.
#[cfg(any(loom, shuttle))]
pub const CAPACITY: usize = if cfg!(loom) { 3 } else { 12 };

/// The thread waits on a word that isn't a lock's.
#[doc(hidden)]
pub const WAITS: u32 = 0;
/// The thread waits on a word with an owner, which a reaper may take from a dead one.
#[doc(hidden)]
pub const WAITS_ON_OWNER: u32 = WAITING_ON_OWNER;
/// The thread waits on a mutex, which a reaper may take from a dead owner or claimant.
#[doc(hidden)]
pub const WAITS_ON_MUTEX: u32 = WAITING_ON_MUTEX | WAITING_FOR_MUTEX;
/// The thread waits on a count of events, of which a death is one.
#[doc(hidden)]
pub const WAITS_ON_SEQUENCE: u32 = WAITING_ON_SEQUENCE;

/// What the wait is for, in a kind's higher bits: `WAITS | WAITS_FOR_CHANNEL`. Nobody but a list of the threads looks at it.
#[doc(hidden)]
pub const WAITS_FOR_CHANNEL: u32 = WAITING_FOR_CHANNEL;
#[cfg(loom)]
use loom::thread_local;
#[cfg(shuttle)]
use shuttle::thread_local;

#[cfg(not(any(loom, shuttle)))]
thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(SLOT_UNREGISTERED) };
}
#[cfg(any(loom, shuttle))]
thread_local! {
    static CURRENT: Cell<u32> = Cell::new(SLOT_UNREGISTERED);
}

#[cfg(not(any(loom, shuttle)))]
thread_local! {
    /// The deaths that this thread has looked after (invariant 4).
    static DEATHS_SEEN: Cell<u32> = const { Cell::new(0) };
}
#[cfg(any(loom, shuttle))]
thread_local! {
    static DEATHS_SEEN: Cell<u32> = Cell::new(0);
}

/// The token of this thread: [`Token::UNREGISTERED`] until it has [entered](enter).
#[inline]
#[must_use]
pub fn current() -> Token {
    Token(CURRENT.with(Cell::get))
}

/// The address of the registry, for TypeScript: a `ThreadRegistry` opens it there.
///
/// In Wasm it is also the export `__heddle_registry`.
pub fn address() -> usize {
    let registry = registry();
    registry.version.store(REGISTRY_VERSION, Ordering::SeqCst);
    let capacity = u32::try_from(CAPACITY).expect("a slot has 12 bits");
    registry.capacity.store(capacity, Ordering::SeqCst);
    // Last: who sees the magic sees the rest.
    registry.magic.store(REGISTRY_MAGIC, Ordering::SeqCst);
    core::ptr::from_ref(registry).addr()
}

/// Where the deaths are counted, for whoever waits for the next one.
#[cfg(target_arch = "wasm32")]
pub(crate) fn deaths_word() -> &'static crate::seam::AtomicU32 {
    &registry().deaths
}

/// How many threads have died: who waits as a task, and is in nobody's slot, looks again when there are more (invariant 4).
#[doc(hidden)]
#[must_use]
pub fn deaths() -> u32 {
    registry().deaths.load(Ordering::SeqCst)
}

/// Takes a free slot for a thread that is about to start; `None` when all [`CAPACITY`] are taken.
///
/// The thread counts as alive from here on: call [`enter`] on it, and in the end [`release`] or [`reap`].
pub fn allocate() -> Option<Token> {
    let registry = registry();
    let capacity = u32::try_from(CAPACITY).expect("a slot has 12 bits");
    let start = registry.next.fetch_add(1, Ordering::SeqCst);
    for i in 0..capacity {
        let number = start.wrapping_add(i) % capacity + 1;
        let slot = registry.slot(number)?;
        let life = slot.life.load(Ordering::SeqCst);
        if life & LIFE_STATE_MASK != LIFE_FREE {
            continue;
        }
        let generation = life.wrapping_add(1 << OWNER_GENERATION_SHIFT) & OWNER_GENERATION_MASK;
        let taken = slot.life.compare_exchange(
            life,
            generation | LIFE_LIVE,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if taken.is_ok() {
            return Some(Token(generation | number));
        }
    }
    None
}

/// Makes this thread the one in `slot`: locks that it takes from now on carry the slot and its generation.
///
/// # Panics
/// If the slot is not 1–4094 or the generation has more than 18 bits.
pub fn enter(slot: u32, generation: u32) {
    // Release: whoever finds this token in a lock, whatever the ordering, sees in `is_live` that the slot is live.
    fence(Ordering::Release);
    let token = Token::new(slot, generation);
    CURRENT.with(|current| current.set(token.bits()));
    if let Some(slot) = registry().slot_of(token) {
        // Invariant 6.
        WaitingOn::nothing(token).write(slot);
    }
    DEATHS_SEEN.with(|seen| seen.set(registry().deaths.load(Ordering::SeqCst)));
}

/// Takes a free slot and makes it this thread's, for threads that nobody else looks after.
///
/// `None` when all slots are taken; the thread then stays unregistered.
pub fn enter_new() -> Option<Token> {
    let token = allocate()?;
    enter(token.slot(), token.generation());
    Some(token)
}

/// Takes this thread out of the registry again: the regular end. Returns the token it had.
///
/// Locks that it still holds count as abandoned: the next locker gets them poisoned.
pub fn leave() -> Token {
    let token = current();
    CURRENT.with(|current| current.set(SLOT_UNREGISTERED));
    release(token);
    token
}

/// Gives a slot back whose thread has ended regularly; nothing happens if the token is of the past.
///
/// Whoever waits for a lock that the thread still held is not told: that is what [`reap`] is for.
pub fn release(token: Token) {
    if let Some(slot) = registry().slot_of(token) {
        let generation = token.bits() & OWNER_GENERATION_MASK;
        // A failure means that it was released or reaped already.
        let _was_live = slot.life.compare_exchange(
            generation | LIFE_LIVE,
            generation | LIFE_FREE,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
    }
}

/// Whether the thread that `token` names is alive. Threads outside the registry always count as alive.
#[must_use]
pub fn is_live(token: Token) -> bool {
    if !token.is_registered() {
        return true;
    }
    // Acquire: after the load that found the token; the pair of the fence in `enter`.
    fence(Ordering::Acquire);
    let generation = token.bits() & OWNER_GENERATION_MASK;
    registry()
        .slot_of(token)
        .is_some_and(|slot| slot.life.load(Ordering::SeqCst) == generation | LIFE_LIVE)
}

/// What the host of a Wasm module calls, by raw exports: they work on a thread whatever happened to others.
#[cfg(target_family = "wasm")]
mod exports {
    /// The address of the registry.
    #[unsafe(no_mangle)]
    extern "C" fn __heddle_registry() -> usize {
        super::address()
    }

    /// Makes the calling thread the one in `slot` and says whether it may block (0 or 1).
    #[unsafe(no_mangle)]
    extern "C" fn __heddle_enter(slot: u32, generation: u32, may_block: u32) {
        super::enter(slot, generation);
        crate::set_may_block(may_block != 0);
    }

    /// Says that the calling thread is in no slot any more. The slot itself is the host's to give back.
    #[unsafe(no_mangle)]
    extern "C" fn __heddle_exit() {
        super::CURRENT.with(|current| current.set(super::SLOT_UNREGISTERED));
    }
}
#[cfg(all(test, not(loom)))]
mod tests {
    use super::{reaping::Reaping, *};
    use crate::{
        RawMutex, futex,
        layout::{GENERATION_MAX, LIFE_DEAD, OWNER_MASK, POISONED},
        seam::AtomicU32,
    };
    use core::time::Duration;
    use std::{sync::Arc, thread};

    #[test]
    fn a_token_carries_slot_and_generation() {
        let token = Token::new(4094, GENERATION_MAX);
        assert_eq!((token.slot(), token.generation()), (4094, GENERATION_MAX));
        assert_eq!(Token::of_lock_word(token.bits() | POISONED), Some(token));
        assert_eq!(Token::of_lock_word(POISONED), None);
        assert!(!Token::UNREGISTERED.is_registered());
    }

    #[test]
    fn a_thread_enters_and_leaves() {
        thread::spawn(|| {
            assert_eq!(current(), Token::UNREGISTERED);
            let token = enter_new().unwrap();
            assert_eq!(current(), token);
            assert!(is_live(token));
            assert_eq!(leave(), token);
            assert_eq!(current(), Token::UNREGISTERED);
            assert!(!is_live(token));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_same_slot_gets_another_generation() {
        let first = allocate().unwrap();
        release(first);
        // Slots are handed out in turn, so that the same one comes after all others.
        let again = (0..=CAPACITY)
            .map(|_| {
                let token = allocate().unwrap();
                release(token);
                token
            })
            .find(|token| token.slot() == first.slot())
            .unwrap();
        assert_ne!(first, again);
        assert!(!is_live(first));
    }

    #[test]
    fn reaping_is_once() {
        let token = allocate().unwrap();
        assert!(reap(token.slot()));
        assert!(!is_live(token));
        assert!(!reap_token(token));
        assert!(!reap(0));
        assert!(!reap(4095));
    }

    /// An unlock clears the word and then wakes. A thread that was terminated between left its waiter asleep for ever in
    /// front of a free lock: the reaper only looked at locks that the dead still held.
    #[test]
    fn a_wake_up_that_the_dead_owed_is_made_up_for() {
        let word = Arc::new(AtomicU32::new(1));
        let waiter = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                enter_new().unwrap();
                let mut was_woken = true;
                // Again and again: the reapers of the other tests in this process wake it, too.
                while was_woken && word.load(Ordering::SeqCst) == 1 {
                    let scope = WaitScope::enter(&word, WAITS);
                    // The limit is only for a test that fails.
                    was_woken = futex::wait(&word, 1, Some(Duration::from_secs(60)));
                    drop(scope);
                }
                leave();
                was_woken
            })
        };
        let owing = allocate().unwrap();
        while !is_anybody_waiting_on(core::ptr::from_ref(&*word).addr()) {
            thread::yield_now();
        }
        word.store(0, Ordering::SeqCst);
        assert!(reap_token(owing));
        assert!(waiter.join().unwrap());
    }

    /// A reaper that died while it reaped left `reaping` taken. The next one spun for ever, and whoever waited for the first dead
    /// thread's lock was never woken.
    #[test]
    fn a_reaper_that_dies_while_it_reaps_is_followed_by_the_next() {
        let registry = registry();
        let lock = Arc::new(RawMutex::new());
        let dead = thread::spawn({
            let lock = Arc::clone(&lock);
            move || {
                let me = enter_new().unwrap();
                let _poisoned = lock.lock();
                me
            }
        })
        .join()
        .unwrap();
        let waiter = thread::spawn({
            let lock = Arc::clone(&lock);
            move || {
                enter_new().unwrap();
                let poisoned = lock.lock();
                leave();
                poisoned
            }
        });
        while !is_anybody_waiting_on(core::ptr::from_ref(&*lock).addr()) {
            thread::yield_now();
        }
        // What it left: the turn to reap, and a slot that is marked and no more.
        let reaper = allocate().unwrap();
        while Reaping::take(registry, 0, reaper.bits()).is_err() {
            thread::yield_now();
        }
        let slot = registry.slot_of(dead).unwrap();
        let generation = dead.bits() & OWNER_GENERATION_MASK;
        slot.life.store(generation | LIFE_DEAD, Ordering::SeqCst);
        assert!(reap_token(reaper));
        assert_eq!(waiter.join().unwrap(), crate::Poisoned::Yes);
        assert!(!is_live(dead) && !is_live(reaper) && !reap_token(dead));
        assert_eq!(
            slot.life.load(Ordering::SeqCst) & LIFE_STATE_MASK,
            LIFE_FREE
        );
    }

    /// A reaper that nobody can know to be dead, and that has taken too long, has nothing to give back when it goes on after all.
    #[test]
    fn a_reaper_gives_back_only_what_is_its_own() {
        let registry = registry();
        let slow = Reaping::begin(registry, Token::NOBODY);
        assert_eq!(slow.ticket & OWNER_MASK, SLOT_UNREGISTERED);
        let next = thread::spawn(move || {
            enter_new().unwrap();
            Reaping::begin(registry, Token::NOBODY)
        })
        .join()
        .unwrap();
        assert_ne!(next.ticket, slow.ticket);
        drop(slow);
        assert_ne!(registry.reaping.load(Ordering::SeqCst), 0);
        drop(next);
    }

    fn is_anybody_waiting_on(address: usize) -> bool {
        let mut slots = registry().slots.iter();
        slots.any(|slot| WaitingOn::of(slot).word().addr() == address)
    }

    #[test]
    fn the_header_is_ready_for_typescript() {
        address();
        let registry = registry();
        assert_eq!(registry.magic.load(Ordering::SeqCst), REGISTRY_MAGIC);
        assert_eq!(registry.capacity.load(Ordering::SeqCst) as usize, CAPACITY);
    }
}
