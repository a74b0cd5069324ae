/**
 * What a thread finds that has to declare dead who has the lock of a channel, and must not be stopped by that lock before: done by workers, because
 * a thread that is stopped there can't even be told that its time is up.
 */
import { ThreadRegistry } from '@heddle/atomics';
import { RawMutex, agentOf } from '@heddle/atomics/internal';
import { type AsyncWaitOptions, broadcast, channel, selectAsync, trySelect, watch } from '../../src/index.ts';
import {
  BROADCAST_HEADER_LOCK_OFFSET,
  CHANNEL_HEADER_RECEIVE_LOCK_OFFSET,
  CHANNEL_HEADER_SEND_LOCK_OFFSET,
  WATCH_HEADER_LOCK_OFFSET,
} from '../../src/internal/layout.ts';
import { MARK } from './waits.ts';

const SOON_MS = 5;
const LOCATION_BYTES = 131_072;
const CHANNEL_AT = 32_768;

/** An operation that needs a lock. */
interface Operation {
  /** Where the lock is in the channel's record, in bytes. */
  readonly lockAt: number;
  readonly make: (location: { readonly buffer: SharedArrayBuffer; readonly byteOffset: number }) => Forms;
}

interface Forms {
  /** Without blocking the thread, until it is done. */
  readonly wait: (options?: AsyncWaitOptions) => Promise<unknown>;
  /** As a case of a select. */
  readonly cases?: Parameters<typeof trySelect>[0];
  /** What it gives at once, if it has such a form. */
  readonly attempt?: () => unknown;
  /** Blocking, if that form can be told how long. */
  readonly block?: (options: { timeoutMs: number }) => unknown;
  /** What has come of all that was done, if that isn't what `wait` gives. */
  readonly outcome?: () => unknown;
  /** Whether its wait can't be given up: it is for no longer than a copy. */
  readonly isBrief?: true;
}

/** The operations, by name. */
export const ABANDONED: Record<string, Operation> = {
  'sending into a channel': {
    lockAt: CHANNEL_HEADER_SEND_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = channel({ capacity: 4, location });
      return {
        wait: (options) => sender.sendAsync(MARK, options),
        block: (options) => sender.send(MARK, options),
        cases: { it: { send: sender, value: MARK } },
        attempt: () => sender.trySend(MARK),
        outcome: () => receiver.tryRecv(),
      };
    },
  },
  'receiving from a channel': {
    lockAt: CHANNEL_HEADER_RECEIVE_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = channel({ capacity: 4, location });
      sender.sendMany([MARK, MARK]);
      return {
        wait: (options) => receiver.recvAsync(options),
        block: (options) => receiver.recv(options),
        cases: { it: { recv: receiver } },
        attempt: () => receiver.tryRecv() !== undefined,
      };
    },
  },
  broadcasting: {
    lockAt: BROADCAST_HEADER_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = broadcast({ capacity: 4, location });
      return {
        wait: (options) => sender.sendAsync(MARK, options),
        block: (options) => sender.send(MARK, options),
        cases: { it: { send: sender, value: MARK } },
        attempt: () => sender.trySend(MARK),
        outcome: () => receiver.tryRecv(),
      };
    },
  },
  'receiving from a broadcast': {
    lockAt: BROADCAST_HEADER_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = broadcast({ capacity: 4, location });
      sender.send(MARK);
      sender.send(MARK);
      return {
        wait: (options) => receiver.recvAsync(options),
        block: (options) => receiver.recv(options),
        cases: { it: { recv: receiver } },
        attempt: () => receiver.tryRecv() !== undefined,
      };
    },
  },
  'changing a watched value': {
    lockAt: WATCH_HEADER_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = watch(Uint8Array.of(0), { valueByteLengthMax: 64, location });
      return { wait: () => sender.sendAsync(MARK.slice()), outcome: () => receiver.borrow(), isBrief: true };
    },
  },
  'looking at a watched value': {
    lockAt: WATCH_HEADER_LOCK_OFFSET,
    make: (location) => {
      const { receiver } = watch(MARK.slice(), { location });
      return { wait: () => receiver.borrowAndUpdateAsync(), isBrief: true };
    },
  },
  'waiting for another value': {
    lockAt: WATCH_HEADER_LOCK_OFFSET,
    make: (location) => {
      const { sender, receiver } = watch(Uint8Array.of(0), { valueByteLengthMax: 64, location });
      const other = receiver.clone();
      sender.send(MARK.slice());
      const fresh = (): typeof receiver => {
        receiver.markChanged();
        return receiver;
      };
      return {
        wait: (options) => fresh().changedAsync(options),
        block: (options) => fresh().changed(options),
        cases: { it: { recv: other } },
        outcome: () => receiver.borrow(),
      };
    },
  },
};

/** Vitest isn't to be had in a worker, so neither is what `spawn.ts` has. */
const soon = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, SOON_MS));

async function codeOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
    return 'done';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

/** Does all that there is of an operation while its lock is a dead thread's, has that one reaped, and tells how each ended. */
export async function overcome(name: string): Promise<Record<string, unknown>> {
  const operation = ABANDONED[name];
  if (operation === undefined) throw new Error(`there is no operation ${name}`);
  const buffer = new SharedArrayBuffer(LOCATION_BYTES);
  const registry = ThreadRegistry.create({ capacity: 4, location: { buffer } });
  const own = registry.enter();
  const location = { buffer, byteOffset: CHANNEL_AT };
  const { wait, cases, attempt, block, outcome, isBrief } = operation.make(location);

  const dead = registry.enter();
  const agent = agentOf(buffer);
  const lock = new RawMutex(new Int32Array(buffer, CHANNEL_AT), operation.lockAt >> 2, agent);
  if (!lock.takeFree(agent.token)) throw new Error('the lock is taken already');
  registry.enter(own);

  const found: Record<string, unknown> = {};
  if (attempt !== undefined) found['attempt'] = attempt();
  if (cases !== undefined) found['select'] = trySelect(cases) !== undefined;
  if (block !== undefined) found['timed'] = await codeOf(() => block({ timeoutMs: SOON_MS }));
  if (!isBrief) {
    found['timedAsync'] = await codeOf(() => wait({ timeoutMs: SOON_MS }));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), SOON_MS);
    found['aborted'] = await codeOf(() => wait({ signal: controller.signal }));
  }
  const waiting = wait();
  const selecting = cases && selectAsync(cases);
  await soon();
  registry.reap(dead);
  const received = await waiting;
  found['outcome'] = outcome === undefined ? received : outcome();
  if (selecting !== undefined) found['selected'] = (await selecting).chosen;
  return found;
}
