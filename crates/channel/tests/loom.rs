//! The channels under the model checker, which runs each of these with every interleaving of its threads:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p heddle-channel --test loom --release
//! ```
#![cfg(loom)]

use heddle_channel::{TryRecvError, bounded};
use loom::{model::Builder, thread};

/// Checks with at most so many preemptions: more find nothing new in these small models, and take hours.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

#[test]
fn values_arrive_in_order_through_a_channel_of_one() {
    check(2, || {
        let (sender, receiver) = bounded(1);
        let other = thread::spawn(move || {
            for n in 0..3 {
                sender.send(n).unwrap();
            }
        });
        for n in 0..3 {
            assert_eq!(receiver.recv(), Ok(n));
        }
        other.join().unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn two_senders_and_a_receiver_lose_nothing() {
    check(2, || {
        let (sender, receiver) = bounded(1);
        let second = sender.clone();
        let threads = [(sender, 1), (second, 2)]
            .map(|(sender, value)| thread::spawn(move || sender.send(value).unwrap()));
        let sum = receiver.recv().unwrap() + receiver.recv().unwrap();
        assert_eq!(sum, 3);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_receivers_and_a_sender_lose_nothing() {
    check(2, || {
        let (sender, receiver) = bounded(2);
        let threads = [receiver.clone(), receiver]
            .map(|receiver| thread::spawn(move || receiver.recv().unwrap()));
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        let sum: u32 = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn a_close_wakes_whoever_waits() {
    check(2, || {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        let blocked = thread::spawn(move || sender.send(1));
        receiver.close();
        assert_eq!(receiver.recv(), Ok(0));
        // Sent before the close or refused by it, never lost.
        match blocked.join().unwrap() {
            Ok(()) => assert_eq!(receiver.recv(), Ok(1)),
            Err(refused) => assert_eq!((refused.0, receiver.recv().ok()), (1, None)),
        }
    });
}

#[test]
fn the_last_sender_closes() {
    check(3, || {
        let (sender, receiver) = bounded::<u8>(1);
        let waiting = thread::spawn(move || receiver.recv().is_err());
        drop(sender);
        assert!(waiting.join().unwrap());
    });
}
