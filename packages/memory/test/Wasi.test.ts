import { expect, test } from 'vitest';
import { createMemory, MemoryViews } from '../src/index.ts';
import { linesTo, Wasi, WasiExit, type WasiOptions } from '../src/wasi/index.ts';
import { moduleOf } from './modules.ts';

const EBADF = 8;
const EFAULT = 21;
const EINVAL = 28;
const ENOSYS = 52;
const ENOTSUP = 58;
const ESPIPE = 70;

type Call = (...args: (number | bigint)[]) => number;

/** A program's view of its host, without a program: the calls, over a memory of a page. */
function hostOf(options: Omit<WasiOptions, 'memory'> = {}): { call: Record<string, Call>; views: MemoryViews; wasi: Wasi } {
  const memory = createMemory({ initialPages: 1, maximumPages: 1 });
  const wasi = new Wasi({ memory, ...options });
  return { call: wasi.imports['wasi_snapshot_preview1'] as unknown as Record<string, Call>, views: new MemoryViews(memory), wasi };
}

const textAt = ({ bytes }: MemoryViews, from: number, to: number): string => new TextDecoder().decode(bytes.slice(from, to));

/** Puts texts at 1000 on, and pairs of their addresses and lengths at 0 on; how many there are. */
function putBuffers(views: MemoryViews, ...texts: readonly string[]): number {
  let at = 1000;
  for (const [index, text] of texts.entries()) {
    const bytes = new TextEncoder().encode(text);
    views.bytes.set(bytes, at);
    views.words.set([at, bytes.length], 2 * index);
    at += bytes.length;
  }
  return texts.length;
}

test('arguments and the environment arrive as C has them', () => {
  const { call, views } = hostOf({ args: ['program', 'größe'], env: { HOME: '/', EMPTY: '' } });
  expect(call['args_sizes_get'](0, 4)).toBe(0);
  expect([...views.words.subarray(0, 2)]).toEqual([2, 16]);
  expect(call['args_get'](0, 100)).toBe(0);
  expect([...views.words.subarray(0, 2)]).toEqual([100, 108]);
  expect(textAt(views, 100, 116)).toBe('program\0größe\0');
  call['environ_sizes_get'](0, 4);
  expect([...views.words.subarray(0, 2)]).toEqual([2, 14]);
  call['environ_get'](0, 100);
  expect(textAt(views, 100, 114)).toBe('HOME=/\0EMPTY=\0');
});

test('streams are written whole, from several buffers', () => {
  const out: string[] = [];
  const decode = (bytes: Uint8Array): void => void out.push(new TextDecoder().decode(bytes));
  const { call, views } = hostOf({ streams: { stdout: decode, stderr: (bytes) => decode(new Uint8Array([0x21, ...bytes])) } });
  const count = putBuffers(views, 'Hello, ', '', 'world');
  expect(call['fd_write'](1, 0, count, 200)).toBe(0);
  expect(views.words[50]).toBe(12);
  expect(call['fd_write'](2, 0, 1, 200)).toBe(0);
  expect(out).toEqual(['Hello, world', '!Hello, ']);
});

test('input is read into several buffers, and ends', () => {
  const input = new TextEncoder().encode('abcdefg');
  let done = 0;
  const stdin = (count: number): Uint8Array => input.slice(done, (done += count));
  const { call, views } = hostOf({ streams: { stdin } });
  const count = putBuffers(views, '..', '...');
  const read = (): string => {
    expect(call['fd_read'](0, 0, count, 200)).toBe(0);
    return textAt(views, 1000, 1000 + (views.words[50] ?? 0));
  };
  expect([read(), read(), read()]).toEqual(['abcde', 'fg', '']);
});

test('what is wrong is told by its number', () => {
  const { call, views } = hostOf({ streams: { stdout: () => {} } });
  views.words.set([65_530, 100], 0);
  expect(call['fd_write'](1, 0, 1, 200)).toBe(EFAULT);
  expect(call['fd_write'](1, 70_000, 1, 200)).toBe(EFAULT);
  expect(call['fd_write'](0, 0, 0, 200)).toBe(EBADF);
  expect(call['fd_write'](77, 0, 0, 200)).toBe(EBADF);
  expect(call['fd_seek'](1, 0n, 0, 200)).toBe(ESPIPE);
  expect(call['fd_prestat_get'](3, 200)).toBe(EBADF);
  expect(call['clock_time_get'](9, 0n, 200)).toBe(EINVAL);
  expect(call['sock_recv'](0, 0, 0, 0, 0, 0)).toBe(ENOSYS);
});

