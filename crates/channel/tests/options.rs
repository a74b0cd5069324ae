//! Channels that can't be made: a programmer's mistake panics and says what is possible, as std has it.
#![cfg(not(loom))]

use heddle_channel::{bounded, broadcast, bytes, unbounded, watch};

fn of_bytes(ring_size: u32) {
    let options = bytes::Options {
        ring_size,
        ..Default::default()
    };
    drop(bytes::channel(options));
}

fn of_news(capacity: u32, ring_size: u32) {
    let options = broadcast::Options {
        capacity,
        ring_size,
        back_pressure: false,
    };
    drop(broadcast::channel(options));
}

/// Each is a test, for a panic ends it.
macro_rules! panics {
    ($($name:ident: $expected:literal, $make:expr;)*) => {
        $(
            #[test]
            #[should_panic(expected = $expected)]
            fn $name() {
                _ = $make;
            }
        )*
    };
}

panics! {
    a_ring_is_a_power_of_two: "a power of two from 64 to 1073741824 bytes, not 65", of_bytes(65);
    a_ring_is_not_too_small: "a power of two from 64 to 1073741824 bytes, not 32", of_bytes(32);
    a_ring_is_not_too_large: "a power of two from 64 to 1073741824 bytes, not 2147483648", of_bytes(1 << 31);
    a_limit_of_bytes_is_a_ring: "a power of two from 64 to 1073741824 bytes, not 100", bytes::channel(bytes::Options::unbounded(100));
    one_message_has_a_ring: "at most half the longest ring, less 8 bytes", bytes::Options::oneshot(u32::MAX / 2);
    a_ring_of_news_is_a_power_of_two: "a power of two from 64 to 1073741824 bytes, not 0", of_news(1, 0);
    news_are_kept: "keeps at least one message", of_news(0, 64);
    a_first_value_has_room: "a first value of 5 bytes in a watch channel for 4", watch::channel(b"light", 4);
    a_value_is_not_too_large: "of 536870912 at most", watch::channel(b"", u32::MAX);
    a_capacity_is_not_too_large: "at most 2^26 values", bounded::<u8>(usize::MAX);
    a_limit_is_not_nothing: "1 to 2^26 values, not 0", unbounded::<u8>(0);
}

#[test]
fn the_least_and_the_most_are_possible() {
    of_bytes(64);
    of_news(1, 64);
    drop(watch::channel(b"", 0));
    let most = (1 << 29) - 8;
    assert_eq!(bytes::Options::oneshot(most).ring_size, 1 << 30);
    let (sender, receiver) = bytes::channel(bytes::Options::oneshot(100));
    sender.try_send(&[7; 100]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [7; 100]);
}
