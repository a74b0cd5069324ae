//! Keys whose bytes sort as their values do (memcomparable), so that one Binary column serves every kind of key.
//!
//! | column | bytes |
//! |---|---|
//! | INTEGER, BOOLEAN | 8, big-endian, sign bit flipped |
//! | REAL | 8, big-endian; sign bit flipped where positive, all bits where negative; -0.0 as 0.0 |
//! | TEXT, BLOB | the bytes with 0x00 written as 0x00 0xFF, then 0x00 0x00 |
//! | TEXT under RTRIM | the same without the spaces at its end |
//! | TEXT under NOCASE | the same with ASCII's letters in lower case. Behind a 0x00 SQLite compares lengths alone: in place of what stands there, how many bytes that are, 4, big-endian, and no end |
//!
//! Texts that a collation has as equal have the same bytes, so that they are one key; the row beside it holds the text as it was written.
//!
//! A composite key is its columns' bytes one after another; a prefix of columns is a prefix of bytes. In an index each column is behind one
//! more byte: [`NULL`] and nothing, or [`SOME`] and the bytes above, so that NULL comes first.
//! Source: the encoding of MyRocks and CockroachDB ("memcomparable format").

use std::sync::Arc;

use crate::collation::Collation;
use crate::value::Value;

/// An encoded key.
pub type Key = Arc<[u8]>;

/// An index's column that is NULL.
pub const NULL: u8 = 0;

/// An index's column that isn't; the least byte above [`NULL`].
pub const SOME: u8 = 1;

/// Appends one column's bytes as an index has them.
pub fn encode_nullable(value: &Value, collation: Collation, into: &mut Vec<u8>) {
    into.push(if *value == Value::Null { NULL } else { SOME });
    encode(value, collation, into);
}

/// Appends one column's bytes; the collation is that of texts. `NULL` has none: keys are NOT NULL, and the caller has checked.
pub fn encode(value: &Value, collation: Collation, into: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Integer(value) => into.extend_from_slice(&encode_integer(*value)),
        Value::Real(value) => {
            let value = if *value == 0.0 { 0.0 } else { *value };
            let bits = value.to_bits();
            let ordered = if bits >> 63 == 0 {
                bits ^ (1 << 63)
            } else {
                !bits
            };
            into.extend_from_slice(&ordered.to_be_bytes());
        }
        Value::Text(text) => encode_text(text, collation, into),
        Value::Blob(bytes) => encode_bytes(bytes, into),
    }
}

/// Appends a text's bytes.
pub fn encode_text(text: &str, collation: Collation, into: &mut Vec<u8>) {
    match collation {
        Collation::Binary => encode_bytes(text.as_bytes(), into),
        Collation::RTrim => encode_bytes(text.trim_end_matches(' ').as_bytes(), into),
        Collation::NoCase => match text.split_once('\0') {
            None => encode_bytes(text.to_ascii_lowercase().as_bytes(), into),
            Some((start, rest)) => {
                into.extend(start.bytes().map(|byte| byte.to_ascii_lowercase()));
                into.extend_from_slice(&[0, 0xFF]);
                into.extend_from_slice(&(rest.len() as u32).to_be_bytes());
            }
        },
    }
}

/// The bytes of a single integer.
pub fn encode_integer(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

/// The integer that [`encode_integer`] made these bytes from; `None` where there aren't just eight.
pub fn decode_integer(key: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = key.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

/// The smallest key above every key that starts with `prefix`; `None` where there is none.
pub fn successor_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

fn encode_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    for byte in bytes {
        into.push(*byte);
        if *byte == 0 {
            into.push(0xFF);
        }
    }
    into.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&value, Collation::Binary, &mut bytes);
        bytes
    }

    #[test]
    fn integers_sort_as_their_bytes_and_come_back() {
        let values = [i64::MIN, -(1 << 40), -1, 0, 1, 255, 256, 1 << 53, i64::MAX];
        for pair in values.windows(2) {
            assert!(
                encode_integer(pair[0]) < encode_integer(pair[1]),
                "{pair:?}"
            );
        }
        for value in values {
            assert_eq!(decode_integer(&encode_integer(value)), Some(value));
        }
    }

    #[test]
    fn reals_sort_as_their_bytes() {
        let values = [
            f64::NEG_INFINITY,
            -1e300,
            -1.5,
            -1e-300,
            0.0,
            1e-300,
            1.0,
            1.5,
            f64::INFINITY,
        ];
        for pair in values.windows(2) {
            assert!(
                key(Value::Real(pair[0])) < key(Value::Real(pair[1])),
                "{pair:?}"
            );
        }
        assert_eq!(key(Value::Real(-0.0)), key(Value::Real(0.0)));
    }

    #[test]
    fn texts_sort_as_their_bytes_even_with_zeros_and_before_another_column() {
        let values = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "aa", "b", "é"];
        for pair in values.windows(2) {
            let (a, b) = (
                key(Value::Text(pair[0].into())),
                key(Value::Text(pair[1].into())),
            );
            assert!(a < b, "{pair:?}");
            let followed = |mut bytes: Vec<u8>, tail: i64| {
                bytes.extend_from_slice(&encode_integer(tail));
                bytes
            };
            assert!(
                followed(a, i64::MAX) < followed(b, i64::MIN),
                "{pair:?} with a second column"
            );
        }
    }

    /// What SQLite's own comparisons say of each pair; the same texts are beside those of ordinary tables in `keys.slt`.
    #[test]
    fn texts_sort_under_their_collation_and_equal_ones_are_one_key() {
        let texts = [
            "", " ", "\0", "\0 ", "\0a", "\0b", "\0ab", "a", "A", "a ", "A  ", "a\0", "A\0",
            "a\0b", "A\0B", "a\0c", "a\0bc", "a b", "aB", "Ab", "ab", "b", "B", "[", "_", "Z", "z",
            "é", "É", "ß", "日本",
        ];
        let rtrim = |a: &str, b: &str| a.trim_end_matches(' ').cmp(b.trim_end_matches(' '));
        // `sqlite3_strnicmp` over the shorter one's length, which ends at a NUL, then the lengths.
        let nocase = |a: &str, b: &str| {
            let pairs = a.bytes().zip(b.bytes());
            for (a, b) in pairs {
                match a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()) {
                    std::cmp::Ordering::Equal if a == 0 => break,
                    std::cmp::Ordering::Equal => {}
                    unlike => return unlike,
                }
            }
            a.len().cmp(&b.len())
        };
        let encoded = |text: &str, collation| {
            let mut bytes = Vec::new();
            encode_text(text, collation, &mut bytes);
            // Another column behind it.
            bytes.extend_from_slice(&encode_integer(-7));
            bytes
        };
        for a in texts {
            for b in texts {
                for (collation, expected) in [
                    (Collation::Binary, a.cmp(b)),
                    (Collation::RTrim, rtrim(a, b)),
                    (Collation::NoCase, nocase(a, b)),
                ] {
                    let found = encoded(a, collation).cmp(&encoded(b, collation));
                    assert_eq!(found, expected, "{a:?} {b:?} {collation:?}");
                }
            }
        }
    }

    #[test]
    fn a_prefix_ends_at_its_successor() {
        assert_eq!(successor_of_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor_of_prefix(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(successor_of_prefix(&[0xFF]), None);
        assert_eq!(successor_of_prefix(&[]), None);
    }
}
