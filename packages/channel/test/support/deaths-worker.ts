/**
 * What the workers of the test of deaths do: they send and receive in all the ways there are. A worker may be terminated anywhere.
 *
 * A message says which it is and who sent it; the rest follows from its number.
 */
import { AbortedError, ThreadRegistry, type ThreadRegistryHandle, type ThreadToken } from '@heddle/atomics';
import {
  BroadcastReceiver,
  BroadcastSender,
  ChannelTimeoutError,
  ClosedError,
  LaggedError,
  Receiver,
  Sender,
  WatchReceiver,
  WatchSender,
  select,
} from '../../src/index.ts';
import { type BroadcastShare, type DeathsShare, HANDS, type Heard, TICKET, TOTAL, WRONG, type WatchShare } from './deaths.ts';
import { type Jobs, browserPort, isBrowser, nodePort, serve } from './rpc.ts';

const HEAD_BYTES = 8;
const SHORT_MAX = 48;
const LONG_MAX = 400;

/** G. Marsaglia's xorshift. */
function randomOf(seed: number): (count: number) => number {
  let state = seed | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

const fillerOf = (n: number): number => (n * 31 + 7) & 0xff;

function messageOf(n: number, who: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength).fill(fillerOf(n));
  new Uint32Array(bytes.buffer, 0, 2).set([n, who]);
  return bytes;
}

function abortSoon(random: (count: number) => number): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (random(2) === 0) queueMicrotask(abort);
  else setTimeout(abort, 0);
  return controller.signal;
}

/** What `action` gives; `undefined` if its wait was given up. */
async function unlessGivenUp<T>(action: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof ChannelTimeoutError || error instanceof AbortedError) return undefined;
    throw error;
  }
}

/** Sends until there are enough messages. */
async function send(share: DeathsShare, who: number, seed: number): Promise<void> {
  const { words } = share;
  const random = randomOf(seed);
  using sender = Sender.from(share.sender);
  const isRendezvous = sender.capacity === 0;
  const next = (): number => Atomics.add(words, TICKET, 1);
  const byteLength = (): number => HEAD_BYTES + random(SHORT_MAX - HEAD_BYTES);
  for (let n = next(); n < words[TOTAL]; n = next()) {
    const message = messageOf(n, who, random(32) === 0 ? HEAD_BYTES + random(LONG_MAX) : byteLength());
    const isShort = message.length <= sender.messageByteLengthMax;
    let isSent: unknown = false;
    /* oxlint-disable no-await-in-loop -- one after the other */
    switch (random(20)) {
      case 0:
        isSent = isShort && sender.trySend(message);
        break;
      case 1:
        isSent = await unlessGivenUp(() => (sender.send(message, { timeoutMs: random(2) }), true));
        break;
      case 2:
        isSent = await unlessGivenUp(() => sender.sendAsync(message).then(() => true));
        break;
      case 3:
        isSent = await unlessGivenUp(() => sender.sendAsync(message, { signal: abortSoon(random) }).then(() => true));
        break;
      case 4: {
        const others = Array.from({ length: HANDS - 1 }, next).filter((other) => other < words[TOTAL]);
        sender.sendMany([message, ...others.map((other) => messageOf(other, who, byteLength()))]);
        isSent = true;
        break;
      }
      case 5:
      case 6: {
        if (isRendezvous || !isShort) break;
        const reservation = sender.reserve(SHORT_MAX);
        reservation.bytes.fill(0);
        if (random(4) === 0) {
          reservation.abandon();
          break;
        }
        const { length } = message.subarray(0, SHORT_MAX);
        reservation.bytes.set(message.subarray(0, length));
        reservation.commit(length);
        isSent = true;
        break;
      }
      case 7:
        if (isShort) isSent = await unlessGivenUp(() => (select({ here: { send: sender, value: message } }, { timeoutMs: 1 }), true));
        break;
      default:
    }
    /* oxlint-enable no-await-in-loop */
    if (isSent !== true) sender.send(message);
  }
}

/** Receives until the channel is closed. */
async function receive(share: DeathsShare, seed: number): Promise<void> {
  const { words } = share;
  const random = randomOf(seed);
  const receiver = Receiver.from(share.receiver);
  const silent = Receiver.from(share.silent);
  const buffer = new Uint8Array(HEAD_BYTES + LONG_MAX);
  const lasts = new Map<number, number>();
  const complain = (): void => void Atomics.add(words, WRONG, 1);
  const note = (bytes: Uint8Array | undefined): void => {
    if (bytes === undefined) return;
    const [n, who] = new Uint32Array(bytes.slice(0, HEAD_BYTES).buffer) as unknown as [number, number];
    if (bytes.subarray(HEAD_BYTES).some((byte) => byte !== fillerOf(n))) complain();
    if (n <= (lasts.get(who) ?? -1)) complain();
    lasts.set(who, n);
    const bit = 1 << (n & 31);
    if ((Atomics.or(share.received, n >> 5, bit) & bit) !== 0) complain();
  };
  try {
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one after the other */
      switch (random(20)) {
        case 0:
          note(receiver.tryRecv());
          break;
        case 1:
          note(await unlessGivenUp(() => receiver.recv({ timeoutMs: random(2) })));
          break;
        case 2:
          note(await receiver.recvAsync());
          break;
        case 3:
          note(await unlessGivenUp(() => receiver.recvAsync({ signal: abortSoon(random) })));
          break;
        case 4:
          for (const message of receiver.recvMany(HANDS)) note(message);
          break;
        case 5: {
          using borrow = receiver.borrow();
          note(borrow.bytes);
          break;
        }
        case 6:
          note(await unlessGivenUp(async () => (await receiver.recvManyAsync(1, { timeoutMs: random(2) }))[0]));
          break;
        case 7:
          note(select({ here: { recv: receiver }, never: { recv: silent } }).value);
          break;
        case 8:
          note(buffer.subarray(0, receiver.recvInto(buffer)));
          break;
        default:
          note(receiver.recv());
      }
      /* oxlint-enable no-await-in-loop */
    }
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
  }
}

