//! The channels with more threads and messages than loom can take, and those of bytes, whose record loom can't hold, through random
//! interleavings:
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test -p heddle-channel --test shuttle --release
//! ```
//!
//! `HEDDLE_SEED` takes other interleavings. A lost wake-up is a deadlock, and a message that is lost, torn, doubled or overtaken is told.
//! Beside the models are faults that they must find.
#![cfg(shuttle)]

use heddle_atomics::{
    registry,
    seam::{
        AtomicU64, Ordering,
        check::{check, fails, finds},
        model::{Fault, any},
    },
};
use heddle_channel::{
    Receiver, Select, SendTimeoutError, Sender, ThreadBound, TryRecvError, TrySendError, bounded,
    bytes,
    layout::{END_COUNTS, END_RECEIVERS_SHIFT, channel_header, end_count},
    rendezvous, unbounded,
};
use shuttle::{future::block_on, thread};
use std::{
    mem::ManuallyDrop,
    pin::pin,
    ptr::NonNull,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How long waits with a timeout wait: it ends when the model likes.
const WHILE: Duration = Duration::from_secs(1);

/// How many messages each sender sends.
const MESSAGES: u8 = 4;

/// A thread of the model, in the registry: waits of others look again after a while, which would hide that nobody woke them.
fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(move || {
        registry::enter_new().expect("the model has few threads");
        let result = f();
        registry::leave();
        result
    })
}

/// Who sent a message, and its number there.
type Name = (u8, u8);

/// Checks what each receiver got, in its order: each message once, and those of one sender in the order in which they were sent.
fn assert_all(got: &[Vec<Name>], sent: &[Name]) {
    for own in got {
        for sender in own.iter().map(|name| name.0) {
            let numbers = own.iter().filter(|name| name.0 == sender);
            assert!(
                numbers.is_sorted_by(|a, b| a.1 < b.1),
                "out of order: {own:?}"
            );
        }
    }
    let mut all: Vec<Name> = got.concat();
    all.sort_unstable();
    let mut sent = sent.to_vec();
    sent.sort_unstable();
    assert_eq!(all, sent, "what was received, and what was sent");
}

/// Polls a future once and drops it: a task that changes its mind.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Sends a value in one of the ways there are; `false` if the channel is closed.
fn send(sender: &Sender<Name>, value: Name) -> bool {
    match any(6) {
        0 => match sender.try_send(value) {
            Ok(()) => return true,
            Err(TrySendError::Closed(refused)) => {
                assert_eq!(refused, value);
                return false;
            }
            Err(TrySendError::Full(refused)) => assert_eq!(refused, value),
        },
        1 => match sender.send_timeout(value, WHILE) {
            Ok(()) => return true,
            Err(SendTimeoutError::Closed(_)) => return false,
            Err(SendTimeoutError::TimedOut(refused)) => assert_eq!(refused, value),
        },
        2 => {
            let mut select = Select::new();
            select.send(sender);
            _ = select.ready_timeout(WHILE);
        }
        3 => return block_on(sender.send_async(value)).is_ok(),
        _ => {}
    }
    sender.send(value).is_ok()
}

/// Receives a value in one of the ways there are; `None` if the channel is closed and empty.
fn recv(receiver: &Receiver<Name>) -> Option<Name> {
    match any(7) {
        0 => match receiver.try_recv() {
            Ok(value) => return Some(value),
            Err(TryRecvError::Closed) => return None,
            Err(TryRecvError::Empty) => {}
        },
        1 => {
            if let Ok(value) = receiver.recv_timeout(WHILE) {
                return Some(value);
            }
        }
        2 => {
            let mut select = Select::new();
            select.recv(receiver);
            select.ready();
            if let Ok(value) = receiver.try_recv() {
                return Some(value);
            }
        }
        3 => return block_on(receiver.recv_async()).ok(),
        4 => {
            if let Poll::Ready(result) = poll_once(receiver.recv_async()) {
                return result.ok();
            }
        }
        _ => {}
    }
    receiver.recv().ok()
}

