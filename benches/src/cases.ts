/**
 * The benchmarks and their cases: what each measures, and in which unit a figure has it.
 *
 * Names stay as they are, so that figures can be compared over the years; new ones are free.
 */
import type { Measurement } from './measurement.ts';

/** The benchmarks of this package, by the name after `npm run bench --`. */
export const BENCHES = ['atomics', 'channel', 'thread'] as const;
export type Bench = (typeof BENCHES)[number];

/** What is read off a round. */
export interface Metric {
  readonly name: 'lock' | 'messages' | 'bytes' | 'roundtrip' | 'p50' | 'p99' | 'wall' | 'pairs';
  readonly unit: 'ns' | '1/s' | 'B/s' | 'ms';
  /** Its value; undefined if the round has none. */
  valueOf(measurement: Measurement): number | undefined;
}

/** One case of a benchmark. */
export interface Case {
  readonly bench: Bench;
  readonly name: string;
  /** Cases of one family are measured side by side, round by round, so that their ratios are of the same moments. */
  readonly family: string;
  readonly metrics: readonly Metric[];
  /** Operations a round: as many as fit into a round's time, or always the same. */
  readonly count: { readonly max: number } | { readonly fixed: number };
}

const perSecond = ({ count, elapsedNs }: Measurement): number => (count / elapsedNs) * 1e9;
const nsEach = ({ count, elapsedNs }: Measurement): number => elapsedNs / count;

const LOCK: Metric = { name: 'lock', unit: 'ns', valueOf: nsEach };
const ROUND_TRIP: Metric = { name: 'roundtrip', unit: 'ns', valueOf: nsEach };
const MESSAGES: Metric = { name: 'messages', unit: '1/s', valueOf: perSecond };
const PAIRS: Metric = { name: 'pairs', unit: '1/s', valueOf: perSecond };
const WALL: Metric = { name: 'wall', unit: 'ms', valueOf: ({ elapsedNs }) => elapsedNs / 1e6 };
const P50: Metric = { name: 'p50', unit: 'ns', valueOf: ({ quantiles }) => quantiles?.p50Ns };
const P99: Metric = { name: 'p99', unit: 'ns', valueOf: ({ quantiles }) => quantiles?.p99Ns };

/** Sizes of messages, by their names. */
export const SIZES = { '8B': 8, '1KiB': 1 << 10, '64KiB': 1 << 16, '1MiB': 1 << 20 } as const;
export type SizeName = keyof typeof SIZES;

/** What one round may send at most, in bytes: `postMessage` holds all of it at once, for it has no back-pressure. */
const ROUND_BYTES_MAX = 256 << 20;

const LOCK_COUNT_MAX = 1 << 26;

const atomics: Case[] = ['lock-uncontended', 'lock-2-threads', 'lock-4-threads', 'rwlock-read-2-threads'].map((name) => ({
  bench: 'atomics',
  name,
  family: name,
  metrics: [LOCK],
  count: { max: LOCK_COUNT_MAX },
}));

const oneWay: Case[] = (Object.keys(SIZES) as SizeName[]).flatMap((sizeName) => {
  const size = SIZES[sizeName];
  const bytes: Metric = { name: 'bytes', unit: 'B/s', valueOf: (measurement) => perSecond(measurement) * size };
  return ['1p1c', '2p2c'].flatMap((pairs) =>
    ['', '-borrowed'].map((suffix): Case => ({
      bench: 'channel',
      name: `oneway-${sizeName}-${pairs}${suffix}`,
      family: `oneway-${sizeName}-${pairs}`,
      metrics: [MESSAGES, bytes],
      count: { max: Math.floor(ROUND_BYTES_MAX / Math.max(size, 64)) },
    })),
  );
});

const roundTrips = (Object.keys(SIZES) as SizeName[]).map((sizeName): Case => ({
  bench: 'channel',
  name: `roundtrip-${sizeName}`,
  family: `roundtrip-${sizeName}`,
  metrics: [ROUND_TRIP],
  count: { max: 1 << 22 },
}));

const thread: Case[] = [
  ...['spawn-join-busy', 'spawn-join-idle2ms'].map((name): Case => ({
    bench: 'thread',
    name,
    family: name,
    metrics: [P50, P99],
    count: { max: 1 << 14 },
  })),
  ...[1, 2].map((threads): Case => ({
    bench: 'thread',
    name: `parallel-sum-${threads}`,
    family: 'parallel-sum',
    metrics: [WALL],
    count: { fixed: 200_000_000 },
  })),
  { bench: 'thread', name: 'sort-10M', family: 'sort-10M', metrics: [WALL], count: { fixed: 10_000_000 } },
  ...[1, 2, 4].map((threads): Case => ({
    bench: 'thread',
    name: `alloc-${threads}`,
    family: 'alloc',
    metrics: [PAIRS],
    count: { max: 1 << 26 },
  })),
  { bench: 'thread', name: 'pool-start', family: 'pool-start', metrics: [WALL], count: { fixed: 1 } },
];

/** All cases, in the order in which they run. */
export const CASES: readonly Case[] = [...atomics, ...oneWay, ...roundTrips, ...thread];

/** What a one-way case is about. */
export interface OneWay {
  /** Bytes of a message. */
  readonly size: number;
  /** Producers, and as many consumers. */
  readonly pairs: number;
  /** Whether the bytes are written and read in place. */
  readonly isBorrowed: boolean;
}

/** Reads the name of a one-way case; undefined if it is none. */
export function oneWayOf(name: string): OneWay | undefined {
  const [, size, pairs, suffix] = /^oneway-(\w+)-(\d)p\dc(-borrowed)?$/.exec(name) ?? [];
  if (size === undefined || !Object.hasOwn(SIZES, size)) return undefined;
  return { size: SIZES[size as SizeName], pairs: Number(pairs), isBorrowed: suffix !== undefined };
}

/** The bytes of a message of a case `roundtrip-<size>`; undefined if it is none. */
export function roundTripSizeOf(name: string): number | undefined {
  const [, size] = /^roundtrip-(\w+)$/.exec(name) ?? [];
  return size !== undefined && Object.hasOwn(SIZES, size) ? SIZES[size as SizeName] : undefined;
}

/** What a channel holds at most, in bytes of messages; the Rust subjects have the same. */
const CHANNEL_BYTES_HELD = 4 << 20;

/** How many messages of a size a channel holds at most. */
export function capacityFor(size: number): number {
  return Math.min(1024, Math.max(8, Math.floor(CHANNEL_BYTES_HELD / size)));
}
