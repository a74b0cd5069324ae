//! Many SQLite threads on one Tonbo.

pub mod io;
pub mod sqlite;
