/**
 * The memory of a bare module's threads: for each a block with a stack and thread-local storage, kept for the next one when it ends.
 *
 *     low                                                                    high
 *     | guard | stack, growing down ‹──────────── | guard | thread-local storage |
 *
 * The guards hold a word that programs don't write by chance. A stack that has overflowed has written its lower guard; what
 * lies below it then is damaged as well, so that such a block is not used again. A frame of more than a guard's size may step over
 * it unseen; `wasm-opt --stack-check` adds a check to every function.
 *
 * A thread that asks for more stack gets a block of the first size that holds it, of a list of its own: each list's blocks are twice as large as
 * those of the one before.
 *
 * Free blocks are a stack of their own in shared memory (R. K. Treiber's): the list's word holds the newest one's address, and that
 * block's first word the next one's. The upper half of the list's word counts changes, so that an address which has gone and come
 * back is told from one that stayed.
 *
 * Orderings: the accesses to the list are sequentially consistent. The exchange that puts a block on the list publishes its first
 * word, and that its thread has let go of it, to the exchange that takes it off.
 */
import { MemoryError } from './MemoryError.ts';
import type { TlsLayout } from './inspect.ts';
import { MemoryViews } from './MemoryViews.ts';
import { PAGE_SIZE } from './createMemory.ts';
import {
  BLOCK_LIST_BLOCK_SIZE_OFFSET,
  BLOCK_LIST_COUNT,
  BLOCK_LIST_CREATED_OFFSET,
  BLOCK_LIST_HEAD_OFFSET,
  BLOCK_LIST_SIZE,
  GUARD_BYTES,
  GUARD_WORD,
} from './internal/layout.ts';

/** How big the blocks are, in bytes, of threads that ask for no more. */
export interface BlockSizes {
  /** At least this much stack. */
  readonly stackSize: number;
  /** The module's thread-local storage, as `inspect` reports it. */
  readonly tls: TlsLayout;
}

/** What to post to another agent, which reopens it with `ThreadBlocks.from`. */
export interface ThreadBlocksHandle extends BlockSizes {
  readonly memory: WebAssembly.Memory;
  readonly address: number;
}

/** The alignment of stacks in LLVM's ABI for Wasm. */
const STACK_ALIGN = 16;

/** What a memory with addresses of 32 bits has at most. */
const MEMORY_SIZE_MAX = 2 ** 32;

const alignDown = (value: number, align: number): number => Math.floor(value / align) * align;

/** A thread's block. */
export class ThreadBlock {
  readonly address: number;
  readonly size: number;
  /** Where the stack begins: it grows down from here. */
  readonly stackTop: number;
  /** Bytes of stack. */
  readonly stackSize: number;
  /** Where the thread-local storage begins. */
  readonly tlsBase: number;
  readonly #views: MemoryViews;
  readonly #list: ThreadBlocks | undefined;
  #isFree = false;

  /** Made by `ThreadBlocks`: paints the guards, and clears the thread-local storage. */
  constructor(options: { views: MemoryViews; address: number; size: number; sizes: BlockSizes; list: ThreadBlocks | undefined }) {
    const { views, address, size, sizes, list } = options;
    this.#views = views;
    this.#list = list;
    this.address = address;
    this.size = size;
    this.tlsBase = alignDown(address + size - sizes.tls.size, Math.max(sizes.tls.align, STACK_ALIGN));
    this.stackTop = alignDown(this.tlsBase - GUARD_BYTES, STACK_ALIGN);
    this.stackSize = this.stackTop - address - GUARD_BYTES;
    for (const guard of this.#guards()) this.#views.words.fill(GUARD_WORD, guard / 4, (guard + GUARD_BYTES) / 4);
    this.#views.bytes.fill(0, this.tlsBase, address + size);
  }

  /** Whether the stack has stayed within its bounds, as far as the guards tell. */
  get isWhole(): boolean {
    const { words } = this.#views;
    return this.#guards().every((guard) => words.subarray(guard / 4, (guard + GUARD_BYTES) / 4).every((word) => word === GUARD_WORD));
  }

  /** @throws MemoryError `STACK_OVERFLOW` where a guard is damaged. */
  check(options?: ErrorOptions): void {
    if (this.isWhole) return;
    const message = `a thread wrote beyond its stack of ${this.stackSize} bytes at ${this.address}; what lay there is damaged. A larger stackSize would hold it`;
    throw new MemoryError('STACK_OVERFLOW', message, options);
  }

  /**
   * Gives the block back for another thread; nothing may run on it any more. Once is enough, and more do nothing.
   *
   * @throws MemoryError `STACK_OVERFLOW` where a guard is damaged; the block isn't used again.
   */
  free(): void {
    if (this.#isFree) return;
    this.#isFree = true;
    this.check();
    this.#list?.put(this);
  }

  #guards(): [low: number, high: number] {
    return [this.address, this.stackTop];
  }
}

/** The blocks of all threads of a module in one memory. */
export class ThreadBlocks {
  readonly handle: ThreadBlocksHandle;
  readonly #views: MemoryViews;

  private constructor(handle: ThreadBlocksHandle) {
    this.handle = handle;
    this.#views = new MemoryViews(handle.memory);
  }

