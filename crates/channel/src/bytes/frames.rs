//! Messages as frames in the ring: writing and finding them, and putting long ones together.

use super::{Allocation, OpenError, SendRefusal, TooLong};
use crate::{
    layout::{
        CHANNEL_VERSION, FRAME_ALIGN, FRAME_CONTINUED, FRAME_LENGTH_MASK, FRAME_WRAP,
        RING_SIZE_MAX, RING_SIZE_MIN, channel_header, frame_header,
    },
    protocol::{Claimed, Core, Patience, Refusal, Reserved},
};
use core::{ptr::NonNull, slice};
use heddle_atomics::Deadline;
use std::sync::Arc;

/// Bytes before a message's payload.
pub(super) const FRAME_HEADER_SIZE: u32 = frame_header::SIZE as u32;

/// The record, and what keeps it alive.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) core: NonNull<Core>,
    pub(super) ring: NonNull<u8>,
    _allocation: Option<Arc<Allocation>>,
}

// SAFETY: the record is made for threads: its words are atomics, and the ring is reached under its locks.
unsafe impl Send for Channel {}
// SAFETY: as above.
unsafe impl Sync for Channel {}

impl Channel {
    /// # Safety
    /// There is a channel at `address`, and it lives as long as `allocation`, or for ever if that is `None`.
    pub(super) unsafe fn at(address: NonNull<u8>, allocation: Option<Arc<Allocation>>) -> Self {
        Self {
            core: address.cast(),
            // SAFETY: the ring follows the header.
            ring: unsafe { address.add(channel_header::SIZE) },
            _allocation: allocation,
        }
    }

    /// # Safety
    /// If there is a channel at `address`, it lives as long as its ends.
    pub(super) unsafe fn open(address: NonNull<u8>) -> Result<Self, OpenError> {
        if !address.cast::<Core>().is_aligned() {
            return Err(OpenError::Misaligned);
        }
        // SAFETY: of the caller.
        let channel = unsafe { Self::at(address, None) };
        if !channel.core().is_ready() {
            return Err(OpenError::NotAChannel);
        }
        let version = channel.core().version();
        if version != CHANNEL_VERSION {
            return Err(OpenError::Version(version));
        }
        let ring_size = channel.core().ring_size();
        if !ring_size.is_power_of_two() || !(RING_SIZE_MIN..=RING_SIZE_MAX).contains(&ring_size) {
            return Err(OpenError::RingSize(ring_size));
        }
        Ok(channel)
    }

    #[inline]
    pub(super) fn core(&self) -> &Core {
        // SAFETY: the record lives at least as long as this value, and it is atomics throughout.
        unsafe { self.core.as_ref() }
    }

    #[inline]
    pub(super) fn max_message_len(&self) -> usize {
        (self.core().ring_size() / 2 - FRAME_HEADER_SIZE) as usize
    }

    /// The place in the ring of a position.
    #[inline]
    pub(super) fn place(&self, position: u32) -> u32 {
        position & (self.core().ring_size() - 1)
    }

    /// How far a frame for `length` bytes moves the tail at a position: it lies in one piece.
    #[inline]
    pub(super) fn advance_at(&self, position: u32, length: u32) -> u32 {
        let ring_size = self.core().ring_size();
        let place = self.place(position);
        let frame = frame_size(length);
        let rest = ring_size - place;
        if frame <= rest { frame } else { rest + frame }
    }

    /// Writes the head of a frame at a reserved place; where its payload goes.
    #[inline]
    pub(super) fn write_head(
        &self,
        reserved: &Reserved<'_>,
        length: u32,
        flags: u32,
        rest: u32,
    ) -> NonNull<u8> {
        let mut place = self.place(reserved.position());
        if reserved.advance() > frame_size(length) {
            // SAFETY: the place is in the ring, aligned to 8, and reserved.
            unsafe {
                self.ring
                    .add(place as usize)
                    .cast::<u32>()
                    .write(FRAME_WRAP)
            };
            place = 0;
        }
        // SAFETY: the frame's bytes from here are in the ring and reserved; the place is aligned to 8.
        unsafe {
            let start = self.ring.add(place as usize);
            start.cast::<[u32; 2]>().write([length | flags, rest]);
            start.add(FRAME_HEADER_SIZE as usize)
        }
    }

    /// Writes a whole frame at a reserved place.
    #[inline]
    pub(super) fn write_frame(
        &self,
        reserved: &Reserved<'_>,
        payload: &[u8],
        flags: u32,
        rest: u32,
    ) {
        // At most half a ring, so 32 bits.
        let target = self.write_head(reserved, payload.len() as u32, flags, rest);
        // SAFETY: as many bytes are reserved there, and `payload` is not in the ring, or the sender would read what it
        // may not.
        unsafe { target.copy_from_nonoverlapping(NonNull::from(payload).cast(), payload.len()) };
    }

