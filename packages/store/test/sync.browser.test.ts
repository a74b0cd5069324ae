/**
 * That a commit is flushed before it is answered: a test that closes or kills a tab passes without any flush, for the browser has what was
 * written. So the flushes of the I/O thread are counted, in the thread itself.
 */
import { expect, onTestFinished, test } from 'vitest';
import { type Durability, open } from '../src/index.ts';
import { temporaryLocation } from './support/database.ts';

/** Counts flushes in the word that the first message brings, and then is the script that it stands for. */
const counting = (script: string): string => `
  const early = [];
  const keep = (event) => { event.stopImmediatePropagation(); early.push(event.data); };
  addEventListener('message', ({ data: count }) => {
    const { flush } = FileSystemSyncAccessHandle.prototype;
    FileSystemSyncAccessHandle.prototype.flush = function () {
      const result = flush.call(this);
      Atomics.add(count, 0, 1);
      return result;
    };
    addEventListener('message', keep);
    import(${JSON.stringify(script)}).then(() => {
      removeEventListener('message', keep);
      for (const data of early) dispatchEvent(new MessageEvent('message', { data }));
    });
  }, { once: true });`;

/** Has the I/O threads that are started from now on count their flushes. */
function countFlushes(): Int32Array {
  const count = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      if (options?.name !== 'heddle store I/O') {
        super(url, options);
        return;
      }
      const script = new Blob([counting(new URL(url, location.href).href)], { type: 'text/javascript' });
      super(URL.createObjectURL(script), options);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no origin
      this.postMessage(count);
    }
  };
  onTestFinished(() => {
    globalThis.Worker = Worker;
  });
  return count;
}

const COMMITS = 5;

/** How often each commit of single rows was flushed: those of a Tonbo table, and those of an ordinary one. */
async function flushesOfCommits(durability: Durability): Promise<number[]> {
  const count = countFlushes();
  const db = await open(await temporaryLocation(), { threads: 1, durability, share: false });
  onTestFinished(() => db.close());
  await db.exec('CREATE VIRTUAL TABLE items USING tonbo(id INTEGER PRIMARY KEY); CREATE TABLE ordinary(id INTEGER PRIMARY KEY)');
  const flushes: number[] = [];
  for (let id = 0; id < COMMITS; id++) {
    for (const table of ['items', 'ordinary']) {
      const before = Atomics.load(count, 0);
      await db.exec(`INSERT INTO ${table} VALUES (?)`, [id]);
      flushes.push(Atomics.load(count, 0) - before);
    }
  }
  await db.query('PRAGMA wal_checkpoint(FULL)').all();
  // The counting itself: files are made durable under every level.
  expect(Atomics.load(count, 0)).toBeGreaterThan(flushes.reduce((sum, each) => sum + each, 0));
  return flushes;
}

test('each commit is flushed before its answer, with durability full', async () => {
  const flushes = await flushesOfCommits('full');
  expect(flushes.filter((each) => each === 0)).toEqual([]);
}, 120_000);

test('no commit waits for a flush, with durability relaxed', async () => {
  // What moves rows to Tonbo in the background flushes the logs before, perhaps beside a commit; hardly beside each.
  expect(await flushesOfCommits('relaxed')).toContain(0);
}, 120_000);
