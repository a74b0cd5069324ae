//! A reader-writer lock whose readers are known by name.
//!
//! It promises: a writer is alone; readers share; what a writer wrote, later readers and writers see; a writer that died is
//! noticed, and a registered reader that died keeps nobody out.
//!
//! # State
//! | word | means |
//! |---|---|
//! | `writer` | a [`RawMutex`]: held by whoever writes, or waits for the readers to leave; also, for a moment, by a reader that had to wait |
//! | `seats` | the tokens of registered threads that read, one a seat; 0 is free |
//! | `crowd` | how many read without a seat: threads outside the registry, and those that found all seats taken |
//! | `departures` | one more when a reader leaves, or any thread dies, while `writer` is taken: the writer sleeps on it |
//!
//! # Invariants
//! 1. A reader is in a seat or in the crowd before it looks at `writer`; a writer has taken `writer` before it looks at the
//!    seats and the crowd. Either the reader sees the writer, and stands up again, or the writer sees the reader, and waits.
//! 2. A seat is taken and freed by the thread it names, except when that is dead: then whoever finds that out frees it.
//! 3. A reader that leaves frees its place before it looks at `writer`. A writer reads `departures` before it looks for readers:
//!    either it sees the place free, or the reader sees the writer and changes what it sleeps on.
//!
//! # Fairness
//! A writer isn't starved by readers: once it has `writer`, nobody else begins to read. A reader isn't starved by writers: having had
//! to wait once, it takes its turn for `writer` like a writer does, sits down, and lets go at once. So both wait in one queue, that
//! of the mutex, with the mutex's fairness. A reader that reads again while a writer waits for its first read would wait for itself.
//!
//! # Memory orderings
//! Invariants 1 and 3 are each a write followed by a read of another word on both sides: SeqCst, and on the writer's side a fence,
//! since taking the mutex is `Acquire` only. The free seat (`Release` in it) hands the reader's reads over to the writer's scan.
//!
//! # Limits
//! A reader in the crowd that dies keeps writers out for ever: the promise is for registered threads, up to
//! [`RW_LOCK_SEAT_COUNT`](crate::layout::RW_LOCK_SEAT_COUNT) readers of one lock at once. A thread that dies in the moment in which it holds
//! `writer` to sit down poisons the lock, though it wrote nothing.
//!
//! # Source
//! The flags of readers that a writer scans are those of "big-reader" locks (J. Corbet, "Big reader locks", LWN 2010), with names
//! in them, as Linux's robust futexes have in theirs.

use crate::{
    Deadline, Parked, Poisoned, RawMutex, futex,
    layout::WAITING_FOR_RW_LOCK,
    lock_order, park,
    registry::{self, Token, WAITS_ON_SEQUENCE},
    seam::{AtomicU32, Ordering, fence, seqcst_order},
    spin_while,
};
use core::{fmt, marker::PhantomData, mem::ManuallyDrop, time::Duration};

#[cfg(not(loom))]
const SEATS: usize = crate::layout::RW_LOCK_SEAT_COUNT as usize;
/// Few, so that the model has a crowd too.
#[cfg(loom)]
const SEATS: usize = 2;

const NAME: &str = "a reader-writer lock";

/// The record of a reader-writer lock, at an address that TypeScript may share (`RwLock` in `docs/layout.md`).
///
/// It guards no data by itself: see [`RwLock`](crate::RwLock).
#[repr(C)]
pub struct RawRwLock {
    writer: RawMutex,
    departures: AtomicU32,
    crowd: AtomicU32,
    seats: [AtomicU32; SEATS],
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::rw_lock;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(RawRwLock, writer) == rw_lock::WRITER);
    assert!(offset_of!(RawRwLock, departures) == rw_lock::DEPARTURES);
    assert!(offset_of!(RawRwLock, crowd) == rw_lock::CROWD);
    assert!(offset_of!(RawRwLock, seats) == rw_lock::SEATS);
    assert!(size_of::<RawRwLock>() == rw_lock::SIZE);
    assert!(align_of::<RawRwLock>() == rw_lock::ALIGN);
};

impl RawRwLock {
    const_unless_loom! {
        /// An unlocked one.
        #[must_use]
        pub fn new() -> Self {
            Self {
                writer: RawMutex::new(),
                departures: AtomicU32::new(0),
                crowd: AtomicU32::new(0),
                #[cfg(not(loom))]
                seats: [const { AtomicU32::new(0) }; SEATS],
                #[cfg(loom)]
                seats: core::array::from_fn(|_| AtomicU32::new(0)),
            }
        }
    }

