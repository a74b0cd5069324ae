/** Finds installed browsers. */
import { findProgram } from './workspace.mjs';

const CANDIDATES = {
  chromium: [
    'chromium',
    'chromium-browser',
    'google-chrome',
    'google-chrome-stable',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  firefox: ['firefox-esr', 'firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'],
};

/**
 * @param {'chromium' | 'firefox'} browser
 * @returns {string | undefined} the program, or undefined when only a browser that Playwright downloaded itself could serve
 */
export function findBrowser(browser) {
  return findProgram(CANDIDATES[browser]);
}
