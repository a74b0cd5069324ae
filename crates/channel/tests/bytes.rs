//! The byte channel on real threads.
#![cfg(not(loom))]

use heddle_atomics::{RawMutex, registry};
use heddle_channel::{
    RecvError, RecvTimeoutError, TryRecvError,
    bytes::{
        self, OpenError, Options, Receiver, RecvIntoError, RecvIntoTimeoutError, SendError,
        SendTimeoutError, Sender, TooLong, TryRecvIntoError, TrySendError,
    },
    layout::channel_header,
};
use std::{ptr::NonNull, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

fn options(capacity: u32, ring_size: u32) -> Options {
    Options {
        capacity,
        ring_size,
        ..Options::default()
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
fn messages_longer_than_the_ring_arrive_whole_among_others() {
    const COUNT: u32 = 200;
    for (capacity, ring_size) in [(1, 64), (4, 256), (1024, 1024), (0, 256)] {
        let (sender, receiver) = bytes::channel(options(capacity, ring_size));
        let length = |n: u32| (n as usize).wrapping_mul(7919) % (5 * ring_size as usize);
        let received: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
            for who in 0..2 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in 0..COUNT {
                        sender.send(&message(who, n, length(n))).unwrap();
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
        let mut seen = [0; 2];
        for bytes in received.into_iter().flatten() {
            let who = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            let n = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            assert!(bytes == message(who, n, length(n)), "torn");
            seen[who as usize] += 1;
        }
        assert_eq!(seen, [COUNT; 2]);
    }
}

#[test]
fn a_long_message_given_up_in_its_middle_is_seen_by_nobody() {
    let (sender, receiver) = bytes::channel(options(8, 64));
    assert_eq!(
        sender.send_timeout(&[1; 500], SOON),
        Err(SendTimeoutError::TimedOut)
    );
    thread::scope(|scope| {
        let next = scope.spawn(|| sender.send(b"next"));
        assert_eq!(receiver.recv().unwrap(), b"next");
        next.join().unwrap().unwrap();
    });
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.len(), 0);
    assert_eq!(
        sender.try_send(&[1; 500]),
        Err(TrySendError::TooLong(TooLong { len: 500, max: 24 }))
    );
}

#[test]
fn a_rendezvous_is_left_together() {
    let (sender, receiver) = bytes::channel(options(0, 256));
    assert_eq!((sender.capacity(), sender.is_full()), (0, true));
    assert_eq!(sender.try_send(b"nobody there"), Err(TrySendError::Full));
    assert_eq!(
        sender.send_timeout(b"nobody came", SOON),
        Err(SendTimeoutError::TimedOut)
    );
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv());
        while sender.try_send(b"met") == Err(TrySendError::Full) {
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap().unwrap(), b"met");

        let sending = scope.spawn(|| sender.send(b"taken"));
        assert_eq!(receiver.recv().unwrap(), b"taken");
        assert_eq!(sending.join().unwrap(), Ok(()));

        let sending = scope.spawn(|| sender.send(b"refused"));
        // Whether it sleeps already or not: nobody takes the message.
        receiver.close();
        assert_eq!(sending.join().unwrap(), Err(SendError::Closed));
    });
}

#[test]
fn a_message_is_written_and_read_in_place() {
    let (sender, receiver) = bytes::channel(options(8, 256));
    for step in 0..64_u8 {
        let mut reservation = sender.reserve(40).unwrap();
        reservation.fill(step);
        if step % 2 == 0 {
            reservation.commit().unwrap();
        } else {
            reservation.commit_len(9).unwrap();
        }
        let borrow = receiver.try_borrow().unwrap();
        assert_eq!(&*borrow, &vec![step; if step % 2 == 0 { 40 } else { 9 }]);
        if step % 3 == 0 {
            borrow.keep();
            assert_eq!(receiver.recv().unwrap()[0], step);
        }
    }
    drop(sender.reserve(100).unwrap());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let reservation = sender.try_reserve(8).unwrap();
    receiver.close();
    assert_eq!(reservation.commit(), Err(SendError::Closed));
    assert!(matches!(receiver.try_borrow(), Err(TryRecvError::Closed)));
}

#[test]
fn many_messages_go_and_come_together() {
    let (sender, receiver) = bytes::channel(options(5, 1024));
    let messages: Vec<[u8; 1]> = (0..12).map(|n| [n]).collect();
    assert_eq!(sender.try_send_many(&messages), Ok(5));
    assert!(sender.is_full());
    assert_eq!(receiver.try_recv_many(3).unwrap(), [[0], [1], [2]]);
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send_many(&messages[5..]));
        let mut received = vec![];
        while received.len() < 9 {
            received.extend(receiver.recv_many(4).unwrap());
        }
        assert_eq!(received, messages[3..]);
        sending.join().unwrap().unwrap();
    });
    receiver.close();
    assert_eq!(sender.try_send_many(&messages), Err(TrySendError::Closed));
    assert_eq!(sender.send_many(&messages), Err((0, SendError::Closed)));
    assert_eq!(receiver.try_recv_many(3), Err(TryRecvError::Closed));
}

#[test]
fn a_message_is_received_into_a_buffer_if_it_fits() {
    let (sender, receiver) = bytes::channel(options(8, 256));
    sender.send(b"twelve bytes").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(
        receiver.recv_into(&mut buffer[..4]),
        Err(RecvIntoError::TooLong(TooLong { len: 12, max: 4 }))
    );
    assert_eq!(receiver.recv_into(&mut buffer), Ok(12));
    assert_eq!(&buffer[..12], b"twelve bytes");
    sender.close();
    assert_eq!(receiver.recv_into(&mut buffer), Err(RecvIntoError::Closed));
}

