//! `bounded` on real threads.
#![cfg(not(loom))]

use heddle_channel::{
    RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, bounded,
};
use std::{sync::Arc, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn every_value_arrives_once_and_in_its_senders_order() {
    const SENDERS: u32 = 3;
    const RECEIVERS: usize = 3;
    const COUNT: u32 = 5_000;
    for capacity in [1, 2, 3, 64] {
        let (sender, receiver) = bounded::<(u32, u32)>(capacity);
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
                assert!(
                    n >= next[who as usize],
                    "out of order with capacity {capacity}"
                );
                next[who as usize] = n + 1;
            }
        }
        let mut all: Vec<_> = received.into_iter().flatten().collect();
        all.sort_unstable();
        let expected: Vec<_> = (0..SENDERS)
            .flat_map(|who| (0..COUNT).map(move |n| (who, n)))
            .collect();
        assert!(
            all == expected,
            "lost or duplicated with capacity {capacity}"
        );
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
    let (sender, receiver) = bounded(1);
    sender.send(0).unwrap();
    thread::scope(|scope| {
        let blocked: Vec<_> = (0..2).map(|_| scope.spawn(|| sender.send(1))).collect();
        thread::sleep(SOON);
        receiver.close();
        for sender in blocked {
            assert!(sender.join().unwrap().is_err());
        }
    });
    let (sender, receiver) = bounded::<u8>(1);
    thread::scope(|scope| {
        let blocked: Vec<_> = (0..2).map(|_| scope.spawn(|| receiver.recv())).collect();
        thread::sleep(SOON);
        drop(sender);
        for receiver in blocked {
            assert_eq!(receiver.join().unwrap(), Err(RecvError));
        }
    });
}

#[test]
fn values_left_behind_are_dropped() {
    let value = Arc::new(());
    let (sender, receiver) = bounded(4);
    for _ in 0..3 {
        sender.send(Arc::clone(&value)).unwrap();
    }
    drop(receiver.recv().unwrap());
    drop((sender, receiver));
    assert_eq!(Arc::strong_count(&value), 1);
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
fn a_capacity_of_zero_is_refused() {
    let _ends = bounded::<u8>(0);
}
