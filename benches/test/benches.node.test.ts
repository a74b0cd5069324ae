/**
 * Every subject, for a few milliseconds: that it runs, that its figures have their shape, and that what it sent arrived – a
 * session throws if not. No figure is looked at: a test must not assert a time.
 */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Bench } from '../src/cases.ts';
import { runCommand } from '../src/cli.ts';
import type { HostName } from '../src/measurement.ts';
import type { Figure } from '../src/runner.ts';
import { wasmThread } from '../src/subjects/thread/wasmThread.ts';

/** One case of each kind: what they have in common is in all subjects' ways. */
const CASES = {
  atomics: 'lock-uncontended,lock-2-threads,rwlock-read-2-threads',
  channel: 'oneway-8B-1p1c,oneway-64KiB-2p2c*,roundtrip-8B,roundtrip-64KiB',
  thread: 'spawn-join-busy,parallel-sum-2,sort-10M,alloc-2,pool-start',
};

async function bench(args: readonly string[]): Promise<{ code: number; lines: string[]; errors: string }> {
  let output = '';
  let errors = '';
  const streams = {
    stdout: { write: (text: string) => void (output += text) },
    stderr: { write: (text: string) => void (errors += text) },
  };
  const code = await runCommand(args, streams, { scale: 1e-5 });
  return { code, lines: output.split('\n').filter(Boolean), errors };
}

/** A few short rounds: the names of the subjects that gave figures, as `subject case`, and what else was said. */
async function shortRun(name: Bench, host: HostName, more: readonly string[] = []): Promise<{ subjects: Set<string>; errors: string }> {
  const args = [name, '--host', host, '--case', CASES[name], '--rounds', '2', '--round-ms', '1', '--json', ...more];
  const { code, lines, errors } = await bench(args);
  expect(errors).not.toContain('failed');
  expect(code).toBe(0);
  const figures = lines.map((line) => JSON.parse(line) as Figure);
  for (const figure of figures) {
    expect(Object.keys(figure)).toEqual(['bench', 'host', 'subject', 'case', 'metric', 'unit', 'value', 'rounds']);
    expect(figure).toMatchObject({ bench: name, host, rounds: 2 });
    expect(figure.value).toBeGreaterThan(0);
  }
  return { subjects: new Set(figures.map((figure) => `${figure.subject} ${figure.case}`)), errors };
}

/** The suites don't build it: that takes minutes, all of them for one rival. */
const isWasmThreadBuilt = wasmThread.module !== undefined && existsSync(wasmThread.module);

describe.each(['node', 'chromium'] as const)('in %s', (host) => {
  test('locks are taken by every subject', async () => {
    const { subjects } = await shortRun('atomics', host);
    for (const subject of ['heddle-ts', 'heddle-rust', 'std-wasm', 'multithreading', 'multithreading-blocking']) {
      expect(subjects).toContain(`${subject} lock-uncontended`);
      expect(subjects).toContain(`${subject} lock-2-threads`);
      expect(subjects).toContain(`${subject} rwlock-read-2-threads`);
    }
  });

  test('messages arrive through every subject', async () => {
    const { subjects } = await shortRun('channel', host);
    const everywhere = ['heddle-ts', 'heddle-rust', 'postmessage', 'comlink', 'multithreading'];
    for (const subject of everywhere) {
      expect(subjects).toContain(`${subject} oneway-8B-1p1c`);
      expect(subjects).toContain(`${subject} oneway-64KiB-2p2c`);
      expect(subjects).toContain(`${subject} roundtrip-8B`);
      expect(subjects).toContain(`${subject} roundtrip-64KiB`);
    }
    for (const subject of ['heddle-ts-into', 'ringbuf.js', 'memcpy', 'heddle-rust-bytes', 'multithreading-blocking']) {
      expect(subjects).toContain(`${subject} oneway-8B-1p1c`);
    }
    for (const subject of ['wait-notify', 'wait-notify-rust', 'ringbuf.js']) expect(subjects).toContain(`${subject} roundtrip-8B`);
    for (const subject of ['heddle-ts', 'heddle-rust-bytes', 'postmessage']) {
      expect(subjects).toContain(`${subject} oneway-64KiB-2p2c-borrowed`);
    }
  });

  test('threads run for every subject', async () => {
    const { subjects, errors } = await shortRun('thread', host);
    for (const subject of ['heddle-rust', 'heddle-rust-from-main', 'heddle-ts', 'heddle-ts-pool', 'worker', 'multithreading']) {
      expect(subjects).toContain(`${subject} spawn-join-busy`);
    }
    for (const oneCase of ['parallel-sum-2', 'sort-10M', 'alloc-2', 'pool-start']) expect(subjects).toContain(`heddle-rust ${oneCase}`);
    expect(subjects).toContain('dlmalloc alloc-2');
    // What isn't built is not missed in silence.
    const isLeftOut = host === 'chromium' && !isWasmThreadBuilt;
    expect(errors.includes(`wasm_thread in ${host} is left out: its module is not built`)).toBe(isLeftOut);
  });
});

