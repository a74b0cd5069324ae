import { expect, test } from 'vitest';
import { JobQueue } from '../src/internal/JobQueue.ts';

interface Numbered {
  readonly priority: number;
  readonly number: number;
}

/** The same numbers each time. */
function randomNumbers(): (below: number) => number {
  let state = 1;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

test('jobs come out by priority, equals as they went in, whatever is withdrawn between', () => {
  const random = randomNumbers();
  const queue = new JobQueue<Numbered>();
  let model: Numbered[] = [];
  for (let number = 0; number < 5000; number += 1) {
    const job = { priority: random(4), number };
    queue.push(job);
    model.push(job);
    model = model.toSorted((a, b) => b.priority - a.priority || a.number - b.number);
    const action = random(3);
    if (action === 0) expect(queue.pop()).toBe(model.shift());
    if (action === 1) {
      const [withdrawn] = model.splice(random(model.length), 1);
      expect(queue.withdraw(withdrawn)).toBe(true);
      expect(queue.withdraw(withdrawn)).toBe(false);
    }
    expect(queue.size).toBe(model.length);
    expect(queue.peek()).toBe(model[0]);
  }
  expect(queue.jobs()).toEqual(model);
  for (const job of model) expect(queue.pop()).toBe(job);
  expect(queue.pop()).toBeUndefined();
});
