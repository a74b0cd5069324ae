//! Tasks at the ends of the channels that TypeScript shares: of bytes, broadcast and watch; beside threads.
#![cfg(not(loom))]

mod support;

use futures_executor::block_on;
use heddle_atomics::registry;
use heddle_channel::{
    RecvError, TryRecvError, broadcast,
    bytes::{self, Options, Receiver, RecvIntoError, SendError, Sender, TooLong, TrySendError},
    msgpack, watch,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, mpsc},
    task::Poll,
    thread,
};
use support::{Count, poll_once};

/// In the rings of these tests a message of more bytes takes several frames.
const SHORT_MAX: usize = 56;

type Ends = (Sender, Receiver);

fn of(capacity: u32, is_compact: bool) -> Ends {
    bytes::channel(Options {
        capacity,
        ring_size: 128,
        is_compact,
    })
}

/// A channel of each kind.
fn channels() -> Vec<(&'static str, Ends)> {
    vec![
        ("of 1", of(1, false)),
        ("of 3", of(3, false)),
        ("compact", of(100, true)),
        ("rendezvous", of(0, false)),
    ]
}

fn message(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + number as usize % 60)
}

#[track_caller]
fn number_of(bytes: &[u8]) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, message(number), "torn");
    number
}

fn as_task<'a, T: 'a>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

#[test]
fn tasks_and_threads_mix_at_both_ends_with_messages_of_all_lengths() {
    const COUNT: u32 = 400;
    for (kind, (sender, receiver)) in channels() {
        let total: u32 = thread::scope(|scope| {
            for who in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in (0..COUNT).map(|n| who * COUNT + n) {
                        let message = message(n);
                        if who % 2 == 0 {
                            sender.send(&message).unwrap();
                        } else if kind != "rendezvous" && message.len() <= SHORT_MAX && n % 3 == 0 {
                            let mut place = block_on(sender.reserve_async(message.len())).unwrap();
                            place.copy_from_slice(&message);
                            place.commit().unwrap();
                        } else {
                            block_on(sender.send_async(&message)).unwrap();
                        }
                    }
                });
            }
            drop(sender);
            let receivers: Vec<_> = (0..4)
                .map(|who| {
                    let receiver = receiver.clone();
                    scope.spawn(move || {
                        let mut sum = 0;
                        for n in 0.. {
                            let received = if who % 2 == 0 {
                                receiver.recv().map(|bytes| number_of(&bytes))
                            } else if n % 2 == 0 {
                                block_on(receiver.recv_async()).map(|bytes| number_of(&bytes))
                            } else {
                                block_on(receiver.borrow_async()).map(|bytes| number_of(&bytes))
                            };
                            match received {
                                Ok(number) => sum += number,
                                Err(RecvError) => break,
                            }
                        }
                        sum
                    })
                })
                .collect();
            receivers.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(total, (0..4 * COUNT).sum::<u32>(), "{kind}");
    }
}

#[test]
fn a_task_is_woken_for_what_it_waits_for() {
    for (kind, (sender, receiver)) in channels() {
        let count = Arc::<Count>::default();
        let mut future = as_task(receiver.recv_async());
        assert!(poll_once(&mut future, &count).is_pending(), "{kind}");
        assert!(poll_once(&mut future, &count).is_pending(), "{kind}");
        assert_eq!(count.woken(), 0, "{kind}");
        sender.try_send(b"first").unwrap();
        assert_eq!(count.woken(), 1, "{kind}");
        let received = poll_once(&mut future, &count);
        assert_eq!(received, Poll::Ready(Ok(b"first".to_vec())), "{kind}");
    }
}

