/** A record of words at a place in shared memory: what the types that hold nothing else are built on. */
import { type Agent, agentOf } from './agent.ts';
import { type Handle, type ResolvedLocation, type SharedLocation, handleOf, resolveLocation } from './location.ts';

/** What a kind of record is. */
export interface RecordKind<Kind extends string> {
  /** The kind of its handles. */
  readonly kind: Kind;
  /** What it is called in errors, as `a latch`. */
  readonly what: string;
  /** Its bytes. */
  readonly size: number;
  /** Its alignment in bytes. */
  readonly align: number;
}

/** One record, opened. */
export class OpenRecord<Kind extends string> {
  readonly #kind: RecordKind<Kind>;
  readonly #location: ResolvedLocation;
  /** The record's words. */
  readonly words: Int32Array;
  /** This thread, as the records of the same memory see it. */
  readonly agent: Agent;

  /**
   * @param kind what is there
   * @param location where it is; a SharedArrayBuffer of its own if not given
   * @throws InvalidRecordError `INVALID_RECORD` for a place where it can't be
   */
  constructor(kind: RecordKind<Kind>, location: SharedLocation | undefined) {
    this.#kind = kind;
    this.#location = resolveLocation(location ?? { buffer: new SharedArrayBuffer(kind.size) }, kind.what, kind.size, kind.align);
    this.words = new Int32Array(this.#location.buffer, this.#location.byteOffset, kind.size >> 2);
    this.agent = agentOf(this.#location.memory ?? this.#location.buffer);
  }

  /** Where the record starts in its memory, in bytes. */
  get byteOffset(): number {
    return this.#location.byteOffset;
  }

  /** What to post to another thread. */
  handle(): Handle<Kind> {
    return handleOf(this.#kind.kind, this.#location, this.agent.registry?.byteOffset);
  }
}
