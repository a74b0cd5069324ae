import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'examples:node',
    include: ['test/**/*.node.test.ts'],
    environment: 'node',
    pool: 'forks',
    testTimeout: 120_000,
  },
});
