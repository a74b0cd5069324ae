//! What a column holds: its type as declared, as SQLite sees it, and as it is stored.
//!
//! | type | stored as | SQL sees |
//! |---|---|---|
//! | INTEGER, REAL, TEXT, BLOB, BOOLEAN | itself | itself |
//! | DATE | the day, from 1970-01-01 on, an integer | a text ([`calendar`]) |
//! | TIMESTAMP | microseconds, from 1970-01-01 00:00:00 UTC on, an integer | a text |
//! | DECIMAL(p, s) | 16 bytes that sort as the numbers do: the unscaled integer, big-endian, its sign bit flipped | a text with `s` digits behind the point |
//!
//! Whatever is above the module (keys, rows, the logs, Tonbo) has stored values alone.

use std::borrow::Cow;

use arrow_schema::DataType;

use super::calendar;
use crate::decimal::Decimal;
use crate::table::rows::Cell;
use crate::value::Value;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 64-bit integers.
    Integer,
    /// 64-bit floats.
    Real,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Blob,
    /// 0 or 1, kept as a bit.
    Boolean,
    /// Days.
    Date,
    /// Instants, to the microsecond.
    Timestamp,
    /// Exact numbers.
    Decimal {
        /// How many digits at most, up to 38.
        precision: u8,
        /// How many of them behind the point.
        scale: u8,
    },
}

/// How an Arrow Decimal128 and a DECIMAL are bounded.
const PRECISION_MAX: u8 = 38;

impl ColumnType {
    /// The type that a declared type name means: one of ours, else by SQLite's rules of affinity; `None` where neither tells.
    pub fn from_declared(declared: &str) -> Option<ColumnType> {
        let declared = declared.to_ascii_uppercase();
        let words: Vec<&str> = declared
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            ["DATE"] => return Some(ColumnType::Date),
            ["TIMESTAMP" | "DATETIME"] => return Some(ColumnType::Timestamp),
            // A sign or a point is no part of a bound.
            ["DECIMAL" | "NUMERIC", ..] if declared.contains(['-', '+', '.']) => return None,
            ["DECIMAL" | "NUMERIC", precision] => {
                return ColumnType::decimal(precision.parse().ok()?, 0);
            }
            ["DECIMAL" | "NUMERIC", precision, scale] => {
                return ColumnType::decimal(precision.parse().ok()?, scale.parse().ok()?);
            }
            _ => {}
        }
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Some(ColumnType::Integer)
        } else if has("CHAR") || has("CLOB") || has("TEXT") || has("STRING") {
            Some(ColumnType::Text)
        } else if has("BLOB") || has("BINARY") {
            Some(ColumnType::Blob)
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Some(ColumnType::Real)
        } else if has("BOOL") {
            Some(ColumnType::Boolean)
        } else {
            None
        }
    }

    /// A DECIMAL; `None` where there can be none of these bounds.
    pub fn decimal(precision: u8, scale: u8) -> Option<ColumnType> {
        let is_sound = (1..=PRECISION_MAX).contains(&precision) && scale <= precision;
        is_sound.then_some(ColumnType::Decimal { precision, scale })
    }

    /// Its name in definitions and errors.
    pub fn sql_name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            ColumnType::Integer => "INTEGER",
            ColumnType::Real => "REAL",
            ColumnType::Text => "TEXT",
            ColumnType::Blob => "BLOB",
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::Date => "DATE",
            ColumnType::Timestamp => "TIMESTAMP",
            ColumnType::Decimal { precision, scale } => {
                return format!("DECIMAL({precision},{scale})").into();
            }
        })
    }

    /// The name that SQLite is told, by whose words it takes the affinity.
    pub fn declared_name(self) -> Cow<'static, str> {
        match self {
            ColumnType::Date => "DATE TEXT".into(),
            ColumnType::Timestamp => "TIMESTAMP TEXT".into(),
            ColumnType::Decimal { precision, scale } => {
                format!("DECIMAL TEXT({precision},{scale})").into()
            }
            _ => self.sql_name(),
        }
    }

    /// What a CAST to the column's affinity names.
    pub fn affinity(self) -> Cow<'static, str> {
        match self {
            ColumnType::Date | ColumnType::Timestamp | ColumnType::Decimal { .. } => "TEXT".into(),
            _ => self.sql_name(),
        }
    }

    /// The Arrow type of its column.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Integer | ColumnType::Date | ColumnType::Timestamp => DataType::Int64,
            ColumnType::Real => DataType::Float64,
            ColumnType::Text => DataType::Utf8,
            ColumnType::Blob | ColumnType::Decimal { .. } => DataType::Binary,
            ColumnType::Boolean => DataType::Boolean,
        }
    }

    /// The stored value of a DECIMAL that is `unscaled` with that scale; `None` where it doesn't fit.
    pub fn of_unscaled(self, unscaled: i128, own_scale: u8) -> Option<Value> {
        let ColumnType::Decimal { precision, scale } = self else {
            return None;
        };
        let decimal = Decimal::from_unscaled(unscaled, own_scale);
        decimal.unscaled(precision, scale).map(packed)
    }

    /// Whether SQL sees a text of a value that is stored as something else.
    pub fn is_shown_as_text(self) -> bool {
        self.affinity() == "TEXT" && self != ColumnType::Text
    }

    /// The text that SQL sees of a stored value; `None` for NULL, and where SQL sees the value itself.
    pub fn show(self, stored: Cell<'_>) -> Option<String> {
        match (self, stored) {
            (ColumnType::Date, Cell::Integer(day)) => calendar::show_date(day),
            (ColumnType::Timestamp, Cell::Integer(instant)) => calendar::show_timestamp(instant),
            (ColumnType::Decimal { scale, .. }, Cell::Blob(bytes)) => {
                Some(Decimal::from_unscaled(unscaled(bytes)?, scale).to_string())
            }
            _ => None,
        }
    }

    /// What SQL sees of a stored value.
    pub fn shown(self, stored: Value) -> Value {
        match self.show(Cell::from(&stored)) {
            Some(text) => Value::Text(text.into()),
            None => stored,
        }
    }

    /// The stored value that a value of SQL's is, nothing lost; `None` where there is none. For types that are shown as texts.
    pub fn stored(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (ColumnType::Date, Value::Text(text)) => calendar::parse_date(text).map(Value::Integer),
            (ColumnType::Timestamp, Value::Text(text)) => {
                calendar::parse_timestamp(text).map(Value::Integer)
            }
            (ColumnType::Decimal { precision, scale }, value) => {
                let decimal = match value {
                    Value::Integer(integer) => Decimal::from_unscaled((*integer).into(), 0),
                    Value::Real(real) => Decimal::from_real(*real)?,
                    Value::Text(text) => Decimal::parse(text)?,
                    _ => return None,
                };
                decimal.unscaled(precision, scale).map(packed)
            }
            _ => None,
        }
    }
}

