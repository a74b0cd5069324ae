/** Databases for tests, gone with the test that opened them. */
import './noBlocking.ts';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { type Database, open, type OpenOptions } from '../../src/index.ts';
import { isNode, nodeModule } from './host.ts';

/** A directory that doesn't exist yet, removed when the test has finished. */
export async function temporaryLocation(): Promise<string> {
  const { location, remove } = await newDirectory();
  onTestFinished(remove);
  return location;
}

/** For how long a worker that ends may keep its files. */
const RELEASED_MS = 20_000;

async function newDirectory(): Promise<{ location: string; remove: () => Promise<void> }> {
  const name = `heddle-test-${crypto.randomUUID()}`;
  if (isNode) {
    const { rm } = await nodeModule<typeof import('node:fs/promises')>('node:fs/promises');
    const { tmpdir } = await nodeModule<typeof import('node:os')>('node:os');
    const location = `${tmpdir()}/${name}`;
    return { location, remove: () => rm(location, { recursive: true, force: true }) };
  }
  const remove = async () => {
    const root = await navigator.storage.getDirectory();
    const deadline = performance.now() + RELEASED_MS;
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- until it is gone
        return await root.removeEntry(name, { recursive: true });
      } catch (error) {
        const { name: reason } = error as DOMException;
        if (reason === 'NotFoundError') return;
        // A worker that was terminated keeps its files until it has ended.
        if (reason !== 'NoModificationAllowedError' || performance.now() > deadline) throw error;
      }
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { location: name, remove };
}

/** Far above what an engine's start and end take, on a machine that has much else to do. */
const HOOK_TIMEOUT_MS = 180_000;

/** Opens a database that is closed when the test has finished. */
export async function openForTest(location: string, options: OpenOptions = {}): Promise<Database> {
  const db = await open(location, { threads: 2, ...options });
  onTestFinished(() => db.close());
  return db;
}

/** A database in memory. */
export function memoryDatabase(options: OpenOptions = {}): Promise<Database> {
  return openForTest('memory:', options);
}

/** A database in a directory of its own. */
export async function directoryDatabase(options: OpenOptions = {}): Promise<Database> {
  return openForTest(await temporaryLocation(), options);
}

/** Both kinds of location, for `describe.each`. */
export const LOCATIONS: readonly (readonly [string, (options?: OpenOptions) => Promise<Database>])[] = [
  ['in memory', memoryDatabase],
  ['in a directory', directoryDatabase],
];

/**
 * One database for all tests of a file or `describe`, because starting an engine takes a second. Call the result to get it. Whoever
 * needs tables replaces those that others left.
 */
export function sharedDatabase(location: 'memory:' | 'directory', options: OpenOptions = {}): () => Database {
  let database: Database | undefined;
  let remove: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    const directory = location === 'memory:' ? undefined : await newDirectory();
    remove = directory?.remove;
    database = await open(directory?.location ?? location, { threads: 2, ...options });
  }, HOOK_TIMEOUT_MS);
  afterAll(async () => {
    await database?.close();
    await remove?.();
  }, HOOK_TIMEOUT_MS);
  return () => {
    if (!database) throw new Error('the database is opened before the first test, not earlier');
    return database;
  };
}

/** Both kinds of location, for `describe.each` with shared databases. */
export const SHARED_LOCATIONS = [
  ['in memory', 'memory:'],
  ['in a directory', 'directory'],
] as const;
