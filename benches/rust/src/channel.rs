//! Channels: producers copy a message from their source into each send, consumers read its stamp.

mod rival;

use crate::round::{Measurement, Part, Request, time_together};
use heddle_channel::bytes;
use rival::{Channel, Heddle};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a channel holds at most, in bytes of messages; as the TypeScript subjects have it.
const BYTES_HELD: usize = 4 << 20;

/// How many messages a channel holds at most.
fn capacity(size: usize) -> usize {
    (BYTES_HELD / size).clamp(8, 1024)
}

/// A message: a stamp, and bytes that are copied from a source.
trait Message: Send + 'static {
    const SIZE: usize;
    fn copy_of(source: &[u8], stamp: u64) -> Self;
    fn stamp(&self) -> u64;
}

impl Message for u64 {
    const SIZE: usize = 8;

    #[inline]
    fn copy_of(_source: &[u8], stamp: u64) -> Self {
        stamp
    }

    #[inline]
    fn stamp(&self) -> u64 {
        *self
    }
}

impl Message for [u8; 1024] {
    const SIZE: usize = 1024;

    #[inline]
    fn copy_of(source: &[u8], stamp: u64) -> Self {
        let mut message = [0; 1024];
        message.copy_from_slice(source);
        put_stamp(&mut message, stamp);
        message
    }

    #[inline]
    fn stamp(&self) -> u64 {
        stamp_of(self)
    }
}

/// What is too large to lie in the channel is sent in a box, as anybody would.
struct Boxed<const SIZE: usize>(Box<[u8]>);

impl<const SIZE: usize> Message for Boxed<SIZE> {
    const SIZE: usize = SIZE;

    #[inline]
    fn copy_of(source: &[u8], stamp: u64) -> Self {
        let mut bytes: Box<[u8]> = source.into();
        put_stamp(&mut bytes, stamp);
        Self(bytes)
    }

    #[inline]
    fn stamp(&self) -> u64 {
        stamp_of(&self.0)
    }
}

#[inline]
fn put_stamp(bytes: &mut [u8], stamp: u64) {
    bytes[..8].copy_from_slice(&stamp.to_le_bytes());
}

#[inline]
fn stamp_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

/// Producers and consumers of a case `oneway-<size>-<pairs>p<pairs>c`.
fn pairs_of(case: &str) -> Option<(&str, usize)> {
    let (size, pairs) = case.strip_prefix("oneway-")?.split_once('-')?;
    match pairs {
        "1p1c" => Some((size, 1)),
        "2p2c" => Some((size, 2)),
        _ => None,
    }
}

fn size_of(name: &str) -> Option<usize> {
    match name {
        "8B" => Some(8),
        "1KiB" => Some(1 << 10),
        "64KiB" => Some(64 << 10),
        "1MiB" => Some(1 << 20),
        _ => None,
    }
}

pub(crate) fn measure(request: &Request) -> Option<Measurement> {
    match request.subject.as_str() {
        "heddle-rust" => of_values::<Heddle>(request),
        "heddle-rust-bytes" => of_bytes(request),
        "memcpy" => memcpy(request),
        "wait-notify" | "wait-notify-rust" => wait_notify(request),
        #[cfg(not(target_arch = "wasm32"))]
        "crossbeam-native" => of_values::<rival::Crossbeam>(request),
        #[cfg(not(target_arch = "wasm32"))]
        "flume-native" => of_values::<rival::Flume>(request),
        #[cfg(not(target_arch = "wasm32"))]
        "kanal-native" => of_values::<rival::Kanal>(request),
        _ => None,
    }
}

fn of_values<C: Channel>(request: &Request) -> Option<Measurement> {
    if let Some(size) = request.case.strip_prefix("roundtrip-") {
        return Some(match size {
            "8B" => round_trip::<C, u64>(request.count),
            "1KiB" => round_trip::<C, [u8; 1024]>(request.count),
            "64KiB" => round_trip::<C, Boxed<{ 64 << 10 }>>(request.count),
            "1MiB" => round_trip::<C, Boxed<{ 1 << 20 }>>(request.count),
            _ => return None,
        });
    }
    let (size, pairs) = pairs_of(&request.case)?;
    Some(match size {
        "8B" => one_way::<C, u64>(pairs, request.count),
        "1KiB" => one_way::<C, [u8; 1024]>(pairs, request.count),
        "64KiB" => one_way::<C, Boxed<{ 64 << 10 }>>(pairs, request.count),
        "1MiB" => one_way::<C, Boxed<{ 1 << 20 }>>(pairs, request.count),
        _ => return None,
    })
}

/// The stamps that one producer sends, and their sum.
fn stamps(producer: usize, share: usize) -> std::ops::Range<u64> {
    (producer * share) as u64..((producer + 1) * share) as u64
}

/// Takes the time and proves that every message arrived once, as far as a sum can.
fn timed(parts: Vec<Part>, pairs: usize, share: usize) -> Measurement {
    let (elapsed, results) = time_together(parts);
    let received: u64 = results.into_iter().sum();
    let sent: u64 = (0..pairs)
        .flat_map(|producer| stamps(producer, share))
        .sum();
    assert_eq!(received, sent, "messages were lost or doubled");
    Measurement::of(elapsed)
}

