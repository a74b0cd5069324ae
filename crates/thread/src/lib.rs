#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "wasm32", feature(alloc_error_hook))]

mod builder;
mod exit;
mod failure;
mod join;
#[cfg(target_arch = "wasm32")]
#[allow(
    dead_code,
    reason = "some of the records' words are TypeScript's alone"
)]
mod layout;
mod scope;
mod sys;
pub mod time;

pub use builder::{Builder, spawn};
pub use exit::at_exit;
pub use failure::ThreadError;
pub use join::{JoinFuture, JoinHandle, Result};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use sys::{
    Thread, ThreadId, available_parallelism, current, keep_reserve, park, park_timeout, sleep,
    yield_now,
};

/// Whether this thread is unwinding from a panic. It is std's, which knows.
pub use std::thread::panicking;
