//! Waiting for several channels at once.
#![cfg(not(loom))]

use heddle_channel::{Select, TryRecvError, bounded, bytes};
use std::{thread, time::Duration};

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
