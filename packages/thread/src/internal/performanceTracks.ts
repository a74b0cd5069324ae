/** A track for each worker in the browser's performance panel, with its threads one after the other: `performance.measure` with what its extensibility takes as `detail.devtools`. */
import type { ThreadEvent } from './Trace.ts';

/** How threads are shown. */
export interface PerformanceTrackOptions {
  /** What the tracks are grouped under, "Threads" where absent. */
  readonly group?: string | undefined;
}

const ENDS: ReadonlySet<ThreadEvent['type']> = new Set(['ended', 'trapped', 'terminated']);

/** What turns events into measures: from a thread's start to its end, on its worker's track. */
export function performanceTracks({ group = 'Threads' }: PerformanceTrackOptions): (event: ThreadEvent) => void {
  const started = new Map<number, ThreadEvent>();
  return (event) => {
    if (event.type === 'started') started.set(event.threadId, event);
    // Whoever was missed began or ended meanwhile: a start whose end is unknown is not shown.
    if (event.type === 'missed') started.clear();
    const start = started.get(event.threadId);
    if (!start || !ENDS.has(event.type)) return;
    started.delete(event.threadId);
    const name = event.name ?? `thread ${event.threadId}`;
    const failure = event.type === 'ended' ? [] : [['End', event.type]];
    performance.measure(name, {
      // A browser coarsens each worker's clock by itself: an end may seem to lie before its start.
      start: Math.max(0, start.timeMs),
      end: Math.max(0, start.timeMs, event.timeMs),
      detail: {
        threadId: event.threadId,
        devtools: {
          dataType: 'track-entry',
          trackGroup: group,
          track: `worker ${event.worker ?? start.worker}`,
          color: event.type === 'ended' ? 'primary' : 'error',
          properties: [['Thread', String(event.threadId)], ...failure],
          tooltipText: name,
        },
      },
    });
  };
}
