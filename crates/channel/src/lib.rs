//! Bounded channels on fixed records in shared memory, the same in Rust and in TypeScript.
//!
//! # When to use which
//! | you send | between | use |
//! |---|---|---|
//! | bytes | Rust and TypeScript threads, over one memory | [`bytes`] |
//! | values of a Rust type | Rust threads and tasks of one memory | [`bounded`], [`unbounded`], [`rendezvous`] |
//! | values of serde's | Rust and TypeScript threads, over one memory | [`channel`], with the feature `msgpack`; [`json`], with `json` |
//! | structs of fixed size | Rust and TypeScript threads, over one memory | [`fixed`], with the feature `fixed` |
//! | values by a codec of your own | Rust and TypeScript threads, over one memory | [`codec`] |
//! | news, which every receiver receives | Rust and TypeScript threads, over one memory | [`broadcast`] |
//! | a state, of which the latest counts | Rust and TypeScript threads, over one memory | [`watch`] |
//!
//! All are multi-producer, multi-consumer and bounded: a sender that is faster than its receivers waits. What one
//! sender sends arrives in its order. Either side closes the channel; what was sent before is still received.
//!
//! All with room stand on one protocol (`protocol.rs`): a ring between two locks. A thread that dies in the middle of sending or
//! receiving leaves nothing half-done, because a message becomes visible, or goes, with one write; the locks are
//! [`heddle_atomics::RawMutex`], so the death itself leaves nobody waiting.
//!
//! # Example
//! ```
//! let (sender, receiver) = heddle_channel::bounded(16);
//! let worker = std::thread::spawn(move || {
//!     for n in 0..100 {
//!         sender.send(n).unwrap();
//!     }
//! });
//! assert_eq!(receiver.iter().sum::<u32>(), 4950);
//! worker.join().unwrap();
//! ```

mod bound;
mod bounded;
pub mod broadcast;
pub mod bytes;
pub mod codec;
mod ends;
mod error;
#[cfg(feature = "fixed")]
pub mod fixed;
#[cfg(feature = "json")]
pub mod json;
pub mod layout;
mod monitor;
#[cfg(feature = "msgpack")]
pub mod msgpack;
mod protocol;
mod select;
mod side;
pub mod watch;

pub use bound::{ThreadBound, ThreadEnd};
pub use bounded::{
    IntoIter, Iter, Receiver, RecvFuture, SendFuture, Sender, TryIter, bounded, rendezvous,
    unbounded,
};
pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use heddle_atomics::Deadline;
#[cfg(feature = "msgpack")]
pub use msgpack::channel;

pub use select::{Select, SelectRecv, SelectSend, SelectSendLen};

#[cfg(doctest)]
mod refused;

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
