/** Runs an example in a page of a real browser. */
import { format } from 'node:util';
import { findBrowser } from '@heddle/tools/browsers';
import { chromium, firefox, type Browser, type ConsoleMessage } from 'playwright';

/** Starts the browser that the system has, or else the one that Playwright downloaded. */
export function launch(browser: 'chromium' | 'firefox'): Promise<Browser> {
  const executablePath = findBrowser(browser);
  const program = executablePath === undefined ? {} : { executablePath };
  // A busy machine takes its time to start a browser; that is no failure.
  const timeout = 180_000;
  if (browser === 'chromium') return chromium.launch({ ...program, timeout, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
  // A stock Firefox is driven over WebDriver BiDi; Playwright's own build over its own protocol.
  return firefox.launch({ ...program, timeout, ...(executablePath === undefined ? {} : { channel: 'moz-firefox' }) });
}

/** What a page's console showed. */
export interface Shown {
  /** What `console.log` printed, in the form that Node gives it. */
  readonly printed: readonly string[];
  /** Errors on the console, and those that nobody caught. */
  readonly errors: readonly string[];
}

const TIMEOUT_MS = 90_000;

/** Opens a page, waits until its title is "done" or an error reached its top, and tells what its console showed. */
export async function openPage(browser: Browser, url: string): Promise<Shown> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    let messages: ConsoleMessage[] = [];
    let uncaught: string[] = [];
    // A development server that has found another dependency loads the page anew: what counts is what the last load shows.
    page.on('framenavigated', () => {
      messages = [];
      uncaught = [];
    });
    page.on('console', (message) => messages.push(message));
    const failed = new Promise<void>((resolve) => {
      page.on('pageerror', (error) => {
        uncaught.push(error.stack ?? error.message);
        resolve();
      });
    });
    await page.goto(url);
    const done = page.waitForFunction(() => document.title === 'done', undefined, { timeout: TIMEOUT_MS });
    // Where the page failed first, nobody waits for its title any longer.
    const stillRunning = done.then(
      () => undefined,
      () => `the example still runs after ${TIMEOUT_MS} ms`,
    );
    const problem = await Promise.race([stillRunning, failed]);
    const printed = await Promise.all(messages.filter((message) => message.type() === 'log').map((message) => textOf(message)));
    const errors = messages.filter((message) => message.type() === 'error').map((message) => message.text());
    return { printed, errors: [...errors, ...uncaught, ...(problem === undefined ? [] : [problem])] };
  } finally {
    await context.close();
  }
}

async function textOf(message: ConsoleMessage): Promise<string> {
  const values: unknown[] = await Promise.all(message.args().map((value) => value.jsonValue() as Promise<unknown>));
  return format(...values);
}
