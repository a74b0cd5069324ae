// Record sizes, offsets and state words: generated from layout/memory.json; edit that.

/** Bytes of a guard. */
export const GUARD_BYTES = 64;
/** What every 32-bit word of a whole guard holds: `HHED` in memory. */
export const GUARD_WORD = 0x4445_4848;
