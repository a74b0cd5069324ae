/** What waits for a word under every schedule within bounds, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./waiting.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  latch: { executions: 400 },
  barrier: { preemptionsMax: 2, executions: 200 },
  barrierAsync: { executions: 400 },
  barrierCancelled: { executions: 400 },
  eventManual: { preemptionsMax: 1, executions: 300 },
  eventAuto: { executions: 400 },
  eventDeath: { executions: 400 },
  eventDeathAsync: { executions: 400 },
  parker: { preemptionsMax: 4 },
  parkerCancelled: { executions: 400 },
  once: { preemptionsMax: 3 },
  onceAsync: { executions: 400 },
  onceLeft: { preemptionsMax: 2 },
  oncePoisoned: { executions: 400 },
  onceDeath: { executions: 400 },
  waitGroup: { executions: 400 },
};

test.for(Object.entries(extents))('waiting is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost', async () => {
  for (const name of ['latch', 'barrier', 'eventManual', 'parker', 'once', 'waitGroup']) {
    // oxlint-disable-next-line no-await-in-loop -- they take the same workers
    expect(await findFault(MODELS, name, 'lose-notify', { executions: 300 }), name).toMatch(/deadlock/u);
  }
});
