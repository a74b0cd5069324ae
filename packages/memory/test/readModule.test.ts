import { expect, test } from 'vitest';
import { readModule } from '../src/index.ts';
import { bareModule, modules } from './modules.ts';

test('a module is read from beside this file, whatever the host', async () => {
  const bytes = await readModule(modules.memoryTesting);
  expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
  expect(WebAssembly.validate(bytes)).toBe(true);
  expect(await readModule(modules.memoryTesting.href)).toEqual(bytes);
});

test('a module that a bundler wrote into a data: URL is read too', async () => {
  const bytes = bareModule();
  expect(await readModule(`data:application/wasm;base64,${btoa(String.fromCharCode(...bytes))}`)).toEqual(bytes);
});

test.each([
  ['a file that is not there', new URL('file:///no/such/program.wasm')],
  ['a server that does not answer', 'http://localhost:1/program.wasm'],
  ['no URL', 'http://'],
])('%s: a named error, and the reason', async (_name, location) => {
  await expect(readModule(location)).rejects.toMatchObject({
    name: 'MemoryError',
    code: 'MODULE_UNREADABLE',
    message: expect.stringContaining(String(location)) as string,
    cause: expect.any(Error) as Error,
  });
});
