/** Sessions whose parts are agents: producers, consumers, the two sides of a round trip, threads at a lock. */
import { Agents, type Part } from '../agents/Agents.ts';
import type { Measurement, Session } from '../measurement.ts';
import { checkSums } from './stamps.ts';

/** What a session is made of. */
export interface SessionOptions {
  readonly script: URL;
  readonly parts: readonly Part[];
  /** How many agents share a round's operations: producers, or threads. */
  readonly shares: number;
  /** Throws if the agents' results aren't those of a round in which each did `share` operations. */
  readonly check: (results: readonly number[], share: number) => void;
}

/** A session whose round is one run of all agents. */
export async function agentSession({ script, parts, shares, check }: SessionOptions): Promise<Session> {
  const agents = await Agents.start(script, parts);
  return {
    async round(count: number): Promise<Measurement> {
      const share = Math.ceil(count / shares);
      const { elapsedNs, results } = await agents.run(share);
      check(results, share);
      return { count: share * shares, elapsedNs };
    },
    close: () => agents.close(),
  };
}

/** Producers and consumers: the parts' results add up to the stamps that the producers sent. */
export function oneWaySession(script: URL, pairs: number, parts: readonly Part[]): Promise<Session> {
  return agentSession({ script, parts, shares: pairs, check: (results, share) => checkSums(results, pairs, share) });
}

/** The two sides of a round trip: the first one's answers add up to what it sent. */
export function roundTripSession(script: URL, parts: readonly Part[]): Promise<Session> {
  return agentSession({ script, parts, shares: 1, check: (results, share) => checkSums(results, 1, share) });
}
