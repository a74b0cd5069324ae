//! A channel that keeps the latest value, on a record that TypeScript shares: a configuration, a state, a progress.
//!
//! Whoever looks sees the latest value, whole; whoever waits for a change comes back if there was one since it looked last,
//! however many there were. A thread that dies while it sends leaves the value before.
//!
//! # State
//! | word | written by | means |
//! |---|---|---|
//! | `lock` | everybody | who is writing or reading a value |
//! | `changes` | the sender with the lock; a closer | how often the value was changed, + `CLOSED` |
//! | `lengths` | the sender with the lock | the bytes of the value in each place |
//!
//! The lowest bit of the count of changes tells the place of the value. A receiver remembers the count that it has seen.
//!
//! # Invariants
//! 1. A sender writes into the place where the value is not, and then makes it the value with one write of `changes`: an
//!    owner that dies leaves nothing half-done, and the poison of the lock can be cleared.
//! 2. `changes` is moved by compare-and-swap: a value and a close exclude each other.
//! 3. The count runs modulo 2^31: a receiver that looks away for exactly that many changes sees none.
//!
//! # Fairness
//! That of the lock.
//!
//! # Memory orderings
//! `changes` is SeqCst, since those who are about to sleep look at it without the lock (`side.rs`). The lock orders the rest.
//!
//! # Source
//! What is promised is that of tokio's `sync::watch`.

pub use crate::monitor::OpenError;
use crate::{
    bound::thread_end,
    bytes::{SendError, TooLong},
    ends::{self, End, EndCounts, Ends},
    error::{RecvError, RecvTimeoutError},
    layout::{
        CHANGES_CLOSED, CHANGES_UNIT, VALUE_SIZE_MAX, WATCH_MAGIC, WATCH_VERSION, watch_header,
    },
    monitor::{Allocation, Monitor, perform_async, with_async},
    protocol::{Patience, Refusal},
    select::{Operation, SelectRecv, sealed},
    side::{ALL, Side},
};
use core::{fmt, ptr::NonNull, slice, time::Duration};
use heddle_atomics::{
    Deadline, RawMutex,
    seam::{AtomicU32, Ordering},
};
use std::sync::Arc;

/// The record at the head of a watch channel; see `WatchHeader` in `docs/layout.md`.
#[repr(C, align(8))]
struct Core {
    magic: AtomicU32,
    version: AtomicU32,
    value_size: AtomicU32,
    unused_0: u32,
    senders: AtomicU32,
    receivers: AtomicU32,
    unused_1: u32,
    ends_added: AtomicU32,
    unused_2: [u32; 8],

    lock: RawMutex,
    lengths: [AtomicU32; 2],
    unused_3: [u32; 12],

    changes: Side,

    ends: EndCounts,
}

#[cfg(not(loom))]
const _: () = {
    use crate::layout::watch_header as layout;
    use core::mem::{align_of, offset_of, size_of};
    assert!(offset_of!(Core, magic) == layout::MAGIC);
    assert!(offset_of!(Core, version) == layout::VERSION);
    assert!(offset_of!(Core, value_size) == layout::VALUE_SIZE);
    assert!(offset_of!(Core, senders) == layout::SENDERS);
    assert!(offset_of!(Core, receivers) == layout::RECEIVERS);
    assert!(offset_of!(Core, ends_added) == layout::ENDS_ADDED);
    assert!(offset_of!(Core, lock) == layout::LOCK);
    assert!(offset_of!(Core, lengths) == layout::LENGTHS);
    assert!(offset_of!(Core, changes) == layout::CHANGES);
    assert!(layout::RECEIVERS_WAITING - layout::CHANGES == 4);
    assert!(layout::RECEIVER_WATCHERS - layout::CHANGES == 16);
    assert!(offset_of!(Core, ends) == layout::ENDS);
    assert!(size_of::<Core>() == layout::SIZE);
    assert!(align_of::<Core>() == layout::ALIGN);
};

