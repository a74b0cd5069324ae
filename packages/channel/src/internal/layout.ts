// Record sizes, offsets and state words: generated from layout/channel.json; edit that.

/** The first word of a channel: the letters "hedc". */
export const CHANNEL_MAGIC = 0x6364_6568;
/** The version of the channel's record. */
export const CHANNEL_VERSION = 2;
/** Bit 0 of tail and head: the channel is closed. */
export const POSITION_CLOSED = 0x0000_0001;
/** Tail and head without their flag bits: a free-running position, a multiple of 8. */
export const POSITION_MASK = 0xffff_fff8;
/** Frames start and end at multiples of this. */
export const FRAME_ALIGN = 8;
/** Length word, bits 0–29: the payload's bytes. */
export const FRAME_LENGTH_MASK = 0x3fff_ffff;
/** Length word, bit 30: the frame goes on with the message of the frame before. */
export const FRAME_CONTINUED = 0x4000_0000;
/** Length word, bit 31: no message here; go on at the start of the ring. */
export const FRAME_WRAP = 0x8000_0000;
/** Options, bit 0: an empty ring is written from its start again, so that only a backlog touches memory. */
export const OPTION_COMPACT = 0x0000_0001;
/** With OPTION_COMPACT, an empty ring starts again from this place on. */
export const COMPACT_PLACE_MIN = 0x0001_0000;
/** Waiting counts: one select that waits. Bits 0–15 count those who wait for this channel alone. */
export const WAITING_SELECT = 0x0001_0000;
/** Waiting counts: those who wait for this channel alone. */
export const WAITING_MASK = 0x0000_ffff;
/** How many selects that sleep elsewhere one side of a channel can wake. */
export const WATCHERS = 4;
/** How many threads' ends a channel counts apart; those of further threads stay open when such a thread dies. */
export const END_COUNTS = 16;
/** End counts: one receiving end. Bits 0–15 count the sending ends. */
export const END_RECEIVER = 0x0001_0000;
/** End counts: the sending ends. */
export const END_SENDERS_MASK = 0x0000_ffff;
/** The smallest ring. */
export const RING_SIZE_MIN = 64;
/** The largest ring. */
export const RING_SIZE_MAX = 0x4000_0000;

/** Bytes of ChannelHeader: The head of a channel; `ringSize` bytes follow it. What one side writes and what the other side writes are on cache lines of their own. */
export const CHANNEL_HEADER_SIZE = 448;
/** Alignment of ChannelHeader, in bytes. */
export const CHANNEL_HEADER_ALIGN = 8;
/** CHANNEL_MAGIC once the channel is ready, written last. */
export const CHANNEL_HEADER_MAGIC_OFFSET = 0;
/** CHANNEL_VERSION. */
export const CHANNEL_HEADER_VERSION_OFFSET = 4;
/** Bytes of the ring, a power of two. A frame is at most half of it. */
export const CHANNEL_HEADER_RING_SIZE_OFFSET = 8;
/** How many messages the channel holds at most; 0 for a rendezvous, where a sender waits until its message is taken. */
export const CHANNEL_HEADER_CAPACITY_OFFSET = 12;
/** Open sending ends, of all threads. */
export const CHANNEL_HEADER_SENDERS_OFFSET = 16;
/** Open receiving ends, of all threads. */
export const CHANNEL_HEADER_RECEIVERS_OFFSET = 20;
/** OPTION_COMPACT. */
export const CHANNEL_HEADER_OPTIONS_OFFSET = 24;
/** Held while a frame is written. */
export const CHANNEL_HEADER_SEND_LOCK_OFFSET = 64;
/** Messages sent, modulo 2^32; written under sendLock. */
export const CHANNEL_HEADER_SENT_OFFSET = 72;
/** The head that a sender saw last, under sendLock, so that the receivers' line is read rarely. */
export const CHANNEL_HEADER_HEAD_SEEN_OFFSET = 76;
/** The count of received messages that a sender saw last, under sendLock. */
export const CHANNEL_HEADER_RECEIVED_SEEN_OFFSET = 80;
/** The position behind the last frame, and POSITION_CLOSED. */
export const CHANNEL_HEADER_TAIL_OFFSET = 128;
/** How many receivers wait, at least: one that died stays counted. WAITING_SELECT for each select. */
export const CHANNEL_HEADER_RECEIVERS_WAITING_OFFSET = 132;
/** Counts the changes that were told to waiting receivers, who sleep on it. */
export const CHANNEL_HEADER_RECEIVER_EVENTS_OFFSET = 136;
/** The byte addresses of other event counts, on which selects sleep that wait for a message here; 0 when free. */
export const CHANNEL_HEADER_RECEIVER_WATCHERS_OFFSET = 144;
/** Held while a frame is read. */
export const CHANNEL_HEADER_RECEIVE_LOCK_OFFSET = 192;
/** Messages received, modulo 2^32; written under receiveLock, before head. */
export const CHANNEL_HEADER_RECEIVED_OFFSET = 200;
/** The tail that a receiver saw last, under receiveLock. */
export const CHANNEL_HEADER_TAIL_SEEN_OFFSET = 204;
/** The position of the oldest frame, and POSITION_CLOSED. */
export const CHANNEL_HEADER_HEAD_OFFSET = 256;
/** How many senders wait, at least: one that died stays counted. WAITING_SELECT for each select. */
export const CHANNEL_HEADER_SENDERS_WAITING_OFFSET = 260;
/** Counts the changes that were told to waiting senders, who sleep on it. */
export const CHANNEL_HEADER_SENDER_EVENTS_OFFSET = 264;
/** The byte addresses of other event counts, on which selects sleep that wait for room here; 0 when free. */
export const CHANNEL_HEADER_SENDER_WATCHERS_OFFSET = 272;
/** The ends of registered threads, so that those of a dead thread can be taken away. */
export const CHANNEL_HEADER_ENDS_OFFSET = 320;

/** Bytes of FrameHeader: What stands before each message in the ring. The payload follows, padded to FRAME_ALIGN. */
export const FRAME_HEADER_SIZE = 8;
/** Alignment of FrameHeader, in bytes. */
export const FRAME_HEADER_ALIGN = 8;
/** The payload's bytes in bits 0–29, FRAME_CONTINUED; or FRAME_WRAP. */
export const FRAME_HEADER_LENGTH_OFFSET = 0;
/** How many bytes of the message follow in frames of their own. */
export const FRAME_HEADER_REST_OFFSET = 4;

/** Bytes of EndCount: The ends that one registered thread has open. */
export const END_COUNT_SIZE = 8;
/** Alignment of EndCount, in bytes. */
export const END_COUNT_ALIGN = 4;
/** The thread's slot and generation as in a lock word; 0 when nobody's. */
export const END_COUNT_TOKEN_OFFSET = 0;
/** Its sending ends, and END_RECEIVER for each receiving end. */
export const END_COUNT_COUNTS_OFFSET = 4;
