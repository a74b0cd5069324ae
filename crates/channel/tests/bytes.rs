//! The byte channel on real threads.
#![cfg(not(loom))]

use heddle_atomics::{RawMutex, registry};
use heddle_channel::{
    RecvError, RecvTimeoutError, TryRecvError,
    bytes::{
        self, OpenError, Options, Receiver, SendError, SendTimeoutError, Sender, TooLong,
        TrySendError,
    },
    layout::channel_header,
};
use std::{ptr::NonNull, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

fn options(capacity: u32, ring_size: u32) -> Options {
    Options {
        capacity,
        ring_size,
    }
}

/// A message of so many bytes that tells who sent it and which it is.
fn message(who: u32, n: u32, len: usize) -> Vec<u8> {
    let mut message = [who.to_le_bytes(), n.to_le_bytes()].concat();
    message.resize(8 + len, (n % 251) as u8);
    message
}

#[test]
fn messages_of_every_length_arrive_once_whole_and_in_order() {
    const SENDERS: u32 = 2;
    const COUNT: u32 = 5_000;
    for (capacity, ring_size) in [(1, 64), (1024, 256), (8, 1 << 12), (1024, 1 << 16)] {
        let (sender, receiver) = bytes::channel(options(capacity, ring_size));
        let lengths = sender.max_message_len() - 8 + 1;
        let received: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
            for who in 0..SENDERS {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in 0..COUNT {
                        let len = (n as usize).wrapping_mul(7919) % lengths.min(300);
                        sender.send(&message(who, n, len)).unwrap();
                    }
                });
            }
            drop(sender);
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    let receiver = receiver.clone();
                    scope.spawn(move || receiver.iter().collect())
                })
                .collect();
            receivers
                .into_iter()
                .map(|receiver| receiver.join().unwrap())
                .collect()
        });
        let mut seen = vec![0; SENDERS as usize];
        for messages in received {
            let mut next = [0; SENDERS as usize];
            for bytes in messages {
                let who = u32::from_le_bytes(bytes[..4].try_into().unwrap());
                let n = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
                let len = (n as usize).wrapping_mul(7919) % lengths.min(300);
                assert_eq!(bytes, message(who, n, len), "torn");
                assert!(n >= next[who as usize], "out of order");
                next[who as usize] = n + 1;
                seen[who as usize] += 1;
            }
        }
        assert_eq!(seen, [COUNT; SENDERS as usize]);
    }
}

#[test]
fn the_longest_message_always_fits_and_a_longer_one_is_refused() {
    let (sender, receiver) = bytes::channel(options(8, 256));
    let max = sender.max_message_len();
    assert_eq!(max, 120);
    // From every place of the ring, so that it also has to start again at the beginning.
    for step in 0..64 {
        sender.send(&vec![1; step % 32]).unwrap();
        receiver.recv().unwrap();
        sender.try_send(&vec![2; max]).unwrap();
        assert_eq!(receiver.recv().unwrap(), vec![2; max]);
    }
    let too_long = TooLong { len: 121, max: 120 };
    assert_eq!(sender.send(&[0; 121]), Err(SendError::TooLong(too_long)));
    assert_eq!(
        sender.try_send(&[0; 121]),
        Err(TrySendError::TooLong(too_long))
    );
}

#[test]
fn full_means_messages_or_bytes() {
    let (sender, receiver) = bytes::channel(options(2, 64));
    sender.send(b"").unwrap();
    sender.send(b"").unwrap();
    assert_eq!(
        sender.try_send(b""),
        Err(TrySendError::Full),
        "two messages"
    );
    assert_eq!(
        sender.send_timeout(b"", SOON),
        Err(SendTimeoutError::TimedOut)
    );
    assert_eq!(receiver.recv().unwrap(), b"");
    assert_eq!(sender.try_send(b""), Ok(()));

    let (sender, receiver) = bytes::channel(options(100, 64));
    sender.send(&[0; 24]).unwrap();
    sender.send(&[0; 20]).unwrap();
    assert_eq!(receiver.len(), 2);
    assert_eq!(
        sender.try_send(&[0; 24]),
        Err(TrySendError::Full),
        "64 bytes"
    );
    receiver.recv().unwrap();
    assert_eq!(sender.try_send(&[0; 24]), Ok(()));
}

#[test]
fn closing_is_seen_on_both_sides() {
    let (sender, receiver) = bytes::channel(Options::default());
    sender.send(b"last").unwrap();
    sender.close();
    assert_eq!(sender.send(b"later"), Err(SendError::Closed));
    assert_eq!(receiver.recv().unwrap(), b"last");
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Closed));
}

#[test]
fn the_last_end_of_a_side_closes() {
    let (sender, receiver) = bytes::channel(Options::default());
    let second = sender.clone();
    drop(sender);
    assert!(!receiver.is_closed());
    drop(second);
    assert!(receiver.is_closed());

    let (sender, receiver) = bytes::channel(Options::default());
    drop(receiver);
    assert_eq!(sender.send(b""), Err(SendError::Closed));
}

#[test]
fn a_message_can_be_read_in_place() {
    let (sender, receiver) = bytes::channel(Options::default());
    sender.send(b"in place").unwrap();
    assert_eq!(receiver.recv_with(<[u8]>::len), Ok(8));
    assert!(receiver.is_empty());
}

#[test]
fn a_channel_opens_at_an_address_if_there_is_one() {
    let (sender, receiver) = bytes::channel(Options::default());
    let address = receiver.address();
    // SAFETY: there is a channel, and `sender` and `receiver` keep it.
    let second = unsafe { Sender::open(address) }.unwrap();
    drop(sender);
    second.send(b"through the other end").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"through the other end");
    drop(second);
    assert!(receiver.is_closed());

    let mut nothing = [0_u64; channel_header::SIZE / 8];
    let address = NonNull::from(&mut nothing).cast::<u8>();
    // SAFETY: the bytes can be read, and there is no channel.
    unsafe {
        assert_eq!(Receiver::open(address).unwrap_err(), OpenError::NotAChannel);
        assert_eq!(
            Receiver::open(address.add(4)).unwrap_err(),
            OpenError::Misaligned
        );
    }
}

#[test]
fn a_side_whose_owner_died_goes_on() {
    let (sender, receiver) = bytes::channel(Options::default());
    sender.send(b"before").unwrap();
    for lock in [channel_header::SEND_LOCK, channel_header::RECEIVE_LOCK] {
        // SAFETY: the lock's record is there (docs/layout.md), and the channel lives.
        let lock: &RawMutex = unsafe { sender.address().add(lock).cast().as_ref() };
        thread::scope(|scope| {
            scope.spawn(|| {
                let token = registry::enter_new().unwrap();
                let _poisoned = lock.lock();
                registry::reap_token(token);
            });
        });
    }
    sender.send(b"after").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"before");
    assert_eq!(receiver.recv().unwrap(), b"after");
}
