//! Parameters of a call, and how its statements use them up.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{StoreError, StoreErrorCode, StoreResult};
use crate::statement::Statement;
use crate::value::Value;

/// Parameters of a call.
#[derive(Clone, Debug)]
pub enum Parameters {
    /// In order: the first statement uses the first ones, the next statement those behind them.
    Positional(Vec<Value>),
    /// By name, with or without its `:`, `@` or `$`.
    Named(BTreeMap<String, Value>),
}

impl Parameters {
    /// No parameters.
    pub fn none() -> Parameters {
        Parameters::Positional(Vec::new())
    }
}

/// Binds a call's parameters to one statement after another.
pub struct Binder<'a> {
    parameters: &'a Parameters,
    used: usize,
    used_names: BTreeSet<&'a str>,
}

impl<'a> Binder<'a> {
    /// Nothing is used yet.
    pub fn new(parameters: &'a Parameters) -> Binder<'a> {
        Binder {
            parameters,
            used: 0,
            used_names: BTreeSet::new(),
        }
    }

    /// How many positional parameters are used up.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The statement that has used those behind `used` runs again.
    pub fn rewind(&mut self, used: usize) {
        self.used = used;
    }

    /// Binds the next statement.
    ///
    /// # Errors
    /// [`StoreErrorCode::Misuse`] where a parameter has no value.
    pub fn bind(&mut self, statement: &mut Statement) -> StoreResult<()> {
        let count = statement.parameter_count();
        match self.parameters {
            Parameters::Positional(values) => {
                let end = self.used + count;
                let own = values.get(self.used..end).ok_or_else(|| {
                    misuse(format!(
                        "the SQL text uses {end} parameters, but {} were given",
                        values.len()
                    ))
                })?;
                self.used = end;
                statement.bind_all(own)
            }
            Parameters::Named(values) => (1..=count).try_for_each(|index| {
                let name = statement
                    .parameter_name(index)
                    .unwrap_or_else(|| format!("?{index}"));
                let bare = name.trim_start_matches([':', '@', '$', '?']);
                let (name, value) = values
                    .get_key_value(&name)
                    .or_else(|| values.get_key_value(bare))
                    .ok_or_else(|| {
                        misuse(format!("no value was given for the parameter {name}"))
                    })?;
                self.used_names.insert(name);
                statement.bind(index, value)
            }),
        }
    }

    /// Says which values no statement has used. To be asked before the last statement runs.
    ///
    /// # Errors
    /// [`StoreErrorCode::Misuse`] where there are any.
    pub fn finish(&self) -> StoreResult<()> {
        match self.parameters {
            Parameters::Positional(values) if self.used < values.len() => Err(misuse(format!(
                "{} parameters were given, but the SQL text uses {}",
                values.len(),
                self.used
            ))),
            Parameters::Named(values) => {
                let unused = values
                    .keys()
                    .find(|name| !self.used_names.contains(name.as_str()));
                match unused {
                    Some(name) => Err(misuse(format!("the SQL text has no parameter {name}"))),
                    None => Ok(()),
                }
            }
            Parameters::Positional(_) => Ok(()),
        }
    }
}

fn misuse(message: String) -> StoreError {
    StoreError::new(StoreErrorCode::Misuse, message)
}
