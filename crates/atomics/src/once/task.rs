//! Doing something once as a task, also in many turns.
//!
//! An initialiser that is a future runs in the name of the thread that polls it: that one's death ends it. As long as it isn't ready,
//! other tasks of the thread wait for it as everybody does; only who blocks the thread for it is refused.

use super::{Begun, NOT_BEGUN, Once, OnceState, POISON_MESSAGE, Running};
use crate::{
    layout::OWNER_MASK,
    registry::{self, Token},
    seam::Ordering,
    waiting::wait_until_async,
};
use core::{
    future::{Future, poll_fn},
    pin::pin,
};

impl Once {
    /// As [`Once::call_once`], but that a task waits for an initialiser that is running. `f` itself runs in one go.
    ///
    /// Dropped before it is ready, the future has run nothing.
    ///
    /// # Panics
    /// If the once is poisoned. A panic of `f` poisons.
    pub async fn call_once_async<F: FnOnce()>(&self, f: F) {
        let begun = wait_until_async(&self.word, || self.try_begin_or_announce(false)).await;
        self.run(Some(begun), |_| f());
    }

    /// As [`Once::call_once_async`], also if the once is poisoned; `f` is told.
    ///
    /// # Panics
    /// A panic of `f` poisons.
    pub async fn call_once_force_async<F: FnOnce(&OnceState)>(&self, f: F) {
        let begun = wait_until_async(&self.word, || self.try_begin_or_announce(true)).await;
        self.run(Some(begun), f);
    }

    /// Waits as a task until an initialiser has succeeded. The future may be dropped at any moment.
    ///
    /// # Panics
    /// If the once is or gets poisoned.
    pub async fn wait_async(&self) {
        let is_complete = wait_until_async(&self.word, || self.completion(false)).await;
        assert!(is_complete, "{}", POISON_MESSAGE);
    }

    /// Waits as a task until an initialiser has succeeded, however many fail before.
    pub async fn wait_force_async(&self) {
        wait_until_async(&self.word, || self.completion(true)).await;
    }

    /// Runs the future that `f` gives unless an initialiser has succeeded already; a task waits for one that is running.
    ///
    /// Dropped before it is ready, or if `f` panics, the once is as it was before.
    ///
    /// # Panics
    /// If `f` does; or if the thread that polled it last was declared dead, or has ended, and it is polled by another one.
    pub(crate) async fn run_async<F: Future<Output = ()>>(&self, f: impl FnOnce() -> F) {
        let begun = wait_until_async(&self.word, || self.try_begin_or_announce(true)).await;
        let Begun::Mine(mut running) = begun else {
            return;
        };
        if !running.state.is_poisoned {
            running.end = NOT_BEGUN;
        }
        let mut initialiser = pin!(f());
        poll_fn(|context| {
            running.move_here();
            initialiser.as_mut().poll(context)
        })
        .await;
        running.complete();
    }

    /// Begins, or tells on which word to sleep.
    fn try_begin_or_announce(&self, accept_poison: bool) -> Result<Begun<'_>, u32> {
        self.try_begin_as(accept_poison)
            .map_err(|word| self.announce(word))
    }
}

impl Running<'_> {
    /// Has the initialiser run in the name of this thread.
    fn move_here(&mut self) {
        let me = registry::current();
        if me == self.me {
            return;
        }
        let word = &self.once.word;
        let mut now = word.load(Ordering::Relaxed);
        while registry::is_live(self.me) && Token::of_lock_word(now) == Some(self.me) {
            let moved = now & !OWNER_MASK | me.bits();
            // Relaxed: as for whoever moves the task, and nothing is published before the end.
            match word.compare_exchange(now, moved, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.me = me;
                    return;
                }
                Err(other) => now = other,
            }
        }
        panic!(
            "the thread that ran the initialiser of a once has ended, and the initialiser with it"
        );
    }
}
