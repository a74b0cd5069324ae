/** Chromium and Firefox for the tests: the system's, else the ones that Playwright downloads. */
import { existsSync } from 'node:fs';
import { findBrowser } from '../browsers.mjs';
import { inWorkspace, query, run, say, ToolError } from '../workspace.mjs';

const NAMES = { chromium: 'Chromium', firefox: 'Firefox' };

/** @returns {string[]} names of the browsers that neither the system nor Playwright has */
export function findMissingBrowsers() {
  return Object.keys(NAMES)
    .filter((browser) => !findBrowser(browser) && !hasPlaywrightBrowser(browser))
    .map((browser) => NAMES[browser]);
}

function hasPlaywrightBrowser(browser) {
  const script = `import('playwright').then((playwright) => console.log(playwright.${browser}.executablePath()))`;
  const program = query(existsSync(inWorkspace('node_modules/.bin/node')) ? inWorkspace('node_modules/.bin/node') : process.execPath, [
    '-e',
    script,
  ]);
  return program !== undefined && program !== '' && existsSync(program);
}

/** @throws {ToolError} if a browser is still missing afterwards */
export function installBrowsers() {
  for (const browser of Object.keys(NAMES)) {
    if (findBrowser(browser)) {
      say(`set-up: ${NAMES[browser]} is there: ${findBrowser(browser)}`);
      continue;
    }
    if (hasPlaywrightBrowser(browser)) {
      say(`set-up: Playwright's ${NAMES[browser]} is there`);
      continue;
    }
    say(`set-up: Playwright's ${NAMES[browser]}`);
    try {
      run(inWorkspace('node_modules/.bin/playwright'), ['install', browser]);
    } catch {
      throw new ToolError(`${NAMES[browser]} is missing: install it (Debian: "apt-get install chromium firefox-esr") and start again.`);
    }
  }
}
