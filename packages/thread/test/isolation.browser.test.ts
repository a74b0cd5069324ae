import { expect, onTestFinished, test, vi } from 'vitest';
import { WasmRuntime } from '../src/index.ts';
import { modules } from './modules.ts';

test('a page that is not cross-origin isolated is told which headers are missing', async () => {
  vi.stubGlobal('crossOriginIsolated', false);
  try {
    const starting = WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'NOT_CROSS_ORIGIN_ISOLATED' });
    await expect(starting).rejects.toThrow(/Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/);
  } finally {
    vi.unstubAllGlobals();
  }
});

test('a main thread may not join blocking, and is told so', async () => {
  const runtime = await WasmRuntime.start({ ...modules.threadTesting, threads: 1 });
  onTestFinished(() => runtime.close());
  expect(runtime.mayBlock).toBe(false);
  const thread = runtime.spawn('add', 1, 1);
  expect(() => thread.joinBlocking()).toThrow(expect.objectContaining({ code: 'WOULD_BLOCK' }));
  expect(await thread.join()).toBe(2);
});
