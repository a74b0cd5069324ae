/** Waiting for a word in shared memory without blocking. */

/** How often a word is looked at where the host has no `Atomics.waitAsync`, in milliseconds. */
const POLL_MS = 2;

/** Resolves once the word is no longer `expected`; at once where it isn't now, and perhaps for no reason. */
export async function waitWhile(words: Int32Array, index: number, expected: number): Promise<void> {
  if (typeof Atomics.waitAsync === 'function') {
    const wait = Atomics.waitAsync(words, index, expected);
    if (wait.async) await wait.value;
    return;
  }
  while (Atomics.load(words, index) === expected) {
    // oxlint-disable-next-line no-await-in-loop -- polling is one look after the other
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
