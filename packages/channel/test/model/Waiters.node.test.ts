/** Those who wait, under every schedule within bounds where that is few, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./Waiters.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  everyoneGetsOne: { preemptionsMax: 1, executions: 500 },
  again: { executions: 1000 },
  asynchronous: { executions: 1000 },
  givenUp: { executions: 500 },
  selected: { executions: 1000 },
  toldTooLate: { preemptionsMax: 2, executions: 200 },
  toldInstead: { executions: 500 },
  deathOfReceiver: { executions: 1000 },
  deathOfSender: { executions: 1000 },
  deathOfSelect: { executions: 500 },
  deathOfSelectElsewhere: { executions: 1000 },
};

test.for(Object.entries(extents))('who waits is told: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost', async () => {
  expect(await findFault(MODELS, 'everyoneGetsOne', 'lose-notify', { preemptionsMax: 1 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'toldTooLate', 'late-wait', { preemptionsMax: 2 })).toMatch(/deadlock/u);
});
