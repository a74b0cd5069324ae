/** Chance that a seed repeats. */

/** A whole number from 0 on, below the argument. */
export type Random = (below: number) => number;

/** The numbers of a seed: a text, so that each participant of a test can have its own. */
export function randomOf(seed: string): Random {
  // FNV-1a makes a state of the text; mulberry32 goes on from there.
  let state = 0x811c9dc5;
  for (const character of seed) state = Math.imul(state ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