fn one_way<C: Channel, M: Message>(pairs: usize, count: usize) -> Measurement {
    let share = count.div_ceil(pairs);
    let (sender, receiver) = C::bounded::<M>(capacity(M::SIZE));
    let mut parts: Vec<Part> = Vec::new();
    for producer in 0..pairs {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        parts.push(Box::new(move || {
            let source = vec![1; M::SIZE];
            for stamp in stamps(producer, share) {
                C::send(&sender, M::copy_of(&source, stamp));
            }
            0
        }));
        parts.push(Box::new(move || {
            let mut sum = 0;
            while let Some(message) = C::recv(&receiver) {
                sum += message.stamp();
            }
            sum
        }));
    }
    // The channel ends with the last producer.
    drop((sender, receiver));
    timed(parts, pairs, share)
}

/// The answer is the message itself.
fn round_trip<C: Channel, M: Message>(count: usize) -> Measurement {
    let (ping, pinged) = C::bounded::<M>(capacity(M::SIZE));
    let (pong, ponged) = C::bounded::<M>(capacity(M::SIZE));
    let there: Part = Box::new(move || {
        let source = vec![1; M::SIZE];
        let mut sum = 0;
        for stamp in stamps(0, count) {
            C::send(&ping, M::copy_of(&source, stamp));
            sum += C::recv(&ponged).expect("the other side answers").stamp();
        }
        sum
    });
    let back: Part = Box::new(move || {
        while let Some(message) = C::recv(&pinged) {
            C::send(&pong, message);
        }
        0
    });
    timed(vec![there, back], 1, count)
}

/// Bytes over a record that TypeScript shares: sent from where they lie and received as a vector, or written and read in place.
fn of_bytes(request: &Request) -> Option<Measurement> {
    let in_place = request.case.strip_suffix("-borrowed");
    let (size, pairs) = pairs_of(in_place.unwrap_or(&request.case))?;
    let in_place = in_place.is_some();
    let size = size_of(size)?;
    let share = request.count.div_ceil(pairs);
    let (sender, receiver) = bytes::channel(bytes::Options {
        capacity: capacity(size) as u32,
        ring_size: (capacity(size) * (size + 8)).next_power_of_two() as u32,
        ..bytes::Options::default()
    });
    let mut parts: Vec<Part> = Vec::new();
    for producer in 0..pairs {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        parts.push(Box::new(move || {
            let mut message = vec![1; size];
            for stamp in stamps(producer, share) {
                put_stamp(&mut message, stamp);
                if in_place {
                    let mut place = sender.reserve(size).expect("the receivers stay");
                    place.copy_from_slice(&message);
                    place.commit().expect("the receivers stay");
                } else {
                    sender.send(&message).expect("the receivers stay");
                }
            }
            0
        }));
        parts.push(Box::new(move || {
            let mut sum = 0;
            if in_place {
                while let Ok(message) = receiver.borrow() {
                    sum += stamp_of(&message);
                }
            } else {
                for message in receiver.iter() {
                    sum += stamp_of(&message);
                }
            }
            sum
        }));
    }
    drop((sender, receiver));
    Some(timed(parts, pairs, share))
}

/// What copying costs alone: the same bytes into as many places as a channel has.
fn memcpy(request: &Request) -> Option<Measurement> {
    let (size, 1) = pairs_of(&request.case)? else {
        return None;
    };
    let size = size_of(size)?;
    let count = request.count;
    let (elapsed, _) = time_together(vec![Box::new(move || {
        let source = std::hint::black_box(vec![1_u8; size]);
        let mut places = vec![0_u8; size * capacity(size)];
        for n in 0..count {
            let start = n % capacity(size) * size;
            let place = &mut places[start..start + size];
            place.copy_from_slice(&source);
            std::hint::black_box(place);
        }
        0
    })]);
    Some(Measurement::of(elapsed))
}

/// The bare futex: what a blocking round trip costs without a channel.
fn wait_notify(request: &Request) -> Option<Measurement> {
    use heddle_atomics::futex;
    if request.case != "roundtrip-8B" {
        return None;
    }
    // Counts the turns; even ones are the first thread's.
    let turn = Arc::new(AtomicU32::new(0));
    let count = request.count as u32;
    let parts = (0..2_u32).map(|side| {
        let turn = Arc::clone(&turn);
        let part: Part = Box::new(move || {
            for n in 0..count {
                let own = 2 * n + side;
                loop {
                    // `Acquire`: what the other side wrote before the store below.
                    let now = turn.load(Acquire);
                    if now == own {
                        break;
                    }
                    futex::wait(&turn, now, None);
                }
                // `Release`: publishes to the load above.
                turn.store(own + 1, Release);
                futex::wake(&turn, 1);
            }
            0
        });
        part
    });
    let (elapsed, _) = time_together(parts.collect());
    assert_eq!(turn.load(Acquire), 2 * count, "a turn was lost");
    Some(Measurement::of(elapsed))
}