/// Some send and some receive; with `closes`, a receiver closes the channel at some moment, and what was sent until then arrives.
fn values((sender, receiver): (Sender<Name>, Receiver<Name>), counts: (u8, u8), closes: bool) {
    let senders: Vec<_> = (0..counts.0)
        .map(|id| {
            let sender = sender.clone();
            spawn(move || {
                let names = (0..MESSAGES).map(|number| (id, number));
                names
                    .filter(|name| send(&sender, *name))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    drop(sender);
    let receivers: Vec<_> = (0..counts.1)
        .map(|id| {
            let receiver = receiver.clone();
            spawn(move || {
                let mut got = Vec::new();
                while let Some(name) = recv(&receiver) {
                    got.push(name);
                    if closes && id == 0 && got.len() == 2 {
                        receiver.close();
                    }
                }
                got
            })
        })
        .collect();
    drop(receiver);
    let sent: Vec<_> = senders.into_iter().map(|one| one.join().unwrap()).collect();
    let got: Vec<_> = receivers
        .into_iter()
        .map(|one| one.join().unwrap())
        .collect();
    let sent = sent.concat();
    assert!(closes || sent.len() == usize::from(counts.0 * MESSAGES));
    assert_all(&got, &sent);
}

#[test]
fn values_arrive_once_and_in_order() {
    check(200, || values(bounded(1), (3, 2), false));
    check(200, || values(bounded(3), (3, 3), false));
}

/// One who was told before it had fallen asleep and finds that another was faster is told again: the smallest model in which a wake-up
/// that is spared might be one too many.
#[test]
fn whoever_finds_nothing_is_told_again() {
    check(4_000, || {
        let (sender, receiver) = bounded(2);
        let receivers = [(); 2].map(|()| {
            let receiver = receiver.clone();
            spawn(move || receiver.recv().unwrap())
        });
        let sending = spawn(move || (0..2).for_each(|number| sender.send((0, number)).unwrap()));
        let got = receivers.map(|one| vec![one.join().unwrap()]);
        sending.join().unwrap();
        assert_all(&got, &[(0, 0), (0, 1)]);
        drop(receiver);
    });
}

#[test]
fn values_arrive_through_segments() {
    check(200, || values(unbounded(2), (3, 2), false));
    check(200, || values(unbounded(64), (3, 2), false));
}

#[test]
fn values_are_handed_over_in_a_rendezvous() {
    check(200, || values(rendezvous(), (3, 2), false));
}

/// A receiver whose time ran out in a rendezvous let go of the lock before it took back its request. A sender that came between handed
/// it a value, which it put back for the next one; but the sender had gone on, and its second value had overtaken the first. A task
/// that was dropped after it had been handed a value did the same.
#[test]
fn a_receive_that_was_given_up_has_taken_nothing() {
    fn model() {
        let (sender, receiver) = rendezvous();
        let giving_up = receiver.clone();
        let giving_up = spawn(move || match any(2) {
            0 => giving_up.recv_timeout(WHILE).ok(),
            _ => match poll_once(giving_up.recv_async()) {
                Poll::Ready(result) => result.ok(),
                Poll::Pending => None,
            },
        });
        let staying = spawn(move || receiver.iter().collect::<Vec<Name>>());
        let sending = spawn(move || {
            for number in 0..3 {
                let name = (0, number);
                match any(2) {
                    0 if sender.try_send(name).is_ok() => {}
                    _ => sender.send(name).unwrap(),
                }
            }
        });
        sending.join().unwrap();
        let got = [
            Vec::from_iter(giving_up.join().unwrap()),
            staying.join().unwrap(),
        ];
        assert_all(&got, &[(0, 0), (0, 1), (0, 2)]);
    }
    check(2_000, model);
}

/// A task that came to receive in a rendezvous didn't tell the selects that waited to send there, which slept on.
#[test]
fn a_select_that_waits_to_send_is_told_of_a_task() {
    check(300, || {
        let (sender, receiver) = rendezvous();
        let sending = spawn(move || {
            for number in 0..MESSAGES {
                loop {
                    let mut select = Select::new();
                    select.send(&sender);
                    select.ready();
                    match sender.try_send((0, number)) {
                        Ok(()) => break,
                        Err(TrySendError::Full(_)) => {}
                        Err(TrySendError::Closed(_)) => panic!("nobody closes it"),
                    }
                }
            }
        });
        let receiving = spawn(move || {
            (0..MESSAGES)
                .map(|_| block_on(receiver.recv_async()).unwrap())
                .collect()
        });
        sending.join().unwrap();
        let sent: Vec<_> = (0..MESSAGES).map(|number| (0, number)).collect();
        assert_all(&[receiving.join().unwrap()], &sent);
    });
}

#[test]
fn what_was_sent_before_a_close_arrives_and_the_rest_is_refused() {
    check(200, || values(bounded(2), (3, 2), true));
    check(200, || values(unbounded(64), (3, 2), true));
    check(200, || values(rendezvous(), (3, 2), true));
}

#[test]
fn a_wake_up_of_a_channel_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || {
        values(bounded(1), (3, 2), false);
    });
    finds(Fault::LoseWake, "deadlock", 400, || {
        values(unbounded(64), (3, 2), false);
    });
    finds(Fault::LoseWake, "deadlock", 400, || {
        values(rendezvous(), (3, 2), false);
    });
}

#[test]
fn a_torn_step_of_a_channel_is_found() {
    finds(Fault::TornExchange, "", 400, || {
        values(bounded(1), (3, 2), false)
    });
    finds(Fault::TornExchange, "", 400, || {
        values(unbounded(64), (3, 2), false)
    });
    finds(Fault::TornExchange, "", 400, || {
        values(rendezvous(), (3, 2), false)
    });
}

#[test]
fn a_close_that_wakes_one_is_found() {
    finds(Fault::WakeOne, "deadlock", 1000, || {
        values(bounded(1), (2, 4), false)
    });
}

/// Two receivers select among three channels, beside one that has one of them alone.
fn selects() {
    let channels: Vec<_> = (0..3).map(|_| bounded::<Name>(1)).collect();
    let senders: Vec<_> = (0..)
        .zip(&channels)
        .map(|(id, (sender, _))| {
            let sender = sender.clone();
            spawn(move || (0..MESSAGES).for_each(|number| sender.send((id, number)).unwrap()))
        })
        .collect();
    let receivers: Vec<Receiver<Name>> = channels.iter().map(|(_, end)| end.clone()).collect();
    drop(channels);
    let alone = receivers[0].clone();
    let alone = spawn(move || alone.recv().into_iter().collect::<Vec<_>>());
    let selecting = (0..2).map(|_| {
        let mut receivers = receivers.clone();
        spawn(move || {
            let mut got = Vec::new();
            while !receivers.is_empty() {
                let mut select = Select::new();
                for receiver in &receivers {
                    select.recv(receiver);
                }
                let ready = if any(3) == 0 {
                    select.ready_timeout(WHILE)
                } else {
                    Some(select.ready())
                };
                drop(select);
                let Some(index) = ready else { continue };
                match receivers[index].try_recv() {
                    Ok(name) => got.push(name),
                    Err(TryRecvError::Closed) => drop(receivers.remove(index)),
                    Err(TryRecvError::Empty) => {}
                }
            }
            got
        })
    });
    let threads: Vec<_> = selecting.chain([alone]).collect();
    drop(receivers);
    for sender in senders {
        sender.join().unwrap();
    }
    let got: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let sent: Vec<_> = (0..3)
        .flat_map(|id| (0..MESSAGES).map(move |number| (id, number)))
        .collect();
    assert_all(&got, &sent);
}

#[test]
fn selects_miss_nothing() {
    check(300, selects);
}

#[test]
fn a_wake_up_of_a_select_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, selects);
}

