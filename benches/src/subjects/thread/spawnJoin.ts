/** Rounds whose every operation is timed: one spawn and join after the other. */
import { type Measurement, quantilesOf } from '../../measurement.ts';

/** How long a thread of `spawn-join-idle2ms` is not needed before. */
const IDLE_MS = 2;

/** Whether a case is about spawning and joining. */
export const isSpawn = (caseName: string): boolean => caseName.startsWith('spawn-join-');

/** A round of one spawn and join after the other. */
export async function spawnJoin(caseName: string, count: number, once: () => Promise<void>): Promise<Measurement> {
  const samplesNs: number[] = [];
  const start = performance.now();
  for (let n = 0; n < count; n += 1) {
    if (caseName === 'spawn-join-idle2ms') await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const before = performance.now();
    await once();
    samplesNs.push((performance.now() - before) * 1e6);
  }
  return { count, elapsedNs: (performance.now() - start) * 1e6, quantiles: quantilesOf(samplesNs) };
}
