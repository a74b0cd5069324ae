//! Ends that go with their thread.
#![cfg(not(loom))]

use futures_executor::block_on;
use heddle_atomics::registry::{self, Token};
use heddle_channel::{
    RecvError, Select, ThreadBound, ThreadEnd, TryRecvError, broadcast, bytes, watch,
};
use std::{
    mem,
    sync::{Barrier, mpsc},
    thread,
};

fn channel() -> (bytes::Sender, bytes::Receiver) {
    bytes::channel(bytes::Options::default())
}

/// Runs `work` on a registered thread, which then dies with what it has: no destructor runs.
fn die_with<E: ThreadEnd>(work: impl FnOnce() -> ThreadBound<E> + Send) -> Token {
    thread::scope(|scope| {
        let dying = scope.spawn(|| {
            let me = registry::enter_new().unwrap();
            let bound = work();
            assert!(ThreadBound::is_bound(&bound));
            mem::forget(bound);
            me
        });
        dying.join().unwrap()
    })
}

/// A thread of Rust that trapped, or was terminated, with the last sender left every receiver waiting for ever.
#[test]
fn the_last_sender_goes_with_its_thread() {
    for way in 0..4 {
        let (sender, receiver) = channel();
        let (come, has_come) = mpsc::channel();
        thread::scope(|scope| {
            let receiver = &receiver;
            let waiting = scope.spawn(move || {
                let me = registry::enter_new().unwrap();
                assert_eq!(receiver.recv().unwrap(), b"last words");
                come.send(()).unwrap();
                match way {
                    0 => assert_eq!(receiver.recv(), Err(RecvError)),
                    1 => assert_eq!(block_on(receiver.recv_async()), Err(RecvError)),
                    _ => {
                        let mut select = Select::new();
                        select.recv(receiver);
                        let ready = match way {
                            2 => select.ready(),
                            _ => block_on(select.ready_async()),
                        };
                        assert_eq!(ready, 0);
                    }
                }
                registry::leave();
                registry::release(me);
            });
            let dead = die_with(move || {
                let bound = sender.bind_to_thread();
                bound.send(b"last words").unwrap();
                bound
            });
            has_come.recv().unwrap();
            assert!(!receiver.is_closed());
            assert!(registry::reap_token(dead));
            waiting.join().unwrap();
        });
        assert!(receiver.is_closed());
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    }
}

#[test]
fn the_last_receiver_goes_with_its_thread() {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity: 1,
        ..Default::default()
    });
    sender.send(b"nobody reads it").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let me = registry::enter_new().unwrap();
            let sent = sender.send(b"nor this");
            registry::leave();
            registry::release(me);
            sent
        });
        let dead = die_with(move || receiver.bind_to_thread());
        assert!(registry::reap_token(dead));
        assert_eq!(waiting.join().unwrap(), Err(bytes::SendError::Closed));
    });
}

#[test]
fn the_others_go_on() {
    let (sender, receiver) = channel();
    let other = sender.clone();
    let dead = die_with(move || {
        let bound = sender.bind_to_thread();
        // A clone goes with the thread, too.
        mem::forget(bound.clone());
        bound
    });
    assert!(registry::reap_token(dead));
    other.send(b"still here").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"still here");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(other);
    assert_eq!(receiver.recv(), Err(RecvError));
}

/// On a registered thread of its own.
fn registered(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            registry::enter_new().unwrap();
            work();
            registry::release(registry::leave());
        });
    });
}

#[test]
fn a_bound_end_is_an_end() {
    registered(|| {
        let (sender, receiver) = channel();
        let bound = sender.bind_to_thread();
        let clone = bound.clone();
        assert!(ThreadBound::is_bound(&clone));
        drop(bound);
        clone.send(b"one").unwrap();
        // It may go to others again.
        let sender = ThreadBound::into_inner(clone);
        thread::scope(|scope| {
            scope.spawn(|| sender.send(b"two").unwrap());
        });
        let receiver = receiver.bind_to_thread();
        for expected in [b"one", b"two"] {
            assert_eq!(receiver.recv().unwrap(), expected);
        }
        drop(sender);
        assert_eq!(receiver.recv(), Err(RecvError));

        let (sender, receiver) = channel();
        let bound = receiver.bind_to_thread();
        drop(bound);
        assert_eq!(sender.send(b"late"), Err(bytes::SendError::Closed));
    });
}

#[test]
fn who_finds_no_entry_is_counted_as_before() {
    // Of no registry.
    let (sender, receiver) = channel();
    let bound = sender.bind_to_thread();
    assert!(!ThreadBound::is_bound(&bound));
    drop(bound);
    assert_eq!(receiver.recv(), Err(RecvError));

    // Of one more thread than there are entries.
    let (sender, receiver) = channel();
    let have_bound = Barrier::new(17);
    thread::scope(|scope| {
        let bound: Vec<_> = (0..17)
            .map(|_| {
                let sender = sender.clone();
                let have_bound = &have_bound;
                scope.spawn(move || {
                    registry::enter_new().unwrap();
                    let bound = sender.bind_to_thread();
                    have_bound.wait();
                    let is_bound = ThreadBound::is_bound(&bound);
                    drop(bound);
                    registry::release(registry::leave());
                    is_bound
                })
            })
            .collect();
        let bound = bound.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(bound.filter(|is_bound| *is_bound).count(), 16);
    });
    assert!(!receiver.is_closed());
    drop(sender);
    assert!(receiver.is_closed());
}

#[test]
fn news_and_states_end_with_the_thread_that_has_them() {
    let (sender, mut receiver) = broadcast::channel(broadcast::Options::default());
    let dead = die_with(move || sender.bind_to_thread());
    assert!(registry::reap_token(dead));
    assert_eq!(receiver.recv(), Err(broadcast::RecvError::Closed));

    let (sender, mut receiver) = watch::channel(b"light", 64);
    let dead = die_with(move || sender.bind_to_thread());
    assert!(registry::reap_token(dead));
    assert_eq!(receiver.changed(), Err(RecvError));
}

#[cfg(feature = "msgpack")]
#[test]
fn values_end_with_the_thread_that_sends_them() {
    let (sender, receiver) = heddle_channel::channel::<u32>(4);
    let dead = die_with(move || {
        let bound = sender.bind_to_thread();
        bound.send(7).unwrap();
        bound
    });
    assert!(registry::reap_token(dead));
    let values: Result<Vec<u32>, _> = receiver.iter().collect();
    assert_eq!(values.unwrap(), [7]);
}
