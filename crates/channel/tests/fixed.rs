//! Channels of fixed structs, on real threads.
#![cfg(not(loom))]

use futures_executor::block_on;
use heddle_channel::{
    Select,
    bytes::{Options, TooLong},
    fixed::{
        self, DecodeErrorKind, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
        TryRecvError, TrySendError,
    },
};
use std::{thread, time::Duration};
use zerocopy::{Immutable, IntoBytes, TryFromBytes};

const SOON: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, Default, PartialEq, Immutable, IntoBytes, TryFromBytes)]
#[repr(u8)]
enum Kind {
    #[default]
    Plain = 1,
    Fancy = 2,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Immutable, IntoBytes, TryFromBytes)]
#[repr(C)]
struct Point {
    x: f32,
    y: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Immutable, IntoBytes, TryFromBytes)]
#[repr(C)]
struct Sample {
    is_new: bool,
    kind: Kind,
    _unused_0: [u8; 6],
    at: u64,
    points: [Point; 2],
    hits: u16,
    tag: [u8; 3],
    _unused_1: [u8; 3],
}

fn sample(n: u16) -> Sample {
    let point = |x: u16| Point {
        x: x.into(),
        y: -0.5,
    };
    Sample {
        is_new: n.is_multiple_of(2),
        kind: if n.is_multiple_of(3) {
            Kind::Fancy
        } else {
            Kind::Plain
        },
        at: u64::MAX - u64::from(n),
        points: [point(n), point(n + 1)],
        hits: n,
        tag: [n as u8, 2, 3],
        ..Sample::default()
    }
}

#[test]
fn values_arrive_once_equal_and_in_order() {
    const COUNT: u16 = 2_000;
    thread::scope(|scope| {
        // In here, so that a failure closes the channel.
        let (sender, receiver) = fixed::channel::<Sample>(16);
        scope.spawn(move || {
            for n in 0..COUNT {
                if n % 2 == 0 {
                    sender.send(sample(n)).unwrap();
                } else {
                    block_on(sender.send_async(sample(n))).unwrap();
                }
            }
        });
        for n in 0..COUNT {
            let received = if n % 3 == 0 {
                block_on(receiver.recv_async())
            } else {
                receiver.recv()
            };
            assert_eq!(received.unwrap(), sample(n));
        }
        assert!(receiver.iter().next().is_none());
    });
}

#[test]
fn a_message_is_the_bytes_of_its_value() {
    let (sender, receiver) = fixed::channel::<Sample>(4);
    sender.send(sample(3)).unwrap();
    let message = receiver.as_bytes().recv().unwrap();
    assert_eq!(message.len(), 40);
    assert_eq!(message, sample(3).as_bytes());
    assert_eq!(message[..2], [0, 2]);
    #[cfg(target_endian = "little")]
    assert_eq!(message[8..16], (u64::MAX - 3).to_le_bytes());

    // A receiver looks at no gap, so that its type may leave them to the compiler.
    #[derive(Debug, PartialEq, TryFromBytes)]
    #[repr(C)]
    struct WithGaps {
        is_new: bool,
        kind: Kind,
        at: u64,
        points: [Point; 2],
        hits: u16,
        tag: [u8; 3],
    }
    let mut message = message;
    message[2..8].fill(255);
    sender.as_bytes().send(&message).unwrap();
    let receiver = fixed::Receiver::<WithGaps>::from(receiver.into_bytes());
    let Sample {
        is_new,
        kind,
        at,
        points,
        hits,
        tag,
        ..
    } = sample(3);
    let expected = WithGaps {
        is_new,
        kind,
        at,
        points,
        hits,
        tag,
    };
    assert_eq!(receiver.recv().unwrap(), expected);

    // A value without bytes is an empty message.
    let (sender, receiver) = fixed::channel::<()>(1);
    sender.send(()).unwrap();
    assert!(receiver.as_bytes().recv().unwrap().is_empty());
}

#[test]
fn what_is_no_value_of_the_type_is_told_with_its_bytes() {
    let (sender, receiver) = fixed::channel::<Sample>(8);
    let bytes = sample(2).as_bytes().to_vec();
    let expected = size_of::<Sample>();
    for found in [0, 1, expected - 1, expected + 1, 2 * expected] {
        let message = vec![1; found];
        sender.as_bytes().send(&message).unwrap();
        let Err(RecvError::Decode(error)) = receiver.recv() else {
            panic!("{found} bytes were read")
        };
        assert_eq!(error.bytes, message);
        assert_eq!(error.kind, DecodeErrorKind::Length { expected, found });
    }
    // A bool of 2, and kinds that are none.
    for (at, byte) in [(0, 2), (1, 0), (1, 3)] {
        let mut message = bytes.clone();
        message[at] = byte;
        sender.as_bytes().send(&message).unwrap();
        let Err(TryRecvError::Decode(error)) = receiver.try_recv() else {
            panic!("it was read")
        };
        assert_eq!(error.bytes, message);
        assert_eq!(error.kind, DecodeErrorKind::Invalid);
    }
    sender.send(sample(2)).unwrap();
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), sample(2));
    assert!(matches!(
        receiver.recv_timeout(SOON),
        Err(RecvTimeoutError::TimedOut)
    ));
    sender.close();
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn a_value_that_is_not_sent_comes_back() {
    let options = Options {
        capacity: 1,
        ring_size: 128,
        ..Options::default()
    };
    let (sender, receiver) = fixed::channel_with::<u32>(options);
    sender.send(1).unwrap();
    assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
    assert!(matches!(
        sender.send_timeout(3, SOON),
        Err(SendTimeoutError::TimedOut(3))
    ));
    drop(receiver);
    assert!(matches!(sender.send(4), Err(SendError::Closed(4))));

    let (sender, _receiver) = fixed::channel_with::<[u8; 100]>(options);
    let too_long = TooLong { len: 100, max: 56 };
    let refused = sender.try_send([7; 100]).unwrap_err();
    assert!(matches!(&refused, TrySendError::TooLong(_, told) if *told == too_long));
    assert_eq!(refused.into_inner(), [7; 100]);
}

#[test]
fn ends_are_those_of_bytes() {
    fn assert_send<T: Send>(_: &T) {}
    let (sender, receiver) = fixed::channel::<Point>(1);
    let mut select = Select::new();
    let on_value = select.recv(&receiver);
    let on_room = select.send(&sender);
    assert_eq!(select.try_ready(), Some(on_room));
    // SAFETY: the channel lives as long as these ends, which are dropped before it.
    let second = unsafe { fixed::Sender::<Point>::open(sender.address()) }.unwrap();
    let point = Point { x: 1.0, y: 2.0 };
    let sending = second.send_async(point);
    assert_send(&sending);
    block_on(sending).unwrap();
    assert_eq!(select.ready(), on_value);
    assert_eq!(receiver.recv().unwrap(), point);
    drop(select);
    drop((sender, second));
    assert!(receiver.is_closed());
}
