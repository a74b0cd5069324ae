/**
 * The deputy's script: a worker of the tab that leads, which answers when the main thread doesn't.
 *
 * A lock can be taken from a tab whose main thread hangs, but not its files: its workers live on, and its I/O thread keeps them open. So a
 * follower that hears nothing asks here. If the main thread doesn't answer the deputy either, the deputy has the I/O thread close the
 * files, waits until the directory's lock is free, and says that the lead can be taken. What the engine still wants to read or write then
 * fails; nothing of it becomes durable.
 */

import { closeQueue, type IoQueueLocation } from '../io/IoServer.ts';
import { directoryLock } from '../io/webLock.ts';
import { type DeputyOrder, type DeputyReport, type DeputyTalk, deputyChannel, MAIN_ANSWER_MS_MAX } from './deputy.ts';
import { whenFree } from './locks.ts';
import { type Greeting, rendezvousChannel } from './messages.ts';
import { openPort } from './Port.ts';

/** A worker's global scope, as far as it is used here: the DOM's types have only the page's. */
const scope = globalThis as unknown as {
  postMessage(message: DeputyReport): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<DeputyOrder>) => void): void;
};

/** How long the I/O thread may take to close the files. */
const CLOSE_MS_MAX = 10_000;

/** How long a follower may take to become the leader, before another is told to. */
const HEIR_MS_MAX = 10_000;

let queue: IoQueueLocation | undefined;
let heard: (() => void) | undefined;

scope.addEventListener('message', ({ data }) => {
  if (data.type === 'answer') heard?.();
  else if (data.type === 'guard') queue = data.queue;
  else start(data.directory);
});

function start(directory: string): void {
  const port = openPort<DeputyTalk, DeputyTalk>(deputyChannel(directory));
  let deciding: Promise<boolean> | undefined;
  /** The one that is told to take the lead, and when. */
  let heir: { readonly session: string; readonly timeMs: number } | undefined;
  const reply = async (session: string): Promise<void> => {
    deciding ??= depose(directory);
    const isVacant = await deciding;
    // Once vacant, it stays so.
    if (!isVacant) deciding = undefined;
    else if (!heir || performance.now() - heir.timeMs > HEIR_MS_MAX) heir = { session, timeMs: performance.now() };
    port.post({ type: session === heir?.session ? 'vacant' : 'lives', session });
  };
  port.onMessage = (message) => {
    if (message.type === 'hangs') void reply(message.session);
  };
  // Once another tab leads, its deputy is asked. This tab hears of it when it goes on.
  const rendezvous = openPort<Greeting, Greeting>(rendezvousChannel(directory));
  rendezvous.onMessage = ({ type }) => {
    if (type === 'lead') port.close();
  };
}

/** Takes the files from a main thread that doesn't answer. Returns whether they are free. */
async function depose(directory: string): Promise<boolean> {
  if ((await answers()) || !queue) return false;
  closeQueue(queue);
  // Whatever becomes of it: when the main thread goes on, its engine is of no use.
  report({ type: 'deposed' });
  // Where the engine was just being restarted, its I/O thread waits for the main thread, and lets nothing go.
  return whenFree(directoryLock(directory), AbortSignal.timeout(CLOSE_MS_MAX));
}

/** Whether the main thread answers. */
function answers(): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), MAIN_ANSWER_MS_MAX);
    heard = () => {
      clearTimeout(timer);
      resolve(true);
    };
    report({ type: 'ask' });
  });
}

function report(message: DeputyReport): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
  scope.postMessage(message);
}
