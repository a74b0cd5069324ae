//! Waiting for several channels at once.
#![cfg(not(loom))]

mod support;

use futures_executor::block_on;
use heddle_atomics::RawMutex;
use heddle_channel::{
    Receiver, Select, TryRecvError, bounded, broadcast, bytes, bytes::TrySendError,
    layout::broadcast_header, rendezvous, watch,
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use support::Count;

const SOON: Duration = Duration::from_millis(20);

#[test]
fn whatever_is_possible_first_is_told() {
    let (numbers, number) = bounded::<u32>(1);
    let (texts, text) = bytes::channel(bytes::Options::default());
    let mut select = Select::new();
    let on_number = select.recv(&number);
    let on_text = select.recv(&text);
    let on_room = select.send(&numbers);
    assert_eq!(select.try_ready(), Some(on_room));
    numbers.send(1).unwrap();
    assert_eq!(select.ready(), on_number);
    assert_eq!(number.recv(), Ok(1));
    texts.send(b"text").unwrap();
    numbers.send(2).unwrap();
    let ready: Vec<usize> = (0..100).map(|_| select.ready()).collect();
    assert!(
        ready.contains(&on_number) && ready.contains(&on_text),
        "one of them starves"
    );
    assert!(!ready.contains(&on_room));
}

#[test]
fn nothing_is_told_in_time() {
    let (sender, receiver) = bounded::<u32>(1);
    let mut select = Select::new();
    select.recv(&receiver);
    assert_eq!(select.try_ready(), None);
    assert_eq!(select.ready_timeout(SOON), None);
    drop(sender);
    assert_eq!(select.ready_timeout(SOON), Some(0));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn every_message_of_every_channel_is_found() {
    const COUNT: u32 = 3_000;
    const CHANNELS: usize = 3;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..CHANNELS).map(|_| bounded::<u32>(2)).unzip();
    let total: u32 = thread::scope(|scope| {
        for sender in senders {
            scope.spawn(move || (0..COUNT).for_each(|n| sender.send(n).unwrap()));
        }
        let selecting: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut open: Vec<_> = receivers.iter().collect();
                    let mut sum = 0;
                    while !open.is_empty() {
                        let mut select = Select::new();
                        for receiver in &open {
                            select.recv(*receiver);
                        }
                        let ready = select.ready();
                        match open[ready].try_recv() {
                            Ok(n) => sum += n,
                            Err(TryRecvError::Empty) => {}
                            Err(TryRecvError::Closed) => drop(open.swap_remove(ready)),
                        }
                    }
                    sum
                })
            })
            .collect();
        // One that waits for one of the channels alone, beside them.
        let alone = scope.spawn(|| receivers[0].iter().sum::<u32>());
        let selected: u32 = selecting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        selected + alone.join().unwrap()
    });
    assert_eq!(total, CHANNELS as u32 * COUNT * (COUNT - 1) / 2);
}

#[test]
fn room_is_waited_for() {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity: 8,
        ring_size: 256,
        ..bytes::Options::default()
    });
    sender.send(&[0; 120]).unwrap();
    sender.send(&[0; 60]).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut select = Select::new();
            select.send_len(&sender, 120);
            select.ready();
            sender.try_send(&[1; 120])
        });
        thread::sleep(SOON);
        assert_eq!(receiver.recv().unwrap().len(), 120);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

/// A future that may move, with the waker that counts.
fn poll_once<F: Future>(future: &mut Pin<Box<F>>, count: &Arc<Count>) -> Poll<F::Output> {
    support::poll_once(future, count)
}

