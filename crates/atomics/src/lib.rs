//! Locks on fixed records in shared memory, the same in Rust and in TypeScript.
