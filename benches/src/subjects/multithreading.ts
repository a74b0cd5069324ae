/**
 * The npm package `multithreading`, once for each agent that uses it: its pool of workers, and the ends of tasks.
 *
 * Its functions are turned into strings, so what a task needs stands in the task.
 */
import { initRuntime, shutdown, type spawn } from 'multithreading';
import type { Session } from '../measurement.ts';

/** Workers of its pool: as many as the largest case has tasks that wait for each other. */
const WORKERS = 4;

let users = 0;

/** Counts a session in: the pool is started by the first. */
function enter(): void {
  if (users === 0) initRuntime({ maxWorkers: WORKERS });
  users += 1;
}

/** A session that keeps the pool while it is open. */
export function poolSession(round: Session['round']): Session {
  enter();
  return {
    round,
    async close() {
      users -= 1;
      if (users === 0) shutdown();
    },
  };
}

type Joined<T> = ReturnType<ReturnType<typeof spawn<[], T>>['join']>;

/**
 * Times tasks that were just spawned.
 *
 * @throws Error what a task threw
 */
export async function timeTasks(start: number, tasks: readonly Joined<number>[]): Promise<{ elapsedNs: number; results: number[] }> {
  const joined = await Promise.all(tasks);
  const elapsedNs = (performance.now() - start) * 1e6;
  const results = joined.map((result) => {
    if (!result.ok) throw new Error(`a task of multithreading failed: ${String(result.error)}`);
    return result.value;
  });
  return { elapsedNs, results };
}
