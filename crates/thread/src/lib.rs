#![doc = include_str!("../README.md")]
#![cfg_attr(
    target_arch = "wasm32",
    feature(alloc_error_hook, allocator_api, thread_raw)
)]

mod builder;
mod event_loop;
mod exit;
mod failure;
mod join;
#[cfg(target_arch = "wasm32")]
#[allow(
    dead_code,
    reason = "some of the records' words are TypeScript's alone"
)]
mod layout;
mod local;
mod retired;
mod scope;
mod sys;
pub mod time;

pub use builder::{Builder, spawn};
pub use event_loop::spawn_async;
pub use exit::at_exit;
pub use failure::ThreadError;
pub use join::{JoinFuture, JoinHandle, Result};
pub use local::{LocalHandle, NoEventLoop, spawn_local, try_spawn_local};
#[allow(deprecated, reason = "std has them too")]
pub use retired::{park_timeout_ms, sleep_ms};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use sys::{
    Thread, ThreadId, available_parallelism, current, hide_panic_messages, keep_reserve, park,
    park_timeout, sleep, yield_now,
};

/// std's own: it knows who panics, and its `thread_local!` works on these threads.
pub use std::thread::{AccessError, LocalKey, panicking};
