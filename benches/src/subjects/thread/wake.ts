/** What no spawn can do better: a worker that blocks is woken, and wakes the main thread, which awaits. */
import { type Run, Agents } from '../../agents/Agents.ts';
import type { Measurement, Session, Subject } from '../../measurement.ts';
import { awaitTurn, giveTurn, turnCame } from '../turns.ts';
import { isSpawn, spawnJoin } from './spawnJoin.ts';

interface Setup {
  readonly buffer: SharedArrayBuffer;
}

export const waitNotify: Subject = {
  bench: 'thread',
  name: 'wait-notify',
  supports: isSpawn,
  async open(caseName): Promise<Session> {
    const word = new Int32Array(new SharedArrayBuffer(4));
    const setup: Setup = { buffer: word.buffer };
    const agents = await Agents.start(new URL(import.meta.url), [{ role: 'serve', setup }]);
    return {
      async round(count): Promise<Measurement> {
        const serving = agents.run(count);
        const measurement = await spawnJoin(caseName, count, () => {
          giveTurn(word, 1);
          return turnCame(word, 0);
        });
        await serving;
        return measurement;
      },
      close: () => agents.close(),
    };
  },
};

export function serve({ buffer }: Setup): Run {
  const word = new Int32Array(buffer);
  return (count) => {
    for (let n = 0; n < count; n += 1) {
      awaitTurn(word, 1);
      giveTurn(word, 0);
    }
    return 0;
  };
}
