/**
 * A worker for TypeScript's threads: imports modules, calls their functions one after the other, and tells what comes out.
 *
 * It waits on its event loop, for a word of its desk and for messages at once: a call of small values wakes it through shared memory, what
 * needs structured clone is posted, a function may be asynchronous, and what one has left behind – a timer, a line to print –
 * goes on between calls. Blocked in `Atomics.wait` a worker is woken sooner, but hears nothing else: so it blocks for a moment only, right
 * after a call, when the next one is likely to come, and turns to its event loop now and then while they keep coming.
 */
import { eventLoopTurn, holdLifeLine, onOwnEnd, outputFlushed, ownPort } from '#platform';
import { currentThread, endThreadLocals } from './current.ts';
import { Desk } from './Desk.ts';
import { DESK_DIED, DESK_POSTED, DESK_RETURNED, DESK_THREW } from './layout.ts';
import { importModule } from './importModule.js';

/** The first message: what the worker is. */
export interface OpenMessage {
  readonly type: 'open';
  readonly name: string;
  /** Where calls are laid, in an agent that can share memory. */
  readonly desk: SharedArrayBuffer | undefined;
  /** The counter of threads' ids. */
  readonly ids: SharedArrayBuffer | undefined;
  /** Whether each call is a thread, rather than the worker: values of `ThreadLocal`s last as long. */
  readonly isThreadEachCall: boolean;
  /** What tells that the worker lives, where its end makes no event. */
  readonly lifeLine: string | undefined;
}

/** A call that the desk can't hold, or the first one of a function. */
export interface RunMessage {
  readonly type: 'run';
  /** Counts the calls of this worker. */
  readonly number: number;
  readonly thread: number;
  /** How the desk will name the function. */
  readonly function: number;
  readonly module: string;
  readonly exportName: string;
  readonly args: readonly unknown[];
}

/** What a worker is posted. The last asks it to say when what was printed here is on its way. */
export type ToModuleWorker = OpenMessage | RunMessage | { readonly type: 'rest' };

/** What a worker posts. */
export type FromModuleWorker = { readonly type: 'ready' } | { readonly type: 'rested' } | ModuleResult;

/** How a call ended. */
export type ModuleResult =
  | { readonly type: 'returned'; readonly value: unknown }
  | { readonly type: 'threw'; readonly error: unknown }
  | { readonly type: 'unloadable'; readonly message: string };

/** How long the worker blocks for the next call, in milliseconds. */
const LINGER_MS = 1;
/** How long calls may keep the worker from its event loop, in milliseconds. */
const BLOCKED_MS_MAX = 10;

type ExportedFunction = (...args: unknown[]) => unknown;

const ownWay = ownPort();
if (!ownWay) throw new Error('a TypeScript thread is a worker');
const port = ownWay;

/** The functions that were called here, by the numbers that the desk has for them. */
const functions: ExportedFunction[] = [];
let desk: Desk | undefined;
let opened: Promise<void> | undefined;
let isThreadEachCall = false;
/** The call that runs; 0 if none does. */
let running = 0;

async function load({ module, exportName }: RunMessage): Promise<ExportedFunction | ModuleResult> {
  let imported: Record<string, unknown>;
  try {
    imported = (await importModule(module)) as Record<string, unknown>;
  } catch (error) {
    return { type: 'unloadable', message: error instanceof Error ? error.message : String(error) };
  }
  const exported = imported[exportName];
  if (typeof exported === 'function') return exported as ExportedFunction;
  return { type: 'unloadable', message: `${module} exports no function '${exportName}'` };
}

async function run(message: RunMessage): Promise<void> {
  // A function that blocks would keep from its creator that the worker has started.
  await opened;
  const loaded = await load(message);
  if (typeof loaded !== 'function') {
    end(message.number, loaded);
    return;
  }
  functions[message.function] = loaded;
  await call(message, loaded, message.args);
}

/** Calls a function. Without a promise where the function makes none: the way back is as short as can be. */
function call(
  { number, thread }: { number: number; thread: number },
  exported: ExportedFunction,
  args: readonly unknown[],
): void | Promise<void> {
  currentThread().id = thread;
  running = number;
  try {
    const value = exported(...args);
    if (!isThenable(value)) {
      end(number, { type: 'returned', value });
      return;
    }
    return Promise.resolve(value).then(
      (result) => end(number, { type: 'returned', value: result }),
      (error: unknown) => end(number, { type: 'threw', error }),
    );
  } catch (error) {
    end(number, { type: 'threw', error });
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

function end(number: number, ending: ModuleResult): void {
  running = 0;
  const result = isThreadEachCall ? withoutLocals(ending) : ending;
  if (isThreadEachCall) desk?.clearParker();
  if (result.type === 'returned' && desk?.layOutcome(number, DESK_RETURNED, result.value)) return;
  if (result.type === 'threw' && desk?.layOutcome(number, DESK_THREW, result.error)) return;
  post(result);
  desk?.layEnd(number, DESK_POSTED);
}

/** Ends the thread's own values; what one of them throws is the thread's, if it didn't throw itself. */
function withoutLocals(ending: ModuleResult): ModuleResult {
  try {
    endThreadLocals();
    return ending;
  } catch (error) {
    return ending.type === 'returned' ? { type: 'threw', error } : ending;
  }
}

function post(result: ModuleResult): void {
  try {
    port.post(result);
  } catch (error) {
    // What the function returned or threw can't be cloned: a function, a socket …
    const message = `what the thread left can't be passed on: ${error instanceof Error ? error.message : String(error)}`;
    port.post({ type: 'threw', error: new TypeError(message) } satisfies ModuleResult);
  }
}

/** Runs the calls that are laid on the desk. */
async function serve(at: Desk): Promise<void> {
  let number = at.call;
  let lastTurnMs = performance.now();
  at.setReady();
  /* oxlint-disable no-await-in-loop -- one call after the other */
  for (;;) {
    if (at.call === number) {
      await at.waitForCall(number);
      lastTurnMs = performance.now();
      continue;
    }
    number = at.call;
    const laid = at.takeCall();
    // What was posted comes with its message.
    if (!laid) continue;
    const promised = call({ number, thread: laid.thread }, functions[laid.function]!, laid.args);
    if (promised) await promised;
    else if (performance.now() - lastTurnMs < BLOCKED_MS_MAX) at.lingerForCall(number, LINGER_MS);
    else {
      await eventLoopTurn();
      lastTurnMs = performance.now();
    }
  }
  /* oxlint-enable no-await-in-loop */
}

async function open(message: OpenMessage): Promise<void> {
  const current = currentThread();
  current.name = message.name;
  current.ids = message.ids;
  isThreadEachCall = message.isThreadEachCall;
  if (message.desk) {
    desk = new Desk(message.desk);
    current.desk = desk;
    onOwnEnd(endCall);
    void serve(desk);
  }
  if (message.lifeLine !== undefined) await holdLifeLine(message.lifeLine);
  port.post({ type: 'ready' } satisfies FromModuleWorker);
}

/** Tells of a call whose function ends this worker: whoever blocks for it hears nothing else. */
function endCall(): void {
  if (running !== 0) desk?.layEnd(running, DESK_DIED);
}

async function rest(): Promise<void> {
  await outputFlushed();
  port.post({ type: 'rested' } satisfies FromModuleWorker);
}

port.onMessage((posted) => {
  const message = posted as ToModuleWorker;
  if (message.type === 'open') opened = open(message);
  else if (message.type === 'run') void run(message);
  else void rest();
});
