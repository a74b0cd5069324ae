/** The page never freezes: its main thread can't block, and its longest pause under load is measured and printed. */
import { expect, importFlights, openPlayground, test } from './fixtures.ts';

/** `npm run test:long` does the same with all flights. */
const LONG = process.env['HEDDLE_LONG_MINUTES'] !== undefined;
const ANSWER_TIMEOUT_MS = LONG ? 300_000 : 120_000;

test('while four threads work on the flights, the page goes on drawing and answering', async ({ page, browserName }) => {
  test.setTimeout(LONG ? 900_000 : 240_000);
  await page.addInitScript(() => {
    Atomics.wait = () => {
      throw new Error('Atomics.wait on the main thread');
    };
  });
  await openPlayground(page);
  const rows = LONG ? 3_000_000 : 200_000;
  await importFlights(page, rows);
  const pulse = page.locator('#pulse');
  const pauseMs = async (): Promise<number> => Number(await pulse.getAttribute('data-longest-pause-ms'));
  const importPauseMs = await pauseMs();

  await expect(page.locator('#lanes li')).toHaveCount(5);
  await page.getByRole('button', { name: 'Reset' }).click();
  for (const name of LONG ? ['full-scan', 'group-by', 'insert-beside-readers'] : ['full-scan', 'insert-beside-readers']) {
    await page.locator(`[data-query="${name}"]`).click();
    await expect(page.locator('#race')).toBeEnabled({ timeout: ANSWER_TIMEOUT_MS });
    await page.locator('#race').click();
    // The page answers while its threads are busy.
    await expect(page.locator('#race')).toBeDisabled();
    await page.locator('#theme').click();
    await expect(page.locator('#race-result')).toHaveAttribute('data-all-ms', /\d/, { timeout: ANSWER_TIMEOUT_MS });
  }
  const queriesPauseMs = await pauseMs();
  expect(queriesPauseMs).toBeGreaterThan(0);
  const text = `${browserName}: longest pause of the main thread ${importPauseMs} ms during the import of ${rows} flights, ${queriesPauseMs} ms while four threads queried them`;
  test.info().annotations.push({ type: 'pause', description: text });
  console.log(text);
});
