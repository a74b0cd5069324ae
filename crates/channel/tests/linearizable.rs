//! Whether what the operations of a channel did could have been done by one after the other, in an order that those who watch a clock
//! agree with: linearizability, through random interleavings.
//!
//! ```sh
//! RUSTFLAGS="--cfg shuttle" cargo test -p heddle-channel --test linearizable --release
//! ```
//!
//! Each operation is stamped when it begins and when it ends, by one clock. One that ended before another began comes before it in every
//! order that is looked for. For queues whose values are told apart there is no need to look for it: there is one unless the history has
//! one of four patterns (T. Henzinger, A. Sezgin, V. Vafeiadis, "Aspect-Oriented Linearizability Proofs", CONCUR 2013).
//! `packages/channel/test/model/history.ts` judges TypeScript's in the same way.
#![cfg(shuttle)]

use heddle_atomics::{
    registry,
    seam::{
        check::{check, fails, finds},
        model::{Fault, any},
    },
};
use heddle_channel::{
    Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, bytes, rendezvous, unbounded,
};
use shuttle::{future::block_on, thread};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// How long waits with a timeout wait: it ends when the model likes.
const WHILE: Duration = Duration::from_secs(1);
/// How many messages each sender sends.
const MESSAGES: u8 = 3;

/// Who sent a message, and its number there.
type Name = (u8, u8);

/// What an operation did. What found a channel closed and empty has found nothing, too.
#[derive(Clone, Copy, Debug)]
enum Did {
    Sent(Name),
    Received(Name),
    FoundNothing,
}
use Did::{FoundNothing, Received, Sent};

#[derive(Clone, Copy, Debug)]
struct Entry {
    did: Did,
    begin: u32,
    end: u32,
}

/// What was done and when. The clock and the lock are std's, which are no steps of the model: an operation is not made to look longer
/// than it was.
#[derive(Default)]
struct History {
    clock: AtomicU32,
    entries: Mutex<Vec<Entry>>,
}

impl History {
    /// The next moment.
    fn tick(&self) -> u32 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn add(&self, did: Did, begin: u32) {
        let end = self.tick();
        self.entries.lock().unwrap().push(Entry { did, begin, end });
    }
}

/// What is wrong with a history of complete operations; `None` if some order of them would have done the same.
fn fault(history: &[Entry]) -> Option<String> {
    let mut sends = HashMap::new();
    let mut receptions = HashMap::new();
    for entry in history {
        if let Sent(name) = entry.did {
            sends.insert(name, *entry);
        }
    }
    for entry in history {
        let Received(name) = entry.did else { continue };
        if sends.get(&name).is_none_or(|sent| entry.end < sent.begin) {
            return Some(format!("{name:?} was received and never sent before"));
        }
        if receptions.insert(name, *entry).is_some() {
            return Some(format!("{name:?} was received twice"));
        }
    }
    let begin_of = |name| receptions.get(name).map_or(u32::MAX, |entry| entry.begin);
    for (name, sent) in &sends {
        for (later, received) in &receptions {
            if sent.end < sends[later].begin && received.end < begin_of(name) {
                return Some(format!(
                    "{name:?} was sent before {later:?}, which was received before it"
                ));
            }
        }
    }
    // A value is there for certain from the end of its sending to the beginning of its reception.
    let stays: Vec<_> = sends
        .iter()
        .map(|(name, sent)| (sent.end, begin_of(name)))
        .collect();
    for entry in history
        .iter()
        .filter(|entry| matches!(entry.did, FoundNothing))
    {
        let mut moment = entry.begin;
        while moment < entry.end {
            match stays
                .iter()
                .find(|stay| stay.0 <= moment && moment < stay.1)
            {
                Some(stay) => moment = stay.1,
                None => break,
            }
        }
        if moment >= entry.end {
            return Some(format!(
                "nothing was found at {entry:?}, when something was there throughout"
            ));
        }
    }
    None
}

