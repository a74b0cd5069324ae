/**
 * Preloaded into a process and all of its threads: notes each sync in the file HEDDLE_SYNC_LOG, once it is done, with the file or directory
 * that was synced.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const path = process.env['HEDDLE_SYNC_LOG'];
if (path === undefined) throw new Error('HEDDLE_SYNC_LOG is not set');
const log = fs.openSync(path, 'a');

for (const name of ['fdatasyncSync', 'fsyncSync'] as const) {
  const sync = fs[name];
  fs[name] = (file: number): void => {
    sync(file);
    fs.writeSync(log, `${name} ${fs.readlinkSync(`/proc/self/fd/${file}`)}\n`);
  };
}
syncBuiltinESMExports();
