/** Messages between a test and its worker, the same in every host. */

/** A way to and from a worker. */
export interface Port {
  post(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
}

/** Whether workers are Web Workers here. */
export const isWeb: boolean = typeof navigator !== 'undefined' && !/^(Node|Bun)/u.test(navigator.userAgent);

/** A worker, or from inside of one the rest of the world. */
export interface Target {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
}

/** The port of a Web Worker. */
export const portOf = (target: Target): Port => ({
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  post: (message) => target.postMessage(message),
  listen: (listener) => target.addEventListener('message', ({ data }) => listener(data)),
});

/** The same in Node. */
export interface NodeTarget {
  postMessage(message: unknown): void;
  on(type: 'message', listener: (message: unknown) => void): unknown;
}

/** The port of a worker thread of Node's. */
export const nodePortOf = (target: NodeTarget): Port => ({
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  post: (message) => target.postMessage(message),
  listen: (listener) => void target.on('message', listener),
});

/** Node's module; bundlers for pages must not meet it. */
export async function workerThreads(): Promise<typeof import('node:worker_threads')> {
  const name = 'node:worker_threads';
  return (await import(/* @vite-ignore */ name)) as typeof import('node:worker_threads');
}

/** Inside of a worker: the way to the test. */
export async function hostPort(): Promise<Port> {
  if (isWeb) return portOf(globalThis);
  const { parentPort } = await workerThreads();
  if (!parentPort) throw new Error('this is no worker');
  return nodePortOf(parentPort);
}
