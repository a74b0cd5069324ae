/** That a thread which waits for a channel says so to whoever has started it. The thread is this one, which a browser's main thread can't be. */
import { blockingWaitKind, setOwnWaits } from '@heddle/atomics/internal';
import { afterEach, expect, test } from 'vitest';
import { broadcast, channel, select, watch } from '../src/index.ts';

afterEach(() => setOwnWaits(undefined));

/** What `wait` tells that it waits for, until its time runs out; which it may have before this thread sleeps. */
function waitsOf(wait: () => unknown): Set<string> {
  const kinds = new Set<string>();
  setOwnWaits({ begin: (purpose) => void kinds.add(blockingWaitKind(purpose)), end() {} });
  for (let attempt = 0; attempt < ATTEMPTS_MAX && kinds.size === 0; attempt += 1) {
    expect(wait).toThrow(expect.objectContaining({ code: 'TIMEOUT' }));
  }
  return kinds;
}

const timeoutMs = 5;
const ATTEMPTS_MAX = 100;

test('receivers and senders of each kind of channel, and a select', () => {
  const bounded = channel({ capacity: 1 });
  expect(waitsOf(() => bounded.receiver.recv({ timeoutMs }))).toEqual(new Set(['channel']));
  expect(waitsOf(() => select({ only: { recv: bounded.receiver } }, { timeoutMs }))).toEqual(new Set(['channel']));
  bounded.sender.send(new Uint8Array(1));
  expect(waitsOf(() => bounded.sender.send(new Uint8Array(1), { timeoutMs }))).toEqual(new Set(['channel']));
  const rendezvous = channel({ capacity: 0 });
  expect(waitsOf(() => rendezvous.sender.send(new Uint8Array(1), { timeoutMs }))).toEqual(new Set(['channel']));
  const all = broadcast({ capacity: 1 });
  expect(waitsOf(() => all.receiver.recv({ timeoutMs }))).toEqual(new Set(['channel']));
  const latest = watch(new Uint8Array(1));
  expect(waitsOf(() => latest.receiver.changed({ timeoutMs }))).toEqual(new Set(['channel']));
});