#[test]
fn closing_wakes_tasks() {
    for (kind, (sender, receiver)) in channels() {
        while sender.try_send(&[0; SHORT_MAX]).is_ok() {}
        let count = Arc::<Count>::default();
        let mut sending = as_task(sender.send_async(&[0; SHORT_MAX]));
        assert!(poll_once(&mut sending, &count).is_pending(), "{kind}");
        receiver.close();
        assert!(count.woken() > 0, "{kind}");
        let refused = poll_once(&mut sending, &count);
        assert_eq!(refused, Poll::Ready(Err(SendError::Closed)), "{kind}");

        let (sender, receiver) = of(1, false);
        let mut receiving = as_task(receiver.recv_async());
        assert!(poll_once(&mut receiving, &count).is_pending());
        drop(sender);
        let refused = poll_once(&mut receiving, &count);
        assert_eq!(refused, Poll::Ready(Err(RecvError)));
    }
}

#[test]
fn a_task_that_goes_swallows_neither_a_message_nor_a_wake() {
    for (kind, (sender, receiver)) in channels() {
        let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
        let mut gone = as_task(receiver.recv_async());
        let mut staying = as_task(receiver.recv_async());
        assert!(poll_once(&mut gone, &first).is_pending(), "{kind}");
        assert!(poll_once(&mut staying, &second).is_pending(), "{kind}");
        sender.try_send(b"one").unwrap();
        assert_eq!((first.woken(), second.woken()), (1, 0), "{kind}");
        drop(gone);
        assert_eq!(second.woken(), 1, "{kind}");
        let received = poll_once(&mut staying, &second);
        assert_eq!(received, Poll::Ready(Ok(b"one".to_vec())), "{kind}");

        // Nobody else waits: the message is there for who comes.
        let mut gone = as_task(receiver.recv_async());
        assert!(poll_once(&mut gone, &first).is_pending(), "{kind}");
        sender.try_send(b"two").unwrap();
        drop(gone);
        assert_eq!(receiver.try_recv(), Ok(b"two".to_vec()), "{kind}");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "{kind}");
    }
}

#[test]
fn a_send_that_goes_has_sent_nothing() {
    for (kind, (sender, receiver)) in channels() {
        let mut sent = 0;
        while sender.try_send(&[1; SHORT_MAX]).is_ok() {
            sent += 1;
        }
        let count = Arc::<Count>::default();
        let mut gone = as_task(sender.send_async(&[2; SHORT_MAX]));
        assert!(poll_once(&mut gone, &count).is_pending(), "{kind}");
        drop(gone);
        for _ in 0..sent {
            assert_eq!(receiver.try_recv(), Ok(vec![1; SHORT_MAX]), "{kind}");
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "{kind}");
        if kind != "rendezvous" {
            sender.try_send(&[3; SHORT_MAX]).unwrap();
        }
    }
}

#[test]
fn a_place_is_waited_for_and_keeps_other_tasks_of_its_thread_waiting() {
    let (sender, receiver) = of(1, false);
    let mut place = block_on(sender.reserve_async(3)).unwrap();
    place.copy_from_slice(b"one");
    let count = Arc::<Count>::default();
    let mut sending = as_task(sender.send_async(b"two"));
    assert!(poll_once(&mut sending, &count).is_pending());
    place.commit().unwrap();
    assert!(poll_once(&mut sending, &count).is_pending());
    {
        let borrow = block_on(receiver.borrow_async()).unwrap();
        assert_eq!(*borrow, *b"one");
        assert!(poll_once(&mut as_task(receiver.recv_async()), &count).is_pending());
    }
    assert_eq!(poll_once(&mut sending, &count), Poll::Ready(Ok(())));
    assert_eq!(block_on(receiver.recv_async()).unwrap(), b"two");
    assert!(matches!(
        block_on(sender.reserve_async(200)),
        Err(SendError::TooLong(_))
    ));
}

const LONG: [u8; 300] = [7; 300];