impl Core {
    fn new(value_size: u32, length: u32) -> Self {
        Self {
            magic: AtomicU32::new(WATCH_MAGIC),
            version: AtomicU32::new(WATCH_VERSION),
            value_size: AtomicU32::new(value_size),
            unused_0: 0,
            senders: AtomicU32::new(1),
            receivers: AtomicU32::new(1),
            unused_1: 0,
            ends_added: AtomicU32::new(0),
            unused_2: [0; 8],
            lock: RawMutex::new(),
            lengths: [AtomicU32::new(length), AtomicU32::new(0)],
            unused_3: [0; 12],
            changes: Side::new(),
            ends: ends::no_ends(),
        }
    }

    fn ends(&self) -> Ends<'_> {
        Ends {
            senders: &self.senders,
            receivers: &self.receivers,
            added: &self.ends_added,
            entries: &self.ends,
        }
    }

    /// `changes` with its flag.
    fn changes(&self) -> u32 {
        // SeqCst: sees a sender's or a closer's write, or is counted by `announce` before that looks (`side.rs`).
        self.changes.position.load(Ordering::SeqCst)
    }

    /// The count of changes, if it isn't what was seen.
    fn change_since(&self, seen: u32) -> Result<u32, Refusal> {
        let changes = self.changes();
        if changes & !CHANGES_CLOSED != seen {
            Ok(changes & !CHANGES_CLOSED)
        } else if changes & CHANGES_CLOSED != 0 {
            Err(Refusal::Closed)
        } else {
            Err(Refusal::NotNow)
        }
    }

    fn close(&self) {
        self.changes
            .position
            .fetch_or(CHANGES_CLOSED, Ordering::SeqCst);
        self.changes.signal(ALL);
    }
}

impl Monitor for Core {
    const NAME: &'static str = "a watch channel";

    fn lock(&self) -> &RawMutex {
        &self.lock
    }

    /// Invariant 1: there is nothing to repair.
    fn repair(&self) {}

    fn close_if_deserted(&self) -> bool {
        let is_deserted = self.ends().is_deserted();
        if is_deserted {
            self.close();
        }
        is_deserted
    }
}

/// Bytes of the record of a watch channel for values of at most `max_len` bytes.
#[must_use]
pub const fn record_size(max_len: u32) -> usize {
    watch_header::SIZE + 2 * stride(max_len)
}

const fn stride(max_len: u32) -> usize {
    (max_len as usize).next_multiple_of(8)
}

/// A new watch channel for values of at most `max_len` bytes, in memory of its own. The receiver has seen the first value.
///
/// The record lives as long as one of the Rust ends: as long as TypeScript uses it, keep one.
///
/// ```
/// use heddle_channel::watch;
///
/// let (sender, mut receiver) = watch::channel(b"light", 64);
/// sender.send(b"dark").unwrap();
/// sender.send(b"auto").unwrap();
/// receiver.changed().unwrap();
/// assert_eq!(receiver.borrow(), b"auto");
/// assert!(!receiver.has_changed());
/// ```
///
/// # Panics
/// If `max_len` is more than 2^29 or less than `value` has, or memory has run out.
#[must_use]
pub fn channel(value: &[u8], max_len: u32) -> (Sender, Receiver) {
    assert!(
        max_len <= VALUE_SIZE_MAX && value.len() <= max_len as usize,
        "a first value of {} bytes in a watch channel for {max_len}, of {VALUE_SIZE_MAX} at most",
        value.len()
    );
    let allocation = Arc::new(Allocation::new(record_size(max_len)));
    // SAFETY: freshly allocated, of the record's size and alignment.
    unsafe {
        let address = allocation.address;
        // At most 2^29.
        let length = value.len() as u32;
        address.cast::<Core>().write(Core::new(max_len, length));
        let place = address.add(watch_header::SIZE);
        place.copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
    }
    let channel = Channel {
        core: allocation.address.cast(),
        _allocation: Some(allocation),
    };
    let receiver = Receiver {
        channel: channel.clone(),
        seen: 0,
    };
    (Sender(channel), receiver)
}

