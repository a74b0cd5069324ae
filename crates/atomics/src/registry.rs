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
//!    aren't kept for it any more, as they have never been for longer than 100 ms (invariant 3).
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

use crate::{
    Deadline, RawMutex, futex,
    layout::{
        GENERATION_MAX, LIFE_DEAD, LIFE_FREE, LIFE_LIVE, LIFE_STATE_MASK, OWNER_GENERATION_MASK,
        OWNER_GENERATION_SHIFT, OWNER_MASK, OWNER_SLOT_MASK, POISONED, REAPER_LIFETIME_MS,
        REGISTRY_MAGIC, REGISTRY_VERSION, SLOT_UNREGISTERED, WAITING_FOR_CHANNEL,
        WAITING_FOR_MUTEX, WAITING_KIND_MASK, WAITING_ON_MUTEX, WAITING_ON_OWNER,
        WAITING_ON_SEQUENCE,
    },
    seam::{AtomicU32, AtomicUsize, Ordering, fence, seqcst_order},
};
use core::{cell::Cell, fmt, time::Duration};

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

/// Names one registered thread: its slot and the slot's generation, as a lock word has them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) u32);

impl Token {
    /// The token of every thread that is in no registry.
    pub const UNREGISTERED: Self = Self(SLOT_UNREGISTERED);
    /// No thread's token.
    const NOBODY: Self = Self(0);

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

/// One slot; see `RegistrySlot` in `docs/layout.md`.
#[repr(C, align(8))]
struct Slot {
    life: AtomicU32,
    waiting_for: AtomicU32,
    /// 64 bits wide in the record: a 32-bit memory leaves the upper half at 0.
    waiting_on: AtomicUsize,
}

/// The registry; see `RegistryHeader` in `docs/layout.md`.
#[repr(C, align(8))]
struct Registry {
    magic: AtomicU32,
    version: AtomicU32,
    capacity: AtomicU32,
    id: AtomicU32,
    reaping: AtomicU32,
    deaths: AtomicU32,
    next: AtomicU32,
    unused: [u32; 9],
    slots: [Slot; CAPACITY],
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
                waiting_on: AtomicUsize::new(0),
            }
        }
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

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get((number as usize).checked_sub(1)?)
    }

    fn slot_of(&self, token: Token) -> Option<&Slot> {
        if token.is_registered() {
            self.slot(token.slot())
        } else {
            None
        }
    }
}

#[cfg(not(any(loom, shuttle)))]
fn registry() -> &'static Registry {
    static REGISTRY: Registry = Registry::new();
    &REGISTRY
}

#[cfg(any(loom, shuttle))]
fn registry() -> &'static Registry {
    #[cfg(loom)]
    use loom::lazy_static;
    #[cfg(shuttle)]
    use shuttle::lazy_static;
    lazy_static! {
        static ref REGISTRY: Registry = Registry::new();
    }
    &REGISTRY
}

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
    CURRENT.with(|current| current.set(Token::new(slot, generation).bits()));
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

/// What a supervisor does when the thread in `slot` has died: [`reap_token`] of whoever is alive in that slot.
///
/// Returns `false` if nobody is.
pub fn reap(slot: u32) -> bool {
    let Some(life) = registry()
        .slot(slot)
        .map(|slot| slot.life.load(Ordering::SeqCst))
    else {
        return false;
    };
    life & LIFE_STATE_MASK == LIFE_LIVE && reap_token(Token(life & OWNER_GENERATION_MASK | slot))
}

/// Declares the thread that `token` names dead: locks it held that somebody waits for become free and poisoned, and
/// whoever waits for anything looks again, since the dead may have owed or swallowed a wake-up; its slot becomes free.
///
/// Locks that nobody waits for are found abandoned by their next locker. Returns `false` if the thread wasn't alive
/// any more by the registry's books. May be called from any thread, also from one that may not block.
pub fn reap_token(token: Token) -> bool {
    let registry = registry();
    let Some(dead) = registry.slot_of(token) else {
        return false;
    };
    let generation = token.bits() & OWNER_GENERATION_MASK;
    let reaping = Reaping::begin(registry, token);
    let was_live = dead
        .life
        .compare_exchange(
            generation | LIFE_LIVE,
            generation | LIFE_DEAD,
            Ordering::SeqCst,
            Ordering::SeqCst,
        )
        .is_ok();
    seqcst_order();
    if was_live {
        bury(registry, dead, token);
    }
    drop(reaping);
    if was_live {
        futex::wake_all(&registry.deaths);
    }
    was_live
}

