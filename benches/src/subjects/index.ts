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

/** The host that this script runs in. */
export function scriptHost(name: HostName): Host {
  const rust = rustSubjects();
  return { name, subjects: [...SUBJECTS, ...rust.subjects], close: () => rust.close() };
}