/// Tasks select between a channel of values, one of bytes and a rendezvous, beside a thread that selects and one that receives alone; one
/// of the tasks changes its mind at times.
fn selecting_tasks() {
    let (values, value) = bounded::<Name>(1);
    let (hands, hand) = rendezvous::<Name>();
    let (texts, text) = bytes::channel(bytes::Options {
        capacity: 2,
        ring_size: 64,
        is_compact: false,
    });
    let senders = [
        spawn(move || (0..MESSAGES).for_each(|number| values.send((0, number)).unwrap())),
        spawn(move || (0..MESSAGES).for_each(|number| hands.send((1, number)).unwrap())),
        spawn(move || {
            for number in 0..MESSAGES {
                texts.send(&message((2, number), SHORT_MAX)).unwrap();
            }
        }),
    ];
    let alone = value.clone();
    let alone = spawn(move || alone.recv().into_iter().collect::<Vec<_>>());
    let selecting = (0..3).map(|who| {
        let (value, hand, text) = (value.clone(), hand.clone(), text.clone());
        spawn(move || {
            let mut got = Vec::new();
            let mut are_closed = [false; 3];
            while are_closed.contains(&false) {
                let mut select = Select::new();
                let mut indices = Vec::new();
                for index in (0..3).filter(|index| !are_closed[*index]) {
                    match index {
                        0 => select.recv(&value),
                        1 => select.recv(&hand),
                        _ => select.recv(&text),
                    };
                    indices.push(index);
                }
                let ready = match who {
                    0 => select.ready(),
                    1 => block_on(select.ready_async()),
                    _ => match poll_once(select.ready_async()) {
                        Poll::Ready(ready) => ready,
                        Poll::Pending => block_on(select.ready_async()),
                    },
                };
                let index = indices[ready];
                let received = match index {
                    0 => value.try_recv(),
                    1 => hand.try_recv(),
                    _ => text.try_recv().map(|bytes| name_of(&bytes)),
                };
                match received {
                    Ok(name) => got.push(name),
                    Err(TryRecvError::Closed) => are_closed[index] = true,
                    Err(TryRecvError::Empty) => {}
                }
            }
            got
        })
    });
    let threads: Vec<_> = selecting.chain([alone]).collect();
    drop((value, hand, text));
    for sender in senders {
        sender.join().unwrap();
    }
    let got: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let sent: Vec<_> = (0..3)
        .flat_map(|id| (0..MESSAGES).map(move |number| (id, number)))
        .collect();
    assert_all(&got, &sent);
}

