import { readFlights } from '@heddle/demo/dataset';
import { QUERIES } from '@heddle/demo/queries';
import { expect, importFlights, openPlayground, resultRows, runOwnSql, runQuery, test } from './fixtures.ts';

const ROWS = 200_000;

/** What the full scan must give, from the file itself through another Parquet reader. */
async function totals(rows: number): Promise<string[]> {
  let delay = 0;
  let distance = 0;
  for await (const { count, columns } of readFlights(rows)) {
    for (let index = 0; index < count; index++) {
      delay += Number(columns.delay[index]);
      distance += Number(columns.distance[index]);
    }
  }
  return [rows, delay, distance].map(String);
}

test('flights are imported, every query answers, and the data outlive a reload', async ({ page }) => {
  await openPlayground(page);
  await importFlights(page, ROWS);

  await runQuery(page, 'full-scan');
  expect(await resultRows(page, 'demo-result')).toEqual([await totals(ROWS)]);
  for (const { name } of QUERIES) {
    await runQuery(page, name);
    expect(await resultRows(page, 'demo-result'), name).not.toEqual([]);
  }

  await page.reload();
  await expect(page.locator('body')).toHaveAttribute('data-state', 'ready');
  await expect(page.locator('#rows-present')).toHaveText('200,000');
  await runQuery(page, 'full-scan');
  expect(await resultRows(page, 'demo-result')).toEqual([await totals(ROWS)]);
});

test('own SQL gives rows, a chart, or an error in words', async ({ page }) => {
  await openPlayground(page);
  await importFlights(page, ROWS);

  await runOwnSql(page, 'SELECT origin, count(*) AS flights FROM flights WHERE id <= 5 GROUP BY origin ORDER BY origin');
  await expect(page.locator('#own-result figure svg')).toBeVisible();
  expect(await resultRows(page, 'own-result')).toEqual([
    ['ANC', '1'],
    ['ATL', '1'],
    ['LAS', '1'],
    ['MCI', '1'],
    ['RIC', '1'],
  ]);

  await runOwnSql(page, 'SELECT id FROM flights ORDER BY id');
  await expect(page.locator('#own-result')).toContainText('the first 1,000 rows');

  await runOwnSql(page, 'SELECT delai FROM flights');
  await expect(page.locator('#own-result').getByRole('alert')).toContainText('no such column: delai', { ignoreCase: true });
  await runOwnSql(page, 'SELECT count(*) AS n FROM flights');
  expect(await resultRows(page, 'own-result')).toEqual([[String(ROWS)]]);
});

test('the count of SQL threads changes under the same data, and a race uses them', async ({ page }) => {
  await openPlayground(page);
  await importFlights(page, ROWS);
  for (const threads of [2, 4]) {
    await page.locator(`input[name="threads"][value="${threads}"]`).check({ force: true });
    await expect(page.locator('#lanes li')).toHaveCount(threads + 1);
    await expect(page.locator('body')).toHaveAttribute('data-state', 'ready');
    await runQuery(page, 'full-scan');
    expect(await resultRows(page, 'demo-result')).toEqual([await totals(ROWS)]);
    await page.getByRole('button', { name: `Race 1 against ${threads} threads` }).click();
    await expect(page.locator('#race-result')).toHaveAttribute('data-all-ms', /\d/, { timeout: 60_000 });
    expect(await resultRows(page, 'demo-result')).toEqual([await totals(ROWS)]);
  }
});

test('the import can be given up, and leaves nothing behind', async ({ page }) => {
  await openPlayground(page);
  await page.locator('input[name="rows"][value="3000000"]').check({ force: true });
  await page.getByRole('button', { name: 'Import flights' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.locator('body')).toHaveAttribute('data-state', 'empty');
  await runOwnSql(page, 'SELECT count(*) FROM flights');
  await expect(page.locator('#own-result').getByRole('alert')).toContainText('no such table', { ignoreCase: true });
});

test('removed data are gone, and can be imported again', async ({ page }) => {
  await openPlayground(page);
  await importFlights(page, ROWS);
  await page.getByRole('button', { name: 'Remove' }).click();
  await expect(page.locator('body')).toHaveAttribute('data-state', 'empty');
  await importFlights(page, ROWS);
});

test('a second tab shares the database, and takes over when the first is closed', async ({ page, context }) => {
  await openPlayground(page);
  await importFlights(page, ROWS);
  const second = await context.newPage();
  await openPlayground(second);
  await expect(page.locator('#role')).toBeHidden();
  await expect(second.locator('#role')).toBeVisible();
  await expect(second.locator('#rows-present')).toHaveText('200,000');
  for (const tab of [second, page]) {
    await runQuery(tab, 'full-scan');
    expect(await resultRows(tab, 'demo-result')).toEqual([await totals(ROWS)]);
  }
  await page.close();
  await expect(second.locator('#role')).toBeHidden();
  await runQuery(second, 'full-scan');
  expect(await resultRows(second, 'demo-result')).toEqual([await totals(ROWS)]);
});
