//! The broadcast channel on real threads.
#![cfg(not(loom))]

use heddle_atomics::RawMutex;
use heddle_channel::{
    broadcast::{self, OpenError, Options, Receiver, RecvError, Sender, TryRecvError},
    bytes::{SendError, SendTimeoutError, TooLong, TrySendError},
    layout::{BROADCAST_VERSION, broadcast_header as header},
};
use std::{ptr::NonNull, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

fn options(capacity: u32, ring_size: u32, back_pressure: bool) -> Options {
    Options {
        capacity,
        ring_size,
        back_pressure,
    }
}

/// A message that tells who sent it and which it is, of many lengths.
fn message(who: u8, n: u32) -> Vec<u8> {
    let mut message = [&[who], n.to_le_bytes().as_slice()].concat();
    message.resize(5 + (n as usize).wrapping_mul(7919) % 90, (n % 251) as u8);
    message
}

/// The number of a message, which must be whole.
fn number(bytes: &[u8]) -> (u8, u32) {
    let n = u32::from_le_bytes(bytes[1..5].try_into().unwrap());
    assert_eq!(bytes, message(bytes[0], n), "torn");
    (bytes[0], n)
}

fn drain(receiver: &mut Receiver) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

#[test]
fn every_receiver_receives_everything_in_one_order() {
    const COUNT: u32 = 3_000;
    for (capacity, ring_size) in [(1, 256), (4, 1 << 12), (1024, 1 << 12)] {
        let (sender, receiver) = broadcast::channel(options(capacity, ring_size, true));
        let lists: Vec<Vec<(u8, u32)>> = thread::scope(|scope| {
            let receivers: Vec<_> = (0..3)
                .map(|_| receiver.try_clone().unwrap())
                .map(|mut receiver| {
                    scope.spawn(move || {
                        std::iter::from_fn(|| match receiver.recv() {
                            Ok(message) => Some(number(&message)),
                            Err(RecvError::Closed) => None,
                            Err(lagged) => panic!("{lagged}"),
                        })
                        .collect()
                    })
                })
                .collect();
            drop(receiver);
            for who in 0..2 {
                let sender = sender.clone();
                scope
                    .spawn(move || (0..COUNT).for_each(|n| sender.send(&message(who, n)).unwrap()));
            }
            drop(sender);
            let joined = receivers.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert_eq!(lists[0].len(), 2 * COUNT as usize);
        assert!(lists.iter().all(|list| *list == lists[0]));
        for who in 0..2 {
            let of_one = lists[0].iter().filter(|(sender, _)| *sender == who);
            assert!(of_one.map(|(_, n)| *n).eq(0..COUNT), "out of order");
        }
    }
}

#[test]
fn who_lags_misses_as_many_as_it_is_told() {
    const COUNT: u32 = 20_000;
    let (sender, receiver) = broadcast::channel(options(8, 512, false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut receiver = receiver.try_clone().unwrap();
            scope.spawn(move || {
                let mut next = 0;
                loop {
                    match receiver.recv() {
                        Ok(message) => {
                            assert_eq!(u64::from(number(&message).1), next);
                            next += 1;
                        }
                        Err(RecvError::Lagged(skipped)) => next += skipped,
                        Err(RecvError::Closed) => break,
                    }
                }
                assert_eq!(next, u64::from(COUNT));
            });
        }
        drop(receiver);
        for n in 0..COUNT {
            sender.send(&message(0, n)).unwrap();
        }
        drop(sender);
    });
}

#[test]
fn receivers_begin_where_they_are_opened() {
    let (sender, mut receiver) = broadcast::channel(Options::default());
    sender.send(b"one").unwrap();
    let mut late = sender.subscribe().unwrap();
    sender.send(b"two").unwrap();
    let mut clone = receiver.try_clone().unwrap();
    assert_eq!(drain(&mut receiver), [b"one", b"two"]);
    assert_eq!(drain(&mut late), [b"two"]);
    assert_eq!(drain(&mut clone), [b"one", b"two"]);
    // SAFETY: the channel lives as long as `sender`.
    unsafe {
        let mut opened = Receiver::open(sender.address(), Some(1)).unwrap();
        assert_eq!(opened.next_number(), 1);
        assert_eq!(drain(&mut opened), [b"two"]);
        let beyond = Receiver::open(sender.address(), Some(3));
        assert_eq!(beyond.unwrap_err(), OpenError::NotSent(3));
        Sender::open(sender.address())
            .unwrap()
            .send(b"six")
            .unwrap();
    }
    assert_eq!(drain(&mut receiver), [b"six"]);
}

#[test]
fn senders_wait_for_the_slowest_receiver_if_that_is_wanted() {
    let (sender, mut receiver) = broadcast::channel(options(1, 256, true));
    let slow = sender.subscribe().unwrap();
    sender.try_send(b"one").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"one");
    assert_eq!(sender.try_send(b"two"), Err(TrySendError::Full));
    assert_eq!(
        sender.send_timeout(b"two", SOON),
        Err(SendTimeoutError::TimedOut)
    );
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send(b"two"));
        drop(slow);
        sending.join().unwrap().unwrap();
    });
    assert_eq!(receiver.recv().unwrap(), b"two");
    let more: Vec<_> = (0..15).map(|_| sender.subscribe().unwrap()).collect();
    assert_eq!(
        sender.subscribe().unwrap_err(),
        OpenError::TooManyReceivers(16)
    );
    drop(more);
    sender.subscribe().unwrap();
}

