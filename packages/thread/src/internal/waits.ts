/** What threads wait for, by the numbers that stand for it in shared memory (WAIT_NONE and so on in docs/layout.md). */
import { type BlockingWaitKind, blockingWaitKind } from '@heddle/atomics/internal';
import { WAIT_NONE, WAIT_WORD } from './layout.ts';

/** By number: waits that this package knows by itself. Of Wasm threads, locks and channels are in the registry of atomics instead. */
export const RUNTIME_WAITS = [undefined, 'park', 'join', 'sleep', 'scope', 'event-loop'] as const;

/** What a TypeScript thread waits for. */
export type ModuleWaitKind = 'park' | 'join' | 'event-loop' | BlockingWaitKind;

/** What the number on a desk says; undefined where the thread waits for nothing. */
export function waitOnDesk(number: number): ModuleWaitKind | undefined {
  if (number === WAIT_NONE) return undefined;
  if (number === WAIT_WORD) return 'word';
  return (RUNTIME_WAITS[number] as ModuleWaitKind | undefined) ?? blockingWaitKind(number);
}
