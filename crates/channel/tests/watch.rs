//! The watch channel on real threads.
#![cfg(not(loom))]

use heddle_atomics::RawMutex;
use heddle_channel::{
    RecvError, RecvTimeoutError,
    bytes::{SendError, TooLong},
    layout::{WATCH_VERSION, watch_header as header},
    watch::{self, OpenError, Receiver, Sender},
};
use std::{ptr::NonNull, thread, time::Duration};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn it_keeps_the_latest_value_and_tells_whether_it_changed() {
    let (sender, mut receiver) = watch::channel(b"first", 16);
    assert_eq!(
        (receiver.borrow().as_slice(), receiver.has_changed()),
        (&b"first"[..], false)
    );
    sender.send(b"second").unwrap();
    sender.send(b"third").unwrap();
    assert_eq!(
        (receiver.borrow().as_slice(), receiver.has_changed()),
        (&b"third"[..], true)
    );
    let mut clone = receiver.clone();
    assert_eq!(receiver.borrow_and_update(), b"third");
    assert!(!receiver.has_changed() && clone.has_changed());
    clone.changed().unwrap();
    assert_eq!(clone.changed_timeout(SOON), Err(RecvTimeoutError::TimedOut));
    clone.mark_changed();
    clone.changed().unwrap();
    assert!(!sender.subscribe().has_changed());
    sender.send(b"").unwrap();
    clone.mark_unchanged();
    assert!(!clone.has_changed());
    assert_eq!(clone.borrow_with(<[u8]>::len), 0);
    assert_eq!(sender.borrow(), b"");
}

#[test]
fn values_are_whole_and_never_go_back_and_everybody_sees_the_last_one() {
    const LAST: u32 = 20_000;
    let value = |n: u32| n.to_le_bytes().repeat(1 + n as usize % 16);
    let (sender, receiver) = watch::channel(&value(0), 64);
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut receiver = receiver.clone();
            scope.spawn(move || {
                let mut seen = 0;
                while receiver.changed() == Ok(()) {
                    let bytes = receiver.borrow_and_update();
                    let n = u32::from_le_bytes(bytes[..4].try_into().unwrap());
                    assert_eq!(bytes, value(n), "torn");
                    // The change that was waited for may have been overtaken by what was seen.
                    assert!(n >= seen, "went back");
                    seen = n;
                }
                assert_eq!(seen, LAST);
            });
        }
        drop(receiver);
        for n in 1..=LAST {
            sender.send(&value(n)).unwrap();
        }
        drop(sender);
    });
}

#[test]
fn the_last_end_of_a_side_closes_and_the_last_value_is_seen() {
    let (sender, mut receiver) = watch::channel(b"first", 16);
    let second = sender.clone();
    drop(sender);
    second.send(b"last").unwrap();
    drop(second);
    assert!(receiver.is_closed());
    assert_eq!(receiver.changed(), Ok(()));
    assert_eq!(receiver.changed(), Err(RecvError));
    assert_eq!(receiver.borrow(), b"last");

    let (sender, receiver) = watch::channel(b"first", 16);
    drop(receiver);
    assert_eq!(sender.send(b"unseen"), Err(SendError::Closed));
    let (sender, _receiver) = watch::channel(b"first", 5);
    let too_long = TooLong { len: 6, max: 5 };
    assert_eq!(sender.send(b"second"), Err(SendError::TooLong(too_long)));
}

/// A sender that dies while it writes leaves the value before: it was writing elsewhere.
#[test]
fn the_value_of_a_sender_that_died_is_not_seen() {
    let (sender, receiver) = watch::channel(b"first", 8);
    // SAFETY: the lock and the second place are there, and nobody else uses the channel.
    unsafe {
        let lock: &RawMutex = sender.address().add(header::LOCK).cast().as_ref();
        let _ = lock.lock();
        sender.address().add(header::SIZE + 8).write_bytes(0xff, 4);
        lock.poison();
        lock.unlock();
    }
    assert_eq!(receiver.borrow(), b"first");
    sender.send(b"second").unwrap();
    assert_eq!(receiver.borrow(), b"second");
}

#[test]
fn what_is_no_watch_channel_is_refused() {
    let (sender, _receiver) = watch::channel(b"", 8);
    let refused = |address| {
        // SAFETY: a header's bytes can be read there.
        unsafe { Receiver::open(address) }.unwrap_err()
    };
    // SAFETY: within the record, which lives as long as `sender`.
    unsafe {
        assert_eq!(refused(sender.address().add(4)), OpenError::Misaligned);
        let opened = Receiver::open(sender.address()).unwrap();
        Sender::open(sender.address())
            .unwrap()
            .send(b"new")
            .unwrap();
        assert_eq!((opened.has_changed(), opened.borrow().len()), (true, 3));
    }
    let mut zeros = [0_u64; header::SIZE / 8];
    let nothing = NonNull::from(&mut zeros).cast();
    assert_eq!(refused(nothing), OpenError::NotAChannel);
    let write = |offset: usize, word: u32| {
        // SAFETY: a word of the header, and nobody else uses the channel.
        unsafe { sender.address().add(offset).cast::<u32>().write(word) };
    };
    write(header::VALUE_SIZE, u32::MAX);
    assert_eq!(refused(sender.address()), OpenError::Size(u32::MAX));
    write(header::VALUE_SIZE, 8);
    write(header::VERSION, 9);
    let version = OpenError::Version {
        found: 9,
        expected: WATCH_VERSION,
    };
    assert_eq!(refused(sender.address()), version);
}
