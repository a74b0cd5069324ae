//! Channels of values with tasks at their ends, beside threads.
#![cfg(not(loom))]

mod support;

use futures_executor::block_on;
use heddle_channel::{
    Receiver, RecvError, RecvFuture, SendError, Sender, TryRecvError, bounded, rendezvous,
    unbounded,
};
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread,
};
use support::poll_once;

type Ends<T> = (Sender<T>, Receiver<T>);

/// A channel of each kind.
fn channels<T>() -> Vec<(&'static str, Ends<T>)> {
    vec![
        ("bounded(1)", bounded(1)),
        ("bounded(3)", bounded(3)),
        ("unbounded(100)", unbounded(100)),
        ("rendezvous()", rendezvous()),
    ]
}

#[test]
fn tasks_and_threads_mix_at_both_ends() {
    const COUNT: u64 = 2_000;
    for (kind, (sender, receiver)) in channels::<u64>() {
        let total: u64 = thread::scope(|scope| {
            for who in 0..4_u64 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in (0..COUNT).map(|n| who * COUNT + n) {
                        if who % 2 == 0 {
                            block_on(sender.send_async(n)).unwrap();
                        } else {
                            sender.send(n).unwrap();
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
                        loop {
                            let received = if who % 2 == 0 {
                                block_on(receiver.recv_async())
                            } else {
                                receiver.recv()
                            };
                            match received {
                                Ok(n) => sum += n,
                                Err(RecvError) => return sum,
                            }
                        }
                    })
                })
                .collect();
            receivers
                .into_iter()
                .map(|receiver| receiver.join().unwrap())
                .sum()
        });
        assert_eq!(total, (0..4 * COUNT).sum::<u64>(), "{kind}");
    }
}

#[test]
fn a_task_is_woken_once_for_what_it_waits_for() {
    for (kind, (sender, receiver)) in channels() {
        let count = Arc::default();
        let mut future = receiver.recv_async();
        assert!(poll_once(&mut future, &count).is_pending(), "{kind}");
        // A task that looks without having been woken stays where it is.
        assert!(poll_once(&mut future, &count).is_pending(), "{kind}");
        sender.try_send(1).unwrap();
        assert_eq!(count.woken(), 1, "{kind}");
        assert_eq!(poll_once(&mut future, &count), Poll::Ready(Ok(1)), "{kind}");
    }
}

#[test]
fn closing_wakes_tasks_and_gives_values_back() {
    for (kind, (sender, receiver)) in channels() {
        while sender.try_send(0).is_ok() {}
        let count = Arc::default();
        let mut sending = sender.send_async(7);
        assert!(poll_once(&mut sending, &count).is_pending(), "{kind}");
        receiver.close();
        assert_eq!(count.woken(), 1, "{kind}");
        let refused = poll_once(&mut sending, &count);
        assert!(matches!(refused, Poll::Ready(Err(SendError(7)))), "{kind}");

        let (sender, receiver) = bounded::<u8>(1);
        let mut receiving = receiver.recv_async();
        assert!(poll_once(&mut receiving, &count).is_pending());
        drop(sender);
        assert_eq!(
            poll_once(&mut receiving, &count),
            Poll::Ready(Err(RecvError))
        );
    }
}

#[test]
fn a_task_that_goes_swallows_neither_a_value_nor_a_wake() {
    for (kind, (sender, receiver)) in channels() {
        let (first, second) = (Arc::default(), Arc::default());
        let mut gone = receiver.recv_async();
        let mut staying = receiver.recv_async();
        assert!(poll_once(&mut gone, &first).is_pending(), "{kind}");
        assert!(poll_once(&mut staying, &second).is_pending(), "{kind}");
        sender.try_send(1).unwrap();
        assert_eq!((first.woken(), second.woken()), (1, 0), "{kind}");
        drop(gone);
        assert_eq!(second.woken(), 1, "{kind}");
        assert_eq!(
            poll_once(&mut staying, &second),
            Poll::Ready(Ok(1)),
            "{kind}"
        );

        // Nobody else waits: the value is there for who comes.
        let mut gone = receiver.recv_async();
        assert!(poll_once(&mut gone, &first).is_pending(), "{kind}");
        sender.try_send(2).unwrap();
        drop(gone);
        sender.close();
        assert_eq!(receiver.try_recv(), Ok(2), "{kind}");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed), "{kind}");
    }
}

