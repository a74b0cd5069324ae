/**
 * A worker for TypeScript's threads: imports modules, calls their functions one after the other, and tells what comes out.
 *
 * What a function has left behind – a timer, a line to print – goes on between calls; how the worker waits for them is `serveDesk`'s.
 */
import { eventLoopTurn, holdLifeLine, onOwnEnd, outputFlushed, ownPort } from '#platform';
import { setOwnWaits } from '@heddle/atomics/internal';
import { currentThread, endThreadLocals } from './current.ts';
import { Desk } from './Desk.ts';
import { DESK_DIED, DESK_POSTED, DESK_RETURNED, DESK_THREW, WAIT_EVENT_LOOP, WAIT_NONE } from './layout.ts';
import { importModule } from './importModule.js';
import { shownLocation } from './location.ts';
import { type LaidCall, serveDesk } from './serveDesk.ts';

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
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { type: 'unloadable', message: `${shownLocation(module)} can't be imported: ${reason}` };
  }
  const exported = imported[exportName];
  if (typeof exported === 'function') return exported as ExportedFunction;
  return { type: 'unloadable', message: `${shownLocation(module)} exports no function '${exportName}'` };
}

async function run(message: RunMessage): Promise<void> {
  // A function that blocks would keep from its creator that the worker has started.
  await opened;
  desk?.hear(message.number);
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
    desk?.noteWait(WAIT_EVENT_LOOP);
    return Promise.resolve(value).then(
      (result) => endLater(number, { type: 'returned', value: result }),
      (error: unknown) => endLater(number, { type: 'threw', error }),
    );
  } catch (error) {
    end(number, { type: 'threw', error });
  }
}

/** Ends a call whose function was on the event loop. */
function endLater(number: number, ending: ModuleResult): void {
  desk?.noteWait(WAIT_NONE);
  end(number, ending);
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

/** Calls a function that the creator has named by its number. */
function callLaid({ number, thread, function: index, args }: LaidCall): void | Promise<void> {
  return call({ number, thread }, functions[index]!, args);
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

async function open(message: OpenMessage): Promise<void> {
  const current = currentThread();
  current.name = message.name;
  current.ids = message.ids;
  isThreadEachCall = message.isThreadEachCall;
  if (message.desk) {
    desk = new Desk(message.desk);
    current.desk = desk;
    setOwnWaits(desk.listenToWaits());
    onOwnEnd(endCall);
    void serveDesk(desk, { call: callLaid, turn: eventLoopTurn });
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
