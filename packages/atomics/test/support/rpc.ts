/** Calls between a test and its worker, the same in Node and in browsers. */

/** What a worker can be asked to do, by name. */
export type Jobs = Record<string, (...args: never[]) => unknown>;

interface Request {
  readonly id: number;
  readonly job: string;
  readonly args: readonly never[];
}

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly name: string; readonly message: string; readonly code: unknown };
}

interface Port {
  post(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
}

/** Answers calls in a worker. */
export function serve(port: Port, jobs: Jobs): void {
  port.listen((message) => void answer(port, { ...jobs, [LIVE_AS]: liveAs }, message as Request));
}

/** The job by which a Web Worker lets its end be seen. */
const LIVE_AS = 'liveAs';

/** Holds a Web Lock as long as the worker lives. */
async function liveAs(lockName: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  void navigator.locks.request(lockName, () => {
    resolve();
    return new Promise(() => {});
  });
  await promise;
}

async function answer(port: Port, jobs: Jobs, { id, job, args }: Request): Promise<void> {
  const reply = await run(jobs, job, args);
  port.post({ id, ...reply } satisfies Reply);
}

async function run(jobs: Jobs, job: string, args: readonly never[]): Promise<Omit<Reply, 'id'>> {
  const action = jobs[job];
  try {
    if (action === undefined) throw new Error(`the worker has no job '${job}'`);
    return { value: await action(...args) };
  } catch (error) {
    const { name, message, code } = error as Error & { code?: unknown };
    return { error: { name, message, code } };
  }
}

/** The port of a worker thread of Node. */
export async function nodePort(): Promise<Port> {
  const name = 'node:worker_threads';
  const { parentPort } = (await import(/* @vite-ignore */ name)) as typeof import('node:worker_threads');
  if (parentPort === null) throw new Error('this is not a worker thread');
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    post: (message) => parentPort.postMessage(message),
    listen: (listener) => void parentPort.on('message', listener),
  };
}

/** The port of a worker in a browser. */
export function browserPort(): Port {
  const scope = globalThis as unknown as {
    postMessage(message: unknown): void;
    addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  };
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    post: (message) => scope.postMessage(message),
    listen: (listener) => scope.addEventListener('message', (event) => listener(event.data)),
  };
}

/** Whether workers are Web Workers here, as in browsers and Deno. Bun has them, too, but no Web Locks that tell of their end. */
export const isBrowser: boolean = typeof navigator !== 'undefined' && !/^(Node|Bun)/.test(navigator.userAgent);

/** An error that a job threw. */
export class JobError extends Error {
  override readonly name = 'JobError';
  readonly code: unknown;

  constructor(message: string, code: unknown) {
    super(message);
    this.code = code;
  }
}

/** A worker of a test. */
export interface TestWorker {
  /** Runs a job there. */
  call<T = unknown>(job: string, ...args: readonly unknown[]): Promise<T>;
  /** Ends the worker, sooner or later. */
  terminate(): Promise<void>;
  /**
   * Ends the worker, and resolves when it runs no more: only then may its thread be reaped. That a Web Worker has ended is only to be seen by
   * the Web Lock that it held. Chromium and Deno let one that blocks or computes go on after `terminate`: it must be on its event loop.
   */
  kill(): Promise<void>;
}

/** The calling side of a worker. */
function connect(port: Port): Pick<TestWorker, 'call'> {
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let idLast = 0;
  port.listen((message) => {
    const { id, value, error } = message as Reply;
    const call = pending.get(id);
    pending.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(new JobError(`${error.name}: ${error.message}`, error.code));
  });
  return {
    call: <T>(job: string, ...args: readonly unknown[]) => {
      idLast += 1;
      const call = Promise.withResolvers<unknown>();
      pending.set(idLast, call);
      port.post({ id: idLast, job, args });
      return call.promise as Promise<T>;
    },
  };
}

/** Bun now and then loses the news of a worker's end. After so long it has ended. */
const BUN_ENDED_MS = 5000;

/** The calling side of a worker thread of Node. */
export async function connectNode(url: URL): Promise<TestWorker> {
  const name = 'node:worker_threads';
  const { Worker } = (await import(/* @vite-ignore */ name)) as typeof import('node:worker_threads');
  const worker = new Worker(url);
  const port: Port = {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    post: (message) => worker.postMessage(message),
    listen: (listener) => void worker.on('message', listener),
  };
  const kill = async (): Promise<void> => {
    const ends: Promise<unknown>[] = [worker.terminate()];
    if (navigator.userAgent.startsWith('Bun')) ends.push(new Promise((resolve) => void setTimeout(resolve, BUN_ENDED_MS)));
    await Promise.race(ends);
  };
  return { ...connect(port), terminate: kill, kill };
}

/** The calling side of a worker of a browser. */
export function connectBrowser(worker: Worker): TestWorker {
  const port: Port = {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
    post: (message) => worker.postMessage(message),
    listen: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
  };
  const { call } = connect(port);
  const lockName = `heddle-test-${crypto.randomUUID()}`;
  const isHeld = call(LIVE_AS, lockName);
  return {
    call,
    terminate: async () => worker.terminate(),
    kill: async () => {
      await isHeld;
      worker.terminate();
      await navigator.locks.request(lockName, () => {});
    },
  };
}
