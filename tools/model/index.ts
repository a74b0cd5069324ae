/**
 * A model checker for the TypeScript cores: the code that ships runs on real workers, one at a time, and a scheduler decides
 * before each atomic operation which.
 *
 * @module
 */
export { type Extent, assertSound, findFault, longModelMs, seedOfRun } from './assertSound.ts';
export { type Fault } from './atomics.ts';
export { type Exploration, type ExploreOptions, type Failure, type Strategy, explore } from './explore.ts';
export { type Model, type ModelThread } from './Model.ts';
