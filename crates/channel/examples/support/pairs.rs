//! Steps of one side of byte channels whose other side may be TypeScript: `packages/channel/test/support/steps.ts` has functions of
//! the same names. What is received wrong is a panic, which traps.

use core::{cell::RefCell, ptr::NonNull, time::Duration};
use heddle_atomics::clock::Instant;
use heddle_channel::{
    Select, TryRecvError, broadcast,
    bytes::{self, Options, Receiver, SendError, SendTimeoutError, Sender, TrySendError},
    watch,
};
use std::collections::BTreeMap;

/// The ends that this thread has, by the address of their channels.
#[derive(Default)]
struct Ends {
    senders: BTreeMap<usize, Sender>,
    receivers: BTreeMap<usize, Receiver>,
    news_senders: BTreeMap<usize, broadcast::Sender>,
    news_receivers: BTreeMap<usize, broadcast::Receiver>,
}

thread_local! {
    static ENDS: RefCell<Ends> = RefCell::default();
}

/// Runs `action` with the ends.
fn with_ends<R>(action: impl FnOnce(&mut Ends) -> R) -> R {
    ENDS.with_borrow_mut(action)
}

/// Message `number`, of about `length` bytes: part of it is none, and neither are parts of two.
fn message(number: u32, length: usize) -> Vec<u8> {
    let length = length.saturating_sub(number as usize % 8);
    (0..length as u32)
        .map(|i| number.wrapping_mul(31).wrapping_add(i) as u8)
        .collect()
}

/// Makes a channel that lives for ever, and returns where; this thread has both of its ends.
#[unsafe(no_mangle)]
pub extern "C" fn pair_create(capacity: u32, ring_size: u32) -> *mut u8 {
    let options = Options {
        capacity,
        ring_size,
        ..Options::default()
    };
    let place = Box::leak(vec![0_u64; options.record_size().div_ceil(8)].into_boxed_slice());
    let address = NonNull::from(place).cast();
    // SAFETY: the bytes are aligned to 8 and nobody else's.
    let (sender, receiver) = unsafe {
        bytes::init(address, options);
        (Sender::adopt(address), Receiver::adopt(address))
    };
    let at = address.addr().get();
    with_ends(|ends| {
        ends.senders.insert(at, sender.unwrap());
        ends.receivers.insert(at, receiver.unwrap());
    });
    address.as_ptr()
}

/// Opens one more sending end, which this thread has.
///
/// # Safety
/// There is a channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sender_open(at: *mut u8) -> u32 {
    // SAFETY: of the caller.
    let sender = unsafe { Sender::open(NonNull::new(at).unwrap()) }.unwrap();
    u32::from(with_ends(|ends| ends.senders.insert(at.addr(), sender)).is_some())
}

/// Opens one more receiving end, which this thread has.
///
/// # Safety
/// There is a channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn receiver_open(at: *mut u8) -> u32 {
    // SAFETY: of the caller.
    let receiver = unsafe { Receiver::open(NonNull::new(at).unwrap()) }.unwrap();
    u32::from(with_ends(|ends| ends.receivers.insert(at.addr(), receiver)).is_some())
}

/// Drops the sending end; 1 if there was one.
#[unsafe(no_mangle)]
pub extern "C" fn sender_drop(at: usize) -> u32 {
    u32::from(with_ends(|ends| ends.senders.remove(&at)).is_some())
}

/// Drops the receiving end; 1 if there was one.
#[unsafe(no_mangle)]
pub extern "C" fn receiver_drop(at: usize) -> u32 {
    u32::from(with_ends(|ends| ends.receivers.remove(&at)).is_some())
}

/// Sends `count` messages of about `length` bytes, in batches of `batch` if that is more than one; how many were sent before the
/// channel was closed.
#[unsafe(no_mangle)]
pub extern "C" fn send_numbered(at: usize, count: u32, length: usize, batch: u32) -> u32 {
    with_ends(|ends| {
        let sender = &ends.senders[&at];
        let mut sent = 0;
        while sent < count {
            let result = if batch > 1 {
                let numbers = sent..count.min(sent + batch);
                let messages: Vec<_> = numbers.map(|number| message(number, length)).collect();
                sender.send_many(&messages).map(|()| messages.len())
            } else {
                let result = sender.send(&message(sent, length));
                result.map(|()| 1).map_err(|error| (0, error))
            };
            match result {
                Ok(now) => sent += now as u32,
                Err((now, SendError::Closed)) => return sent + now as u32,
                Err((_, error)) => panic!("{error}"),
            }
        }
        sent
    })
}

