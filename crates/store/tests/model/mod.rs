//! The parts of the model test.

pub mod canary;
pub mod history;
mod import;
mod read;
mod schema;
pub mod state;
pub mod transaction;
mod write;
