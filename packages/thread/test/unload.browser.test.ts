/**
 * What is left of a page's workers: nothing, whether the page was left in the midst of all, or closed what it had, as before a hot replacement
 * of its modules. Each worker holds a Web Lock for as long as it lives, which all pages of the origin see.
 */
import { expect, onTestFinished, test } from 'vitest';
import { start } from './fixtures/busyPage.ts';

/** Two of the runtime, one of the pool, one of a thread. */
const WORKER_COUNT = 4;

/** The locks of all workers. */
async function locks(): Promise<string[]> {
  const { held = [] } = await navigator.locks.query();
  return held.filter(({ name }) => name?.startsWith('heddle-thread-')).map(({ name, clientId }) => `${name} ${clientId}`);
}

/** Counts the workers that start from now on: those of the page before may still be ending, for Chromium takes two seconds to end one that blocks. */
async function countWorkers(): Promise<() => Promise<number>> {
  const before = new Set(await locks());
  return async () => (await locks()).filter((lock) => !before.has(lock)).length;
}

/** Resolves when there are so many workers. */
async function until(wanted: number, count: () => Promise<number>): Promise<void> {
  /* oxlint-disable no-await-in-loop -- looks until it is so */
  while ((await count()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  /* oxlint-enable no-await-in-loop */
}

test('a page that is left takes all of its workers along', async () => {
  const count = await countWorkers();
  const frame = document.createElement('iframe');
  onTestFinished(() => frame.remove());
  frame.src = new URL('./fixtures/empty.html', import.meta.url).href;
  const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  document.body.append(frame);
  await loaded;
  const script = frame.contentDocument!.createElement('script');
  script.type = 'module';
  script.textContent = `
    import { start } from ${JSON.stringify(new URL('./fixtures/busyPage.ts', import.meta.url).href)};
    const tell = (detail) => parent.dispatchEvent(new CustomEvent('frame', { detail }));
    start().then(() => tell('busy'), (error) => tell(String(error.stack)));`;
  const told = new Promise((resolve) => addEventListener('frame', (event) => resolve((event as CustomEvent).detail), { once: true }));
  frame.contentDocument!.head.append(script);
  expect(await told).toBe('busy');
  await until(WORKER_COUNT, count);
  frame.remove();
  await until(0, count);
  expect(await count()).toBe(0);
});

test('what was closed leaves no worker', async () => {
  const count = await countWorkers();
  const close = await start();
  await until(WORKER_COUNT, count);
  await close();
  await until(0, count);
  expect(await count()).toBe(0);
});