  /**
   * Empty lists, in a page of their own.
   *
   * @throws MemoryError `OUT_OF_MEMORY`
   */
  static create({ memory, ...sizes }: BlockSizes & { readonly memory: WebAssembly.Memory }): ThreadBlocks {
    checkStack(sizes);
    const address = growBy(memory, PAGE_SIZE);
    const blocks = new ThreadBlocks({ memory, address, ...sizes });
    // Published by whatever brings the handle to other agents.
    for (let list = 0; list < BLOCK_LIST_COUNT; list += 1) {
      const size = blocks.#sizeIn(list);
      // What a memory has no addresses for has no list either.
      if (size < MEMORY_SIZE_MAX) blocks.#views.words[(blocks.#addressOf(list) + BLOCK_LIST_BLOCK_SIZE_OFFSET) / 4] = size;
    }
    return blocks;
  }

  /** The lists that another agent created. */
  static from(handle: ThreadBlocksHandle): ThreadBlocks {
    const blocks = new ThreadBlocks(handle);
    if (blocks.#views.words[(handle.address + BLOCK_LIST_BLOCK_SIZE_OFFSET) / 4] !== blockSizeOf(handle)) {
      throw new MemoryError('BAD_HANDLE', `there is no list of blocks at ${handle.address}, or one of other blocks`);
    }
    return blocks;
  }

  /** Where a list is. */
  #addressOf(list: number): number {
    return this.handle.address + list * BLOCK_LIST_SIZE;
  }

  /** Bytes of each block of a list. */
  #sizeIn(list: number): number {
    return blockSizeOf(this.handle) * 2 ** list;
  }

  /** The first list whose blocks have so many bytes. */
  #listFor(size: number): number {
    let list = 0;
    while (this.#sizeIn(list) < size) list += 1;
    return list;
  }

  /** Blocks ever created: those of threads, and free ones. */
  get createdCount(): number {
    let count = 0;
    for (let list = 0; list < BLOCK_LIST_COUNT; list += 1) {
      count += Atomics.load(this.#views.words, (this.#addressOf(list) + BLOCK_LIST_CREATED_OFFSET) / 4);
    }
    return count;
  }

  /**
   * A block for a thread: one that another has given back, or new pages.
   *
   * @param stackSize the bytes of stack that it has at least; those of the handle where absent, and never less
   * @throws MemoryError `OUT_OF_MEMORY`
   */
  take(stackSize: number = 0): ThreadBlock {
    checkStack({ stackSize });
    const list = this.#listFor(blockSizeOf({ stackSize, tls: this.handle.tls }));
    const size = this.#sizeIn(list);
    if (list >= BLOCK_LIST_COUNT || size >= MEMORY_SIZE_MAX) {
      throw new MemoryError('OUT_OF_MEMORY', `no memory holds a stack of ${stackSize} bytes`);
    }
    let address = this.#pop(list);
    if (address === 0) {
      address = growBy(this.handle.memory, size);
      Atomics.add(this.#views.words, (this.#addressOf(list) + BLOCK_LIST_CREATED_OFFSET) / 4, 1);
    }
    return new ThreadBlock({ views: this.#views, address, size, sizes: this.handle, list: this });
  }

  /** A block's own way back to its list. */
  put({ address, size }: ThreadBlock): void {
    const { longs, words } = this.#views;
    const index = (this.#addressOf(this.#listFor(size)) + BLOCK_LIST_HEAD_OFFSET) / 8;
    for (;;) {
      const head = Atomics.load(longs, index);
      Atomics.store(words, address / 4, Number(head & 0xffff_ffffn));
      if (Atomics.compareExchange(longs, index, head, nextHead(head, address)) === head) return;
    }
  }

  #pop(list: number): number {
    const index = (this.#addressOf(list) + BLOCK_LIST_HEAD_OFFSET) / 8;
    for (;;) {
      const { longs, words } = this.#views;
      const head = Atomics.load(longs, index);
      const address = Number(head & 0xffff_ffffn);
      if (address === 0) return 0;
      // Another thread may have taken the block, and this word be anything: the exchange fails then.
      const next = Atomics.load(words, address / 4) >>> 0;
      if (Atomics.compareExchange(longs, index, head, nextHead(head, next)) === head) return address;
    }
  }
}

/** A block in pages of its own that goes to no list. */
export function takeSingleBlock(memory: WebAssembly.Memory, sizes: BlockSizes): ThreadBlock {
  checkStack(sizes);
  const size = blockSizeOf(sizes);
  return new ThreadBlock({ views: new MemoryViews(memory), address: growBy(memory, size), size, sizes, list: undefined });
}

const nextHead = (head: bigint, address: number): bigint => (BigInt.asUintN(32, (head >> 32n) + 1n) << 32n) | BigInt(address);

/** A stack of less than nothing would reach into what lies above its block. */
function checkStack({ stackSize }: Pick<BlockSizes, 'stackSize'>): void {
  if (!(stackSize >= 0)) throw new MemoryError('OUT_OF_MEMORY', `no memory holds a stack of ${stackSize} bytes`);
}

/** All parts, rounded up to pages; what that leaves is stack. */
function blockSizeOf({ stackSize, tls }: BlockSizes): number {
  const size = 2 * GUARD_BYTES + stackSize + tls.size + Math.max(tls.align, STACK_ALIGN) + STACK_ALIGN;
  return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

/** New pages: growing is atomic, and what it returns is this caller's alone. */
function growBy(memory: WebAssembly.Memory, size: number): number {
  try {
    return memory.grow(size / PAGE_SIZE) * PAGE_SIZE;
  } catch (cause) {
    throw new MemoryError(
      'OUT_OF_MEMORY',
      `the memory can't grow by the ${size} bytes of a thread: ${memory.buffer.byteLength} are taken`,
      { cause },
    );
  }
}
