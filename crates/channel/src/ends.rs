//! How many ends of a channel are open on each side, so that the last one closes it.
//!
//! # State
//! | where | means |
//! |---|---|
//! | an entry, bits 0–31 | the token of a registered thread; 0 when the entry is nobody's |
//! | an entry, bits 32–47 and 48–63 | how many sending and receiving ends are that thread's: TypeScript's, and Rust's that are bound to it |
//! | `senders`, `receivers` | the ends that are in no entry: Rust's that may move from thread to thread, and others |
//! | `added` | how many were added |
//!
//! A side has as many ends as its sum and the entries of living threads say. Nothing has to be taken away when a thread
//! dies: its entry counts no more, and is free for the next thread.
//!
//! # Invariants
//! 1. An entry is read and changed as one word. While its thread lives only that one changes it; once it is dead, anybody
//!    may free it or take it. So who looked at it before another thread took it changes nothing any more.
//! 2. A new end is counted, then `added`, and only then may the end go that it was made of: at no time is none of them
//!    counted.
//! 3. A side has no end if each place says so between two looks at `added` that see the same: what was counted meanwhile
//!    in one place was counted there all the time, or in the one from which it came.
//! 4. Who gives up an end, and who is about to sleep, looks whether a side has none. Of several that give up theirs at the
//!    same time the last one finds it; if it dies before, its death ends the sleep of the others, and these find it.
//!
//! # Memory orderings
//! SeqCst for all of it, which is rare: invariants 2 to 4 are an order between writes and reads of different words. The
//! places that say 0 may not be those of one moment, which invariant 3 is for; it fails if 2^32 ends are added during one
//! look.

use crate::layout::{END_COUNT_MAX, END_COUNTS, END_RECEIVERS_SHIFT, END_SENDERS_SHIFT};
use heddle_atomics::{
    registry::{self, Token},
    seam::{AtomicU32, AtomicU64, Ordering, seqcst_order},
};

/// The ends of one registered thread; see `EndCount` in `docs/layout.md`.
#[repr(C, align(8))]
pub(crate) struct EndCount {
    entry: AtomicU64,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::end_count as layout;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(EndCount, entry) == layout::ENTRY);
    assert!(size_of::<EndCount>() == layout::SIZE);
    assert!(align_of::<EndCount>() == layout::ALIGN);
};

pub(crate) type EndCounts = [EndCount; END_COUNTS as usize];

const FREE: u64 = 0;

pub(crate) fn no_ends() -> EndCounts {
    core::array::from_fn(|_| EndCount {
        entry: AtomicU64::new(FREE),
    })
}

/// Which ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Sending,
    Receiving,
}

/// The open ends of a channel, where its record has them.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a> {
    pub(crate) senders: &'a AtomicU32,
    pub(crate) receivers: &'a AtomicU32,
    pub(crate) added: &'a AtomicU32,
    pub(crate) entries: &'a EndCounts,
}

