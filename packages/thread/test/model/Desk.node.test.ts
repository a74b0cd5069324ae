/** The desk under every schedule within bounds where that is few, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./Desk.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  laid: { preemptionsMax: 2, executions: 500 },
  laidBlocking: { preemptionsMax: 2, executions: 500 },
  asynchronous: { preemptionsMax: 1, executions: 500 },
  posted: { preemptionsMax: 1, executions: 500 },
  postedResult: { preemptionsMax: 1, executions: 500 },
  ownEnd: { preemptionsMax: 2, executions: 200 },
  death: { preemptionsMax: 1, executions: 1000 },
};

test.for(Object.entries(extents))('a call is run once, and its end is seen: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost', async () => {
  expect(await findFault(MODELS, 'laid', 'lose-notify', { preemptionsMax: 1 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'laidBlocking', 'late-wait', { preemptionsMax: 2 })).toMatch(/deadlock/u);
});
