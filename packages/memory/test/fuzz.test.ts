/**
 * Modules that nobody would write: random bytes, and modules with bytes changed. Whatever they are, the reader and the rewriter
 * end with a typed error or with a result; and what a valid module was rewritten to is valid.
 *
 * HEDDLE_SEED takes other cases. A case that failed is a line of digits: put it into the corpus, where every run tries it first.
 */
import { expect, test } from 'vitest';
import { type Choices, fuzz } from '@heddle/tools/fuzz';
import { Wasi, WasiExit } from '../src/wasi/index.ts';
import { createMemory, formatReport, inspect, makePassive, MemoryError } from '../src/index.ts';
import { activeModule, bareModule, moduleOf } from './modules.ts';

declare global {
  interface ImportMeta {
    /** Vitest's; it is found in the text, so nothing may stand between. */
    readonly env: Readonly<Record<string, string | undefined>>;
  }
}

const seed = Number(import.meta.env['HEDDLE_SEED'] ?? 1);
const minutes = Number(import.meta.env['HEDDLE_LONG_MINUTES'] ?? 0);
const count = minutes > 0 ? minutes * 200_000 : 4000;
const timeoutMs = 60_000 + minutes * 600_000;

/** Whether a module was taken; throws what is not an error of this package, and what shouldn't be. */
function isTaken(bytes: Uint8Array<ArrayBuffer>): boolean {
  try {
    formatReport(inspect(bytes));
    const { bytes: rewritten } = makePassive(bytes, { shareMemory: true });
    if (WebAssembly.validate(bytes) && !WebAssembly.validate(rewritten)) throw new Error('a valid module became an invalid one');
    inspect(rewritten);
    return true;
  } catch (error) {
    if (error instanceof MemoryError) return false;
    throw error;
  }
}

/** WASI's calls, and what they take: `i` for 32 bits, `l` for 64. Not `poll_oneoff`, which would sleep. */
const wasiCalls: Readonly<Record<string, string>> = {
  args_get: 'ii',
  args_sizes_get: 'ii',
  clock_time_get: 'ili',
  environ_get: 'ii',
  fd_close: 'i',
  fd_fdstat_get: 'ii',
  fd_fdstat_set_flags: 'ii',
  fd_filestat_get: 'ii',
  fd_pread: 'iiili',
  fd_prestat_dir_name: 'iii',
  fd_prestat_get: 'ii',
  fd_pwrite: 'iiili',
  fd_read: 'iiii',
  fd_readdir: 'iiili',
  fd_seek: 'ilii',
  fd_tell: 'ii',
  fd_write: 'iiii',
  path_filestat_get: 'iiiii',
  path_open: 'iiiiillii',
  path_rename: 'iiiiii',
  proc_exit: 'i',
  random_get: 'ii',
};

/** One for all cases, which is cleared: engines reserve gigabytes of addresses for each. */
const memory = createMemory({ initialPages: 1, maximumPages: 1 });

/** Makes a few of WASI's calls with whatever arguments; whether one of them succeeded. */
function callsWasi(choices: Choices): boolean {
  new Uint8Array(memory.buffer).fill(0);
  const streams = { stdin: (size: number) => new Uint8Array(Math.min(size, 10)), stdout: () => {}, stderr: () => {} };
  const { imports } = new Wasi({ memory, args: ['program'], env: { A: 'b' }, streams });
  const functions = imports['wasi_snapshot_preview1'] as unknown as Record<string, (...args: (number | bigint)[]) => number>;
  let hasSucceeded = false;
  for (let left = 1 + choices.below(4); left > 0; left -= 1) {
    const [name, types] = choices.of(Object.entries(wasiCalls));
    const args = Array.from(types, (type) =>
      type === 'i' ? choices.word() | 0 : BigInt.asIntN(64, BigInt(choices.word()) << BigInt(choices.below(33))),
    );
    try {
      const errno = functions[name](...args);
      if (!Number.isInteger(errno) || errno < 0 || errno > 76) throw new Error(`${name} returned ${errno}`);
      hasSucceeded ||= errno === 0;
    } catch (error) {
      if (!(error instanceof WasiExit)) throw error;
    }
  }
  return hasSucceeded;
}

test(
  `calls of WASI end with a number, whatever they are given (seed ${seed})`,
  () => {
    const succeeded = fuzz({ seed, count: count / 20, corpus: [], run: callsWasi });
    expect(succeeded).toBeGreaterThan(0);
    expect(succeeded).toBeLessThan(count / 20);
  },
  timeoutMs,
);

const starts = ['writesMemory', 'setsGlobal', 'doesBoth', 'callsOut', 'traps'] as const;

/** A module of those that the tests have, with a few bytes changed, taken out, put in, or moved. */
function mutated(choices: Choices): Uint8Array<ArrayBuffer> {
  const memory = choices.of(['own', 'imported'] as const);
  const start = choices.once(2) ? {} : { start: choices.of(starts) };
  const active = activeModule({ memory, isShared: choices.once(2), usesMemorySize: choices.once(4), ...start });
  const bytes = [...(choices.once(4) ? bareModule() : active)];
  for (let left = choices.below(4); left > 0; left -= 1) {
    const at = 8 + choices.below(bytes.length - 8);
    switch (choices.below(4)) {
      case 0:
        bytes[at] = choices.byte();
        break;
      case 1:
        bytes.splice(at, 1 + choices.below(4));
        break;
      case 2:
        bytes.splice(at, 0, choices.byte());
        break;
      default:
        bytes.splice(at, 0, ...bytes.slice(8, 8 + choices.below(16)));
    }
  }
  return Uint8Array.from(bytes);
}

/** Sections with random contents. */
function random(choices: Choices): Uint8Array<ArrayBuffer> {
  const sections = Array.from({ length: 1 + choices.below(5) }, () => {
    const contents = Array.from({ length: choices.below(8) }, () => choices.word() & 0xff);
    return [choices.below(14), contents] as const;
  });
  return moduleOf(sections);
}

test(
  `modules with bytes changed are refused by an error of this package, or stay valid (seed ${seed})`,
  () => {
    const taken = fuzz({ seed, count, corpus: [], run: (choices) => isTaken(mutated(choices)) });
    expect(taken).toBeGreaterThan(count / 50);
    expect(taken).toBeLessThan(count);
  },
  timeoutMs,
);

test(
  `so are random sections (seed ${seed})`,
  () => {
    expect(fuzz({ seed, count, corpus: [], run: (choices) => isTaken(random(choices)) })).toBeLessThan(count);
  },
  timeoutMs,
);
