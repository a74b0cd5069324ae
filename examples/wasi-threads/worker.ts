/** A thread of the WASI program, for each that it asks for. */
import { ownStart, tellReady } from '#workers';
import { Receiver } from '@heddle/channel';
import { instantiate } from '@heddle/memory';
import { Wasi } from '@heddle/memory/wasi';
import type { Start } from './run.ts';

const { module, memory, jobs, descriptors } = await ownStart<Start>();
tellReady();
for (const [id, argument] of Receiver.from<[number, number]>(jobs)) {
  const wasi = new Wasi({ memory, descriptors });
  const { exports } = instantiate({ module, memory, imports: wasi.imports });
  wasi.startThread(exports, id, argument);
}