/// Receives such messages until the channel is closed, in batches of at most `batch` if that is more than one; how many.
#[unsafe(no_mangle)]
pub extern "C" fn receive_numbered(at: usize, length: usize, batch: usize) -> u32 {
    with_ends(|ends| {
        let receiver = &ends.receivers[&at];
        let mut received = 0;
        loop {
            let messages = if batch > 1 {
                receiver.recv_many(batch)
            } else {
                receiver.recv().map(|message| vec![message])
            };
            let Ok(messages) = messages else {
                return received;
            };
            assert!((1..=batch.max(1)).contains(&messages.len()), "no batch");
            for found in messages {
                assert_eq!(found, message(received, length), "message {received}");
                received += 1;
            }
        }
    })
}

/// Sends the numbers below `count` to both of two channels, each time to one that a select finds with room; how many in all.
#[unsafe(no_mangle)]
pub extern "C" fn select_send(at: usize, other: usize, count: u32) -> u32 {
    with_ends(|ends| {
        let senders = [&ends.senders[&at], &ends.senders[&other]];
        let mut sent = [0_u32; 2];
        loop {
            let open: Vec<usize> = (0..2).filter(|&i| sent[i] < count).collect();
            if open.is_empty() {
                return sent[0] + sent[1];
            }
            let mut select = Select::new();
            for &i in &open {
                select.send_len(senders[i], 4);
            }
            let chosen = open[select.ready()];
            match senders[chosen].try_send(&sent[chosen].to_le_bytes()) {
                Ok(()) => sent[chosen] += 1,
                Err(TrySendError::Full) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// Receives numbers from two channels, each time from one that a select finds with a message, until both are closed; how many.
#[unsafe(no_mangle)]
pub extern "C" fn select_receive(at: usize, other: usize) -> u32 {
    with_ends(|ends| {
        let receivers = [&ends.receivers[&at], &ends.receivers[&other]];
        let mut received = [0_u32; 2];
        let mut open = vec![0, 1];
        while !open.is_empty() {
            let mut select = Select::new();
            for &i in &open {
                select.recv(receivers[i]);
            }
            let chosen = open[select.ready()];
            match receivers[chosen].try_recv() {
                Ok(found) => {
                    assert_eq!(found, received[chosen].to_le_bytes(), "out of order");
                    received[chosen] += 1;
                }
                Err(TryRecvError::Closed) => open.retain(|&i| i != chosen),
                Err(TryRecvError::Empty) => {}
            }
        }
        received[0] + received[1]
    })
}

/// Sends the numbers below `count` to both of two channels, in turn, waiting for room; how many in all.
#[unsafe(no_mangle)]
pub extern "C" fn send_in_turn(at: usize, other: usize, count: u32) -> u32 {
    with_ends(|ends| {
        for number in 0..count {
            for at in [at, other] {
                ends.senders[&at].send(&number.to_le_bytes()).unwrap();
            }
        }
        2 * count
    })
}

/// Receives the numbers below `count` from both of two channels, in turn, waiting for them; how many in all.
#[unsafe(no_mangle)]
pub extern "C" fn receive_in_turn(at: usize, other: usize, count: u32) -> u32 {
    with_ends(|ends| {
        for number in 0..count {
            for at in [at, other] {
                let found = ends.receivers[&at].recv().unwrap();
                assert_eq!(found, number.to_le_bytes(), "out of order");
            }
        }
        2 * count
    })
}

/// Opens one more sending end of a broadcast channel, which this thread has.
///
/// # Safety
/// There is a broadcast channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn news_sender_open(at: *mut u8) -> u32 {
    // SAFETY: of the caller.
    let sender = unsafe { broadcast::Sender::open(NonNull::new(at).unwrap()) }.unwrap();
    u32::from(with_ends(|ends| ends.news_senders.insert(at.addr(), sender)).is_some())
}

/// Opens one more receiving end of a broadcast channel, for the messages from now on, which this thread has.
///
/// # Safety
/// There is a broadcast channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn news_receiver_open(at: *mut u8) -> u32 {
    // SAFETY: of the caller.
    let receiver = unsafe { broadcast::Receiver::open(NonNull::new(at).unwrap(), None) }.unwrap();
    u32::from(with_ends(|ends| ends.news_receivers.insert(at.addr(), receiver)).is_some())
}

/// Drops the sending end of a broadcast channel; 1 if there was one.
#[unsafe(no_mangle)]
pub extern "C" fn news_sender_drop(at: usize) -> u32 {
    u32::from(with_ends(|ends| ends.news_senders.remove(&at)).is_some())
}

/// Drops the receiving end of a broadcast channel; 1 if there was one.
#[unsafe(no_mangle)]
pub extern "C" fn news_receiver_drop(at: usize) -> u32 {
    u32::from(with_ends(|ends| ends.news_receivers.remove(&at)).is_some())
}

/// Sends the numbers below `count` to both of two broadcast channels, each time to one that a select finds with room, until one of them is
/// closed; how many in all.
#[unsafe(no_mangle)]
pub extern "C" fn news_select_send(at: usize, other: usize, count: u32) -> u32 {
    with_ends(|ends| {
        let senders = [&ends.news_senders[&at], &ends.news_senders[&other]];
        let mut sent = [0_u32; 2];
        loop {
            let open: Vec<usize> = (0..2).filter(|&i| sent[i] < count).collect();
            if open.is_empty() {
                return sent[0] + sent[1];
            }
            let mut select = Select::new();
            for &i in &open {
                select.send_len(senders[i], 4);
            }
            let chosen = open[select.ready()];
            match senders[chosen].try_send(&sent[chosen].to_le_bytes()) {
                Ok(()) => sent[chosen] += 1,
                Err(TrySendError::Full) => {}
                Err(TrySendError::Closed) => return sent[0] + sent[1],
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// Receives the numbers from `start` to below `end` from both of two broadcast channels, in turn, waiting for them; how many in all.
#[unsafe(no_mangle)]
pub extern "C" fn news_receive_in_turn(at: usize, other: usize, start: u32, end: u32) -> u32 {
    with_ends(|ends| {
        for number in start..end {
            for at in [at, other] {
                let receiver = ends.news_receivers.get_mut(&at).unwrap();
                let found = receiver.recv().unwrap();
                assert_eq!(found, number.to_le_bytes(), "out of order");
            }
        }
        2 * (end - start)
    })
}

/// Waits for at most `limit_ms`: 1 if what it waited for came, else 0; 2 if it didn't and this thread's clock says that the time wasn't
/// over. A browser's clock is coarse, by less than a millisecond.
fn timed(limit_ms: u32, wait: impl FnOnce(Duration) -> bool) -> u32 {
    let limit = Duration::from_millis(limit_ms.into());
    let start = Instant::now();
    if wait(limit) {
        return 1;
    }
    let is_early = start.elapsed() + Duration::from_millis(1) < limit;
    if is_early { 2 } else { 0 }
}

/// Receives a message within that time.
#[unsafe(no_mangle)]
pub extern "C" fn timed_receive(at: usize, limit_ms: u32) -> u32 {
    with_ends(|ends| {
        timed(limit_ms, |limit| {
            ends.receivers[&at].recv_timeout(limit).is_ok()
        })
    })
}

/// Sends a message within that time.
#[unsafe(no_mangle)]
pub extern "C" fn timed_send(at: usize, limit_ms: u32) -> u32 {
    with_ends(|ends| {
        timed(limit_ms, |limit| {
            match ends.senders[&at].send_timeout(&[7], limit) {
                Ok(()) => true,
                Err(SendTimeoutError::TimedOut) => false,
                Err(error) => panic!("{error}"),
            }
        })
    })
}

/// Finds something to receive within that time.
#[unsafe(no_mangle)]
pub extern "C" fn timed_select(at: usize, limit_ms: u32) -> u32 {
    with_ends(|ends| {
        timed(limit_ms, |limit| {
            let mut select = Select::new();
            select.recv(&ends.receivers[&at]);
            select.ready_timeout(limit).is_some()
        })
    })
}

/// Receives a message that is broadcast within that time.
///
/// # Safety
/// There is a broadcast channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timed_broadcast(at: *mut u8, limit_ms: u32) -> u32 {
    // SAFETY: of the caller.
    let receiver = unsafe { broadcast::Receiver::open(NonNull::new(at).unwrap(), Some(0)) };
    let mut receiver = receiver.unwrap();
    timed(limit_ms, |limit| receiver.recv_timeout(limit).is_ok())
}

/// Sees the value change within that time.
///
/// # Safety
/// There is a watch channel that lives for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn timed_watch(at: *mut u8, limit_ms: u32) -> u32 {
    // SAFETY: of the caller.
    let mut receiver = unsafe { watch::Receiver::open(NonNull::new(at).unwrap()) }.unwrap();
    timed(limit_ms, |limit| receiver.changed_timeout(limit).is_ok())
}
