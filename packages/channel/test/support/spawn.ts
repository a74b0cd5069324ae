/** Workers for the tests of this package. */
import { onTestFinished } from 'vitest';
import { type TestWorker, connectBrowser, connectNode, isBrowser } from './rpc.ts';

/** Starts a worker that runs the jobs of `worker.ts` and ends with the test. */
export async function spawn(): Promise<TestWorker> {
  const worker = await startWorker();
  onTestFinished(() => worker.terminate());
  return worker;
}

/** Starts such a worker that somebody terminates in the end. */
export async function startWorker(): Promise<TestWorker> {
  const worker = isBrowser
    ? connectBrowser(new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }))
    : await connectNode(new URL('./worker.ts', import.meta.url));
  await worker.call('ping');
  return worker;
}

/** Waits so many milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** What `promise` was rejected with. */
export async function rejectionOf(
  promise: Promise<unknown>,
): Promise<{ readonly code?: unknown; readonly message: string; readonly cause?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was not rejected');
}

/** What `action` threw. */
export function errorOf(action: () => unknown): { readonly code?: unknown; readonly message: string } {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it threw nothing');
}

declare global {
  interface ImportMeta {
    /** Vitest's; it is found in the text, so nothing may stand between. */
    readonly env: Readonly<Record<string, string | undefined>>;
  }
}

/** A variable of the environment that the suite was started with; Vitest hands it on to browsers too. */
export function environment(name: `HEDDLE_${string}`): string | undefined {
  return import.meta.env[name];
}
