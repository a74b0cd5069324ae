// Record sizes, offsets and state words: generated from layout/channel.json; edit that.

/** The first word of a channel: the letters "hedc". */
export const CHANNEL_MAGIC = 0x6364_6568;
/** The version of the channel's record. */
export const CHANNEL_VERSION = 4;
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
export const WATCHERS = 6;
/** Watchers, bit 0: the select is in the waiting count. Bits 2–31 are the rest of an event count's byte address; outside of Wasm a number times 4 that names it. */
export const WATCHER_COUNTED = 1;
/** Watchers, bits 32–63: the token of the select's thread, from whom the place is taken when it is dead. */
export const WATCHER_TOKEN_SHIFT = 32;
/** How many threads' ends a channel counts apart; those of further threads stay open when such a thread dies. */
export const END_COUNTS = 16;
/** End counts, bits 32–47: the sending ends. Bits 0–31 are the thread's token. */
export const END_SENDERS_SHIFT = 32;
/** End counts, bits 48–63: the receiving ends. */
export const END_RECEIVERS_SHIFT = 48;
/** End counts: how many ends of one side fit; further ones are counted with those of no thread. */
export const END_COUNT_MAX = 0x0000_ffff;
/** The first word of a broadcast channel: the letters "hedb". */
export const BROADCAST_MAGIC = 0x6264_6568;
/** The version of the broadcast channel's record. */
export const BROADCAST_VERSION = 3;
/** Options of a broadcast channel, bit 0: a sender waits for the slowest receiver. */
export const OPTION_BACK_PRESSURE = 0x0000_0001;
/** How many receivers a broadcast channel with OPTION_BACK_PRESSURE can have open. */
export const CURSORS = 16;
/** The first word of a watch channel: the letters "hedw". */
export const WATCH_MAGIC = 0x7764_6568;
/** The version of the watch channel's record. */
export const WATCH_VERSION = 3;
/** Bit 0 of changes: the watch channel is closed. */
export const CHANGES_CLOSED = 0x0000_0001;
/** Changes, bits 1–31: one change. */
export const CHANGES_UNIT = 0x0000_0002;
/** The most bytes that a value of a watch channel may have. */
export const VALUE_SIZE_MAX = 0x2000_0000;
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
/** Open sending ends that no entry of `ends` counts. */
export const CHANNEL_HEADER_SENDERS_OFFSET = 16;
/** Open receiving ends that no entry of `ends` counts. */
export const CHANNEL_HEADER_RECEIVERS_OFFSET = 20;
/** OPTION_COMPACT. */
export const CHANNEL_HEADER_OPTIONS_OFFSET = 24;
/** How many ends were added, modulo 2^32; counted once the end is, and before the one that it was made of may go. */
export const CHANNEL_HEADER_ENDS_ADDED_OFFSET = 28;
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
/** How many waiting receivers are known to look again: when it is as many as wait, no more are told. Who comes to wait clears it. */
export const CHANNEL_HEADER_RECEIVERS_TOLD_OFFSET = 140;
/** The event counts elsewhere on which selects sleep that wait for a message here, and whose selects they are; 0 when free. */
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
/** How many waiting senders are known to look again; as receiversTold. */
export const CHANNEL_HEADER_SENDERS_TOLD_OFFSET = 268;
/** The event counts elsewhere on which selects sleep that wait for room here, and whose selects they are; 0 when free. */
export const CHANNEL_HEADER_SENDER_WATCHERS_OFFSET = 272;
/** The ends of registered threads, so that those of a dead thread count no more. */
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
export const END_COUNT_ALIGN = 8;
/** The thread's slot and generation as in a lock word, its sending and its receiving ends, read and changed as one; 0 when nobody's. */
export const END_COUNT_ENTRY_OFFSET = 0;

