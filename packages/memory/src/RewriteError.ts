import { MemoryError } from './MemoryError.ts';

/** Why a module can't be rewritten. */
export type RewriteReason =
  /** It has no memory, or more than one. */
  | 'NOT_ONE_MEMORY'
  /** Its addresses have 64 bits, or its pages another size. */
  | 'MEMORY_OF_64_BITS'
  /** Its memory is not shared, so that it was compiled for one thread; `shareMemory` has it rewritten all the same. */
  | 'MEMORY_NOT_SHARED'
  /** Its maximum leaves no room for the flag's page. */
  | 'NO_ROOM'
  /** A segment's place is known only when the module is instantiated. */
  | 'OFFSET_NOT_CONSTANT'
  /** A segment doesn't fit into the memory that the module begins with. */
  | 'OUT_OF_BOUNDS'
  /** The program asks for the size of its memory, and could take the flag's page for its own; `flagAddress` names another place. */
  | 'MEMORY_SIZE_USED'
  /** The flag's address is not aligned, outside of the memory, or inside of a segment. */
  | 'BAD_FLAG_ADDRESS'
  /** The start function writes memory and also what each instance has for itself, or calls out; `start` decides. */
  | 'START_NOT_SEPARABLE'
  /** There is an instruction or a type that the rewriter doesn't know. */
  | 'UNKNOWN_CODE';

/** A module that can't be rewritten; told apart by `reason`. */
export class RewriteError extends MemoryError {
  readonly reason: RewriteReason;

  constructor(reason: RewriteReason, message: string, options?: ErrorOptions) {
    super('MODULE_NOT_REWRITABLE', message, options);
    this.name = 'RewriteError';
    this.reason = reason;
  }
}
