/**
 * One thread of a model: a worker whose `Atomics`, clock and count of processors are the scheduler's.
 *
 * A body that waits asynchronously runs on the worker's own event loop: when that has nothing left to do, the worker asks the
 * scheduler what is to be delivered.
 */
import { parentPort } from 'node:worker_threads';
import { CLOCK, Control, EXPIRED, STOP, TURN_DUE } from './control.ts';
import { type Model, type ModelThread } from './Model.ts';
import { type Modelled, modelledAtomics } from './atomics.ts';
import { Scheduler, StoppedError } from './Scheduler.ts';

/** What a worker is asked to do: run one thread of a model, execution after execution. */
export interface WorkerTask {
  readonly control: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  readonly epoch: number;
  readonly model: string;
  readonly name: string;
  readonly thread: number;
}

const port = parentPort;
if (port === null) throw new Error('this is no worker');

const idleControl = new Control();
const modelled: Modelled = {
  memory: undefined,
  thread: 0,
  control: idleControl,
  scheduler: new Scheduler(idleControl),
  resolvers: new Map(),
};

globalThis.Atomics = modelledAtomics(modelled);
// Time passes when the scheduler lets a wait expire.
performance.now = (): number => modelled.control.get(CLOCK + modelled.thread);
// Spinning is nothing but more operations that see the same.
Object.defineProperty(navigator, 'hardwareConcurrency', { value: 1 });

/** What a stopped thread throws means nothing: also what `using` makes of it. */
function rethrow(error: unknown): void {
  if (!(error instanceof StoppedError) && !modelled.scheduler.isStopped) throw error;
}
process.on('unhandledRejection', rethrow);
process.on('uncaughtException', rethrow);

const macrotask = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function modelThread({ thread, memory, control, scheduler, resolvers }: Modelled): ModelThread {
  return {
    index: thread,
    memory: memory!,
    step: () => scheduler.step(),
    yield: () => scheduler.yield(),
    turn: () => {
      const id = control.enqueue(thread, 0, true, Infinity, TURN_DUE);
      return new Promise((resolve) => void resolvers.set(id, () => resolve()));
    },
    choose: (count) => scheduler.choose(count),
    awaitDeath: () => scheduler.awaitDeath(),
    assert: (condition, message) => {
      if (!condition) throw new Error(message);
    },
  };
}

/** Runs an asynchronous body to its end, with what the scheduler delivers. */
async function drive(body: Promise<void>): Promise<void> {
  const { scheduler, control, resolvers } = modelled;
  let outcome: 'pending' | 'fulfilled' | { readonly error: unknown } = 'pending';
  body.then(
    () => (outcome = 'fulfilled'),
    (error: unknown) => (outcome = { error }),
  );
  const ended = (): typeof outcome => outcome;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one delivery after the other
    await macrotask();
    const state = ended();
    if (state === 'fulfilled') return;
    if (state !== 'pending') throw state.error;
    const id = scheduler.idle();
    const result = control.dequeue(id) === EXPIRED ? 'timed-out' : 'ok';
    const resolve = resolvers.get(id);
    resolvers.delete(id);
    resolve?.(result);
  }
}

/**
 * Ends what an execution left behind in this worker; nothing of it reaches the model's memory any more. What began last ends
 * first, as calls do: so nobody finds those gone that it counts on.
 */
async function clearUp(): Promise<void> {
  const { resolvers } = modelled;
  while (resolvers.size > 0) {
    const [id, resolve] = [...resolvers].at(-1)!;
    resolvers.delete(id);
    resolve('ok');
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await macrotask();
  }
}

async function execute(body: (thread: ModelThread) => void | Promise<void>): Promise<void> {
  const { scheduler, thread } = modelled;
  try {
    scheduler.awaitStart();
    const running = body(modelThread(modelled));
    if (running instanceof Promise) await drive(running);
    scheduler.done();
  } catch (error) {
    if (!(error instanceof StoppedError) && !scheduler.isStopped) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      try {
        scheduler.fail(`thread ${thread}: ${text}`);
      } catch (stopped) {
        rethrow(stopped);
      }
    }
  }
  await clearUp();
}

async function run(task: WorkerTask): Promise<void> {
  modelled.control = new Control(task.control);
  modelled.thread = task.thread;
  modelled.scheduler = new Scheduler(modelled.control, task.thread);
  const models = (await import(task.model)) as Record<string, Model>;
  const body = models[task.name].threads[task.thread];
  modelled.memory = task.memory;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  port!.postMessage('ready');
  for (let { epoch } = task; ;) {
    epoch = modelled.control.awaitEpoch(epoch);
    if (modelled.control.get(STOP) === 1) break;
    // oxlint-disable-next-line no-await-in-loop -- one execution after the other
    await execute(body);
    modelled.control.finish();
  }
  modelled.memory = undefined;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  port!.postMessage('idle');
}

port.on('message', (task: WorkerTask) => void run(task));
