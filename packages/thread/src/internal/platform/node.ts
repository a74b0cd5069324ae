/** Node. */
import { availableParallelism } from 'node:os';
import { parentPort, type Transferable as NodeTransferable, type Worker, type WorkerOptions } from 'node:worker_threads';
import { within } from '../within.ts';
import type { OwnPort, WorkerHandle } from './types.ts';

/** Node shares memory everywhere. */
export function isolationProblem(): string | undefined {
  return undefined;
}

/** Threads that the machine can run at once. */
export function parallelism(): number {
  return availableParallelism();
}

/** Whether this agent may wait. Node allows it everywhere. */
export function mayBlock(): boolean {
  return true;
}

/**
 * Node's options for a worker. It inherits this process's – unless they say what a script on the command line is, which a worker
 * refuses. Only then are they given one by one: V8's own, such as `--max-old-space-size`, are refused in such a list.
 */
export function workerOptions(name: string): WorkerOptions {
  const inherited = process.execArgv.filter((option) => !option.startsWith('--input-type'));
  return inherited.length === process.execArgv.length ? { name } : { name, execArgv: inherited };
}

/** Whether a worker may create workers. */
export function canNestWorkers(): boolean {
  return true;
}

/** Resolves when the event loop has come round. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when what this worker has printed has been taken over by its creator, which prints it. */
export async function outputFlushed(): Promise<void> {
  const flushed = (stream: NodeJS.WriteStream): Promise<void> => new Promise((resolve) => stream.write('', () => resolve()));
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
}

/** Calls `listener` when this worker ends itself, or fails. */
export function onOwnEnd(listener: () => void): void {
  process.on('exit', listener);
  // In Deno a worker closes as the Web's do, without that event.
  const global = globalThis as { close?: () => void };
  const close = global.close?.bind(globalThis);
  if (!close) return;
  global.close = () => {
    listener();
    close();
  };
}

/** Calls `listener` with what this worker's event loop throws and nobody catches; where it returns false, the error is printed. */
export function onUncaught(listener: (error: unknown) => boolean): void {
  const hear = (error: unknown): void => {
    if (!listener(error)) console.error('Uncaught', error);
  };
  process.on('uncaughtException', hear);
  process.on('unhandledRejection', hear);
}

/** Ends this worker. */
export function endWorker(): void {
  process.exit();
}

/** Whether a worker keeps its creator's process alive. */
export const workersKeepAlive = true;

/** Whether a worker starts while its creator blocks. */
export const startsWithoutCreator = true;

/** How long a worker that was parked is given to end by itself before it is terminated, in milliseconds: nothing, where that is no slower. */
export const PARKED_END_MS = 0;

/** Keeps the process alive while it is on: a promise of `Atomics.waitAsync` alone doesn't. */
export function keepAlive(): { set(isOn: boolean): void } {
  let timer: NodeJS.Timeout | undefined;
  return {
    set(isOn) {
      if (isOn) timer ??= setInterval(() => {}, 0x7fff_ffff);
      else {
        clearInterval(timer);
        timer = undefined;
      }
    },
  };
}

/** Browsers need a life line to see that a worker has ended; here it tells so itself. */
export function lifeLine(): string | undefined {
  return undefined;
}

export async function holdLifeLine(_name: string): Promise<void> {}

export function watchLifeLine(_name: string, _signal: AbortSignal, _onEnd: () => void): void {}

/** How long the end of a terminated worker is awaited, in milliseconds: Bun now and then tells of none. */
const TERMINATION_MS = 3000;

/** A worker thread behind the common interface. */
export function wrapWorker(worker: Worker): WorkerHandle {
  // Bun may tell an end only by one of the two: the event, or what `terminate` returns.
  const exited = new Promise<void>((resolve) => void worker.once('exit', () => resolve()));
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as unknown as NodeTransferable[]),
    onMessage: (listener) => worker.on('message', listener),
    onError: (listener) => {
      worker.on('error', (error) => listener(error instanceof Error ? error.message : String(error)));
      worker.on('messageerror', (error) => listener(error.message));
    },
    onExit: (listener) => worker.on('exit', listener),
    setKeepAlive: (isOn) => (isOn ? worker.ref() : worker.unref()),
    terminate: async () => void (await within(TERMINATION_MS, Promise.race([exited, worker.terminate()]))),
  };
}

/** This worker's way to its creator; undefined on a main thread. */
export function ownPort(): OwnPort | undefined {
  const port = parentPort;
  if (!port) return undefined;
  return {
    post: (message, transfer = []) => port.postMessage(message, transfer as unknown as NodeTransferable[]),
    onMessage: (listener) => port.on('message', listener),
    // Deno's port has no way to be closed; there the worker itself has, as in browsers.
    close: () => ('close' in port ? port.close() : (globalThis as unknown as { close(): void }).close()),
  };
}
