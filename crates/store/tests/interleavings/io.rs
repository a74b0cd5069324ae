//! The requests to the I/O thread.

#[path = "../../src/io/queue.rs"]
pub mod queue;
#[path = "io_thread.rs"]
pub mod thread;