#[test]
fn nobody_sees_a_part_of_a_long_message_that_was_given_up() {
    let count = Arc::<Count>::default();
    // Its sender goes.
    let (sender, receiver) = of(100, false);
    let mut gone = as_task(sender.send_async(&LONG));
    assert!(poll_once(&mut gone, &count).is_pending());
    drop(gone);
    thread::scope(|scope| {
        // The ring is full of the beginning.
        scope.spawn(|| sender.send(b"next").unwrap());
        assert_eq!(receiver.recv().unwrap(), b"next");
    });

    // Its receiver goes.
    let mut sending = as_task(sender.send_async(&LONG));
    assert!(poll_once(&mut sending, &count).is_pending());
    let mut gone = as_task(receiver.recv_async());
    assert!(poll_once(&mut gone, &count).is_pending());
    drop(gone);
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(&mut sending).unwrap();
            sender.send(b"after").unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), b"after");
    });
}

/// Polls a task on a thread of its own, which is in the registry and leaves it if `leaves` says so; otherwise it stays until told.
fn poll_elsewhere<T: Send + 'static>(
    mut task: Pin<Box<dyn Future<Output = T> + Send>>,
    leaves: bool,
) -> (Pin<Box<dyn Future<Output = T> + Send>>, mpsc::Sender<()>) {
    let (give, take) = mpsc::channel();
    let (leave, until) = mpsc::channel();
    thread::spawn(move || {
        registry::enter_new().unwrap();
        assert!(poll_once(&mut task, &Arc::default()).is_pending());
        if leaves {
            registry::leave();
        }
        give.send(task).unwrap();
        _ = until.recv();
        if !leaves {
            registry::leave();
        }
    });
    (take.recv().unwrap(), leave)
}

/// Until the sides moved with their tasks, the thread that polled last let go of a lock that it didn't have.
#[test]
fn a_task_in_the_middle_of_a_long_message_may_move_to_another_thread() {
    for leaves in [false, true] {
        let (sender, receiver) = of(100, false);
        let (sender, receiver) = (Arc::new(sender), Arc::new(receiver));
        let sending = Arc::clone(&sender);
        let sending = async move { sending.send_async(&LONG).await };
        let (sending, sender_ends) = poll_elsewhere(Box::pin(sending), leaves);
        let receiving = Arc::clone(&receiver);
        let receiving = async move { receiving.recv_async().await };
        let (receiving, receiver_ends) = poll_elsewhere(Box::pin(receiving), leaves);
        let received = thread::spawn(move || block_on(receiving));
        block_on(sending).unwrap();
        assert_eq!(received.join().unwrap().unwrap(), LONG);
        assert!(receiver.is_empty());
        sender.try_send(b"whole").unwrap();
        assert_eq!(receiver.try_recv().unwrap(), b"whole");
        drop((sender_ends, receiver_ends));
    }
}

#[test]
fn a_task_whose_thread_ended_in_the_middle_of_a_long_message_may_lose_its_side() {
    let (sender, receiver) = of(100, false);
    let (sender, receiver) = (Arc::new(sender), Arc::new(receiver));
    let sending = Arc::clone(&sender);
    let sending = async move { sending.send_async(&LONG).await };
    let (sending, _sender_ends) = poll_elsewhere(Box::pin(sending), true);
    // The side is anybody's.
    assert_eq!(sender.try_send(b"between"), Err(TrySendError::Full));
    let received = thread::spawn({
        let receiver = Arc::clone(&receiver);
        move || receiver.recv()
    });
    block_on(sending).unwrap();
    assert_eq!(received.join().unwrap().unwrap(), LONG);

    let receiving = Arc::clone(&receiver);
    let sending = Arc::clone(&sender);
    let mut sending = as_task(async move { sending.send_async(&LONG).await });
    assert!(poll_once(&mut sending, &Arc::default()).is_pending());
    let receiving = async move { receiving.recv_async().await };
    let (receiving, _receiver_ends) = poll_elsewhere(Box::pin(receiving), true);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    // What its owner lost is not unlocked in its name.
    let borrow_first = thread::spawn({
        let receiver = Arc::clone(&receiver);
        move || receiver.recv()
    });
    drop(receiving);
    block_on(&mut sending).unwrap();
    sender.send(b"last").unwrap();
    assert_eq!(borrow_first.join().unwrap().unwrap(), b"last");
    assert_eq!(sender.try_send(b"more"), Ok(()));
}

