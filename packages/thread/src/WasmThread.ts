/** A call of an export on a thread of its own, to be joined. */
import { mayBlock } from '#platform';
import {
  hasEnded,
  queueCall,
  takeResult,
  waitForCall,
  waitForCallBlocking,
  type CallOptions,
  type CallResult,
  type WasmValue,
} from './internal/Calls.ts';
import type { Control } from './internal/Control.ts';
import { ThreadError } from './ThreadError.ts';

export type { WasmValue } from './internal/Calls.ts';

export class WasmThread {
  /** The thread's id; unique in its runtime. */
  readonly id: number;
  readonly name: string;
  /** Resolves when the thread has ended, however it did. */
  readonly ended: Promise<void>;
  readonly #control: Control;
  readonly #address: number;
  #result: CallResult | undefined;

  private constructor(control: Control, call: { address: number; threadId: number }, name: string) {
    this.#control = control;
    this.#address = call.address;
    this.id = call.threadId;
    this.name = name;
    this.ended = this.#watch();
  }

  /** @internal Made by `WasmRuntime.spawn`. */
  static spawn(control: Control, options: CallOptions): WasmThread {
    return new WasmThread(control, queueCall(control, options), options.name);
  }

  /** Reads the result as soon as there is one, so that its record can serve another call. */
  async #watch(): Promise<void> {
    await waitForCall(this.#control.records, this.#address, () => this.#result !== undefined);
    this.#settle();
  }

  #settle(): CallResult {
    this.#result ??= takeResult(this.#control.records, this.#address, this.name);
    return this.#result;
  }

  /** Whether `join` would resolve at once. */
  get isFinished(): boolean {
    return this.#result !== undefined || hasEnded(this.#control.records, this.#address);
  }

  /**
   * What the export returned, when it has; undefined where it returns nothing. A 32-bit integer comes signed: an address
   * above 2 GiB is `value >>> 0`.
   *
   * @throws ThreadError `THREAD_PANICKED`, `THREAD_TRAPPED`, `THREAD_STACK_OVERFLOW`, `THREAD_OUT_OF_MEMORY`,
   *   `THREAD_TERMINATED`.
   */
  async join(): Promise<WasmValue | undefined> {
    await this.ended;
    return unwrap(this.#settle());
  }

  /**
   * As `join`, blocking this agent meanwhile.
   *
   * @throws ThreadError `WOULD_BLOCK` on a main thread that must not block, and what `join` throws.
   */
  joinBlocking(): WasmValue | undefined {
    if (this.#result === undefined) {
      if (!mayBlock()) throw new ThreadError('WOULD_BLOCK', 'this is a main thread, which must not block: await join()');
      waitForCallBlocking(this.#control.records, this.#address);
    }
    return unwrap(this.#settle());
  }
}

function unwrap(result: CallResult): WasmValue | undefined {
  if ('error' in result) throw result.error;
  return result.value;
}
