/** What only a page can do to a restart: be left in the middle of it. */
import { expect, test } from 'vitest';
import { openForTest, temporaryLocation } from './support/database.ts';
import { liveIoThreads, trap } from './support/engines.ts';
import { expectError } from './support/errors.ts';
import { countRows, createItems } from './support/rows.ts';

const ENDLESS_COUNT = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';

test('a page that is left while the engine is restarted lets go of its files', async () => {
  const location = await temporaryLocation();
  const db = await openForTest(location);
  await createItems(db, 10);
  const call = expectError(db.exec(ENDLESS_COUNT), 'ENGINE_RESTARTED');
  trap();
  await call;
  const waiting = expectError(countRows(db, 'items'), 'CLOSED');
  dispatchEvent(new PageTransitionEvent('pagehide'));
  await waiting;
  await expectError(countRows(db, 'items'), 'CLOSED');
  // The page returns, and opens it again.
  const again = await openForTest(location);
  expect(await countRows(again, 'items')).toBe(10);
  await again.close();
  expect(liveIoThreads()).toBe(0);
}, 120_000);
