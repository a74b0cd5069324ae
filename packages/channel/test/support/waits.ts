/** The operations that wait, and channels on which they have to: what a test of all of them and its worker agree on. */
import {
  BroadcastReceiver,
  BroadcastSender,
  Receiver,
  Sender,
  type AsyncWaitOptions,
  type WaitOptions,
  WatchReceiver,
  broadcast,
  channel,
  watch,
} from '../../src/index.ts';

/** Handles of the two ends. */
export interface Handles {
  readonly sender: never;
  readonly receiver: never;
}

/** An operation that waits, in the forms that do. */
interface Operation<Ends> {
  /** Opens more ends. */
  readonly open: (handles: Handles) => Ends & Disposable;
  readonly block: (ends: Ends, options?: WaitOptions) => void;
  /** The same without blocking; what came, if it receives. */
  readonly wait: (ends: Ends, options?: AsyncWaitOptions) => Promise<unknown>;
  /** What comes back with the error, if it sends. */
  readonly unsent?: unknown;
}

/** A channel on which some operations have to wait. */
export interface Obstacle {
  readonly handles: Handles;
  /** Makes room, or has a message come. */
  readonly remove: () => void;
  /** All messages that are there and come within the operation. */
  readonly drain: () => Promise<Uint8Array[]>;
}

interface ChannelEnds {
  readonly sender: Sender;
  readonly receiver: Receiver;
}

/** What the operations send, and what they receive. */
export const MARK: Uint8Array = Uint8Array.of(1, 2, 3);
/** What was there before. */
export const FILLER: Uint8Array = new Uint8Array(24).fill(9);
/** Longer than the ring of 64 bytes. */
const LONG = new Uint8Array(300).fill(7);

function openChannel({ sender, receiver }: Handles): ChannelEnds & Disposable {
  const ends = { sender: Sender.from(sender), receiver: Receiver.from(receiver) };
  return {
    ...ends,
    [Symbol.dispose]: () => {
      ends.sender.release();
      ends.receiver.release();
    },
  };
}

const SENDING = {
  send: {
    open: openChannel,
    block: ({ sender }, options) => sender.send(MARK, options),
    wait: ({ sender }, options) => sender.sendAsync(MARK, options),
    unsent: MARK,
  },
  'send of a long one': {
    open: openChannel,
    block: ({ sender }, options) => sender.send(LONG, options),
    wait: ({ sender }, options) => sender.sendAsync(LONG, options),
    unsent: LONG,
  },
  sendMany: {
    open: openChannel,
    block: ({ sender }, options) => sender.sendMany([MARK, MARK], options),
    wait: ({ sender }, options) => sender.sendManyAsync([MARK, MARK], options),
    unsent: [MARK, MARK],
  },
  reserve: {
    open: openChannel,
    block: ({ sender }, options) => sender.reserve(MARK.length, options).abandon(),
    wait: async ({ sender }, options) => {
      using place = await sender.reserveAsync(MARK.length, options);
      place.bytes.set(MARK);
      place.commit();
      return undefined;
    },
  },
} satisfies Record<string, Operation<ChannelEnds>>;

const RECEIVING = {
  recv: {
    open: openChannel,
    block: ({ receiver }, options) => void receiver.recv(options),
    wait: ({ receiver }, options) => receiver.recvAsync(options),
  },
  recvMany: {
    open: openChannel,
    block: ({ receiver }, options) => void receiver.recvMany(9, options),
    wait: async ({ receiver }, options) => (await receiver.recvManyAsync(9, options))[0],
  },
  recvInto: {
    open: openChannel,
    block: ({ receiver }, options) => void receiver.recvInto(new Uint8Array(64), options),
    wait: async ({ receiver }, options) => {
      const target = new Uint8Array(64);
      return target.subarray(0, await receiver.recvIntoAsync(target, options));
    },
  },
  borrow: {
    open: openChannel,
    block: ({ receiver }, options) => receiver.borrow(options).release(),
    wait: async ({ receiver }, options) => {
      using message = await receiver.borrowAsync(options);
      return message.bytes.slice();
    },
  },
} satisfies Record<string, Operation<ChannelEnds>>;

interface BroadcastEnds {
  readonly sender: BroadcastSender;
  readonly receiver: BroadcastReceiver;
}

function openBroadcast({ sender, receiver }: Handles): BroadcastEnds & Disposable {
  const ends = { sender: BroadcastSender.from(sender), receiver: BroadcastReceiver.from(receiver) };
  return {
    ...ends,
    [Symbol.dispose]: () => {
      ends.sender.release();
      ends.receiver.release();
    },
  };
}

interface WatchEnds {
  readonly receiver: WatchReceiver;
}

const BROADCASTING = {
  'broadcast send': {
    open: openBroadcast,
    block: ({ sender }, options) => sender.send(MARK, options),
    wait: async ({ sender, receiver }, options) => {
      // It would wait for its own receiver.
      receiver.release();
      await sender.sendAsync(MARK, options);
      return undefined;
    },
    unsent: MARK,
  },
  'broadcast recv': {
    open: openBroadcast,
    block: ({ receiver }, options) => void receiver.recv(options),
    wait: ({ receiver }, options) => receiver.recvAsync(options),
  },
} satisfies Record<string, Operation<BroadcastEnds>>;

