//! Makes tables, queries and writes for the differential test. See `differential.rs`.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod expression;
pub mod select;
pub mod table;
pub mod value;
pub mod write;

use heddle_store::value::Value;

/// A statement and what may be asked of its result.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub parameters: Vec<Value>,
    /// Whether the rows' order is part of the result.
    pub is_ordered: bool,
    /// Whether 1 and 1.0 are the same, and texts that a collation has as equal: where SQL leaves open which of equal values stands for all.
    pub is_loose: bool,
    /// The table that it writes.
    pub writes: Option<String>,
    /// Whether it breaks several rules at once, so that either error will do.
    pub may_fail_in_several_ways: bool,
}

impl Statement {
    pub fn new(sql: impl Into<String>) -> Statement {
        Statement {
            sql: sql.into(),
            parameters: Vec::new(),
            is_ordered: false,
            is_loose: false,
            writes: None,
            may_fail_in_several_ways: false,
        }
    }
}
