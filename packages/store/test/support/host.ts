/** Where the suite runs. */
export const isNode: boolean = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** Runs only in Node: the import is invisible to the browsers' bundler. */
export function nodeModule<T>(name: string): Promise<T> {
  return import(/* @vite-ignore */ name) as Promise<T>;
}
