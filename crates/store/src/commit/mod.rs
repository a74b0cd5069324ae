//! How a transaction becomes durable and visible: SQLite is the log, Tonbo the columnar store.
//!
//! 1. [`sequencer`]: the transaction is checked against every commit since its snapshot and gets the next sequence number;
//! 2. [`log`]: its changes become durable, as one row of a SQLite log;
//! 3. [`sequencer`]: in the order of the numbers its changes enter the tables' deltas, where new snapshots see them;
//! 4. [`mover`]: later, a background thread moves the deltas into Tonbo and trims the logs.

pub mod changes;
mod group;
pub mod log;
pub mod mover;
mod recent;
pub mod sequencer;

/// A commit of so many rows is a large one, of which [`recent`] keeps book otherwise.
const LARGE_ROWS: usize = 1024;
