//! The parts of the store that threads meet in, under a model checker that decides which thread goes on, tens of thousands of times.
//!
//! What is checked are the store's own sources: `commit.rs`, `table.rs` and `io.rs` in here compile them once more, by their paths, over
//! [`sync`], whose locks and atomics are the checker's. Around them are stand-ins: for Tonbo ([`table::source`]), for the logs
//! ([`commit::log`]), for the I/O thread, which is TypeScript ([`io::thread`]). All that no two threads meet in comes from the crate as it is.
//!
//! A check that can't fail proves nothing: beside each group of models are faults that it has to find, in the locks themselves
//! ([`sync::Fault`]) or in what the store's part has to do with.
//!
//! The schedules are random ones from a seed (`HEDDLE_SEED` takes another), so that a failure comes again; it also prints its schedule.
//! `HEDDLE_LONG_MINUTES` makes them more.
#![allow(
    dead_code,
    missing_docs,
    reason = "a test; of the sources that it compiles again it uses a part"
)]

use heddle_store::{error, index, key, schema, value};

#[path = "../../src/activity.rs"]
mod activity;
mod check;
mod commit;
mod io;
#[path = "../../src/layout.rs"]
mod layout;
#[path = "../../src/memory.rs"]
mod memory;
mod statement;
mod store;
mod sync;
mod table;
#[path = "../../src/transaction.rs"]
mod transaction;

mod budgets;
mod caches;
mod commits;
mod errands;
mod interrupts;
mod requests;
mod restarts;
