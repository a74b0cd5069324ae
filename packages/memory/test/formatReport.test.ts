import { expect, test } from 'vitest';
import { adviceFor, formatReport, inspect, readModule, toolchainOf } from '../src/index.ts';
import { activeModule, bareModule, moduleOf, modules } from './modules.ts';

const text = (value: string): number[] => [value.length, ...new TextEncoder().encode(value)];

test('a report for people names what the module has', () => {
  expect(formatReport(inspect(bareModule()))).toBe(
    [
      'abi                   bare',
      'memory                imported as env.memory, shared, 1 pages of 64 KiB, at most 16',
      'data segments         0 active, 1 passive, counted as 1',
      'start function        none',
      'thread-local storage  exported, 4 bytes aligned to 4',
      'stack pointer         exported',
      'imports               none',
      'exports               __stack_pointer, __tls_base, __tls_size, __tls_align, __wasm_init_tls, bump',
      '',
      'This module can have threads.',
    ].join('\n'),
  );
});

test('a module of wasi-threads is told from others, and what it asks of its host is listed', () => {
  // (import "env" "memory" (memory 1 2 shared)) (import "wasi" "thread-spawn" (func)) (import "wasi_snapshot_preview1" "fd_write" (func))
  const imports = [
    [...text('env'), ...text('memory'), 2, 3, 1, 2],
    [...text('wasi'), ...text('thread-spawn'), 0, 0],
    [...text('wasi_snapshot_preview1'), ...text('fd_write'), 0, 0],
  ];
  const importing = [1, [1, 0x60, 0, 0]] as const;
  const without = inspect(moduleOf([importing, [2, [3, ...imports.flat()]]]));
  expect(without.abi).toBe('wasi-threads');
  expect(without.problems.map(({ code }) => code)).toEqual(['NO_THREAD_START']);
  const report = inspect(moduleOf([importing, [2, [3, ...imports.flat()]], [7, [1, ...text('wasi_thread_start'), 0, 0]]]));
  expect(report.problems).toEqual([]);
  expect(report.wasi).toEqual({ importsThreadSpawn: true, exportsThreadStart: true, functions: ['fd_write'] });
  expect(formatReport(report)).toMatch(/^wasi-threads +thread-spawn imported, wasi_thread_start exported\nwasi +fd_write$/mu);
});

test('active segments are said to go by rewriting', () => {
  expect(formatReport(inspect(activeModule({ isShared: true })))).toContain('  heddle-inspect program.wasm --rewrite out.wasm');
  expect(formatReport(inspect(moduleOf([])))).not.toContain('--rewrite');
});

test('what has no memory is not told of its own, and who brings a component hears of its core module', () => {
  expect(formatReport(inspect(moduleOf([[5, [1, 0, 1]]])))).toContain('the module has a memory of its own');
  expect(formatReport(inspect(moduleOf([])))).toContain('MEMORY_NOT_IMPORTED: the module imports no memory, and has none');
  expect(() => inspect(Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0))).toThrow('core module');
  expect(() => inspect(Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0))).toThrow('version 1');
});

test('advice is for the toolchain that made the module, where it says which, and else for all', () => {
  // (module (memory 1) (@producers (language "Rust" "") (processed-by "rustc" "1.90.0")))
  const producers = [
    ...text('producers'),
    2,
    ...text('language'),
    1,
    ...text('Rust'),
    0,
    ...text('processed-by'),
    1,
    ...text('rustc'),
    ...text('1.90.0'),
  ];
  const own = [5, [1, 0, 1]] as const;
  const report = inspect(moduleOf([own, [0, producers]]));
  expect(report.producers).toEqual([
    { field: 'language', name: 'Rust', version: '' },
    { field: 'processed-by', name: 'rustc', version: '1.90.0' },
  ]);
  expect(toolchainOf(report)).toBe('rustc');
  expect(adviceFor(report).map(({ toolchain }) => toolchain)).toEqual(['rustc']);
  expect(adviceFor(inspect(moduleOf([own]))).map(({ toolchain }) => toolchain)).toEqual(['rustc', 'clang', 'zig']);
  expect(adviceFor(inspect(bareModule()))).toEqual([]);
});

test('what a linker wrote about its features is read; a custom section that is damaged says nothing', async () => {
  const { targetFeatures } = inspect(await readModule(modules.memoryTesting));
  const own = [5, [1, 0, 1]] as const;
  const features = inspect(moduleOf([own, [0, [...text('target_features'), 2, 0x2b, ...text('atomics'), 0x2d, ...text('shared-mem')]]]));
  expect(features.targetFeatures).toEqual(['+atomics', '-shared-mem']);
  expect(inspect(moduleOf([own, [0, [...text('target_features'), 9, 0x2b]]])).targetFeatures).toEqual([]);
  expect(targetFeatures.every((name) => /^[+-]./u.test(name))).toBe(true);
});
