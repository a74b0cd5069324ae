import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'installed:node',
    include: ['test/**/*.node.test.ts'],
    environment: 'node',
    pool: 'forks',
    // One file after the other: installing, building and browsers keep two cores busy by themselves.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
