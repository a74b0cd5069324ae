//! A channel with room: the protocol of `protocol.rs`, where a message is one slot of 8 units and the slot's cell holds the
//! value from `commit` to `release`; and beside its sleeping threads, the tasks that wait.

use super::{
    segments::{Segments, Slot},
    wakers::{Ticket, Wakers},
};
use crate::{
    layout::FRAME_ALIGN,
    protocol::{Core, Patience, Refusal, UNCOUNTED},
};
use core::{
    mem::{MaybeUninit, needs_drop},
    task::{Context, Poll},
};
use heddle_atomics::seam::Guarded;

/// The units of a position that one value takes.
pub(super) const UNITS: u32 = FRAME_ALIGN;

/// The most values of a channel.
pub(super) const CAPACITY_MAX: usize = 1 << 26;

/// Where the values are.
enum Slots<T> {
    /// All of them from the beginning; their count is a power of two.
    Array(Box<[Slot<T>]>),
    /// As many as there are values.
    Segments(Segments<T>),
}

/// Processors fetch cache lines in pairs. The core's first line ends one, so that what senders write lies in the next pair, and what receivers
/// write in the one behind.
#[repr(C, align(128))]
pub(super) struct Ring<T> {
    before: [u32; 16],
    pub(super) core: Core,
    slots: Slots<T>,
    pub(super) sending: Wakers,
    pub(super) receiving: Wakers,
}

// SAFETY: values move from thread to thread through the slots, so `T: Send` is needed; a slot is reached by one thread
// at a time, the owner of the lock of its side, so `T: Sync` isn't.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// With room for so many values, at least 1.
    pub(super) fn with_array(capacity: usize) -> Self {
        let slots = (0..capacity.next_power_of_two())
            .map(|_| Guarded::new(MaybeUninit::uninit()))
            .collect();
        Self::new(capacity, Slots::Array(slots))
    }

    /// With room that comes as it is needed, for so many values, at least 1.
    pub(super) fn with_segments(capacity: usize) -> Self {
        Self::new(capacity, Slots::Segments(Segments::new()))
    }

    fn new(capacity: usize, slots: Slots<T>) -> Self {
        let units = u32::try_from(capacity).expect("at most 2^26") * UNITS;
        Self {
            before: [0; 16],
            core: Core::new(units, UNCOUNTED, 0),
            slots,
            sending: Wakers::new(),
            receiving: Wakers::new(),
        }
    }

    /// # Safety
    /// The caller owns the sending side and reserved the position; the slot is used no longer than that.
    #[inline]
    unsafe fn slot_for_sending(&self, position: u32) -> &Slot<T> {
        match &self.slots {
            Slots::Array(slots) => slot_of(slots, position),
            // SAFETY: of the caller.
            Slots::Segments(segments) => unsafe { segments.for_sending(position) },
        }
    }

    /// # Safety
    /// The caller owns the receiving side and claimed the position; the slot is used no longer than that.
    #[inline]
    unsafe fn slot_for_receiving(&self, position: u32) -> &Slot<T> {
        match &self.slots {
            Slots::Array(slots) => slot_of(slots, position),
            // SAFETY: of the caller.
            Slots::Segments(segments) => unsafe { segments.for_receiving(position) },
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn send(&self, value: T, patience: Patience) -> Result<(), (T, Refusal)> {
        let reserved = match self.core.reserve(|_| UNITS, patience) {
            Ok(reserved) => reserved,
            Err(refusal) => return Err((value, refusal)),
        };
        // SAFETY: reserved.
        let slot = unsafe { self.slot_for_sending(reserved.position()) };
        // SAFETY: the reservation makes this thread the only one at this slot, which is empty.
        slot.with_mut(|slot| unsafe { (*slot).write(value) });
        match reserved.commit() {
            Ok(_end) => {
                self.receiving.wake_one();
                Ok(())
            }
            Err(_still_reserved) => {
                // SAFETY: written above, and nobody sees it: the commit failed and the place is still reserved.
                let value = slot.with_mut(|slot| unsafe { (*slot).assume_init_read() });
                Err((value, Refusal::Closed))
            }
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn recv(&self, patience: Patience) -> Result<T, Refusal> {
        let claimed = self.core.claim(patience)?;
        // SAFETY: claimed.
        let slot = unsafe { self.slot_for_receiving(claimed.position()) };
        // SAFETY: the claim makes this thread the only one at this slot, which a sender filled; `release` says that it
        // is empty, and nothing between can fail.
        let value = slot.with_mut(|slot| unsafe { (*slot).assume_init_read() });
        claimed.release(UNITS);
        self.sending.wake_one();
        Ok(value)
    }

    /// Sends what `value` holds, or has the task woken when that may be possible.
    pub(super) fn poll_send(
        &self,
        value: &mut Option<T>,
        ticket: &mut Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), T>> {
        poll(&self.sending, ticket, context, || {
            match self.send(value.take()?, Patience::Copies) {
                Ok(()) => Some(Ok(())),
                Err((refused, Refusal::Closed)) => Some(Err(refused)),
                Err((refused, _)) => {
                    *value = Some(refused);
                    None
                }
            }
        })
    }

    /// Receives a value, or has the task woken when that may be possible; `Err` if the channel is closed and empty.
    pub(super) fn poll_recv(
        &self,
        ticket: &mut Option<Ticket>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, ()>> {
        poll(&self.receiving, ticket, context, || {
            match self.recv(Patience::Copies) {
                Ok(value) => Some(Ok(value)),
                Err(Refusal::Closed) => Some(Err(())),
                Err(_) => None,
            }
        })
    }

    pub(super) fn close(&self) {
        self.core.close();
        self.wake_all();
    }

    pub(super) fn wake_all(&self) {
        self.sending.wake_all();
        self.receiving.wake_all();
    }

    pub(super) fn len(&self) -> usize {
        (self.core.units() / UNITS) as usize
    }

    pub(super) fn capacity(&self) -> usize {
        (self.core.ring_size() / UNITS) as usize
    }
}

/// Tries, and has the task woken if it was in vain.
fn poll<R>(
    wakers: &Wakers,
    ticket: &mut Option<Ticket>,
    context: &mut Context<'_>,
    mut attempt: impl FnMut() -> Option<R>,
) -> Poll<R> {
    let mut result = attempt();
    if result.is_none() {
        wakers.enter(ticket, context.waker());
        result = attempt();
    }
    match result {
        Some(result) => {
            wakers.leave(ticket);
            Poll::Ready(result)
        }
        None => Poll::Pending,
    }
}

#[inline]
fn slot_of<T>(slots: &[Slot<T>], position: u32) -> &Slot<T> {
    &slots[(position / UNITS) as usize & (slots.len() - 1)]
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        if !needs_drop::<T>() {
            return;
        }
        let (mut head, tail) = self.core.positions();
        while head != tail {
            // SAFETY: nobody else has the channel, and what lies between head and tail was committed.
            let slot = unsafe { self.slot_for_receiving(head) };
            // SAFETY: it was written and not taken.
            slot.with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(UNITS);
        }
    }
}