#[test]
fn selects_of_tasks_miss_nothing() {
    check(300, selecting_tasks);
}

#[test]
fn a_select_of_a_task_that_falls_asleep_too_late_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, selecting_tasks);
    finds(Fault::LateWait, "deadlock", 400, selecting_tasks);
}

/// A message of so many bytes that says whose it is and can't be taken for another, not even in part.
fn message(name: Name, len: usize) -> Vec<u8> {
    let mut bytes = vec![name.0, name.1];
    bytes.extend((2..len.max(2)).map(|at| (at as u8) ^ (name.0 << 6) ^ (name.1 << 3)));
    bytes
}

#[track_caller]
fn name_of(bytes: &[u8]) -> Name {
    let name = (bytes[0], bytes[1]);
    assert_eq!(bytes, message(name, bytes.len()), "a torn message");
    name
}

/// The longest message of the models' ring of 64 bytes that lies in one piece.
const SHORT_MAX: usize = 24;

/// Sends a message in one of the ways there are; `false` if the channel is closed.
fn send_bytes(sender: &bytes::Sender, name: Name, has_long: bool) -> bool {
    use bytes::{SendError, SendTimeoutError, TrySendError};
    let is_long = has_long && any(3) == 0;
    let len = if is_long {
        30 + any(70)
    } else {
        2 + any(SHORT_MAX as u32 - 1)
    } as usize;
    let message = message(name, len);
    let is_meeting = sender.capacity() == 0;
    match any(8) {
        0 if !is_long => match sender.try_send(&message) {
            Ok(()) => return true,
            Err(TrySendError::Closed) => return false,
            Err(TrySendError::Full) => {}
            Err(TrySendError::TooLong(error)) => panic!("{error}"),
        },
        1 => match sender.send_timeout(&message, WHILE) {
            Ok(()) => return true,
            Err(SendTimeoutError::Closed) => return false,
            Err(SendTimeoutError::TimedOut) => {}
            Err(SendTimeoutError::TooLong(error)) => panic!("{error}"),
        },
        2 if !is_long && !is_meeting => {
            let Ok(mut place) = sender.reserve(SHORT_MAX) else {
                return false;
            };
            // Others go on while the place is written to.
            place[..len].fill(0xff);
            thread::yield_now();
            place[..len].copy_from_slice(&message);
            if any(3) > 0 {
                return place.commit_len(len).is_ok();
            }
            // What is reserved and given up never arrives.
            drop(place);
        }
        3 if !is_long => return sender.send_many(&[&message]).is_ok(),
        4 => return block_on(sender.send_async(&message)).is_ok(),
        // In a rendezvous somebody may have the message of a task that goes in hand.
        5 if !is_meeting => {
            if let Poll::Ready(result) = poll_once(sender.send_async(&message)) {
                return result.is_ok();
            }
        }
        6 if !is_long && !is_meeting => {
            let Ok(mut place) = block_on(sender.reserve_async(len)) else {
                return false;
            };
            place.copy_from_slice(&message);
            return place.commit().is_ok();
        }
        _ => {}
    }
    match sender.send(&message) {
        Ok(()) => true,
        Err(SendError::Closed) => false,
        Err(SendError::TooLong(error)) => panic!("{error}"),
    }
}

