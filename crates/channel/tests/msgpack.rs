//! Channels of serde's values, on real threads.
#![cfg(not(loom))]

use heddle_channel::{
    bytes::{Options, TooLong},
    channel,
    msgpack::{
        self, DecodeErrorKind, Malformed, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
        Timestamp, TryRecvError, TrySendError,
    },
};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Data {
    id: u64,
    name: String,
    note: Option<String>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    ratio: f64,
    at: Timestamp,
    kind: Kind,
    by_name: BTreeMap<String, i32>,
    by_number: BTreeMap<u32, String>,
    pair: (u8, bool),
    children: Vec<Data>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Newtype(String),
    Tuple(u8, u8),
    Struct { x: f32 },
}

fn data(id: u64, kind: Kind) -> Data {
    Data {
        id,
        name: "ä".repeat(id as usize % 50),
        note: id.is_multiple_of(2).then(|| "noted".to_owned()),
        bytes: vec![id as u8; id as usize % 300],
        ratio: id as f64 / 3.0,
        at: Timestamp::new(id.cast_signed() - 10, 5).unwrap(),
        kind,
        by_name: BTreeMap::from([("one".to_owned(), -1), (String::new(), i32::MIN)]),
        by_number: BTreeMap::from([(u32::MAX, "most".to_owned()), (0, String::new())]),
        pair: (id as u8, true),
        children: Vec::new(),
    }
}

#[test]
fn values_arrive_once_equal_and_in_their_senders_order() {
    const COUNT: u64 = 2_000;
    let (sender, receiver) = channel::<Data>(64);
    let received: Vec<Data> = thread::scope(|scope| {
        for who in 0..2 {
            let sender = sender.clone();
            scope.spawn(move || {
                for n in 0..COUNT {
                    sender
                        .send(data(2 * n + who, Kind::Tuple(who as u8, 2)))
                        .unwrap();
                }
            });
        }
        drop(sender);
        receiver.iter().map(Result::unwrap).collect()
    });
    for who in 0..2 {
        let own: Vec<_> = received.iter().filter(|data| data.id % 2 == who).collect();
        let expected: Vec<_> = (0..COUNT)
            .map(|n| data(2 * n + who, Kind::Tuple(who as u8, 2)))
            .collect();
        assert!(own.into_iter().eq(&expected));
    }
}

#[track_caller]
fn assert_comes_back<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned>(value: T) {
    let (sender, receiver) = channel(1);
    sender.send(value.clone()).unwrap();
    assert_eq!(receiver.recv().unwrap(), value);
}

#[test]
fn what_serde_has_comes_back() {
    for kind in [
        Kind::Plain,
        Kind::Newtype("n".into()),
        Kind::Tuple(0, 255),
        Kind::Struct { x: -0.0 },
    ] {
        let mut value = data(41, kind);
        value.children = vec![data(0, Kind::Plain), data(u64::MAX, Kind::Plain)];
        assert_comes_back(value);
    }
    assert_comes_back(());
    assert_comes_back((i8::MIN, i16::MIN, i32::MIN, i64::MIN, u64::MAX));
    assert_comes_back((f32::MIN_POSITIVE, f64::INFINITY, 'ß', true));
    assert_comes_back(vec![Some(true), None]);
    assert_comes_back(vec![-1_i8, 127]);
    assert_comes_back(Vec::<u8>::new());
    assert_comes_back(Vec::<String>::new());
    assert_comes_back([0_u8, 1, 2]);
    assert_comes_back((0..300).map(|n| n as u8).collect::<Vec<u8>>());
    assert_comes_back(serde_bytes::ByteBuf::from([0; 300]));
    assert_comes_back("long ".repeat(2_000));
}

#[test]
fn bytes_take_no_more_than_themselves_and_are_read_as_numbers_too() {
    let bytes = serde_bytes::ByteBuf::from([255; 100]);
    let message = msgpack::encode(&bytes).unwrap();
    assert_eq!(message.len(), 102);
    assert_eq!(msgpack::decode::<Vec<u8>>(message).unwrap(), bytes.as_ref());
    let message = msgpack::encode(&vec![1_u8, 2]).unwrap();
    assert_eq!(
        msgpack::decode::<serde_bytes::ByteBuf>(message)
            .unwrap()
            .as_ref(),
        [1, 2]
    );
}

