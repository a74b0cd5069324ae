/**
 * Runs rounds of many subjects in turn.
 *
 * Whatever else the machine does disturbs neighbouring rounds alike, so that the ratio of two subjects' rounds is worth more
 * than either's time: rounds go A B C, B C A, C A B …, over all hosts, and ratios are taken round by round.
 */
import type { Bench, Case } from './cases.ts';
import { CASES } from './cases.ts';
import { type Host, type HostName, type Measurement, median, type Session, type Subject } from './measurement.ts';
import { matches } from './options.ts';

/** What to run. */
export interface Plan {
  readonly bench: Bench;
  readonly hosts: readonly Host[];
  readonly cases: readonly string[];
  readonly subjects: readonly string[];
  readonly rounds: number;
  /** How long a round should take, in milliseconds. */
  readonly roundMs: number;
  /** By what cases of a fixed size are scaled: 1, except where only the runner is tried. */
  readonly scale?: number;
  /** Told what is being done. */
  readonly progress: (text: string) => void;
}

/** What one subject's rounds of one case came to. */
export interface Series {
  readonly bench: Bench;
  readonly host: HostName;
  readonly subject: string;
  readonly case: Case;
  /** The rounds that count, in order. */
  readonly rounds: readonly Measurement[];
  /** Why there are none. */
  readonly failure?: string;
}

/** A figure, as `--json` prints it. */
export interface Figure {
  readonly bench: Bench;
  readonly host: HostName;
  readonly subject: string;
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  readonly rounds: number;
}

/** A subject in the middle of a case. */
interface Entry {
  readonly host: HostName;
  readonly subject: string;
  readonly case: Case;
  readonly rounds: Measurement[];
  session: Session | undefined;
  count: number;
  failure: string | undefined;
}

/** A round that takes ten times what it should still tells enough: the next one is not made longer. */
const GROWTH_MAX = 10;

const casesOf = (plan: Plan): Case[] =>
  CASES.filter(
    ({ bench, name }) => bench === plan.bench && (plan.cases.length === 0 || plan.cases.some((pattern) => matches(pattern, name))),
  );

const isPlanned = (subject: Subject, plan: Plan): boolean =>
  subject.bench === plan.bench && (plan.subjects.length === 0 || plan.subjects.includes(subject.name));

/** A sentence for each subject that the plan has and its host has to leave out. */
export function leftOutOf(plan: Plan): string[] {
  const cases = casesOf(plan);
  return plan.hosts.flatMap(({ name: host, leftOut = [] }) =>
    leftOut
      .filter((subject) => isPlanned(subject, plan) && cases.some(({ name }) => subject.supports(name)))
      .map(({ name, bench }) => `${name} in ${host} is left out: its module is not built, which "npm run bench -- ${bench}" does first.`),
  );
}

/** Runs the plan, family by family; hands over each series when its family is through. */
export async function* run(plan: Plan): AsyncGenerator<Series> {
  const cases = casesOf(plan);
  for (const family of new Set(cases.map((entry) => entry.family))) {
    yield* runFamily(
      plan,
      cases.filter((entry) => entry.family === family),
    );
  }
}

async function* runFamily(plan: Plan, cases: readonly Case[]): AsyncGenerator<Series> {
  const entries: Entry[] = [];
  try {
    for (const host of plan.hosts) {
      for (const subject of host.subjects) {
        if (!isPlanned(subject, plan)) continue;
        for (const oneCase of cases.filter(({ name }) => subject.supports(name))) {
          const entry: Entry = {
            host: host.name,
            subject: subject.name,
            case: oneCase,
            rounds: [],
            session: undefined,
            count: 0,
            failure: undefined,
          };
          entries.push(entry);
          plan.progress(`${oneCase.name}: starting ${subject.name} in ${host.name}`);
          await attempt(entry, async () => {
            entry.session = await subject.open(oneCase.name);
            entry.count = await warmUp(entry.session, oneCase, plan);
          });
        }
      }
    }
    for (let round = 0; round < plan.rounds; round += 1) {
      for (let turn = 0; turn < entries.length; turn += 1) {
        const entry = entries[(round + turn) % entries.length];
        if (!entry?.session || entry.failure !== undefined) continue;
        const { session } = entry;
        plan.progress(`${entry.case.name}: round ${round + 1} of ${plan.rounds}: ${entry.subject} in ${entry.host}`);
        await attempt(entry, async () => void entry.rounds.push(await session.round(entry.count)));
      }
    }
  } finally {
    for (const { session } of entries) await session?.close();
  }
  for (const { host, subject, case: oneCase, rounds, failure } of entries) {
    yield { bench: plan.bench, host, subject, case: oneCase, rounds, ...(failure === undefined ? {} : { failure }) };
  }
}

/** A subject that fails is left out, and said to have failed; the others go on. */
async function attempt(entry: Entry, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    entry.failure = error instanceof Error ? error.message : String(error);
  }
}

/** Rounds that don't count, until one is long enough; finds how many operations that takes. */
async function warmUp(session: Session, { count }: Case, { roundMs, scale = 1 }: Plan): Promise<number> {
  if ('fixed' in count) {
    const fixed = Math.max(1, Math.floor(count.fixed * scale));
    await session.round(fixed);
    return fixed;
  }
  for (let operations = 1; ;) {
    // The quicker of two: a moment in which the machine was busy must not make all rounds too short.
    const once = await session.round(operations);
    const again = await session.round(operations);
    const growth = (roundMs * 1e6) / Math.max(1, Math.min(once.elapsedNs, again.elapsedNs));
    if (growth < 2 || operations >= count.max) return Math.max(1, Math.min(count.max, Math.floor(operations * Math.min(growth, 2))));
    operations = Math.min(count.max, Math.ceil(operations * Math.min(growth, GROWTH_MAX)));
  }
}

/** The figures of a series: a median for each of the case's metrics. */
export function figuresOf({ bench, host, subject, case: oneCase, rounds }: Series): Figure[] {
  return oneCase.metrics.flatMap((metric) => {
    const values = rounds.map((round) => metric.valueOf(round)).filter((value) => value !== undefined);
    if (values.length === 0) return [];
    const value = Number(median(values).toPrecision(4));
    return [{ bench, host, subject, case: oneCase.name, metric: metric.name, unit: metric.unit, value, rounds: values.length }];
  });
}
