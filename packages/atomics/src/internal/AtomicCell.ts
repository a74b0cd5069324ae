/**
 * What all atomic cells share: a place in shared memory, a handle, and the platform's `Atomics` on one element there.
 *
 * A cell is exactly its value: Rust's `core::sync::atomic` type of the same name, in the same bytes. Every operation is SeqCst.
 */
import { InvalidArgumentError, MayNotBlockError } from '../errors.ts';
import { type Agent, agentOf } from './agent.ts';
import { mayBlock } from './blocking.ts';
import { type WaitResult, type WaitWords, block, waitAsync } from './futex.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, checkKind, handleOf, resolveLocation } from './location.ts';
import type { WaitAsyncOptions, WaitOptions } from './waiting.ts';

/** The arrays that `Atomics` works on. */
type AtomicArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array;

/** `Atomics`, for whatever the elements are. */
interface AtomicsOf<Element> {
  load(array: AtomicArray, index: number): Element;
  store(array: AtomicArray, index: number, value: Element): Element;
  exchange(array: AtomicArray, index: number, value: Element): Element;
  compareExchange(array: AtomicArray, index: number, expected: Element, value: Element): Element;
  add(array: AtomicArray, index: number, value: Element): Element;
  sub(array: AtomicArray, index: number, value: Element): Element;
  and(array: AtomicArray, index: number, value: Element): Element;
  or(array: AtomicArray, index: number, value: Element): Element;
  xor(array: AtomicArray, index: number, value: Element): Element;
  notify(array: AtomicArray, index: number, count: number): number;
}

/** How a kind of cell lies in memory. */
export interface CellLayout<Kind extends string> {
  /** The kind of its handles. */
  readonly kind: Kind;
  /** The array whose one element it is. */
  readonly array: new (buffer: SharedArrayBuffer, byteOffset: number, length: number) => AtomicArray;
  /** Its bytes, which are also its alignment. */
  readonly size: number;
}

/** A class of cells, as its static methods see it. */
interface CellClass<Cell> {
  new (location?: SharedLocation): Cell;
  readonly layout: CellLayout<string>;
}

/** One value in shared memory that changes as a whole. */
export abstract class AtomicCell<Kind extends string, Value> {
  readonly #layout: CellLayout<Kind>;
  readonly #location: ResolvedLocation;
  /** This thread, as the records of the same memory see it. */
  protected readonly agent: Agent;
  /** The cell's bytes as the one element of an array. */
  protected readonly array: AtomicArray;

