import { open } from '@heddle/store';
const db = await open('memory:', { threads: 2 });
await db.exec('CREATE VIRTUAL TABLE t USING tonbo(id INTEGER PRIMARY KEY, n INTEGER, s TEXT)');
await db.exec("WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r LIMIT 400000) INSERT INTO t SELECT i, i*7919%100003, 'row '||i FROM r");
await db.exec("CREATE TABLE o AS SELECT * FROM t");
const cases: Record<string,string> = {
  sort: 'SELECT * FROM (SELECT n, s FROM t UNION ALL SELECT n, s FROM t UNION ALL SELECT n,s FROM t ORDER BY s, n) LIMIT 1 OFFSET 1199999',
  sortOrdinary: 'SELECT * FROM (SELECT a.n, a.s FROM o a, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) ORDER BY a.s, a.n) LIMIT 1 OFFSET 1599999',
  update: 'UPDATE t SET n = n + 1',
  like: "SELECT count(*) FROM t WHERE s LIKE '%a%b%c%d%'",
};
for (const [name, sql] of Object.entries(cases)) {
  if (process.argv[2] && !process.argv[2].split(',').includes(name)) continue;
  const out: string[] = []; const all: number[] = [];
  for (let delay = 10; delay < 900; delay += 13) {
    const c = new AbortController(); let at = 0;
    const timer = setTimeout(() => { at = performance.now(); c.abort(); }, delay);
    try { await db.exec(sql, [], { signal: c.signal }); clearTimeout(timer); out.push('done'); }
    catch (e) { const ms = performance.now() - at; all.push(ms); if (ms > 20) out.push(`${delay}:${ms.toFixed(0)}`); }
  }
  all.sort((a, b) => a - b);
  console.log(name.padEnd(14), 'n', all.length, 'median', all[all.length >> 1]?.toFixed(1), 'max', all.at(-1)?.toFixed(1), out.filter((x) => x !== 'done').join(' '));
}
await db.close();
