/**
 * Runs a model through many executions: all of them within bounds, or random ones from a seed.
 *
 * An execution repeats exactly: with the same seed, or the same choices, the same threads make the same steps.
 */
import { Worker } from 'node:worker_threads';
import { type Fault, FAULTS, OPERATIONS } from './atomics.ts';
import {
  CHOICES,
  CHOICE_COUNT,
  Control,
  DEATHS_LEFT,
  EPOCH,
  FAILED,
  FAULT,
  MORTAL,
  PREEMPTIONS_MAX,
  PREFIX_LENGTH,
  RANDOM,
  STATUS,
  STEP_COUNT,
  STRATEGY,
} from './control.ts';
import { type Model } from './Model.ts';
import { AT_RANDOM, FIRST, Scheduler } from './Scheduler.ts';
import { type WorkerTask } from './worker.ts';

/** How executions are chosen. */
export type Strategy =
  | {
      /** Every execution in which READY threads are left at most so many times. */
      readonly preemptionsMax: number;
      /** Give up after so many. */
      readonly executionsMax?: number;
    }
  | {
      /** So many at random. */
      readonly executions: number;
      /** Where chance begins, 0 to 2^32 - 1. */
      readonly seed: number;
    }
  | {
      /** The one with these choices. */
      readonly choices: readonly number[];
    };

/** What a model is explored with. */
export interface ExploreOptions {
  readonly strategy: Strategy;
  /** A bug to put in. */
  readonly fault?: Fault;
  /** How many deaths one execution may have at most, 1 if not given; without mortals there are none. */
  readonly deathsMax?: number;
}

/** An execution in which something was wrong. */
export interface Failure {
  /** What. */
  readonly message: string;
  /** How to have it again: `explore` it with these choices. */
  readonly choices: readonly number[];
  /** Its last atomic operations, oldest first. */
  readonly steps: readonly string[];
}

/** What came of it. */
export interface Exploration {
  readonly executions: number;
  /** Atomic operations, of all executions. */
  readonly steps: number;
  /** Whether there is no other execution within the bounds. */
  readonly isComplete: boolean;
  /** The first execution in which something was wrong. */
  readonly failure: Failure | undefined;
}

/** How long an execution may take before a worker counts as lost, in milliseconds: a model takes microseconds. */
const LOST_AFTER_MS = 60_000;
/** How long this thread may be busy with executions before it looks after its other tasks, in milliseconds. */
const SLICE_MS = 100;
/** After so many a worker is not used for another model. */
const WORKER_EXECUTIONS_MAX = 20_000;
const STEPS_SHOWN = 60;

const idleWorkers: Worker[] = [];

/** Starts, or takes again, as many workers as a model has threads. */
function takeWorkers(count: number): Worker[] {
  while (idleWorkers.length < count) {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    worker.unref();
    idleWorkers.push(worker);
  }
  return idleWorkers.splice(0, count);
}

/** What a worker says next. */
function answerOf(worker: Worker): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  worker.once('message', resolve);
  worker.once('error', reject);
  return promise.finally(() => {
    worker.off('message', resolve);
    worker.off('error', reject);
  });
}

/**
 * Explores the model that a module exports.
 *
 * @param module where it is
 * @param name what it is called there
 */
