/** What each program prints, wherever it runs. */
export const expected = {
  'c-threads': ['primes below 200000: 17984 in 400 pieces', 'primes below 10: 4', 'THREAD_STACK_OVERFLOW'],
  'rust-bindgen': ['the longest chain below 1000000 is that of 837799, a number of 20 bits', 'THREAD_PANICKED: there is no number below 0'],
  'rust-threads': ['the longest chain below 1000000 is that of 837799', 'numbers tried: 999999'],
  'wasi-threads': ['the sum of all threads: 6000'],
  'zig-threads': ['thrown: 200000', 'faces that came as often as others, within a tenth: 6'],
} as const;
