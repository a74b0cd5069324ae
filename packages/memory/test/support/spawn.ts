/** Workers for the tests of this package, in every host; all of them end with the test. */
import { onTestFinished } from 'vitest';
import { isWeb, nodePortOf, portOf, workerThreads, type Port } from './port.ts';
import type { Job } from './worker.ts';

/** Runs a job in so many workers at once; what the exports of each returned. */
export async function runInWorkers(count: number, job: Omit<Job, 'gate' | 'workers'>): Promise<number[][]> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const ports = await Promise.all(Array.from({ length: count }, spawn));
  const outcomes = ports.map(async (port) => {
    const { promise, resolve } = Promise.withResolvers<{ results?: number[]; error?: string }>();
    port.listen((message) => resolve(message as { results: number[] }));
    port.post({ ...job, gate, workers: count } satisfies Job);
    const { results, error } = await promise;
    if (!results) throw new Error(error);
    return results;
  });
  return Promise.all(outcomes);
}

/** A worker that is ready. */
async function spawn(): Promise<Port> {
  let port: Port;
  if (isWeb) {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    onTestFinished(() => worker.terminate());
    port = portOf(worker);
  } else {
    const { Worker: WorkerThread } = await workerThreads();
    const worker = new WorkerThread(new URL('./worker.ts', import.meta.url));
    onTestFinished(async () => void (await worker.terminate()));
    port = nodePortOf(worker);
  }
  const { promise, resolve } = Promise.withResolvers<unknown>();
  port.listen(resolve);
  // The first message says that the worker listens.
  await promise;
  return port;
}
