/** Starts the stand-in for the engine: see `worker.ts`. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { channel, type ReceiverHandle, type SenderHandle } from '@heddle/channel';
import { onTestFinished } from 'vitest';
import { ConnectionRecord } from '../../src/internal/ConnectionRecord.ts';
import type { Engine } from '../../src/internal/Engine.ts';
import { EngineKeeper } from '../../src/internal/EngineKeeper.ts';
import { CONNECTION_SIZE } from '../../src/internal/layout.ts';
import { type EngineMemory, SqlThread } from '../../src/internal/SqlThread.ts';
import { Database, HeddleStoreError } from '../../src/index.ts';

/** What a peer's worker is started with. */
export interface PeerData {
  readonly requests: ReceiverHandle;
  readonly responses: SenderHandle;
  readonly record: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  readonly path: string;
}

const MEMORY_SIZE = 1 << 20;

/** How the stand-ins fail. */
export interface PeerOptions {
  /** What is called to restart them; given up where it throws. Without it they aren't restarted. */
  readonly onRestart?: (() => void) | undefined;
}

/** A database whose SQL threads are stand-ins. Its file is gone when the test has finished. */
export async function peerDatabase(threadCount: number, options: PeerOptions = {}): Promise<Database> {
  const path = join(tmpdir(), `heddle-peer-${crypto.randomUUID()}.sqlite`);
  const db = new Database(new EngineKeeper(startPeers(threadCount, path, options)));
  onTestFinished(async () => {
    await db.close();
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(path + suffix, { force: true });
  });
  return db;
}

/** Stand-ins over one file, as an engine. */
export function startPeers(threadCount: number, path: string, { onRestart }: PeerOptions = {}): Engine {
  const buffer = new SharedArrayBuffer(MEMORY_SIZE);
  const write = (address: number, bytes: Uint8Array): void => new Uint8Array(buffer, address, bytes.length).set(bytes);
  const memory = { buffer, write };
  new Int32Array(memory.buffer)[0] = 8;
  const peers = Array.from({ length: threadCount }, (_, index) => startThread(index, memory, path));
  const threads = peers.map(({ thread }) => thread);
  const stop = async (): Promise<void> => {
    if (engine.failure) await Promise.all(peers.map(({ worker }) => worker.terminate()));
    for (const { link } of threads) {
      link.requests.close();
      link.responses.close();
    }
    await Promise.all(peers.map(({ ended }) => ended));
  };
  const restart = async (): Promise<Engine> => {
    await stop();
    onRestart?.();
    return startPeers(threadCount, path, { onRestart });
  };
  const engine: { -readonly [K in keyof Engine]: Engine[K] } = {
    threads,
    queue: undefined,
    failure: undefined,
    onFailure: undefined,
    restart: onRestart && restart,
    close: stop,
    abandon: () => void stop(),
    abandonBeforeFreezing: () => void stop(),
  };
  for (const { worker, thread } of peers) {
    worker.on('exit', (code) => {
      if (code === 0 || engine.failure) return;
      const error = new HeddleStoreError('ENGINE_FAILED', 'a SQL thread ended');
      engine.failure = { error, culprit: thread };
      engine.onFailure?.(engine.failure);
    });
  }
  return engine;
}

function startThread(index: number, memory: EngineMemory & { readonly buffer: SharedArrayBuffer }, path: string) {
  const requests = channel({ ringByteLength: 4096 });
  const responses = channel({ ringByteLength: 4096 });
  const record = new SharedArrayBuffer(CONNECTION_SIZE);
  const workerData: PeerData = {
    requests: requests.receiver.handle(),
    responses: responses.sender.handle(),
    record,
    memory: memory.buffer,
    path,
  };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData });
  const link = {
    requests: requests.sender,
    responses: responses.receiver,
    record: new ConnectionRecord(record, 0),
    memory,
    check: () => {},
  };
  return { thread: new SqlThread(index, link), worker, ended: once(worker, 'exit') };
}
