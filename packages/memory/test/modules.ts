/** Modules that the tests read: one built from Rust, and small ones written by hand. */

export const modules: { readonly memoryTesting: URL; readonly threadTesting: { readonly module: URL; readonly glue: URL } } = {
  /** Bare, as LLVM's linker wrote it. */
  memoryTesting: new URL('../../../target/wasm/bindgen/memory-testing/memory_testing_bg.wasm', import.meta.url),
  threadTesting: {
    module: new URL('../../../target/wasm/bindgen/thread-testing/thread_testing_bg.wasm', import.meta.url),
    glue: new URL('../../../target/wasm/bindgen/thread-testing/thread_testing.js', import.meta.url),
  },
};

/** A module of sections: their ids and their contents. */
export function moduleOf(sections: readonly (readonly [id: number, contents: readonly number[]])[]): Uint8Array<ArrayBuffer> {
  const body = sections.flatMap(([id, contents]) => [id, ...unsigned(contents.length), ...contents]);
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...body]);
}

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

const text = (value: string): number[] => [value.length, ...new TextEncoder().encode(value)];

/**
 * What a linker makes of a program with one thread-local and one initialised word, without wasm-bindgen:
 *
 *   (module
 *     (import "env" "memory" (memory 1 16 shared))
 *     (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 1024))
 *     (global $__tls_base (export "__tls_base") (mut i32) (i32.const 0))
 *     (global (export "__tls_size") i32 (i32.const 4))
 *     (global (export "__tls_align") i32 (i32.const 4))
 *     (func (export "__wasm_init_tls") (param i32)
 *       (global.set $__tls_base (local.get 0)) (memory.init 0 (local.get 0) (i32.const 0) (i32.const 4)))
 *     (func (export "bump") (result i32)                 ;; adds 1 to the thread-local, which starts at 7
 *       (i32.store (global.get $__tls_base) (i32.add (i32.load (global.get $__tls_base)) (i32.const 1)))
 *       (i32.load (global.get $__tls_base)))
 *     (data "\07\00\00\00"))
 */
export function bareModule(): Uint8Array<ArrayBuffer> {
  const memory = [...text('env'), ...text('memory'), 2, 3, 1, 16];
  const exports = [
    [...text('__stack_pointer'), 3, 0],
    [...text('__tls_base'), 3, 1],
    [...text('__tls_size'), 3, 2],
    [...text('__tls_align'), 3, 3],
    [...text('__wasm_init_tls'), 0, 0],
    [...text('bump'), 0, 1],
  ];
  const initTls = [0, 0x20, 0, 0x24, 1, 0x20, 0, 0x41, 0, 0x41, 4, 0xfc, 8, 0, 0, 0x0b];
  const bump = [0, 0x23, 1, 0x23, 1, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0, 0x23, 1, 0x28, 2, 0, 0x0b];
  return moduleOf([
    [1, [2, 0x60, 1, 0x7f, 0, 0x60, 0, 1, 0x7f]],
    [2, [1, ...memory]],
    [3, [2, 0, 1]],
    [6, [4, 0x7f, 1, 0x41, 0x80, 8, 0x0b, 0x7f, 1, 0x41, 0, 0x0b, 0x7f, 0, 0x41, 4, 0x0b, 0x7f, 0, 0x41, 4, 0x0b]],
    [7, [exports.length, ...exports.flat()]],
    [12, [1]],
    [10, [2, initTls.length, ...initTls, bump.length, ...bump]],
    [11, [1, 1, 4, 7, 0, 0, 0]],
  ]);
}

/** What a module with active segments has besides. */
export interface ActiveModuleOptions {
  /** Whether it imports its memory, or has one; `env.memory` where absent. */
  readonly memory?: 'imported' | 'own';
  readonly isShared?: boolean;
  /** Pages at most; 4 where absent. */
  readonly maximumPages?: number;
  /** What its start function does; none where absent. */
  readonly start?: 'writesMemory' | 'setsGlobal' | 'doesBoth' | 'callsOut' | 'traps';
  /** Whether `grown` asks for the memory's size. */
  readonly usesMemorySize?: boolean;
  /** Where its segment is for; an imported global's value (`env.base`) where undefined is given. */
  readonly offset?: readonly number[];
}

/**
 * A module as linkers make them for one thread, with its sections for names and others kept:
 *
 *   (module
 *     (import "env" "memory" (memory 1 4 shared))
 *     (import "env" "out" (func))                              ;; only if the start function calls out
 *     (global $here (mut i32) (i32.const 1))
 *     (func (export "add") (result i32) (i32.atomic.rmw.add (i32.const 16) (i32.const 1)))
 *     (func (export "started") (result i32) (i32.load (i32.const 32)))
 *     (func (export "here") (result i32) (global.get $here))
 *     (func (export "size") (result i32) (memory.size))        ;; or 0
 *     (func $start …)                                          ;; adds 1 to the word at 32, or to $here, or both, or else
 *     (data (i32.const 16) "\28\00\00\00")
 *     (data (i32.const 20) "\01\02\03"))
 */
export function activeModule(options: ActiveModuleOptions = {}): Uint8Array<ArrayBuffer> {
  const { memory = 'imported', isShared = true, maximumPages = 4, start, usesMemorySize = false, offset = [0x41, 16] } = options;
  const limits = [isShared ? 3 : 1, 1, maximumPages];
  const out = start === 'callsOut' ? 1 : 0;
  const imports = [
    ...(memory === 'imported' ? [[...text('env'), ...text('memory'), 2, ...limits]] : []),
    ...(out ? [[...text('env'), ...text('out'), 0, 1]] : []),
    ...(offset[0] === 0x23 ? [[...text('env'), ...text('base'), 3, 0x7f, 0]] : []),
  ];
  const here = offset[0] === 0x23 ? 1 : 0;
  const store = [0x41, 32, 0x41, 32, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0];
  const set = [0x23, here, 0x41, 1, 0x6a, 0x24, here];
  const starts = { writesMemory: store, setsGlobal: set, doesBoth: [...store, ...set], callsOut: [0x10, 0], traps: [...store, 0x00] };
  const bodies = [
    [0, 0x41, 16, 0x41, 1, 0xfe, 0x1e, 2, 0, 0x0b],
    [0, 0x41, 32, 0x28, 2, 0, 0x0b],
    [0, 0x23, here, 0x0b],
    [0, ...(usesMemorySize ? [0x3f, 0] : [0x41, 0]), 0x0b],
    ...(start ? [[0, ...starts[start], 0x0b]] : []),
  ];
  const exports = ['add', 'started', 'here', 'size'].map((name, index) => [...text(name), 0, out + index]);
  return moduleOf([
    [0, [...text('first'), 1, 2, 3]],
    [1, [2, 0x60, 0, 1, 0x7f, 0x60, 0, 0]],
    ...(imports.length > 0 ? ([[2, [imports.length, ...imports.flat()]]] as const) : []),
    [3, [bodies.length, 0, 0, 0, 0, ...(start ? [1] : [])]],
    ...(memory === 'own' ? ([[5, [1, ...limits]]] as const) : []),
    [6, [1, 0x7f, 1, 0x41, 1, 0x0b]],
    [7, [exports.length, ...exports.flat()]],
    ...(start ? ([[8, [out + 4]]] as const) : []),
    [10, [bodies.length, ...bodies.flatMap((body) => [body.length, ...body])]],
    [11, [2, 0, ...offset, 0x0b, 4, 40, 0, 0, 0, 0, 0x41, 20, 0x0b, 3, 1, 2, 3]],
    [0, [...text('last'), 4, 5]],
  ]);
}
