/** What the page offers to the process that measures in it. */
import type { Bench } from './cases.ts';
import type { Measurement, Session } from './measurement.ts';
import { scriptHost } from './subjects/index.ts';

/** Sessions by number: only data cross the browser's boundary. */
export interface BenchesInPage {
  open(bench: Bench, subject: string, caseName: string): Promise<number>;
  round(id: number, count: number): Promise<Measurement>;
  close(id: number): Promise<void>;
}

const host = scriptHost('chromium');
const sessions = new Map<number, Session>();
let lastId = 0;

function sessionOf(id: number): Session {
  const session = sessions.get(id);
  if (!session) throw new RangeError(`there is no session ${id}`);
  return session;
}

globalThis.heddleBenches = {
  async open(bench, name, caseName) {
    const subject = host.subjects.find((candidate) => candidate.bench === bench && candidate.name === name && candidate.supports(caseName));
    if (!subject) throw new RangeError(`${bench}: ${name} has no case ${caseName}`);
    const session = await subject.open(caseName);
    lastId += 1;
    sessions.set(lastId, session);
    return lastId;
  },
  round: (id, count) => sessionOf(id).round(count),
  async close(id) {
    await sessionOf(id).close();
    sessions.delete(id);
  },
} satisfies BenchesInPage;
