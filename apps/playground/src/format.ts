/** Numbers and times as people read them. */
const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function count(value: number | bigint): string {
  return whole.format(value);
}

/** 12,345 as 12.3K. */
export function compact(value: number): string {
  return short.format(value);
}

/** A duration: `0.42 ms`, `17 ms`, `2.35 s`. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
