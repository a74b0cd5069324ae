/**
 * What this thread is with respect to one shared memory: its token, and the registry that gave it.
 *
 * Every lock of a memory holds the same agent, so that entering a registry later reaches the locks opened before.
 */
import type { WaitLink } from './deadlock.ts';
import { SLOT_UNREGISTERED } from './layout.ts';

/** How a lock sees the registry of its memory. */
export interface AgentRegistry {
  /** Where the registry starts, in bytes. */
  readonly byteOffset: number;
  /** Whether the owner in a lock word is alive. */
  isLiveToken(token: number): boolean;
  /** Calls `onDeath` after each death from now on, until the returned function is called. */
  watchDeaths(onDeath: () => void): () => void;
  /** Says that this thread's blocking wait is on `address`, and what it is for; `false` if it should look again rather than wait. */
  beginWait(address: number, purpose?: number): boolean;
  /** Whether this thread's blocking wait is still said to be on `address`; another one meanwhile has changed that. */
  isInWait(address: number): boolean;
  /**
   * Who would wait for whom if `token` slept for the lock at `address`, and why that would never end: each holds what the one before
   * waits for, and the first holds what the last waits for. `undefined` if the chain ends.
   */
  waitCircle(token: number, address: number): WaitLink[] | undefined;
  /** Says that it is over. */
  endWait(): void;
}

/** This thread, as the locks of one memory see it. */
export interface Agent {
  /** Slot and generation as they stand in a lock word. */
  token: number;
  /** The registry of the memory, as soon as one was opened here. */
  registry: AgentRegistry | undefined;
}

const agentsOfMemories = new WeakMap<object, Agent>();

/** The agent for the locks in `memory`, a WebAssembly.Memory or a SharedArrayBuffer. */
export function agentOf(memory: object): Agent {
  let agent = agentsOfMemories.get(memory);
  if (agent === undefined) {
    agent = { token: SLOT_UNREGISTERED, registry: undefined };
    agentsOfMemories.set(memory, agent);
  }
  return agent;
}

/**
 * Makes `agent` the one of `memory` too. A buffer that is posted twice arrives as two objects: the registry's id tells
 * that they are one memory.
 */
export function joinAgent(memory: object, agent: Agent): void {
  agentsOfMemories.set(memory, agent);
}