#[test]
fn values_of_serdes_go_from_task_to_task() {
    let (sender, receiver) = msgpack::channel::<(u32, String)>(1);
    block_on(sender.send_async((1, "warp".into()))).unwrap();
    let count = Arc::<Count>::default();
    let mut sending = as_task(sender.send_async((2, "weft".into())));
    assert!(poll_once(&mut sending, &count).is_pending());
    assert_eq!(block_on(receiver.recv_async()).unwrap(), (1, "warp".into()));
    assert!(count.woken() > 0);
    assert!(matches!(
        poll_once(&mut sending, &count),
        Poll::Ready(Ok(()))
    ));
    receiver.close();
    let refused = block_on(sender.send_async((3, "cloth".into())));
    assert!(matches!(refused, Err(msgpack::SendError::Closed((3, value))) if value == "cloth"));
}

fn news(capacity: u32, back_pressure: bool) -> (broadcast::Sender, broadcast::Receiver) {
    broadcast::channel(broadcast::Options {
        capacity,
        ring_size: 1 << 12,
        back_pressure,
    })
}

#[test]
fn every_task_receives_the_news() {
    const COUNT: u32 = 1_000;
    let (sender, receiver) = news(2, true);
    thread::scope(|scope| {
        for who in 0..4 {
            let mut receiver = receiver.try_clone().unwrap();
            scope.spawn(move || {
                let mut next = [0; 2];
                loop {
                    let received = if who % 2 == 0 {
                        block_on(receiver.recv_async())
                    } else {
                        receiver.recv()
                    };
                    let Ok(bytes) = received else { break };
                    let number = number_of(&bytes);
                    let next = &mut next[(number / COUNT) as usize];
                    assert_eq!(number % COUNT, *next);
                    *next += 1;
                }
                assert_eq!(next, [COUNT; 2]);
            });
        }
        drop(receiver);
        let other = sender.clone();
        scope.spawn(move || (0..COUNT).for_each(|n| other.send(&message(n)).unwrap()));
        scope.spawn(move || {
            (COUNT..2 * COUNT).for_each(|n| block_on(sender.send_async(&message(n))).unwrap());
        });
    });
}

#[test]
fn news_wait_for_tasks_that_are_slow_or_overtake_them() {
    let count = Arc::<Count>::default();
    let (sender, mut receiver) = news(1, true);
    block_on(sender.send_async(b"one")).unwrap();
    let mut sending = as_task(sender.send_async(b"two"));
    assert!(poll_once(&mut sending, &count).is_pending());
    assert_eq!(block_on(receiver.recv_async()).unwrap(), b"one");
    assert_eq!(count.woken(), 1);
    assert_eq!(poll_once(&mut sending, &count), Poll::Ready(Ok(())));
    // One that goes has sent nothing.
    let mut gone = as_task(sender.send_async(b"three"));
    assert!(poll_once(&mut gone, &count).is_pending());
    drop(gone);
    assert_eq!(block_on(receiver.recv_async()).unwrap(), b"two");
    let mut gone = as_task(receiver.recv_async());
    assert!(poll_once(&mut gone, &count).is_pending());
    sender.try_send(b"four").unwrap();
    drop(gone);
    assert_eq!(block_on(receiver.recv_async()).unwrap(), b"four");
    let mut last = as_task(receiver.recv_async());
    assert!(poll_once(&mut last, &count).is_pending());
    drop(sending);
    drop(sender);
    let closed = broadcast::RecvError::Closed;
    assert_eq!(poll_once(&mut last, &count), Poll::Ready(Err(closed)));

    let (sender, mut receiver) = news(1, false);
    sender.send(b"one").unwrap();
    sender.send(b"two").unwrap();
    let lagged = broadcast::RecvError::Lagged(1);
    assert_eq!(block_on(receiver.recv_async()), Err(lagged));
    assert_eq!(block_on(receiver.recv_async()).unwrap(), b"two");
    let too_long = block_on(sender.send_async(&[0; 1 << 12]));
    assert!(matches!(too_long, Err(SendError::TooLong(_))));
}

