/** Workers of browsers, behind what both platforms have. */
import type { AgentPort, AgentWorker } from './types.ts';

/** A worker that runs `agent.ts`. */
export function startAgentWorker(): AgentWorker {
  const worker = new Worker(new URL('../agents/agent.ts', import.meta.url), { type: 'module' });
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    onMessage: (listener) => worker.addEventListener('message', ({ data }: MessageEvent<unknown>) => listener(data)),
    onError: (listener) => worker.addEventListener('error', (event) => listener(event.message || 'its script could not be loaded')),
    terminate: async () => worker.terminate(),
  };
}

/** A new worker as anybody starts one: resolves with its first message. */
export async function startBareWorker(): Promise<void> {
  const worker = new Worker(new URL('../agents/hello.ts', import.meta.url), { type: 'module' });
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener('message', () => resolve());
    worker.addEventListener('error', (event) => reject(new Error(event.message)));
  });
  worker.terminate();
}

/** The agent's way to who started it. */
export function agentPort(): AgentPort {
  const scope = globalThis as unknown as Pick<Worker, 'addEventListener'> & {
    postMessage(message: unknown, transfer: Transferable[]): void;
  };
  return {
    post: (message) => scope.postMessage(message, []),
    onMessage: (listener) => scope.addEventListener('message', ((event: MessageEvent<unknown>) => listener(event.data)) as EventListener),
  };
}
