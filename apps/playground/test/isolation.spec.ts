/** Served without the two headers that shared memory needs, the page says what is wrong and how to mend it. */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from './fixtures.ts';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The built page from a server that knows nothing of isolation. */
async function plainServer(): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = join(DIST, pathname === '/' ? 'index.html' : pathname);
    readFile(path).then(
      (bytes) => response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

test('a page that is not cross-origin isolated explains the two headers', async ({ page }) => {
  const server = await plainServer();
  try {
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const problem = page.getByRole('alert').first();
    await expect(problem).toContainText('may not share memory between threads');
    await expect(problem).toContainText('Cross-Origin-Opener-Policy: same-origin');
    await expect(problem).toContainText('Cross-Origin-Embedder-Policy: require-corp');
    await expect(page.locator('body')).toHaveAttribute('data-state', 'failed');
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
