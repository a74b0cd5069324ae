//! The channels under the model checker, which runs each of these with every interleaving of its threads:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test -p heddle-channel --test loom --release
//! ```
#![cfg(loom)]

use heddle_channel::{Select, TryRecvError, bounded, rendezvous, unbounded};
use loom::{future::block_on, model::Builder, thread};

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

#[test]
fn a_select_misses_no_message() {
    check(2, || {
        let (sender_a, receiver_a) = bounded::<u32>(1);
        let (sender_b, receiver_b) = bounded::<u32>(1);
        let other = thread::spawn(move || {
            sender_a.send(1).unwrap();
            sender_b.send(2).unwrap();
            (sender_a, sender_b)
        });
        let mut sum = 0;
        while sum < 3 {
            let mut select = Select::new();
            select.recv(&receiver_a);
            select.recv(&receiver_b);
            let receiver = [&receiver_a, &receiver_b][select.ready()];
            sum += receiver.try_recv().unwrap_or_default();
        }
        assert_eq!(sum, 3);
        drop(other.join().unwrap());
    });
}

#[test]
fn a_select_and_a_receiver_share_what_comes() {
    check(2, || {
        let (sender, receiver) = bounded::<u32>(2);
        let alone = receiver.clone();
        let other = thread::spawn(move || alone.recv().is_ok());
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        let mut received = 0;
        while received == 0 {
            let mut select = Select::new();
            select.recv(&receiver);
            select.ready();
            received = receiver.try_recv().unwrap_or_default();
        }
        assert!(other.join().unwrap());
    });
}

#[test]
fn a_task_that_receives_is_woken() {
    check(2, || {
        let (sender, receiver) = bounded(1);
        let other = thread::spawn(move || sender.send(1).unwrap());
        assert_eq!(block_on(receiver.recv_async()), Ok(1));
        other.join().unwrap();
    });
}

#[test]
fn a_task_that_sends_is_woken() {
    check(2, || {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        let other = thread::spawn(move || block_on(sender.send_async(1)).unwrap());
        assert_eq!(receiver.recv(), Ok(0));
        assert_eq!(receiver.recv(), Ok(1));
        other.join().unwrap();
    });
}

#[test]
fn values_go_through_segments() {
    check(2, || {
        let (sender, receiver) = unbounded(2);
        // To the last slot of the first segment.
        for n in 0..63 {
            sender.send(n).unwrap();
            assert_eq!(receiver.recv(), Ok(n));
        }
        let other = thread::spawn(move || (63..66).for_each(|n| sender.send(n).unwrap()));
        for n in 63..66 {
            assert_eq!(receiver.recv(), Ok(n));
        }
        other.join().unwrap();
    });
}

#[test]
fn a_value_goes_from_hand_to_hand() {
    check(2, || {
        let (sender, receiver) = rendezvous();
        let other = thread::spawn(move || {
            sender.send(1).unwrap();
            block_on(sender.send_async(2)).unwrap();
        });
        assert_eq!(block_on(receiver.recv_async()), Ok(1));
        assert_eq!(receiver.recv(), Ok(2));
        other.join().unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn closing_meets_a_value_in_hand() {
    check(2, || {
        let (sender, receiver) = rendezvous();
        let other = thread::spawn(move || sender.send(1).is_ok());
        let received = receiver.try_recv();
        drop(receiver);
        assert_eq!(other.join().unwrap(), received.is_ok());
    });
}