#[test]
fn a_task_is_told_by_each_of_its_channels() {
    let (numbers, number) = bounded::<u32>(1);
    let (texts, text) = bytes::channel(bytes::Options::default());
    let (hands, hand) = rendezvous::<u8>();
    let mut select = Select::new();
    let on_number = select.recv(&number);
    let on_text = select.recv(&text);
    let on_hand = select.recv(&hand);
    for round in 0..6 {
        let count = Arc::default();
        let mut waiting = Box::pin(select.ready_async());
        assert!(poll_once(&mut waiting, &count).is_pending());
        // A task that looks without having been woken stays where it is.
        assert!(poll_once(&mut waiting, &count).is_pending());
        let mut offering = hands.send_async(7);
        let ready = match round % 3 {
            0 => {
                numbers.send(1).unwrap();
                on_number
            }
            1 => {
                texts.send(b"text").unwrap();
                on_text
            }
            _ => {
                assert!(support::poll_once(&mut offering, &Arc::default()).is_pending());
                on_hand
            }
        };
        assert!(count.woken() > 0);
        assert_eq!(poll_once(&mut waiting, &count), Poll::Ready(ready));
        drop(waiting);
        _ = (number.try_recv(), text.try_recv(), hand.try_recv());
    }
    // What is possible is told without a wait, and so is a channel that is closed.
    drop(texts);
    assert_eq!(block_on(select.ready_async()), on_text);
}

#[test]
fn a_task_waits_for_room() {
    let (sender, receiver) = bounded(1);
    sender.send(1).unwrap();
    let count = Arc::default();
    let mut select = Select::new();
    select.send(&sender);
    let mut waiting = Box::pin(select.ready_async());
    assert!(poll_once(&mut waiting, &count).is_pending());
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(poll_once(&mut waiting, &count), Poll::Ready(0));
    assert_eq!(sender.try_send(2), Ok(()));
}

/// Who tells somebody tells all while a select is counted: one that goes keeps nothing from those who stay.
#[test]
fn a_task_that_goes_keeps_no_wake_up_from_others() {
    let (sender, receiver) = bounded(1);
    let (first, second, third) = (Arc::default(), Arc::default(), Arc::default());
    let (mut selecting, mut staying) = (Select::new(), Select::new());
    selecting.recv(&receiver);
    staying.recv(&receiver);
    let mut gone = Box::pin(selecting.ready_async());
    let mut stays = Box::pin(staying.ready_async());
    let mut receiving = receiver.recv_async();
    assert!(poll_once(&mut gone, &first).is_pending());
    assert!(poll_once(&mut stays, &second).is_pending());
    assert!(support::poll_once(&mut receiving, &third).is_pending());
    sender.try_send(1).unwrap();
    drop(gone);
    assert!(second.woken() > 0 && third.woken() > 0);
    assert_eq!(poll_once(&mut stays, &second), Poll::Ready(0));
    assert_eq!(
        support::poll_once(&mut receiving, &third),
        Poll::Ready(Ok(1))
    );
    drop(stays);
    // Nobody is left there: what comes now wakes nobody.
    let woken = (first.woken(), second.woken());
    sender.try_send(2).unwrap();
    assert_eq!((first.woken(), second.woken()), woken);
}

/// A rendezvous told its selects under its lock, which the waker of a task may want itself.
#[test]
fn a_waker_may_use_the_channel() {
    struct Taking {
        receiver: Receiver<u8>,
        taken: Mutex<Option<u8>>,
    }
    impl Wake for Taking {
        fn wake(self: Arc<Self>) {
            if let Ok(value) = self.receiver.try_recv() {
                *self.taken.lock().unwrap() = Some(value);
            }
        }
    }
    let (sender, receiver) = rendezvous();
    let taking = Arc::new(Taking {
        receiver: receiver.clone(),
        taken: Mutex::new(None),
    });
    let waker = Waker::from(Arc::clone(&taking));
    let mut select = Select::new();
    select.recv(&receiver);
    let mut waiting = Box::pin(select.ready_async());
    let polled = waiting.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let mut sending = sender.send_async(7);
    let _polled = support::poll_once(&mut sending, &Arc::default());
    assert_eq!(*taking.taken.lock().unwrap(), Some(7));
    assert!(support::poll_once(&mut sending, &Arc::default()).is_ready());
}