/// The record, and what keeps it alive.
#[derive(Clone)]
struct Channel {
    core: NonNull<Core>,
    _allocation: Option<Arc<Allocation>>,
}

// SAFETY: the record is made for threads: its words are atomics, and the values are reached under its lock.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// # Safety
    /// If there is a channel at `address`, it lives as long as its ends.
    unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        let core = address.cast::<Core>();
        if !core.is_aligned() {
            return Err(OpenError::Misaligned);
        }
        let channel = Self {
            core,
            _allocation: None,
        };
        // Acquire: the magic is written last.
        if channel.core().magic.load(Ordering::Acquire) != WATCH_MAGIC {
            return Err(OpenError::NotAChannel);
        }
        // Relaxed: never change once the channel is ready.
        let found = channel.core().version.load(Ordering::Relaxed);
        if found != WATCH_VERSION {
            let expected = WATCH_VERSION;
            return Err(OpenError::Version { found, expected });
        }
        let size = channel.max_len();
        if size > VALUE_SIZE_MAX {
            return Err(OpenError::Size(size));
        }
        Ok(channel)
    }

    fn core(&self) -> &Core {
        // SAFETY: the record lives at least as long as this value, and it is atomics throughout.
        unsafe { self.core.as_ref() }
    }

    fn max_len(&self) -> u32 {
        // Relaxed: never changes once the channel is ready.
        self.core().value_size.load(Ordering::Relaxed)
    }

    /// Where the value of a count of changes is, and the word with its length.
    fn place(&self, changes: u32) -> (NonNull<u8>, &AtomicU32) {
        let index = ((changes / CHANGES_UNIT) & 1) as usize;
        // SAFETY: two values follow the header.
        let place = unsafe {
            let values = self.core.cast::<u8>().add(watch_header::SIZE);
            values.add(index * stride(self.max_len()))
        };
        (place, &self.core().lengths[index])
    }

    #[track_caller]
    fn send(&self, value: &[u8]) -> Result<(), SendError> {
        self.check_length(value.len())?;
        let is_sent = self.core().with(|| self.write(value));
        self.tell(is_sent)
    }

    /// [`Channel::send`] as a task.
    async fn send_async(&self, value: &[u8]) -> Result<(), SendError> {
        self.check_length(value.len())?;
        let is_sent = with_async(self.core(), || self.write(value)).await;
        self.tell(is_sent)
    }

    fn check_length(&self, len: usize) -> Result<(), SendError> {
        let max = self.max_len() as usize;
        if len > max {
            return Err(SendError::TooLong(TooLong { len, max }));
        }
        Ok(())
    }

    /// Tells of a change.
    fn tell(&self, is_sent: bool) -> Result<(), SendError> {
        if !is_sent {
            return Err(SendError::Closed);
        }
        self.core().changes.signal(ALL);
        Ok(())
    }

    /// Writes a value that isn't too long, unless the channel is closed; called with the lock.
    fn write(&self, value: &[u8]) -> bool {
        let core = self.core();
        let changes = core.changes();
        if changes & CHANGES_CLOSED != 0 {
            return false;
        }
        let next = changes.wrapping_add(CHANGES_UNIT);
        let (place, length) = self.place(next);
        // SAFETY: the place has room for as many bytes, nobody reads there without the lock (invariant 1), and `value`
        // is not there, or the sender would read what it may not.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(value).cast(), value.len()) };
        // Relaxed: under the lock. At most 2^29.
        length.store(value.len() as u32, Ordering::Relaxed);
        // Invariant 2.
        core.changes
            .position
            .compare_exchange(changes, next, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// Lets `read` see the latest value; what it makes of it, and the count of changes. Called with the lock.
    fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> (R, u32) {
        let changes = self.core().changes() & !CHANGES_CLOSED;
        let (place, length) = self.place(changes);
        // Relaxed: under the lock.
        let length = length.load(Ordering::Relaxed);
        assert!(
            length <= self.max_len(),
            "the watch channel at {:p} is broken: a value of {length} bytes",
            self.core
        );
        // SAFETY: the place has as many bytes, initialised with the record, and nobody writes there without the lock.
        let value = unsafe { slice::from_raw_parts(place.as_ptr(), length as usize) };
        (read(value), changes)
    }

    #[track_caller]
    fn copy(&self) -> (Vec<u8>, u32) {
        self.core().with(|| self.read(<[u8]>::to_vec))
    }

    /// [`Channel::copy`] as a task.
    async fn copy_async(&self) -> (Vec<u8>, u32) {
        with_async(self.core(), || self.read(<[u8]>::to_vec)).await
    }
}

/// The sending end of a watch channel. Clone it for more senders; the last one dropped closes the channel.
pub struct Sender(Channel);

/// A receiving end of a watch channel, which knows what it has seen. A clone has seen the same; the last one dropped closes
/// the channel.
pub struct Receiver {
    channel: Channel,
    seen: u32,
}

impl Sender {
    /// One more end on the channel at `address`.
    ///
    /// # Errors
    /// If there is no channel that this program understands.
    ///
    /// # Safety
    /// The bytes of a watch channel's header can be read at `address`, and if there is a channel, it lives as long as the
    /// end and those that are made of it.
    pub unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        // SAFETY: of the caller.
        let channel = unsafe { Channel::open(address) }?;
        channel.core().ends().add(End::Sending);
        Ok(Self(channel))
    }

    /// Makes a copy of `value` the latest one.
    ///
    /// # Errors
    /// `Closed`, or `TooLong`.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and another one keeps the lock.
    #[track_caller]
    pub fn send(&self, value: &[u8]) -> Result<(), SendError> {
        self.0.send(value)
    }

    /// [`Sender::send`] as a task, which waits for other ends to leave the lock. Dropped before it is ready, the future has changed nothing.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_async(&self, value: &[u8]) -> Result<(), SendError> {
        self.0.send_async(value).await
    }

    /// The latest value.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Vec<u8> {
        self.0.copy().0
    }

    /// [`Sender::borrow`] as a task.
    pub async fn borrow_async(&self) -> Vec<u8> {
        self.0.copy_async().await.0
    }

    /// A receiving end that has seen the value of now.
    #[must_use]
    pub fn subscribe(&self) -> Receiver {
        let core = self.0.core();
        core.ends().add(End::Receiving);
        Receiver {
            channel: self.0.clone(),
            seen: core.changes() & !CHANGES_CLOSED,
        }
    }

    /// Whether the channel is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.core().changes() & CHANGES_CLOSED != 0
    }

    /// Closes the channel for all ends: the value stays as it is.
    pub fn close(&self) {
        self.0.core().close();
    }

    /// Where the channel's record is: what TypeScript opens it by.
    #[must_use]
    pub fn address(&self) -> NonNull<u8> {
        self.0.core.cast()
    }
}

