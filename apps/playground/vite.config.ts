import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** What makes the page cross-origin isolated: without it a browser gives no shared memory, so no threads. */
const ISOLATION_HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** The built page runs under a strict policy. (Vite's development server adds scripts and styles of its own, so it can't.) */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
].join('; ');

export default defineConfig({
  resolve: {
    // The package's `exports` name its list of addresses only; the data lie beside it.
    alias: { '#data': fileURLToPath(new URL('../data', import.meta.resolve('vega-datasets'))) },
  },
  assetsInclude: ['**/*.parquet', '**/*.csv'],
  worker: { format: 'es' },
  build: { target: 'es2024', assetsInlineLimit: 0 },
  server: { headers: ISOLATION_HEADERS },
  preview: { headers: { ...ISOLATION_HEADERS, 'Content-Security-Policy': CONTENT_SECURITY_POLICY } },
});
