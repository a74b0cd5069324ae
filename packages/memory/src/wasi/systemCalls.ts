/** WASI's calls about the program itself: arguments, environment, clocks, chance, sleep, its end. */
import type { MemoryViews } from '../MemoryViews.ts';
import type { Call } from './fileCalls.ts';
import { ERRNO, WasiError } from './errno.ts';
import { WasiExit } from './WasiExit.ts';

/** What the calls need. */
export interface SystemCallsOptions {
  readonly views: MemoryViews;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const CLOCK = { realtime: 0, monotonic: 1, processTime: 2, threadTime: 3 } as const;
/** The tag of a subscription to a clock; those of descriptors are 1 and 2. */
const EVENT_CLOCK = 0;
const SUBSCRIPTION_SIZE = 48;
const EVENT_SIZE = 32;
const NS_PER_MS = 1_000_000;
/** `crypto.getRandomValues` gives no more at once. */
const RANDOM_BYTES_MAX = 65_536;

/** The calls, by name. */
export function systemCalls({ views, args, env }: SystemCallsOptions): Record<string, Call> {
  const argStrings = args.map(terminated);
  const envStrings = Object.entries(env).map(([name, value]) => terminated(`${name}=${value}`));
  const putStrings = (strings: readonly Uint8Array[], pointers: number, at: number): void => {
    let next = at;
    for (const [index, string] of strings.entries()) {
      views.data.setUint32(pointers + 4 * index, next, true);
      views.bytes.set(string, next);
      next += string.length;
    }
  };
  const putSizes = (strings: readonly Uint8Array[], count: number, size: number): void => {
    views.data.setUint32(count, strings.length, true);
    views.data.setUint32(
      size,
      strings.reduce((sum, string) => sum + string.length, 0),
      true,
    );
  };

  return {
    args_get: (pointers: number, at: number) => putStrings(argStrings, pointers, at),
    args_sizes_get: (count: number, size: number) => putSizes(argStrings, count, size),
    environ_get: (pointers: number, at: number) => putStrings(envStrings, pointers, at),
    environ_sizes_get: (count: number, size: number) => putSizes(envStrings, count, size),
    clock_time_get: (clock: number, _precision: bigint, result: number) => views.data.setBigUint64(result, nowOf(clock), true),
    clock_res_get(clock: number, result: number) {
      nowOf(clock);
      // What browsers give isolated pages.
      views.data.setBigUint64(result, 5000n, true);
    },
    random_get(at: number, size: number) {
      if (at + size > views.bytes.length) throw new WasiError('FAULT');
      for (let done = 0; done < size; done += RANDOM_BYTES_MAX) {
        // It refuses views of shared memory.
        const bytes = crypto.getRandomValues(new Uint8Array(Math.min(RANDOM_BYTES_MAX, size - done)));
        views.bytes.set(bytes, at + done);
      }
    },
    sched_yield() {},
    proc_exit(code: number) {
      throw new WasiExit(code);
    },
    poll_oneoff: (subscriptions: number, events: number, count: number, result: number) => {
      if (count === 0) throw new WasiError('INVAL');
      const all = Array.from({ length: count }, (_, index) => readSubscription(views.data, subscriptions + SUBSCRIPTION_SIZE * index));
      // What isn't a clock is ready: reads and writes here don't wait.
      const isReady = ({ tag, until }: Subscription): boolean => tag !== EVENT_CLOCK || until <= nowOf(CLOCK.monotonic);
      if (!all.some(isReady)) sleepUntil(all.map(({ until }) => until).reduce((first, until) => (until < first ? until : first)));
      const ready = all.filter(isReady);
      for (const [index, { userdata, tag }] of ready.entries()) {
        const at = events + EVENT_SIZE * index;
        views.bytes.fill(0, at, at + EVENT_SIZE);
        views.data.setBigUint64(at, userdata, true);
        views.data.setUint16(at + 8, ERRNO.SUCCESS, true);
        views.data.setUint8(at + 10, tag);
      }
      views.data.setUint32(result, ready.length, true);
    },
  };
}

interface Subscription {
  readonly userdata: bigint;
  readonly tag: number;
  /** When it is due, on the monotonic clock, in nanoseconds. */
  readonly until: bigint;
}

function readSubscription(data: DataView, at: number): Subscription {
  const userdata = data.getBigUint64(at, true);
  const tag = data.getUint8(at + 8);
  if (tag !== EVENT_CLOCK) return { userdata, tag, until: 0n };
  const clock = data.getUint32(at + 16, true);
  const timeout = data.getBigUint64(at + 24, true);
  const isAbsolute = (data.getUint16(at + 40, true) & 1) !== 0;
  const elapsed = isAbsolute ? nowOf(clock) : 0n;
  return { userdata, tag, until: nowOf(CLOCK.monotonic) + (timeout > elapsed ? timeout - elapsed : 0n) };
}

/** A clock's time in nanoseconds. All threads' monotonic clocks go by the same time, though each began at its own. */
function nowOf(clock: number): bigint {
  if (clock > CLOCK.threadTime) throw new WasiError('INVAL');
  const ms = clock === CLOCK.realtime || clock === CLOCK.monotonic ? performance.timeOrigin + performance.now() : performance.now();
  // Milliseconds since 1970 in nanoseconds are beyond what a number holds exactly.
  const whole = Math.floor(ms);
  return BigInt(whole) * BigInt(NS_PER_MS) + BigInt(Math.floor((ms - whole) * NS_PER_MS));
}

/** Sleeps; a thread that may not block can't, which is told. */
function sleepUntil(until: bigint): void {
  const word = new Int32Array(new SharedArrayBuffer(4));
  for (let left = until - nowOf(CLOCK.monotonic); left > 0n; left = until - nowOf(CLOCK.monotonic)) {
    try {
      Atomics.wait(word, 0, 0, Number(left) / NS_PER_MS);
    } catch {
      throw new WasiError('NOTSUP');
    }
  }
}

const terminated = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
