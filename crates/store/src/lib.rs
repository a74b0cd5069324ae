//! Many SQLite threads on one Tonbo.
//!
//! | floor | modules |
//! |---|---|
//! | the main thread's requests | [`service`], [`import`] |
//! | a connection | [`session`], [`parameters`], [`transaction`], [`module`], [`routing`], `declared`, `alter`, [`statement`] |
//! | a database | [`store`], [`catalogue`], [`commit`], [`index`], [`memory`] |
//! | a table | [`table`], [`schema`], [`key`], [`value`], `decimal` |
//! | the libraries' joints | [`sqlite`] (memory, mutexes, files), [`tonbo`] (files, executor) |
//! | files | [`io`] |

pub mod activity;
mod alter;
pub mod catalogue;
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
pub mod parameters;
pub mod routing;
pub mod schema;
pub mod service;
pub mod session;
pub mod sqlite;
pub mod statement;
pub mod store;
pub mod table;
pub mod tonbo;
pub mod transaction;
pub mod value;
#[cfg(target_arch = "wasm32")]
pub mod wasm;
