/** Rounds whose every operation is timed: one spawn and join after the other. */
import { type Measurement, quantilesOf } from '../../measurement.ts';

/** How long a thread of `spawn-join-idle2ms` is not needed before. */
const IDLE_MS = 2;

/** Whether a case is about spawning and joining. */
export const isSpawn = (caseName: string): boolean => caseName.startsWith('spawn-join-');

/** How long nothing is to be spawned before each thread of a case; 0 where they follow each other. */
export const idleMsOf = (caseName: string): number => (caseName === 'spawn-join-idle2ms' ? IDLE_MS : 0);

/** One spawn and join after the other; what each took, in nanoseconds. */
export async function timeEach(caseName: string, count: number, once: (n: number) => Promise<void>): Promise<number[]> {
  const idleMs = idleMsOf(caseName);
  const samplesNs: number[] = [];
  for (let n = 0; n < count; n += 1) {
    if (idleMs > 0) await new Promise((resolve) => setTimeout(resolve, idleMs));
    const before = performance.now();
    await once(n);
    samplesNs.push((performance.now() - before) * 1e6);
  }
  return samplesNs;
}

/** A round of one spawn and join after the other. */
export async function spawnJoin(caseName: string, count: number, once: () => Promise<void>): Promise<Measurement> {
  const start = performance.now();
  const samplesNs = await timeEach(caseName, count, once);
  return { count, elapsedNs: (performance.now() - start) * 1e6, quantiles: quantilesOf(samplesNs) };
}
