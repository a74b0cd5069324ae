//! Many SQLite threads on one Tonbo.
