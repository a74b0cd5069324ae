//! Something that is done once, by one thread, while the others wait for it.
//!
//! It promises: of all initialisers one runs at a time, and after one has succeeded none does; who sees it complete sees what
//! the initialiser wrote; one that panics or whose thread dies leaves the once poisoned, and those who wait wake up.
//!
//! # State
//! | word | means |
//! |---|---|
//! | 0 | nobody has begun |
//! | owner | an initialiser runs on that thread |
//! | `POISONED` | the last initialiser panicked, or its thread died |
//! | owner + `POISONED` | another one runs, and was told |
//! | `ONCE_COMPLETE` | done, for ever |
//!
//! `CONTENDED` stands beside each but the last: somebody may be waiting. The word is that of a mutex whose last unlocking is
//! for ever, so a reaper frees it from a dead owner as it does a mutex.
//!
//! # Invariants
//! 1. Only the owner takes itself out of the word, except when it is dead: then whoever finds that out does.
//! 2. Whoever sleeps has set `CONTENDED` or seen it set; beginning keeps it, and each end of an initialiser clears it and
//!    wakes everybody.
//! 3. Nothing leaves `ONCE_COMPLETE`.
//!
//! # Fairness
//! After a failure anybody who asks for another try may be the next; each of the others waits for that one.
//!
//! # Memory orderings
//! Beginning is `Acquire`, ending `Release`, and looking whether it is complete `Acquire`: the end hands over what the
//! initialiser wrote to the next initialiser or to everybody.
//!
//! # Source
//! The futex once of Rust's std, with the owner in the word.

mod task;

use crate::{
    Deadline, futex,
    layout::{CONTENDED, ONCE_COMPLETE, OWNER_MASK, POISONED, WAITING_FOR_ONCE},
    registry::{self, Token, WAITS_ON_OWNER},
    seam::{AtomicU32, Ordering},
    waiting::wait_until_with,
};
use core::{fmt, time::Duration};

const NOT_BEGUN: u32 = 0;

/// Something that is done once, as `std::sync::Once`; the record `Once` of `docs/layout.md`.
///
/// Unlike std's it knows who runs the initialiser: if that registered thread dies, the once is poisoned, and
/// [`Once::call_once_force`] tries again.
///
/// ```
/// use heddle_atomics::Once;
///
/// static START: Once = Once::new();
/// let mut runs = 0;
/// START.call_once(|| runs += 1);
/// START.call_once(|| runs += 1);
/// assert_eq!(runs, 1);
/// assert!(START.is_completed());
/// ```
#[repr(C)]
pub struct Once {
    word: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::once;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Once, word) == once::WORD);
    assert!(size_of::<Once>() == once::SIZE);
    assert!(align_of::<Once>() == once::ALIGN);
};

/// What an initialiser that runs although the once was poisoned is told.
#[derive(Debug)]
pub struct OnceState {
    is_poisoned: bool,
}

impl OnceState {
    /// Whether an initialiser before this one panicked or died.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }
}

/// What came of the wish to run the initialiser.
enum Begun<'a> {
    Completed,
    Poisoned,
    Mine(Running<'a>),
}

/// An initialiser runs. Dropped before [`Running::complete`], it failed.
struct Running<'a> {
    once: &'a Once,
    me: Token,
    state: OnceState,
    end: u32,
}

impl Running<'_> {
    /// # Panics
    /// If this thread was declared dead meanwhile: somebody else may have run, so what this initialiser made doesn't count.
    #[track_caller]
    fn complete(self) {
        let running = core::mem::ManuallyDrop::new(self);
        assert!(
            running.once.finish(running.me, ONCE_COMPLETE),
            "this thread was declared dead while it ran the initialiser of a once"
        );
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Whoever declared this thread dead has ended the run in its place (invariant 1).
        let _was_running = self.once.finish(self.me, self.end);
    }
}

impl Once {
    const_unless_loom! {
        /// One that nobody has begun.
        #[must_use]
        pub fn new() -> Self {
            Self { word: AtomicU32::new(NOT_BEGUN) }
        }
    }