/// What a reaper does about a thread whose slot is `DEAD`; the slot is free in the end.
fn bury(registry: &Registry, dead: &Slot, token: Token) {
    let generation = token.bits() & OWNER_GENERATION_MASK;
    // Invariant 4: before the look at who waits.
    registry.deaths.fetch_add(1, Ordering::SeqCst);
    seqcst_order();
    for slot in &registry.slots {
        let waiting_on = slot.waiting_on.load(Ordering::SeqCst);
        if waiting_on != 0 && !core::ptr::eq(slot, dead) {
            abandon(waiting_on, token);
        }
    }
    // The dead may have been handed a wake-up that it will never use. First the wake-up, then the record of it: who takes over
    // from a reaper that died between wakes again.
    let swallowed = dead.waiting_on.load(Ordering::SeqCst);
    if swallowed != 0 {
        wake_word(swallowed);
        // A failure means that another reaper has done it.
        let _cleared =
            dead.waiting_on
                .compare_exchange(swallowed, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
    let _freed = dead.life.compare_exchange(
        generation | LIFE_DEAD,
        generation | LIFE_FREE,
        Ordering::SeqCst,
        Ordering::SeqCst,
    );
}

/// While it exists, this thread is the reaper, of whom there is one at a time (invariants 3 and 5).
struct Reaping {
    registry: &'static Registry,
    ticket: u32,
}

impl Reaping {
    /// Waits for its turn; `dead` is who is to be declared dead.
    fn begin(registry: &'static Registry, dead: Token) -> Self {
        // Who declares itself dead must not look like a dead reaper.
        let me = match current() {
            me if me == dead => Token::UNREGISTERED,
            me => me,
        };
        let ticket = match Self::take(registry, 0, me.bits()) {
            Ok(_) => me.bits(),
            Err(reaper) => Self::begin_contended(registry, me, dead, reaper),
        };
        Self { registry, ticket }
    }

    fn take(registry: &Registry, from: u32, to: u32) -> Result<u32, u32> {
        registry
            .reaping
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
    }

    #[cold]
    fn begin_contended(registry: &Registry, me: Token, dead: Token, mut reaper: u32) -> u32 {
        let lifetime = || Deadline::after(Duration::from_millis(REAPER_LIFETIME_MS.into()));
        let mut deadline = lifetime();
        // Reaping takes microseconds, so the others spin.
        loop {
            let named = Token(reaper & OWNER_MASK);
            // The model checker's time stands still.
            let is_over = cfg!(not(loom)) && deadline.has_passed();
            let (seen, ticket) = if named == dead || !is_live(named) || is_over {
                // The two bits above the token count who has taken over: threads outside the registry share one.
                let taken_over = (reaper & !OWNER_MASK).wrapping_add(OWNER_MASK + 1);
                (reaper, me.bits() | taken_over)
            } else {
                crate::seam::spin_loop();
                (0, me.bits())
            };
            match Self::take(registry, seen, ticket) {
                Ok(0) => return ticket,
                Ok(_) => {
                    finish(registry);
                    return ticket;
                }
                Err(now) if now != reaper && now != 0 => {
                    reaper = now;
                    deadline = lifetime();
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for Reaping {
    fn drop(&mut self) {
        // Not if another thread has taken over (invariant 5).
        if Self::take(self.registry, self.ticket, 0).is_ok() {
            futex::wake_all(&self.registry.reaping);
        }
    }
}

/// Does what a reaper left undone that died or took too long.
#[cold]
fn finish(registry: &Registry) {
    for (number, slot) in (1..).zip(&registry.slots) {
        let life = slot.life.load(Ordering::SeqCst);
        if life & LIFE_STATE_MASK == LIFE_DEAD {
            bury(registry, slot, Token(life & OWNER_GENERATION_MASK | number));
        }
    }
    futex::wake_all(&registry.deaths);
}

/// Who would wait for whom if `me` slept for `lock`, and why it would never end: each link is a thread that holds what the one before
/// waits for, and the address of the mutex that it waits for itself; `me` holds the last. `None` if the chain ends.
///
/// `me` has said that it waits, so that of the threads of a circle the last one to do so sees the others.
pub(crate) fn wait_circle(me: Token, lock: &RawMutex) -> Option<Vec<(Token, usize)>> {
    let registry = registry();
    // As a reaper: what others wait for stays there meanwhile (invariant 3).
    let _reaping = Reaping::begin(registry, Token::NOBODY);
    let circle = follow(registry, me, lock);
    // A link may have been let go of while the next one was read. Who sleeps lets go of nothing: a circle is there again.
    let is_circle = circle.is_some() && follow(registry, me, lock) == circle;
    circle.filter(|_| is_circle)
}

/// Follows the chain of [`wait_circle`], which reaps.
fn follow(registry: &Registry, me: Token, lock: &RawMutex) -> Option<Vec<(Token, usize)>> {
    let mut links = Vec::new();
    let mut holder = lock.owner()?;
    while holder != me {
        // Circles that `me` isn't in are for the others to find.
        if !is_live(holder) || links.iter().any(|(link, _)| *link == holder) {
            return None;
        }
        let waiting_on = registry.slot_of(holder)?.waiting_on.load(Ordering::SeqCst);
        if (waiting_on & WAITING_KIND_MASK as usize) as u32 != WAITING_ON_MUTEX {
            return None;
        }
        let next = word_of(waiting_on).cast::<RawMutex>();
        links.push((holder, next.addr()));
        // SAFETY: a waiter put the address of a mutex it borrows into its slot, and stays inside its wait while somebody reaps.
        holder = unsafe { &*next }.owner()?;
    }
    Some(links)
}

/// Frees the lock somebody waits on, if `dead` owns it, or counts the death, if somebody waits for events; and has the waiter look
/// again in any case: the dead may have changed the word and not come to wake anybody any more.
fn abandon(waiting_on: usize, dead: Token) {
    let pointer = word_of(waiting_on);
    // All three below: a waiter put the address of a word, or of the mutex that begins with it, into its slot, and stays inside
    // its wait, hence inside its borrow, while somebody reaps (invariant 3).
    match (waiting_on & WAITING_KIND_MASK as usize) as u32 {
        WAITING_ON_OWNER => {
            // SAFETY: the waiter keeps it alive.
            free_abandoned(unsafe { &*pointer }, dead);
        }
        WAITING_ON_MUTEX => {
            // SAFETY: the waiter keeps it alive.
            unsafe { &*pointer.cast::<RawMutex>() }.abandon(dead);
        }
        WAITING_ON_SEQUENCE => {
            // SAFETY: the waiter keeps it alive. A change, not a mere wake: the waiter may be about to fall asleep.
            unsafe { &*pointer }.fetch_add(1, Ordering::SeqCst);
        }
        _ => {}
    }
    wake_word(waiting_on);
}

/// Frees the lock of one word if `dead` owns it, and marks it; the caller wakes those who wait.
pub(crate) fn free_abandoned(word: &AtomicU32, dead: Token) {
    let mut seen = word.load(Ordering::SeqCst);
    while Token::of_lock_word(seen) == Some(dead) {
        match word.compare_exchange(seen, POISONED, Ordering::SeqCst, Ordering::SeqCst) {
            // CONTENDED is gone, so all who wait must look again; `abandon` wakes them.
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

fn word_of(waiting_on: usize) -> *const AtomicU32 {
    core::ptr::with_exposed_provenance(waiting_on & !(WAITING_KIND_MASK as usize))
}

fn wake_word(waiting_on: usize) {
    futex::wake_address(word_of(waiting_on), u32::MAX);
}

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
            slot.waiting_on.store(
                address | (kind & WAITING_KIND_MASK) as usize,
                Ordering::SeqCst,
            );
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
        slot.waiting_on.store(0, Ordering::SeqCst);
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
    use super::*;
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
        while !is_anybody_waiting_on(&word) {
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
        let lock_address = core::ptr::from_ref(&*lock).addr() | WAITING_ON_MUTEX as usize;
        let waits = |slot: &Slot| slot.waiting_on.load(Ordering::SeqCst) == lock_address;
        while !registry.slots.iter().any(waits) {
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

    fn is_anybody_waiting_on(word: &AtomicU32) -> bool {
        let address = core::ptr::from_ref(word).addr();
        let mut slots = registry().slots.iter();
        slots.any(|slot| slot.waiting_on.load(Ordering::SeqCst) == address)
    }

    #[test]
    fn the_header_is_ready_for_typescript() {
        address();
        let registry = registry();
        assert_eq!(registry.magic.load(Ordering::SeqCst), REGISTRY_MAGIC);
        assert_eq!(registry.capacity.load(Ordering::SeqCst) as usize, CAPACITY);
    }
}
