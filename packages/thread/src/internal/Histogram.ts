/**
 * Durations, counted in buckets that are each a sixteenth of a power of two wide: any number of them in 5 KiB, and a quantile that is
 * at most a sixteenth too high, as HdrHistogram has it. One microsecond is the smallest that is told apart.
 */

/** What is known of many durations, in milliseconds; all 0 if there were none. */
export interface Durations {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const BUCKETS_PER_OCTAVE = 16;
/** 2^40 microseconds are twelve days. */
const OCTAVES = 40;

export class Histogram {
  readonly #counts = new Float64Array(OCTAVES * BUCKETS_PER_OCTAVE);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  add(durationMs: number): void {
    this.#count += 1;
    this.#sumMs += durationMs;
    this.#maxMs = Math.max(this.#maxMs, durationMs);
    const bucket = Math.min(bucketOf(durationMs * 1000), this.#counts.length - 1);
    this.#counts[bucket]! += 1;
  }

  durations(): Durations {
    return {
      count: this.#count,
      meanMs: this.#count === 0 ? 0 : this.#sumMs / this.#count,
      p50Ms: this.#quantile(0.5),
      p99Ms: this.#quantile(0.99),
      maxMs: this.#maxMs,
    };
  }

  /** The end of the bucket that so large a part of all durations has reached. */
  #quantile(part: number): number {
    let left = Math.ceil(this.#count * part);
    if (left === 0) return 0;
    const bucket = this.#counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return Math.min(this.#maxMs, endOf(bucket) / 1000);
  }
}

function bucketOf(us: number): number {
  const at = Math.max(1, us);
  const octave = Math.floor(Math.log2(at));
  return octave * BUCKETS_PER_OCTAVE + Math.min(BUCKETS_PER_OCTAVE - 1, Math.floor((at / 2 ** octave - 1) * BUCKETS_PER_OCTAVE));
}

/** Where a bucket ends, in microseconds. */
function endOf(bucket: number): number {
  const octave = Math.floor(bucket / BUCKETS_PER_OCTAVE);
  return 2 ** octave * (1 + ((bucket % BUCKETS_PER_OCTAVE) + 1) / BUCKETS_PER_OCTAVE);
}
