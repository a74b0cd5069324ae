/**
 * Histories of concurrent transactions, and what must hold of them under snapshot isolation.
 *
 * Transactions append numbers of their own to lists, and read lists: a list tells in which order its writers were committed. Source of the
 * idea: K. Kingsbury and P. Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020).
 */

/** A list's name. */
export type Place = string;

/** Lists as somebody saw them. */
export type Lists = ReadonlyMap<Place, readonly number[]>;

/** A transaction that wrote. */
export interface Writing {
  /** What it appended, to each of its places. */
  readonly number: number;
  /** What it saw of its places before. */
  readonly seen: Lists;
  /** Where else it appended its number, and took that back by a savepoint. */
  readonly takenBack?: readonly Place[];
  /** Whether its commit was acknowledged, refused or given up, or unknown. */
  readonly outcome: 'committed' | 'undone' | 'unknown';
  /** When it was known to be committed; on the clock of {@link Reading.beginMs}. */
  readonly endMs: number;
}

/** A transaction that only read, everything. */
export interface Reading {
  readonly seen: Lists;
  readonly beginMs: number;
  /** What it saw of the columns that come and go, each with its value. */
  readonly columns?: readonly string[];
}

/** Columns that come and go: in one transaction with the number that is appended to a list. */
export interface Alterations {
  readonly place: Place;
  /** The columns behind each number of the list; behind 0 those that were there at first. */
  readonly columns: ReadonlyMap<number, readonly string[]>;
}

/** What is wrong with a history; empty where nothing is. `last` is what a reader saw after all. */
export function anomalies(writings: readonly Writing[], readings: readonly Reading[], last: Lists, alterations?: Alterations): string[] {
  const found: string[] = [];
  const places = [...last.keys()];
  const positions = new Map(places.map((place) => [place, new Map((last.get(place) ?? []).map((number, index) => [number, index]))]));
  const position = (place: Place, number: number): number => positions.get(place)?.get(number) ?? -1;
  for (const place of places) {
    const list = last.get(place) ?? [];
    if (new Set(list).size !== list.length) found.push(`${place} has a number twice: ${list.join()}`);
  }
  for (const { number, seen, outcome, takenBack = [] } of writings) {
    for (const place of takenBack.filter((taken) => position(taken, number) >= 0)) {
      found.push(`${number} was taken back by a savepoint, but is in ${place}`);
    }
    const kept = [...seen.keys()].filter((place) => position(place, number) >= 0);
    if (outcome === 'committed' && kept.length < seen.size)
      found.push(`committed ${number} is in ${kept.join()} of ${[...seen.keys()].join()}`);
    if (outcome === 'undone' && kept.length > 0) found.push(`${number} was undone, but is in ${kept.join()}`);
    if (outcome === 'unknown' && kept.length > 0 && kept.length < seen.size) found.push(`${number} is there by half`);
    for (const place of kept) {
      const before = seen.get(place) ?? [];
      // First committer wins: nobody came between what it read and what it wrote.
      if (!isPrefix(before, last.get(place) ?? []) || position(place, number) !== before.length) {
        found.push(`${number} overwrote ${place}: saw ${before.join()} of ${(last.get(place) ?? []).join()}`);
      }
    }
  }
  for (const { seen, beginMs, columns } of readings) {
    if (alterations && columns) {
      const number = seen.get(alterations.place)?.at(-1) ?? 0;
      const expected = alterations.columns.get(number) ?? [];
      if (columns.join() !== expected.join())
        found.push(`a reader saw the columns ${columns.join()} behind ${number}, not ${expected.join()}`);
    }
    for (const place of places) {
      if (!isPrefix(seen.get(place) ?? [], last.get(place) ?? [])) found.push(`${place} was read as ${(seen.get(place) ?? []).join()}`);
    }
    const shows = (place: Place, number: number): boolean => {
      const at = position(place, number);
      return at >= 0 && at < (seen.get(place)?.length ?? 0);
    };
    for (const writing of writings) {
      const touched = [...writing.seen.keys()];
      const shown = touched.filter((place) => shows(place, writing.number));
      if (shown.length > 0 && shown.length < touched.length) found.push(`a reader saw ${writing.number} by half: ${shown.join()}`);
      const isBefore = writing.outcome === 'committed' && touched.length > 0 && writing.endMs < beginMs;
      if (isBefore && shown.length === 0) found.push(`a reader that began later did not see ${writing.number}`);
    }
  }
  // Commits are in one order, so that of two snapshots one shows all that the other shows.
  const lengths = (reading: Reading): number[] => places.map((place) => reading.seen.get(place)?.length ?? 0);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const ordered = readings.map(lengths).toSorted((a, b) => sum(a) - sum(b));
  for (const [index, later] of ordered.entries()) {
    const earlier = ordered[index - 1];
    if (earlier?.some((length, place) => length > (later[place] ?? 0)))
      found.push(`two snapshots contradict each other: ${earlier.join()} and ${later.join()}`);
  }
  return found;
}

function isPrefix(part: readonly number[], whole: readonly number[]): boolean {
  return part.length <= whole.length && part.every((number, index) => number === whole[index]);
}
