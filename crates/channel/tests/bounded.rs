//! Channels of values on real threads: those with room, and those without.
#![cfg(not(loom))]

use heddle_channel::{
    Deadline, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError,
    TrySendError, bounded, rendezvous, unbounded,
};
use std::{sync::Arc, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

type Ends<T> = (Sender<T>, Receiver<T>);

/// A channel of each kind.
fn channels<T>() -> Vec<(&'static str, Ends<T>)> {
    vec![
        ("bounded(1)", bounded(1)),
        ("bounded(2)", bounded(2)),
        ("bounded(3)", bounded(3)),
        ("bounded(64)", bounded(64)),
        ("unbounded(1)", unbounded(1)),
        ("unbounded(100)", unbounded(100)),
        ("unbounded(100,000)", unbounded(100_000)),
        ("rendezvous()", rendezvous()),
    ]
}

#[test]
fn every_value_arrives_once_and_in_its_senders_order() {
    const SENDERS: u32 = 3;
    const RECEIVERS: usize = 3;
    const COUNT: u32 = 3_000;
    for (kind, (sender, receiver)) in channels::<(u32, u32)>() {
        let received: Vec<Vec<(u32, u32)>> = thread::scope(|scope| {
            for who in 0..SENDERS {
                let sender = sender.clone();
                scope.spawn(move || (0..COUNT).for_each(|n| sender.send((who, n)).unwrap()));
            }
            drop(sender);
            let receivers: Vec<_> = (0..RECEIVERS)
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
        for values in &received {
            let mut next = [0; SENDERS as usize];
            for &(who, n) in values {
                assert!(n >= next[who as usize], "out of order in {kind}");
                next[who as usize] = n + 1;
            }
        }
        let mut all: Vec<_> = received.into_iter().flatten().collect();
        all.sort_unstable();
        let expected: Vec<_> = (0..SENDERS)
            .flat_map(|who| (0..COUNT).map(move |n| (who, n)))
            .collect();
        assert!(all == expected, "lost or duplicated in {kind}");
    }
}

#[test]
fn a_value_that_is_not_sent_comes_back() {
    let (sender, receiver) = bounded(1);
    sender.send("first".to_owned()).unwrap();
    assert_eq!(
        sender.try_send("second".to_owned()),
        Err(TrySendError::Full("second".to_owned()))
    );
    assert_eq!(
        sender.send_timeout("third".to_owned(), SOON),
        Err(SendTimeoutError::TimedOut("third".to_owned()))
    );
    drop(receiver);
    assert_eq!(sender.send("fourth".to_owned()).unwrap_err().0, "fourth");
    assert_eq!(
        sender.try_send("fifth".to_owned()),
        Err(TrySendError::Closed("fifth".to_owned()))
    );
}

#[test]
fn what_was_sent_before_the_close_is_received() {
    let (sender, receiver) = bounded(4);
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    receiver.close();
    assert!(sender.send(3).is_err());
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(receiver.recv(), Err(RecvError));
}

#[test]
fn an_empty_channel_answers_in_time() {
    let (sender, receiver) = bounded::<u8>(1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::TimedOut));
    drop(sender);
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Closed));
}

#[test]
fn closing_wakes_those_who_wait_on_either_side() {
    for (kind, (sender, receiver)) in channels() {
        while sender.try_send(0).is_ok() {}
        thread::scope(|scope| {
            let blocked: Vec<_> = (0..2).map(|_| scope.spawn(|| sender.send(1))).collect();
            thread::sleep(SOON);
            receiver.close();
            for sender in blocked {
                assert!(sender.join().unwrap().is_err(), "{kind}");
            }
        });
    }
    for (kind, (sender, receiver)) in channels::<u8>() {
        thread::scope(|scope| {
            let blocked: Vec<_> = (0..2).map(|_| scope.spawn(|| receiver.recv())).collect();
            thread::sleep(SOON);
            drop(sender);
            for receiver in blocked {
                assert_eq!(receiver.join().unwrap(), Err(RecvError), "{kind}");
            }
        });
    }
}

#[test]
fn values_left_behind_are_dropped() {
    for (kind, ends) in channels() {
        let value = Arc::new(());
        let mut sent = 0;
        while sent < 1_000 && ends.0.try_send(Arc::clone(&value)).is_ok() {
            sent += 1;
        }
        assert_eq!(ends.1.try_recv().is_ok(), sent > 0);
        drop(ends);
        assert_eq!(Arc::strong_count(&value), 1, "{kind}");
    }
}

#[test]
fn ends_know_their_channel() {
    for (kind, (sender, receiver)) in channels::<u8>() {
        let (other_sender, other_receiver) = bounded(1);
        assert!(sender.same_channel(&sender.clone()), "{kind}");
        assert!(receiver.same_channel(&receiver.clone()), "{kind}");
        assert!(!sender.same_channel(&other_sender), "{kind}");
        assert!(!receiver.same_channel(&other_receiver), "{kind}");
    }
}

#[test]
fn a_channel_with_a_limit_keeps_it_and_goes_on_through_its_segments() {
    let (sender, receiver) = unbounded(1_000);
    assert_eq!((sender.capacity(), sender.is_full()), (1_000, false));
    let mut next = 0;
    for round in 0..20 {
        for n in 0..1_000 {
            sender.try_send(round * 1_000 + n).unwrap();
        }
        assert!(sender.is_full());
        assert!(matches!(sender.try_send(0), Err(TrySendError::Full(0))));
        for value in receiver.try_iter() {
            assert_eq!(value, next);
            next += 1;
        }
    }
    assert_eq!(next, 20_000);
}

#[test]
fn without_room_a_value_goes_from_hand_to_hand() {
    let (sender, receiver) = bounded(0);
    assert_eq!((sender.capacity(), sender.len()), (0, 0));
    assert!(sender.is_full() && sender.is_empty());
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(
        sender.send_timeout(2, SOON),
        Err(SendTimeoutError::TimedOut(2))
    );
    // The value that was given up isn't there any more.
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::TimedOut));
    // Nor is the receiver that was.
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv());
        while sender.try_send(4).is_err() {
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Ok(4));
        let waiting = scope.spawn(|| sender.send(5));
        assert_eq!(receiver.recv(), Ok(5));
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn deadlines_pass() {
    for (kind, (sender, receiver)) in channels() {
        let over = Deadline::after(Duration::ZERO);
        assert_eq!(
            receiver.recv_deadline(over),
            Err(RecvTimeoutError::TimedOut),
            "{kind}"
        );
        while sender.try_send(0).is_ok() {}
        assert_eq!(
            sender.send_deadline(1, over),
            Err(SendTimeoutError::TimedOut(1)),
            "{kind}"
        );
    }
}

#[test]
fn length_and_capacity_are_told() {
    let (sender, receiver) = bounded(3);
    assert_eq!(
        (sender.capacity(), sender.len(), receiver.is_empty()),
        (3, 0, true)
    );
    sender.send(1).unwrap();
    assert_eq!(
        (receiver.capacity(), receiver.len(), sender.is_empty()),
        (3, 1, false)
    );
    sender.send(2).unwrap();
    sender.send(3).unwrap();
    assert!(matches!(sender.try_send(4), Err(TrySendError::Full(4))));
}

#[test]
#[should_panic(expected = "1 to 2^26")]
fn a_limit_of_zero_is_refused() {
    let _ends = unbounded::<u8>(0);
}

#[test]
#[should_panic(expected = "at most 2^26")]
fn a_capacity_beyond_all_memory_is_refused() {
    let _ends = bounded::<u8>(usize::MAX);
}
