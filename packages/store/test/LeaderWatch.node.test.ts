/**
 * A leader that says nothing any more: its followers ask it, then its deputy, and what they do depends on what that says.
 *
 * The leader here is the test, which answers as it likes; time is told by the test, too.
 */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Database } from '../src/index.ts';
import { type DeputyTalk, deputyChannel } from '../src/internal/tabs/deputy.ts';
import { leaderLock, tabLock } from '../src/internal/tabs/locks.ts';
import { Membership } from '../src/internal/tabs/Membership.ts';
import type { Greeting, Terms, ToFollower, ToLeader } from '../src/internal/tabs/messages.ts';
import { openPort } from '../src/internal/tabs/Port.ts';
import { startPeers } from './peer/startPeer.ts';
import { expectError } from './support/errors.ts';
import { column } from './support/rows.ts';

/** A leader that lends one thread, which answers nothing; and its follower. */
async function silentLeader() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const directory = `heddle-silent-${crypto.randomUUID()}`;
  const path = join(tmpdir(), `${directory}.sqlite`);
  const heard: string[] = [];
  const release = Promise.withResolvers<void>();
  for (const lock of [leaderLock(directory), tabLock(directory)]) {
    navigator.locks.request(lock, () => release.promise).catch(() => undefined);
  }
  let isSilent = false;
  const rendezvous = openPort<Greeting, Greeting>(`heddle-store:${directory}`);
  rendezvous.onMessage = (greeting) => {
    if (greeting.type !== 'hello' || isSilent) return;
    const session = openPort<ToLeader, ToFollower>(`heddle-store:${directory}:${greeting.session}`);
    session.onMessage = (message) => {
      heard.push(message.type);
      if (message.type === 'acquire') session.post({ type: 'granted', ticket: message.ticket, engine: 1, index: 0, lastId: 0 });
    };
    session.post({ type: 'welcome', tab: directory, threads: [] });
    onTestFinished(() => session.close());
  };
  const deputy = openPort<DeputyTalk, DeputyTalk>(deputyChannel(directory));
  const startEngine = async () => startPeers(1, path);
  const terms: Terms = { version: '1', durability: 'full' };
  const options = { directory, terms, startEngine, onRestart: undefined, onRole: undefined };
  const db = new Database(await Membership.join(options, undefined));
  onTestFinished(async () => {
    release.resolve();
    await db.close();
    rendezvous.close();
    deputy.close();
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(path + suffix, { force: true });
  });
  isSilent = true;
  return { db, heard, deputy };
}

/** Lets time pass, and messages arrive. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    vi.advanceTimersByTime(1000);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

test('while no call waits, nobody is asked', async () => {
  const { heard, deputy } = await silentLeader();
  const talk: DeputyTalk[] = [];
  deputy.onMessage = (message) => talk.push(message);
  await pass(60);
  expect([heard, talk]).toEqual([[], []]);
});

test('a leader whose deputy has patience is waited for', async () => {
  const { db, heard, deputy } = await silentLeader();
  deputy.onMessage = ({ session }) => deputy.post({ type: 'lives', session });
  const aborter = new AbortController();
  const call = expectError(db.exec('SELECT 1', [], { signal: aborter.signal }), 'ENGINE_RESTARTED');
  await pass(60);
  expect(heard).toContain('ping');
  expect(heard).not.toContain('bye');
  aborter.abort();
  await pass(1);
  expect(heard).toContain('interrupt');
  deputy.onMessage = undefined;
  await pass(30);
  await call;
});

test('where even the deputy says nothing, calls under way are told so, and the rest waits', async () => {
  const { db, heard } = await silentLeader();
  const call = expectError(db.exec('SELECT 1'), 'ENGINE_RESTARTED', /does not answer/);
  await pass(30);
  await call;
  expect(heard).toContain('bye');
  await expectError(db.exec('SELECT 1', [], { timeoutMs: 20 }), 'TIMEOUT');
});

test('where the deputy has taken the files, the lead is taken', async () => {
  const { db, deputy } = await silentLeader();
  deputy.onMessage = ({ session }) => deputy.post({ type: 'vacant', session });
  const call = expectError(db.exec('SELECT 1'), 'ENGINE_RESTARTED', /tab that ran it is gone/);
  await pass(10);
  await call;
  vi.useRealTimers();
  expect(await column(db, 'SELECT 1')).toEqual([1]);
  expect(db.role).toBe('leader');
});
