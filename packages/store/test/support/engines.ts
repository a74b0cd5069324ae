/** The engines behind the databases of a test file, and ways to stop them. Imported before they are started. */
import { WasmRuntime } from '@heddle/thread';
import { IoThread } from '../../src/internal/io/IoThread.ts';

/** An address beyond the end of any memory that a test needs. */
export const NOWHERE = 0xffff_fff0;

let latest: WasmRuntime | undefined;
const memories: WeakRef<WebAssembly.Memory>[] = [];
const ioThreads: IoThread[] = [];

const startRuntime = WasmRuntime.start.bind(WasmRuntime);
let memoryBytesMax: number | undefined;

WasmRuntime.start = async (options) => {
  latest = await startRuntime({ ...options, memoryBytesMax });
  memories.push(new WeakRef(latest.memory));
  return latest;
};

const startIoThread = IoThread.start.bind(IoThread);
IoThread.start = async (start) => {
  const thread = await startIoThread(start);
  ioThreads.push(thread);
  return thread;
};

/** Has a thread of the engine that was started last trap: it reads what isn't there. */
export function trap(): void {
  const thread = latest?.spawnWith({ name: 'trap' }, 'strlen', NOWHERE);
  thread?.join().catch(() => undefined);
}

/** Has the engines that are started from now on get no more memory than this; as much as there is for `undefined`. */
export function limitMemory(bytes: number | undefined): void {
  memoryBytesMax = bytes;
}

/** How many engines' memories are not given back. */
export function memoriesHeld(): number {
  return memories.filter((memory) => memory.deref()).length;
}

/** How many I/O threads have not ended. */
export function liveIoThreads(): number {
  return ioThreads.filter(({ isAlive }) => isAlive).length;
}

/** Ends the I/O thread that was started last, and tells its creator, as a browser does where a worker crashes. */
export function killIoThread(): void {
  const thread = ioThreads.at(-1);
  thread?.terminate();
  thread?.onFailure?.(new Error('the worker crashed'));
}