/// In a rendezvous a task that had been handed a value and was dropped put it back, after the sender's next value had gone to another.
#[test]
fn what_a_task_that_goes_was_told_of_is_not_overtaken() {
    for (kind, (sender, receiver)) in channels() {
        let (first, second) = (Arc::default(), Arc::default());
        let mut gone = receiver.recv_async();
        let mut staying = receiver.recv_async();
        assert!(poll_once(&mut gone, &first).is_pending(), "{kind}");
        assert!(poll_once(&mut staying, &second).is_pending(), "{kind}");
        sender.try_send(1).unwrap();
        let is_second_sent = sender.try_send(2).is_ok();
        drop(gone);
        assert_eq!(
            poll_once(&mut staying, &second),
            Poll::Ready(Ok(1)),
            "{kind}"
        );
        if !is_second_sent {
            assert_eq!((kind, sender.try_send(2)), ("bounded(1)", Ok(())));
        }
        assert_eq!(receiver.try_recv(), Ok(2), "{kind}");
    }
}

#[test]
fn a_send_to_a_task_that_goes_waits_on() {
    let (sender, receiver) = rendezvous();
    let count = Arc::default();
    let mut gone = receiver.recv_async();
    assert!(poll_once(&mut gone, &count).is_pending());
    let mut sending = sender.send_async(1);
    assert!(poll_once(&mut sending, &Arc::default()).is_pending());
    assert_eq!(count.woken(), 1);
    drop(gone);
    // Nobody has it, so it can be taken back.
    drop(sending);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));

    // Who is faster than a task that was told leaves it where it was.
    let mut slow = receiver.recv_async();
    assert!(poll_once(&mut slow, &count).is_pending());
    sender.try_send(2).unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));
    assert!(poll_once(&mut slow, &count).is_pending());
    sender.try_send(3).unwrap();
    assert_eq!(count.woken(), 3);
    assert_eq!(poll_once(&mut slow, &count), Poll::Ready(Ok(3)));
}

#[test]
fn a_send_that_goes_has_sent_nothing() {
    for (kind, (sender, receiver)) in channels() {
        let value = Arc::new(());
        let mut sent = 0;
        while sender.try_send(Arc::clone(&value)).is_ok() {
            sent += 1;
        }
        let count = Arc::default();
        let mut gone = sender.send_async(Arc::clone(&value));
        assert!(poll_once(&mut gone, &count).is_pending(), "{kind}");
        drop(gone);
        assert_eq!(receiver.try_iter().count(), sent, "{kind}");
        assert_eq!(Arc::strong_count(&value), 1, "{kind}");
    }
}

/// A waker that kept the last reference to a task dropped it under the channel's lock, where the task's own wait for the same channel
/// wanted that lock.
#[test]
fn a_waker_may_drop_another_wait_for_the_channel() {
    struct Keeping {
        _wait: Mutex<Option<RecvFuture<'static, u8>>>,
    }
    impl Wake for Keeping {
        fn wake(self: Arc<Self>) {}
    }
    for (kind, (sender, receiver)) in channels() {
        // The future of the other wait has to live as long as its waker.
        let (sender, receiver) = (Box::leak(Box::new(sender)), &*Box::leak(Box::new(receiver)));
        for end in 0..3 {
            let mut other = receiver.recv_async();
            assert!(
                poll_once(&mut other, &Arc::default()).is_pending(),
                "{kind}"
            );
            let mut waiting = receiver.recv_async();
            let waker = Waker::from(Arc::new(Keeping {
                _wait: Mutex::new(Some(other)),
            }));
            let polled = Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending(), "{kind}");
            // The channel has the last one now.
            drop(waker);
            match end {
                0 => drop(waiting),
                1 => assert!(
                    poll_once(&mut waiting, &Arc::default()).is_pending(),
                    "{kind}"
                ),
                _ => sender.close(),
            }
        }
    }
}
