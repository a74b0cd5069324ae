/** Types that the tests and their workers share. */
import { array, bool, bytes, f32, f64, i16, i32, i64, i8, struct, u16, u32, u64, u8 } from '../../src/index.ts';

/** One field of each type. */
export const Everything = struct({
  flag: bool,
  tiny: i8,
  small: u8,
  short: i16,
  word: u16,
  int: i32,
  count: u32,
  single: f32,
  big: i64,
  huge: u64,
  exact: f64,
  name: bytes(5),
  pair: struct({ left: u8, right: f64 }),
  list: array(u16, 3),
});

/** What visitors leave: `Visit` of the example module of heddle-atomics is the same. */
export const Visit = struct({
  hits: u32,
  sum: f64,
  last: struct({ worker: bool, name: bytes(6) }),
  recent: array(u16, 4),
});

/** A number that tasks count up: the `u32` in a lock of Rust's. */
export const Count = struct({ count: u32 });