#[test]
fn an_unbounded_channel_waits_at_its_limit_only() {
    let (sender, receiver) = bytes::channel(Options::unbounded(1 << 20));
    for round in 0..200_u32 {
        for n in 0..50 {
            sender.try_send(&message(round, n, 500)).unwrap();
        }
        for n in 0..50 {
            assert_eq!(receiver.try_recv().unwrap(), message(round, n, 500));
        }
    }
    let fits = (0..)
        .take_while(|_| sender.try_send(&[0; 1016]).is_ok())
        .count();
    assert!((1000..=1024).contains(&fits), "{fits} KiB of 1 MiB");
    assert_eq!(receiver.try_recv_many(usize::MAX).unwrap().len(), fits);
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

#[test]
fn every_form_gives_up_in_time() {
    let (sender, receiver) = bytes::channel(options(1, 256));
    let mut buffer = [0; 8];
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::TimedOut));
    assert_eq!(
        receiver.borrow_timeout(SOON).err(),
        Some(RecvTimeoutError::TimedOut)
    );
    assert_eq!(
        receiver.recv_many_timeout(2, SOON),
        Err(RecvTimeoutError::TimedOut)
    );
    assert_eq!(
        receiver.recv_into_timeout(&mut buffer, SOON),
        Err(RecvIntoTimeoutError::TimedOut)
    );
    assert_eq!(
        receiver.try_recv_into(&mut buffer),
        Err(TryRecvIntoError::Empty)
    );

    let messages: [&[u8]; 3] = [b"one", b"two", b"three"];
    assert_eq!(
        sender.send_many_timeout(&messages, SOON),
        Err((1, SendTimeoutError::TimedOut))
    );
    assert_eq!(
        sender.reserve_timeout(3, SOON).err(),
        Some(SendTimeoutError::TimedOut)
    );
    let too_long = SendTimeoutError::TooLong(TooLong { len: 200, max: 120 });
    assert_eq!(sender.reserve_timeout(200, SOON).err(), Some(too_long));
    assert_eq!(receiver.recv_many_timeout(2, SOON).unwrap(), [b"one"]);

    let mut place = sender.reserve_timeout(4, SOON).unwrap();
    place.copy_from_slice(b"weft");
    place.commit().unwrap();
    assert_eq!(&*receiver.borrow_timeout(SOON).unwrap(), b"weft");

    sender.send_many_timeout(&[b"warp"], SOON).unwrap();
    let too_long = TooLong { len: 4, max: 3 };
    assert_eq!(
        receiver.recv_into_timeout(&mut buffer[..3], SOON),
        Err(RecvIntoTimeoutError::TooLong(too_long))
    );
    assert_eq!(
        receiver.try_recv_into(&mut buffer[..3]),
        Err(TryRecvIntoError::TooLong(too_long))
    );
    // It has stayed.
    assert_eq!(receiver.try_recv_into(&mut buffer), Ok(4));
    assert_eq!(&buffer[..4], b"warp");
    sender.send(b"").unwrap();
    assert_eq!(receiver.recv_into_timeout(&mut buffer, SOON), Ok(0));

    sender.close();
    assert_eq!(
        receiver.recv_many_timeout(2, SOON),
        Err(RecvTimeoutError::Closed)
    );
    assert_eq!(
        receiver.recv_into_timeout(&mut buffer, SOON),
        Err(RecvIntoTimeoutError::Closed)
    );
    assert_eq!(
        receiver.try_recv_into(&mut buffer),
        Err(TryRecvIntoError::Closed)
    );
    assert_eq!(
        sender.send_many_timeout(&messages, SOON),
        Err((0, SendTimeoutError::Closed))
    );
}

#[test]
fn nobody_waits_longer_than_wanted_for_who_has_a_place_or_a_message() {
    for capacity in [4, 0] {
        let (sender, receiver) = bytes::channel(options(capacity, 256));
        thread::scope(|scope| {
            let sending = scope.spawn({
                let sender = sender.clone();
                move || sender.send(b"borrowed").unwrap()
            });
            let borrowed = receiver.borrow().unwrap();
            let reserved = (capacity != 0).then(|| sender.reserve(1).unwrap());
            let (there, here) = (sender.clone(), receiver.clone());
            let given_up = scope.spawn(move || {
                assert_eq!(there.try_send(b"x"), Err(TrySendError::Full));
                assert_eq!(there.try_send_many(&[b"x"]).unwrap_or(0), 0);
                assert_eq!(
                    there.send_timeout(b"x", SOON),
                    Err(SendTimeoutError::TimedOut)
                );
                if capacity != 0 {
                    assert!(matches!(there.try_reserve(1), Err(TrySendError::Full)));
                    assert!(there.reserve_timeout(1, SOON).is_err());
                    assert_eq!(here.recv_timeout(SOON), Err(RecvTimeoutError::TimedOut));
                    assert!(here.borrow_timeout(SOON).is_err());
                }
                let mut target = [0; 8];
                assert_eq!(here.try_recv(), Err(TryRecvError::Empty));
                assert!(matches!(here.try_borrow(), Err(TryRecvError::Empty)));
                assert_eq!(here.try_recv_many(2), Err(TryRecvError::Empty));
                assert_eq!(
                    here.try_recv_into(&mut target),
                    Err(TryRecvIntoError::Empty)
                );
            });
            given_up.join().unwrap();
            drop(reserved);
            assert_eq!(&*borrowed, b"borrowed");
            drop(borrowed);
            sending.join().unwrap();
            // What was given up has left no trace.
            scope.spawn(move || sender.send(b"next").unwrap());
            assert_eq!(receiver.recv().unwrap(), b"next");
        });
    }
}
