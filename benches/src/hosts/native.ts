/** Native Rust: a process that answers a line with a line (`benches/rust/src/main.rs`). */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type Bench, oneWayOf, roundTripSizeOf } from '../cases.ts';
import type { Host, Measurement, Subject } from '../measurement.ts';

/** Where `build:rust` leaves the program. */
const PROGRAM = fileURLToPath(new URL('../../../target/benches/release/heddle-benches', import.meta.url));

const isOneWay = (caseName: string): boolean => oneWayOf(caseName)?.isBorrowed === false;
const isChannelCase = (caseName: string): boolean => roundTripSizeOf(caseName) !== undefined || isOneWay(caseName);

const SUBJECTS: readonly { readonly bench: Bench; readonly name: string; supports(caseName: string): boolean }[] = [
  { bench: 'atomics', name: 'std-native', supports: () => true },
  { bench: 'atomics', name: 'parking_lot-native', supports: () => true },
  { bench: 'atomics', name: 'heddle-rust', supports: () => true },
  { bench: 'channel', name: 'crossbeam-native', supports: isChannelCase },
  { bench: 'channel', name: 'flume-native', supports: isChannelCase },
  { bench: 'channel', name: 'kanal-native', supports: isChannelCase },
  { bench: 'channel', name: 'heddle-rust', supports: isChannelCase },
  { bench: 'channel', name: 'heddle-rust-bytes', supports: (caseName) => oneWayOf(caseName) !== undefined },
  { bench: 'channel', name: 'wait-notify', supports: (caseName) => caseName === 'roundtrip-8B' },
  { bench: 'channel', name: 'memcpy', supports: (caseName) => isOneWay(caseName) && oneWayOf(caseName)?.pairs === 1 },
  {
    bench: 'thread',
    name: 'std-native',
    supports: (caseName) => /^(?:spawn-join|parallel-sum|alloc)-/.test(caseName),
  },
  { bench: 'thread', name: 'rayon-native', supports: (caseName) => caseName === 'sort-10M' },
];

class NativeProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null> = spawn(PROGRAM, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  readonly #exited: Promise<void>;
  #answer: PromiseWithResolvers<string> | undefined;

  constructor() {
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#answer?.resolve(line));
    this.#exited = new Promise((resolve) => {
      const end = (reason: string): void => {
        this.#answer?.reject(new Error(`the native program ended: ${reason}`));
        resolve();
      };
      this.#child.on('error', (error) => end(error.message));
      this.#child.on('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  async round(request: string): Promise<Omit<Measurement, 'count'>> {
    this.#answer = Promise.withResolvers();
    this.#child.stdin.write(`${request}\n`);
    const line = await this.#answer.promise;
    const [word, ...numbers] = line.split(' ');
    if (word !== 'ok') throw new Error(line.replace(/^error /, ''));
    const [elapsedNs = Number.NaN, p50Ns, p99Ns] = numbers.map(Number);
    return { elapsedNs, quantiles: p50Ns === undefined || p99Ns === undefined ? undefined : { p50Ns, p99Ns } };
  }

  close(): Promise<void> {
    this.#child.stdin.end();
    return this.#exited;
  }
}

/** Starts the program that `build:rust` has built. */
export function nativeHost(): Host {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not built: run "npm run bench", or "pnpm --filter @heddle/benches build:rust".`);
  const native = new NativeProcess();
  const subjects = SUBJECTS.map(({ bench, name, ...other }): Subject => ({
    bench,
    name,
    supports: (caseName) => other.supports(caseName),
    open: async (caseName) => ({
      round: async (count) => ({ count, ...(await native.round(`${bench} ${name} ${caseName} ${count}`)) }),
      close: async () => {},
    }),
  }));
  return { name: 'native', subjects, close: () => native.close() };
}
