import { defineConfig } from 'vitest/config';

const conditions = ['@heddle/source', 'node', 'module', 'import', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'demo:node',
    include: ['test/**/*.node.test.ts'],
    environment: 'node',
    pool: 'forks',
    // The store's worker threads load TypeScript by Node itself: they need the condition too.
    execArgv: ['--conditions=@heddle/source'],
    testTimeout: 120_000,
  },
});
