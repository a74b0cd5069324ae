/** What a panic within the engine leaves on the console: its words may quote rows, and consoles end up in logs. */
import { expect, test } from 'vitest';
import { TestProcess } from './support/process.ts';

const TIMEOUT_MS = 90_000;

async function printed(shows: boolean): Promise<string> {
  const process = new TestProcess('panic.ts', [String(shows)]);
  await process.ended();
  return process.errorText;
}

test('its place and the stack', { timeout: TIMEOUT_MS }, async () => {
  const text = await printed(false);
  expect(text).toMatch(/thread 'torn' panicked at .*wasm\.rs:\d+:\d+:\na message that may quote data, and is hidden\n/);
  expect(text).toMatch(/heddle_store_run/);
  expect(text).not.toContain('987654321');
});

test('and its words, where they are asked for', { timeout: TIMEOUT_MS }, async () => {
  expect(await printed(true)).toMatch(/thread 'torn' panicked at .*:\nno SQL thread 987654321 at 0xfeed\n/);
});
