/**
 * Data survive a reload, and a page that was left in the middle of its work lets go of its files.
 */
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import type { ReloadPage } from './pages/reload.ts';
import { BROWSERS, launch, PageServer } from './support/pages.ts';

declare const page: ReloadPage;

const server = new PageServer();

describe.each(BROWSERS)(
  'in %s',
  (name) => {
    const goto = (tab: Page) => server.goto(tab, 'reload.html');

    test('what was written is there after each reload, though nothing was closed', async () => {
      const tab = await (await launch(name)).newPage();
      for (let visit = 1; visit <= 3; visit++) {
        await goto(tab);
        expect(await tab.evaluate(() => page.visit())).toEqual(Array.from({ length: visit }, (_, index) => index + 1));
      }
    });

    test('a page that is left while it writes loses nothing that it was told is safe', async () => {
      const tab = await (await launch(name)).newPage();
      let first = 1;
      for (let round = 0; round < 3; round++) {
        await goto(tab);
        await tab.evaluate((from) => void page.write(from), first);
        await tab.waitForFunction((from) => Number(localStorage.getItem('acknowledged')) > from, first + 3 * round);
        await goto(tab);
        const { acknowledged, batches, broken } = await tab.evaluate(() => page.check());
        expect(broken).toEqual([]);
        expect(batches.length).toBe(batches.at(-1));
        expect(batches.at(-1)).toBeGreaterThanOrEqual(acknowledged);
        first = (batches.at(-1) ?? 0) + 1;
      }
    });

    test('a second page that shares nothing is told that the first has the database, and gets it when the first is closed', async () => {
      const context = await launch(name);
      const [one, other] = [await context.newPage(), await context.newPage()];
      await goto(one);
      await one.evaluate(() => page.visit());
      await goto(other);
      const code = await other.evaluate(() =>
        page.visit({ share: false }).then(
          () => 'opened',
          (error: { code: string }) => error.code,
        ),
      );
      expect(code).toBe('LOCKED');
      await one.close();
      await goto(other);
      expect(await other.evaluate(() => page.visit())).toEqual([1, 2]);
    });
  },
  120_000,
);