test.skipIf(!isWasmThreadBuilt)('wasm_thread runs in chromium (only where "npm run bench -- thread" has built its module)', async () => {
  const { subjects } = await shortRun('thread', 'chromium', ['--case', 'spawn-join-*', '--subject', 'wasm_thread,wasm_thread-from-main']);
  for (const oneCase of ['spawn-join-busy', 'spawn-join-idle2ms']) {
    expect(subjects).toContain(`wasm_thread ${oneCase}`);
    expect(subjects).toContain(`wasm_thread-from-main ${oneCase}`);
  }
});

describe('natively', () => {
  test('the rivals take their locks, pass their messages and run their threads', async () => {
    expect((await shortRun('atomics', 'native')).subjects).toContain('parking_lot-native lock-2-threads');
    const { subjects: channels } = await shortRun('channel', 'native');
    for (const subject of ['crossbeam-native', 'flume-native', 'kanal-native', 'heddle-rust']) {
      for (const oneCase of ['oneway-8B-1p1c', 'oneway-64KiB-2p2c', 'roundtrip-8B', 'roundtrip-64KiB'])
        expect(channels).toContain(`${subject} ${oneCase}`);
    }
    const { subjects: threads } = await shortRun('thread', 'native');
    expect(threads).toContain('std-native spawn-join-busy');
    expect(threads).toContain('rayon-native sort-10M');
  });
});

describe('the command line', () => {
  test.each([
    [[], 'name one benchmark'],
    [['locks'], 'name one benchmark'],
    [['atomics', 'channel'], 'only one benchmark'],
    [['atomics', '--host', 'opera'], 'opera'],
    [['atomics', '--case', 'oneway-8B-1p1c'], 'lock-uncontended'],
    [['atomics', '--rounds', '0'], '--rounds must be'],
    [['atomics', '--fast'], '--fast'],
    [['channel', '--host', 'native', '--case', 'roundtrip-8B', '--subject', 'comlink'], 'no subject'],
  ])('%j is refused with what is wrong', async (args, message) => {
    const { code, lines, errors } = await bench(args);
    expect(code).toBe(2);
    expect(errors).toContain(message);
    expect(lines).toEqual([]);
  });

  test('helps', async () => {
    const { code, lines } = await bench(['--help']);
    expect(code).toBe(0);
    expect(lines[0]).toContain('npm run bench');
  });

  test('tables have figures, and end with the ratios to reach', async () => {
    const args = ['channel', '--host', 'node', '--case', 'oneway-8B-1p1c', '--subject', 'heddle-ts,postmessage', '--rounds', '2'];
    const { lines } = await bench([...args, '--round-ms', '1']);
    expect(lines[0]).toMatch(/^oneway-8B-1p1c {2}heddle-ts +node +messages [\d.]+ [kMG]?\/s +bytes [\d.]+ [kMG]?B\/s$/);
    expect(lines.at(-1)).toMatch(/^heddle-ts oneway-8B-1p1c +node +messages +\/ postmessage +≥ 10 +[\d.e-]+ +(reached|falls short)$/);
  });
});
