/** Where modules are, as callers name them: by a URL, or by its text. */
import { ThreadError } from '../ThreadError.ts';

/** How much of a location a message has: `data:` URLs hold a whole module. */
const SHOWN_MAX = 200;

/** A location for a message. */
export const shownLocation = (location: string): string => (location.length > SHOWN_MAX ? `${location.slice(0, SHOWN_MAX)}…` : location);

/**
 * The text of a location, for a worker to import.
 *
 * @throws ThreadError `BAD_ARGUMENT` for what is none, and for a relative one: a worker would look for it beside its own script, which lies
 *   somewhere in this package, or where a bundler has put it.
 */
export function hrefOf(location: URL | string): string {
  if (location instanceof URL) return location.href;
  checkLocation(location);
  return location;
}

/** As `hrefOf`, for what should be the text already. */
export function checkLocation(location: string): void {
  if (typeof location !== 'string') {
    throw new ThreadError('BAD_ARGUMENT', `a module is named by its URL, not by ${location === null ? 'null' : typeof location}`);
  }
  if (/^\.{1,2}\//u.test(location)) {
    throw new ThreadError(
      'BAD_ARGUMENT',
      `'${location}' is relative, to what a worker can't know: pass new URL('${location}', import.meta.url)`,
    );
  }
}
