//! What threads do, for whoever observes them: a ring of events in shared memory, where the runtime was started with one.
//!
//! # State
//! `taken` numbers the events. Whoever took a number writes the event into its place, between `number` = 0 and `number` = its own plus 1.
//! There is no room to wait for: an observer that is more than `TRACE_CAPACITY` events behind has missed some, and sees it by
//! their numbers.
//!
//! # Invariants
//! 1. An observer that reads the number that it expects before and after the rest has read one event, whole. A writer that sleeps for a whole
//!    round of the ring may mix its event with a later one's: a wrong line in a profile, nothing else.
//! 2. `written` changes after the event is there: who has seen it change finds the event.
//!
//! # Memory orderings
//! `Release` of `number` publishes the fields to the observer, whose loads are `Atomics`. Only observers wait on `written`.

use std::cell::UnsafeCell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

use heddle_atomics::futex;

use super::current::Thread;
use crate::layout::{self, TRACE_CAPACITY};

/// See `TraceHeader` in `docs/layout.md`, and the events behind it.
#[repr(C, align(8))]
pub(super) struct Trace {
    taken: AtomicU32,
    written: AtomicU32,
    events: [Event; TRACE_CAPACITY as usize],
}

#[repr(C, align(8))]
struct Event {
    number: AtomicU32,
    kind: AtomicU32,
    rest: UnsafeCell<Rest>,
}

/// What is read between two looks at the number.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rest {
    time_ms: f64,
    thread_id: u32,
    other_id: u32,
    name_size: u32,
    name: [u8; 36],
}

const _: () = {
    use layout::{trace_event, trace_header};
    use std::mem::offset_of;
    assert!(offset_of!(Trace, taken) == trace_header::TAKEN);
    assert!(offset_of!(Trace, written) == trace_header::WRITTEN);
    assert!(offset_of!(Trace, events) == trace_header::SIZE);
    assert!(align_of::<Trace>() == trace_header::ALIGN);
    assert!(size_of::<Event>() == trace_event::SIZE);
    assert!(align_of::<Event>() == trace_event::ALIGN);
    assert!(offset_of!(Event, number) == trace_event::NUMBER);
    assert!(offset_of!(Event, kind) == trace_event::KIND);
    let rest = offset_of!(Event, rest);
    assert!(rest + offset_of!(Rest, time_ms) == trace_event::TIME_MS);
    assert!(rest + offset_of!(Rest, thread_id) == trace_event::THREAD_ID);
    assert!(rest + offset_of!(Rest, other_id) == trace_event::OTHER_ID);
    assert!(rest + offset_of!(Rest, name_size) == trace_event::NAME_SIZE);
    assert!(rest + offset_of!(Rest, name) == trace_event::NAME);
    assert!(TRACE_CAPACITY.is_power_of_two());
};

// SAFETY: invariant 1: what is written at once is read as what it is, bytes.
unsafe impl Sync for Trace {}

impl Trace {
    /// Notes what `thread` has done, at `time_ms`. `other` is its spawner's id, or its worker's place.
    pub(super) fn note(&self, kind: u32, thread: &Thread, other: u32, time_ms: f64) {
        let number = self.taken.fetch_add(1, Relaxed);
        let event = &self.events[(number % TRACE_CAPACITY) as usize];
        event.number.store(0, Relaxed);
        // The pair of the observer's second look at the number.
        fence(Release);
        let bytes = thread.name().unwrap_or_default().as_bytes();
        let mut rest = Rest {
            time_ms,
            thread_id: thread.number(),
            other_id: other,
            name_size: bytes.len().min(36) as u32,
            name: [0; 36],
        };
        rest.name[..rest.name_size as usize].copy_from_slice(&bytes[..rest.name_size as usize]);
        event.kind.store(kind, Relaxed);
        // SAFETY: invariant 1. Volatile: an observer may read at once, who is nothing that the compiler could know of.
        unsafe { event.rest.get().write_volatile(rest) };
        event.number.store(number.wrapping_add(1), Release);
        self.written.fetch_add(1, Release);
        futex::wake_all(&self.written);
    }
}
