//! Many SQLite threads on one Tonbo.
//!
//! | floor | modules |
//! |---|---|
//! | the main thread's requests | [`service`], [`import`] |
//! | a connection | [`session`], [`parameters`], [`transaction`], `savepoints`, [`module`], [`routing`], [`tokens`], `declared`, `alter`, [`view`], [`statement`] |
//! | a database | [`store`], [`catalogue`], `names`, [`commit`], [`index`], [`memory`], [`recovery`] |
//! | a table | [`table`], [`schema`], [`key`], [`collation`], [`value`], `decimal` |
//! | the libraries' joints | [`sqlite`] (memory, mutexes, files), [`tonbo`] (files, executor) |
//! | files | [`io`] |

pub mod activity;
mod alter;
pub mod catalogue;
pub mod collation;
pub mod commit;
mod decimal;
mod declared;
pub mod error;
pub mod import;
pub mod index;
pub mod io;
pub mod key;
#[cfg(target_arch = "wasm32")]
mod layout;
pub mod memory;
pub mod module;
mod names;
pub mod parameters;
pub mod recovery;
pub mod routing;
mod savepoints;
pub mod schema;
pub mod service;
pub mod session;
pub mod sqlite;
pub mod statement;
pub mod store;
mod sync;
pub mod table;
pub mod tokens;
pub mod tonbo;
pub mod transaction;
pub mod value;
pub mod view;
#[cfg(target_arch = "wasm32")]
pub mod wasm;