export async function explore(module: URL, name: string, options: ExploreOptions): Promise<Exploration> {
  const model = ((await import(module.href)) as Record<string, Model>)[name];
  if (model === undefined) throw new Error(`${module.href} has no model '${name}'`);
  const control = new Control();
  const memory = new SharedArrayBuffer(model.byteLength);
  model.setUp?.(memory);
  const workers = takeWorkers(model.threads.length);
  const epoch = control.get(EPOCH);
  const ready = Promise.all(workers.map(answerOf));
  for (const [thread, worker] of workers.entries()) {
    const task: WorkerTask = { control: control.buffer, memory, epoch, model: module.href, name, thread };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    worker.postMessage(task);
  }
  await ready;
  const explorer = new Explorer(model, control, memory, options);
  try {
    return await explorer.run();
  } finally {
    const idle = Promise.all(workers.map(answerOf));
    control.begin(true);
    await idle;
    // What a model leaves behind in a worker, say by its deaths, must not grow for ever.
    if (explorer.executions < WORKER_EXECUTIONS_MAX) idleWorkers.push(...workers);
    else await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

class Explorer {
  readonly #model: Model;
  readonly #control: Control;
  readonly #memory: Uint8Array;
  readonly #initial: Uint8Array;
  readonly #options: ExploreOptions;
  /** How many there were. */
  executions = 0;
  #steps = 0;

  constructor(model: Model, control: Control, memory: SharedArrayBuffer, options: ExploreOptions) {
    this.#model = model;
    this.#control = control;
    this.#memory = new Uint8Array(memory);
    this.#initial = this.#memory.slice();
    this.#options = options;
  }

  async run(): Promise<Exploration> {
    const { strategy } = this.#options;
    let sliceEndMs = performance.now() + SLICE_MS;
    let prefix: readonly number[] | undefined = 'choices' in strategy ? strategy.choices : [];
    if ('seed' in strategy && strategy.executions === 0) prefix = undefined;
    let failure: Failure | undefined;
    while (prefix !== undefined) {
      failure = this.#execute(prefix);
      if (failure !== undefined) break;
      prefix = this.#nextPrefix();
      if (performance.now() < sliceEndMs) continue;
      // oxlint-disable-next-line no-await-in-loop -- between executions
      await new Promise((resolve) => void setImmediate(resolve));
      sliceEndMs = performance.now() + SLICE_MS;
    }
    return { executions: this.executions, steps: this.#steps, isComplete: prefix === undefined && !this.#isCut, failure };
  }

  get #isCut(): boolean {
    const { strategy } = this.#options;
    return 'preemptionsMax' in strategy ? this.executions >= (strategy.executionsMax ?? Infinity) : true;
  }

  #execute(prefix: readonly number[]): Failure | undefined {
    const { strategy, fault = 'none', deathsMax = 1 } = this.#options;
    const control = this.#control;
    const { words } = control;
    const { threads, mortals = [], beforeEach, check } = this.#model;
    this.#memory.set(this.#initial);
    beforeEach?.(this.#memory.buffer as SharedArrayBuffer, this.executions);
    control.reset(threads.length);
    words[FAULT] = FAULTS.indexOf(fault);
    words[STRATEGY] = 'seed' in strategy ? AT_RANDOM : FIRST;
    words[PREEMPTIONS_MAX] = 'preemptionsMax' in strategy ? strategy.preemptionsMax : 0x7fff_ffff;
    words[DEATHS_LEFT] = mortals.length === 0 ? 0 : deathsMax;
    for (const thread of mortals) words[MORTAL + thread] = 1;
    if ('seed' in strategy) words[RANDOM] = mixed(strategy.seed, this.executions);
    for (const [i, choice] of prefix.entries()) words[CHOICES + 2 * i] = choice;
    words[PREFIX_LENGTH] = prefix.length;

    new Scheduler(control).start();
    control.begin(false);
    if (!control.awaitFinish(threads.length, LOST_AFTER_MS)) throw new Error('a worker of the model does not answer');
    this.executions += 1;
    this.#steps += control.get(STEP_COUNT);
    if (control.get(STATUS) !== FAILED) {
      try {
        check?.(this.#memory.buffer as SharedArrayBuffer);
      } catch (error) {
        control.words[STATUS] = 0;
        control.fail(`at the end: ${String(error)}`);
      }
    }
    return control.get(STATUS) === FAILED ? this.#failure() : undefined;
  }

  /** The choices that begin the next execution; `undefined` if there is none. */
  #nextPrefix(): number[] | undefined {
    const { strategy } = this.#options;
    if ('choices' in strategy) return undefined;
    if ('seed' in strategy) return this.executions < strategy.executions ? [] : undefined;
    if (this.#isCut) return undefined;
    const { words } = this.#control;
    // The last decision that has another option left.
    let last = this.#control.get(CHOICE_COUNT) - 1;
    while (last >= 0 && words[CHOICES + 2 * last] + 1 >= words[CHOICES + 2 * last + 1]) last -= 1;
    if (last < 0) return undefined;
    const prefix = this.#choices().slice(0, last + 1);
    prefix[last] += 1;
    return prefix;
  }

  #choices(): number[] {
    return Array.from({ length: this.#control.get(CHOICE_COUNT) }, (_, i) => this.#control.words[CHOICES + 2 * i]);
  }

  #failure(): Failure {
    const steps = this.#control.steps(STEPS_SHOWN);
    return {
      message: this.#control.message,
      choices: this.#choices(),
      steps: steps.map(({ thread, operation, byteOffset, value }) => {
        const number = `0x${(value >>> 0).toString(16)}`;
        return `thread ${thread}: ${OPERATIONS[operation]} at byte ${byteOffset} → ${number}`;
      }),
    };
  }
}

/** The state of chance for one execution of a seed; never 0, from which xorshift doesn't move. */
function mixed(seed: number, execution: number): number {
  let state = (seed + Math.imul(execution, 0x9e37_79b9)) | 0;
  state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
  return state ^ (state >>> 16) || 1;
}
