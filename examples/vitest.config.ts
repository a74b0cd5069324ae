import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { findBrowser } from '@heddle/tools/browsers';

const testTimeout = 120_000;
const chromium = findBrowser('chromium');

/** What makes a page cross-origin isolated; without isolation there is no SharedArrayBuffer. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'examples:node', include: ['test/**/*.node.test.ts'], environment: 'node', pool: 'forks', testTimeout } },
      {
        resolve: { conditions: ['@heddle/source', 'browser', 'module', 'import', 'default'] },
        // The packages, and what was built from the Rust programs, lie beside this folder.
        server: { headers, fs: { allow: ['..'] } },
        worker: { format: 'es' },
        test: {
          name: 'examples:chromium',
          include: ['test/**/*.browser.test.ts'],
          globalSetup: ['test/buildForPages.ts'],
          testTimeout,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            // A busy machine takes its time to start a browser; that is no failure.
            connectTimeout: 120_000,
            provider: playwright({
              launchOptions: {
                ...(chromium ? { executablePath: chromium } : {}),
                args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
              },
            }),
            instances: [{ browser: 'chromium', name: 'examples:chromium' }],
          },
        },
      },
    ],
  },
});
