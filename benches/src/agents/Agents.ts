/** Workers that play the parts of a case, and the clock around their rounds. */
import { startAgentWorker } from '#platform';
import type { AgentWorker } from '../platform/types.ts';

/** What a part does in a round of `count` operations of its own; what it returns is checked by who asked. */
export type Run = (count: number) => number | Promise<number>;

/** Makes ready for rounds. */
export type Role<Setup> = (setup: Setup) => Run | Promise<Run>;

/** To an agent. */
export type ToAgent =
  | { readonly type: 'open'; readonly script: string; readonly role: string; readonly setup: unknown }
  | { readonly type: 'run'; readonly count: number };

/** From an agent. */
type FromAgent =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly result: number }
  | { readonly type: 'failed'; readonly reason: string };

/** A part to play. */
export interface Part {
  /** The exported function of the script. */
  readonly role: string;
  readonly setup: unknown;
  readonly transfer?: readonly Transferable[];
}

class Agent {
  readonly #worker: AgentWorker = startAgentWorker();
  #answer: PromiseWithResolvers<number> | undefined;

  constructor() {
    this.#worker.onMessage((posted) => {
      const message = posted as FromAgent;
      if (message.type === 'failed') this.#answer?.reject(new Error(message.reason));
      else this.#answer?.resolve(message.type === 'done' ? message.result : 0);
    });
    this.#worker.onError((reason) => this.#answer?.reject(new Error(`an agent failed: ${reason}`)));
  }

  ask(message: ToAgent, transfer?: readonly Transferable[]): Promise<number> {
    this.#answer = Promise.withResolvers();
    this.#worker.post(message, transfer);
    return this.#answer.promise;
  }

  terminate(): Promise<void> {
    return this.#worker.terminate();
  }
}

/** The agents of one subject. */
export class Agents {
  readonly #agents: readonly Agent[];

  private constructor(agents: readonly Agent[]) {
    this.#agents = agents;
  }

  /** Starts one agent a part, each on a worker of its own, and resolves when all are ready. */
  static async start(script: URL, parts: readonly Part[]): Promise<Agents> {
    const agents = new Agents(parts.map(() => new Agent()));
    await Promise.all(
      parts.map(({ role, setup, transfer }, index) => agents.#at(index).ask({ type: 'open', script: script.href, role, setup }, transfer)),
    );
    return agents;
  }

  #at(index: number): Agent {
    const agent = this.#agents[index];
    if (!agent) throw new RangeError(`there is no agent ${index}`);
    return agent;
  }

  /**
   * Lets every agent do `count` operations.
   *
   * @returns the time, and what the agents returned, in the order of the parts
   */
  async run(count: number): Promise<{ elapsedNs: number; results: number[] }> {
    const start = performance.now();
    const results = await Promise.all(this.#agents.map((agent) => agent.ask({ type: 'run', count })));
    return { elapsedNs: (performance.now() - start) * 1e6, results };
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.terminate()));
  }
}
