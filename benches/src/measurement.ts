/** What rounds come to, and who runs them. */
import type { Bench } from './cases.ts';

/** One round. */
export interface Measurement {
  /** Operations that were done. */
  readonly count: number;
  /** From the first thread's start to the last one's end. */
  readonly elapsedNs: number;
  /** Of single operations, where each was timed. */
  readonly quantiles?: { readonly p50Ns: number; readonly p99Ns: number } | undefined;
}

/** One subject that is ready to run rounds of one case. */
export interface Session {
  /**
   * Runs one round of at least `count` operations, and checks that what was sent arrived, what was added was counted.
   *
   * @throws Error if not: such a figure must not be printed
   */
  round(count: number): Promise<Measurement>;
  /** Ends its threads. */
  close(): Promise<void>;
}

/** Somebody's code that is measured. */
export interface Subject {
  readonly bench: Bench;
  /** As figures name it. */
  readonly name: string;
  /** A file that it runs, where that one is not built with the others: a host leaves the subject out where it is missing. */
  readonly module?: URL;
  /** Whether it can do what the case asks for. */
  supports(caseName: string): boolean;
  /** Starts what the rounds of a case need. */
  open(caseName: string): Promise<Session>;
}

export type HostName = 'node' | 'chromium' | 'firefox' | 'native';

/** Where subjects run. */
export interface Host {
  readonly name: HostName;
  readonly subjects: readonly Subject[];
  /** Those whose module is missing. */
  readonly leftOut?: readonly Subject[];
  close(): Promise<void>;
}

/** p50 and p99 of single operations' times. */
export function quantilesOf(samplesNs: readonly number[]): { p50Ns: number; p99Ns: number } {
  const sorted = [...samplesNs].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Ns: at(0.5), p99Ns: at(0.99) };
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
