//! Declaring threads dead: what the reaper does, of whom there is one at a time. The registry's header tells the rules.

use super::{
    Token, current, is_live,
    record::{Registry, Slot, WaitingOn, registry},
};
use crate::{
    Deadline, RawMutex, futex,
    layout::{
        LIFE_DEAD, LIFE_FREE, LIFE_LIVE, LIFE_STATE_MASK, OWNER_GENERATION_MASK, OWNER_MASK,
        POISONED, REAPER_LIFETIME_MS, WAITING_ON_MUTEX, WAITING_ON_OWNER, WAITING_ON_SEQUENCE,
    },
    seam::{AtomicU32, Ordering, seqcst_order},
};
use core::time::Duration;

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
        bury(&reaping, dead, token);
    }
    drop(reaping);
    if was_live {
        futex::wake_after_death(&registry.deaths);
    }
    was_live
}

/// What a reaper does about a thread whose slot is `DEAD`; the slot is free in the end.
pub(super) fn bury(reaping: &Reaping, dead: &Slot, token: Token) {
    let generation = token.bits() & OWNER_GENERATION_MASK;
    let registry = reaping.registry;
    // Invariant 4: before the look at who waits.
    registry.deaths.fetch_add(1, Ordering::SeqCst);
    seqcst_order();
    for slot in &registry.slots {
        let waiting_on = WaitingOn::of(slot);
        if waiting_on.is_nothing() || core::ptr::eq(slot, dead) {
            continue;
        }
        if !reaping.is_mine() {
            // Who has taken over does all of it, and keeps the waiters for itself (invariant 5).
            return;
        }
        abandon(waiting_on, token);
    }
    // The dead may have been handed a wake-up that it will never use. First the wake-up, then the record of it: who takes over
    // from a reaper that died between wakes again.
    let swallowed = WaitingOn::of(dead);
    if swallowed.is_of(token) && !swallowed.is_nothing() {
        futex::wake_address(swallowed.word(), u32::MAX);
        // A failure means that another reaper has done it (invariant 6).
        let nothing = WaitingOn::nothing(token).0;
        let _cleared = dead.waiting_on.compare_exchange(
            swallowed.0,
            nothing,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
    }
    let _freed = dead.life.compare_exchange(
        generation | LIFE_DEAD,
        generation | LIFE_FREE,
        Ordering::SeqCst,
        Ordering::SeqCst,
    );
}

/// While it exists, this thread is the reaper, of whom there is one at a time (invariants 3 and 5).
pub(super) struct Reaping {
    pub(super) registry: &'static Registry,
    pub(super) ticket: u32,
}

impl Reaping {
    /// Waits for its turn; `dead` is who is to be declared dead.
    pub(super) fn begin(registry: &'static Registry, dead: Token) -> Self {
        // Who declares itself dead must not look like a dead reaper.
        let me = match current() {
            me if me == dead => Token::UNREGISTERED,
            me => me,
        };
        match Self::take(registry, 0, me.bits()) {
            Ok(_) => Self {
                registry,
                ticket: me.bits(),
            },
            Err(reaper) => Self::begin_contended(registry, me, dead, reaper),
        }
    }

    /// Whether nobody has taken over.
    fn is_mine(&self) -> bool {
        self.registry.reaping.load(Ordering::SeqCst) == self.ticket
    }

    pub(super) fn take(registry: &Registry, from: u32, to: u32) -> Result<u32, u32> {
        registry
            .reaping
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
    }

    #[cold]
    fn begin_contended(
        registry: &'static Registry,
        me: Token,
        dead: Token,
        mut reaper: u32,
    ) -> Self {
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
                Ok(0) => return Self { registry, ticket },
                Ok(_) => {
                    let reaping = Self { registry, ticket };
                    finish(&reaping);
                    return reaping;
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
fn finish(reaping: &Reaping) {
    let registry = reaping.registry;
    for (number, slot) in (1..).zip(&registry.slots) {
        let life = slot.life.load(Ordering::SeqCst);
        if life & LIFE_STATE_MASK == LIFE_DEAD {
            bury(reaping, slot, Token(life & OWNER_GENERATION_MASK | number));
        }
    }
    futex::wake_after_death(&registry.deaths);
}

/// Frees the lock somebody waits on, if `dead` owns it, or counts the death, if somebody waits for events; and has the waiter look
/// again in any case: the dead may have changed the word and not come to wake anybody any more.
fn abandon(waiting_on: WaitingOn, dead: Token) {
    let pointer = waiting_on.word();
    // All three below: a waiter put the address of a word, or of the mutex that begins with it, into its slot, and stays inside
    // its wait, hence inside its borrow, while somebody reaps (invariant 3).
    match waiting_on.kind() {
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
    futex::wake_address(pointer, u32::MAX);
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

#[cfg(all(test, loom))]
mod models {
    use super::{super::*, *};
    use crate::layout::SLOT_UNREGISTERED;
    use loom::{model::Builder, sync::Arc, thread};

    /// A reaper that was slow cleared what a dead thread had waited on after the next one had taken over and the slot was given to
    /// another thread, which waited on the same word: when the owner of that died, nobody knew who waits.
    #[test]
    fn a_slow_reaper_leaves_the_next_thread_of_the_slot_alone() {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let registry = registry();
            let word = Arc::new(AtomicU32::new(1));
            let tokens: Vec<Token> = (0..CAPACITY).filter_map(|_| allocate()).collect();
            let dead = tokens[0];
            let slot = registry.slot_of(dead).expect("it was given out");
            let address = core::ptr::from_ref(&*word).expose_provenance();
            WaitingOn::new(dead, address, WAITS).write(slot);
            let generation = dead.bits() & OWNER_GENERATION_MASK;
            slot.life.store(generation | LIFE_DEAD, Ordering::SeqCst);
            // Both have their turn: the second has taken over from the first.
            let reapers = [0, OWNER_MASK + 1].map(|over| {
                thread::spawn(move || {
                    let ticket = SLOT_UNREGISTERED | over;
                    registry.reaping.store(ticket, Ordering::SeqCst);
                    let reaping = core::mem::ManuallyDrop::new(Reaping { registry, ticket });
                    bury(&reaping, slot, dead);
                })
            });
            let next = allocate();
            if let Some(next) = next {
                assert_eq!(next.slot(), dead.slot());
                enter(next.slot(), next.generation());
                WaitingOn::new(next, address, WAITS).write(slot);
            }
            for reaper in reapers {
                reaper.join().unwrap();
            }
            let waiting_on = WaitingOn::of(slot);
            match next {
                Some(next) => assert!(waiting_on == WaitingOn::new(next, address, WAITS)),
                None => assert!(waiting_on.is_nothing()),
            }
        });
    }
}
