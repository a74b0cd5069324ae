//! A barrier: a fixed number of threads that wait for each other, again and again.
//!
//! It promises: nobody goes on before all parties have arrived, and then all of them do, and see what each did before; exactly
//! one of each generation is the leader. The barrier is ready for the next generation at once. A wait that ends early takes its
//! arrival back.
//!
//! # State
//! | bits of `word` | means |
//! |---|---|
//! | 0–11 | how many have arrived in this generation |
//! | 12–31 | the generation, one more each time all have arrived |
//!
//! `parties` says how many have to arrive.
//!
//! # Invariants
//! 1. Arrivals and generation change in one step, so `arrived < parties`, and an arrival can be taken back exactly while its
//!    generation lasts.
//! 2. Whoever completes a generation wakes everybody. A waiter compares the whole word as it falls asleep, so it either sees the
//!    new generation or is woken by it.
//!
//! # Threads that die
//! An arrival counts, also when its thread is dead by the time the others come. A thread that dies before it has arrived keeps the
//! others waiting, since the barrier doesn't know who its parties are: wait with a timeout where that can happen.
//!
//! # Fairness
//! All of a generation go on. With more threads than parties, who arrives first goes first.
//!
//! # Memory orderings
//! Arriving is `AcqRel`: the last one collects what all others published, and hands it on to the `Acquire` of those who wait.
//!
//! # Source
//! `std::sync::Barrier`, without its lock.

use crate::{
    Deadline, futex,
    layout::{
        BARRIER_ARRIVED_MASK, BARRIER_GENERATION_SHIFT, BARRIER_PARTIES_MAX, WAITING_FOR_BARRIER,
    },
    seam::{AtomicU32, Ordering},
    waiting::{wait_until, wait_until_async},
};
use core::{fmt, time::Duration};

/// A barrier, as `std::sync::Barrier`; the record `Barrier` of `docs/layout.md`.
///
/// ```
/// use heddle_atomics::Barrier;
/// use std::{sync::atomic::{AtomicU32, Ordering}, thread};
///
/// let barrier = Barrier::new(3);
/// let leaders = AtomicU32::new(0);
/// thread::scope(|scope| {
///     for _ in 0..3 {
///         scope.spawn(|| {
///             if barrier.wait().is_leader() {
///                 leaders.fetch_add(1, Ordering::Relaxed);
///             }
///         });
///     }
/// });
/// assert_eq!(leaders.into_inner(), 1);
/// ```
#[repr(C)]
pub struct Barrier {
    word: AtomicU32,
    parties: AtomicU32,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::barrier;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Barrier, word) == barrier::WORD);
    assert!(offset_of!(Barrier, parties) == barrier::PARTIES);
    assert!(size_of::<Barrier>() == barrier::SIZE);
    assert!(align_of::<Barrier>() == barrier::ALIGN);
};

/// Whether this thread leads its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// `true` for exactly one thread of each generation: the one that arrived last.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// What an arrival was.
enum Arrival {
    /// The last one: the generation is complete.
    Last,
    /// One of those who wait, in this generation.
    Early { generation: u32 },
}

impl Barrier {
    /// The most parties that a barrier can have.
    pub const PARTIES_MAX: u32 = BARRIER_PARTIES_MAX;

    const_unless_loom! {
        /// A barrier for `parties` threads; 0 is as good as 1.
        ///
        /// # Panics
        /// If there are more than [`Barrier::PARTIES_MAX`].
        #[must_use]
        pub fn new(parties: u32) -> Self {
            assert!(parties <= Self::PARTIES_MAX, "a barrier has at most 4095 parties");
            Self {
                word: AtomicU32::new(0),
                parties: AtomicU32::new(if parties == 0 { 1 } else { parties }),
            }
        }
    }