#[test]
fn the_judge_knows_an_order_where_there_is_one() {
    let entry = |did, begin, end| Entry { did, begin, end };
    let (a, b) = ((0, 0), (0, 1));
    let fine: [&[Entry]; 3] = [
        &[
            entry(Sent(a), 0, 3),
            entry(Sent(b), 1, 2),
            entry(Received(b), 4, 5),
            entry(Received(a), 6, 7),
        ],
        &[
            entry(FoundNothing, 0, 2),
            entry(Sent(a), 1, 3),
            entry(Received(a), 4, 6),
            entry(FoundNothing, 5, 7),
        ],
        &[
            entry(Sent(a), 0, 1),
            entry(FoundNothing, 2, 9),
            entry(Received(a), 3, 5),
            entry(Sent(b), 4, 6),
        ],
    ];
    for history in fine {
        assert_eq!(fault(history), None, "{history:?}");
    }
    let broken: [&[Entry]; 4] = [
        &[
            entry(Sent(a), 0, 1),
            entry(Sent(b), 2, 3),
            entry(Received(b), 4, 5),
            entry(Received(a), 6, 7),
        ],
        &[
            entry(Sent(a), 0, 1),
            entry(Received(a), 2, 3),
            entry(Received(a), 4, 5),
        ],
        &[entry(Received(a), 0, 1), entry(Sent(a), 2, 3)],
        // The first leaves when the second is there for certain.
        &[
            entry(Sent(a), 0, 1),
            entry(FoundNothing, 2, 7),
            entry(Sent(b), 3, 4),
            entry(Received(a), 5, 6),
        ],
    ];
    for history in broken {
        assert!(fault(history).is_some(), "{history:?}");
    }
}

/// A thread of the model, in the registry: waits of others look again after a while, which would hide that nobody woke them.
fn spawn(f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        registry::enter_new().expect("the model has few threads");
        f();
        registry::leave();
    })
}

/// A sending end of some channel.
trait Sends: Clone + Send + 'static {
    /// Sends in one of the ways there are, and notes it.
    fn send_noted(&self, name: Name, history: &History);
}

/// A receiving end of some channel.
trait Receives: Clone + Send + 'static {
    /// Receives in one of the ways there are, and notes it; `false` if the channel is closed and empty.
    fn receive_noted(&self, history: &History) -> bool;
}

impl Sends for Sender<Name> {
    fn send_noted(&self, name: Name, history: &History) {
        let mut begin = history.tick();
        match any(3) {
            0 if self.try_send(name).is_ok() => return history.add(Sent(name), begin),
            // What was refused is tried anew.
            0 => begin = history.tick(),
            1 => {
                block_on(self.send_async(name)).unwrap();
                return history.add(Sent(name), begin);
            }
            _ => {}
        }
        self.send(name).unwrap();
        history.add(Sent(name), begin);
    }
}

impl Receives for Receiver<Name> {
    fn receive_noted(&self, history: &History) -> bool {
        let begin = history.tick();
        let (did, goes_on) = match any(4) {
            0 => match self.try_recv() {
                Ok(name) => (Received(name), true),
                Err(error) => (FoundNothing, error == TryRecvError::Empty),
            },
            1 => match self.recv_timeout(WHILE) {
                Ok(name) => (Received(name), true),
                Err(error) => (FoundNothing, error == RecvTimeoutError::TimedOut),
            },
            2 => block_on(self.recv_async())
                .map_or((FoundNothing, false), |name| (Received(name), true)),
            _ => self
                .recv()
                .map_or((FoundNothing, false), |name| (Received(name), true)),
        };
        history.add(did, begin);
        goes_on
    }
}

/// Messages of different lengths, so that the ring wraps at different places.
fn message(name: Name) -> Vec<u8> {
    vec![name.0, name.1, 7, 7, 7, 7, 7, 7, 7][..2 + usize::from(name.0 * 3 + name.1 * 2) % 7]
        .to_vec()
}

fn name_of(bytes: &[u8]) -> Name {
    assert_eq!(bytes, message((bytes[0], bytes[1])), "a torn message");
    (bytes[0], bytes[1])
}

