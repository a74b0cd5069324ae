/** When a request that was told to stop is given up, on a record that the test writes in the engine's place. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ConnectionRecord } from '../src/internal/ConnectionRecord.ts';
import { HeedWatch } from '../src/internal/HeedWatch.ts';
import { CONNECTION_PROGRESS_OFFSET, CONNECTION_REQUEST_OFFSET, CONNECTION_SIZE } from '../src/internal/layout.ts';

const HEED_MS = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A SQL thread that runs request 7. */
function running() {
  const words = new Int32Array(new SharedArrayBuffer(CONNECTION_SIZE));
  const record = new ConnectionRecord(words.buffer, 0);
  let given = 0;
  const watch = new HeedWatch(record, HEED_MS, () => given++);
  record.onCancel = () => watch.begin();
  const request = (id: number): void => void (words[CONNECTION_REQUEST_OFFSET / 4] = id);
  const goOn = (): void => void Atomics.add(words, CONNECTION_PROGRESS_OFFSET / 4, 2);
  /** Begins a wait, or ends it. */
  const wait = (): void => void Atomics.add(words, CONNECTION_PROGRESS_OFFSET / 4, 1);
  request(7);
  return { record, watch, request, goOn, wait, given: () => given };
}

test('one that does nothing is given up, once, after its time', () => {
  const { record, given } = running();
  record.cancel(7);
  vi.advanceTimersByTime(HEED_MS - 1);
  expect(given()).toBe(0);
  vi.advanceTimersByTime(1);
  expect(given()).toBe(1);
  vi.advanceTimersByTime(3 * HEED_MS);
  expect(given()).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('one that goes on is not, however long it takes', () => {
  const { record, goOn, given } = running();
  record.cancel(7);
  for (let time = 0; time < 10 * HEED_MS; time += HEED_MS / 2) {
    vi.advanceTimersByTime(HEED_MS / 2);
    goOn();
  }
  expect(given()).toBe(0);
  vi.advanceTimersByTime(2 * HEED_MS);
  expect(given()).toBe(1);
});

test('one that waits is not, however long', () => {
  const { record, goOn, wait, given } = running();
  record.cancel(7);
  wait();
  vi.advanceTimersByTime(10 * HEED_MS);
  expect(given()).toBe(0);
  // It goes on, and computes.
  wait();
  vi.advanceTimersByTime(HEED_MS / 2);
  goOn();
  vi.advanceTimersByTime(HEED_MS / 2);
  expect(given()).toBe(0);
  vi.advanceTimersByTime(HEED_MS);
  expect(given()).toBe(1);
});

test('one that has ended is not, nor the next one', () => {
  const { record, request, given } = running();
  record.cancel(7);
  vi.advanceTimersByTime(HEED_MS / 2);
  request(8);
  vi.advanceTimersByTime(3 * HEED_MS);
  expect(given()).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  record.cancel(8);
  vi.advanceTimersByTime(HEED_MS);
  expect(given()).toBe(1);
});

test('a second interruption gives no more time, an end gives all', () => {
  const { record, watch, given } = running();
  record.cancel(7);
  vi.advanceTimersByTime(HEED_MS / 2);
  record.cancel(7);
  vi.advanceTimersByTime(HEED_MS / 2);
  expect(given()).toBe(1);
  record.cancel(7);
  watch.end();
  vi.advanceTimersByTime(3 * HEED_MS);
  expect(given()).toBe(1);
});

test('what nobody told to stop is not looked after', () => {
  const { record } = running();
  record.cancel(6);
  expect(vi.getTimerCount()).toBe(0);
});
