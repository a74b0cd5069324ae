//! Record sizes, offsets and state words: generated from `layout/channel.json`; edit that.

/// The first word of a channel: the letters "hedc".
pub const CHANNEL_MAGIC: u32 = 0x6364_6568;
/// The version of the channel's record.
pub const CHANNEL_VERSION: u32 = 1;
/// Bit 0 of tail and head: the channel is closed.
pub const POSITION_CLOSED: u32 = 0x0000_0001;
/// Tail and head without their flag bits: a free-running position, a multiple of 8.
pub const POSITION_MASK: u32 = 0xffff_fff8;
/// Frames start and end at multiples of this.
pub const FRAME_ALIGN: u32 = 8;
/// Length word, bits 0–29: the payload's bytes.
pub const FRAME_LENGTH_MASK: u32 = 0x3fff_ffff;
/// Length word, bit 31: no message here; go on at the start of the ring.
pub const FRAME_WRAP: u32 = 0x8000_0000;
/// The smallest ring.
pub const RING_SIZE_MIN: u32 = 64;
/// The largest ring.
pub const RING_SIZE_MAX: u32 = 0x4000_0000;

/// The head of a channel; `ringSize` bytes follow it. What one side writes and what the other side writes are on cache lines of their own.
pub mod channel_header {
    /// Bytes of the record.
    pub const SIZE: usize = 320;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// CHANNEL_MAGIC once the channel is ready, written last.
    pub const MAGIC: usize = 0;
    /// CHANNEL_VERSION.
    pub const VERSION: usize = 4;
    /// Bytes of the ring, a power of two. A frame is at most half of it.
    pub const RING_SIZE: usize = 8;
    /// How many messages the channel holds at most.
    pub const CAPACITY: usize = 12;
    /// Open sending ends.
    pub const SENDERS: usize = 16;
    /// Open receiving ends.
    pub const RECEIVERS: usize = 20;
    /// Held while a frame is written.
    pub const SEND_LOCK: usize = 64;
    /// Messages sent, modulo 2^32; written under sendLock.
    pub const SENT: usize = 72;
    /// The head that a sender saw last, under sendLock, so that the receivers' line is read rarely.
    pub const HEAD_SEEN: usize = 76;
    /// The count of received messages that a sender saw last, under sendLock.
    pub const RECEIVED_SEEN: usize = 80;
    /// The position behind the last frame, and POSITION_CLOSED. Receivers wait on it.
    pub const TAIL: usize = 128;
    /// How many receivers wait, at least: one that died stays counted.
    pub const RECEIVERS_WAITING: usize = 132;
    /// Held while a frame is read.
    pub const RECEIVE_LOCK: usize = 192;
    /// Messages received, modulo 2^32; written under receiveLock, before head.
    pub const RECEIVED: usize = 200;
    /// The tail that a receiver saw last, under receiveLock.
    pub const TAIL_SEEN: usize = 204;
    /// The position of the oldest frame, and POSITION_CLOSED. Senders wait on it.
    pub const HEAD: usize = 256;
    /// How many senders wait, at least: one that died stays counted.
    pub const SENDERS_WAITING: usize = 260;
}

/// What stands before each message in the ring. The payload follows, padded to FRAME_ALIGN.
pub mod frame_header {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The payload's bytes in bits 0–29, or FRAME_WRAP.
    pub const LENGTH: usize = 0;
    /// Kept zero.
    pub const RESERVED: usize = 4;
}
