/**
 * Opening a database.
 */

import { canShare, checkIsolation, resolveDirectory } from '#platform';
import type { Damage } from './Damage.ts';
import { Database } from './Database.ts';
import { HeddleStoreError } from './HeddleStoreError.ts';
import { EngineKeeper } from './internal/EngineKeeper.ts';
import type { EngineRestart, Role } from './internal/Keeper.ts';
import { startEngine } from './internal/startEngine.ts';
import { Membership } from './internal/tabs/Membership.ts';
import { VERSION } from './internal/version.ts';

/** How a database is opened. */
export interface OpenOptions {
  /** How many SQL threads run calls at a time, from 1 to 64; 4 by default. */
  readonly threads?: number | undefined;
  /** How many bytes of decoded columns are kept in memory at most; 256 MiB by default. */
  readonly cacheBytes?: number | undefined;
  /**
   * How many bytes uncommitted rows, sorts and temporary tables take at most, of all threads together; 1 GiB by default. What doesn't
   * fit fails with `OUT_OF_MEMORY`.
   */
  readonly memoryBytes?: number | undefined;
  /** How sure an acknowledged commit is; `full` by default. */
  readonly durability?: Durability | undefined;
  /** What is done about damaged files; `refuse` by default. */
  readonly recovery?: Recovery | undefined;
  /**
   * Called for each damage that opening went on without; `salvage` needs it. Again when the engine was started anew, for what was damaged
   * meanwhile.
   */
  readonly onDamage?: ((damage: Damage) => void) | undefined;
  /**
   * Called when the engine stopped by itself, or the tab that ran it is gone, and another has taken its place. Not for databases in
   * memory, which end with their engine.
   */
  readonly onRestart?: ((restart: EngineRestart) => void) | undefined;
  /**
   * Whether the tabs of one origin share the database: one of them runs the engine for all, and when it goes, another takes over. `true`
   * by default. In Node it changes nothing: a directory is one process's.
   */
  readonly share?: boolean | undefined;
  /** Called when this tab begins to run the engine for all tabs, or no longer does; see `db.role`. */
  readonly onRole?: ((role: Role) => void) | undefined;
  /**
   * Whether a panic within the engine is printed with all that it says, which may quote rows; `false` by default: then its place and
   * the stack are. The setting of the tab that runs the engine counts.
   */
  readonly showsPanics?: boolean | undefined;
  /** Gives opening up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * How sure an acknowledged commit is.
 *
 * | level | a tab or process that ends | loss of power, end of the system |
 * |---|---|---|
 * | `full` | keeps every commit | keeps every commit, as far as the host's sync does: `fsync` in Node, `flush()` of the origin's private files in browsers |
 * | `relaxed` | keeps every commit, as far as the browser has handed on what was written | may take the last commits: never a part of one, and of those to Tonbo tables never one before another |
 */
export type Durability = 'full' | 'relaxed';

/**
 * What opening does about damaged files.
 *
 * | mode | does |
 * |---|---|
 * | `refuse` | fails with `CORRUPT`, which names the file, or does so when a statement meets the damage. Nothing is changed |
 * | `salvage` | goes on without what is damaged in the logs and in the files of Tonbo tables, and tells each loss by `onDamage`. Copies of those files are kept as they were |
 */
export type Recovery = 'refuse' | 'salvage';

const THREADS_DEFAULT = 4;
const THREADS_MAX = 64;
const CACHE_BYTES_DEFAULT = 256 * 2 ** 20;
const MEMORY_BYTES_DEFAULT = 2 ** 30;

/**
 * Opens a database, and creates it where there is none.
 *
 * In a browser, the tabs of one origin share a directory: they agree on `durability`, and the other settings are those of the tab that runs
 * the engine. In Node, a directory is open in one process at a time.
 *
 * @param location `memory:` for a database that ends with its `close()`; else a directory: in Node a path or a `file:` URL, in
 *   browsers a name in the origin's private file system, `/` between its parts
 * @throws {HeddleStoreError} `LOCKED` where another process has it, or another page that doesn't share it, `PERMISSION_DENIED`,
 *   `CORRUPT`, `VERSION_MISMATCH`, `NOT_CROSS_ORIGIN_ISOLATED` and others
 */
export async function open(location: string | URL, options: OpenOptions = {}): Promise<Database> {
  const { threads = THREADS_DEFAULT, cacheBytes = CACHE_BYTES_DEFAULT, memoryBytes = MEMORY_BYTES_DEFAULT, signal } = options;
  const { durability = 'full', recovery = 'refuse', onDamage, showsPanics } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX) {
    throw new HeddleStoreError('MISUSE', `threads is ${threads}, not a number from 1 to ${THREADS_MAX}`);
  }
  for (const [name, bytes] of Object.entries({ cacheBytes, memoryBytes })) {
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new HeddleStoreError('MISUSE', `${name} is ${bytes}, not a number of bytes`);
  }
  if (durability !== 'full' && durability !== 'relaxed') {
    throw new HeddleStoreError('MISUSE', `durability is ${String(durability)}, neither "full" nor "relaxed"`);
  }
  if (recovery !== 'refuse' && recovery !== 'salvage') {
    throw new HeddleStoreError('MISUSE', `recovery is ${String(recovery)}, neither "refuse" nor "salvage"`);
  }
  if (recovery === 'salvage' && onDamage === undefined) {
    throw new HeddleStoreError('MISUSE', 'recovery "salvage" needs onDamage: somebody has to be told what is lost');
  }
  if (location === '') throw new HeddleStoreError('MISUSE', 'a database needs a location: "memory:" or a directory');
  checkIsolation();
  const directory = location === 'memory:' ? undefined : resolveDirectory(location);
  const settings = { directory, threads, cacheBytes, memoryBytes, durability, recovery, onDamage, showsPanics };
  const start = (until: AbortSignal | undefined) => startEngine({ ...settings, signal: until });
  const { share = true, onRestart, onRole } = options;
  if (directory === undefined || !share || !canShare) return new Database(new EngineKeeper(await start(signal), onRestart));
  const terms = { version: VERSION, durability };
  return new Database(await Membership.join({ directory, terms, startEngine: start, onRestart, onRole }, signal));
}
