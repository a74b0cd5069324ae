/** Browsers, and other hosts that have Web Workers (Deno, Bun). */
import type { OwnPort, WorkerHandle } from './types.ts';

/** Why no memory can be shared here; undefined where it can. */
export function isolationProblem(): string | undefined {
  if (typeof SharedArrayBuffer !== 'undefined' && globalThis.crossOriginIsolated !== false) return undefined;
  const headers =
    'serve the page with the headers "Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp" ' +
    '(or "credentialless"), and the workers\' scripts with the latter';
  const reason = globalThis.isSecureContext === false ? 'it was not loaded over https or from localhost' : 'one of the headers is missing';
  return `this page may not share memory, because it is not cross-origin isolated: ${reason}; ${headers}`;
}

/** Threads that the machine can run at once. */
export function parallelism(): number {
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** Whether this agent may wait. */
export function mayBlock(): boolean {
  return typeof globalThis.document === 'undefined';
}

/**
 * Whether a worker may create workers. In Firefox (ESR 153) it may sleep for ever: it waits for the main thread to tell a debugger of the
 * new worker, on the condition variable on which the new worker's event loop sleeps, too, and one of the two is woken
 * (`WorkerPrivate::WaitForIsDebuggerRegistered`). `new Worker` waits so while somebody listens for workers, as developer tools and WebDriver do: about one in
 * twenty hung; of 12,300 without them, none. The end of a worker waits so always: one in a thousand. A main thread doesn't wait.
 */
export function canNestWorkers(): boolean {
  return !/\bFirefox\//.test(globalThis.navigator?.userAgent ?? '');
}

/** Resolves when the event loop has come round. By a message: timers of zero milliseconds soon take four. */
export function eventLoopTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.addEventListener('message', () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(undefined);
  });
}

/** In browsers each line is printed at once. */
export async function outputFlushed(): Promise<void> {}

/** Calls `listener` when this worker ends itself. There is no event for it. */
export function onOwnEnd(listener: () => void): void {
  const close = globalThis.close.bind(globalThis);
  globalThis.close = () => {
    listener();
    close();
  };
}

/** Calls `listener` with what this worker's event loop throws and nobody catches; where it returns false, the error is printed. */
export function onUncaught(listener: (error: unknown) => boolean): void {
  globalThis.addEventListener('error', (event) => {
    if (!listener(event.error)) console.error('Uncaught', event.error ?? event.message);
    // Else whoever made the worker takes it for lost.
    event.preventDefault();
  });
  globalThis.addEventListener('unhandledrejection', (event) => {
    if (!listener(event.reason)) console.error('Uncaught (in promise)', event.reason);
    event.preventDefault();
  });
}

/** Ends this worker. */
export function endWorker(): void {
  globalThis.close();
}

/** Whether a worker keeps its creator's process alive. */
export const workersKeepAlive = false;

/** Whether a worker starts while its creator blocks. */
export const startsWithoutCreator = false;

/**
 * How long a worker that was parked is given to end by itself before it is terminated, in milliseconds: Chromium takes two seconds for one
 * that blocks, and one for a worker that has just been woken.
 */
export const PARKED_END_MS = 50;

/** Keeps the process alive while it is on; browsers need none. */
export function keepAlive(): { set(isOn: boolean): void } {
  return { set() {} };
}

/**
 * The name of a worker's life line: a Web Lock that it holds as long as it lives, for nothing else tells of its end. Undefined where
 * there are none.
 */
export function lifeLine(): string | undefined {
  return globalThis.navigator?.locks === undefined ? undefined : `heddle-thread-${crypto.randomUUID()}`;
}

/** Holds this worker's life line; resolves when it does. */
export function holdLifeLine(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(name, () => {
      resolve();
      return new Promise(() => {});
    });
    held.catch(reject);
  });
}

/** Calls `onEnd` when the worker that held a life line is gone, unless the signal comes first. Only once it holds it. */
export function watchLifeLine(name: string, signal: AbortSignal, onEnd: () => void): void {
  navigator.locks.request(name, { signal }, onEnd).catch(() => {});
}

/** A Web Worker behind the common interface. One that the browser refuses to make is one that fails. */
export function wrapWorker(make: () => Worker): WorkerHandle {
  let worker: Worker;
  try {
    worker = make();
  } catch (error) {
    return refusedWorker(error);
  }
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    onMessage: (listener) => worker.addEventListener('message', (event: MessageEvent<unknown>) => listener(event.data)),
    onError: (listener) => {
      worker.addEventListener('error', (event) => {
        // Handled: the browser need not print it a second time.
        event.preventDefault();
        listener(event.message || 'its script could not be loaded');
      });
      worker.addEventListener('messageerror', () => listener('a message could not be read'));
    },
    onExit: () => {},
    setKeepAlive: () => {},
    terminate: async () => worker.terminate(),
  };
}

function refusedWorker(error: unknown): WorkerHandle {
  const reason = error instanceof Error ? error.message : String(error);
  const isForeign = error instanceof DOMException && error.name === 'SecurityError';
  const remedy =
    "browsers start workers only from scripts of the page's own origin, and as its policy (worker-src) has it: serve a copy of the package there";
  return {
    post: () => {},
    onMessage: () => {},
    onError: (listener) => queueMicrotask(() => listener(isForeign ? `${reason}; ${remedy}` : reason)),
    onExit: () => {},
    setKeepAlive: () => {},
    terminate: async () => {},
  };
}

/** This worker's way to its creator; undefined on a main thread. */
export function ownPort(): OwnPort | undefined {
  if (typeof globalThis.document !== 'undefined') return undefined;
  const scope = globalThis as unknown as DedicatedWorkerGlobalScope;
  return {
    post: (message, transfer = []) => scope.postMessage(message, [...transfer]),
    onMessage: (listener) => scope.addEventListener('message', (event: MessageEvent<unknown>) => listener(event.data)),
    close: () => scope.close(),
  };
}

/** A worker's global scope, as far as it is used here: the DOM's types have only the page's. */
interface DedicatedWorkerGlobalScope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void;
  close(): void;
}
