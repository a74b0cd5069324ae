//! Keys whose bytes sort as their values do (memcomparable), so that one Binary column serves every kind of key.
//!
//! | column | bytes |
//! |---|---|
//! | INTEGER, BOOLEAN | 8, big-endian, sign bit flipped |
//! | REAL | 8, big-endian; sign bit flipped where positive, all bits where negative; -0.0 as 0.0 |
//! | TEXT, BLOB | the bytes with 0x00 written as 0x00 0xFF, then 0x00 0x00 |
//!
//! A composite key is its columns' bytes one after another; a prefix of columns is a prefix of bytes. In an index each column is behind one
//! more byte: [`NULL`] and nothing, or [`SOME`] and the bytes above, so that NULL comes first.
//! Source: the encoding of MyRocks and CockroachDB ("memcomparable format").

use std::sync::Arc;

use crate::value::Value;

/// An encoded key.
pub type Key = Arc<[u8]>;

/// An index's column that is NULL.
pub const NULL: u8 = 0;

/// An index's column that isn't; the least byte above [`NULL`].
pub const SOME: u8 = 1;

/// Appends one column's bytes as an index has them.
pub fn encode_nullable(value: &Value, into: &mut Vec<u8>) {
    into.push(if *value == Value::Null { NULL } else { SOME });
    encode(value, into);
}

/// Appends one column's bytes. `NULL` has none: keys are NOT NULL, and the caller has checked.
pub fn encode(value: &Value, into: &mut Vec<u8>) {
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
        Value::Text(text) => encode_bytes(text.as_bytes(), into),
        Value::Blob(bytes) => encode_bytes(bytes, into),
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
        encode(&value, &mut bytes);
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

    #[test]
    fn a_prefix_ends_at_its_successor() {
        assert_eq!(successor_of_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor_of_prefix(&[1, 0xFF, 0xFF]), Some(vec![2]));
        assert_eq!(successor_of_prefix(&[0xFF]), None);
        assert_eq!(successor_of_prefix(&[]), None);
    }
}
