/** What is to be reached: ratios of two figures of one run, as the median over its rounds. */
import type { Bench, Metric } from './cases.ts';
import { type HostName, median } from './measurement.ts';
import type { Series } from './runner.ts';

type MetricName = Metric['name'];

/** One side of a ratio. */
interface Side {
  readonly subject: string;
  readonly case: string;
  /** Where it runs; where ours does, if not given. */
  readonly host?: HostName;
}

/** A ratio to reach, in every host that ours runs in. */
export interface Aim {
  readonly bench: Bench;
  readonly metric: MetricName;
  readonly ours: Side;
  readonly rival: Side;
  /** Ours divided by the rival's is to be at least, or at most, this; where neither is given, the ratio is there to be compared with. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

const oneWay = (size: string, pairs = '1p1c', suffix = ''): string => `oneway-${size}-${pairs}${suffix}`;

function channelAim(metric: MetricName, ours: [subject: string, caseName: string], rival: Side, atLeast: number): Aim {
  return { bench: 'channel', metric, ours: { subject: ours[0], case: ours[1] }, rival, atLeast };
}

const ofCase = (caseName: string, subject: string, host?: HostName): Side => ({ subject, case: caseName, ...(host ? { host } : {}) });

const CHANNEL: readonly Aim[] = [
  channelAim('messages', ['heddle-ts', oneWay('8B')], ofCase(oneWay('8B'), 'postmessage'), 10),
  channelAim('messages', ['heddle-ts', oneWay('1KiB')], ofCase(oneWay('1KiB'), 'postmessage'), 6),
  ...['heddle-ts', 'heddle-ts-into'].map((ours) => channelAim('bytes', [ours, oneWay('64KiB')], ofCase(oneWay('64KiB'), 'postmessage'), 3)),
  channelAim('bytes', ['heddle-ts', oneWay('64KiB', '1p1c', '-borrowed')], ofCase(oneWay('64KiB'), 'postmessage'), 10),
  ...['8B', '1KiB', '64KiB', '1MiB'].flatMap((size) =>
    ['heddle-ts', 'heddle-ts-into'].map((ours) => channelAim('messages', [ours, oneWay(size)], ofCase(oneWay(size), 'ringbuf.js'), 1)),
  ),
  ...['8B', '1KiB', '64KiB', '1MiB'].map((size) =>
    channelAim('messages', ['heddle-ts', oneWay(size)], ofCase(oneWay(size), 'multithreading'), 20),
  ),
  ...['8B', '1KiB', '64KiB', '1MiB'].flatMap((size) =>
    ['1p1c', '2p2c'].map((pairs) =>
      channelAim('messages', ['heddle-rust', oneWay(size, pairs)], ofCase(oneWay(size, pairs), 'crossbeam-native', 'native'), 0.7),
    ),
  ),
  // No aim was set for these: as much as beside crossbeam, and not to be slower.
  ...['8B', '1KiB', '64KiB', '1MiB'].flatMap((size) => [
    ...['flume-native', 'kanal-native'].map((rival) =>
      channelAim('messages', ['heddle-rust', oneWay(size)], ofCase(oneWay(size), rival, 'native'), 0.7),
    ),
    channelAim('messages', ['heddle-ts', oneWay(size)], ofCase(oneWay(size), 'comlink'), 1),
  ]),
  {
    bench: 'channel',
    metric: 'roundtrip',
    ours: ofCase('roundtrip-8B', 'heddle-ts'),
    rival: ofCase('roundtrip-8B', 'wait-notify'),
    atMost: 1.2,
  },
  {
    bench: 'channel',
    metric: 'roundtrip',
    ours: ofCase('roundtrip-8B', 'heddle-rust'),
    rival: ofCase('roundtrip-8B', 'wait-notify-rust'),
    atMost: 1.2,
  },
  ...['heddle-ts', 'heddle-rust-bytes'].map((ours) =>
    channelAim('bytes', [ours, oneWay('1MiB', '1p1c', '-borrowed')], ofCase(oneWay('1MiB'), 'memcpy'), 0.7),
  ),
];

function lockAim(ours: string, caseName: string, rival: Side, atMost: number): Aim {
  return { bench: 'atomics', metric: 'lock', ours: ofCase(caseName, ours), rival, atMost };
}

const LOCK_CASES = ['lock-uncontended', 'lock-2-threads', 'lock-4-threads', 'rwlock-read-2-threads'];

const ATOMICS: readonly Aim[] = [
  ...['std-native', 'parking_lot-native'].flatMap((rival) =>
    ['lock-uncontended', 'lock-2-threads', 'lock-4-threads'].map((name) =>
      lockAim('heddle-rust', name, ofCase(name, rival, 'native'), 1.5),
    ),
  ),
  // No aim was set for these: not to be slower.
  ...LOCK_CASES.flatMap((name) =>
    ['multithreading', 'multithreading-blocking'].map((rival) => lockAim('heddle-ts', name, ofCase(name, rival), 1)),
  ),
];

function threadAim(metric: MetricName, ours: [string, string], rival: Side, bound: { atLeast: number } | { atMost: number }): Aim {
  return { bench: 'thread', metric, ours: ofCase(ours[1], ours[0]), rival, ...bound };
}

const THREAD: readonly Aim[] = [
  threadAim('p50', ['heddle-rust', 'spawn-join-busy'], ofCase('spawn-join-busy', 'std-native', 'native'), { atMost: 0.5 }),
  threadAim('p50', ['heddle-rust', 'spawn-join-idle2ms'], ofCase('spawn-join-idle2ms', 'std-native', 'native'), { atMost: 0.9 }),
  threadAim('p50', ['heddle-rust', 'spawn-join-busy'], ofCase('spawn-join-busy', 'worker'), { atMost: 1 / 1000 }),
  ...['heddle-ts', 'heddle-ts-pool'].flatMap((ours) =>
    ['spawn-join-busy', 'spawn-join-idle2ms'].map((name) => threadAim('p50', [ours, name], ofCase(name, 'wait-notify'), { atMost: 3 })),
  ),
  // No aim was set for these: not to be slower.
  ...['worker', 'multithreading'].map((rival) =>
    threadAim('p50', ['heddle-ts', 'spawn-join-busy'], ofCase('spawn-join-busy', rival), { atMost: 1 }),
  ),
  ...['heddle-rust', 'heddle-rust-from-main'].flatMap((ours) =>
    ['spawn-join-busy', 'spawn-join-idle2ms'].map((name) =>
      threadAim('p50', [ours, name], ofCase(name, ours.replace('heddle-rust', 'wasm_thread')), { atMost: 1 }),
    ),
  ),
  threadAim('wall', ['heddle-rust', 'parallel-sum-1'], ofCase('parallel-sum-2', 'heddle-rust'), { atLeast: 1.9 }),
  threadAim('wall', ['heddle-rust', 'sort-10M'], ofCase('sort-10M', 'rayon-native', 'native'), { atMost: 1 / 0.6 }),
  threadAim('pairs', ['heddle-rust', 'alloc-2'], ofCase('alloc-1', 'heddle-rust'), { atLeast: 1.5 }),
  // What the machine gave native threads in the same run: with others on its processors, nobody gets two of them.
  ...(
    [
      ['wall', 'parallel-sum-1', 'parallel-sum-2'],
      ['pairs', 'alloc-2', 'alloc-1'],
    ] as const
  ).map(([metric, one, other]): Aim => ({
    bench: 'thread',
    metric,
    ours: ofCase(one, 'std-native', 'native'),
    rival: ofCase(other, 'std-native', 'native'),
  })),
  threadAim('pairs', ['heddle-rust', 'alloc-1'], ofCase('alloc-1', 'dlmalloc'), { atLeast: 1 }),
  threadAim('pairs', ['heddle-rust', 'alloc-2'], ofCase('alloc-2', 'dlmalloc'), { atLeast: 1 }),
];

export const AIMS: readonly Aim[] = [...CHANNEL, ...ATOMICS, ...THREAD];

/** An aim and what this run says of it. */
export interface Verdict {
  readonly aim: Aim;
  readonly host: HostName;
  readonly ratio: number;
  readonly isReached: boolean;
}

/** What a run says of the aims that it measured both sides of. */
export function judge(bench: Bench, series: readonly Series[]): Verdict[] {
  return AIMS.filter((aim) => aim.bench === bench).flatMap((aim) =>
    series
      .filter((entry) => entry.subject === aim.ours.subject && entry.case.name === aim.ours.case && isWhereOursRuns(aim, entry.host))
      .flatMap((ours) => {
        const rival = series.find(
          (entry) =>
            entry.subject === aim.rival.subject && entry.case.name === aim.rival.case && entry.host === (aim.rival.host ?? ours.host),
        );
        const ratio = rival && ratioOf(aim.metric, ours, rival);
        if (ratio === undefined) return [];
        const isReached = (aim.atLeast === undefined || ratio >= aim.atLeast) && (aim.atMost === undefined || ratio <= aim.atMost);
        return [{ aim, host: ours.host, ratio, isReached }];
      }),
  );
}

/** Everywhere but natively, where ours is a rival too, unless the aim says where. */
function isWhereOursRuns({ ours }: Aim, host: HostName): boolean {
  return ours.host === undefined ? host !== 'native' : host === ours.host;
}

/** The median over rounds of ours divided by the rival's. */
function ratioOf(metricName: MetricName, ours: Series, rival: Series): number | undefined {
  const valuesOf = ({ case: { metrics }, rounds }: Series): (number | undefined)[] => {
    const metric = metrics.find(({ name }) => name === metricName);
    return rounds.map((round) => metric?.valueOf(round));
  };
  const rivals = valuesOf(rival);
  const ratios = valuesOf(ours).flatMap((value, round) => {
    const other = rivals[round];
    return value === undefined || other === undefined ? [] : [value / other];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}