    /// Runs `f` unless an initialiser has succeeded already; waits for one that is running.
    ///
    /// # Panics
    /// If the once is poisoned, if this thread is registered and is running its initialiser, or if the thread may not block
    /// and the initialiser of another one takes longer than [`SPIN_LIMIT`](crate::SPIN_LIMIT). A panic of `f` poisons.
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            let begun = self.begin(false, Deadline::NEVER);
            self.run(begun, |_| f());
        }
    }

    /// As [`Once::call_once`], also if the once is poisoned; `f` is told.
    ///
    /// # Panics
    /// As [`Once::call_once`], except for poison.
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            let begun = self.begin(true, Deadline::NEVER);
            self.run(begun, f);
        }
    }

    /// Runs `f` if that is possible without waiting; `false` if another initialiser is running.
    ///
    /// # Panics
    /// As [`Once::call_once`].
    #[track_caller]
    pub fn try_call_once<F: FnOnce()>(&self, f: F) -> bool {
        let begun = self.try_begin(false);
        let is_mine = begun.is_ok();
        self.run(begun.ok().or(Some(Begun::Completed)), |_| f());
        is_mine
    }

    /// Whether an initialiser has succeeded. If so, what it wrote can be seen.
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        // Acquire: sees what the Release of `finish` publishes.
        self.word.load(Ordering::Acquire) == ONCE_COMPLETE
    }

    /// Whether the last initialiser panicked or died; of the past as soon as it is known.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word != ONCE_COMPLETE && word & POISONED != 0
    }

    /// Waits until an initialiser has succeeded.
    ///
    /// # Panics
    /// If the once is or gets poisoned, or as [`Once::call_once`].
    #[track_caller]
    pub fn wait(&self) {
        if self.is_completed() {
            return;
        }
        let is_complete = self.wait_until_complete(false, Deadline::NEVER);
        assert!(is_complete == Some(true), "{}", POISON_MESSAGE);
    }

    /// Waits until an initialiser has succeeded, however many fail before.
    ///
    /// # Panics
    /// As [`Once::wait`], except for poison.
    #[track_caller]
    pub fn wait_force(&self) {
        if !self.is_completed() {
            self.wait_until_complete(true, Deadline::NEVER);
        }
    }

    /// [`Once::wait_force`] for at most `timeout`; `false` if none has succeeded by then.
    ///
    /// # Panics
    /// As [`Once::wait_force`].
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_completed()
            || self.wait_until_complete(true, Deadline::after(timeout)) == Some(true)
    }

    /// As [`Once::call_once_force`], with an initialiser that may fail without a panic: then the once is as it was before.
    pub(crate) fn try_run<E>(&self, f: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if self.is_completed() {
            return Ok(());
        }
        if let Some(Begun::Mine(mut running)) = self.begin(true, Deadline::NEVER) {
            let result = f();
            match result {
                Ok(()) => running.complete(),
                Err(_) if !running.state.is_poisoned => running.end = NOT_BEGUN,
                Err(_) => {}
            }
            return result;
        }
        Ok(())
    }

    #[cold]
    #[track_caller]
    fn run(&self, begun: Option<Begun<'_>>, f: impl FnOnce(&OnceState)) {
        match begun {
            Some(Begun::Mine(running)) => {
                f(&running.state);
                running.complete();
            }
            Some(Begun::Completed) => {}
            Some(Begun::Poisoned) => panic!("{POISON_MESSAGE}"),
            None => unreachable!("a wait without a deadline doesn't time out"),
        }
    }

    #[track_caller]
    fn begin(&self, accept_poison: bool, deadline: Deadline) -> Option<Begun<'_>> {
        wait_until_with(
            &self.word,
            WAITS_ON_OWNER | WAITING_FOR_ONCE,
            owner_lives,
            "a once",
            deadline,
            || {
                self.try_begin(accept_poison)
                    .map_err(|word| self.announce(word))
            },
        )
    }

    /// Begins if nobody who lives has begun. `Err` has the word of a running initialiser, which isn't this thread's.
    #[track_caller]
    fn try_begin(&self, accept_poison: bool) -> Result<Begun<'_>, u32> {
        let begun = self.try_begin_as(accept_poison);
        if let Err(word) = begun {
            let (owner, me) = (word & OWNER_MASK, registry::current());
            assert!(
                !me.is_registered() || owner != me.bits(),
                "the once at {self:p} is run by this very thread ({me:?})"
            );
        }
        begun
    }

    /// [`Once::try_begin`], also where a task of this thread may run the initialiser.
    fn try_begin_as(&self, accept_poison: bool) -> Result<Begun<'_>, u32> {
        let me = registry::current();
        // Acquire: as in `is_completed`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word == ONCE_COMPLETE {
                return Ok(Begun::Completed);
            }
            let poison = match Token::of_lock_word(word) {
                None => word & POISONED,
                Some(owner) if registry::is_live(owner) => return Err(word),
                // The dead leave their waiters to us: CONTENDED stays.
                Some(_) => POISONED,
            };
            if poison != 0 && !accept_poison {
                // An owner that has made it and left the registry since looks like a dead one. Acquire: as above.
                let now = self.word.load(Ordering::Acquire);
                if now == word {
                    return Ok(Begun::Poisoned);
                }
                word = now;
                continue;
            }
            // Acquire: sees what an initialiser before this one published by its failing end.
            match self.word.compare_exchange(
                word,
                me.bits() | poison | word & CONTENDED,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let state = OnceState {
                        is_poisoned: poison != 0,
                    };
                    return Ok(Begun::Mine(Running {
                        once: self,
                        me,
                        state,
                        end: POISONED,
                    }));
                }
                Err(now) => word = now,
            }
        }
    }

    /// Waits for an end; `Some(false)` if that is poison and poison ends the wait.
    #[track_caller]
    fn wait_until_complete(&self, through_poison: bool, deadline: Deadline) -> Option<bool> {
        wait_until_with(
            &self.word,
            WAITS_ON_OWNER | WAITING_FOR_ONCE,
            owner_lives,
            "a once",
            deadline,
            || self.completion(through_poison),
        )
    }

    /// Whether an initialiser has succeeded, or failed if poison ends the wait; the word to sleep on if neither.
    fn completion(&self, through_poison: bool) -> Result<bool, u32> {
        // Acquire: as in `is_completed`.
        let word = self.word.load(Ordering::Acquire);
        if word == ONCE_COMPLETE {
            return Ok(true);
        }
        match Token::of_lock_word(word) {
            None if word & POISONED != 0 && !through_poison => Ok(false),
            Some(owner) if !registry::is_live(owner) => {
                // Invariant 1. A failure means that somebody else found out first.
                let _ = self.word.compare_exchange(
                    word,
                    POISONED,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                futex::wake_all(&self.word);
                Err(word)
            }
            _ => Err(self.announce(word)),
        }
    }

    /// Says that somebody waits (invariant 2): the word to sleep on. If it changed meanwhile, the sleep ends at once.
    fn announce(&self, word: u32) -> u32 {
        if word & CONTENDED == 0 {
            // Relaxed: the bit publishes nothing; the wait compares it.
            let _ = self.word.compare_exchange(
                word,
                word | CONTENDED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        word | CONTENDED
    }

    /// Ends the run of `me`; `false` if it isn't running any more.
    fn finish(&self, me: Token, end: u32) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word != ONCE_COMPLETE && Token::of_lock_word(word) == Some(me) {
            // Release: publishes what the initialiser wrote to the Acquire of those who look.
            match self
                .word
                .compare_exchange(word, end, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => {
                    if word & CONTENDED != 0 {
                        futex::wake_all(&self.word);
                    }
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }
}

const POISON_MESSAGE: &str = "the once is poisoned: its initialiser panicked, or its thread died";

fn owner_lives(word: u32) -> bool {
    word & OWNER_MASK == 0 || Token::of_lock_word(word).is_some_and(registry::is_live)
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("is_completed", &self.is_completed())
            .field("is_poisoned", &self.is_poisoned())
            .finish()
    }
}
