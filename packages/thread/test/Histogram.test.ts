import { expect, test } from 'vitest';
import { Histogram } from '../src/internal/Histogram.ts';

test('quantiles are at most a sixteenth too high, the mean and the maximum exact', () => {
  const histogram = new Histogram();
  const durations = Array.from({ length: 1000 }, (_, n) => 0.01 * (n + 1) ** 1.5);
  for (const duration of durations) histogram.add(duration);
  const { count, meanMs, p50Ms, p99Ms, maxMs } = histogram.durations();
  expect(count).toBe(1000);
  expect(meanMs).toBeCloseTo(durations.reduce((sum, duration) => sum + duration) / 1000);
  expect(maxMs).toBe(durations.at(-1));
  for (const [quantile, index] of [
    [p50Ms, 499],
    [p99Ms, 989],
  ] as const) {
    expect(quantile).toBeGreaterThanOrEqual(durations[index]);
    expect(quantile).toBeLessThanOrEqual(durations[index] * (17 / 16));
  }
});

test('nothing, and what is too short or too long to be told apart', () => {
  const histogram = new Histogram();
  expect(histogram.durations()).toEqual({ count: 0, meanMs: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
  histogram.add(0);
  expect(histogram.durations()).toMatchObject({ count: 1, p50Ms: 0, maxMs: 0 });
  histogram.add(1e12);
  expect(histogram.durations()).toMatchObject({ count: 2, maxMs: 1e12 });
});
