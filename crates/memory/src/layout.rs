//! Record sizes, offsets and state words: generated from `layout/memory.json`; edit that.

/// Bytes of a guard.
pub const GUARD_BYTES: u32 = 64;
/// What every 32-bit word of a whole guard holds: `HHED` in memory.
pub const GUARD_WORD: u32 = 0x4445_4848;