/// A DECIMAL as it is stored.
fn packed(unscaled: i128) -> Value {
    let bytes = (unscaled ^ i128::MIN).to_be_bytes();
    Value::Blob(bytes[..].into())
}

/// The inverse of [`packed`].
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(i128::from_be_bytes(bytes) ^ i128::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_names_mean_types_and_come_back() {
        for (declared, kind) in [
            ("date", Some(ColumnType::Date)),
            ("DATETIME", Some(ColumnType::Timestamp)),
            ("decimal(10, 2)", ColumnType::decimal(10, 2)),
            ("NUMERIC(5)", ColumnType::decimal(5, 0)),
            ("NUMERIC", None),
            ("DECIMAL(39, 2)", None),
            ("DECIMAL(3, 4)", None),
            ("DECIMAL(0)", None),
            ("DECIMAL(10,-2)", None),
            ("VARCHAR(20)", Some(ColumnType::Text)),
            ("UNSIGNED BIG INT", Some(ColumnType::Integer)),
            ("UUID", None),
        ] {
            assert_eq!(ColumnType::from_declared(declared), kind, "{declared}");
            if let Some(kind) = kind {
                assert_eq!(ColumnType::from_declared(&kind.sql_name()), Some(kind));
            }
        }
    }

    #[test]
    fn decimals_sort_as_their_bytes() {
        let kind = ColumnType::decimal(38, 2).unwrap();
        let texts = [
            "-99999999999999999999.99",
            "-1.00",
            "-0.01",
            "0.00",
            "0.01",
            "1.00",
            "99999999999999999999.99",
        ];
        let stored = texts.map(|text| kind.stored(&Value::Text(text.into())).unwrap());
        for pair in stored.windows(2) {
            let [Value::Blob(a), Value::Blob(b)] = pair else {
                panic!()
            };
            assert!(a < b);
        }
        for (text, value) in texts.iter().zip(stored) {
            assert_eq!(kind.shown(value), Value::Text((*text).into()));
        }
    }
}
