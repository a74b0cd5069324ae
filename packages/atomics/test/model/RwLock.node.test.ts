/** The reader-writer lock under every schedule within bounds, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./RwLock.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  one: { preemptionsMax: 2 },
  readers: { executions: 500 },
  writers: { executions: 500 },
  asynchronous: { executions: 500 },
  downgraded: { executions: 500 },
  cancelled: { executions: 500 },
  seated: { executions: 500 },
  deathOfReader: { executions: 500 },
  deathOfWriter: { executions: 500 },
  deathAsync: { executions: 500 },
};

test.for(Object.entries(extents))('a reader-writer lock is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost, and that a writer is not alone', async () => {
  expect(await findFault(MODELS, 'readers', 'lose-notify', { executions: 300 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'writers', 'torn-exchange', { executions: 500 })).toBeDefined();
});
