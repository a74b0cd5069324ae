//! Channels of serde's values as JSON, on real threads.
#![cfg(not(loom))]

use futures_executor::block_on;
use heddle_channel::{
    Select,
    bytes::{Options, TooLong},
    json::{
        self, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use std::{collections::BTreeMap, fmt::Debug, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Data {
    id: u64,
    name: String,
    note: Option<String>,
    ratio: f64,
    kind: Kind,
    by_number: BTreeMap<u32, String>,
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
        name: "\"ä\u{1d11e}\n".repeat(id as usize % 50),
        note: id.is_multiple_of(2).then(|| "noted".to_owned()),
        ratio: id as f64 / 3.0,
        kind,
        by_number: BTreeMap::from([(u32::MAX, "most".to_owned()), (0, String::new())]),
        children: Vec::new(),
    }
}

#[test]
fn values_arrive_once_equal_and_in_order() {
    const COUNT: u64 = 1_000;
    thread::scope(|scope| {
        // In here, so that a failure closes the channel.
        let (sender, receiver) = json::channel::<Data>(16);
        scope.spawn(move || {
            for id in 0..COUNT {
                let value = data(id, Kind::Tuple(id as u8, 2));
                if id % 2 == 0 {
                    sender.send(value).unwrap();
                } else {
                    block_on(sender.send_async(value)).unwrap();
                }
            }
        });
        for id in 0..COUNT {
            let received = if id % 3 == 0 {
                block_on(receiver.recv_async())
            } else {
                receiver.recv()
            };
            assert_eq!(received.unwrap(), data(id, Kind::Tuple(id as u8, 2)));
        }
        assert!(receiver.iter().next().is_none());
    });
}

#[track_caller]
fn assert_comes_back<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned>(value: T) {
    let (sender, receiver) = json::channel(1);
    sender.send(value.clone()).unwrap();
    assert_eq!(receiver.recv().unwrap(), value);
}

#[test]
fn what_serde_has_comes_back() {
    for kind in [
        Kind::Plain,
        Kind::Newtype("n".into()),
        Kind::Tuple(0, 255),
        Kind::Struct { x: -0.5 },
    ] {
        let mut value = data(41, kind);
        value.children = vec![data(0, Kind::Plain), data(u64::MAX, Kind::Plain)];
        assert_comes_back(value);
    }
    assert_comes_back(());
    assert_comes_back((i8::MIN, i64::MIN, u64::MAX));
    assert_comes_back((f32::MIN_POSITIVE, 5e-324, 'ß', true));
    assert_comes_back(vec![Some(true), None]);
    assert_comes_back("long ".repeat(2_000));
}

#[test]
fn a_message_is_the_text_that_typescript_writes() {
    let value = Data {
        name: "\u{1d11e}\"".to_owned(),
        note: None,
        ratio: 0.1,
        children: Vec::new(),
        ..data(7, Kind::Struct { x: 0.5 })
    };
    let text = r#"{"id":7,"name":"𝄞\"","note":null,"ratio":0.1,"kind":{"Struct":{"x":0.5}},"by_number":{"0":"","4294967295":"most"},"children":[]}"#;
    assert_eq!(json::encode(&value).unwrap(), text.as_bytes());
    // In another order, with spaces, without what is `None`, and with what the type doesn't have.
    let other = r#" {"children": [], "by_number": {"4294967295": "most", "0": ""}, "kind": {"Struct": {"x": 5e-1}},
        "extra": [{}], "ratio": 0.1, "name": "\ud834\udd1e\"", "id": 7} "#;
    assert_eq!(json::decode::<Data>(other.into()).unwrap(), value);
}

#[test]
fn a_value_that_is_not_sent_comes_back() {
    let (sender, receiver) = json::channel_with::<String>(Options {
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
    assert_eq!(
        sender.send("fourth".to_owned()).unwrap_err().into_inner(),
        "fourth"
    );

    // A key is a text.
    let unwritable = BTreeMap::from([(vec![1], 2)]);
    let (sender, receiver) = json::channel::<BTreeMap<Vec<u8>, u8>>(1);
    assert!(
        matches!(sender.send(unwritable.clone()), Err(SendError::Encode(value, _)) if value == unwritable)
    );
    let refused = block_on(sender.send_async(unwritable.clone())).unwrap_err();
    assert!(std::error::Error::source(&refused).is_some());
    assert_eq!(refused.into_inner(), unwritable);
    assert!(receiver.is_empty());
}

#[test]
fn what_is_no_value_of_the_type_is_told_with_its_bytes() {
    let (sender, receiver) = json::channel::<Vec<f64>>(16);
    let deep = "[".repeat(20_000);
    let messages = [
        ("", Category::Eof),
        ("[1", Category::Eof),
        ("[1] 2", Category::Syntax),
        ("[1,]", Category::Syntax),
        ("\u{feff}[1]", Category::Syntax),
        ("{\"a\":1}", Category::Data),
        ("[\"1\"]", Category::Data),
        // What both languages write for NaN.
        ("[null]", Category::Data),
    ];
    for (text, category) in messages {
        sender.as_bytes().send(text.as_bytes()).unwrap();
        let Err(RecvError::Decode(error)) = receiver.recv() else {
            panic!("{text} was read")
        };
        assert_eq!(
            (error.bytes, error.kind.classify()),
            (text.into(), category)
        );
    }
    let (texts, text) = json::channel::<String>(16);
    for message in [&b"\"\xc3\x28\""[..], br#""\ud800""#, deep.as_bytes()] {
        texts.as_bytes().send(message).unwrap();
        let Err(TryRecvError::Decode(error)) = text.try_recv() else {
            panic!("it was read")
        };
        assert_eq!(error.bytes, message);
    }
    assert!(json::decode::<serde_json::Value>(deep.into()).is_err());

    sender.send(vec![1.5]).unwrap();
    assert_eq!(receiver.recv_timeout(SOON).unwrap(), [1.5]);
    assert!(matches!(
        receiver.recv_timeout(SOON),
        Err(RecvTimeoutError::TimedOut)
    ));
    sender.close();
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
}

#[test]
fn ends_are_those_of_bytes() {
    fn assert_send<T: Send>(_: &T) {}
    let (sender, receiver) = json::channel::<u32>(1);
    let mut select = Select::new();
    let on_value = select.recv(&receiver);
    let on_room = select.send(&sender);
    assert_eq!(select.try_ready(), Some(on_room));
    // SAFETY: the channel lives as long as these ends, which are dropped before it.
    let second = unsafe { json::Sender::<u32>::open(sender.address()) }.unwrap();
    let sending = second.send_async(7);
    assert_send(&sending);
    block_on(sending).unwrap();
    assert_eq!(select.ready(), on_value);
    let receiving = receiver.recv_async();
    assert_send(&receiving);
    assert_eq!(block_on(receiving).unwrap(), 7);
    drop(select);
    drop((sender, second));
    assert!(receiver.is_closed());
}