    #[inline]
    pub(super) fn check_length(&self, len: usize) -> Result<u32, TooLong> {
        let max = self.max_message_len();
        if len > max {
            return Err(TooLong { len, max });
        }
        // At most half a ring, so 32 bits.
        Ok(len as u32)
    }

    #[inline]
    #[track_caller]
    pub(super) fn reserve_within(
        &self,
        len: usize,
        patience: Patience,
    ) -> Result<Reserved<'_>, SendRefusal> {
        let length = self.check_length(len).map_err(SendRefusal::TooLong)?;
        self.start_again();
        self.core()
            .reserve(|position| self.advance_at(position, length), patience)
            .map_err(SendRefusal::Refused)
    }

    /// [`Core::start_again`], with the mark of frames.
    #[inline]
    pub(super) fn start_again(&self) {
        self.core().start_again(|place| {
            // SAFETY: the place is in the ring, aligned to 8, and nobody else sends or receives.
            unsafe {
                self.ring
                    .add(place as usize)
                    .cast::<u32>()
                    .write(FRAME_WRAP)
            }
        });
    }

    #[inline]
    #[track_caller]
    pub(super) fn send_within(
        &self,
        message: &[u8],
        patience: Patience,
    ) -> Result<(), SendRefusal> {
        if let Patience::Until(deadline) = patience {
            if message.len() > self.max_message_len() {
                return self.send_long(message, deadline);
            }
        } else if self.core().is_rendezvous() {
            return self.send_meeting(message);
        }
        let reserved = self.reserve_within(message.len(), patience)?;
        self.write_frame(&reserved, message, 0, 0);
        let Ok(end) = reserved.commit() else {
            return Err(SendRefusal::Refused(Refusal::Closed));
        };
        match patience {
            Patience::Until(deadline) if self.core().is_rendezvous() => {
                self.await_taken(end, deadline)
            }
            _ => Ok(()),
        }
    }

    /// Sends in a rendezvous without waiting.
    pub(super) fn send_meeting(&self, message: &[u8]) -> Result<(), SendRefusal> {
        let length = self
            .check_length(message.len())
            .map_err(SendRefusal::TooLong)?;
        let reserved = self
            .core()
            .meet(|position| self.advance_at(position, length))
            .map_err(SendRefusal::Refused)?;
        self.write_frame(&reserved, message, 0, 0);
        match reserved.commit() {
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendRefusal::Refused(Refusal::Closed)),
        }
    }

    #[track_caller]
    pub(super) fn await_taken(&self, end: u32, deadline: Deadline) -> Result<(), SendRefusal> {
        self.core()
            .await_taken(end, deadline)
            .map_err(|(refusal, claimed)| {
                let units = end.wrapping_sub(claimed.position());
                claimed.release(units);
                SendRefusal::Refused(refusal)
            })
    }

    /// Sends a message that takes several frames.
    #[cold]
    #[track_caller]
    pub(super) fn send_long(&self, message: &[u8], deadline: Deadline) -> Result<(), SendRefusal> {
        let chunk_len = self.chunk_len(message.len())?;
        let mut reserved = self.reserve_within(chunk_len, Patience::Until(deadline))?;
        let mut chunks = message.chunks(chunk_len).peekable();
        let mut rest = message.len();
        let mut flags = 0;
        while let Some(chunk) = chunks.next() {
            rest -= chunk.len();
            // 32 bits, as was checked.
            self.write_frame(&reserved, chunk, flags, rest as u32);
            flags = FRAME_CONTINUED;
            let Some(next) = chunks.peek() else { break };
            let result = if reserved.commit_part() {
                let length = next.len() as u32;
                reserved.next_part(|position| self.advance_at(position, length), deadline)
            } else {
                Err(Refusal::Closed)
            };
            if let Err(refusal) = result {
                // What was sent is no message: the next frame doesn't go on with it.
                reserved.abandon();
                return Err(SendRefusal::Refused(refusal));
            }
        }
        match reserved.commit() {
            Ok(end) if self.core().is_rendezvous() => self.await_taken(end, deadline),
            Ok(_end) => Ok(()),
            Err(_still_reserved) => Err(SendRefusal::Refused(Refusal::Closed)),
        }
    }

    /// The bytes in each frame of a message of `len` bytes that takes several.
    pub(super) fn chunk_len(&self, len: usize) -> Result<usize, SendRefusal> {
        if u32::try_from(len).is_err() {
            let max = u32::MAX as usize;
            return Err(SendRefusal::TooLong(TooLong { len, max }));
        }
        Ok((self.core().ring_size() / 4 - FRAME_HEADER_SIZE) as usize)
    }

    /// The frame at a claimed position; `None` if there is only the mark of a sender that died while it moved an empty ring
    /// to its start, which is taken away.
    #[inline]
    pub(super) fn frame_at(&self, claimed: &mut Claimed<'_>) -> Option<Frame> {
        let mut place = self.place(claimed.position());
        let mut advance = 0;
        // SAFETY: the claim says that there is a frame here, in the ring and aligned to 8.
        let mut length = unsafe { self.ring.add(place as usize).cast::<u32>().read() };
        if length & FRAME_WRAP != 0 {
            advance = self.core().ring_size() - place;
            if advance == claimed.used() {
                claimed.pass(advance, false);
                return None;
            }
            place = 0;
            // SAFETY: behind the mark the frame is at the beginning.
            length = unsafe { self.ring.cast::<u32>().read() };
        }
        // SAFETY: the second word of the same frame's head.
        let rest = unsafe { self.ring.add(place as usize + 4).cast::<u32>().read() };
        let is_continued = length & FRAME_CONTINUED != 0;
        length &= FRAME_LENGTH_MASK;
        advance += frame_size(length);
        let used = claimed.used();
        assert!(
            advance <= used && place + frame_size(length) <= self.core().ring_size(),
            "the channel at {:p} is broken: a message of {length} bytes where {used} are",
            self.core,
        );
        Some(Frame {
            // SAFETY: the frame is in the ring.
            payload: unsafe { self.ring.add((place + FRAME_HEADER_SIZE) as usize) },
            length,
            rest,
            is_continued,
            advance,
        })
    }

    /// Waits for a message: where it lies, or its bytes if it took several frames.
    #[inline]
    #[track_caller]
    pub(super) fn claim_within(
        &self,
        patience: Patience,
    ) -> Result<(Claimed<'_>, Message), Refusal> {
        let mut claimed = self.core().claim(patience)?;
        if let Some(frame) = self.frame_at(&mut claimed)
            && frame.rest == 0
            && !frame.is_continued
        {
            return Ok((claimed, Message::InPlace(frame)));
        }
        self.collect(claimed, patience)
    }

    /// Takes a message that takes several frames out of the ring.
    #[cold]
    #[track_caller]
    pub(super) fn collect<'a>(
        &'a self,
        mut claimed: Claimed<'a>,
        patience: Patience,
    ) -> Result<(Claimed<'a>, Message), Refusal> {
        let mut bytes: Option<Vec<u8>> = None;
        loop {
            if !claimed.has_more() && (bytes.is_none() || !claimed.await_more()) {
                // The rest won't come, or there was none: from the beginning.
                drop(claimed);
                return self.claim_within(patience);
            }
            if let Some(message) = self.put_together(&mut claimed, &mut bytes) {
                return Ok((claimed, message));
            }
        }
    }

    /// Looks at the next frame, which is there: the message that it is, or ends. `bytes` has what came of one that goes on.
    pub(super) fn put_together(
        &self,
        claimed: &mut Claimed<'_>,
        bytes: &mut Option<Vec<u8>>,
    ) -> Option<Message> {
        let frame = self.frame_at(claimed)?;
        if !frame.is_continued {
            if frame.rest == 0 {
                return Some(Message::InPlace(frame));
            }
            // What came before was given up by its sender. The length is not believed before it has come.
            *bytes = Some(Vec::with_capacity(frame.length as usize));
        }
        if let Some(bytes) = bytes {
            // SAFETY: the frame is within what the claim gives, and no sender writes there before `pass`.
            bytes.extend_from_slice(unsafe { frame.bytes() });
        }
        claimed.pass(frame.advance, frame.rest == 0);
        if frame.rest > 0 {
            return None;
        }
        bytes.take().map(Message::Collected)
    }

    #[inline]
    #[track_caller]
    pub(super) fn recv_within<R>(
        &self,
        patience: Patience,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Refusal> {
        let (claimed, message) = self.claim_within(patience)?;
        let result = read(message.bytes());
        finish(claimed, &message);
        Ok(result)
    }
}

