import { expect, test } from 'vitest';
import { judge } from '../src/aims.ts';
import { CASES, type Case, capacityFor, oneWayOf, roundTripSizeOf } from '../src/cases.ts';
import { type Host, median, quantilesOf, type Subject } from '../src/measurement.ts';
import { figuresOf, leftOutOf, run, type Series } from '../src/runner.ts';
import { checkCounter, lockCounter } from '../src/subjects/locks.ts';
import { readable } from '../src/table.ts';
import { checkSums, putStamp, stampOf } from '../src/subjects/stamps.ts';

const caseOf = (name: string): Case => {
  const found = CASES.find((candidate) => candidate.name === name);
  if (!found) throw new RangeError(name);
  return found;
};

test('what a session is checked by fails when a message is lost, doubled or torn, or an addition is lost', () => {
  const sums = [0, 1 + 2 + 3];
  expect(() => checkSums(sums, 1, 4)).not.toThrow();
  expect(() => checkSums([0, 1 + 2], 1, 4)).toThrow('lost or doubled');
  expect(() => checkSums([6, 6], 1, 4)).toThrow('lost or doubled');
  const counter = lockCounter();
  counter[0] = 10;
  expect(() => checkCounter(counter, 10)).not.toThrow();
  expect(() => checkCounter(counter, 10)).toThrow('come to 0');
  const bytes = new Uint8Array(8);
  for (const stamp of [0, 255, 256, 0xdead_beef]) {
    putStamp(bytes, stamp);
    expect(stampOf(bytes)).toBe(stamp);
  }
});

test('rounds of all subjects are interleaved, each first in turn, and the warm-up does not count', async () => {
  const order: string[] = [];
  const subject = (name: string, nsEach: number): Subject => ({
    bench: 'channel',
    name,
    supports: (caseName) => caseName === 'roundtrip-8B',
    open: async () => ({
      round: async (count) => {
        order.push(name);
        return { count, elapsedNs: count * nsEach };
      },
      close: async () => void order.push(`close ${name}`),
    }),
  });
  const broken: Subject = {
    ...subject('broken', 1),
    open: async () => {
      throw new Error('it has no wheels');
    },
  };
  const host: Host = { name: 'node', subjects: [subject('a', 1000), subject('b', 2000), broken, subject('c', 500)], close: async () => {} };
  const plan = { bench: 'channel', hosts: [host], cases: [], subjects: [], rounds: 2, roundMs: 1, progress: () => {} } as const;
  const series: Series[] = [];
  for await (const entry of run(plan)) series.push(entry);
  // Before these come the rounds of each one's warm-up.
  expect(order.slice(-9)).toEqual(['a', 'b', 'c', 'b', 'c', 'a', 'close a', 'close b', 'close c']);
  expect(series.map((entry) => [entry.subject, entry.rounds.length, entry.failure])).toEqual([
    ['a', 2, undefined],
    ['b', 2, undefined],
    ['broken', 0, 'it has no wheels'],
    ['c', 2, undefined],
  ]);
  expect(figuresOf(series[1] as Series)).toEqual([
    { bench: 'channel', host: 'node', subject: 'b', case: 'roundtrip-8B', metric: 'roundtrip', unit: 'ns', value: 2000, rounds: 2 },
  ]);
});

test('a ratio is the median of the ratios of rounds, not the ratio of medians', () => {
  const series = (subject: string, times: number[]): Series => ({
    bench: 'channel',
    host: 'node',
    subject,
    case: caseOf('roundtrip-8B'),
    rounds: times.map((elapsedNs) => ({ count: 1, elapsedNs })),
  });
  // The machine was ten times slower in the first two rounds: for both.
  const verdicts = judge('channel', [series('heddle-ts', [10, 11, 2]), series('wait-notify', [10, 10, 1])]);
  expect(verdicts).toHaveLength(1);
  expect(verdicts[0]).toMatchObject({ host: 'node', ratio: 1.1, isReached: true });
  expect(judge('channel', [series('heddle-ts', [3]), series('wait-notify', [2])])[0]).toMatchObject({ ratio: 1.5, isReached: false });
});

test('a subject whose module is not built is left out in words, if it was asked for', () => {
  const subject = (bench: 'channel' | 'thread', name: string, caseName: string): Subject => ({
    bench,
    name,
    supports: (candidate) => candidate === caseName,
    open: () => Promise.reject(new Error('it is not to be opened')),
  });
  const leftOut = [
    subject('thread', 'a', 'spawn-join-busy'),
    subject('thread', 'b', 'pool-start'),
    subject('channel', 'c', 'roundtrip-8B'),
  ];
  const hosts: Host[] = [
    { name: 'node', subjects: [], close: async () => {} },
    { name: 'firefox', subjects: [], leftOut, close: async () => {} },
  ];
  const sentencesOf = (cases: string[], subjects: string[]): string[] =>
    leftOutOf({ bench: 'thread', hosts, cases, subjects, rounds: 1, roundMs: 1, progress: () => {} });
  const sentence = (name: string): string =>
    `${name} in firefox is left out: its module is not built, which "npm run bench -- thread" does first.`;
  expect(sentencesOf([], [])).toEqual([sentence('a'), sentence('b')]);
  expect(sentencesOf(['spawn-join-*'], [])).toEqual([sentence('a')]);
  expect(sentencesOf([], ['b', 'd'])).toEqual([sentence('b')]);
});

test('names of cases say what they are about', () => {
  expect(oneWayOf('oneway-64KiB-2p2c-borrowed')).toEqual({ size: 65_536, pairs: 2, isBorrowed: true });
  expect(oneWayOf('oneway-8B-1p1c')).toEqual({ size: 8, pairs: 1, isBorrowed: false });
  expect(oneWayOf('roundtrip-8B')).toBeUndefined();
  expect(['roundtrip-1MiB', 'roundtrip-9B', 'oneway-8B-1p1c'].map(roundTripSizeOf)).toEqual([1 << 20, undefined, undefined]);
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  expect([8, 1024, 65_536, 1 << 20].map(capacityFor)).toEqual([1024, 1024, 64, 8]);
});

test('medians and quantiles', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantilesOf(Array.from({ length: 200 }, (_, index) => 200 - index))).toEqual({ p50Ns: 101, p99Ns: 199 });
});

test('figures are written in units that are easy to read', () => {
  expect(readable({ value: 999.7, unit: '1/s' })).toBe('1000 /s');
  expect(readable({ value: 2_104_000, unit: '1/s' })).toBe('2.1 M/s');
  expect(readable({ value: 5.33e9, unit: 'B/s' })).toBe('5.33 GB/s');
  expect(readable({ value: 42, unit: 'ns' })).toBe('42 ns');
  expect(readable({ value: 6500, unit: 'ns' })).toBe('6.5 µs');
  expect(readable({ value: 1412, unit: 'ms' })).toBe('1410 ms');
});