/** Bytes of BroadcastHeader: The head of a broadcast channel, whose messages go to every receiver; `ringSize` bytes follow it. */
export const BROADCAST_HEADER_SIZE = 640;
/** Alignment of BroadcastHeader, in bytes. */
export const BROADCAST_HEADER_ALIGN = 8;
/** BROADCAST_MAGIC once the channel is ready, written last. */
export const BROADCAST_HEADER_MAGIC_OFFSET = 0;
/** BROADCAST_VERSION. */
export const BROADCAST_HEADER_VERSION_OFFSET = 4;
/** Bytes of the ring, a power of two. A frame is at most half of it. */
export const BROADCAST_HEADER_RING_SIZE_OFFSET = 8;
/** How many messages are kept at most, at least 1. */
export const BROADCAST_HEADER_CAPACITY_OFFSET = 12;
/** Open sending ends that no entry of `ends` counts. */
export const BROADCAST_HEADER_SENDERS_OFFSET = 16;
/** Open receiving ends that no entry of `ends` counts. */
export const BROADCAST_HEADER_RECEIVERS_OFFSET = 20;
/** OPTION_BACK_PRESSURE. */
export const BROADCAST_HEADER_OPTIONS_OFFSET = 24;
/** How many ends were added; as in ChannelHeader. */
export const BROADCAST_HEADER_ENDS_ADDED_OFFSET = 28;
/** Held while a message is written or read. */
export const BROADCAST_HEADER_LOCK_OFFSET = 64;
/** The number of the next message; under lock, written after tail. */
export const BROADCAST_HEADER_SENT_OFFSET = 72;
/** The position behind the last frame, and POSITION_CLOSED. */
export const BROADCAST_HEADER_TAIL_OFFSET = 128;
/** How many receivers wait, at least; as in ChannelHeader. */
export const BROADCAST_HEADER_RECEIVERS_WAITING_OFFSET = 132;
/** Counts the changes that were told to waiting receivers, who sleep on it. */
export const BROADCAST_HEADER_RECEIVER_EVENTS_OFFSET = 136;
/** As in ChannelHeader. */
export const BROADCAST_HEADER_RECEIVERS_TOLD_OFFSET = 140;
/** As in ChannelHeader. */
export const BROADCAST_HEADER_RECEIVER_WATCHERS_OFFSET = 144;
/** The position of the oldest frame that is kept; under lock, written before what lay there is overwritten. */
export const BROADCAST_HEADER_OLDEST_OFFSET = 192;
/** How many senders wait for the slowest receiver, at least; as in ChannelHeader. */
export const BROADCAST_HEADER_SENDERS_WAITING_OFFSET = 196;
/** Counts the changes that were told to waiting senders, who sleep on it. */
export const BROADCAST_HEADER_SENDER_EVENTS_OFFSET = 200;
/** As in ChannelHeader. */
export const BROADCAST_HEADER_SENDERS_TOLD_OFFSET = 204;
/** As in ChannelHeader. */
export const BROADCAST_HEADER_SENDER_WATCHERS_OFFSET = 208;
/** The ends of registered threads, so that those of a dead thread count no more. */
export const BROADCAST_HEADER_ENDS_OFFSET = 256;
/** With OPTION_BACK_PRESSURE, how far each receiver is. */
export const BROADCAST_HEADER_CURSORS_OFFSET = 384;

/** Bytes of BroadcastFrame: What stands before each message in the ring of a broadcast channel. The payload follows, padded to FRAME_ALIGN. */
export const BROADCAST_FRAME_SIZE = 16;
/** Alignment of BroadcastFrame, in bytes. */
export const BROADCAST_FRAME_ALIGN = 8;
/** The payload's bytes in bits 0–29; or FRAME_WRAP, and nothing else stands here. */
export const BROADCAST_FRAME_LENGTH_OFFSET = 0;
/** Which message it is: how many were sent before it. */
export const BROADCAST_FRAME_NUMBER_OFFSET = 8;

/** Bytes of Cursor: How far one receiver of a broadcast channel with OPTION_BACK_PRESSURE is. */
export const CURSOR_SIZE = 16;
/** Alignment of Cursor, in bytes. */
export const CURSOR_ALIGN = 8;
/** The receiver's thread as in a lock word, written last when it is opened; 0 when nobody's. */
export const CURSOR_TOKEN_OFFSET = 0;
/** The number of the message that it receives next; under lock. */
export const CURSOR_NEXT_OFFSET = 8;

/** Bytes of WatchHeader: The head of a watch channel, which keeps the latest value; two places for values follow it, each of `valueSize` bytes rounded up to a multiple of 8. */
export const WATCH_HEADER_SIZE = 320;
/** Alignment of WatchHeader, in bytes. */
export const WATCH_HEADER_ALIGN = 8;
/** WATCH_MAGIC once the channel is ready, written last. */
export const WATCH_HEADER_MAGIC_OFFSET = 0;
/** WATCH_VERSION. */
export const WATCH_HEADER_VERSION_OFFSET = 4;
/** The most bytes that a value may have. */
export const WATCH_HEADER_VALUE_SIZE_OFFSET = 8;
/** Open sending ends that no entry of `ends` counts. */
export const WATCH_HEADER_SENDERS_OFFSET = 16;
/** Open receiving ends that no entry of `ends` counts. */
export const WATCH_HEADER_RECEIVERS_OFFSET = 20;
/** How many ends were added; as in ChannelHeader. */
export const WATCH_HEADER_ENDS_ADDED_OFFSET = 28;
/** Held while a value is written or read. */
export const WATCH_HEADER_LOCK_OFFSET = 64;
/** The bytes of the value in each place; under lock. */
export const WATCH_HEADER_LENGTHS_OFFSET = 72;
/** How often the value was changed, in CHANGES_UNIT, modulo 2^31, and CHANGES_CLOSED. The lowest bit of the count is the place of the value. */
export const WATCH_HEADER_CHANGES_OFFSET = 128;
/** How many receivers wait, at least; as in ChannelHeader. */
export const WATCH_HEADER_RECEIVERS_WAITING_OFFSET = 132;
/** Counts the changes that were told to waiting receivers, who sleep on it. */
export const WATCH_HEADER_RECEIVER_EVENTS_OFFSET = 136;
/** As in ChannelHeader. */
export const WATCH_HEADER_RECEIVERS_TOLD_OFFSET = 140;
/** As in ChannelHeader. */
export const WATCH_HEADER_RECEIVER_WATCHERS_OFFSET = 144;
/** The ends of registered threads, so that those of a dead thread count no more. */
export const WATCH_HEADER_ENDS_OFFSET = 192;
