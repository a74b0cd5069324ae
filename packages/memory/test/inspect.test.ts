import { expect, test } from 'vitest';
import { inspect, MemoryError, readModule } from '../src/index.ts';
import { bareModule, moduleOf, modules } from './modules.ts';

test('a module that wasm-bindgen prepared for threads has no problems', async () => {
  const report = inspect(await readModule(modules.threadTesting.module));
  expect(report.problems).toEqual([]);
  expect(report.abi).toBe('wasm-bindgen');
  expect(report.memory).toMatchObject({ isShared: true });
  expect(report.memory?.maximumPages).toBeGreaterThan(report.memory?.initialPages ?? 0);
  expect(report.segments.active).toBe(0);
  expect(report.segments.passive).toBeGreaterThan(0);
  expect(report.exports).toContain('heddle_thread_work');
});

test('a bare module that was linked for threads has none either', () => {
  const report = inspect(bareModule());
  expect(report.problems).toEqual([]);
  expect(report.abi).toBe('bare');
  expect(report.memory).toEqual({ module: 'env', name: 'memory', initialPages: 1, maximumPages: 16, isShared: true });
  expect(report.segments).toEqual({ active: 0, passive: 1 });
});

test('shared memory holds a module as well as any other', () => {
  const bytes = bareModule();
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  expect(inspect(shared.buffer).problems).toEqual([]);
});

test('a module of its own memory is told how to be linked', () => {
  // (module (memory 1))
  const { problems } = inspect(moduleOf([[5, [1, 0, 1]]]));
  expect(problems.map(({ code }) => code)).toEqual(['MEMORY_NOT_IMPORTED', 'NO_TLS_EXPORTS', 'NO_STACK_POINTER']);
  expect(problems[0]?.message).toContain('--import-memory');
});

test('active segments and a memory that is not shared are named', () => {
  // (module (import "e" "m" (memory 1)) (data (i32.const 0) "x") (data (global.get 0) "y"))
  const report = inspect(
    moduleOf([
      [2, [1, 1, 0x65, 1, 0x6d, 2, 0, 1]],
      [11, [2, 0, 0x41, 0, 0x0b, 1, 0x78, 0, 0x23, 0, 0x0b, 1, 0x79]],
    ]),
  );
  expect(report.segments).toEqual({ active: 2, passive: 0 });
  expect(report.problems.map(({ code }) => code)).toEqual(['MEMORY_NOT_SHARED', 'ACTIVE_SEGMENTS', 'NO_TLS_EXPORTS', 'NO_STACK_POINTER']);
});

test.each([
  ['nothing', []],
  ['something else', [0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0]],
  ['a section longer than the module', [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 7, 99, 1]],
  ['a name longer than its section', [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 7, 2, 1, 99]],
  ['a number without an end', [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 7, ...Array.from({ length: 12 }, () => 0x80)]],
])('%s is no module, and is refused as such', (_name, bytes) => {
  const refused = (() => {
    try {
      return inspect(new Uint8Array(bytes));
    } catch (error) {
      return error;
    }
  })();
  expect(refused).toBeInstanceOf(MemoryError);
  expect(refused).toMatchObject({ code: 'MALFORMED_MODULE' });
});
