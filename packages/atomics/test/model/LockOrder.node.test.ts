/** The record of lock orders under every schedule within bounds. */
import { assertSound, type Extent, longModelMs } from '@heddle/tools/model';
import { describe, expect, test } from 'vitest';

const MODELS = new URL('./LockOrder.models.ts', import.meta.url);

describe('a lock order under a scheduler', () => {
  const extents: Record<string, Extent> = {
    opposite: { preemptionsMax: 3 },
    three: { preemptionsMax: 1, executions: 500 },
  };
  test.for(Object.entries(extents))('misses no circle: %s', { timeout: 60_000 + 2 * longModelMs() }, async ([name, extent]) => {
    expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
  });
});
