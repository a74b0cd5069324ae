//! Values: few enough to meet each other, and odd enough to matter.

use heddle_store::value::Value;

use crate::random::Random;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Real,
    Text,
    Blob,
    Boolean,
    /// A text in ordinary tables, as the one below.
    Date,
    Timestamp,
}

pub const KINDS: [Kind; 7] = [
    Kind::Integer,
    Kind::Real,
    Kind::Text,
    Kind::Blob,
    Kind::Boolean,
    Kind::Date,
    Kind::Timestamp,
];

const INTEGERS: [i64; 16] = [
    i64::MIN,
    i64::MIN + 1,
    -9_007_199_254_740_993,
    -9_007_199_254_740_992,
    -256,
    -2,
    -1,
    0,
    1,
    127,
    255,
    65_536,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    i64::MAX - 1,
    i64::MAX,
];

const REALS: [f64; 20] = [
    f64::NEG_INFINITY,
    -1e300,
    -9_223_372_036_854_775_808.0,
    -9_007_199_254_740_992.0,
    -2.5,
    -1.0,
    -5e-324,
    -0.0,
    0.0,
    1e-300,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    9_007_199_254_740_992.0,
    9_223_372_036_854_774_784.0,
    9_223_372_036_854_775_808.0,
    1e300,
    f64::INFINITY,
];

const TEXTS: [&str; 30] = [
    "", " ", "\0", "a", "A", "a\0", "a\0b", "a ", "ab", "abc", "aB", "b", "B", "ba", "é", "É", "ß",
    "日本", "😀", "\u{7f}", "\u{ffff}", "%", "_", "*", "1", "01", "1.0", " 1", "-1", "1e0",
];

const BLOBS: [&[u8]; 10] = [
    b"",
    b"\0",
    b"\0\0",
    b"\0\xff",
    b"\xff",
    b"\xff\xff",
    b"\xff\0",
    b"a",
    b"ab",
    b"\x01",
];

const DATES: [&str; 9] = [
    "0000-01-01",
    "1969-12-31",
    "1970-01-01",
    "2023-12-31",
    "2024-02-28",
    "2024-02-29",
    "2024-03-01",
    "2024-12-31",
    "9999-12-31",
];

/// As a column shows them: ordinary tables keep texts as they are.
const TIMESTAMPS: [&str; 9] = [
    "0000-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "1970-01-01 00:00:00",
    "2024-02-29 00:00:00",
    "2024-02-29 00:00:00.000001",
    "2024-02-29 12:00:00",
    "2024-02-29 12:00:00.500",
    "2024-02-29 23:59:59",
    "9999-12-31 23:59:59.999999",
];

/// Texts that stand among dates and times, and are none, or none as a column shows them.
const NO_TIMES: [&str; 10] = [
    "2024",
    "2024-02",
    "2024-02-30",
    "2024-02-29 ",
    "2024-02-29T12:00:00Z",
    "2024-02-29 12:00",
    "2024-02-29 12:00:00.",
    "2024-02-29 12:00:00.5",
    "2024-02-29 12:00:00.500000",
    "2024-02-29 14:00:00+02:00",
];

/// A value of a kind.
pub fn value(random: &mut Random, kind: Kind) -> Value {
    match kind {
        Kind::Integer if random.chance(70) => Value::Integer(random.below(24) as i64 - 6),
        Kind::Integer => Value::Integer(*random.pick(&INTEGERS)),
        Kind::Real if random.chance(40) => Value::Real((random.below(32) as f64 - 8.0) / 2.0),
        Kind::Real => Value::Real(*random.pick(&REALS)),
        Kind::Text if random.chance(4) => {
            let length = 60 + random.below(40) + if random.chance(20) { 5000 } else { 0 };
            Value::Text(format!("{}{}", "p".repeat(length), random.below(4)).into())
        }
        Kind::Text if random.chance(30) => {
            Value::Text(format!("{}{}", random.pick(&["k", "K", "m"]), random.below(12)).into())
        }
        Kind::Text => Value::Text((*random.pick(&TEXTS)).into()),
        Kind::Blob if random.chance(40) => {
            let bytes: Vec<u8> = (0..random.below(4))
                .map(|_| *random.pick(&[0, 1, 0x61, 0xFE, 0xFF]))
                .collect();
            Value::Blob(bytes.into())
        }
        Kind::Blob if random.chance(5) => Value::Blob(vec![0xFF; 70 + random.below(4)].into()),
        Kind::Blob => Value::Blob((*random.pick(&BLOBS)).into()),
        Kind::Boolean => Value::Integer(random.below(2) as i64),
        Kind::Date => Value::Text((*random.pick(&DATES)).into()),
        Kind::Timestamp => Value::Text((*random.pick(&TIMESTAMPS)).into()),
    }
}

/// Now and then `NULL`, now and then a value of another kind.
pub fn any_value(random: &mut Random, kind: Kind) -> Value {
    match random.below(100) {
        0..4 => Value::Null,
        4..20 => {
            let other = *random.pick(&KINDS);
            value(random, other)
        }
        20..30 if matches!(kind, Kind::Date | Kind::Timestamp) => {
            Value::Text((*random.pick(&NO_TIMES)).into())
        }
        _ => value(random, kind),
    }
}

/// A value that SQLite converts into one of this kind without loss.
pub fn convertible(random: &mut Random, kind: Kind) -> Value {
    match kind {
        Kind::Integer => match random.below(3) {
            0 => Value::Real(random.below(20) as f64 - 4.0),
            1 => Value::Text(format!(" {} ", random.below(20)).into()),
            _ => Value::Text(format!("{}.0", random.below(20)).into()),
        },
        Kind::Boolean => Value::Text(if random.chance(50) { "1" } else { "0" }.into()),
        Kind::Real => match random.below(2) {
            0 => Value::Integer(random.below(20) as i64 - 4),
            _ => Value::Text(format!("{}.5", random.below(9)).into()),
        },
        Kind::Text => match random.below(2) {
            0 => Value::Integer(random.below(20) as i64 - 4),
            _ => Value::Real(random.below(20) as f64 / 4.0),
        },
        Kind::Blob | Kind::Date | Kind::Timestamp => value(random, kind),
    }
}

/// A value that a column of this kind refuses.
pub fn refused(random: &mut Random, kind: Kind) -> Value {
    match kind {
        Kind::Integer => match random.below(4) {
            0 => Value::Real(1.5),
            1 => Value::Text("x".into()),
            2 => Value::Real(-9_223_372_036_854_775_808.0),
            _ => Value::Blob(b"1"[..].into()),
        },
        Kind::Boolean => Value::Text("x".into()),
        Kind::Real => Value::Text("1x".into()),
        Kind::Text | Kind::Date | Kind::Timestamp => Value::Blob(b"x"[..].into()),
        Kind::Blob => Value::Text("x".into()),
    }
}

/// A value as an SQL expression.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) if value.is_infinite() => {
            if *value > 0.0 { "9e999" } else { "-9e999" }.into()
        }
        Value::Real(value) => format!("{value:?}"),
        Value::Text(text) if text.contains('\0') => {
            let parts: Vec<String> = text
                .split('\0')
                .map(|part| format!("'{}'", part.replace('\'', "''")))
                .collect();
            format!("({})", parts.join("||char(0)||"))
        }
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    }
}