#[test]
fn tasks_and_threads_select_beside_each_other() {
    const COUNT: u32 = 1_000;
    const CHANNELS: usize = 3;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..CHANNELS).map(|_| bounded::<u32>(2)).unzip();
    let total: u32 = thread::scope(|scope| {
        for sender in senders {
            scope.spawn(move || (0..COUNT).for_each(|n| sender.send(n).unwrap()));
        }
        // More than a channel has places for.
        let selecting: Vec<_> = (0..10)
            .map(|who| {
                let receivers = &receivers;
                scope.spawn(move || {
                    let mut open: Vec<_> = receivers.iter().collect();
                    let mut sum = 0;
                    while !open.is_empty() {
                        let mut select = Select::new();
                        for receiver in &open {
                            select.recv(*receiver);
                        }
                        let ready = if who % 5 == 0 {
                            block_on(select.ready_async())
                        } else {
                            select.ready()
                        };
                        match open[ready].try_recv() {
                            Ok(n) => sum += n,
                            Err(TryRecvError::Empty) => {}
                            Err(TryRecvError::Closed) => drop(open.swap_remove(ready)),
                        }
                    }
                    sum
                })
            })
            .collect();
        selecting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(total, CHANNELS as u32 * COUNT * (COUNT - 1) / 2);
}

#[test]
fn news_and_states_are_waited_for_beside_work() {
    let (_jobs, job) = bounded::<u32>(1);
    let (news, mut one) = broadcast::channel(broadcast::Options {
        capacity: 2,
        ..Default::default()
    });
    let (states, mut state) = watch::channel(b"light", 64);
    for is_task in [false, true] {
        let wait = |news: &broadcast::Receiver, state: &watch::Receiver| {
            let mut select = Select::new();
            select.recv(&job);
            select.recv(news);
            select.recv(state);
            if is_task {
                block_on(select.ready_async())
            } else {
                select.ready()
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SOON);
                news.send(b"news").unwrap();
            });
            assert_eq!(wait(&one, &state), 1);
        });
        assert_eq!(one.try_recv().unwrap(), b"news");
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SOON);
                states.send(b"dark").unwrap();
            });
            assert_eq!(wait(&one, &state), 2);
        });
        assert_eq!(state.borrow_and_update(), b"dark");
        // Who lags is told so by the operation, which is possible.
        (0..4).for_each(|_| news.send(b"more").unwrap());
        assert_eq!(wait(&one, &state), 1);
        assert_eq!(one.try_recv(), Err(broadcast::TryRecvError::Lagged(2)));
        (0..2).for_each(|_| assert_eq!(one.try_recv().unwrap(), b"more"));
        let mut select = Select::new();
        select.recv(&one);
        select.recv(&state);
        assert_eq!(select.try_ready(), None);
    }
    drop(news);
    drop(states);
    let mut select = Select::new();
    select.recv(&state);
    assert_eq!(select.ready_timeout(SOON), Some(0));
    let mut select = Select::new();
    select.recv(&one);
    assert_eq!(select.ready_timeout(SOON), Some(0));
}

fn with_back_pressure(capacity: u32, ring_size: u32) -> (broadcast::Sender, broadcast::Receiver) {
    broadcast::channel(broadcast::Options {
        capacity,
        ring_size,
        back_pressure: true,
    })
}

/// Whether a select finds room for a message of `len` bytes.
fn has_room(sender: &broadcast::Sender, len: usize) -> bool {
    let mut select = Select::new();
    select.send_len(sender, len);
    select.try_ready().is_some()
}

