//! Slots that come and go with the values in them: a list of segments, of which each side knows its own.
//!
//! # Invariants
//! 1. A side's cursor is used by the owner of the side's lock only. It stands at the segment of the last position that was
//!    asked for, and positions are asked for in their order.
//! 2. `next` is written by the sender, before the position of the first slot behind it is committed; the receiver
//!    reads it for a position that was committed. The channel's `tail` orders the two.
//! 3. A sender that died between asking for a slot and committing it left a segment that the next one uses.

use crate::layout::FRAME_ALIGN;
use core::{mem::MaybeUninit, ptr};
use heddle_atomics::seam::Guarded;

/// Values of a segment.
const SLOTS: u32 = 64;

/// The units of a position that a segment takes.
const UNITS: u32 = SLOTS * FRAME_ALIGN;

pub(super) type Slot<T> = Guarded<MaybeUninit<T>>;

struct Segment<T> {
    next: Guarded<*mut Segment<T>>,
    slots: [Slot<T>; SLOTS as usize],
}

impl<T> Segment<T> {
    fn new() -> *mut Self {
        Box::into_raw(Box::new(Self {
            next: Guarded::new(ptr::null_mut()),
            slots: core::array::from_fn(|_| Guarded::new(MaybeUninit::uninit())),
        }))
    }
}

/// A segment and the position of its first slot.
struct Cursor<T> {
    segment: *mut Segment<T>,
    start: u32,
}

pub(super) struct Segments<T> {
    sending: Guarded<Cursor<T>>,
    receiving: Guarded<Cursor<T>>,
}

impl<T> Segments<T> {
    pub(super) fn new() -> Self {
        let segment = Segment::new();
        Self {
            sending: Guarded::new(Cursor { segment, start: 0 }),
            receiving: Guarded::new(Cursor { segment, start: 0 }),
        }
    }

    /// The slot at a position, which is the end of the channel.
    ///
    /// # Safety
    /// The caller owns the sending side; the slot is used no longer than that.
    pub(super) unsafe fn for_sending(&self, position: u32) -> &Slot<T> {
        self.sending.with_mut(|cursor| {
            // SAFETY: invariant 1 makes the cursor this thread's; its segment lives, for the receiver frees only what lies
            // before the segment of a position that was committed, and this one's isn't.
            unsafe {
                let cursor = &mut *cursor;
                if position.wrapping_sub(cursor.start) >= UNITS {
                    // Invariant 3: it may be there.
                    cursor.segment = (*cursor.segment).next.with_mut(|next| {
                        if (*next).is_null() {
                            *next = Segment::new();
                        }
                        *next
                    });
                    cursor.start = cursor.start.wrapping_add(UNITS);
                }
                slot(cursor, position)
            }
        })
    }

    /// The slot at a position, which holds the oldest value. Frees what lies before it.
    ///
    /// # Safety
    /// The caller owns the receiving side, and the position was committed; the slot is used no longer than that.
    pub(super) unsafe fn for_receiving(&self, position: u32) -> &Slot<T> {
        self.receiving.with_mut(|cursor| {
            // SAFETY: invariant 1 makes the cursor this thread's. What it leaves holds no values any more, and the sender has
            // left it before it committed the position (invariant 2).
            unsafe {
                let cursor = &mut *cursor;
                if position.wrapping_sub(cursor.start) >= UNITS {
                    let left = cursor.segment;
                    cursor.segment = (*left).next.with_mut(|next| *next);
                    cursor.start = cursor.start.wrapping_add(UNITS);
                    drop(Box::from_raw(left));
                }
                slot(cursor, position)
            }
        })
    }
}

/// # Safety
/// The position lies in the cursor's segment, which lives as long as the slot is used.
unsafe fn slot<'a, T>(cursor: &Cursor<T>, position: u32) -> &'a Slot<T> {
    let place = position.wrapping_sub(cursor.start) / FRAME_ALIGN;
    // SAFETY: of the caller.
    unsafe { &(*cursor.segment).slots[place as usize] }
}

impl<T> Drop for Segments<T> {
    /// Frees the segments; the values in them are the channel's to drop before.
    fn drop(&mut self) {
        let mut segment = self.receiving.with_mut(|cursor| {
            // SAFETY: nobody else has the channel.
            unsafe { (*cursor).segment }
        });
        while !segment.is_null() {
            // SAFETY: made by `Segment::new`, and reached by one `next`, or the cursor, alone.
            let owned = unsafe { Box::from_raw(segment) };
            segment = owned.next.into_inner();
        }
    }
}
