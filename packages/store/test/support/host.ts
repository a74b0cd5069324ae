/** Where the suite runs. */
export const isNode: boolean = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** Runs only in Node: the import is invisible to the browsers' bundler. */
export function nodeModule<T>(name: string): Promise<T> {
  return import(/* @vite-ignore */ name) as Promise<T>;
}

declare global {
  interface ImportMeta {
    /** Vitest's. */
    readonly env: Readonly<Record<string, string | undefined>>;
    /** Vite's. */
    glob<T>(pattern: string, options: { readonly query: string; readonly import: string; readonly eager: true }): Record<string, T>;
  }
}

/** A variable of the environment that the suite was started with; Vitest hands it on to browsers too. */
export function environment(name: `HEDDLE_${string}`): string | undefined {
  return import.meta.env[name];
}
