/** Threads as others see them: who they are, and a way to unpark them. */
import { type ParkerHandle, Unparker } from '@heddle/atomics';
import { isolationProblem } from '#platform';
import { type CurrentDesk, currentThread } from './internal/current.ts';
import { ThreadError } from './ThreadError.ts';

/** What is posted of a thread; reopen it with {@link ThreadRef.from}. */
export interface ThreadHandle {
  readonly kind: 'heddle.Thread';
  readonly id: number;
  readonly name: string;
  /** Where the thread parks; undefined where memory can't be shared. */
  readonly parker: ParkerHandle | undefined;
}

/** A thread that runs here or elsewhere. */
export class ThreadRef {
  /** Unique among the threads that have one another started; 1 is the first. */
  readonly id: number;
  readonly name: string;
  readonly #parker: ParkerHandle | undefined;

  private constructor({ id, name, parker }: ThreadHandle) {
    this.id = id;
    this.name = name;
    this.#parker = parker;
  }

  /** The thread that another one has posted. */
  static from(handle: ThreadHandle): ThreadRef {
    return new ThreadRef(handle);
  }

  /** @internal The thread that runs here. */
  static current(): ThreadRef {
    const { id, name } = currentThread();
    return ThreadRef.at({ id, name }, isolationProblem() === undefined ? ownDesk().parker : undefined);
  }

  /** @internal A thread that parks at a place. */
  static at({ id, name }: { readonly id: number; readonly name: string }, parker: CurrentDesk['parker'] | undefined): ThreadRef {
    return new ThreadRef({ kind: 'heddle.Thread', id, name, parker: parker && { kind: 'heddle.Parker', ...parker } });
  }

  /** What to post to another thread. */
  handle(): ThreadHandle {
    return { kind: 'heddle.Thread', id: this.id, name: this.name, parker: this.#parker };
  }

  /**
   * Ends the thread's `park`, or lets its next one through. After the thread's end it does nothing, or wakes for no reason whoever runs in
   * its place.
   *
   * @throws ThreadError `NOT_CROSS_ORIGIN_ISOLATED`
   */
  unpark(): void {
    if (!this.#parker) throw new ThreadError('NOT_CROSS_ORIGIN_ISOLATED', isolationProblem() ?? 'the thread shares no memory');
    Unparker.from(this.#parker).unpark();
  }
}

/** This agent's desk: one that nobody else has where it is no worker of this package. */
export function ownDesk(): CurrentDesk {
  const problem = isolationProblem();
  if (problem) throw new ThreadError('NOT_CROSS_ORIGIN_ISOLATED', problem);
  const current = currentThread();
  current.desk ??= { parker: { buffer: new SharedArrayBuffer(4), byteOffset: 0 }, isEnding: false };
  return current.desk;
}
