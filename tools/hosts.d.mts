/** Deno's or Bun's program; undefined where there is none for this kind of machine. */
export declare function findHost(host: 'deno' | 'bun'): string | undefined;