  protected constructor(layout: CellLayout<Kind>, location: SharedLocation | undefined) {
    const { kind, size } = layout;
    this.#layout = layout;
    this.#location = resolveLocation(location ?? { buffer: new SharedArrayBuffer(size) }, kind.replace('heddle.', 'an '), size, size);
    this.agent = agentOf(this.#location.memory ?? this.#location.buffer);
    this.array = new layout.array(this.#location.buffer, this.#location.byteOffset, 1);
  }

  /**
   * A cell with `value`, at `location` or in a SharedArrayBuffer of its own.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` for a value out of range
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  static create<Cell extends AtomicCell<string, unknown>>(
    this: CellClass<Cell>,
    value: Parameters<Cell['store']>[0],
    location?: SharedLocation,
  ): Cell {
    const cell = new this(location);
    cell.store(value);
    return cell;
  }

  /**
   * Reopens a cell that another thread posted.
   *
   * @throws InvalidRecordError `INVALID_RECORD` if the handle is of another kind
   */
  static from<Cell extends AtomicCell<string, unknown>>(this: CellClass<Cell>, handle: ReturnType<Cell['handle']>): Cell {
    checkKind(handle, this.layout.kind);
    return new this(handle as SharedLocation);
  }

  /** What to post to another thread. */
  handle(): Handle<Kind> {
    return handleOf(this.#layout.kind, this.#location, this.agent.registry?.byteOffset);
  }

  /** Where the cell is in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** The value. */
  abstract load(): Value;
  /** Writes `value`. */
  abstract store(value: Value): void;
  /** Writes `value`; the one before. */
  abstract exchange(value: Value): Value;
  /** Writes `value` if the cell has `expected`; what it had: `expected` exactly if it was written. */
  abstract compareExchange(expected: Value, value: Value): Value;
}

/** What is added to a cell, or taken from it: any whole number of its type. */
export abstract class AtomicInteger<Kind extends string, Value extends number | bigint> extends AtomicCell<Kind, Value> {
  readonly #atomics = Atomics as unknown as AtomicsOf<Value>;
  readonly #min: Value;
  readonly #max: Value;

  protected constructor(layout: CellLayout<Kind>, location: SharedLocation | undefined, min: Value, max: Value) {
    super(layout, location);
    this.#min = min;
    this.#max = max;
  }

  /** The value. */
  load(): Value {
    return this.#atomics.load(this.array, 0);
  }

  /**
   * Writes `value`.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if it is out of range
   */
  store(value: Value): void {
    this.#atomics.store(this.array, 0, this.#checked(value));
  }

  /**
   * Writes `value`; the one before.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if it is out of range
   */
  exchange(value: Value): Value {
    return this.#atomics.exchange(this.array, 0, this.#checked(value));
  }

  /**
   * Writes `value` if the cell has `expected`; what it had: `expected` exactly if it was written.
   *
   * @throws InvalidArgumentError `INVALID_ARGUMENT` if one of them is out of range
   */
  compareExchange(expected: Value, value: Value): Value {
    return this.#atomics.compareExchange(this.array, 0, this.#checked(expected), this.#checked(value));
  }

  /** Adds `value`, wrapping around at the ends of the range; the value before. */
  add(value: Value): Value {
    return this.#atomics.add(this.array, 0, this.#whole(value));
  }

  /** Takes `value` off, wrapping around at the ends of the range; the value before. */
  sub(value: Value): Value {
    return this.#atomics.sub(this.array, 0, this.#whole(value));
  }

  /** Keeps the bits that are set in `value` too; the value before. */
  and(value: Value): Value {
    return this.#atomics.and(this.array, 0, this.#whole(value));
  }

  /** Sets the bits that are set in `value`; the value before. */
  or(value: Value): Value {
    return this.#atomics.or(this.array, 0, this.#whole(value));
  }

  /** Turns the bits over that are set in `value`; the value before. */
  xor(value: Value): Value {
    return this.#atomics.xor(this.array, 0, this.#whole(value));
  }

  #checked(value: Value): Value {
    if (this.#whole(value) < this.#min || value > this.#max) {
      throw new InvalidArgumentError(`a value of this cell is ${this.#min} to ${this.#max}, not ${value}`);
    }
    return value;
  }

  #whole(value: Value): Value {
    if (typeof value !== typeof this.#min || (typeof value === 'number' && !Number.isSafeInteger(value))) {
      throw new InvalidArgumentError(`a cell of whole ${typeof this.#min}s can't take ${String(value)}`);
    }
    return value;
  }
}

/** An integer that threads can wait on: one of 32 or 64 bits. */
export abstract class WaitableInteger<Kind extends string, Value extends number | bigint> extends AtomicInteger<Kind, Value> {
  readonly #words: WaitWords;

  protected constructor(layout: CellLayout<Kind>, location: SharedLocation | undefined, min: Value, max: Value) {
    super(layout, location, min, max);
    const { buffer, byteOffset } = this.array;
    // What is waited on is signed; the bits are the same.
    const signed = layout.size === 4 ? Int32Array : BigInt64Array;
    this.#words = new signed(buffer as ArrayBuffer, byteOffset, 1);
  }

  /**
   * Blocks while the cell has `expected`, until it is notified. The wait may also end for no reason: look at the cell again.
   *
   * @returns `ok`, `not-equal` if the cell had another value, or `timed-out`: as `Atomics.wait`
   * @throws MayNotBlockError `MAY_NOT_BLOCK` if it has and this thread may not block; use `waitAsync` there
   */
  wait(expected: Value, { timeoutMs = Infinity }: WaitOptions = {}): WaitResult {
    if (this.load() !== expected) return 'not-equal';
    if (timeoutMs > 0 && !mayBlock()) throw new MayNotBlockError('the cell has the value that is waited on; use waitAsync here');
    return block(this.#words, 0, this.#signed(expected), timeoutMs, this.agent, 0, 'waiting on a cell');
  }

  /**
   * Waits while the cell has `expected`, until it is notified, without blocking the thread. The wait may also end for no reason.
   *
   * @returns as {@link WaitableInteger.wait}
   * @throws AbortedError `ABORTED` if the signal gave the wait up; its reason is the `cause`
   */
  async waitAsync(expected: Value, { timeoutMs = Infinity, signal }: WaitAsyncOptions = {}): Promise<WaitResult> {
    return waitAsync(this.#words, 0, this.#signed(expected), { timeoutMs, signal, operation: 'waiting on a cell' });
  }

  /** Wakes up to `count` of those who wait on the cell, all of them if not given; how many. */
  notify(count: number = Infinity): number {
    return (Atomics as unknown as AtomicsOf<Value>).notify(this.#words, 0, count);
  }

  #signed(value: Value): number | bigint {
    return typeof value === 'bigint' ? BigInt.asIntN(64, value) : value | 0;
  }
}
