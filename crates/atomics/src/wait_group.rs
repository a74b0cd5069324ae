//! A wait group: members who come and go, and threads that wait until no member is left.
//!
//! It promises: whoever waits goes on once nobody is left, however many come right after, and sees what each member did before
//! it was done. The group can be used again and again.
//!
//! # State
//! | bits of the word | means |
//! |---|---|
//! | 0–19 | how many members are not done |
//! | 20–31 | the round: one more each time nobody is left |
//!
//! # Invariants
//! 1. Count and round change in one step: a round ends exactly when its last member is done, and whoever that is wakes everybody.
//! 2. A waiter goes on when the count is 0 or the round isn't the one it came in. It compares the whole word as it falls
//!    asleep, so it either sees the end of its round or is woken by it. (One that sleeps through exactly 4096 rounds takes the
//!    next for its own, and goes on at the end of that.)
//!
//! # Threads that die
//! The group knows how many its members are, not who. A [`Member`] is done when it is dropped, so also by a panic; one whose
//! thread traps or is terminated stays in, until somebody calls [`WaitGroup::done`] in its place: whoever
//! [reaps](crate::registry::reap) the thread.
//!
//! # Memory orderings
//! Being done is `AcqRel`: it publishes what the member did, and the last hands on what all others published; looking is
//! `Acquire`. Adding orders nothing: whoever adds also hands the member on.
//!
//! # Source
//! `sync.WaitGroup` of Go and of crossbeam; the round instead of a second word.

use crate::{
    CountError, Deadline, futex,
    layout::{GROUP_COUNT_MASK, GROUP_ROUND_SHIFT, WAITING_FOR_WAIT_GROUP},
    seam::{AtomicU32, Ordering},
    waiting::{wait_until, wait_until_async},
};
use core::{fmt, time::Duration};

const ROUND: u32 = 1 << GROUP_ROUND_SHIFT;

/// Members that come and go, and who waits for them; the record `WaitGroup` of `docs/layout.md`.
///
/// ```
/// use heddle_atomics::WaitGroup;
/// use std::thread;
///
/// let group = WaitGroup::new();
/// thread::scope(|scope| {
///     for _ in 0..3 {
///         let member = group.member();
///         scope.spawn(move || drop(member));
///     }
///     group.wait();
///     assert_eq!(group.count(), 0);
/// });
/// ```
#[repr(C)]
pub struct WaitGroup {
    word: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::wait_group;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(WaitGroup, word) == wait_group::WORD);
    assert!(size_of::<WaitGroup>() == wait_group::SIZE);
    assert!(align_of::<WaitGroup>() == wait_group::ALIGN);
};

impl WaitGroup {
    /// The most members that a group can have at once.
    pub const COUNT_MAX: u32 = GROUP_COUNT_MASK;

    const_unless_loom! {
        /// A group without members.
        #[must_use]
        pub fn new() -> Self {
            Self { word: AtomicU32::new(0) }
        }
    }

    /// Adds `n` members. Do so before anybody could see them done: before they are spawned.
    ///
    /// # Errors
    /// [`CountError`] if there would be more than [`WaitGroup::COUNT_MAX`]; none is added.
    pub fn add(&self, n: u32) -> Result<(), CountError> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let count = word & GROUP_COUNT_MASK;
            if n > Self::COUNT_MAX - count {
                return Err(CountError::new(count, i64::from(n), Self::COUNT_MAX));
            }
            match self.word.compare_exchange_weak(
                word,
                word + n,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// A member is done. The last one wakes everybody who waits.
    ///
    /// # Errors
    /// [`CountError`] if there is no member.
    pub fn done(&self) -> Result<(), CountError> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let fewer = match word & GROUP_COUNT_MASK {
                0 => return Err(CountError::new(0, -1, Self::COUNT_MAX)),
                1 => (word - 1).wrapping_add(ROUND),
                _ => word - 1,
            };
            // Release: publishes what the member did to the Acquire of those who look. Acquire: the last one hands on
            // what the others published.
            match self
                .word
                .compare_exchange_weak(word, fewer, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    if fewer & GROUP_COUNT_MASK == 0 {
                        futex::wake_all(&self.word);
                    }
                    return Ok(());
                }
                Err(now) => word = now,
            }
        }
    }

    /// Adds a member that is done when it is dropped.
    ///
    /// # Panics
    /// If there are [`WaitGroup::COUNT_MAX`] already.
    #[track_caller]
    pub fn member(&self) -> Member<'_> {
        if let Err(error) = self.add(1) {
            panic!("{error}");
        }
        Member { group: self }
    }

    /// Waits until no member is left.
    ///
    /// # Panics
    /// If the thread may not block and members are left for [`SPIN_LIMIT`](crate::SPIN_LIMIT).
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.try_wait() {
            self.wait_contended(Deadline::NEVER);
        }
    }

    /// Waits until no member is left, for at most `timeout`; whether that came.
    ///
    /// # Panics
    /// As [`WaitGroup::wait`].
    #[inline]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.try_wait() || self.wait_contended(Deadline::after(timeout))
    }

    /// Waits until no member is left, as a task: of those that are there when the future is polled first. It may be dropped
    /// at any moment.
    pub async fn wait_async(&self) {
        let round = self.round();
        wait_until_async(&self.word, || self.attempt(round)).await;
    }

    /// Whether no member is left. If so, what they did can be seen.
    #[inline]
    #[must_use]
    pub fn try_wait(&self) -> bool {
        self.count() == 0
    }

    /// How many members are not done; of the past as soon as it is known.
    #[inline]
    #[must_use]
    pub fn count(&self) -> u32 {
        // Acquire: sees what the Release of `done` publishes.
        self.word.load(Ordering::Acquire) & GROUP_COUNT_MASK
    }

    #[cold]
    #[track_caller]
    fn wait_contended(&self, deadline: Deadline) -> bool {
        let round = self.round();
        wait_until(
            &self.word,
            WAITING_FOR_WAIT_GROUP,
            "a wait group",
            deadline,
            || self.attempt(round),
        )
        .is_some()
    }

    fn round(&self) -> u32 {
        // Acquire: as in `count`.
        self.word.load(Ordering::Acquire) >> GROUP_ROUND_SHIFT
    }

    /// Whether nobody is left, or has been since `round`; the word if not.
    fn attempt(&self, round: u32) -> Result<(), u32> {
        // Acquire: as in `count`.
        let word = self.word.load(Ordering::Acquire);
        if word & GROUP_COUNT_MASK == 0 || word >> GROUP_ROUND_SHIFT != round {
            Ok(())
        } else {
            Err(word)
        }
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("count", &self.count())
            .finish()
    }
}

/// A member of a [`WaitGroup`], done when it is dropped.
#[derive(Debug)]
#[must_use = "the member is done as soon as it is dropped"]
pub struct Member<'a> {
    group: &'a WaitGroup,
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        // An error means that somebody was done too often: that one was told.
        let _ = self.group.done();
    }
}
