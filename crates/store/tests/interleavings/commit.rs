//! The commit's parts, over a stand-in for the logs.

#[path = "../../src/commit/group.rs"]
pub mod group;
#[path = "log.rs"]
pub mod log;
#[path = "../../src/commit/mover.rs"]
pub mod mover;
#[path = "../../src/commit/recent.rs"]
pub mod recent;
#[path = "../../src/commit/sequencer.rs"]
pub mod sequencer;

pub use heddle_store::commit::changes;

/// Small here, so that models meet both kinds.
const LARGE_ROWS: usize = 2;
