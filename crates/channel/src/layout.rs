//! Record sizes, offsets and state words: generated from `layout/channel.json`; edit that.

/// The first word of a channel: the letters "hedc".
pub const CHANNEL_MAGIC: u32 = 0x6364_6568;
/// The version of the channel's record.
pub const CHANNEL_VERSION: u32 = 4;
/// Bit 0 of tail and head: the channel is closed.
pub const POSITION_CLOSED: u32 = 0x0000_0001;
/// Tail and head without their flag bits: a free-running position, a multiple of 8.
pub const POSITION_MASK: u32 = 0xffff_fff8;
/// Frames start and end at multiples of this.
pub const FRAME_ALIGN: u32 = 8;
/// Length word, bits 0–29: the payload's bytes.
pub const FRAME_LENGTH_MASK: u32 = 0x3fff_ffff;
/// Length word, bit 30: the frame goes on with the message of the frame before.
pub const FRAME_CONTINUED: u32 = 0x4000_0000;
/// Length word, bit 31: no message here; go on at the start of the ring.
pub const FRAME_WRAP: u32 = 0x8000_0000;
/// Options, bit 0: an empty ring is written from its start again, so that only a backlog touches memory.
pub const OPTION_COMPACT: u32 = 0x0000_0001;
/// With OPTION_COMPACT, an empty ring starts again from this place on.
pub const COMPACT_PLACE_MIN: u32 = 0x0001_0000;
/// Waiting counts: one select that waits. Bits 0–15 count those who wait for this channel alone.
pub const WAITING_SELECT: u32 = 0x0001_0000;
/// Waiting counts: those who wait for this channel alone.
pub const WAITING_MASK: u32 = 0x0000_ffff;
/// How many selects that sleep elsewhere one side of a channel can wake.
pub const WATCHERS: u32 = 6;
/// Watchers, bit 0: the select is in the waiting count. Bits 2–31 are the rest of an event count's byte address; outside of Wasm a number times 4 that names it.
pub const WATCHER_COUNTED: u32 = 1;
/// Watchers, bits 32–63: the token of the select's thread, from whom the place is taken when it is dead.
pub const WATCHER_TOKEN_SHIFT: u32 = 32;
/// How many threads' ends a channel counts apart; those of further threads stay open when such a thread dies.
pub const END_COUNTS: u32 = 16;
/// End counts, bits 32–47: the sending ends. Bits 0–31 are the thread's token.
pub const END_SENDERS_SHIFT: u32 = 32;
/// End counts, bits 48–63: the receiving ends.
pub const END_RECEIVERS_SHIFT: u32 = 48;
/// End counts: how many ends of one side fit; further ones are counted with those of no thread.
pub const END_COUNT_MAX: u32 = 0x0000_ffff;
/// The first word of a broadcast channel: the letters "hedb".
pub const BROADCAST_MAGIC: u32 = 0x6264_6568;
/// The version of the broadcast channel's record.
pub const BROADCAST_VERSION: u32 = 3;
/// Options of a broadcast channel, bit 0: a sender waits for the slowest receiver.
pub const OPTION_BACK_PRESSURE: u32 = 0x0000_0001;
/// How many receivers a broadcast channel with OPTION_BACK_PRESSURE can have open.
pub const CURSORS: u32 = 16;
/// The first word of a watch channel: the letters "hedw".
pub const WATCH_MAGIC: u32 = 0x7764_6568;
/// The version of the watch channel's record.
pub const WATCH_VERSION: u32 = 3;
/// Bit 0 of changes: the watch channel is closed.
pub const CHANGES_CLOSED: u32 = 0x0000_0001;
/// Changes, bits 1–31: one change.
pub const CHANGES_UNIT: u32 = 0x0000_0002;
/// The most bytes that a value of a watch channel may have.
pub const VALUE_SIZE_MAX: u32 = 0x2000_0000;
/// The smallest ring.
pub const RING_SIZE_MIN: u32 = 64;
/// The largest ring.
pub const RING_SIZE_MAX: u32 = 0x4000_0000;

