import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream, WritableStream as NodeWritableStream } from 'node:stream/web';
import { expect, test } from 'vitest';
import { channel, readableStream, writableStream } from '../src/index.ts';

test("Node's own streams read and write channels", async () => {
  const there = channel({ capacity: 2 });
  const back = channel({ capacity: 2 });
  const piped = pipeline(
    Readable.fromWeb(readableStream(there.receiver) as NodeReadableStream<Uint8Array>),
    async function* doubled(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) yield Uint8Array.of(...chunk, ...chunk);
    },
    Writable.fromWeb(writableStream<Uint8Array>(back.sender) as NodeWritableStream),
  );
  const received: number[][] = [];
  const read = (async () => {
    for await (const chunk of Readable.fromWeb(readableStream(back.receiver) as NodeReadableStream<Uint8Array>)) {
      received.push([...(chunk as Uint8Array)]);
    }
  })();
  for (let n = 0; n < 10; n += 1) await there.sender.sendAsync(Uint8Array.of(n));
  there.sender.release();
  await Promise.all([piped, read]);
  expect(received).toEqual(Array.from({ length: 10 }, (_, n) => [n, n]));
});