#[test]
fn a_broadcast_has_room_where_sending_would_not_wait() {
    // Full of messages.
    let (sender, mut receiver) = with_back_pressure(2, 1024);
    let mut slow = receiver.try_clone().unwrap();
    for _ in 0..2 {
        assert!(has_room(&sender, 0));
        sender.send(b"news").unwrap();
    }
    assert!(!has_room(&sender, 0));
    receiver.recv().unwrap();
    // One has received it, and the slowest one not.
    assert!(!has_room(&sender, 0));
    slow.recv().unwrap();
    assert!(has_room(&sender, sender.max_message_len()));
    // A look gives up nothing that is kept: it can still be received by whoever begins there.
    // SAFETY: the channel lives as long as its ends.
    let begun = unsafe { broadcast::Receiver::open(sender.address(), Some(0)) };
    assert_eq!(begun.unwrap().recv().unwrap(), b"news");

    // Full of bytes: the ring has 256, of which each message takes 16 and its own.
    let (sender, mut receiver) = with_back_pressure(99, 256);
    for len in [100, 40, 30] {
        sender.send(&vec![7; len]).unwrap();
    }
    for len in [0, 1, 8, 9, 112] {
        let is_room = has_room(&sender, len);
        let sent = sender.try_send(&vec![0; len]);
        assert_eq!(is_room, sent.is_ok(), "{len} bytes");
    }
    assert_eq!(receiver.recv().unwrap().len(), 100);
    assert!(has_room(&sender, 100));

    // Nobody is waited for.
    let (sender, _receiver) = broadcast::channel(broadcast::Options {
        capacity: 1,
        ..Default::default()
    });
    sender.send(b"one").unwrap();
    assert!(has_room(&sender, 3));
    // The operation tells that the channel is closed.
    let (sender, receiver) = with_back_pressure(1, 64);
    sender.send(b"one").unwrap();
    assert!(!has_room(&sender, 3));
    drop(receiver);
    assert!(has_room(&sender, 3));
    assert_eq!(sender.try_send(b"two"), Err(TrySendError::Closed));
}

#[test]
#[should_panic(expected = "in one piece")]
fn a_broadcast_has_no_room_for_what_it_never_takes() {
    let (sender, _receiver) = with_back_pressure(1, 64);
    Select::new().send_len(&sender, sender.max_message_len() + 1);
}

/// Selects to send into a full broadcast beside a channel from which nothing comes, until `wake` is called.
fn waits_for_room(
    is_task: bool,
    wake: impl FnOnce(broadcast::Receiver),
) -> Result<(), TrySendError> {
    let (_jobs, job) = bounded::<u32>(1);
    let (sender, receiver) = with_back_pressure(1, 256);
    sender.send(b"first").unwrap();
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut select = Select::new();
            select.recv(&job);
            let on_room = select.send_len(&sender, 6);
            let ready = match is_task {
                true => block_on(select.ready_async()),
                false => select.ready(),
            };
            assert_eq!(ready, on_room);
            sender.try_send(b"second")
        });
        // It looks, and sleeps then.
        thread::sleep(SOON);
        assert!(!sending.is_finished());
        wake(receiver);
        sending.join().unwrap()
    })
}

#[test]
fn a_select_that_sends_news_is_woken_by_who_receives_or_goes() {
    for is_task in [false, true] {
        let mut kept = None;
        let sent = waits_for_room(is_task, |mut receiver| {
            assert_eq!(receiver.recv().unwrap(), b"first");
            kept = Some(receiver);
        });
        assert_eq!(sent, Ok(()));
        assert_eq!(kept.unwrap().try_recv().unwrap(), b"second");

        let mut kept = None;
        let sent = waits_for_room(is_task, |mut receiver| {
            assert_eq!(block_on(receiver.recv_async()).unwrap(), b"first");
            kept = Some(receiver);
        });
        assert_eq!(sent, Ok(()));

        // The slowest goes, and another stays.
        let mut kept = None;
        let sent = waits_for_room(is_task, |receiver| {
            let mut other = receiver.try_clone().unwrap();
            assert_eq!(other.recv().unwrap(), b"first");
            kept = Some(other);
            drop(receiver);
        });
        assert_eq!(sent, Ok(()));

        assert_eq!(waits_for_room(is_task, drop), Err(TrySendError::Closed));
        let closed = waits_for_room(is_task, |receiver| receiver.close());
        assert_eq!(closed, Err(TrySendError::Closed));
    }
}

