import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readModule } from '../src/index.ts';

test("a server's refusal is told with its status", async () => {
  const server = createServer((_request, response) => response.writeHead(403).end('no'));
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await expect(readModule(`http://localhost:${port}/program.wasm`)).rejects.toMatchObject({
    code: 'MODULE_UNREADABLE',
    message: expect.stringContaining('403 Forbidden') as string,
  });
});
