// Record sizes, offsets and state words: generated from layout/channel.json; edit that.

/** The first word of a channel: the letters "hedc". */
export const CHANNEL_MAGIC = 0x6364_6568;
/** The version of the channel's record. */
export const CHANNEL_VERSION = 1;
/** Bit 0 of tail and head: the channel is closed. */
export const POSITION_CLOSED = 0x0000_0001;
/** Tail and head without their flag bits: a free-running position, a multiple of 8. */
export const POSITION_MASK = 0xffff_fff8;
/** Frames start and end at multiples of this. */
export const FRAME_ALIGN = 8;
/** Length word, bits 0–29: the payload's bytes. */
export const FRAME_LENGTH_MASK = 0x3fff_ffff;
/** Length word, bit 31: no message here; go on at the start of the ring. */
export const FRAME_WRAP = 0x8000_0000;
/** The smallest ring. */
export const RING_SIZE_MIN = 64;
/** The largest ring. */
export const RING_SIZE_MAX = 0x4000_0000;

/** Bytes of ChannelHeader: The head of a channel; `ringSize` bytes follow it. What one side writes and what the other side writes are on cache lines of their own. */
export const CHANNEL_HEADER_SIZE = 320;
/** Alignment of ChannelHeader, in bytes. */
export const CHANNEL_HEADER_ALIGN = 8;
/** CHANNEL_MAGIC once the channel is ready, written last. */
export const CHANNEL_HEADER_MAGIC_OFFSET = 0;
/** CHANNEL_VERSION. */
export const CHANNEL_HEADER_VERSION_OFFSET = 4;
/** Bytes of the ring, a power of two. A frame is at most half of it. */
export const CHANNEL_HEADER_RING_SIZE_OFFSET = 8;
/** How many messages the channel holds at most. */
export const CHANNEL_HEADER_CAPACITY_OFFSET = 12;
/** Open sending ends. */
export const CHANNEL_HEADER_SENDERS_OFFSET = 16;
/** Open receiving ends. */
export const CHANNEL_HEADER_RECEIVERS_OFFSET = 20;
/** Held while a frame is written. */
export const CHANNEL_HEADER_SEND_LOCK_OFFSET = 64;
/** Messages sent, modulo 2^32; written under sendLock. */
export const CHANNEL_HEADER_SENT_OFFSET = 72;
/** The head that a sender saw last, under sendLock, so that the receivers' line is read rarely. */
export const CHANNEL_HEADER_HEAD_SEEN_OFFSET = 76;
/** The count of received messages that a sender saw last, under sendLock. */
export const CHANNEL_HEADER_RECEIVED_SEEN_OFFSET = 80;
/** The position behind the last frame, and POSITION_CLOSED. Receivers wait on it. */
export const CHANNEL_HEADER_TAIL_OFFSET = 128;
/** How many receivers wait, at least: one that died stays counted. */
export const CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET = 132;
/** Held while a frame is read. */
export const CHANNEL_HEADER_RECEIVE_LOCK_OFFSET = 192;
/** Messages received, modulo 2^32; written under receiveLock, before head. */
export const CHANNEL_HEADER_RECEIVED_OFFSET = 200;
/** The tail that a receiver saw last, under receiveLock. */
export const CHANNEL_HEADER_TAIL_SEEN_OFFSET = 204;
/** The position of the oldest frame, and POSITION_CLOSED. Senders wait on it. */
export const CHANNEL_HEADER_HEAD_OFFSET = 256;
/** How many senders wait, at least: one that died stays counted. */
export const CHANNEL_HEADER_SENDERS_WAITING_OFFSET = 260;

/** Bytes of FrameHeader: What stands before each message in the ring. The payload follows, padded to FRAME_ALIGN. */
export const FRAME_HEADER_SIZE = 8;
/** Alignment of FrameHeader, in bytes. */
export const FRAME_HEADER_ALIGN = 8;
/** The payload's bytes in bits 0–29, or FRAME_WRAP. */
export const FRAME_HEADER_LENGTH_OFFSET = 0;
/** Kept zero. */
export const FRAME_HEADER_RESERVED_OFFSET = 4;
