/** Holds the directory given as its argument until it is killed. */

import { openNodeFiles } from '../../src/internal/io/NodeFiles.ts';

const [, , root = ''] = process.argv;
await openNodeFiles(root);
process.stdout.write('held\n');
setInterval(() => undefined, 60_000);
