/** The counts of ends under every schedule within bounds, and under random ones. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./Ends.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  // Whoever read the token of a dead thread and was overtaken took the ends of the next thread in the entry for those of the dead: the
  // token and the counts were two words.
  entryOfTheDead: { preemptionsMax: 1, executions: 300 },
  deathOfAnEnd: { executions: 500 },
  handedOver: { preemptionsMax: 1, executions: 300 },
  lastOneOut: { executions: 500 },
};

test.for(Object.entries(extents))('ends are counted: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that an entry is taken in two steps', async () => {
  expect(await findFault(MODELS, 'entryOfTheDead', 'torn-exchange', { preemptionsMax: 1 })).toMatch(/of one sender each are counted/u);
});
