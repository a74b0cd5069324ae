import { defineConfig } from '@playwright/test';

/** Not Vite's own for previews, which other suites use at the same time. */
const PORT = 4399;

/** The built page in Chromium and Firefox. How the browsers are started is in test/fixtures.ts. */
export default defineConfig({
  testDir: 'test',
  testMatch: '*.spec.ts',
  timeout: 120_000,
  expect: { timeout: 30_000 },
  // The machine's cores are what is shown: one page at a time.
  workers: 1,
  forbidOnly: true,
  reporter: 'list',
  use: { baseURL: `http://localhost:${PORT}`, viewport: { width: 1280, height: 900 } },
  projects: [
    { name: 'chromium', use: { browserName: 'chromium' } },
    { name: 'firefox', use: { browserName: 'firefox' } },
  ],
  webServer: {
    command: `node ../../node_modules/vite/bin/vite.js preview --port ${PORT} --strictPort`,
    port: PORT,
    reuseExistingServer: false,
  },
});