/** Complains of what is torn, or comes after what its sender sent later. */
function judgeOf(words: Int32Array): (bytes: Uint8Array) => void {
  const lasts = new Map<number, number>();
  return (bytes) => {
    const [n, who] = new Uint32Array(bytes.slice(0, HEAD_BYTES).buffer) as unknown as [number, number];
    const isTorn = bytes.subarray(HEAD_BYTES).some((byte) => byte !== fillerOf(n));
    if (isTorn || n <= (lasts.get(who) ?? -1)) Atomics.add(words, WRONG, 1);
    lasts.set(who, n);
  };
}

/** Sends in one of the ways that broadcast and watch channels have. */
async function tellAll(
  { words }: BroadcastShare | WatchShare,
  who: number,
  seed: number,
  sender: BroadcastSender | WatchSender,
): Promise<void> {
  const random = randomOf(seed);
  for (let n = Atomics.add(words, TICKET, 1); n < words[TOTAL]; n = Atomics.add(words, TICKET, 1)) {
    const message = messageOf(n, who, HEAD_BYTES + random(SHORT_MAX - HEAD_BYTES));
    /* oxlint-disable no-await-in-loop -- one after the other */
    let isSent: unknown = false;
    switch (random(8)) {
      case 0:
        if (sender instanceof BroadcastSender) isSent = sender.trySend(message);
        break;
      case 1:
        if (sender instanceof BroadcastSender) isSent = await unlessGivenUp(() => (sender.send(message, { timeoutMs: random(2) }), true));
        break;
      case 2:
        isSent = await sender.sendAsync(message).then(() => true);
        break;
      case 3:
        if (sender instanceof BroadcastSender)
          isSent = await unlessGivenUp(() => sender.sendAsync(message, { signal: abortSoon(random) }).then(() => true));
        break;
      default:
    }
    if (isSent !== true) sender.send(message);
    /* oxlint-enable no-await-in-loop */
  }
}

async function broadcastTo(share: BroadcastShare, who: number, seed: number): Promise<void> {
  using sender = BroadcastSender.from(share.sender);
  await tellAll(share, who, seed, sender);
}

/** Receives every message, or is told how many it has missed, until the channel is closed. */
async function listen(share: BroadcastShare, seed: number): Promise<Heard> {
  const random = randomOf(seed);
  const judge = judgeOf(share.words);
  using receiver = BroadcastReceiver.from(share.receiver);
  let [received, skipped] = [0, 0];
  const note = (bytes: Uint8Array | undefined): void => {
    if (bytes === undefined) return;
    judge(bytes);
    received += 1;
  };
  for (;;) {
    /* oxlint-disable no-await-in-loop -- one after the other */
    try {
      switch (random(8)) {
        case 0:
          note(receiver.tryRecv());
          break;
        case 1:
          note(await unlessGivenUp(() => receiver.recv({ timeoutMs: random(2) })));
          break;
        case 2:
          note(await receiver.recvAsync());
          break;
        case 3:
          note(await unlessGivenUp(() => receiver.recvAsync({ signal: abortSoon(random) })));
          break;
        default:
          note(receiver.recv());
      }
    } catch (error) {
      if (error instanceof ClosedError) return { before: share.receiver.next, received, skipped };
      if (!(error instanceof LaggedError)) throw error;
      skipped += error.skipped;
    }
    /* oxlint-enable no-await-in-loop */
  }
}

async function change(share: WatchShare, who: number, seed: number): Promise<void> {
  using sender = WatchSender.from(share.sender);
  await tellAll(share, who, seed, sender);
}

/** Looks at each change that it sees until the channel is closed: the value of then. */
async function follow(share: WatchShare, seed: number): Promise<Uint8Array> {
  const random = randomOf(seed);
  const judge = judgeOf(share.words);
  using receiver = WatchReceiver.from(share.receiver);
  try {
    for (;;) {
      /* oxlint-disable no-await-in-loop -- one after the other */
      let isChanged: unknown = true;
      const form = random(8);
      if (form === 0) isChanged = await unlessGivenUp(() => receiver.changedAsync({ signal: abortSoon(random) }).then(() => true));
      else if (form === 1) isChanged = await unlessGivenUp(() => (receiver.changed({ timeoutMs: random(2) }), true));
      else receiver.changed();
      if (isChanged === true) judge(random(2) === 0 ? receiver.borrowAndUpdate() : await receiver.borrowAndUpdateAsync());
      /* oxlint-enable no-await-in-loop */
    }
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
    return receiver.borrow();
  }
}

const jobs: Jobs = {
  /** Enters the registry. */
  enter: (registry: ThreadRegistryHandle, token: ThreadToken) => void ThreadRegistry.from(registry).enter(token),

  send,

  receive: (share: DeathsShare, _who: number, seed: number) => receive(share, seed),

  broadcast: broadcastTo,

  listen: (share: BroadcastShare, _who: number, seed: number) => listen(share, seed),

  change,

  follow: (share: WatchShare, _who: number, seed: number) => follow(share, seed),
};

if (isBrowser) serve(browserPort(), jobs);
else serve(await nodePort(), jobs);
