/** The codecs that a test and its worker agree on. */
import { array, bool, bytes, f64, u16, u32 } from '@heddle/atomics';
import { type Codec, bytesCodec, jsonCodec, structCodec, textCodec } from '../../src/index.ts';
import { msgpackCodec } from '../../src/msgpack.ts';
import { structuredCodec } from '../../src/structured.ts';

/** As `Sample` in `channel-testing.rs`. */
export const sampleCodec: ReturnType<typeof sampleCodecOf> = sampleCodecOf();

function sampleCodecOf() {
  return structCodec({ flag: bool, x: f64, hits: u32, tag: bytes(5), list: array(u16, 3) });
}

/** The codec that a handle names. */
export function codecOf(handle: { readonly codec: string }): Codec<unknown> {
  const codecs: readonly Codec<unknown>[] = [bytesCodec, textCodec, jsonCodec(), msgpackCodec(), structuredCodec(), sampleCodec];
  const codec = codecs.find(({ name }) => name === handle.codec);
  if (codec === undefined) throw new Error(`the tests have no codec '${handle.codec}'`);
  return codec;
}
