/**
 * Rewrites a module whose data segments are active, so that many instances can share its memory.
 *
 * An active segment is copied whenever the module is instantiated: the second instance would put the program's data back to what
 * they were at first. In the rewritten module every segment is passive, and a new start function copies them once:
 *
 *   | state of the flag | an instance that starts |
 *   |---|---|
 *   | INIT_NEW | makes it INIT_RUNNING (one wins), copies, makes it INIT_DONE, wakes who waits |
 *   | INIT_RUNNING | looks again until it is something else. It doesn't sleep: a browser's main thread would trap. `instantiate` sleeps, where one may, before it comes to that |
 *   | INIT_DONE | goes on |
 *   | INIT_FAILED | traps: the start function of the first one failed |
 *
 * Then it drops the segments, as the engine does with active ones.
 *
 * Orderings: all accesses to the flag are sequentially consistent. The store of INIT_DONE publishes the copied data to the load
 * that finds it.
 *
 * The flag lies in a page of its own behind the pages that the module begins with. That is safe in a program which takes
 * its memory from `memory.grow`. One that asks `memory.size` where its heap may end would take the flag for heap; it is refused,
 * unless it is told a word that nothing uses.
 *
 * A start function that the module already has was written for one instance. It goes on to run once a memory if all that it
 * writes is memory, and in each instance if it only sets what an instance has for itself: globals and tables. One that does both
 * can't be had by halves, and one that calls out could do anything: both are refused, unless the caller says when to run it.
 */
import { ModuleRewriter } from './internal/ModuleRewriter.ts';

/** How to rewrite. */
export interface MakePassiveOptions {
  /** Makes a memory shared that isn't. The program was compiled for one thread: what it does there is up to its author. */
  readonly shareMemory?: boolean | undefined;
  /** Where the flag lies: four bytes of the initial memory, aligned, zero at first and used by nothing. A page of its own where absent. */
  readonly flagAddress?: number | undefined;
  /** When the module's own start function runs: `once` a memory, or in `every` instance. Found out where absent. */
  readonly start?: 'once' | 'every' | undefined;
}

/** A module that many instances can share a memory with. */
export interface PassiveModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether it is another module than before. */
  readonly isChanged: boolean;
  /** Where the flag lies in the memory; undefined where the module needs none. */
  readonly flagAddress: number | undefined;
}

/**
 * Makes a module's active data segments passive, and its memory an imported one (`env.memory`, where it was its own). A module
 * that has nothing of the kind comes back as it was.
 *
 * @throws RewriteError if the module can't be made safe; MemoryError `MALFORMED_MODULE` where the bytes are no module.
 */
export function makePassive(source: ArrayBufferLike | Uint8Array, options: MakePassiveOptions = {}): PassiveModule {
  const bytes = source instanceof Uint8Array ? source : new Uint8Array(source);
  // A copy: what is written must not change while it is judged.
  return new ModuleRewriter(Uint8Array.from(bytes), options).rewrite();
}
