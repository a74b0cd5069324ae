/** What an engine throws when Wasm can't go on. */

/** Whether an error is the engine's: a trap, or the end of its own stack. */
export function isTrap(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError || error instanceof RangeError || isTooMuchRecursion(error);
}

/** Firefox's word for the end of the engine's stack. */
function isTooMuchRecursion(error: unknown): boolean {
  return error instanceof Error && error.name === 'InternalError';
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
