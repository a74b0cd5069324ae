import { expect, onTestFinished, test } from 'vitest';
import { open } from '../src/index.ts';
import { expectError } from './support/errors.ts';

test('a page that is not cross-origin isolated is told what is wrong and how to mend it', async () => {
  expect(globalThis.crossOriginIsolated).toBe(true);
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'crossOriginIsolated');
  Object.defineProperty(globalThis, 'crossOriginIsolated', { value: false, configurable: true });
  onTestFinished(() => {
    if (descriptor) Object.defineProperty(globalThis, 'crossOriginIsolated', descriptor);
    else Reflect.deleteProperty(globalThis, 'crossOriginIsolated');
  });
  await expectError(
    open('memory:'),
    'NOT_CROSS_ORIGIN_ISOLATED',
    /Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/,
  );
});

test.each(['..', 'a/../b', 'a\\b', '/', '.'])('the directory name %j is MISUSE', async (name) => {
  await expectError(open(name), 'MISUSE', /directory/);
});

test('a URL is MISUSE', async () => {
  await expectError(open(new URL('https://example.com/')), 'MISUSE', /name/);
});