/// Can't be written.
#[derive(Debug, PartialEq)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("nothing to write"))
    }
}

#[test]
fn a_value_that_is_not_sent_comes_back() {
    let (sender, receiver) = msgpack::channel_with::<String>(Options {
        capacity: 1,
        ring_size: 256,
        ..Options::default()
    });
    let long = "x".repeat(200);
    let too_long = TooLong { len: 202, max: 120 };
    assert!(
        matches!(sender.try_send(long.clone()), Err(TrySendError::TooLong(value, told)) if value == long && told == too_long)
    );
    sender.send("first".to_owned()).unwrap();
    assert!(
        matches!(sender.try_send("second".to_owned()), Err(TrySendError::Full(value)) if value == "second")
    );
    assert!(
        matches!(sender.send_timeout("third".to_owned(), SOON), Err(SendTimeoutError::TimedOut(value)) if value == "third")
    );
    drop(receiver);
    let refused = sender.send("fourth".to_owned()).unwrap_err();
    assert!(matches!(&refused, SendError::Closed(value) if value == "fourth"));
    assert_eq!(refused.into_inner(), "fourth");

    let (sender, receiver) = channel::<Unwritable>(1);
    assert!(matches!(
        sender.try_send(Unwritable),
        Err(TrySendError::Encode(Unwritable, _))
    ));
    assert!(receiver.is_empty());
}

#[test]
fn what_is_no_value_of_the_type_is_told_with_its_bytes() {
    let (sender, receiver) = channel::<Data>(4);
    let other = msgpack::encode(&[1, 2, 3]).unwrap();
    sender.as_bytes().send(&other).unwrap();
    sender
        .as_bytes()
        .send(&[0xdd, 0xff, 0xff, 0xff, 0xff])
        .unwrap();
    sender.send(data(1, Kind::Plain)).unwrap();
    let Err(RecvError::Decode(error)) = receiver.recv() else {
        panic!("it was read")
    };
    assert_eq!(error.bytes, other);
    assert!(matches!(error.kind, DecodeErrorKind::Mismatch(_)));
    let Err(TryRecvError::Decode(error)) = receiver.try_recv() else {
        panic!("it was read")
    };
    assert!(matches!(
        error.kind,
        DecodeErrorKind::Malformed(Malformed::Overclaimed)
    ));
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), data(1, Kind::Plain));
    assert!(matches!(
        receiver.recv_timeout(SOON),
        Err(RecvTimeoutError::TimedOut)
    ));
    sender.close();
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
}

#[test]
fn ends_are_opened_by_address_and_counted() {
    let (sender, receiver) = channel::<(u32, String)>(4);
    // SAFETY: the channel lives as long as these ends, which are dropped before it.
    let second = unsafe { msgpack::Sender::<(u32, String)>::open(sender.address()) }.unwrap();
    second.send((7, "seven".into())).unwrap();
    assert_eq!((receiver.len(), receiver.capacity()), (1, 4));
    drop(sender);
    assert!(!receiver.is_closed());
    drop(second);
    assert!(receiver.is_closed());
    assert_eq!(receiver.recv().unwrap(), (7, "seven".into()));
}

#[test]
fn ends_go_to_other_threads_whatever_they_carry() {
    fn assert_send_and_sync<T: Send + Sync>(_: T) {}
    // An end holds no value.
    assert_send_and_sync(channel::<std::rc::Rc<u8>>(1));
}

#[test]
fn values_are_selected() {
    let (sender, receiver) = channel::<u32>(1);
    let mut select = heddle_channel::Select::new();
    let on_value = select.recv(&receiver);
    let on_room = select.send(&sender);
    assert_eq!(select.try_ready(), Some(on_room));
    sender.send(7).unwrap();
    assert_eq!(select.ready(), on_value);
    assert_eq!(receiver.recv().unwrap(), 7);
}