const WATCHING = {
  'watch changed': {
    open: ({ receiver: handle }: Handles): WatchEnds & Disposable => {
      const receiver = WatchReceiver.from(handle);
      return { receiver, [Symbol.dispose]: () => receiver.release() };
    },
    block: ({ receiver }, options) => receiver.changed(options),
    wait: async ({ receiver }, options) => {
      await receiver.changedAsync(options);
      return receiver.borrow();
    },
  },
} satisfies Record<string, Operation<WatchEnds>>;

/** The operations, by name. */
export const OPERATIONS = { ...SENDING, ...RECEIVING, ...BROADCASTING, ...WATCHING } as unknown as Readonly<
  Record<string, Operation<unknown>>
>;

/** The obstacle of a channel. */
function obstacleOf({ sender, receiver }: ChannelEnds, remove: () => void): Obstacle {
  return {
    handles: { sender: sender.handle() as never, receiver: receiver.handle() as never },
    remove,
    drain: async () => {
      const messages: Uint8Array[] = [];
      try {
        for (;;) messages.push(await receiver.recvAsync({ timeoutMs: 0 }));
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'TIMEOUT') throw error;
        return messages;
      }
    },
  };
}

/** Channels on which a sender has to wait. */
export const SENDING_OBSTACLES: Readonly<Record<string, () => Obstacle>> = {
  'full of messages': () => {
    const ends = channel({ capacity: 1, ringByteLength: 64 });
    ends.sender.send(FILLER);
    return obstacleOf(ends, () => void ends.receiver.recv());
  },
  'full of bytes': () => {
    const ends = channel({ ringByteLength: 64 });
    ends.sender.sendMany([FILLER, FILLER]);
    return obstacleOf(ends, () => void ends.receiver.recvMany(2));
  },
  // A place that somebody kept reserved, and a message that somebody kept borrowed, once made others wait for it however long: neither
  // `timeoutMs` nor `signal` ended that.
  "with another's reservation": () => {
    const ends = channel({ ringByteLength: 64 });
    const place = ends.sender.reserve(FILLER.length);
    return obstacleOf(ends, () => place.abandon());
  },
  'a rendezvous': () => {
    const ends = channel({ capacity: 0, ringByteLength: 64 });
    return obstacleOf(ends, () => {});
  },
};

/** Channels on which a receiver has to wait. */
export const RECEIVING_OBSTACLES: Readonly<Record<string, () => Obstacle>> = {
  empty: () => {
    const ends = channel({ ringByteLength: 64 });
    return obstacleOf(ends, () => ends.sender.send(MARK));
  },
  "with another's borrowed message": () => {
    const ends = channel({ ringByteLength: 64 });
    ends.sender.sendMany([FILLER, MARK]);
    const message = ends.receiver.borrow();
    return obstacleOf(ends, () => message.release());
  },
  'a rendezvous': () => {
    const ends = channel({ capacity: 0, ringByteLength: 64 });
    return obstacleOf(ends, () => void ends.sender.sendAsync(MARK));
  },
};

const BROADCAST_OBSTACLES: Readonly<Record<string, () => Obstacle>> = {
  'broadcast send': () => {
    const { sender, receiver } = broadcast({ capacity: 1, backPressure: true });
    sender.send(FILLER);
    const ends = { sender, receiver } as unknown as ChannelEnds;
    return obstacleOf(ends, () => void receiver.recv());
  },
  'broadcast recv': () => {
    const { sender, receiver } = broadcast();
    return obstacleOf({ sender, receiver } as unknown as ChannelEnds, () => sender.send(MARK));
  },
  'watch changed': () => {
    const { sender, receiver } = watch(FILLER);
    return {
      handles: { sender: sender.handle() as never, receiver: receiver.handle() as never },
      remove: () => sender.send(MARK),
      drain: async () => [receiver.borrow()],
    };
  },
};

/** Each operation with each channel on which it has to wait. */
export const WAITS: readonly { operation: string; where: string; make: () => Obstacle; receives: boolean }[] = [
  ...combine(SENDING, SENDING_OBSTACLES, false).filter(({ operation, where }) => operation !== 'reserve' || where !== 'a rendezvous'),
  ...combine(RECEIVING, RECEIVING_OBSTACLES, true),
  ...Object.entries(BROADCAST_OBSTACLES).map(([operation, make]) => {
    const receives = operation !== 'broadcast send';
    return { operation, where: receives ? 'with nothing new' : 'full, with back-pressure', make, receives };
  }),
];

function combine(operations: object, obstacles: Readonly<Record<string, () => Obstacle>>, receives: boolean): (typeof WAITS)[number][] {
  return Object.keys(operations).flatMap((operation) =>
    Object.entries(obstacles).map(([where, make]) => ({ operation, where, make, receives })),
  );
}
