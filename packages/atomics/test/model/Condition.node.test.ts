/** The condition under every schedule within bounds, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./Condition.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  one: { preemptionsMax: 3 },
  toldLate: { preemptionsMax: 3 },
  each: { preemptionsMax: 1, executions: 500 },
  all: { preemptionsMax: 1, executions: 500 },
  asynchronous: { executions: 1000 },
  timed: { executions: 1000 },
  timedAsync: { executions: 1000 },
  cancelled: { executions: 1000 },
  death: { executions: 1000 },
  deathOfWaiter: { executions: 1000 },
  deathOfTeller: { preemptionsMax: 2, executions: 500 },
};

test.for(Object.entries(extents))('a condition is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that a notification to all reaches one', async () => {
  expect(await findFault(MODELS, 'all', 'notify-one', { executions: 200 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'one', 'late-wait', { preemptionsMax: 2 })).toMatch(/deadlock/u);
});
