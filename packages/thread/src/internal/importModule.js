/**
 * A module whose URL is known only when the program runs.
 *
 * In JavaScript: tsc would wrap the URL into a helper that turns the ends of TypeScript's names into JavaScript's. Rollup warns of that
 * helper, and webpack's minimiser inlines it into an `import()` of two arguments. The comments keep bundlers from looking for the module.
 */
export const importModule = (url) => import(/* webpackIgnore: true */ /* @vite-ignore */ url);
