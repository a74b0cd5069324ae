/** What tests ask of a model: that nothing is wrong in any execution, and that a fault put in is found. */
import { type Fault } from './atomics.ts';
import { type Exploration, explore } from './explore.ts';

/** How far a model is explored. */
export interface Extent {
  /** Every execution with at most so many preemptions; not looked at if not given. */
  readonly preemptionsMax?: number;
  /** So many executions at random besides. */
  readonly executions?: number;
  /** How many deaths one execution may have at most. */
  readonly deathsMax?: number;
}

/** How many models of one file share the minutes of a long test. */
const LONG_SHARE = 12;
const EXECUTIONS_MAX = 200_000;
/** In a long test. */
const EXECUTIONS_PER_SEED = 20_000;

/** Where chance begins: HEDDLE_SEED, or the same as always. */
export function seedOfRun(): number {
  return Number(process.env['HEDDLE_SEED'] ?? 1) >>> 0;
}

/** How long one model is explored at most in a long test, in milliseconds; 0 in a short one. */
export function longModelMs(): number {
  return (Number(process.env['HEDDLE_LONG_MINUTES'] ?? 0) * 60_000) / LONG_SHARE;
}

/**
 * Explores a model, and throws what was wrong with the steps that led there.
 *
 * @returns the executions that were looked at
 */
export async function assertSound(module: URL, name: string, extent: Extent): Promise<number> {
  const { preemptionsMax, executions = 0, deathsMax = 1 } = extent;
  let count = 0;
  if (preemptionsMax !== undefined) {
    const strategy = { preemptionsMax, executionsMax: EXECUTIONS_MAX };
    const exploration = await explore(module, name, { strategy, deathsMax });
    report(name, exploration);
    if (!exploration.isComplete) throw new Error(`${name}: more than ${EXECUTIONS_MAX} executions with ${preemptionsMax} preemptions`);
    count += exploration.executions;
  }
  const endMs = performance.now() + longModelMs();
  let seed = seedOfRun();
  do {
    const strategy = { executions: longModelMs() > 0 ? EXECUTIONS_PER_SEED : executions, seed };
    // oxlint-disable-next-line no-await-in-loop -- one seed after the other
    const exploration = await explore(module, name, { strategy, deathsMax });
    report(`${name}, HEDDLE_SEED=${seed}`, exploration);
    count += exploration.executions;
    seed = (seed + 1) >>> 0;
  } while (performance.now() < endMs);
  return count;
}

/** Explores a model that has a bug: what was found, and `undefined` if nothing was. */
export async function findFault(module: URL, name: string, fault: Fault, extent: Extent): Promise<string | undefined> {
  const { preemptionsMax, executions = 0, deathsMax = 1 } = extent;
  const strategy = preemptionsMax === undefined ? { executions, seed: seedOfRun() } : { preemptionsMax };
  const { failure } = await explore(module, name, { strategy, fault, deathsMax });
  return failure?.message;
}

function report(name: string, { failure, executions }: Exploration): void {
  if (failure === undefined) return;
  throw new Error(
    `${name}: execution ${executions} is wrong: ${failure.message}\n\n${failure.steps.join('\n')}\n\nchoices: [${failure.choices.join(', ')}]`,
  );
}
