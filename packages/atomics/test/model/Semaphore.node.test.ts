/** The semaphore under every schedule within bounds, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./Semaphore.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  one: { preemptionsMax: 3 },
  many: { executions: 500 },
  together: { preemptionsMax: 2 },
  inTurn: { preemptionsMax: 2 },
  asynchronous: { preemptionsMax: 1, executions: 500 },
  timed: { executions: 1000 },
  cancelled: { executions: 1000 },
  mixed: { executions: 1000 },
  deathOfReleaser: { executions: 1000 },
  deathOfWaiter: { executions: 1000 },
  deathOfAsyncWaiter: { executions: 1000 },
};

test.for(Object.entries(extents))('a semaphore is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost, and that permits come from nothing', async () => {
  expect(await findFault(MODELS, 'inTurn', 'lose-notify', { preemptionsMax: 2 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'one', 'torn-exchange', { preemptionsMax: 2 })).toMatch(/more are inside|permits are there/u);
});
