/** A process that holds a database open until it is killed: node holder.ts DIRECTORY. Says "open" when it has it. */
import { writeSync } from 'node:fs';
import { open } from '../../src/index.ts';

const [, , directory] = process.argv;
if (directory === undefined) throw new Error('no directory');
const db = await open(directory, { threads: 1 });
await db.exec('CREATE VIRTUAL TABLE held USING tonbo(id INTEGER PRIMARY KEY); INSERT INTO held VALUES (1), (2)');
writeSync(1, 'open\n');
setInterval(() => {}, 1000);
