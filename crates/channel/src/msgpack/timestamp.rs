//! MessagePack's time, which is a `Date` in TypeScript.

use core::fmt;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use serde_bytes::{ByteBuf, Bytes};
use std::time::{Duration, SystemTime};

/// MessagePack's number of the extension.
const EXTENSION: i8 = -1;

const NANOSECONDS_END: u32 = 1_000_000_000;

/// A point in time: MessagePack's timestamp, to the nanosecond. A `Date` of TypeScript has milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The point in time so many seconds after the beginning of 1970 (UTC), or before it, and so many nanoseconds
    /// later; `None` if these are a second or more.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if nanoseconds < NANOSECONDS_END {
            Some(Self {
                seconds,
                nanoseconds,
            })
        } else {
            None
        }
    }

    /// The whole seconds since the beginning of 1970 (UTC), rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// The nanoseconds since the whole second.
    #[must_use]
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// The time as the system has it; `None` if it can't tell a time so far away.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = if self.seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(whole)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(whole)
        };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }

    /// The bytes of the shortest of the three forms that has it.
    fn to_bytes(self) -> ([u8; 12], usize) {
        let mut bytes = [0; 12];
        let size = match u64::try_from(self.seconds) {
            Ok(seconds @ 0..0x1_0000_0000) if self.nanoseconds == 0 => {
                bytes[..4].copy_from_slice(&(seconds as u32).to_be_bytes());
                4
            }
            Ok(seconds @ 0..0x4_0000_0000) => {
                let both = u64::from(self.nanoseconds) << 34 | seconds;
                bytes[..8].copy_from_slice(&both.to_be_bytes());
                8
            }
            _ => {
                bytes[..4].copy_from_slice(&self.nanoseconds.to_be_bytes());
                bytes[4..].copy_from_slice(&self.seconds.to_be_bytes());
                12
            }
        };
        (bytes, size)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(seconds) = bytes.try_into() {
            return Self::new(u32::from_be_bytes(seconds).into(), 0);
        }
        if let Ok(both) = bytes.try_into() {
            let both = u64::from_be_bytes(both);
            // 34 and 30 bits.
            return Self::new((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32);
        }
        let (nanoseconds, seconds) = bytes.split_first_chunk()?;
        Self::new(
            i64::from_be_bytes(seconds.try_into().ok()?),
            u32::from_be_bytes(*nanoseconds),
        )
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: since.as_secs().cast_signed(),
                nanoseconds: since.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = 0_i64.wrapping_sub_unsigned(before.as_secs());
                match before.subsec_nanos() {
                    0 => Self {
                        seconds,
                        nanoseconds: 0,
                    },
                    nanoseconds => Self {
                        seconds: seconds - 1,
                        nanoseconds: NANOSECONDS_END - nanoseconds,
                    },
                }
            }
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (bytes, size) = self.to_bytes();
        let extension = (EXTENSION, Bytes::new(&bytes[..size]));
        serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &extension)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Extension;

        impl<'de> Visitor<'de> for Extension {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a timestamp of MessagePack")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Timestamp, D::Error> {
                let (extension, bytes) = <(i8, ByteBuf)>::deserialize(deserializer)?;
                if extension != EXTENSION {
                    return Err(D::Error::custom(format_args!(
                        "extension {extension} is no timestamp"
                    )));
                }
                Timestamp::from_bytes(&bytes)
                    .ok_or_else(|| D::Error::custom("there is no such timestamp"))
            }
        }

        deserializer.deserialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, Extension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_comes_back() {
        for (seconds, nanoseconds, size) in [
            (0, 0, 4),
            (u32::MAX.into(), 0, 4),
            (0, 1, 8),
            (1 << 32, 0, 8),
            ((1 << 34) - 1, 999_999_999, 8),
            (1 << 34, 0, 12),
            (-1, 999_999_999, 12),
            (i64::MIN, 0, 12),
            (i64::MAX, 999_999_999, 12),
        ] {
            let timestamp = Timestamp::new(seconds, nanoseconds).unwrap();
            let (bytes, found) = timestamp.to_bytes();
            assert_eq!(found, size);
            assert_eq!(Timestamp::from_bytes(&bytes[..size]), Some(timestamp));
        }
        assert_eq!(Timestamp::new(0, 1_000_000_000), None);
        assert_eq!(Timestamp::from_bytes(&[0; 5]), None);
        assert_eq!(Timestamp::from_bytes(&[0xff; 8]), None);
    }

    #[test]
    fn the_systems_time_comes_back() {
        for (is_after, nanoseconds) in [
            (true, 0),
            (true, 1_500_000_000),
            (false, 1),
            (false, 2_000_000_000),
        ] {
            let distance = Duration::from_nanos(nanoseconds);
            let time = if is_after {
                SystemTime::UNIX_EPOCH + distance
            } else {
                SystemTime::UNIX_EPOCH - distance
            };
            assert_eq!(Timestamp::from(time).to_system_time(), Some(time));
        }
    }
}
