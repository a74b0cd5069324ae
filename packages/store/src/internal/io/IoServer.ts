/**
 * Answers the requests of one memory: the I/O thread's loop.
 *
 * # State
 * `IoQueue` and `IoRequest` are described in `layout/store.json`; the Rust side is `crates/store/src/io/host.rs`. The list of requests
 * is swapped out whole. What the host does at once is answered in the loop; what takes a promise is answered when it settles,
 * while the loop goes on.
 *
 * # Waiting
 * With nothing under way the thread blocks on the bell, which wakes it twice as fast as its event loop would. It needs no
 * messages: closing is a state of the queue, too. While promises are under way it waits on its event loop.
 *
 * # Ordering
 * Every `Atomics` call is sequentially consistent. Storing `IO_DONE` publishes the result, the error and the bytes of the buffer
 * to the asking thread; the exchange of `head` receives the request's fields.
 */

import {
  IO_CLOSE,
  IO_CLOSED,
  IO_CLOSING,
  IO_DONE,
  IO_ERROR_CLOSED,
  IO_ERROR_OTHER,
  IO_EXISTS,
  IO_IDLE,
  IO_LIST,
  IO_OPEN,
  IO_QUEUE_BELL_OFFSET,
  IO_QUEUE_DESCRIPTOR_USERS_OFFSET,
  IO_QUEUE_HEAD_OFFSET,
  IO_QUEUE_IS_WAITING_OFFSET,
  IO_QUEUE_SHARES_DESCRIPTORS_OFFSET,
  IO_QUEUE_STATE_OFFSET,
  IO_QUEUE_VERSION,
  IO_QUEUE_VERSION_OFFSET,
  IO_READ,
  IO_REMOVE,
  IO_REQUEST_ADDRESS_OFFSET,
  IO_REQUEST_ARGUMENT_OFFSET,
  IO_REQUEST_ERROR_CODE_OFFSET,
  IO_REQUEST_FILE_OFFSET,
  IO_REQUEST_LENGTH_OFFSET,
  IO_REQUEST_MESSAGE_ADDRESS_OFFSET,
  IO_REQUEST_MESSAGE_LENGTH_OFFSET,
  IO_REQUEST_NEXT_OFFSET,
  IO_REQUEST_OFFSET_OFFSET,
  IO_REQUEST_OPERATION_OFFSET,
  IO_REQUEST_RESULT_OFFSET,
  IO_REQUEST_SIZE,
  IO_REQUEST_STATE_OFFSET,
  IO_SERVING,
  IO_SIZE,
  IO_SYNC,
  IO_TRUNCATE,
  IO_WRITE,
} from '../layout.ts';
import { type FileEntry, HostError, type HostFiles, type SharedBytes, type Soon } from './HostFiles.ts';

/** Where requests come from. Structured-clonable. */
export interface IoQueueLocation {
  readonly memory: WebAssembly.Memory;
  /** The address of the `IoQueue`. */
  readonly queue: number;
}

/** How long the end waits for threads that use a descriptor. One that has died in the middle never stops. */
const DESCRIPTOR_USE_MS_MAX = 2000;

/** Between two looks at what a fenced engine had asked for, such as the opening of a file. */
const FENCED_PAUSE_MS = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How serving one queue ended: it was closed, files and all; or its engine was fenced off, and the files wait for the next. */
export type IoEnd = 'closed' | 'fenced';

/** Serves one queue from one host's files, until the queue is closed or fenced off. */
export class IoServer {
  readonly #queue: IoQueue;
  readonly #files: HostFiles;
  #underWay = 0;

  constructor(location: IoQueueLocation, files: HostFiles) {
    this.#queue = new IoQueue(location);
    this.#files = files;
  }