/// The head of a channel; `ringSize` bytes follow it. What one side writes and what the other side writes are on cache lines of their own.
pub mod channel_header {
    /// Bytes of the record.
    pub const SIZE: usize = 448;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// CHANNEL_MAGIC once the channel is ready, written last.
    pub const MAGIC: usize = 0;
    /// CHANNEL_VERSION.
    pub const VERSION: usize = 4;
    /// Bytes of the ring, a power of two. A frame is at most half of it.
    pub const RING_SIZE: usize = 8;
    /// How many messages the channel holds at most; 0 for a rendezvous, where a sender waits until its message is taken.
    pub const CAPACITY: usize = 12;
    /// Open sending ends that no entry of `ends` counts.
    pub const SENDERS: usize = 16;
    /// Open receiving ends that no entry of `ends` counts.
    pub const RECEIVERS: usize = 20;
    /// OPTION_COMPACT.
    pub const OPTIONS: usize = 24;
    /// How many ends were added, modulo 2^32; counted once the end is, and before the one that it was made of may go.
    pub const ENDS_ADDED: usize = 28;
    /// Held while a frame is written.
    pub const SEND_LOCK: usize = 64;
    /// Messages sent, modulo 2^32; written under sendLock.
    pub const SENT: usize = 72;
    /// The head that a sender saw last, under sendLock, so that the receivers' line is read rarely.
    pub const HEAD_SEEN: usize = 76;
    /// The count of received messages that a sender saw last, under sendLock.
    pub const RECEIVED_SEEN: usize = 80;
    /// The position behind the last frame, and POSITION_CLOSED.
    pub const TAIL: usize = 128;
    /// How many receivers wait, at least: one that died stays counted. WAITING_SELECT for each select.
    pub const RECEIVERS_WAITING: usize = 132;
    /// Counts the changes that were told to waiting receivers, who sleep on it.
    pub const RECEIVER_EVENTS: usize = 136;
    /// How many waiting receivers are known to look again: when it is as many as wait, no more are told. Who comes to wait clears it.
    pub const RECEIVERS_TOLD: usize = 140;
    /// The event counts elsewhere on which selects sleep that wait for a message here, and whose selects they are; 0 when free.
    pub const RECEIVER_WATCHERS: usize = 144;
    /// Held while a frame is read.
    pub const RECEIVE_LOCK: usize = 192;
    /// Messages received, modulo 2^32; written under receiveLock, before head.
    pub const RECEIVED: usize = 200;
    /// The tail that a receiver saw last, under receiveLock.
    pub const TAIL_SEEN: usize = 204;
    /// The position of the oldest frame, and POSITION_CLOSED.
    pub const HEAD: usize = 256;
    /// How many senders wait, at least: one that died stays counted. WAITING_SELECT for each select.
    pub const SENDERS_WAITING: usize = 260;
    /// Counts the changes that were told to waiting senders, who sleep on it.
    pub const SENDER_EVENTS: usize = 264;
    /// How many waiting senders are known to look again; as receiversTold.
    pub const SENDERS_TOLD: usize = 268;
    /// The event counts elsewhere on which selects sleep that wait for room here, and whose selects they are; 0 when free.
    pub const SENDER_WATCHERS: usize = 272;
    /// The ends of registered threads, so that those of a dead thread count no more.
    pub const ENDS: usize = 320;
}

/// What stands before each message in the ring. The payload follows, padded to FRAME_ALIGN.
pub mod frame_header {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The payload's bytes in bits 0–29, FRAME_CONTINUED; or FRAME_WRAP.
    pub const LENGTH: usize = 0;
    /// How many bytes of the message follow in frames of their own.
    pub const REST: usize = 4;
}

/// The ends that one registered thread has open.
pub mod end_count {
    /// Bytes of the record.
    pub const SIZE: usize = 8;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The thread's slot and generation as in a lock word, its sending and its receiving ends, read and changed as one; 0 when nobody's.
    pub const ENTRY: usize = 0;
}

