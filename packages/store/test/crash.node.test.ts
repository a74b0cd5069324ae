/**
 * A process that is killed loses nothing that it had acknowledged, and leaves no transaction half there.
 *
 * `HEDDLE_SEED` repeats a run.
 */
import { expect, test } from 'vitest';
import { openForTest, temporaryLocation } from './support/database.ts';
import { TestProcess } from './support/process.ts';
import { column } from './support/rows.ts';
import { PARTS } from './processes/writer.ts';

const KILLS = 20;
const ACKNOWLEDGED_MAX = 60;
const DELAY_MS_MAX = 8;

test('SIGKILL at random points', async () => {
  const seed = Number(process.env['HEDDLE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const random = generator(seed);
  const location = await temporaryLocation();
  const acknowledged: number[] = [];
  let first = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const writer = new TestProcess('writer.ts', [location, String(first)]);
    await writer.written(1 + random(ACKNOWLEDGED_MAX));
    await new Promise((resolve) => setTimeout(resolve, random(DELAY_MS_MAX)));
    await writer.kill();
    acknowledged.push(...writer.lines.map(Number));

    const db = await openForTest(location);
    const batches = await db
      .query<{ batch: number; parts: number }>('SELECT batch, count(*) AS parts FROM parts GROUP BY batch ORDER BY batch')
      .all();
    const context = `seed ${seed}, kill ${kill + 1}`;
    const present = new Set(batches.map(({ batch }) => batch));
    expect(
      acknowledged.filter((batch) => !present.has(batch)),
      `${context}: acknowledged and lost`,
    ).toEqual([]);
    expect(
      batches.filter(({ parts }) => parts !== PARTS),
      `${context}: half there`,
    ).toEqual([]);
    const odd = [...present].filter((batch) => batch % 2 === 1);
    expect(await column(db, 'SELECT batch FROM odd ORDER BY batch'), `${context}: the ordinary table`).toEqual(odd);
    expect(await column(db, 'SELECT sum(batches) FROM totals'), `${context}: the totals`).toEqual([present.size]);
    expect(await column(db, 'PRAGMA integrity_check'), context).toEqual(['ok']);
    await db.close();
    first = Math.max(first, ...present) + 1;
  }
  console.log(`${KILLS} kills, ${acknowledged.length} acknowledged transactions, seed ${seed}`);
}, 300_000);

/** A linear congruential generator: numbers from 0 to below the limit. */
function generator(seed: number): (below: number) => number {
  let state = BigInt(seed);
  return (below) => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 33n) % BigInt(below));
  };
}
