//! Sending and receiving as a task: the steps of the threads, with waits that may be dropped.
//!
//! # Invariants
//! 1. A task that goes after it was told of something tells another: it may have been meant for what that one waits for.
//! 2. A task keeps a side over a wait only in the middle of a message of several frames. It may be polled by another thread then,
//!    which becomes the owner of the side's lock; and the thread that was may have ended, and others have taken the lock from it.
//!    So after the wait, and when it is dropped, the task first looks whether it still has the side.
//!    A sender gives its message up, and begins again, also if its thread has ended and nobody has taken the side yet: the receiver
//!    may have seen that.
//! 3. A task that goes in the middle of such a message lets go of the side as one that gives up: nobody sees a part of it.

use super::*;

/// Takes the lock of a side as a task. A dead owner has left nothing half-done (invariant 1 of the protocol).
async fn take_async(lock: &RawMutex) {
    if lock.lock_async().await == Poisoned::Yes {
        lock.clear_poison();
    }
}

/// A task that waits at a side and may have been told of something. Dropped, it tells others in its place (invariant 1).
struct Told<'a> {
    side: &'a Side,
    count: u32,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.side.signal(self.count);
    }
}

/// A side that a task has while it waits (invariant 2). Dropped, it lets go of it.
struct Kept<'a, H> {
    lock: &'a RawMutex,
    owner: registry::Token,
    /// `None` once it was taken back.
    held: Option<H>,
    let_go: fn(H),
}

impl<'a, H> Kept<'a, H> {
    fn new(held: H, lock: &'a RawMutex, let_go: fn(H)) -> Self {
        Self {
            lock,
            owner: registry::current(),
            held: Some(held),
            let_go,
        }
    }

    /// What was kept, for the thread that runs this; `None` if it is somebody else's by now.
    fn take_back(mut self) -> Option<H> {
        self.take()
    }

    fn take(&mut self) -> Option<H> {
        let held = self.held.take()?;
        if self.lock.move_here(self.owner) {
            Some(held)
        } else {
            // It would unlock what others have.
            core::mem::forget(held);
            None
        }
    }
}

impl<H> Drop for Kept<'_, H> {
    fn drop(&mut self) {
        if let Some(held) = self.take() {
            (self.let_go)(held);
        }
    }
}

impl Core {
    /// [`Core::reserve`] as a task. Dropped before it is ready, it has reserved nothing.
    pub(crate) async fn reserve_async(
        &self,
        advance_at: impl Fn(u32) -> u32,
    ) -> Result<Reserved<'_>, Refusal> {
        take_async(&self.send_lock).await;
        match self.look_for_room(&advance_at, false) {
            Err(Refusal::NotNow) => {}
            result => return result,
        }
        let told = Told {
            side: &self.head,
            count: self.senders_to_wake(),
        };
        let mut has_slept = false;
        loop {
            // Before the looks: whoever dies after them has the wait end.
            let deaths = registry::deaths();
            // Invariant 2 of the protocol.
            let waiting = self.head.announce();
            self.take_again_async(&self.send_lock, &self.head, has_slept)
                .await;
            match self.look_for_room(&advance_at, has_slept) {
                Err(Refusal::NotNow) => {}
                result => {
                    core::mem::forget(told);
                    return result;
                }
            }
            if self.close_if_deserted() {
                return Err(Refusal::Closed);
            }
            waiting.sleep_async(deaths).await;
            has_slept = true;
        }
    }

    /// [`Core::claim`] as a task. Dropped before it is ready, it has claimed nothing.
    pub(crate) async fn claim_async(&self) -> Result<Claimed<'_>, Refusal> {
        take_async(&self.receive_lock).await;
        match self.look_for_message(false) {
            Err(Refusal::NotNow) => {}
            result => return result,
        }
        let told = Told {
            side: &self.tail,
            count: 1,
        };
        let mut has_slept = false;
        loop {
            // As in `reserve_async`.
            let deaths = registry::deaths();
            let waiting = self.tail.announce();
            self.take_again_async(&self.receive_lock, &self.tail, has_slept)
                .await;
            match self.look_for_message(has_slept) {
                Err(Refusal::NotNow) => {}
                result => {
                    core::mem::forget(told);
                    return result;
                }
            }
            if !self.close_if_deserted() {
                self.tell_of_receiver();
                waiting.sleep_async(deaths).await;
                has_slept = true;
            }
        }
    }

    /// [`Core::take_again`] as a task.
    async fn take_again_async(&self, lock: &RawMutex, side: &Side, has_slept: bool) {
        if has_slept && lock.owner().is_some() {
            side.signal(1);
        }
        take_async(lock).await;
    }

    /// [`Core::await_taken`] as a task. If the channel is closed, or the future dropped, the message is taken back, unless a receiver
    /// has the side: that one looks at the message.
    pub(crate) async fn await_taken_async(&self, end: u32) -> Result<(), Refusal> {
        let message = Untaken { core: self, end };
        loop {
            // As in `reserve_async`.
            let deaths = registry::deaths();
            let waiting = self.head.announce();
            if self.is_taken(end) {
                return Ok(());
            }
            if self.is_closed() || self.close_if_deserted() {
                drop(waiting);
                take_async(&self.receive_lock).await;
                return if message.take_back() {
                    Err(Refusal::Closed)
                } else {
                    Ok(())
                };
            }
            waiting.sleep_async(deaths).await;
        }
    }
}

