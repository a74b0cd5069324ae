/** The registry under every schedule within bounds, and under random ones. */
import { assertSound, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./ThreadRegistry.models.ts', import.meta.url);

test('a slow reaper leaves the next thread of a slot alone', { timeout: 60_000 + 2 * longModelMs() }, async () => {
  expect(await assertSound(MODELS, 'slowReaper', { preemptionsMax: 2, executions: 500 })).toBeGreaterThan(1);
});
