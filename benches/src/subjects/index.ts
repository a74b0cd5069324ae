/** The subjects that run wherever scripts do: in Node and in pages. */
import type { Host, HostName, Subject } from '../measurement.ts';
import { heddleTs as heddleTsLocks } from './atomics/heddle-ts.ts';
import { multithreading as multithreadingLocks, multithreadingBlocking as multithreadingLocksBlocking } from './atomics/multithreading.ts';
import { comlink } from './channel/comlink.ts';
import { heddleTs as heddleTsChannel, heddleTsInto } from './channel/heddle-ts.ts';
import { memcpy, waitNotify } from './channel/limits.ts';
import {
  multithreading as multithreadingChannel,
  multithreadingBlocking as multithreadingChannelBlocking,
} from './channel/multithreading.ts';
import { postMessageSubject } from './channel/postmessage.ts';
import { ringbuf } from './channel/ringbuf.ts';
import { rustSubjects } from './rust.ts';
import { wasmThread, wasmThreadFromMain } from './thread/wasmThread.ts';
import { waitNotify as waitNotifyThread } from './thread/wake.ts';
import { heddleRustFromMain, heddleRustPool, heddleTs, heddleTsPool, multithreading, worker } from './thread/spawning.ts';

const SUBJECTS: readonly Subject[] = [
  heddleTsLocks,
  multithreadingLocks,
  multithreadingLocksBlocking,
  heddleTsChannel,
  heddleTsInto,
  postMessageSubject,
  comlink,
  multithreadingChannel,
  multithreadingChannelBlocking,
  ringbuf,
  waitNotify,
  memcpy,
  heddleTs,
  heddleTsPool,
  heddleRustFromMain,
  heddleRustPool,
  worker,
  waitNotifyThread,
  multithreading,
];

/** Those that only pages have what they need for. */
const PAGE_SUBJECTS: readonly Subject[] = [wasmThread, wasmThreadFromMain];

/** The host that this script runs in. */
export function scriptHost(name: HostName): Host {
  const rust = rustSubjects();
  const ofPages = name === 'node' ? [] : PAGE_SUBJECTS;
  return { name, subjects: [...SUBJECTS, ...ofPages, ...rust.subjects], close: () => rust.close() };
}
