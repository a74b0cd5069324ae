/**
 * `Atomics` for a thread of a model: each operation on the model's memory asks the scheduler first, and sleeping and waking
 * are the scheduler's. On other memory it is the host's.
 *
 * It takes the place of `globalThis.Atomics` before any code of a model is loaded, so the code that runs is the code that
 * ships.
 */
import { type Control, EXPIRED, FAULT } from './control.ts';
import { type Scheduler } from './Scheduler.ts';

type View = Int32Array | BigInt64Array;
type Value = number | bigint;
type HostAtomics = Record<string, (view: View, index: number, ...values: Value[]) => Value>;

/** Bugs to put in, so that checks can be seen to fail. */
export const FAULTS = ['none', 'lose-notify', 'notify-one', 'torn-exchange', 'late-wait'] as const;
/**
 * - `lose-notify`: nobody is ever woken
 * - `notify-one`: of several, one is woken
 * - `torn-exchange`: a compare-exchange isn't one step
 * - `late-wait`: a wait compares, and falls asleep later
 */
export type Fault = (typeof FAULTS)[number];

/** The names of operations, by the numbers they are noted with. */
export const OPERATIONS = [
  'load',
  'store',
  'add',
  'sub',
  'and',
  'or',
  'xor',
  'exchange',
  'compareExchange',
  'wait',
  'waitAsync',
  'notify',
] as const;
const numberOf = (operation: (typeof OPERATIONS)[number]): number => OPERATIONS.indexOf(operation);
const WAIT = numberOf('wait');
const WAIT_ASYNC = numberOf('waitAsync');
const NOTIFY = numberOf('notify');
const COMPARE_EXCHANGE = numberOf('compareExchange');

/** What the operations of this thread have to do with; without `memory` they are the host's. */
export interface Modelled {
  memory: SharedArrayBuffer | undefined;
  thread: number;
  control: Control;
  scheduler: Scheduler;
  /** What resolves this thread's asynchronous waits, by their numbers. */
  readonly resolvers: Map<number, (result: string) => void>;
}

const lowHalf = (value: Value): number => (typeof value === 'bigint' ? Number(BigInt.asIntN(32, value)) : value | 0);

/** Makes the object that replaces `Atomics`. */
export function modelledAtomics(modelled: Modelled): typeof Atomics {
  const host = Atomics as unknown as HostAtomics;
  const isModelled = (view: View): boolean => view.buffer === modelled.memory;
  const addressOf = (view: View, index: number): number => view.byteOffset + index * view.BYTES_PER_ELEMENT;
  const faultIs = (fault: Fault): boolean => FAULTS[modelled.control.get(FAULT)] === fault;
  const note = (operation: number, view: View, index: number, value: Value): void =>
    modelled.control.note(modelled.thread, operation, addressOf(view, index), lowHalf(value));

  const replaced: Record<string, unknown> = {};
  for (const name of Object.getOwnPropertyNames(Atomics)) {
    const operation = OPERATIONS.indexOf(name as never);
    if (operation === -1 || operation >= WAIT) replaced[name] = host[name];
    else {
      const original = host[name];
      replaced[name] = (view: View, index: number, ...values: Value[]): Value => {
        if (!isModelled(view)) return original(view, index, ...values);
        modelled.scheduler.step();
        const result = original(view, index, ...values);
        note(operation, view, index, result);
        return result;
      };
    }
  }

  const exchange = replaced['compareExchange'] as HostAtomics[string];
  replaced['compareExchange'] = (view: View, index: number, expected: Value, value: Value): Value => {
    if (!isModelled(view) || !faultIs('torn-exchange')) return exchange(view, index, expected, value);
    modelled.scheduler.step();
    const found = host['load'](view, index);
    note(COMPARE_EXCHANGE, view, index, found);
    if (found !== expected) return found;
    modelled.scheduler.step();
    host['store'](view, index, value);
    return found;
  };

  /** Whether there is nothing to wait for; else the queue's number for the wait. */
  const beginWait = (operation: number, view: View, index: number, expected: Value, timeoutMs: number): string | number => {
    modelled.scheduler.step();
    note(operation, view, index, expected);
    if (host['load'](view, index) !== expected) return 'not-equal';
    if (!(timeoutMs > 0)) return 'timed-out';
    if (faultIs('late-wait')) modelled.scheduler.step();
    return modelled.control.enqueue(modelled.thread, addressOf(view, index), operation === WAIT_ASYNC, timeoutMs);
  };

  replaced['wait'] = (view: View, index: number, expected: Value, timeoutMs: number = Infinity): unknown => {
    if (!isModelled(view)) return host['wait'](view, index, expected, timeoutMs);
    const begun = beginWait(WAIT, view, index, expected, timeoutMs);
    if (typeof begun === 'string') return begun;
    return modelled.scheduler.block(begun) === EXPIRED ? 'timed-out' : 'ok';
  };

  replaced['waitAsync'] = (view: View, index: number, expected: Value, timeoutMs: number = Infinity): unknown => {
    if (!isModelled(view)) return host['waitAsync'](view, index, expected, timeoutMs);
    const begun = beginWait(WAIT_ASYNC, view, index, expected, timeoutMs);
    if (typeof begun === 'string') return { async: false, value: begun };
    return { async: true, value: new Promise((resolve) => void modelled.resolvers.set(begun, resolve)) };
  };

  replaced['notify'] = (view: View, index: number, count: number = Infinity): unknown => {
    if (!isModelled(view)) return host['notify'](view, index, count);
    modelled.scheduler.step();
    let countMax = count;
    if (faultIs('lose-notify')) countMax = 0;
    else if (faultIs('notify-one')) countMax = Math.min(1, count);
    const woken = modelled.control.notifyQueue(addressOf(view, index), countMax);
    note(NOTIFY, view, index, woken);
    return woken;
  };

  replaced['pause'] = (): void => {
    if (modelled.memory !== undefined) modelled.scheduler.yield();
  };

  return replaced as unknown as typeof Atomics;
}
