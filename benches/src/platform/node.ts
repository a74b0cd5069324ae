/** Workers of Node, behind what both platforms have. */
import { parentPort, Worker } from 'node:worker_threads';
import type { AgentPort, AgentWorker } from './types.ts';

/** A worker that runs `agent.ts`. */
export function startAgentWorker(): AgentWorker {
  const worker = new Worker(new URL('../agents/agent.ts', import.meta.url));
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as never),
    onMessage: (listener) => worker.on('message', listener),
    onError: (listener) => worker.on('error', (error) => listener(error instanceof Error ? error.message : String(error))),
    terminate: async () => void (await worker.terminate()),
  };
}

/** A new worker as anybody starts one: resolves with its first message. */
export async function startBareWorker(): Promise<void> {
  const worker = new Worker(new URL('../agents/hello.ts', import.meta.url));
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
  });
  void worker.terminate();
}

/** The agent's way to who started it. */
export function agentPort(): AgentPort {
  const port = parentPort;
  if (!port) throw new Error('this is no worker');
  return { post: (message) => port.postMessage(message), onMessage: (listener) => port.on('message', listener) };
}
