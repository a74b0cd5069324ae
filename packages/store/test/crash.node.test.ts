/**
 * A process that is killed loses nothing that it had acknowledged, and leaves no transaction half there; not with relaxed durability either,
 * which is about the loss of power.
 *
 * It is killed amid small transactions, and amid flushes, merges, building of indexes, changes of a table's columns and imports, which go on
 * beside them. `HEDDLE_SEED` repeats a run; `HEDDLE_LONG_MINUTES` makes it longer.
 */
import { expect, test } from 'vitest';
import { openForTest, temporaryLocation } from './support/database.ts';
import { TestProcess } from './support/process.ts';
import { column } from './support/rows.ts';
import { IMPORTED, PARTS } from './processes/writer.ts';

const LONG_MINUTES = Number(process.env['HEDDLE_LONG_MINUTES'] ?? 0);

/** For each durability; more in the long run. */
const KILLS = 10;
const ACKNOWLEDGED_MAX = 60;
const DELAY_MS_MAX = 8;

test.each(['full', 'relaxed'] as const)(
  'SIGKILL at random points, with durability %s',
  async (durability) => {
    const seed = Number(process.env['HEDDLE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const random = generator(seed);
    const location = await temporaryLocation();
    const acknowledged: number[] = [];
    let first = 0;
    const imported: number[] = [];
    const endMs = performance.now() + LONG_MINUTES * 30_000;
    let kills = 0;
    for (let kill = 0; kill < KILLS || performance.now() < endMs; kill++) {
      const writer = new TestProcess('writer.ts', [location, String(first), durability]);
      await writer.written(1 + random(ACKNOWLEDGED_MAX));
      await new Promise((resolve) => setTimeout(resolve, random(DELAY_MS_MAX)));
      await writer.kill();
      kills += 1;
      const isImport = (line: string): boolean => line.startsWith('i');
      acknowledged.push(...writer.lines.filter((line) => !isImport(line)).map(Number));
      imported.push(...writer.lines.filter(isImport).map((line) => Number(line.slice(1))));

      const db = await openForTest(location, { durability });
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
      const imports = await db
        .query<{ batch: number; rows: number }>('SELECT batch, count(*) AS rows FROM imported GROUP BY batch ORDER BY batch')
        .all();
      const whole = imports.filter(({ rows }) => rows === IMPORTED).map(({ batch }) => batch);
      expect(
        imported.filter((batch) => !whole.includes(batch)),
        `${context}: an acknowledged import`,
      ).toEqual([]);
      expect(whole.length, `${context}: an import by half`).toBe(imports.length);
      await db.close();
      first = Math.max(first, ...present) + 1;
    }
    console.log(
      `${durability}: ${kills} kills, ${acknowledged.length} acknowledged transactions, ${imported.length} imports, seed ${seed}`,
    );
  },
  300_000 + 60_000 * LONG_MINUTES,
);

/** A linear congruential generator: numbers from 0 to below the limit. */
function generator(seed: number): (below: number) => number {
  let state = BigInt(seed);
  return (below) => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn;
    return Number((state >> 33n) % BigInt(below));
  };
}