impl Sends for bytes::Sender {
    fn send_noted(&self, name: Name, history: &History) {
        let message = message(name);
        let mut begin = history.tick();
        match any(4) {
            0 if self.try_send(&message).is_ok() => return history.add(Sent(name), begin),
            0 => begin = history.tick(),
            1 => {
                block_on(self.send_async(&message)).unwrap();
                return history.add(Sent(name), begin);
            }
            2 if self.capacity() > 0 => {
                let mut place = self.reserve(message.len()).unwrap();
                place.copy_from_slice(&message);
                place.commit().unwrap();
                return history.add(Sent(name), begin);
            }
            _ => {}
        }
        self.send(&message).unwrap();
        history.add(Sent(name), begin);
    }
}

impl Receives for bytes::Receiver {
    fn receive_noted(&self, history: &History) -> bool {
        let begin = history.tick();
        let received = |bytes: &[u8]| (Received(name_of(bytes)), true);
        let (did, goes_on) = match any(4) {
            0 => match self.try_recv() {
                Ok(bytes) => received(&bytes),
                Err(error) => (FoundNothing, error == TryRecvError::Empty),
            },
            1 => self
                .borrow()
                .map_or((FoundNothing, false), |bytes| received(&bytes)),
            2 => {
                block_on(self.recv_async()).map_or((FoundNothing, false), |bytes| received(&bytes))
            }
            _ => self
                .recv()
                .map_or((FoundNothing, false), |bytes| received(&bytes)),
        };
        history.add(did, begin);
        goes_on
    }
}

/// Two send and two receive.
fn queue(sender: impl Sends, receiver: impl Receives) {
    let history = Arc::new(History::default());
    let senders = (0..2).map(|id| {
        let (sender, history) = (sender.clone(), Arc::clone(&history));
        spawn(move || (0..MESSAGES).for_each(|number| sender.send_noted((id, number), &history)))
    });
    let receivers = (0..2).map(|_| {
        let (receiver, history) = (receiver.clone(), Arc::clone(&history));
        spawn(move || while receiver.receive_noted(&history) {})
    });
    let threads: Vec<_> = senders.chain(receivers).collect();
    drop((sender, receiver));
    for thread in threads {
        thread.join().unwrap();
    }
    let history = history.entries.lock().unwrap();
    if let Some(fault) = fault(&history) {
        panic!("{fault}: {history:#?}");
    }
}

fn bytes_queue(capacity: u32, is_compact: bool) {
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity,
        ring_size: 64,
        is_compact,
    });
    queue(sender, receiver);
}

fn bounded_queue(capacity: usize) {
    let (sender, receiver) = bounded(capacity);
    queue(sender, receiver);
}

fn unbounded_queue() {
    let (sender, receiver) = unbounded(64);
    queue(sender, receiver);
}

#[test]
fn a_bounded_channel_is_a_queue() {
    check(200, || bounded_queue(1));
    check(200, || bounded_queue(3));
}

#[test]
fn an_unbounded_channel_is_a_queue() {
    check(300, unbounded_queue);
}

#[test]
fn a_rendezvous_is_a_queue() {
    check(200, || {
        let (sender, receiver) = rendezvous();
        queue(sender, receiver);
    });
}

#[test]
fn a_channel_of_bytes_is_a_queue() {
    check(200, || bytes_queue(2, false));
    check(200, || bytes_queue(100, true));
    check(100, || bytes_queue(0, false));
}

/// Two channels that are taken for one.
#[derive(Clone)]
struct Lanes<End>([End; 2]);

impl Sends for Lanes<Sender<Name>> {
    fn send_noted(&self, name: Name, history: &History) {
        self.0[usize::from(name.1 % 2)].send_noted(name, history);
    }
}

impl Receives for Lanes<Receiver<Name>> {
    fn receive_noted(&self, history: &History) -> bool {
        let begin = history.tick();
        let mut goes_on = false;
        for lane in &self.0 {
            match lane.try_recv() {
                Ok(name) => {
                    history.add(Received(name), begin);
                    return true;
                }
                Err(error) => goes_on |= error == TryRecvError::Empty,
            }
        }
        thread::yield_now();
        goes_on
    }
}

#[test]
fn what_is_no_queue_is_found() {
    fails("received before it", 400, || {
        let ((first, one), (second, two)) = (bounded(3), bounded(3));
        queue(Lanes([first, second]), Lanes([two, one]));
    });
    finds(Fault::TornExchange, "", 400, unbounded_queue);
}
