/**
 * What the other packages of this family build on. Not for applications: it changes without notice.
 *
 * @module
 */
export { type Agent, type AgentRegistry, agentOf } from './agent.ts';
export { type BlockingWait, type BlockingWaitKind, blockingWaitKind, blockingWaitOf } from './blockingWait.ts';
export { learnFromSpin, spinForBatch, spinPause, spinRounds, spinWhile } from './blocking.ts';
export { defineDisposeSymbol } from './dispose.ts';
export { provideWaitAsync } from './helper.ts';
export { type AsyncWaitOptions, type WaitResult, block, setWaitAsyncByHelper, waitAsync } from './futex.ts';
export { type ResolvedLocation, checkKind, handleOf, resolveLocation } from './location.ts';
export {
  SLOT_UNREGISTERED,
  OWNER_MASK,
  OWNER_SLOT_MASK,
  PARKER_EMPTY,
  PARKER_NOTIFIED,
  PARKER_PARKED,
  WAITING_FOR_CHANNEL,
  WAITING_FOR_PARKER,
  WAITING_ON_SEQUENCE,
} from './layout.ts';
export { CLEAN, FAILED, type Outcome, RawMutex, TAKEN_POISONED } from './RawMutex.ts';
export { type OwnWaits, noted, setOwnWaits } from './ownWaits.ts';
export { deadlineAfter, remainingMs } from './time.ts';
export { openRegistryOf } from '../Mutex.ts';
export { access } from '../SharedType.ts';