/// A message in a rendezvous that its sender waits for to be taken. Dropped, it is taken back.
struct Untaken<'a> {
    core: &'a Core,
    end: u32,
}

impl Untaken<'_> {
    /// Takes the message out with the receiving side, and lets go of that; `false` if a receiver has taken it.
    fn take_back(&self) -> bool {
        let core = self.core;
        // Relaxed: only the owner of the lock moves it.
        let head = core.head.position.load(Ordering::Relaxed) & POSITION_MASK;
        let claimed = Claimed {
            core,
            head,
            has_slept: false,
        };
        // Nobody has looked at the message yet: what was seen of the tail must not be behind the head.
        claimed.look();
        let is_there = !core.is_taken(self.end);
        if is_there {
            let units = self.end.wrapping_sub(head);
            claimed.release(units);
        }
        is_there
    }
}

impl Drop for Untaken<'_> {
    fn drop(&mut self) {
        let core = self.core;
        if core.is_taken(self.end) {
            return;
        }
        if let Some(poisoned) = core.receive_lock.try_lock() {
            if poisoned == Poisoned::Yes {
                core.receive_lock.clear_poison();
            }
            self.take_back();
        }
    }
}

impl<'a> Claimed<'a> {
    /// [`Claimed::await_more`] as a task; `None` if the next frame won't come, or the side was lost with its thread.
    pub(crate) async fn await_more_async(mut self) -> Option<Claimed<'a>> {
        let core = self.core;
        loop {
            // As in `reserve_async`.
            let deaths = registry::deaths();
            let waiting = core.tail.announce();
            if self.has_more() {
                return Some(self);
            }
            if core.is_sender_gone() || core.is_closed() {
                // It may have sent the frame before it went.
                return self.has_more().then_some(self);
            }
            let kept = Kept::new(self, &core.receive_lock, Claimed::keep);
            waiting.sleep_async(deaths).await;
            self = kept.take_back()?;
        }
    }
}

impl<'a> Reserved<'a> {
    /// [`Reserved::next_part`] as a task; `None` if the side was lost with its thread.
    pub(crate) async fn next_part_async(
        mut self,
        advance_at: impl Fn(u32) -> u32,
    ) -> Result<Option<Reserved<'a>>, Refusal> {
        let core = self.core;
        loop {
            // As in `reserve_async`.
            let deaths = registry::deaths();
            let waiting = core.head.announce();
            self.move_to_tail(&advance_at);
            if self.tail & POSITION_CLOSED != 0 || core.close_if_deserted() {
                self.abandon();
                return Err(Refusal::Closed);
            }
            if self.fits_now(u32::MAX) {
                return Ok(Some(self));
            }
            let kept = Kept::new(self, &core.send_lock, Reserved::abandon);
            let owner = kept.owner;
            waiting.sleep_async(deaths).await;
            let Some(reserved) = kept.take_back() else {
                return Ok(None);
            };
            if !registry::is_live(owner) {
                // Nobody has taken the side, but a receiver may have found it abandoned (`is_sender_gone`).
                reserved.abandon();
                return Ok(None);
            }
            self = reserved;
        }
    }
}
