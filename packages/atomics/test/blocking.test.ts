/** How long waits spin before they sleep: longer where that was worth it lately, and not at all where it never is. */
import { expect, test } from 'vitest';
import { learnFromSpin, spinRounds, spinWhile } from '../src/internal/blocking.ts';

const ROUNDS_MAX = 160;
const PROBE_INTERVAL = 64;

/** Wastes spins until there are none. */
function losePatience(): void {
  for (let wait = 0; wait < 16; wait += 1) learnFromSpin(false);
}

test('spinning in vain ends, is tried again now and then, and returns where it is worth it', () => {
  losePatience();
  const probes = Array.from({ length: 2 * PROBE_INTERVAL }, () => spinRounds()).filter((rounds) => rounds > 0);
  // On a single processor nothing is gained by spinning, ever.
  const isSingle = (globalThis.navigator?.hardwareConcurrency ?? 2) < 2;
  expect(probes.length).toBe(isSingle ? 0 : 2);
  learnFromSpin(true);
  const first = spinRounds();
  expect(first).toBeGreaterThan(0);
  for (let wait = 0; wait < 20; wait += 1) learnFromSpin(true);
  expect(spinRounds()).toBe(ROUNDS_MAX);
  const budgets = Array.from({ length: 8 }, () => (learnFromSpin(false), spinRounds()));
  expect(budgets.slice(0, 4)).toEqual([80, 40, 20, 10]);
  expect(budgets.slice(4).every((rounds) => rounds === 0)).toBe(true);
});

test('a spin ends with the change, and teaches what it was worth', () => {
  const words = new Int32Array(new SharedArrayBuffer(4));
  losePatience();
  for (let wait = 0; wait < 20; wait += 1) learnFromSpin(true);
  expect(spinWhile(words, 0, 0)).toBe(false);
  expect(spinRounds()).toBe(ROUNDS_MAX / 2);
  expect(spinWhile(words, 0, 1)).toBe(true);
  expect(spinRounds()).toBeGreaterThan(ROUNDS_MAX / 2);
});
