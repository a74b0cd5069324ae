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
