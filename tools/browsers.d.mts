/** The installed browser's program; undefined when only one that Playwright downloaded itself could serve. */
export declare function findBrowser(browser: 'chromium' | 'firefox'): string | undefined;