impl Ends<'_> {
    /// Counts one more end.
    pub(crate) fn add(self, end: End) {
        self.sum(end).fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        // Invariant 2.
        self.added.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
    }

    /// Gives up an end; `true` if it was the last one of its side.
    pub(crate) fn remove(self, end: End) -> bool {
        seqcst_order();
        self.sum(end).fetch_sub(1, Ordering::SeqCst) == 1 && self.has_none(end)
    }

    /// Whether a side has no end any more.
    pub(crate) fn is_deserted(self) -> bool {
        self.has_none(End::Sending) || self.has_none(End::Receiving)
    }

    /// Moves an end of this thread from the sum into the thread's entry, with which it goes; `None` if it stays in the sum, because the
    /// thread is in no registry or has no entry.
    pub(crate) fn bind(self, end: End) -> Option<Token> {
        let me = registry::current();
        if !me.is_registered() || !self.add_own(end, me) {
            return None;
        }
        seqcst_order();
        // Invariant 2.
        self.added.fetch_add(1, Ordering::SeqCst);
        seqcst_order();
        self.sum(end).fetch_sub(1, Ordering::SeqCst);
        Some(me)
    }

    /// Moves an end of this thread back into the sum.
    ///
    /// A thread that was declared dead and lives on has lost its ends (invariant 1): then it is counted once more until it goes.
    pub(crate) fn unbind(self, end: End, me: Token) {
        // Invariant 2.
        self.add(end);
        let Some(entry) = self.entry_of(me) else {
            return;
        };
        let own = entry.load(Ordering::SeqCst);
        let rest = own - (1 << shift_of(end));
        // Nobody but the thread needs it, once it has no end.
        let is_over = rest >> END_SENDERS_SHIFT == 0;
        let next = if is_over { FREE } else { rest };
        let _is_own = entry.compare_exchange(own, next, Ordering::SeqCst, Ordering::SeqCst);
        seqcst_order();
    }

    /// Counts an end in this thread's entry, if it has one or there is one for it.
    fn add_own(self, end: End, me: Token) -> bool {
        let unit = 1 << shift_of(end);
        let Some(entry) = self.entry_of(me) else {
            return self.take_entry(u64::from(me.bits()) | unit);
        };
        let own = entry.load(Ordering::SeqCst);
        // A failure means that this thread was declared dead, and has lost its ends (invariant 1).
        count_in(own, end) < u64::from(END_COUNT_MAX)
            && entry
                .compare_exchange(own, own + unit, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }

    /// The entry of a thread.
    fn entry_of(&self, thread: Token) -> Option<&AtomicU64> {
        let mut entries = self.places().iter().map(|place| &place.entry);
        // Its lower half.
        entries.find(|entry| entry.load(Ordering::SeqCst) as u32 == thread.bits())
    }

    /// Makes the first entry that is free or of a dead thread this one.
    fn take_entry(self, own: u64) -> bool {
        self.places().iter().any(|EndCount { entry }| {
            let mut seen = entry.load(Ordering::SeqCst);
            // Invariant 1; who looks whether there are ends may free it meanwhile.
            while !is_live(seen) {
                match entry.compare_exchange(seen, own, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return true,
                    Err(now) => seen = now,
                }
            }
            false
        })
    }

    /// For the model checker two stand for all: each look is one more place where threads could change.
    fn places(&self) -> &[EndCount] {
        let count = if cfg!(loom) { 2 } else { self.entries.len() };
        &self.entries[..count]
    }

    fn sum(&self, end: End) -> &AtomicU32 {
        match end {
            End::Sending => self.senders,
            End::Receiving => self.receivers,
        }
    }

    fn has_none(self, end: End) -> bool {
        loop {
            // Invariant 3.
            let added = self.added.load(Ordering::SeqCst);
            seqcst_order();
            if self.sum(end).load(Ordering::SeqCst) != 0 {
                return false;
            }
            if self.places().iter().any(|place| place.has(end)) {
                return false;
            }
            seqcst_order();
            if self.added.load(Ordering::SeqCst) == added {
                return true;
            }
        }
    }
}

impl EndCount {
    /// Whether a living thread has such an end here.
    fn has(&self, end: End) -> bool {
        seqcst_order();
        let entry = self.entry.load(Ordering::SeqCst);
        if is_live(entry) {
            return count_in(entry, end) > 0;
        }
        if entry != FREE {
            // Not for the count, but so that no later thread's token is found there once generations have gone round
            // (invariant 1).
            let _freed =
                self.entry
                    .compare_exchange(entry, FREE, Ordering::SeqCst, Ordering::SeqCst);
        }
        false
    }
}

/// How many such ends an entry has.
fn count_in(entry: u64, end: End) -> u64 {
    entry >> shift_of(end) & u64::from(END_COUNT_MAX)
}

const fn shift_of(end: End) -> u32 {
    match end {
        End::Sending => END_SENDERS_SHIFT,
        End::Receiving => END_RECEIVERS_SHIFT,
    }
}

/// Whether an entry is somebody's who lives.
fn is_live(entry: u64) -> bool {
    // Its lower half, where the token is as in a lock word.
    Token::of_lock_word(entry as u32).is_some_and(registry::is_live)
}