    /// Waits until all parties have arrived.
    ///
    /// # Panics
    /// If the thread may not block and the others don't arrive within [`SPIN_LIMIT`](crate::SPIN_LIMIT); its arrival is taken
    /// back then.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        match self.wait_before(Deadline::NEVER) {
            Some(result) => result,
            None => unreachable!("a wait without a deadline doesn't time out"),
        }
    }

    /// Waits until all parties have arrived, for at most `timeout`. `None` if they didn't; the arrival is taken back then.
    ///
    /// # Panics
    /// As [`Barrier::wait`].
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        self.wait_before(Deadline::after(timeout))
    }

    /// Waits until all parties have arrived, as a task: one arrives when its future is polled first.
    ///
    /// Dropped before it is ready, the future takes the arrival back, unless all have arrived.
    pub async fn wait_async(&self) -> BarrierWaitResult {
        let Some(Arrival::Early { generation }) = self.arrive(false) else {
            return BarrierWaitResult { is_leader: true };
        };
        let waiting = Waiting {
            barrier: self,
            generation,
        };
        wait_until_async(&self.word, || self.attempt(generation)).await;
        core::mem::forget(waiting);
        BarrierWaitResult { is_leader: false }
    }

    /// Arrives if all others have; `None`, and nothing has happened, if somebody is missing.
    pub fn try_wait(&self) -> Option<BarrierWaitResult> {
        match self.arrive(true)? {
            Arrival::Last => Some(BarrierWaitResult { is_leader: true }),
            Arrival::Early { .. } => unreachable!("an arrival that is last or none"),
        }
    }

    /// How many have to arrive.
    #[must_use]
    pub fn parties(&self) -> u32 {
        // Relaxed: it never changes.
        self.parties.load(Ordering::Relaxed)
    }

    /// How many have arrived in this generation; of the past as soon as it is known.
    #[must_use]
    pub fn arrived(&self) -> u32 {
        self.word.load(Ordering::Relaxed) & BARRIER_ARRIVED_MASK
    }

    #[track_caller]
    fn wait_before(&self, deadline: Deadline) -> Option<BarrierWaitResult> {
        let Some(Arrival::Early { generation }) = self.arrive(false) else {
            return Some(BarrierWaitResult { is_leader: true });
        };
        let waiting = Waiting {
            barrier: self,
            generation,
        };
        let came = wait_until(
            &self.word,
            WAITING_FOR_BARRIER,
            "a barrier",
            deadline,
            || self.attempt(generation),
        );
        core::mem::forget(waiting);
        let is_over = came.is_some() || !self.take_back(generation);
        is_over.then_some(BarrierWaitResult { is_leader: false })
    }

    /// Whether the generation is complete; the word if not.
    fn attempt(&self, generation: u32) -> Result<(), u32> {
        // Acquire: sees what the last arrival collected.
        let word = self.word.load(Ordering::Acquire);
        if word >> BARRIER_GENERATION_SHIFT == generation {
            Err(word)
        } else {
            Ok(())
        }
    }

    /// Counts this thread in; `None` if it should be the last and isn't.
    fn arrive(&self, only_as_last: bool) -> Option<Arrival> {
        let parties = self.parties();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let is_last = (word & BARRIER_ARRIVED_MASK) + 1 >= parties;
            if only_as_last && !is_last {
                return None;
            }
            let generation = word >> BARRIER_GENERATION_SHIFT;
            let next = if is_last {
                generation.wrapping_add(1) << BARRIER_GENERATION_SHIFT
            } else {
                word + 1
            };
            // AcqRel: publishes what this thread did, and collects what those before it published.
            match self
                .word
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if is_last => {
                    futex::wake_all(&self.word);
                    return Some(Arrival::Last);
                }
                Ok(_) => return Some(Arrival::Early { generation }),
                Err(now) => word = now,
            }
        }
    }

    /// Takes an arrival back; `false` if its generation is complete.
    fn take_back(&self, generation: u32) -> bool {
        // Acquire: as in `wait_before`, should the generation be complete.
        let mut word = self.word.load(Ordering::Acquire);
        while word >> BARRIER_GENERATION_SHIFT == generation {
            // Relaxed: what this thread published stays published, and nobody waits for less.
            match self.word.compare_exchange_weak(
                word,
                word - 1,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
}

/// One that waits. Dropped by a panic of the wait, or with its future, it takes its arrival back.
struct Waiting<'a> {
    barrier: &'a Barrier,
    generation: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.barrier.take_back(self.generation);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("arrived", &self.arrived())
            .finish()
    }
}