    /// Begins to read, waiting as long as it takes.
    ///
    /// # Panics
    /// If this thread writes already (where it is registered), or if it may not block and the writer stays.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> Poisoned {
        self.read_named(&NAME)
    }

    /// [`RawRwLock::read`], with the name that a panic gives the lock.
    #[inline]
    #[track_caller]
    pub fn read_named(&self, name: &dyn fmt::Display) -> Poisoned {
        lock_order::check(&self.writer);
        match self.try_read() {
            Some(poisoned) => poisoned,
            None => self
                .read_contended(Deadline::NEVER, name)
                .expect("a wait without a deadline doesn't time out"),
        }
    }

    /// Begins to read if that is possible without waiting.
    #[inline]
    pub fn try_read(&self) -> Option<Poisoned> {
        let me = registry::current();
        self.sit_down(me);
        seqcst_order();
        match self.writer.free() {
            None => self.try_read_slowly(me),
            free => free,
        }
    }

    /// Begins to read, waiting for at most `timeout`; `None` if it wasn't to be had.
    ///
    /// # Panics
    /// As [`RawRwLock::read`].
    #[inline]
    #[track_caller]
    pub fn read_timeout(&self, timeout: Duration) -> Option<Poisoned> {
        match self.try_read() {
            None => self.read_contended(Deadline::after(timeout), &NAME),
            taken => taken,
        }
    }

    /// Begins to read as a task, for the thread that polls the future when it is ready.
    ///
    /// Dropped before it is ready, the future leaves no trace.
    pub async fn read_async(&self) -> Poisoned {
        match self.try_read() {
            Some(poisoned) => poisoned,
            None => {
                let poisoned = self.writer.lock_async().await;
                self.pass_to_seat();
                poisoned
            }
        }
    }

    /// Ends a read of this thread's.
    ///
    /// # Safety
    /// This thread reads, and uses nothing on the strength of that any more.
    #[inline]
    pub unsafe fn unlock_read(&self) {
        self.stand_up(registry::current());
    }

    /// Begins to write, waiting as long as it takes.
    ///
    /// # Panics
    /// If this thread reads or writes already (where it is registered), or if it may not block and others stay.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> Poisoned {
        self.write_named(&NAME)
    }

    /// [`RawRwLock::write`], with the name that a panic gives the lock.
    #[inline]
    #[track_caller]
    pub fn write_named(&self, name: &dyn fmt::Display) -> Poisoned {
        self.write_until(Deadline::NEVER, name)
            .expect("a wait without a deadline doesn't time out")
    }

    /// Begins to write if that is possible without waiting.
    pub fn try_write(&self) -> Option<Poisoned> {
        // First without a trace, so that a reader that tries meanwhile isn't turned away.
        if self.has_readers() {
            return None;
        }
        let poisoned = self.writer.try_lock()?;
        let held = Held(self, PhantomData);
        fence(Ordering::SeqCst);
        if self.has_readers() {
            return None;
        }
        let _held = ManuallyDrop::new(held);
        Some(poisoned)
    }

    /// Begins to write, waiting for at most `timeout`; `None` if it wasn't to be had.
    ///
    /// # Panics
    /// As [`RawRwLock::write`].
    #[track_caller]
    pub fn write_timeout(&self, timeout: Duration) -> Option<Poisoned> {
        self.write_until(Deadline::after(timeout), &NAME)
    }

    /// Begins to write as a task. The future stays on its thread, in whose name it keeps new readers out while it waits for
    /// those that are there.
    ///
    /// Dropped before it is ready, it leaves no trace.
    pub async fn write_async(&self) -> Poisoned {
        let poisoned = self.writer.lock_async().await;
        // SeqCst: invariant 1, as in `write_until`.
        fence(Ordering::SeqCst);
        if self.has_readers() {
            self.wait_for_readers_async().await;
        }
        poisoned
    }

    /// Ends this thread's write.
    ///
    /// # Safety
    /// This thread writes, and uses nothing on the strength of that any more.
    #[inline]
    pub unsafe fn unlock_write(&self) {
        // SAFETY: who writes holds it.
        unsafe { self.writer.unlock() };
    }

    /// Ends this thread's write for who has waited longest: [`RawMutex::unlock_fair`].
    ///
    /// # Safety
    /// As [`RawRwLock::unlock_write`].
    pub unsafe fn unlock_write_fair(&self) {
        // SAFETY: who writes holds it.
        unsafe { self.writer.unlock_fair() };
    }

    /// Goes on reading after this thread's write, with no other writer between.
    ///
    /// # Safety
    /// This thread writes, and only reads from here on.
    pub unsafe fn downgrade(&self) {
        // The next writer sees the seat through the mutex.
        self.sit_down(registry::current());
        // SAFETY: who writes holds it.
        unsafe { self.writer.unlock() };
    }

    /// Marks the lock as poisoned, for the writer's own use when it panics.
    #[cold]
    pub fn poison(&self) {
        self.writer.poison();
    }

    /// Declares what the lock guards sound again.
    pub fn clear_poison(&self) {
        self.writer.clear_poison();
    }

    /// Whether a writer died or panicked. May change at any time unless this thread writes.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.writer.is_poisoned()
    }

    pub(crate) fn poisoned(&self) -> Poisoned {
        if self.is_poisoned() {
            Poisoned::Yes
        } else {
            Poisoned::No
        }
    }

    /// Who writes, or waits for the readers to leave; of interest only to people and to the writer itself.
    #[must_use]
    pub fn writer(&self) -> Option<Token> {
        self.writer.owner()
    }

    /// What stands for the whole lock in reports of deadlocks.
    pub(crate) fn writer_lock(&self) -> &RawMutex {
        &self.writer
    }

    /// Whether anybody reads, as far as can be known; of the past as soon as it is known.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.has_readers()
    }

    /// Takes a place among the readers.
    #[inline]
    fn sit_down(&self, me: Token) {
        lock_order::note_taken(&self.writer);
        if me.is_registered() {
            let first = preferred_seat(me);
            // SeqCst: invariant 1.
            let seat = &self.seats[first];
            if seat
                .compare_exchange(0, me.bits(), Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
                || self.sit_elsewhere(me, first)
            {
                return;
            }
        }
        // SeqCst: invariant 1.
        self.crowd.fetch_add(1, Ordering::SeqCst);
    }

    #[cold]
    fn sit_elsewhere(&self, me: Token, first: usize) -> bool {
        let take = |seat: &AtomicU32, expected: u32| {
            // SeqCst: invariant 1.
            seat.compare_exchange(expected, me.bits(), Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        };
        let others = || (1..SEATS).map(|i| &self.seats[(first + i) % SEATS]);
        others().any(|seat| seat.load(Ordering::Relaxed) == 0 && take(seat, 0))
            || others().any(|seat| {
                let sitting = seat.load(Ordering::SeqCst);
                sitting != 0 && !registry::is_live(Token(sitting)) && take(seat, sitting)
            })
    }

    /// Leaves a place that `me` has, and tells the writer if there is one.
    #[inline]
    fn stand_up(&self, me: Token) {
        lock_order::note_released(&self.writer);
        if !self.free_seat_of(me) {
            // One that left the registry, or was declared dead, may have lost its seat: others' places aren't its to give.
            if me.is_registered() && !registry::is_live(me) {
                return;
            }
            // SeqCst: invariant 3. Release in it: the reads are over.
            let before = self.crowd.fetch_sub(1, Ordering::SeqCst);
            debug_assert_ne!(before, 0, "a read is ended by the one who began it");
        }
        seqcst_order();
        if self.writer.free().is_none() {
            self.tell_writer();
        }
    }

    #[inline]
    fn free_seat_of(&self, me: Token) -> bool {
        if !me.is_registered() {
            return false;
        }
        let first = preferred_seat(me);
        (0..SEATS).any(|i| {
            let seat = &self.seats[(first + i) % SEATS];
            // Nobody else writes this thread's name; SeqCst for invariant 3, Release in it: the reads are over.
            seat.load(Ordering::Relaxed) == me.bits()
                && seat
                    .compare_exchange(me.bits(), 0, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
        })
    }

    #[cold]
    fn tell_writer(&self) {
        // SeqCst: invariant 3.
        self.departures.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&self.departures);
    }

    /// Whether anybody alive reads; frees the seats of the dead.
    #[inline]
    fn has_readers(&self) -> bool {
        // SeqCst: invariants 1 and 3. Acquire in it: the readers' reads are over.
        self.crowd.load(Ordering::SeqCst) != 0
            || self.seats.iter().any(|seat| {
                let sitting = seat.load(Ordering::SeqCst);
                sitting != 0 && !free_if_dead(seat, sitting)
            })
    }

    #[cold]
    fn try_read_slowly(&self, me: Token) -> Option<Poisoned> {
        self.stand_up(me);
        // The writer may be dead.
        let poisoned = self.writer.try_lock()?;
        self.pass_to_seat();
        Some(poisoned)
    }

    #[cold]
    #[track_caller]
    fn read_contended(&self, deadline: Deadline, name: &dyn fmt::Display) -> Option<Poisoned> {
        let poisoned = self.writer.lock_until(deadline, name)?;
        self.pass_to_seat();
        Some(poisoned)
    }

    /// Sits down for a reader that took `writer` in passing.
    fn pass_to_seat(&self) {
        self.sit_down(registry::current());
        // SAFETY: the caller has taken it. The next writer sees the seat through the mutex.
        unsafe { self.writer.unlock() };
    }

    #[inline]
    #[track_caller]
    fn write_until(&self, deadline: Deadline, name: &dyn fmt::Display) -> Option<Poisoned> {
        let poisoned = self.writer.lock_until(deadline, name)?;
        // SeqCst: invariant 1, with the reader that took its place before it looked at `writer`.
        fence(Ordering::SeqCst);
        if !self.has_readers() || self.wait_for_readers(deadline, name) {
            Some(poisoned)
        } else {
            None
        }
    }

    /// Waits, holding `writer`, until the readers have left; without `writer` if it returns `false` or panics.
    #[cold]
    #[track_caller]
    fn wait_for_readers(&self, deadline: Deadline, name: &dyn fmt::Display) -> bool {
        let held = Held(self, PhantomData);
        let me = registry::current();
        let mut is_over = false;
        loop {
            // SeqCst: invariant 3.
            let departures = self.departures.load(Ordering::SeqCst);
            seqcst_order();
            if !self.has_readers() {
                let _held = ManuallyDrop::new(held);
                return true;
            }
            if is_over {
                return false;
            }
            assert!(
                !me.is_registered() || !self.is_seated(me),
                "{name} at {self:p} is read by this very thread ({me:?})"
            );
            if spin_while(&self.departures, departures) {
                continue;
            }
            let parked = park(
                &self.departures,
                departures,
                WAITS_ON_SEQUENCE | WAITING_FOR_RW_LOCK,
                deadline,
                // A reader may have died before a reaper could know that we wait.
                || self.has_readers(),
                name,
            );
            is_over = parked == Parked::TimedOut;
        }
    }

    /// [`RawRwLock::wait_for_readers`] for a task.
    #[cold]
    async fn wait_for_readers_async(&self) {
        let held = Held(self, PhantomData);
        loop {
            // Before the look: whoever dies after it has the wait end.
            let deaths = registry::deaths();
            // SeqCst: invariant 3.
            let departures = self.departures.load(Ordering::SeqCst);
            seqcst_order();
            if !self.has_readers() {
                let _held = ManuallyDrop::new(held);
                return;
            }
            futex::wait_async(&self.departures, departures, deaths, None).await;
        }
    }

    fn is_seated(&self, token: Token) -> bool {
        self.seats
            .iter()
            .any(|seat| seat.load(Ordering::Relaxed) == token.bits())
    }
}

/// Lets go of `writer` again, on the thread in whose name it was taken.
struct Held<'a>(&'a RawRwLock, PhantomData<*const ()>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: it is made by who has just taken it.
        unsafe { self.0.writer.unlock() };
    }
}

/// Where the search of a thread for a seat begins: threads of neighbouring slots don't meet.
#[inline]
fn preferred_seat(token: Token) -> usize {
    token.slot() as usize % SEATS
}

#[cold]
fn free_if_dead(seat: &AtomicU32, sitting: u32) -> bool {
    !registry::is_live(Token(sitting))
        && seat
            // Acquire isn't needed: what the dead have read is of no interest.
            .compare_exchange(sitting, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
}

impl Default for RawRwLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRwLock")
            .field("writer", &self.writer())
            .field("is_read", &self.is_read())
            .field("is_poisoned", &self.is_poisoned())
            .finish()
    }
}