#[test]
fn tasks_follow_a_value() {
    let count = Arc::<Count>::default();
    let (sender, mut receiver) = watch::channel(b"light", 8);
    let mut following = receiver.clone();
    let mut changing = as_task(following.changed_async());
    assert!(poll_once(&mut changing, &count).is_pending());
    block_on(sender.send_async(b"dark")).unwrap();
    assert_eq!(count.woken(), 1);
    assert_eq!(poll_once(&mut changing, &count), Poll::Ready(Ok(())));
    drop(changing);
    assert_eq!(block_on(following.borrow_async()), b"dark");
    assert_eq!(block_on(sender.borrow_async()), b"dark");
    assert!(!following.has_changed() && receiver.has_changed());
    assert_eq!(block_on(receiver.borrow_and_update_async()), b"dark");
    assert!(!receiver.has_changed());

    // One that goes has seen nothing.
    let mut gone = as_task(receiver.changed_async());
    assert!(poll_once(&mut gone, &count).is_pending());
    sender.send(b"auto").unwrap();
    drop(gone);
    assert_eq!(block_on(receiver.changed_async()), Ok(()));

    // A task waits for who looks at the value.
    let mut sending = as_task(sender.send_async(b"late"));
    following.borrow_with(|_| assert!(poll_once(&mut sending, &count).is_pending()));
    assert_eq!(poll_once(&mut sending, &count), Poll::Ready(Ok(())));
    assert_eq!(following.borrow(), b"late");
    let too_long = block_on(sender.send_async(&[0; 9]));
    assert!(matches!(too_long, Err(SendError::TooLong(_))));

    receiver.mark_unchanged();
    let mut changing = as_task(receiver.changed_async());
    assert!(poll_once(&mut changing, &count).is_pending());
    drop(sending);
    drop(sender);
    assert_eq!(
        poll_once(&mut changing, &count),
        Poll::Ready(Err(RecvError))
    );
}

#[test]
fn many_are_sent_and_received_as_a_task() {
    for (kind, (sender, receiver)) in channels() {
        let messages: Vec<Vec<u8>> = (0..40_u8)
            .map(|n| vec![n; usize::from(n) * 5 % (SHORT_MAX + 20)])
            .collect();
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                block_on(sender.send_many_async(&messages)).unwrap();
                sender.close();
            });
            let mut got = Vec::new();
            let mut buffer = [0; SHORT_MAX + 20];
            loop {
                match block_on(receiver.recv_many_async(3)) {
                    Ok(many) => {
                        assert!((1..=3).contains(&many.len()), "{kind}");
                        got.extend(many);
                    }
                    Err(RecvError) => return got,
                }
                if let Ok(len) = block_on(receiver.recv_into_async(&mut buffer)) {
                    got.push(buffer[..len].to_vec());
                }
            }
        });
        assert_eq!(got, messages, "{kind}");
        let sent = block_on(sender.send_many_async(&messages));
        assert_eq!(sent, Err((0, SendError::Closed)), "{kind}");
        assert_eq!(block_on(receiver.recv_many_async(0)), Ok(Vec::new()));
        assert_eq!(
            block_on(receiver.recv_into_async(&mut [])),
            Err(RecvIntoError::Closed),
            "{kind}"
        );
    }
    let (sender, receiver) = of(3, false);
    sender.send(b"weft").unwrap();
    let too_long = block_on(receiver.recv_into_async(&mut [0; 3]));
    let (len, max) = (4, 3);
    assert_eq!(too_long, Err(RecvIntoError::TooLong(TooLong { len, max })));
    assert_eq!(receiver.recv().unwrap(), b"weft");
}