/// A look that waited for the lock could do so when its thread is already known to sleep elsewhere.
#[test]
fn a_select_waits_for_nobody_who_sends_news() {
    let (sender, mut receiver) = with_back_pressure(1, 256);
    sender.send(b"first").unwrap();
    // SAFETY: the lock of the channel, whose record lives as long as its ends.
    let lock = unsafe {
        let lock = sender.address().add(broadcast_header::LOCK);
        lock.cast::<RawMutex>().as_ref()
    };
    assert!(!has_room(&sender, 0));
    _ = lock.lock();
    // Who has it may make room and tell nobody.
    assert!(has_room(&sender, 0));
    // SAFETY: taken above.
    unsafe { lock.unlock() };
    assert!(!has_room(&sender, 0));
    // Whoever had it died: the look makes the channel whole again.
    lock.poison();
    assert!(!has_room(&sender, 0));
    assert!(!lock.is_poisoned());
    assert_eq!(receiver.recv().unwrap(), b"first");
}

#[test]
fn whoever_selects_to_send_news_is_served() {
    const COUNT: u32 = 500;
    const SENDERS: u32 = 8;
    for (capacity, ring_size) in [(1, 256), (4, 256), (1024, 512)] {
        let (sender, receiver) = with_back_pressure(capacity, ring_size);
        let received: Vec<Vec<Vec<u8>>> = thread::scope(|scope| {
            let receivers: Vec<_> = [receiver.try_clone().unwrap(), receiver]
                .into_iter()
                .map(|mut receiver| {
                    scope.spawn(move || std::iter::from_fn(|| receiver.recv().ok()).collect())
                })
                .collect();
            // More than a channel has places for, and one that sends without a select.
            for who in 0..SENDERS {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in 0..COUNT {
                        let message = vec![who as u8; 1 + n as usize % 90];
                        if who == 0 {
                            sender.send(&message).unwrap();
                            continue;
                        }
                        while let Err(error) = sender.try_send(&message) {
                            assert_eq!(error, TrySendError::Full);
                            let mut select = Select::new();
                            select.send_len(&sender, message.len());
                            match who % 3 {
                                0 => block_on(select.ready_async()),
                                _ => select.ready(),
                            };
                        }
                    }
                });
            }
            drop(sender);
            let joined = receivers.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert!(received[0] == received[1], "in two orders");
        for who in 0..SENDERS as u8 {
            let of_one = received[0].iter().filter(|message| message[0] == who);
            let lengths = of_one.map(Vec::len);
            assert!(lengths.eq((0..COUNT as usize).map(|n| 1 + n % 90)));
        }
    }
}

#[test]
fn a_select_goes_to_other_threads_as_a_task() {
    fn is_send(_: impl Send) {}
    // Its values don't, and stay where they are.
    let (_sender, receiver) = bounded::<std::rc::Rc<u8>>(1);
    let mut select = Select::new();
    select.recv(&receiver);
    is_send(select.ready_async());
}

/// A receiver that came to wait in a rendezvous of bytes told nobody, so a select that waited to send slept on.
#[test]
fn a_receiver_that_comes_to_a_rendezvous_of_bytes_is_what_a_select_waits_for() {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity: 0,
        ..bytes::Options::default()
    });
    let (_stops, stop) = bounded::<()>(1);
    let sends = |message: &[u8]| {
        loop {
            let mut select = Select::new();
            select.recv(&stop);
            let to_send = select.send(&sender);
            assert_eq!(select.ready(), to_send);
            if sender.try_send(message).is_ok() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for message in [b"blocks", b"awaits"] {
            let receiver = &receiver;
            let sending = scope.spawn(move || sends(message));
            // It looks once, and sleeps then; if it is late, the receiver is there first.
            thread::sleep(SOON);
            let received = match message {
                b"blocks" => receiver.recv(),
                _ => block_on(receiver.recv_async()),
            };
            assert_eq!(received.unwrap(), message);
            sending.join().unwrap();
        }
    });
}
