/** The judge of histories, by histories of which everybody can see what they are. */
import { expect, test } from 'vitest';
import { type Did, type Entry, linearizabilityFault } from './history.ts';

const entry = (did: Did, value: number, begin: number, end: number): Entry => ({ did, value, begin, end });

test.for<[string, Entry[]]>([
  ['nothing', []],
  ['one after the other', [entry('send', 1, 1, 2), entry('send', 2, 3, 4), entry('recv', 1, 5, 6), entry('recv', 2, 7, 8)]],
  [
    'sent at once, received in the other order',
    [entry('send', 1, 1, 4), entry('send', 2, 2, 3), entry('recv', 2, 5, 6), entry('recv', 1, 7, 8)],
  ],
  ['received at once', [entry('send', 1, 1, 2), entry('send', 2, 3, 4), entry('recv', 2, 5, 7), entry('recv', 1, 6, 8)]],
  ['received while it is sent', [entry('send', 1, 1, 4), entry('recv', 1, 2, 3)]],
  [
    'empty before, between and after',
    [entry('empty', 0, 1, 2), entry('send', 1, 3, 4), entry('recv', 1, 5, 6), entry('empty', 0, 7, 8), entry('send', 2, 9, 10)],
  ],
  ['empty at the last moment of a reception', [entry('send', 1, 1, 2), entry('recv', 1, 3, 6), entry('empty', 0, 4, 5)]],
  [
    'empty between two that were there',
    [entry('send', 1, 1, 2), entry('empty', 0, 3, 10), entry('recv', 1, 4, 6), entry('send', 2, 5, 7), entry('recv', 2, 11, 12)],
  ],
])('an order exists: %s', ([, history]) => {
  expect(linearizabilityFault(history)).toBeUndefined();
});

test.for<[RegExp, Entry[]]>([
  [/never sent/u, [entry('recv', 1, 1, 2)]],
  [/never sent/u, [entry('recv', 1, 1, 2), entry('send', 1, 3, 4)]],
  [/twice/u, [entry('send', 1, 1, 2), entry('recv', 1, 3, 4), entry('recv', 1, 5, 6)]],
  [/2 was received before/u, [entry('send', 1, 1, 2), entry('send', 2, 3, 4), entry('recv', 2, 5, 6), entry('recv', 1, 7, 8)]],
  [/2 was received before/u, [entry('send', 1, 1, 2), entry('send', 2, 3, 4), entry('recv', 2, 5, 6)]],
  [/nothing was found/u, [entry('send', 1, 1, 2), entry('empty', 0, 3, 4), entry('recv', 1, 5, 6)]],
  // The first leaves when the second is there for certain.
  [
    /nothing was found/u,
    [entry('send', 1, 1, 2), entry('empty', 0, 3, 8), entry('send', 2, 4, 5), entry('recv', 1, 6, 7), entry('recv', 2, 9, 10)],
  ],
])('no order exists: %s', ([fault, history]) => {
  expect(linearizabilityFault(history)).toMatch(fault);
});
