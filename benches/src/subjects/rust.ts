/** Rust as Wasm, on heddle's threads: `benches/rust` does the same natively. */
import { WasmRuntime } from '@heddle/thread';
import type { Bench } from '../cases.ts';
import { oneWayOf, roundTripSizeOf } from '../cases.ts';
import type { Measurement, Session, Subject } from '../measurement.ts';

/** Where `build:rust` leaves the module. */
export const RUST_MODULE = {
  module: new URL('../../../target/wasm/bindgen/heddle-benches/heddle_benches_bg.wasm', import.meta.url),
  glue: new URL('../../../target/wasm/bindgen/heddle-benches/heddle_benches.js', import.meta.url),
};

/** Ready at first: the most that a round takes, and the one that joins them. */
const THREADS = 5;

/** With rayon's two, which stay. */
const THREADS_MAX = 16;

/** The runtime that all Rust subjects share; the first round starts it. */
class Rust {
  #runtime: Promise<Started> | undefined;

  async round(bench: Bench, subject: string, caseName: string, count: number): Promise<Measurement> {
    this.#runtime ??= start();
    const { runtime, request, quantiles } = await this.#runtime.catch((error: unknown) => {
      this.#runtime = undefined;
      throw error;
    });
    const text = new TextEncoder().encode(`${bench} ${subject} ${caseName} ${count}`);
    new Uint8Array(runtime.memory.buffer, request, text.length).set(text);
    const elapsedNs = Number(await runtime.spawn('measure_round', text.length).join());
    const [p50Ns = Number.NaN, p99Ns = Number.NaN] = new Float64Array(runtime.memory.buffer, quantiles, 2);
    return { count, elapsedNs, quantiles: Number.isNaN(p50Ns) ? undefined : { p50Ns, p99Ns } };
  }

  async close(): Promise<void> {
    const running = this.#runtime;
    this.#runtime = undefined;
    await (await running)?.runtime.close({ graceMs: 0 });
  }
}

/** A runtime, and where its module has its records. */
interface Started {
  readonly runtime: WasmRuntime;
  readonly request: number;
  readonly quantiles: number;
}

async function start(): Promise<Started> {
  const runtime = await WasmRuntime.start({ ...RUST_MODULE, threads: THREADS, maxThreads: THREADS_MAX });
  const address = async (name: string): Promise<number> => Number(await runtime.spawn(name).join()) >>> 0;
  return { runtime, request: await address('request_address'), quantiles: await address('quantiles_address') };
}

const CASES: Readonly<Record<string, (bench: Bench, caseName: string) => boolean>> = {
  'heddle-rust': (bench, caseName) => {
    if (bench === 'channel') return roundTripSizeOf(caseName) !== undefined || oneWayOf(caseName)?.isBorrowed === false;
    return bench === 'atomics' || caseName !== 'pool-start';
  },
  'heddle-rust-bytes': (bench, caseName) => bench === 'channel' && oneWayOf(caseName) !== undefined,
  'wait-notify-rust': (bench, caseName) => bench === 'channel' && caseName === 'roundtrip-8B',
  'std-wasm': (bench) => bench === 'atomics',
  dlmalloc: (bench, caseName) => bench === 'thread' && caseName.startsWith('alloc-'),
};

/** The subjects of the Wasm module, which share one runtime; `close` ends it. */
export function rustSubjects(): { readonly subjects: readonly Subject[]; close(): Promise<void> } {
  const rust = new Rust();
  const subjects = (['atomics', 'channel', 'thread'] as const).flatMap((bench) =>
    Object.entries(CASES).map(([name, has]): Subject => ({
      bench,
      name,
      supports: (caseName) => has(bench, caseName),
      open: async (caseName): Promise<Session> => ({
        round: (count) => rust.round(bench, name, caseName, count),
        close: async () => {},
      }),
    })),
  );
  return { subjects, close: () => rust.close() };
}
