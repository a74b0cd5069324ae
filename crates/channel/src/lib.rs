//! Bounded channels on fixed records in shared memory, the same in Rust and in TypeScript.
