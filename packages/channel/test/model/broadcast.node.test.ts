/** The broadcast and the watch channel under random schedules, and under every one within bounds where that is few. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./broadcast.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  lagging: { executions: 300 },
  oneOrder: { executions: 300 },
  backPressure: { executions: 300 },
  backPressureAsync: { preemptionsMax: 1, executions: 200 },
  deathOfSender: { executions: 300 },
  deathOfReceiver: { executions: 300 },
  watched: { executions: 300 },
  deathOfWatched: { executions: 300 },
};

test.for(Object.entries(extents))('everybody sees the same: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost, and that two write at once', async () => {
  expect(await findFault(MODELS, 'backPressure', 'lose-notify', { executions: 300 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'watched', 'late-wait', { executions: 300 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'oneOrder', 'torn-exchange', { executions: 300 })).toBeDefined();
});
