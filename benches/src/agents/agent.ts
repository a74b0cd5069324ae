/**
 * A worker that plays a part: it imports a script, calls its exported role once to make ready, and then runs rounds.
 *
 * Between rounds it is on its event loop; what a round does there is the role's business.
 */
import { agentPort } from '#platform';
import type { Role, ToAgent } from './Agents.ts';

const port = agentPort();
let run: ((count: number) => number | Promise<number>) | undefined;

async function serve(message: ToAgent): Promise<void> {
  try {
    if (message.type === 'open') {
      const script = (await import(/* @vite-ignore */ message.script)) as Record<string, Role<unknown> | undefined>;
      const role = script[message.role];
      if (!role) throw new Error(`${message.script} has no role ${message.role}`);
      run = await role(message.setup);
      port.post({ type: 'ready' });
    } else if (run) port.post({ type: 'done', result: await run(message.count) });
  } catch (error) {
    port.post({ type: 'failed', reason: String(error instanceof Error ? error.stack : error) });
  }
}

port.onMessage((message) => void serve(message as ToAgent));