/// Here Rust plays TypeScript's part, too, whose threads count their ends in entries.
#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::{model::Builder, sync::Arc, thread};

    struct Record {
        senders: AtomicU32,
        receivers: AtomicU32,
        added: AtomicU32,
        entries: EndCounts,
    }

    impl Record {
        /// So many senders in the sum, and one receiver.
        fn new(senders: u32) -> Arc<Self> {
            Arc::new(Self {
                senders: AtomicU32::new(senders),
                receivers: AtomicU32::new(1),
                added: AtomicU32::new(0),
                entries: no_ends(),
            })
        }

        fn ends(&self) -> Ends<'_> {
            Ends {
                senders: &self.senders,
                receivers: &self.receivers,
                added: &self.added,
                entries: &self.entries,
            }
        }

        fn entry(&self) -> &AtomicU64 {
            &self.entries[0].entry
        }

        /// Counts a sender in the entry, if it is free or of a dead thread; else in the sum.
        fn add_as(&self, token: Token) -> bool {
            let entry = self.entry().load(Ordering::SeqCst);
            let own = one_sender_of(token);
            let is_taken = !is_live(entry)
                && self
                    .entry()
                    .compare_exchange(entry, own, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
            if is_taken {
                seqcst_order();
                self.added.fetch_add(1, Ordering::SeqCst);
                seqcst_order();
            } else {
                self.ends().add(End::Sending);
            }
            is_taken
        }

        /// Takes the sender from the entry; `true` if it was the last one.
        fn remove_as(&self, token: Token) -> bool {
            seqcst_order();
            let own = one_sender_of(token);
            let removed =
                self.entry()
                    .compare_exchange(own, FREE, Ordering::SeqCst, Ordering::SeqCst);
            removed.is_ok() && self.ends().has_none(End::Sending)
        }
    }

    fn one_sender_of(token: Token) -> u64 {
        u64::from(token.bits()) | 1 << END_SENDERS_SHIFT
    }

    fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(3);
        builder.max_branches = 100_000;
        builder.check(model);
    }

    /// Two count while a thread takes the entry of one that died. `look` is what they do.
    fn entry_of_the_dead(look: fn(&Record)) {
        check(move || {
            let record = Record::new(0);
            let dead = registry::allocate().unwrap();
            record.entry().store(one_sender_of(dead), Ordering::SeqCst);
            assert!(registry::reap_token(dead));
            let looking = [(); 2].map(|()| {
                let record = Arc::clone(&record);
                thread::spawn(move || look(&record))
            });
            let me = registry::allocate().unwrap();
            let is_in_entry = record.add_as(me);
            for looking in looking {
                looking.join().unwrap();
            }
            assert!(!record.ends().is_deserted(), "an end is lost");
            let is_last = if is_in_entry {
                record.remove_as(me)
            } else {
                record.ends().remove(End::Sending)
            };
            assert!(is_last);
        });
    }

    /// A sweeper that had read the token of a dead thread, and was overtaken by another one and by a thread that took the
    /// entry, took that thread's ends for those of the dead: the channel was closed under a sender.
    #[test]
    fn who_takes_the_entry_of_a_dead_thread_keeps_its_ends() {
        entry_of_the_dead(|record| {
            record.ends().is_deserted();
        });
    }

    #[test]
    #[should_panic(expected = "an end is lost")]
    fn an_entry_that_is_freed_unseen_is_found() {
        entry_of_the_dead(|record| {
            if !is_live(record.entry().load(Ordering::SeqCst)) {
                record.entry().store(FREE, Ordering::SeqCst);
            }
        });
    }

    /// A sender in the entry makes way for one in the sum, which `add` counts, while another thread counts.
    fn handed_over(add: fn(&Record)) {
        check(move || {
            let record = Record::new(0);
            let giver = registry::allocate().unwrap();
            record.entry().store(one_sender_of(giver), Ordering::SeqCst);
            let looking = {
                let record = Arc::clone(&record);
                thread::spawn(move || record.ends().is_deserted())
            };
            add(&record);
            assert!(!record.remove_as(giver));
            assert!(!looking.join().unwrap(), "there is always one");
        });
    }

    #[test]
    fn an_end_that_is_handed_over_is_counted_all_the_time() {
        handed_over(|record| record.ends().add(End::Sending));
    }

    #[test]
    #[should_panic(expected = "there is always one")]
    fn an_end_that_is_added_uncounted_is_found() {
        handed_over(|record| {
            record.senders.fetch_add(1, Ordering::SeqCst);
            seqcst_order();
        });
    }

    /// The last two senders go at the same time, from different places, and a third dies.
    #[test]
    fn of_those_who_go_one_is_the_last() {
        check(|| {
            let record = Record::new(1);
            let [giver, dying] = [(); 2].map(|()| registry::allocate().unwrap());
            record.entry().store(one_sender_of(giver), Ordering::SeqCst);
            record.entries[1]
                .entry
                .store(one_sender_of(dying), Ordering::SeqCst);
            let going = {
                let record = Arc::clone(&record);
                thread::spawn(move || record.remove_as(giver))
            };
            let dies = {
                let record = Arc::clone(&record);
                thread::spawn(move || {
                    registry::reap_token(dying);
                    // As who slept, and was told of the death.
                    record.ends().is_deserted()
                })
            };
            let is_last = record.ends().remove(End::Sending);
            let others = [going.join().unwrap(), dies.join().unwrap()];
            assert!(is_last || others.contains(&true));
        });
    }
}