test('clocks go forward, and chance is not zero', () => {
  const { call, views } = hostOf();
  const now = (clock: number): bigint => {
    expect(call['clock_time_get'](clock, 0n, 200)).toBe(0);
    return views.longs[25] ?? 0n;
  };
  const [first, second] = [now(1), now(1)];
  expect(second).toBeGreaterThanOrEqual(first);
  // The time of day, in nanoseconds since 1970: later than when this was written.
  expect(now(0)).toBeGreaterThan(1_700_000_000_000_000_000n);
  expect(call['random_get'](1000, 64)).toBe(0);
  expect(views.bytes.subarray(1000, 1064).some((byte) => byte !== 0)).toBe(true);
  expect(call['random_get'](65_530, 64)).toBe(EFAULT);
});

test('a sleep ends with the event that is due first', () => {
  const { call, views } = hostOf();
  // Two subscriptions to the monotonic clock: one in 2 ms, one in an hour.
  for (const [index, [userdata, timeout]] of [
    [5n, 2_000_000n],
    [6n, 3_600_000_000_000n],
  ].entries()) {
    views.longs[6 * index] = userdata;
    views.words[12 * index + 4] = 1;
    views.longs[6 * index + 3] = timeout;
  }
  const errno = call['poll_oneoff'](0, 1000, 2, 200);
  // A page's main thread may not sleep: the program is told so.
  if (typeof document !== 'undefined') {
    expect(errno).toBe(ENOTSUP);
    return;
  }
  expect(errno).toBe(0);
  expect([views.words[50], views.longs[125], views.bytes[1010]]).toEqual([1, 5n, 0]);
  expect(call['poll_oneoff'](0, 1000, 0, 200)).toBe(EINVAL);
});

test('the end of a program is an error of its own kind, and its code what start returns', () => {
  // (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "_start") (call 0 (i32.const 3)))
  const text = (value: string): number[] => [value.length, ...new TextEncoder().encode(value)];
  const bytes = moduleOf([
    [1, [2, 0x60, 1, 0x7f, 0, 0x60, 0, 0]],
    [2, [1, ...text('wasi_snapshot_preview1'), ...text('proc_exit'), 0, 0]],
    [3, [1, 1]],
    [7, [1, ...text('_start'), 0, 1]],
    [10, [1, 6, 0, 0x41, 3, 0x10, 0, 0x0b]],
  ]);
  const { wasi, call } = hostOf();
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), wasi.imports);
  expect(wasi.start(exports)).toBe(3);
  expect(() => call['proc_exit'](4)).toThrow(expect.objectContaining({ name: 'WasiExit', code: 'WASI_EXIT', exitCode: 4 }));
  expect(() => call['proc_exit'](4)).toThrow(WasiExit);
  expect(() => wasi.start({})).toThrow(expect.objectContaining({ code: 'NO_ENTRY' }));
  expect(() => wasi.startThread({}, 1, 2)).toThrow(expect.objectContaining({ code: 'NO_ENTRY' }));
});

test("threads are the caller's to start: the program gets their numbers, and errors where there is none", () => {
  const asked: number[] = [];
  const spawning = (spawn: WasiOptions['spawn']): number =>
    (hostOf({ spawn }).wasi.imports['wasi']['thread-spawn'] as (argument: number) => number)(77);
  expect(spawning((argument) => asked.push(argument))).toBe(1);
  expect(asked).toEqual([77]);
  expect(spawning(undefined)).toBe(-ENOSYS);
  const full = (): number => {
    throw new Error('no more workers');
  };
  expect(spawning(full)).toBe(-6);
});

test('what is printed without an end of line waits for it', () => {
  const lines: string[] = [];
  const print = linesTo((line) => lines.push(line));
  for (const part of ['a', 'b\nc\n', 'gr\u00f6\u00dfe\n'].map((text) => new TextEncoder().encode(text))) print(part);
  const cut = new TextEncoder().encode('ö\n');
  print(cut.slice(0, 1));
  print(cut.slice(1));
  print(new TextEncoder().encode('rest'));
  expect(lines).toEqual(['ab', 'c', 'größe', 'ö']);
});
