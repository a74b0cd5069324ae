/**
 * What an agent knows of the thread that it is. It lies on the global object: a worker's script and the modules that it imports may
 * each have a copy of this package bundled into them.
 */

/** What a thread needs of its desk. */
export interface CurrentDesk {
  /** Where the thread parks. */
  readonly parker: { readonly buffer: SharedArrayBuffer; readonly byteOffset: number };
  /** Whether the thread is to end rather than to go on where it was parked. */
  readonly isEnding: boolean;
}

/** The thread that an agent is. */
export interface CurrentState {
  /** 1 is the thread that started the first other one. */
  id: number;
  name: string;
  /** The counter of ids that all threads of a family share; undefined until one is needed, and where memory can't be shared. */
  ids: SharedArrayBuffer | undefined;
  /** The desk of a worker that this package has started; elsewhere undefined until somebody parks. */
  desk: CurrentDesk | undefined;
  /** The values of its `ThreadLocal`s. */
  readonly locals: Map<object, unknown>;
}

const KEY = Symbol.for('heddle.thread.current');

/** This agent's thread. */
export function currentThread(): CurrentState {
  const global = globalThis as unknown as Record<symbol, CurrentState | undefined>;
  global[KEY] ??= { id: 1, name: 'main', ids: undefined, desk: undefined, locals: new Map() };
  return global[KEY];
}

/** Ends the values of `ThreadLocal`s, the last first: those that can be disposed of are. Throws what the last one to fail has thrown. */
export function endThreadLocals(): void {
  const { locals } = currentThread();
  if (locals.size === 0) return;
  const failures: unknown[] = [];
  const values = [...locals.values()].toReversed();
  locals.clear();
  for (const value of values) {
    try {
      const dispose = (value as Partial<Disposable> | null | undefined)?.[Symbol.dispose];
      if (typeof dispose === 'function') dispose.call(value);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.at(-1);
}

let localIds = 1;

/** An id that no other thread of this family has. */
export function nextThreadId(): number {
  const current = currentThread();
  if (typeof SharedArrayBuffer === 'undefined') {
    localIds += 1;
    return localIds;
  }
  current.ids ??= new SharedArrayBuffer(4);
  // Its ids are counted from 2: the first is that of the thread which makes the counter.
  return Atomics.add(new Int32Array(current.ids), 0, 1) + 2;
}