/// Receives messages in one of the ways there are; none if the channel is closed and empty.
fn recv_bytes(receiver: &bytes::Receiver, has_long: bool) -> Vec<Name> {
    match any(10) {
        0 => match receiver.try_recv() {
            Ok(bytes) => return vec![name_of(&bytes)],
            Err(TryRecvError::Closed) => return Vec::new(),
            Err(TryRecvError::Empty) => {}
        },
        1 => {
            if let Ok(bytes) = receiver.recv_timeout(WHILE) {
                return vec![name_of(&bytes)];
            }
        }
        2 => {
            let read = receiver.recv_with(|bytes| {
                let name = name_of(bytes);
                // Nobody writes where somebody reads.
                thread::yield_now();
                assert_eq!(name_of(bytes), name);
                name
            });
            return read.into_iter().collect();
        }
        3 => {
            if let Ok(borrow) = receiver.borrow() {
                let name = name_of(&borrow);
                thread::yield_now();
                assert_eq!(name_of(&borrow), name);
                if any(2) == 0 || borrow.len() > SHORT_MAX {
                    return vec![name];
                }
                borrow.keep();
            }
        }
        4 => {
            let several = receiver.recv_many(3).unwrap_or_default();
            return several.iter().map(|bytes| name_of(bytes)).collect();
        }
        5 => {
            let mut select = Select::new();
            select.recv(receiver);
            select.ready();
        }
        6 => {
            let received = block_on(receiver.recv_async());
            return received.iter().map(|bytes| name_of(bytes)).collect();
        }
        7 => {
            let borrow = block_on(receiver.borrow_async());
            return borrow.iter().map(|bytes| name_of(bytes)).collect();
        }
        // A task that goes in the middle of a long message has taken that.
        8 if !has_long => {
            if let Poll::Ready(received) = poll_once(receiver.recv_async()) {
                return received.iter().map(|bytes| name_of(bytes)).collect();
            }
        }
        _ => {}
    }
    receiver.recv().iter().map(|bytes| name_of(bytes)).collect()
}

