/** The channel under random schedules, and under every one within bounds where that is few. */
import { assertSound, type Extent, findFault, longModelMs } from '@heddle/tools/model';
import { expect, test } from 'vitest';

const MODELS = new URL('./channel.models.ts', import.meta.url);
const TIMEOUT_MS = 60_000 + 2 * longModelMs();

const extents: Record<string, Extent> = {
  inOrder: { preemptionsMax: 2, executions: 300 },
  full: { preemptionsMax: 1, executions: 200 },
  twoSenders: { executions: 500 },
  twoReceivers: { executions: 500 },
  many: { executions: 500 },
  asynchronous: { executions: 500 },
  asynchronousClose: { executions: 500 },
  closed: { executions: 500 },
  timed: { executions: 500 },
  cancelled: { executions: 500 },
  rendezvousGivenUp: { executions: 500 },
  rendezvousCancelled: { executions: 500 },
  linearizable: { executions: 500 },
  linearizableOfOne: { executions: 300 },
  linearizableRendezvous: { executions: 300 },
  deathOfSender: { executions: 500 },
  deathOfReceiver: { executions: 500 },
  deathOfAsyncReceiver: { executions: 500 },
};

test.for(Object.entries(extents))('a channel is right: %s', { timeout: TIMEOUT_MS }, async ([name, extent]) => {
  expect(await assertSound(MODELS, name, extent)).toBeGreaterThan(1);
});

test('it is seen that wake-ups are lost, and that two send at once', async () => {
  expect(await findFault(MODELS, 'inOrder', 'lose-notify', { preemptionsMax: 1 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'asynchronous', 'late-wait', { executions: 300 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'twoReceivers', 'notify-one', { executions: 300 })).toMatch(/deadlock/u);
  expect(await findFault(MODELS, 'twoSenders', 'torn-exchange', { executions: 300 })).toBeDefined();
});

test('it is seen that no order of the operations would have done the same', async () => {
  const fault = await findFault(MODELS, 'lanes', 'none', { executions: 300 });
  expect(fault).toMatch(/received before it|nothing was found/u);
  expect(await findFault(MODELS, 'linearizable', 'torn-exchange', { executions: 300 })).toBeDefined();
});
