/**
 * A worker that is terminated while the page or process stays: the engine is restarted. Node tells of a worker's end; browsers tell by the lock
 * that each worker holds as long as it lives.
 */
import { expect, onTestFinished, test } from 'vitest';
import { open } from '../src/index.ts';
import { temporaryLocation } from './support/database.ts';
import { expectError } from './support/errors.ts';
import { isNode, nodeModule } from './support/host.ts';
import { countRows, createItems } from './support/rows.ts';

const ENDLESS_COUNT = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';

/** Workers by their names in the tools of developers. */
const IO = 'heddle store I/O';
const WORKERS = [IO, 'heddle store supervisor'] as const;

type WorkerClass = new (script: string | URL, options?: { name?: string }) => { terminate(): unknown };

/** The workers that this thread creates from now on, by name. */
async function recordWorkers(): Promise<Map<string, InstanceType<WorkerClass>>> {
  const created = new Map<string, InstanceType<WorkerClass>>();
  const recording = (Original: WorkerClass): WorkerClass =>
    class extends Original {
      constructor(script: string | URL, options?: { name?: string }) {
        super(script, options);
        created.set(options?.name ?? '', this);
      }
    };
  const holder: { Worker: WorkerClass } = isNode
    ? await nodeModule<{ default: { Worker: WorkerClass } }>('node:worker_threads').then((module) => module.default)
    : globalThis;
  const update = isNode ? (await nodeModule<typeof import('node:module')>('node:module')).syncBuiltinESMExports : () => {};
  const { Worker } = holder;
  holder.Worker = recording(Worker);
  update();
  onTestFinished(() => {
    holder.Worker = Worker;
    update();
  });
  return created;
}

test.each(WORKERS)('%s is terminated', { timeout: 120_000 }, async (name) => {
  const created = await recordWorkers();
  const location = await temporaryLocation();
  const db = await open(location, { threads: 1, share: false });
  await createItems(db, 10);
  const worker = created.get(name);
  expect([...created.keys()]).toContain(name);
  onTestFinished(() => db.close());
  const running = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED');
  worker?.terminate();
  await running;
  expect(await countRows(db, 'items')).toBe(10);
  await db.exec('INSERT INTO items(id) VALUES (11)');
  expect(await countRows(db, 'items')).toBe(11);
});

test('a database that is closed restarts nothing, though its workers end', { timeout: 120_000 }, async () => {
  let restarts = 0;
  const db = await open(await temporaryLocation(), { threads: 1, share: false, onRestart: () => restarts++ });
  await createItems(db, 10);
  await db.close();
  // Longer than the last report of a worker is waited for.
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(restarts).toBe(0);
});