/// [`values`] for a channel of bytes.
fn byte_messages(capacity: u32, is_compact: bool, has_long: bool, closes: bool) {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity,
        ring_size: 64,
        is_compact,
    });
    let senders: Vec<_> = (0..3)
        .map(|id| {
            let sender = sender.clone();
            spawn(move || {
                let names = (0..MESSAGES).map(|number| (id, number));
                names
                    .filter(|name| send_bytes(&sender, *name, has_long))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    drop(sender);
    let receivers: Vec<_> = (0..2)
        .map(|id| {
            let receiver = receiver.clone();
            spawn(move || {
                let mut got = Vec::new();
                loop {
                    let names = recv_bytes(&receiver, has_long);
                    if names.is_empty() {
                        return got;
                    }
                    got.extend(names);
                    if closes && id == 0 && got.len() >= 2 {
                        receiver.close();
                    }
                }
            })
        })
        .collect();
    drop(receiver);
    let sent: Vec<_> = senders.into_iter().map(|one| one.join().unwrap()).collect();
    let got: Vec<_> = receivers
        .into_iter()
        .map(|one| one.join().unwrap())
        .collect();
    let sent = sent.concat();
    assert!(closes || sent.len() == usize::from(3 * MESSAGES));
    assert_all(&got, &sent);
}

#[test]
fn bytes_arrive_whole_once_and_in_order() {
    check(200, || byte_messages(2, false, false, false));
    check(200, || byte_messages(100, true, false, false));
}

#[test]
fn long_messages_arrive_whole_among_short_ones() {
    check(200, || byte_messages(100, false, true, false));
    check(200, || byte_messages(100, true, true, false));
}

#[test]
fn bytes_are_handed_over_in_a_rendezvous() {
    check(200, || byte_messages(0, false, false, false));
}

/// A task that goes in a rendezvous has sent its message or not; what comes after it arrives.
#[test]
fn a_task_that_goes_in_a_rendezvous_leaves_it_whole() {
    check(400, || {
        let (sender, receiver) = bytes::channel(bytes::Options {
            capacity: 0,
            ring_size: 64,
            is_compact: false,
        });
        let senders: Vec<_> = (0..2)
            .map(|id| {
                let sender = sender.clone();
                spawn(move || {
                    let first = message((id, 0), 2 + any(SHORT_MAX as u32 - 1) as usize);
                    let is_sent = poll_once(sender.send_async(&first)) == Poll::Ready(Ok(()));
                    block_on(sender.send_async(&message((id, 1), 9))).unwrap();
                    is_sent
                })
            })
            .collect();
        drop(sender);
        let mut got: Vec<Name> = Vec::new();
        while let Ok(bytes) = block_on(receiver.recv_async()) {
            got.push(name_of(&bytes));
            let _went = poll_once(receiver.recv_async()).map(|one| {
                got.extend(one.iter().map(|bytes| name_of(bytes)));
            });
        }
        for (id, sender) in (0..2).zip(senders) {
            let is_sent = sender.join().unwrap();
            let own: Vec<_> = got.iter().filter(|name| name.0 == id).collect();
            assert!(
                own == [&(id, 0), &(id, 1)] || !is_sent && own == [&(id, 1)],
                "{own:?}"
            );
        }
    });
}

#[test]
fn bytes_sent_before_a_close_arrive_and_the_rest_is_refused() {
    check(200, || byte_messages(2, false, false, true));
    check(200, || byte_messages(100, true, true, true));
}

#[test]
fn a_wake_up_of_a_channel_of_bytes_that_is_lost_is_found() {
    finds(Fault::LoseWake, "deadlock", 400, || {
        byte_messages(2, false, true, false)
    });
    finds(Fault::LoseWake, "deadlock", 400, || {
        byte_messages(0, false, false, false)
    });
}

#[test]
fn a_torn_step_of_a_channel_of_bytes_is_found() {
    finds(Fault::TornExchange, "", 400, || {
        byte_messages(100, true, true, false)
    });
}

#[test]
fn a_message_that_is_read_after_it_was_let_go_is_found() {
    fails("another message", 1000, || {
        let (sender, receiver) = bytes::channel(bytes::Options {
            capacity: 2,
            ring_size: 64,
            is_compact: false,
        });
        let sender = spawn(move || {
            for number in 0..6 {
                sender.send(&message((0, number), SHORT_MAX)).unwrap();
            }
        });
        while let Ok(borrow) = receiver.borrow() {
            let bytes: *const [u8] = &raw const *borrow;
            let name = name_of(&borrow);
            drop(borrow);
            thread::yield_now();
            // SAFETY: none, for a sender may write there: that is what the model has to find. The ring still stands.
            assert_eq!(name_of(unsafe { &*bytes }), name, "another message");
        }
        sender.join().unwrap();
    });
}

/// A word of a channel's record.
///
/// # Safety
/// There is a `T` at that offset, and the channel lives as long as `sender`.
unsafe fn word_of<T>(sender: &bytes::Sender, offset: usize) -> &T {
    // SAFETY: of the caller.
    unsafe { sender.address().byte_add(offset).cast().as_ref() }
}

fn entry_of(sender: &bytes::Sender, index: usize) -> &AtomicU64 {
    // SAFETY: there are the entries.
    unsafe { word_of(sender, channel_header::ENDS + index * end_count::SIZE) }
}

/// How many entries of the models are free: so few that the ends of the dead make room for others.
const FREE_ENTRIES: usize = 2;

/// Where a channel is.
#[derive(Clone, Copy)]
struct Address(NonNull<u8>);

// SAFETY: a number.
unsafe impl Send for Address {}

impl Address {
    /// One more sender, which dies with its thread.
    ///
    /// # Safety
    /// There is a channel, and it outlives the sender.
    unsafe fn open(self) -> ManuallyDrop<ThreadBound<bytes::Sender>> {
        // SAFETY: of the caller.
        let sender = unsafe { bytes::Sender::open(self.0) }.unwrap();
        let bound = sender.bind_to_thread();
        assert!(ThreadBound::is_bound(&bound), "one of the others is dead");
        ManuallyDrop::new(bound)
    }
}

/// Threads send and die, one after the other and each beside the next, whose sender may be where that of a dead one was. The channel is
/// closed when the last one is dead, and never before.
fn senders_that_die() {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity: 2,
        ring_size: 64,
        is_compact: false,
    });
    registry::enter_new().expect("the model has few threads");
    for index in FREE_ENTRIES..END_COUNTS as usize {
        let mine = u64::from(registry::current().bits()) | 1 << END_RECEIVERS_SHIFT;
        entry_of(&sender, index).store(mine, Ordering::SeqCst);
    }
    let receivers = [(); 2].map(|()| {
        let receiver = receiver.clone();
        spawn(move || {
            let received = core::iter::from_fn(|| receiver.recv().ok());
            received.map(|bytes| name_of(&bytes)).collect::<Vec<_>>()
        })
    });
    let mut first = Some(sender);
    let mut before: Option<thread::JoinHandle<registry::Token>> = None;
    for id in 0..4 {
        let (come, has_come) = std::sync::mpsc::channel();
        let channel = Address(receiver.address());
        let dying = thread::spawn(move || {
            let me = registry::enter_new().expect("the model has few threads");
            // SAFETY: the receiver lives longer, and with it the channel.
            let other = unsafe { channel.open() };
            come.send(()).unwrap();
            for number in 0..2 {
                other.send(&message((id, number), SHORT_MAX)).unwrap();
            }
            me
        });
        while has_come.try_recv().is_err() {
            thread::yield_now();
        }
        drop(first.take());
        if let Some(before) = before.replace(dying) {
            assert!(registry::reap_token(before.join().unwrap()));
        }
    }
    assert!(registry::reap_token(before.unwrap().join().unwrap()));
    let got = receivers.map(|one| one.join().unwrap());
    let names = (0..4).flat_map(|id| (0..2).map(move |number| (id, number)));
    assert_all(&got, &names.collect::<Vec<_>>());
    drop(receiver);
    registry::leave();
}

#[test]
fn the_last_one_to_die_closes_and_nobody_before() {
    check(6_000, senders_that_die);
}

#[test]
fn an_end_that_is_counted_in_two_steps_is_found() {
    finds(Fault::TornExchange, "", 400, senders_that_die);
}
