//! Many SQLite threads on one Tonbo.
//!
//! | floor | modules |
//! |---|---|
//! | the main thread's requests | [`service`], [`import`] |
//! | a connection | [`session`], [`parameters`], [`transaction`], `savepoints`, [`module`], [`routing`], [`tokens`], `guard`, `settings`, `declared`, `alter`, `parents`, [`view`], [`statement`], `quotes` |
//! | a database | [`store`], [`catalogue`], `names`, [`commit`], [`index`], [`memory`], [`recovery`] |
//! | a table | [`table`], [`schema`], [`key`], [`collation`], [`value`], `decimal`, [`offending_key`] |
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
mod guard;
pub mod import;
pub mod index;
pub mod io;
pub mod key;
#[cfg(target_arch = "wasm32")]
mod layout;
pub mod memory;
pub mod module;
mod names;
pub mod offending_key;
mod own_files;
pub mod parameters;
mod parents;
mod quotes;
pub mod recovery;
pub mod routing;
mod savepoints;
pub mod schema;
pub mod service;
pub mod session;
mod settings;
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
