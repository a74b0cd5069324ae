//! The parts of the differential test. See `differential.rs`.

pub mod episode;
pub mod outcome;
pub mod shrink;
pub mod threads;
pub mod world;
