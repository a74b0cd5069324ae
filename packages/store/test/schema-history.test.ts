/**
 * Schema changes, savepoints and restarts beside readers and writers, on real threads: every answer must fit one history, in which the columns
 * that a transaction sees are those of its snapshot.
 *
 * HEDDLE_SEED chooses what the participants do; with HEDDLE_LONG_MINUTES one history follows another.
 */
import { expect, test } from 'vitest';
import { open } from '../src/index.ts';
import { temporaryLocation } from './support/database.ts';
import { trap } from './support/engines.ts';
import { environment } from './support/host.ts';
import { type Alterations, anomalies, type Lists, type Reading, type Writing } from './support/history.ts';
import { SchemaHistory } from './support/SchemaHistory.ts';

const LONG_MINUTES = Number(environment('HEDDLE_LONG_MINUTES') ?? 0);
const SEED = Number(environment('HEDDLE_SEED') ?? 1);
const TIMEOUT_MS = 180_000 + 2 * 60_000 * LONG_MINUTES;

/** How often a history's database is opened, and transactions between: the lists grow with them. */
const OPENINGS = 2;
const TRANSACTIONS = 30;

async function runHistory(seed: number): Promise<SchemaHistory> {
  const location = await temporaryLocation();
  const history = new SchemaHistory(seed);
  for (let opening = 0; opening < OPENINGS; opening++) {
    let restarted = Promise.withResolvers<void>();
    // oxlint-disable-next-line no-await-in-loop -- one opening after the other
    const db = await open(location, { threads: 6, cacheBytes: 2 ** 20, onRestart: () => restarted.resolve() });
    try {
      // oxlint-disable-next-line no-await-in-loop
      if (opening === 0) await history.begin(db);
      // oxlint-disable-next-line no-await-in-loop
      await history.run(db, TRANSACTIONS);
      // oxlint-disable-next-line no-await-in-loop
      await history.run(db, TRANSACTIONS, async () => {
        restarted = Promise.withResolvers();
        trap();
        await restarted.promise;
      });
      // oxlint-disable-next-line no-await-in-loop
      expect(await history.anomalies(db), `seed ${seed}`).toEqual([]);
    } finally {
      // oxlint-disable-next-line no-await-in-loop
      await db.close();
    }
  }
  return history;
}

test(
  'tables are altered, indexes come and go, the engine stops and the database is opened again: all see one history',
  async () => {
    const endMs = performance.now() + LONG_MINUTES * 60_000;
    let seed = SEED;
    do {
      // oxlint-disable-next-line no-await-in-loop -- one history after the other
      const history = await runHistory(seed++);
      expect(history.changes).toBeGreaterThan(0);
      expect(history.checkpoints).toBeGreaterThan(0);
      expect(history.readings.length).toBeGreaterThan(0);
      expect(history.writings.filter(({ outcome }) => outcome === 'committed').length).toBeGreaterThan(0);
    } while (performance.now() < endMs);
  },
  TIMEOUT_MS,
);

const lists = (entries: Record<string, number[]>): Lists => new Map(Object.entries(entries));
const writing = (number: number, more: Partial<Writing>): Writing => ({
  number,
  seen: lists({ a: [] }),
  outcome: 'committed',
  endMs: number,
  ...more,
});
const alterations: Alterations = {
  place: 'marks',
  columns: new Map([
    [0, []],
    [2, ['x=2']],
    [3, ['y=2']],
  ]),
};
const reading = (marks: number[], columns: string[]): Reading => ({ seen: lists({ a: [1], marks }), beginMs: 9, columns });

test.each<[string, Writing[], Reading[], Record<string, number[]>]>([
  ['what a savepoint took back', [writing(1, { takenBack: ['b'] })], [], { a: [1], b: [1] }],
  ['half a transaction under a trap', [writing(1, { seen: lists({ a: [], b: [] }), outcome: 'unknown' })], [], { a: [1], b: [] }],
  ['an acknowledged transaction that a restart lost', [writing(1, {})], [], { a: [] }],
  ['a column before its commit', [writing(1, {})], [reading([], ['x=2'])], { a: [1], marks: [2, 3] }],
  ['a column that is missing', [writing(1, {})], [reading([2], [])], { a: [1], marks: [2, 3] }],
  ['a column under its old name', [writing(1, {})], [reading([2, 3], ['x=2'])], { a: [1], marks: [2, 3] }],
  ['a column with other values', [writing(1, {})], [reading([2], ['x=2|7'])], { a: [1], marks: [2, 3] }],
])('an anomaly is found: %s', (_, writings, readings, last) => {
  expect(anomalies(writings, readings, lists(last), alterations)).not.toEqual([]);
});

test('and a sound history has none', () => {
  const writings = [writing(1, { takenBack: ['b'] }), writing(4, { seen: lists({ b: [] }), outcome: 'unknown' })];
  const readings = [reading([], []), reading([2], ['x=2']), reading([2, 3], ['y=2'])];
  expect(anomalies(writings, readings, lists({ a: [1], b: [], marks: [2, 3] }), alterations)).toEqual([]);
});
