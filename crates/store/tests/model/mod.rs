//! The parts of the model test.

pub mod history;
pub mod state;