/// A frame in the ring.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) payload: NonNull<u8>,
    pub(super) length: u32,
    pub(super) rest: u32,
    pub(super) is_continued: bool,
    pub(super) advance: u32,
}

impl Frame {
    /// # Safety
    /// The frame is claimed as long as the slice is used.
    #[inline]
    pub(super) unsafe fn bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: the payload lies in the ring in one piece, and no sender writes there while it is claimed.
        unsafe { slice::from_raw_parts(self.payload.as_ptr(), self.length as usize) }
    }
}

/// A message that was claimed.
pub(super) enum Message {
    /// It lies in the ring.
    InPlace(Frame),
    /// It took several frames, and has left the ring.
    Collected(Vec<u8>),
}

impl Message {
    /// The bytes, for as long as the claim lasts.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: whoever has a message in place has its claim.
            Self::InPlace(frame) => unsafe { frame.bytes() },
            Self::Collected(bytes) => bytes,
        }
    }
}

/// Takes a claimed message out of the channel.
#[inline]
pub(super) fn finish(claimed: Claimed<'_>, message: &Message) {
    match message {
        Message::InPlace(frame) => claimed.release(frame.advance),
        Message::Collected(_) => claimed.leave(),
    }
}

/// The bytes of a frame with a payload of `length`.
#[inline]
pub(super) const fn frame_size(length: u32) -> u32 {
    (FRAME_HEADER_SIZE + length).next_multiple_of(FRAME_ALIGN)
}
