/**
 * A process in whose engine a thread panics with words that were put together at run time, as those that quote rows are:
 *
 *   node panic.ts SHOWS
 *
 * SHOWS is `true` where the words are asked for.
 */
import { WasmRuntime } from '@heddle/thread';
import { open } from '../../src/index.ts';

const start = WasmRuntime.start.bind(WasmRuntime);
let runtime: WasmRuntime | undefined;
WasmRuntime.start = async (options) => {
  runtime = await start(options);
  return runtime;
};

const [, , shows] = process.argv;
const db = await open('memory:', { threads: 1, showsPanics: shows === 'true' });
// There is no such engine.
await runtime
  ?.spawnWith({ name: 'torn' }, 'heddle_store_run', 0xfeed, 987654321)
  .join()
  .catch(() => undefined);
await db.query('SELECT 1').all();
await db.close();