/// The head of a broadcast channel, whose messages go to every receiver; `ringSize` bytes follow it.
pub mod broadcast_header {
    /// Bytes of the record.
    pub const SIZE: usize = 640;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// BROADCAST_MAGIC once the channel is ready, written last.
    pub const MAGIC: usize = 0;
    /// BROADCAST_VERSION.
    pub const VERSION: usize = 4;
    /// Bytes of the ring, a power of two. A frame is at most half of it.
    pub const RING_SIZE: usize = 8;
    /// How many messages are kept at most, at least 1.
    pub const CAPACITY: usize = 12;
    /// Open sending ends that no entry of `ends` counts.
    pub const SENDERS: usize = 16;
    /// Open receiving ends that no entry of `ends` counts.
    pub const RECEIVERS: usize = 20;
    /// OPTION_BACK_PRESSURE.
    pub const OPTIONS: usize = 24;
    /// How many ends were added; as in ChannelHeader.
    pub const ENDS_ADDED: usize = 28;
    /// Held while a message is written or read.
    pub const LOCK: usize = 64;
    /// The number of the next message; under lock, written after tail.
    pub const SENT: usize = 72;
    /// The position behind the last frame, and POSITION_CLOSED.
    pub const TAIL: usize = 128;
    /// How many receivers wait, at least; as in ChannelHeader.
    pub const RECEIVERS_WAITING: usize = 132;
    /// Counts the changes that were told to waiting receivers, who sleep on it.
    pub const RECEIVER_EVENTS: usize = 136;
    /// As in ChannelHeader.
    pub const RECEIVERS_TOLD: usize = 140;
    /// As in ChannelHeader.
    pub const RECEIVER_WATCHERS: usize = 144;
    /// The position of the oldest frame that is kept; under lock, written before what lay there is overwritten.
    pub const OLDEST: usize = 192;
    /// How many senders wait for the slowest receiver, at least; as in ChannelHeader.
    pub const SENDERS_WAITING: usize = 196;
    /// Counts the changes that were told to waiting senders, who sleep on it.
    pub const SENDER_EVENTS: usize = 200;
    /// As in ChannelHeader.
    pub const SENDERS_TOLD: usize = 204;
    /// As in ChannelHeader.
    pub const SENDER_WATCHERS: usize = 208;
    /// The ends of registered threads, so that those of a dead thread count no more.
    pub const ENDS: usize = 256;
    /// With OPTION_BACK_PRESSURE, how far each receiver is.
    pub const CURSORS: usize = 384;
}

/// What stands before each message in the ring of a broadcast channel. The payload follows, padded to FRAME_ALIGN.
pub mod broadcast_frame {
    /// Bytes of the record.
    pub const SIZE: usize = 16;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The payload's bytes in bits 0–29; or FRAME_WRAP, and nothing else stands here.
    pub const LENGTH: usize = 0;
    /// Which message it is: how many were sent before it.
    pub const NUMBER: usize = 8;
}

/// How far one receiver of a broadcast channel with OPTION_BACK_PRESSURE is.
pub mod cursor {
    /// Bytes of the record.
    pub const SIZE: usize = 16;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// The receiver's thread as in a lock word, written last when it is opened; 0 when nobody's.
    pub const TOKEN: usize = 0;
    /// The number of the message that it receives next; under lock.
    pub const NEXT: usize = 8;
}

/// The head of a watch channel, which keeps the latest value; two places for values follow it, each of `valueSize` bytes rounded up to a multiple of 8.
pub mod watch_header {
    /// Bytes of the record.
    pub const SIZE: usize = 320;
    /// Alignment of the record, in bytes.
    pub const ALIGN: usize = 8;
    /// WATCH_MAGIC once the channel is ready, written last.
    pub const MAGIC: usize = 0;
    /// WATCH_VERSION.
    pub const VERSION: usize = 4;
    /// The most bytes that a value may have.
    pub const VALUE_SIZE: usize = 8;
    /// Open sending ends that no entry of `ends` counts.
    pub const SENDERS: usize = 16;
    /// Open receiving ends that no entry of `ends` counts.
    pub const RECEIVERS: usize = 20;
    /// How many ends were added; as in ChannelHeader.
    pub const ENDS_ADDED: usize = 28;
    /// Held while a value is written or read.
    pub const LOCK: usize = 64;
    /// The bytes of the value in each place; under lock.
    pub const LENGTHS: usize = 72;
    /// How often the value was changed, in CHANGES_UNIT, modulo 2^31, and CHANGES_CLOSED. The lowest bit of the count is the place of the value.
    pub const CHANGES: usize = 128;
    /// How many receivers wait, at least; as in ChannelHeader.
    pub const RECEIVERS_WAITING: usize = 132;
    /// Counts the changes that were told to waiting receivers, who sleep on it.
    pub const RECEIVER_EVENTS: usize = 136;
    /// As in ChannelHeader.
    pub const RECEIVERS_TOLD: usize = 140;
    /// As in ChannelHeader.
    pub const RECEIVER_WATCHERS: usize = 144;
    /// The ends of registered threads, so that those of a dead thread count no more.
    pub const ENDS: usize = 192;
}
