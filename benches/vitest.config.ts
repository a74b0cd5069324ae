import { defineConfig } from 'vitest/config';

const conditions = ['@heddle/source', 'node', 'module', 'import', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'benches:node',
    include: ['test/**/*.node.test.ts'],
    environment: 'node',
    pool: 'forks',
    testTimeout: 240_000,
  },
});