#[test]
fn the_last_end_of_a_side_closes_and_what_is_kept_is_received() {
    let (sender, mut receiver) = broadcast::channel(Options::default());
    let second = sender.clone();
    sender.send(b"last").unwrap();
    drop(sender);
    assert!(!receiver.is_closed());
    assert_eq!(
        receiver.recv_timeout(SOON).unwrap(),
        b"last",
        "a channel with one sender is open"
    );
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(
        receiver.recv_timeout(SOON),
        Err(broadcast::RecvTimeoutError::TimedOut)
    );
    drop(second);
    assert_eq!(receiver.recv(), Err(RecvError::Closed));

    let (sender, receiver) = broadcast::channel(Options::default());
    drop(receiver);
    assert_eq!(sender.send(b"unheard"), Err(SendError::Closed));
}

#[test]
fn a_message_has_at_most_half_the_ring() {
    let (sender, mut receiver) = broadcast::channel(options(8, 128, false));
    let max = sender.max_message_len();
    assert_eq!(max, 48);
    for _ in 0..5 {
        sender.send(&vec![7; max]).unwrap();
        assert_eq!(receiver.recv().unwrap(), vec![7; max]);
        sender.send(&[]).unwrap();
        assert!(receiver.recv().unwrap().is_empty());
    }
    let too_long = TooLong { len: max + 1, max };
    assert_eq!(
        sender.send(&vec![7; max + 1]),
        Err(SendError::TooLong(too_long))
    );
}

/// A sender that dies between its message and the count of messages leaves a message that the next one must not have the
/// number of: a receiver would take it for one that it has had.
#[test]
fn a_sender_that_died_behind_its_message_is_repaired() {
    let (sender, mut receiver) = broadcast::channel(Options::default());
    sender.send(b"one").unwrap();
    sender.send(b"two").unwrap();
    // SAFETY: the lock and the count are there, and nobody else uses the channel.
    unsafe {
        let lock: &RawMutex = sender.address().add(header::LOCK).cast().as_ref();
        let _ = lock.lock();
        sender.address().add(header::SENT).cast::<u64>().write(1);
        lock.poison();
        lock.unlock();
    }
    sender.send(b"six").unwrap();
    assert_eq!(drain(&mut receiver), [b"one", b"two", b"six"]);
}

#[test]
fn what_is_no_broadcast_channel_is_refused() {
    let (sender, _receiver) = broadcast::channel(Options::default());
    let refused = |address| {
        // SAFETY: a header's bytes can be read there.
        unsafe { Sender::open(address) }.unwrap_err()
    };
    // SAFETY: within the record.
    let beside = unsafe { sender.address().add(4) };
    assert_eq!(refused(beside), OpenError::Misaligned);
    let mut zeros = [0_u64; header::SIZE / 8];
    let nothing = NonNull::from(&mut zeros).cast();
    assert_eq!(refused(nothing), OpenError::NotAChannel);
    let write = |offset: usize, word: u32| {
        // SAFETY: a word of the header, and nobody else uses the channel.
        unsafe { sender.address().add(offset).cast::<u32>().write(word) };
    };
    write(header::RING_SIZE, 100);
    assert_eq!(refused(sender.address()), OpenError::Size(100));
    write(header::VERSION, 9);
    let version = OpenError::Version {
        found: 9,
        expected: BROADCAST_VERSION,
    };
    assert_eq!(refused(sender.address()), version);
}

/// The cursor of the last receiver went before its end: a sender that waited for it could take that for room, and had sent to nobody.
#[test]
fn a_sender_that_waits_for_the_last_receiver_hears_that_it_has_gone() {
    for _round in 0..200 {
        let (sender, receiver) = broadcast::channel(options(1, 64, true));
        sender.send(b"one").unwrap();
        thread::scope(|scope| {
            let trying = scope.spawn(|| {
                loop {
                    match sender.try_send(b"two") {
                        Err(TrySendError::Full) => {}
                        result => return result,
                    }
                }
            });
            let waiting = scope.spawn(|| sender.send(b"two"));
            drop(receiver);
            assert_eq!(trying.join().unwrap(), Err(TrySendError::Closed));
            assert_eq!(waiting.join().unwrap(), Err(SendError::Closed));
        });
    }
}
