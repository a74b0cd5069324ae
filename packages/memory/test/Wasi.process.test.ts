/** What needs a memory of more than 2 GiB: addresses, not memory, where it is a process's; pages may have less room. */
import { expect, test } from 'vitest';
import { Wasi } from '../src/wasi/index.ts';

type Call = (...args: (number | bigint)[]) => number;

// An address beyond 2 GiB came as a negative number, and the program was told EFAULT about memory that it has.
test('addresses in the upper half of the memory are addresses', () => {
  const pages = 32_769;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const { imports } = new Wasi({ memory, args: ['program'] });
  const call = imports['wasi_snapshot_preview1'] as unknown as Record<string, Call>;
  const at = 2 ** 31 + 64;
  // As Wasm gives an i32 to JavaScript.
  expect(call['args_sizes_get'](at | 0, (at + 4) | 0)).toBe(0);
  expect([...new Int32Array(memory.buffer, at, 2)]).toEqual([1, 8]);
});