  /**
   * Answers requests until the queue is closed: then closes the files and refuses what is left. Where the queue was fenced off, it
   * leaves the files as they are, as soon as nothing is under way. Throws where the host has taken the files away.
   */
  async run(): Promise<IoEnd> {
    const queue = this.#queue;
    queue.start(this.#files.sharesDescriptors);
    try {
      while (queue.state === IO_SERVING) {
        for (const request of queue.take()) this.#serve(request);
        if (this.#underWay === 0) queue.waitBlocking();
        else await queue.wait();
      }
      const { lost } = this.#files;
      if (lost) {
        // The handles go with this thread. Closing one whose file is gone may take for ever.
        queue.end();
        throw lost;
      }
      // Set by somebody else: closing passes through `IO_CLOSING`.
      if (queue.state === IO_CLOSED) {
        while (this.#underWay > 0) await new Promise((resolve) => setTimeout(resolve, FENCED_PAUSE_MS));
        return 'fenced';
      }
      this.#close();
      return 'closed';
    } catch (error) {
      if (!this.#files.lost) this.#close();
      throw error;
    }
  }

  #close(): void {
    // A descriptor's number may belong to another file as soon as it is closed; a thread that still uses one would hit that.
    const areUnused = this.#queue.retireDescriptors(DESCRIPTOR_USE_MS_MAX);
    this.#files.dispose({ keepsOpen: !areUnused });
    this.#queue.end();
  }

  #serve(request: IoRequest): void {
    let result: Soon<number>;
    try {
      result = this.#perform(request);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    if (typeof result === 'number') this.#queue.answer(request, result);
    else void this.#serveLater(request, result);
  }

  async #serveLater(request: IoRequest, pending: Promise<number>): Promise<void> {
    this.#underWay += 1;
    try {
      this.#queue.answer(request, await pending);
    } catch (error) {
      this.#refuse(request, error);
    } finally {
      this.#underWay -= 1;
      // The loop may block now.
      if (this.#underWay === 0) this.#queue.ring();
    }
  }

  #refuse(request: IoRequest, error: unknown): void {
    // First of all: who is told of the error looks whether the engine has files at all.
    if (this.#files.lost) this.#queue.fence();
    this.#queue.fail(request, error);
  }

  #perform(request: IoRequest): Soon<number> {
    const { operation, file, argument, address, length, offset } = request;
    const files = this.#files;
    const queue = this.#queue;
    switch (operation) {
      case IO_OPEN:
        return files.open(queue.text(address, length), argument);
      case IO_CLOSE:
        return done(files.close(file));
      case IO_READ:
        return files.read(file, queue.bytes(address, length), offset);
      case IO_WRITE:
        return done(files.write(file, queue.bytes(address, length), offset));
      case IO_TRUNCATE:
        return done(files.truncate(file, offset));
      case IO_SIZE:
        return files.size(file);
      case IO_SYNC:
        return then(files.sync(file), done);
      case IO_REMOVE:
        return then(files.remove(queue.text(address, length)), done);
      case IO_EXISTS:
        return then(files.exists(queue.text(address, length)), Number);
      case IO_LIST:
        return then(files.list(queue.text(address, argument)), (entries) => queue.writeList(address, length, entries));
      default:
        throw new HostError(IO_ERROR_OTHER, `there is no operation ${operation}`);
    }
  }
}

/** Asks the I/O thread of a queue to close its files and end. For any thread, also one that may not block. */
export function closeQueue(location: IoQueueLocation): void {
  new IoQueue(location).close();
}

/** Whether requests of a queue are answered, or will be: nobody has closed it, fenced it off or abandoned it. For any thread. */
export function isQueueOpen(location: IoQueueLocation): boolean {
  const { state } = new IoQueue(location);
  return state === IO_IDLE || state === IO_SERVING;
}

/** Waits, busy, until the files of a queue are closed; false if they aren't after that time. For a thread that may not block. */
export function spinUntilClosed(location: IoQueueLocation, timeoutMs: number): boolean {
  const queue = new IoQueue(location);
  const deadline = performance.now() + timeoutMs;
  while (queue.state !== IO_CLOSED && performance.now() < deadline);
  return queue.state === IO_CLOSED;
}

/** Refuses every request of a queue whose I/O thread has died, and all that come later. */
export function abandonQueue(location: IoQueueLocation): void {
  new IoQueue(location).end();
}

/**
 * Cuts an engine off its files: requests that come later are refused; what is being read or written at this moment still is. What
 * waits is not answered, for the engine's threads are to be terminated. For any thread, also one that may not block.
 */
export function fenceQueue(location: IoQueueLocation): void {
  new IoQueue(location).fence();
}

/** The fields of a request that the asking thread has set. */
interface IoRequest {
  readonly at: number;
  readonly operation: number;
  readonly file: number;
  readonly argument: number;
  readonly address: number;
  readonly length: number;
  readonly offset: number;
}

/** The queue's record, and the memory around it. Views are made anew when the memory has grown. */
class IoQueue {
  readonly #memory: WebAssembly.Memory;
  readonly #at: number;
  #bytes: SharedBytes;
  #words: Int32Array<ArrayBufferLike>;
  #view: DataView<ArrayBufferLike>;

  constructor({ memory, queue }: IoQueueLocation) {
    this.#memory = memory;
    this.#at = queue;
    [this.#bytes, this.#words, this.#view] = viewsOf(memory);
    const version = this.#load(IO_QUEUE_VERSION_OFFSET);
    if (version !== IO_QUEUE_VERSION) throw new Error(`the engine's I/O requests have version ${version}, not ${IO_QUEUE_VERSION}`);
  }

  get state(): number {
    return this.#load(IO_QUEUE_STATE_OFFSET);
  }

  start(sharesDescriptors: boolean): void {
    this.#store(IO_QUEUE_SHARES_DESCRIPTORS_OFFSET, Number(sharesDescriptors));
    // Publishes the word above. A queue that was closed meanwhile stays closed.
    const before = Atomics.compareExchange(this.#words, this.#index(IO_QUEUE_STATE_OFFSET), IO_IDLE, IO_SERVING);
    // Who closed it has cleared the word perhaps before it was set here.
    if (before !== IO_IDLE) this.#store(IO_QUEUE_SHARES_DESCRIPTORS_OFFSET, 0);
  }

  close(): void {
    for (const state of [IO_IDLE, IO_SERVING]) {
      Atomics.compareExchange(this.#words, this.#index(IO_QUEUE_STATE_OFFSET), state, IO_CLOSING);
    }
    this.ring();
  }

  /** Nobody answers any more: refuses what is in the list. Who asks later sees the state and refuses by himself. */
  end(): void {
    this.#shut();
    for (const request of this.take()) this.fail(request, new HostError(IO_ERROR_CLOSED, 'the files are closed'));
  }

  /** The same, touching nothing but this record: the rest of the memory may be in any state. */
  fence(): void {
    this.#shut();
    this.ring();
  }

  /** In this order: a queue whose start is under way sees the state, or has its word cleared after it was set. */
  #shut(): void {
    this.#store(IO_QUEUE_STATE_OFFSET, IO_CLOSED);
    this.#store(IO_QUEUE_SHARES_DESCRIPTORS_OFFSET, 0);
  }

  /** Ends the use of descriptors by other threads; false if one still uses them after that time. Only for a thread that may block. */
  retireDescriptors(timeoutMs: number): boolean {
    if (this.#load(IO_QUEUE_SHARES_DESCRIPTORS_OFFSET) === 0) return true;
    this.#store(IO_QUEUE_SHARES_DESCRIPTORS_OFFSET, 0);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const users = this.#load(IO_QUEUE_DESCRIPTOR_USERS_OFFSET);
      const restMs = deadline - performance.now();
      if (users === 0 || restMs <= 0) return users === 0;
      Atomics.wait(this.#words, this.#index(IO_QUEUE_DESCRIPTOR_USERS_OFFSET), users, restMs);
    }
  }

  ring(): void {
    Atomics.add(this.#words, this.#index(IO_QUEUE_BELL_OFFSET), 1);
    Atomics.notify(this.#words, this.#index(IO_QUEUE_BELL_OFFSET));
  }

  /** The requests that came since the last time, oldest first. */
  take(): IoRequest[] {
    const requests: IoRequest[] = [];
    let at = Atomics.exchange(this.#words, this.#index(IO_QUEUE_HEAD_OFFSET), 0) >>> 0;
    while (at !== 0) {
      this.#reach(at, IO_REQUEST_SIZE);
      const request = this.#request(at);
      at = this.#view.getUint32(at + IO_REQUEST_NEXT_OFFSET, true);
      requests.push(request);
    }
    return requests.toReversed();
  }

  /** Blocks until the bell is rung, unless a request or the end has come since the list was taken. */
  waitBlocking(): void {
    const bell = this.#prepareWait();
    if (bell !== undefined) Atomics.wait(this.#words, this.#index(IO_QUEUE_BELL_OFFSET), bell);
    this.#store(IO_QUEUE_IS_WAITING_OFFSET, 0);
  }

  /** The same on the event loop. */
  async wait(): Promise<void> {
    const bell = this.#prepareWait();
    if (bell !== undefined) await Atomics.waitAsync(this.#words, this.#index(IO_QUEUE_BELL_OFFSET), bell).value;
    this.#store(IO_QUEUE_IS_WAITING_OFFSET, 0);
  }

  /** The bell to wait on; undefined where there is something to do. Its number is read first, so no later ring is missed. */
  #prepareWait(): number | undefined {
    const bell = this.#load(IO_QUEUE_BELL_OFFSET);
    this.#store(IO_QUEUE_IS_WAITING_OFFSET, 1);
    const isIdle = this.#load(IO_QUEUE_HEAD_OFFSET) === 0 && this.state === IO_SERVING;
    return isIdle ? bell : undefined;
  }

  /** A stretch of the memory. */
  bytes(address: number, length: number): SharedBytes {
    this.#reach(address, length);
    return this.#bytes.subarray(address, address + length);
  }

  /** A string in the memory. */
  text(address: number, length: number): string {
    // Decoders refuse shared memory, so the bytes are copied first.
    return decoder.decode(this.bytes(address, length).slice());
  }

  /** Writes a list over the buffer, if there is room; returns its size. */
  writeList(address: number, length: number, entries: readonly FileEntry[]): number {
    const text = encoder.encode(entries.map(({ path, size }) => `${size} ${path}\n`).join(''));
    if (text.length <= length) this.bytes(address, length).set(text);
    return text.length;
  }

  answer(request: IoRequest, result: number): void {
    this.#view.setFloat64(request.at + IO_REQUEST_RESULT_OFFSET, result, true);
    this.#finish(request);
  }

  fail(request: IoRequest, error: unknown): void {
    const { at } = request;
    const view = this.#view;
    const message = encoder.encode(error instanceof Error ? error.message : String(error));
    const room = view.getUint32(at + IO_REQUEST_MESSAGE_LENGTH_OFFSET, true);
    const target = view.getUint32(at + IO_REQUEST_MESSAGE_ADDRESS_OFFSET, true);
    const part = message.subarray(0, room);
    this.bytes(target, part.length).set(part);
    view.setUint32(at + IO_REQUEST_MESSAGE_LENGTH_OFFSET, part.length, true);
    view.setUint32(at + IO_REQUEST_ERROR_CODE_OFFSET, error instanceof HostError ? error.code : IO_ERROR_OTHER, true);
    this.#finish(request);
  }

  /** After this the request may be gone: the thread that asked goes on. */
  #finish({ at }: IoRequest): void {
    const index = (at + IO_REQUEST_STATE_OFFSET) / 4;
    Atomics.store(this.#words, index, IO_DONE);
    Atomics.notify(this.#words, index, 1);
  }

  #request(at: number): IoRequest {
    const view = this.#view;
    return {
      at,
      operation: view.getUint32(at + IO_REQUEST_OPERATION_OFFSET, true),
      file: view.getUint32(at + IO_REQUEST_FILE_OFFSET, true),
      argument: view.getUint32(at + IO_REQUEST_ARGUMENT_OFFSET, true),
      address: view.getUint32(at + IO_REQUEST_ADDRESS_OFFSET, true),
      length: view.getUint32(at + IO_REQUEST_LENGTH_OFFSET, true),
      offset: view.getFloat64(at + IO_REQUEST_OFFSET_OFFSET, true),
    };
  }

  /** Makes sure that the views reach the address: they end where the memory ended when they were made. */
  #reach(address: number, length: number): void {
    if (address + length <= this.#bytes.length) return;
    // Growing by nothing lets this agent see what others have grown.
    this.#memory.grow(0);
    [this.#bytes, this.#words, this.#view] = viewsOf(this.#memory);
  }

  #index(offset: number): number {
    return (this.#at + offset) / 4;
  }

  #load(offset: number): number {
    return Atomics.load(this.#words, this.#index(offset));
  }

  #store(offset: number, value: number): void {
    Atomics.store(this.#words, this.#index(offset), value);
  }
}

function viewsOf({ buffer }: WebAssembly.Memory): [SharedBytes, Int32Array<ArrayBufferLike>, DataView<ArrayBufferLike>] {
  return [new Uint8Array(buffer), new Int32Array(buffer), new DataView(buffer)];
}

/** The answer of an operation without a result. */
function done(_nothing: void): number {
  return 0;
}

function then<T>(value: Soon<T>, use: (value: T) => number): Soon<number> {
  return value instanceof Promise ? value.then(use) : use(value);
}
