import { MemoryError } from './MemoryError.ts';
import type { MemoryLimits } from './inspect.ts';

/** Bytes of a page. */
export const PAGE_SIZE = 65_536;

/** The most pages that a 32-bit memory can have. */
const PAGES_MAX = 65_536;

/** How big a memory to create. */
export interface CreateMemoryOptions {
  /** Pages to begin with; those that a module declares. */
  readonly initialPages: number;
  /** Pages to grow to at most: those that a module declares, or fewer. 4 GiB where absent. */
  readonly maximumPages?: number | undefined;
}

/**
 * Creates a shared memory. Where the engine refuses the maximum (it reserves address space for it, and some phones have
 * little), the maximum is halved until the engine agrees.
 *
 * @returns the memory
 * @throws MemoryError `MEMORY_REFUSED` where not even the initial pages can be had, or pages are no whole numbers.
 */
export function createMemory({ initialPages, maximumPages = PAGES_MAX }: CreateMemoryOptions): WebAssembly.Memory {
  if (typeof SharedArrayBuffer === 'undefined') {
    throw new MemoryError('MEMORY_REFUSED', 'there is no SharedArrayBuffer here: the page is not cross-origin isolated');
  }
  // What is no number would be halved for ever.
  if (![initialPages, maximumPages].every((pages) => Number.isSafeInteger(pages) && pages >= 0)) {
    throw new MemoryError('MEMORY_REFUSED', `pages are whole numbers: not ${initialPages} at first, and ${maximumPages} at most`);
  }
  let maximum = Math.min(Math.max(maximumPages, initialPages), PAGES_MAX);
  for (;;) {
    try {
      return new WebAssembly.Memory({ initial: initialPages, maximum, shared: true });
    } catch (cause) {
      if (maximum <= initialPages) {
        const message = `the engine gives no shared memory of ${initialPages} pages (${initialPages * PAGE_SIZE} bytes)`;
        throw new MemoryError('MEMORY_REFUSED', message, { cause });
      }
      maximum = Math.max(initialPages, Math.floor(maximum / 2));
    }
  }
}

/**
 * Creates the memory that a module imports.
 *
 * @param memory what `inspect` reported
 * @param maximumBytes a lower maximum than the module's
 */
export function createMemoryFor(memory: MemoryLimits, maximumBytes?: number): WebAssembly.Memory {
  const own = memory.maximumPages ?? PAGES_MAX;
  const asked = maximumBytes === undefined ? own : Math.floor(maximumBytes / PAGE_SIZE);
  return createMemory({ initialPages: memory.initialPages, maximumPages: Math.min(own, asked) });
}
