/** A thread that has to declare dead who has the lock of a channel: only what is meant to block does so before. */
import { expect, test } from 'vitest';
import { ABANDONED } from './support/abandoned.ts';
import { spawn } from './support/spawn.ts';
import { MARK } from './support/waits.ts';

// Those of what can be tried, selected, told how long, or given up.
const GIVEN_UP = { attempt: false, select: false, timed: 'TIMEOUT', timedAsync: 'TIMEOUT', aborted: 'ABORTED' };

function expectOvercome(found: Record<string, unknown>): void {
  const expected: Record<string, unknown> = { ...GIVEN_UP, outcome: MARK, selected: 'it' };
  expect(found).toEqual(Object.fromEntries(Object.keys(found).map((key) => [key, expected[key]])));
  expect(found).toHaveProperty('outcome');
}

test.each(Object.keys(ABANDONED))('%s with the lock of who is not yet known to be dead', async (name) => {
  const worker = await spawn();
  expectOvercome(await worker.call('overcome', name));
});
