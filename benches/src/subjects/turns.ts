/** A word that says whose turn it is: waiting and notifying with nothing around them. */

/** Blocks until it is this turn. */
export function awaitTurn(word: Int32Array, turn: number): void {
  for (;;) {
    const now = Atomics.load(word, 0);
    if (now === turn) return;
    Atomics.wait(word, 0, now);
  }
}

/** Waits, without blocking, until it is this turn. */
export async function turnCame(word: Int32Array<SharedArrayBuffer>, turn: number): Promise<void> {
  for (;;) {
    const now = Atomics.load(word, 0);
    if (now === turn) return;
    await Atomics.waitAsync(word, 0, now).value;
  }
}

/** Publishes the turn to the other side's load, and wakes it. */
export function giveTurn(word: Int32Array, turn: number): void {
  Atomics.store(word, 0, turn);
  Atomics.notify(word, 0, 1);
}
