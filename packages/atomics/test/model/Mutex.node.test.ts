/** The mutex under every schedule within bounds, and under random ones. */
import { assertSound, explore, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { describe, expect, test } from 'vitest';

const MODELS = new URL('./Mutex.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

describe('a mutex under a scheduler', () => {
  const extents: Record<string, Extent> = {
    two: { preemptionsMax: 6 },
    tried: { preemptionsMax: 6 },
    three: { preemptionsMax: 2 },
    many: { executions: 500 },
    crowded: { executions: 200 },
    crowdedRegistered: { executions: 800 },
    timed: { preemptionsMax: 1, executions: 1000 },
    asynchronous: { preemptionsMax: 1, executions: 1000 },
    tasks: { preemptionsMax: 2 },
    cancelled: { preemptionsMax: 1, executions: 1000 },
    cancelledTimed: { executions: 1000 },
    death: { preemptionsMax: 1, executions: 1000 },
    deathAmongMany: { executions: 1000, deathsMax: 2 },
    deathAsync: { executions: 1000 },
    deathOfReaper: { executions: 1000, deathsMax: 2 },
    deathInCrowd: { executions: 150, deathsMax: 2 },
  };
  test.for(Object.entries(extents))('is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
    expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
  });
});

describe('the scheduler', () => {
  test('finds that wake-ups are lost', async () => {
    expect(await findFault(MODELS, 'two', 'lose-notify', { preemptionsMax: 1 })).toMatch(/deadlock/u);
    expect(await findFault(MODELS, 'two', 'late-wait', { preemptionsMax: 2 })).toMatch(/deadlock/u);
    expect(await findFault(MODELS, 'asynchronous', 'lose-notify', { executions: 100 })).toMatch(/deadlock/u);
  });

  test('finds two owners of one lock', async () => {
    expect(await findFault(MODELS, 'tried', 'torn-exchange', { preemptionsMax: 2 })).toMatch(/two threads hold|NotOwner/u);
  });

  test('makes the same steps of the same choices, and of the same seed', async () => {
    const strategy = { executions: 100, seed: 7 };
    const { failure } = await explore(MODELS, 'many', { strategy, fault: 'late-wait' });
    const again = await explore(MODELS, 'many', { strategy, fault: 'late-wait' });
    const repeated = await explore(MODELS, 'many', { strategy: { choices: failure!.choices }, fault: 'late-wait' });
    expect(failure!.steps.length).toBeGreaterThan(10);
    expect(again.failure).toEqual(failure);
    expect(repeated.failure).toEqual(failure);
  });
});
