/**
 * A small host for programs of WASI (`wasi_snapshot_preview1`), also for those with threads (`wasi.thread-spawn`).
 *
 * Each thread has an instance and a `Wasi` of its own; what a process has once – its descriptors – lies in shared memory. The program
 * gives its threads their stacks and thread-local storage itself. Who starts threads is the caller's: `spawn` gets what the new
 * thread is to be started with, answers with its number, and has `startThread` called in another agent.
 */
import { MemoryError } from '../MemoryError.ts';
import { MemoryViews } from '../MemoryViews.ts';
import { DescriptorTable } from './DescriptorTable.ts';
import { errnoOf, ERRNO } from './errno.ts';
import { fileCalls, type Call, type WasiStreams } from './fileCalls.ts';
import { standardStreams } from './streams.ts';
import { systemCalls } from './systemCalls.ts';
import { WasiExit } from './WasiExit.ts';
import type { WasiFiles } from './WasiFiles.ts';

/** What a program is given. */
export interface WasiOptions {
  readonly memory: WebAssembly.Memory;
  /** Its arguments, its own name first; none where absent. */
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Its files; none where absent. The same in all of its threads. */
  readonly files?: WasiFiles | undefined;
  /** Standard input, output and errors; the host's where absent. */
  readonly streams?: Partial<WasiStreams> | undefined;
  /**
   * Starts a thread: another agent is to call `startThread` with this argument and with the number that is returned, 1 or more. The
   * program sees an error where it throws. A program that asks without it is told that there are no threads.
   */
  readonly spawn?: ((startArgument: number) => number) | undefined;
  /** In further threads: the first one's `descriptors`. */
  readonly descriptors?: SharedArrayBuffer | undefined;
}

/** Calls of WASI that are not here: a program gets ENOSYS. */
const ABSENT = [
  'fd_allocate',
  'fd_fdstat_set_rights',
  'fd_filestat_set_times',
  'fd_renumber',
  'path_filestat_set_times',
  'path_link',
  'path_readlink',
  'path_symlink',
  'proc_raise',
  'sock_accept',
  'sock_recv',
  'sock_send',
  'sock_shutdown',
];

/** What a C library says where a thread can't be started: EAGAIN. */
const NO_THREAD = -ERRNO.AGAIN;

/** What a thread of a WASI program sees of its host. */
export class Wasi {
  /** To be given to `instantiate`. */
  readonly imports: WebAssembly.Imports;
  /** To be posted to the program's other threads. */
  readonly descriptors: SharedArrayBuffer;

  constructor({ memory, args = [], env = {}, files, streams, spawn, descriptors }: WasiOptions) {
    const views = new MemoryViews(memory);
    const table = descriptors ? DescriptorTable.from(descriptors) : DescriptorTable.create(files?.roots.length ?? 0);
    this.descriptors = table.buffer;
    const calls: Record<string, Call> = {
      ...systemCalls({ views, args, env }),
      ...fileCalls({ views, table, files, streams: { ...standardStreams(), ...streams } }),
    };
    const functions: Record<string, (...values: never[]) => number> = {};
    for (const [name, call] of Object.entries(calls)) functions[name] = (...values) => numberOf(() => call(...values.map(unsigned)));
    for (const name of ABSENT) functions[name] = () => ERRNO.NOSYS;
    this.imports = { wasi_snapshot_preview1: functions, wasi: { 'thread-spawn': (argument: number) => spawned(spawn, argument) } };
  }

  /**
   * Runs the program's `_start` to its end.
   *
   * @returns what it ended with: 0 if it only returned
   * @throws MemoryError `NO_ENTRY` where there is none; what the program trapped with
   */
  start(exports: WebAssembly.Exports): number {
    const { _start: start } = exports;
    if (typeof start !== 'function') throw new MemoryError('NO_ENTRY', 'the program exports no _start');
    try {
      (start as () => void)();
      return 0;
    } catch (error) {
      if (error instanceof WasiExit) return error.exitCode;
      throw error;
    }
  }

  /**
   * Runs a thread that another one asked for, to its end.
   *
   * @throws WasiExit where the thread ends the program, all of whose threads are to end then; MemoryError `NO_ENTRY`; what it trapped with
   */
  startThread(exports: WebAssembly.Exports, threadId: number, startArgument: number): void {
    const { wasi_thread_start: start } = exports;
    if (typeof start !== 'function') throw new MemoryError('NO_ENTRY', 'the program exports no wasi_thread_start');
    (start as (id: number, argument: number) => void)(threadId, startArgument);
  }
}

/** Wasm's i32 reach JavaScript with a sign; addresses and sizes have none. What has 64 bits may have one. */
const unsigned = (value: never): never => (typeof value === 'number' ? value >>> 0 : value) as never;

/** What a call gives the program: 0, or the number of what it threw. The program's end, and mistakes of ours, go through. */
function numberOf(call: () => void): number {
  try {
    call();
    return ERRNO.SUCCESS;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

function spawned(spawn: WasiOptions['spawn'], argument: number): number {
  if (!spawn) return -ERRNO.NOSYS;
  try {
    return spawn(argument >>> 0);
  } catch {
    return NO_THREAD;
  }
}