thread_end!(Sender, Sending, 0);
thread_end!(Receiver, Receiving, channel);

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.core().ends().add(End::Sending);
        Self(self.0.clone())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.core().ends().remove(End::Sending) {
            self.close();
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("address", &self.0.core)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// One more end on the channel at `address`, which has seen the value of now.
    ///
    /// # Errors
    /// If there is no channel that this program understands.
    ///
    /// # Safety
    /// As [`Sender::open`].
    pub unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        // SAFETY: of the caller.
        let channel = unsafe { Channel::open(address) }?;
        channel.core().ends().add(End::Receiving);
        let seen = channel.core().changes() & !CHANGES_CLOSED;
        Ok(Self { channel, seen })
    }

    /// The latest value. It doesn't count as seen.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Vec<u8> {
        self.channel.copy().0
    }

    /// [`Receiver::borrow`] as a task.
    pub async fn borrow_async(&self) -> Vec<u8> {
        self.channel.copy_async().await.0
    }

    /// Lets `read` see the latest value where it lies; other ends wait meanwhile. It doesn't count as seen.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn borrow_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.channel.core().with(|| self.channel.read(read)).0
    }

    /// The latest value, which counts as seen.
    ///
    /// # Panics
    /// As [`Sender::send`].
    #[track_caller]
    pub fn borrow_and_update(&mut self) -> Vec<u8> {
        let (value, changes) = self.channel.copy();
        self.seen = changes;
        value
    }

    /// [`Receiver::borrow_and_update`] as a task. Dropped before it is ready, the future has seen nothing.
    pub async fn borrow_and_update_async(&mut self) -> Vec<u8> {
        let (value, changes) = self.channel.copy_async().await;
        self.seen = changes;
        value
    }

    /// Whether the value was changed since this end has seen it; of the past as soon as it is known.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.channel.core().changes() & !CHANGES_CLOSED != self.seen
    }

    /// Has the next [`Receiver::changed`] come back at once, as if the value had changed.
    pub fn mark_changed(&mut self) {
        // No count that the channel can have.
        self.seen = u32::MAX;
    }

    /// Takes the value of now as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.channel.core().changes() & !CHANGES_CLOSED;
    }

    /// Waits until the value was changed since this end has seen it; it counts as seen then.
    ///
    /// # Errors
    /// If the channel is closed and this end has seen the last value.
    ///
    /// # Panics
    /// If the thread [may not block](heddle_atomics::may_block) and no change comes.
    #[track_caller]
    pub fn changed(&mut self) -> Result<(), RecvError> {
        let patience = Patience::Until(Deadline::NEVER);
        self.changed_within(patience).map_err(|_closed| RecvError)
    }

    /// [`Receiver::changed`] as a task. Dropped before it is ready, the future has seen nothing.
    ///
    /// # Errors
    /// As [`Receiver::changed`].
    pub async fn changed_async(&mut self) -> Result<(), RecvError> {
        let core = self.channel.core();
        let seen = self.seen;
        let changed = perform_async(core, &core.changes, || core.change_since(seen)).await;
        self.seen = changed.map_err(|_closed| RecvError)?;
        Ok(())
    }

    /// [`Receiver::changed`], waiting for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or `Closed` if this end has seen the last value.
    ///
    /// # Panics
    /// As [`Receiver::changed`].
    #[track_caller]
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<(), RecvTimeoutError> {
        let patience = Patience::Until(Deadline::after(timeout));
        self.changed_within(patience)
            .map_err(|refusal| match refusal {
                Refusal::Closed => RecvTimeoutError::Closed,
                Refusal::NotNow | Refusal::TimedOut => RecvTimeoutError::TimedOut,
            })
    }

    #[track_caller]
    fn changed_within(&mut self, patience: Patience) -> Result<(), Refusal> {
        let core = self.channel.core();
        let seen = self.seen;
        let is_still = || core.changes() == seen;
        let attempt = || core.change_since(seen);
        self.seen = core.perform(&core.changes, patience, attempt, is_still)?;
        Ok(())
    }

    /// Whether the channel is closed; the value stays.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.core().changes() & CHANGES_CLOSED != 0
    }

    /// Closes the channel for all ends: the value stays as it is.
    pub fn close(&self) {
        self.channel.core().close();
    }
}

impl sealed::Sealed for Receiver {
    fn operation(&self) -> Operation<'_> {
        let core = self.channel.core();
        Operation {
            side: &core.changes,
            is_ready: Box::new(move || {
                core.change_since(self.seen) != Err(Refusal::NotNow) || core.close_if_deserted()
            }),
        }
    }
}

impl SelectRecv for Receiver {}

impl Clone for Receiver {
    fn clone(&self) -> Self {
        self.channel.core().ends().add(End::Receiving);
        Self {
            channel: self.channel.clone(),
            seen: self.seen,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.channel.core().ends().remove(End::Receiving) {
            self.close();
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.channel.core)
            .field("has_changed", &self.has_changed())
            .finish_non_exhaustive()
    }
}
