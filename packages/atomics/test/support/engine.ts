/** Workers of engines that not every host has. */

/** The name of a worker that is to be one of an engine without `Atomics.waitAsync`. */
export const WITHOUT_WAIT_ASYNC = 'without Atomics.waitAsync';

/** Makes this worker what its name says. */
export function beOfEngine(): void {
  if ((globalThis as { name?: unknown }).name === WITHOUT_WAIT_ASYNC) Reflect.deleteProperty(Atomics, 'waitAsync');
}
